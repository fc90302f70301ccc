//! What a shape-only pass shows of a network: each module's output and multiply-adds.

use std::any::{Any, TypeId};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;

use tiegrad_arena::{ParamId, Shape};
use tiegrad_autodiff::{Applied, Part, Watch};

use super::module::{Module, ParamUse};
use super::uses::{IdHasher, IdMap};
use super::walk::{At, Walker, walk};

/// What was seen of one module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The shapes it gave out, in order, equal neighbours counted together.
    pub(crate) outputs: Vec<(Shape, usize)>,
    /// Whether it tells when it is entered and left. As long as it does not, its outputs are those of the ops that read its parameters.
    tells: bool,
    /// Multiply-adds that no module within it did.
    pub(crate) multiply_adds: u64,
}

/// Modules by number, root first, and who they are to the tape.
#[derive(Default)]
struct Places {
    /// Of each module, the one around it; the root's is its own.
    parents: Vec<usize>,
    /// Of each module, how many children it has, and, after [`close`](Places::close), where in `children` they start.
    starts: Vec<usize>,
    children: Vec<usize>,
    open: Vec<usize>,
    by_part: AddressMap<(TypeId, usize)>,
    /// Modules at an address at which there is another already: one begins with its first field, and types without size share addresses.
    by_part_too: Vec<((usize, TypeId), usize)>,
    by_field: AddressMap<usize>,
}

/// A map by address.
type AddressMap<V> = HashMap<usize, V, BuildHasherDefault<IdHasher>>;

impl<'a> Walker<'a> for Places {
    fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
        let index = self.parents.len();
        let parent = self.open.last().copied().unwrap_or(index);
        self.parents.push(parent);
        self.starts.push(0);
        if parent != index {
            self.starts[parent] += 1;
        }
        self.open.push(index);
        let any: &dyn Any = module;
        let (address, type_id) = (std::ptr::from_ref(module).addr(), any.type_id());
        match self.by_part.entry(address) {
            Entry::Vacant(new) => {
                new.insert((type_id, index));
            }
            Entry::Occupied(_) => self.by_part_too.push(((address, type_id), index)),
        }
    }

    fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
        self.open.pop();
    }

    fn param(&mut self, _: At<'_>, param: ParamUse) {
        if param.field != 0 {
            let owner = self.open.last().copied().unwrap_or_default();
            self.by_field.insert(param.field, owner);
        }
    }
}

impl Places {
    /// From the numbers of children to where they start, and the children themselves.
    fn close(&mut self) {
        let mut next = 0;
        for start in &mut self.starts {
            (*start, next) = (next, next + *start);
        }
        self.children = vec![0; next];
        let mut filled = self.starts.clone();
        for (child, &parent) in self.parents.iter().enumerate().skip(1) {
            self.children[filled[parent]] = child;
            filled[parent] += 1;
        }
        self.starts.push(next);
        self.by_part_too.sort_unstable();
    }

    fn child(&self, around: usize, position: usize) -> Option<usize> {
        let children = self.starts[around]..self.starts[around + 1];
        self.children[children].get(position).copied()
    }

    /// What stands at an address and is of a type: what runs, or the first within it, where types without size share the address.
    fn part(&self, address: usize, type_id: TypeId, current: usize) -> Option<usize> {
        let (first_type, first) = *self.by_part.get(&address)?;
        let first = (first_type == type_id).then_some(first);
        let key = (address, type_id);
        let from = self.by_part_too.partition_point(|(other, _)| *other < key);
        let others = self.by_part_too[from..].iter();
        let others = others
            .take_while(|(other, _)| *other == key)
            .map(|(_, index)| *index);
        let mut all = first.into_iter().chain(others);
        let any = all.clone().next();
        all.find(|&index| self.is_within(index, current)).or(any)
    }

    fn is_within(&self, mut index: usize, around: usize) -> bool {
        while index > around {
            index = self.parents[index];
        }
        index == around
    }
}

/// Watches a shape-only pass of the network under a root.
pub(crate) struct Watcher<'a> {
    root: &'a dyn Module,
    places: Places,
    /// Which modules hold an id: asked for only where the tape was given an id by value.
    by_id: OnceCell<IdMap<Vec<usize>>>,
    state: RefCell<State>,
}

struct State {
    /// The modules that have been entered and not left; `None` for a part that is not in the tree.
    open: Vec<Option<usize>>,
    seen: Vec<Seen>,
    total: u64,
    /// The innermost module that was left without a result.
    failed: Option<usize>,
}

