//! What a shape-only pass shows of a network: each module's output and multiply-adds.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;

use tiegrad_arena::{ParamId, Shape};
use tiegrad_autodiff::{Applied, Part, Watch};

use super::module::{Module, ParamUse};
use super::uses::IdMap;
use super::walk::{At, Walker, walk};

/// What was seen of one module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The shapes it gave out, in order, equal neighbours counted together.
    pub(crate) outputs: Vec<(Shape, usize)>,
    /// Multiply-adds that no module within it did.
    pub(crate) multiply_adds: u64,
}

/// A module's place in the tree, by which the pass's parts are recognized.
struct Place {
    children: Vec<usize>,
    parent: usize,
}

/// Modules, root first, and who they are to the tape.
#[derive(Default)]
struct Places {
    places: Vec<Place>,
    open: Vec<usize>,
    by_part: HashMap<(usize, TypeId), Vec<usize>>,
    by_field: HashMap<usize, usize>,
    by_id: IdMap<Vec<usize>>,
}

impl<'a> Walker<'a> for Places {
    fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
        let index = self.places.len();
        let parent = self.open.last().copied().unwrap_or(index);
        if let Some(around) = self.places.get_mut(parent) {
            around.children.push(index);
        }
        self.places.push(Place {
            children: Vec::new(),
            parent,
        });
        self.open.push(index);
        let any: &dyn Any = module;
        let address = std::ptr::from_ref(module).addr();
        self.by_part
            .entry((address, any.type_id()))
            .or_default()
            .push(index);
    }

    fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
        self.open.pop();
    }

    fn param(&mut self, _: At<'_>, param: ParamUse) {
        let owner = self.open.last().copied().unwrap_or_default();
        if param.field != 0 {
            self.by_field.insert(param.field, owner);
        }
        self.by_id.entry(param.id).or_default().push(owner);
    }
}

impl Places {
    fn is_within(&self, mut index: usize, around: usize) -> bool {
        while index > around {
            index = self.places[index].parent;
        }
        index == around
    }
}

/// Watches a shape-only pass of the network under a root.
pub(crate) struct Watcher {
    places: Places,
    state: RefCell<State>,
}

struct State {
    /// The modules that have been entered and not left; `None` for a part that is not in the tree.
    open: Vec<Option<usize>>,
    seen: Vec<Seen>,
    /// Of modules that do not tell when they are entered: outputs of ops that read their parameters.
    by_ops: Vec<Vec<(Shape, usize)>>,
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

impl Watcher {
    pub(crate) fn new(root: &dyn Module) -> Self {
        let mut places = Places::default();
        walk(root, &mut places);
        let modules = places.places.len();
        Self {
            places,
            state: RefCell::new(State {
                open: vec![Some(0)],
                seen: vec![Seen::default(); modules],
                by_ops: vec![Vec::new(); modules],
                total: 0,
                failed: None,
            }),
        }
    }

    /// What was seen, given the whole network's output.
    pub(crate) fn finish(self, output: &Shape) -> Observations {
        let State {
            mut seen,
            by_ops,
            total,
            failed,
            ..
        } = self.state.into_inner();
        for (seen, by_ops) in seen.iter_mut().zip(by_ops) {
            if seen.outputs.is_empty() {
                seen.outputs = by_ops;
            }
        }
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
        let owners = self.places.by_id.get(&id)?;
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
                self.places.places[around].children.get(position).copied()
            }
            Part::Layer { address, type_id } => {
                let current = open.iter().rev().find_map(|open| *open)?;
                let candidates = self.places.by_part.get(&(address, type_id))?;
                // Types without size may share an address: the one that is running, or the first within it, is meant.
                let within = |&&index: &&usize| self.places.is_within(index, current);
                candidates
                    .iter()
                    .find(within)
                    .or(candidates.first())
                    .copied()
            }
        }
    }
}

impl Watch for Watcher {
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
        if let Some(owner) = owner {
            push(&mut state.by_ops[owner], *op.out);
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
                push(&mut state.seen[left].outputs, *out);
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
