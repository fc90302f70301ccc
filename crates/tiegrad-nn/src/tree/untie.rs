//! Undoing a tie.

use tiegrad_arena::{ParamId, Params};
use tiegrad_kernels::Scalar;

use super::error::NameError;
use super::find::{find, strip};
use super::module::{Module, Name, VisitMut};
use super::uses::all_uses;

/// A new parameter for the use at `path`, a copy of the one it has now. The use has to be pointed at it: see [`Repoint`].
#[track_caller]
pub(crate) fn fork_use<T: Scalar>(
    root: &dyn Module,
    params: &mut Params<T>,
    path: &str,
) -> Result<ParamId, NameError> {
    let id = find(root, path)?;
    let path = || path.to_owned();
    let uses = all_uses(root);
    if uses.iter().filter(|each| each.id == id).nth(1).is_none() {
        return Err(NameError::OnlyUse { path: path() });
    }
    // Not in a closure: the caller's line is to be where the copy is declared.
    match params.fork(id) {
        Ok(fork) => Ok(fork),
        Err(source) => Err(NameError::Arena {
            path: path(),
            source,
        }),
    }
}

/// Gives the use at a path another id: the visit to change what [`find`] finds. It goes only where the path leads.
pub(crate) struct Repoint<'p> {
    /// What is left of the path.
    pub(crate) rest: &'p str,
    pub(crate) id: ParamId,
}

impl VisitMut for Repoint<'_> {
    fn param(&mut self, name: Name<'_>, id: &mut ParamId) {
        if strip(self.rest, name) == Some("") {
            *id = self.id;
        }
    }

    fn module(&mut self, name: Name<'_>, module: &mut dyn Module) {
        let below = strip(self.rest, name).and_then(|after| after.strip_prefix('.'));
        if let Some(rest) = below {
            let before = std::mem::replace(&mut self.rest, rest);
            module.visit_mut(self);
            self.rest = before;
        }
    }
}
