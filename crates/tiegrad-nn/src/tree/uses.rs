//! Who uses which parameter: the names, with ties.

use std::collections::HashMap;
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
    fn write_u64(&mut self, id: u64) {
        // The slot index stands in the upper bits and a product carries only upwards; the table looks at both ends.
        let product = (self.0 ^ id.rotate_left(24)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }
}

/// The uses that a walk has come by, in order.
#[derive(Default)]
pub(crate) struct Uses {
    pub(crate) uses: Vec<Use>,
    /// Where in the list the first use of each id is.
    first: IdMap<usize>,
}

impl Uses {
    /// Adds a use and returns the position of the first one of its id.
    pub(crate) fn push(&mut self, at: At<'_>, param: ParamUse) -> usize {
        let ParamUse {
            id,
            transposed,
            role,
            field: _,
        } = param;
        let position = self.uses.len();
        let first = *self.first.entry(id).or_insert(position);
        self.uses.push(Use {
            path: at.path.to_owned(),
            id,
            transposed,
            role,
            alias_of: (first != position).then_some(first),
        });
        first
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
        seen: IdMap<()>,
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
        seen: IdMap<()>,
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
        seen: IdMap::default(),
        found: None,
    };
    walk(root, &mut nth);
    nth.found
}
