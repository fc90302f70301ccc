//! Who uses which parameter: the names, with ties.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use tiegrad_arena::{ParamId, Selection};

use super::module::{Module, ParamUse, Role};
use super::walk::{At, Walker, walk};

/// One use of a parameter: a path that leads to it. The first path of an id is its canonical one, the others are aliases.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::with(4, 4).bias(false).build(&mut params, &mut rng)?;
/// let uses = (shared.clone(), shared).all_uses();
/// assert_eq!((uses[0].path.as_str(), uses[0].alias_of), ("0.weight", None));
/// assert_eq!((uses[1].path.as_str(), uses[1].alias_of), ("1.weight", Some(0)));
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Use {
    /// The path of this use.
    pub path: String,
    /// Which parameter.
    pub id: ParamId,
    /// Whether this use takes it transposed.
    pub transposed: bool,
    /// What it is there for.
    pub role: Role,
    /// Of an alias: the position, in the list of all uses, of the use with the canonical path.
    pub alias_of: Option<usize>,
}

/// A map by id. Ids are spread by one multiplication.
pub(crate) type IdMap<V> = HashMap<ParamId, V, BuildHasherDefault<IdHasher>>;

#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_usize(&mut self, address: usize) {
        self.write_u64(address as u64);
    }

    #[inline]
    fn write_u64(&mut self, id: u64) {
        // The slot index stands in the upper bits and a product carries only upwards; the table looks at both ends.
        let product = (self.0 ^ id.rotate_left(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

/// Which ids have come by, each with a note. Ids mostly come in order, as layers are made in the order of the tree: those that do cost no
/// look-up and no hash.
#[derive(Default)]
pub(crate) struct Seen<N = usize> {
    ordered: Vec<(ParamId, N)>,
    others: IdMap<N>,
}

impl<N: Copy> Seen<N> {
    /// The note of an id that has come by before; else `None`, and it has this `note` from now on.
    #[inline]
    pub(crate) fn insert(&mut self, id: ParamId, note: N) -> Option<N> {
        if self.ordered.last().is_none_or(|(last, _)| *last < id) {
            // One of the others may be greater than all that came in order.
            if self.others.is_empty() || !self.others.contains_key(&id) {
                self.ordered.push((id, note));
                return None;
            }
        }
        self.look_up(id, note)
    }

    fn look_up(&mut self, id: ParamId, note: N) -> Option<N> {
        match self.ordered.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => Some(self.ordered[at].1),
            Err(_) => match self.others.entry(id) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(new) => {
                    new.insert(note);
                    None
                }
            },
        }
    }
}

/// The uses that a walk has come by, in order.
#[derive(Default)]
pub(crate) struct Uses {
    pub(crate) uses: Vec<Use>,
    /// Where in the list the first use of each id is.
    first: Seen,
}

impl Uses {
    /// Adds a use and returns the position of the first one of its id.
    pub(crate) fn push(&mut self, at: At<'_>, param: ParamUse) -> usize {
        let ParamUse {
            id,
            transposed,
            role,
            ..
        } = param;
        let position = self.uses.len();
        let alias_of = self.first.insert(id, position);
        self.uses.push(Use {
            path: at.path.to_owned(),
            id,
            transposed,
            role,
            alias_of,
        });
        alias_of.unwrap_or(position)
    }
}

impl Walker<'_> for Uses {
    fn param(&mut self, at: At<'_>, param: ParamUse) {
        self.push(at, param);
    }
}

/// Every use, in order.
pub(crate) fn all_uses(root: &dyn Module) -> Vec<Use> {
    let mut uses = Uses::default();
    walk(root, &mut uses);
    uses.uses
}

/// Every use of the parameters of a set, in order.
pub(crate) fn uses_of(root: &dyn Module, ids: &Selection) -> Vec<Use> {
    struct Of<'s> {
        ids: &'s Selection,
        uses: Uses,
    }
    impl Walker<'_> for Of<'_> {
        fn param(&mut self, at: At<'_>, param: ParamUse) {
            if self.ids.contains(param.id) {
                self.uses.push(at, param);
            }
        }
    }
    let uses = Uses::default();
    let mut of = Of { ids, uses };
    walk(root, &mut of);
    of.uses.uses
}

/// Every parameter once, under its canonical path.
pub(crate) fn named_parameters(root: &dyn Module) -> Vec<(String, ParamId)> {
    #[derive(Default)]
    struct Named {
        named: Vec<(String, ParamId)>,
        seen: Seen<()>,
    }
    impl Walker<'_> for Named {
        fn param(&mut self, at: At<'_>, param: ParamUse) {
            if self.seen.insert(param.id, ()).is_none() {
                self.named.push((at.path.to_owned(), param.id));
            }
        }
    }
    let mut named = Named::default();
    walk(root, &mut named);
    named.named
}

/// The parameter of this position among those, with its canonical path.
pub(crate) fn nth_parameter(root: &dyn Module, i: usize) -> Option<(String, ParamId)> {
    struct Nth {
        left: usize,
        seen: Seen<()>,
        found: Option<(String, ParamId)>,
    }
    impl Walker<'_> for Nth {
        fn param(&mut self, at: At<'_>, param: ParamUse) {
            if self.found.is_none() && self.seen.insert(param.id, ()).is_none() {
                match self.left.checked_sub(1) {
                    Some(left) => self.left = left,
                    None => self.found = Some((at.path.to_owned(), param.id)),
                }
            }
        }
    }
    let mut nth = Nth {
        left: i,
        seen: Seen::default(),
        found: None,
    };
    walk(root, &mut nth);
    nth.found
}

#[cfg(test)]
mod tests {
    use tiegrad_arena::{Params, Shape};

    use super::*;

    #[test]
    fn ids_are_seen_once_in_whatever_order_they_come() {
        let mut params = Params::<f32>::new();
        let ids: Vec<ParamId> = (0..60)
            .map(|_| params.insert_with(Shape::SCALAR, |_| {}))
            .collect();
        for step in [1, 7, 11, 59] {
            let mut seen = Seen::default();
            let order = |i: usize| ids[i * step % 60];
            for i in 0..60 {
                let first = (0..i).find(|&earlier| order(earlier) == order(i));
                assert_eq!(seen.insert(order(i), i), first, "step {step}, {i}");
            }
            for i in 0..60 {
                let first = (0..60).find(|&earlier| order(earlier) == order(i));
                assert_eq!(seen.insert(order(i), 99), first);
            }
        }
    }
}
