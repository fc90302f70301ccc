//! Independent copies.

use tiegrad_arena::{ArenaError, ParamId, Params};
use tiegrad_kernels::Scalar;

use super::module::{Module, Name, VisitMut};
use super::uses::{IdMap, named_parameters};

/// Points every id of a clone of a module at a new parameter with the same value; equal ids become equal ids.
#[track_caller]
pub(crate) fn duplicate<M: Module, T: Scalar>(
    mut clone: M,
    params: &mut Params<T>,
) -> Result<M, ArenaError> {
    let mut new = IdMap::default();
    // Not in a closure: the caller's line is to be where the copies are declared.
    for (_, id) in named_parameters(&clone) {
        let requires_grad = params.requires_grad(id)?;
        let value = params.value(id)?.into_owned();
        let copy = params.insert(&value)?;
        params.set_requires_grad(copy, requires_grad)?;
        params.copy_mark(id, copy)?;
        new.insert(id, copy);
    }
    clone.visit_mut(&mut Repoint { new: &new });
    Ok(clone)
}

struct Repoint<'n> {
    new: &'n IdMap<ParamId>,
}

impl VisitMut for Repoint<'_> {
    fn param(&mut self, _: Name<'_>, id: &mut ParamId) {
        if let Some(&new) = self.new.get(id) {
            *id = new;
        }
    }

    fn module(&mut self, _: Name<'_>, module: &mut dyn Module) {
        module.visit_mut(self);
    }
}