/// What a [`Watcher`] has seen.
pub(crate) struct Observations {
    /// One for each module, root first.
    pub(crate) modules: Vec<Seen>,
    pub(crate) multiply_adds: u64,
    pub(crate) failed: Option<usize>,
}

impl<'a> Watcher<'a> {
    pub(crate) fn new(root: &'a dyn Module) -> Self {
        let mut places = Places::default();
        walk(root, &mut places);
        places.close();
        let modules = places.parents.len();
        Self {
            root,
            places,
            by_id: OnceCell::new(),
            state: RefCell::new(State {
                open: vec![Some(0)],
                seen: vec![Seen::default(); modules],
                total: 0,
                failed: None,
            }),
        }
    }

    /// What was seen, given the whole network's output.
    pub(crate) fn finish(self, output: &Shape) -> Observations {
        let State {
            mut seen,
            total,
            failed,
            ..
        } = self.state.into_inner();
        if let Some(root) = seen.first_mut() {
            root.outputs = vec![(*output, 1)];
        }
        Observations {
            modules: seen,
            multiply_adds: total,
            failed,
        }
    }

    /// The module that holds a parameter's field; where the tape was given an id by value, the only module that holds the id, or the only one within
    /// the module that is running.
    fn owner(&self, current: usize, id: ParamId, field: usize) -> Option<usize> {
        if let Some(&owner) = self.places.by_field.get(&field) {
            return Some(owner);
        }
        let owners = self.by_id.get_or_init(|| owners(self.root)).get(&id)?;
        let mut inside = owners
            .iter()
            .filter(|&&owner| owners.len() == 1 || self.places.is_within(owner, current));
        match (inside.next(), inside.next()) {
            (Some(&owner), None) => Some(owner),
            _ => None,
        }
    }

    fn resolve(&self, open: &[Option<usize>], part: Part) -> Option<usize> {
        match part {
            Part::Child(position) => {
                let around = (*open.last()?)?;
                self.places.child(around, position)
            }
            Part::Layer { address, type_id } => {
                let current = open.iter().rev().find_map(|open| *open)?;
                self.places.part(address, type_id, current)
            }
        }
    }
}

/// The modules that hold each id, by number.
fn owners(root: &dyn Module) -> IdMap<Vec<usize>> {
    #[derive(Default)]
    struct Owners {
        modules: usize,
        open: Vec<usize>,
        owners: IdMap<Vec<usize>>,
    }
    impl<'a> Walker<'a> for Owners {
        fn enter(&mut self, _: At<'_>, _: &'a dyn Module) {
            self.open.push(self.modules);
            self.modules += 1;
        }
        fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
            self.open.pop();
        }
        fn param(&mut self, _: At<'_>, param: ParamUse) {
            let owner = self.open.last().copied().unwrap_or_default();
            self.owners.entry(param.id).or_default().push(owner);
        }
    }
    let mut all = Owners::default();
    walk(root, &mut all);
    all.owners
}

impl Watch for Watcher<'_> {
    fn op(&self, op: &Applied<'_>) {
        let mut state = self.state.borrow_mut();
        let current = state.open.iter().rev().find_map(|open| *open);
        let current = current.unwrap_or_default();
        let owner = op
            .params
            .iter()
            .find_map(|&(id, field)| self.owner(current, id, field.get()));
        state.total = state.total.saturating_add(op.multiply_adds);
        let seen = &mut state.seen[owner.unwrap_or(current)];
        seen.multiply_adds = seen.multiply_adds.saturating_add(op.multiply_adds);
        if owner.is_some() && !seen.tells {
            push(&mut seen.outputs, *op.out);
        }
    }

    fn enter(&self, part: Part) {
        let mut state = self.state.borrow_mut();
        let entered = self.resolve(&state.open, part);
        state.open.push(entered);
    }

    fn leave(&self, out: Option<&Shape>) {
        let mut state = self.state.borrow_mut();
        let Some(left) = state.open.pop().flatten() else {
            return;
        };
        match out {
            // A container's child that is a container is entered as both: it is seen once.
            Some(out) if state.open.last() != Some(&Some(left)) => {
                let seen = &mut state.seen[left];
                if !std::mem::replace(&mut seen.tells, true) {
                    seen.outputs.clear();
                }
                push(&mut seen.outputs, *out);
            }
            Some(_) => {}
            None => {
                state.failed.get_or_insert(left);
            }
        }
    }
}

fn push(outputs: &mut Vec<(Shape, usize)>, out: Shape) {
    match outputs.last_mut() {
        Some((last, count)) if *last == out => *count += 1,
        _ => outputs.push((out, 1)),
    }
}
