//! The mark of a parameter that somebody has initialized on purpose.

use std::panic::Location;
use std::sync::Arc;

use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::params::Params;

/// Who gave a parameter its first values: what [`Params::initialized`] returns.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
/// params.mark_initialized(id, "head.weight", "constant(0.5)")?;
/// let line = line!() - 1;
/// let copy = params.clone();
/// let mark = copy.initialized(id)?.unwrap();
/// assert_eq!((mark.path.as_str(), mark.by.as_str()), ("head.weight", "constant(0.5)"));
/// assert_eq!(mark.at.line(), line);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Initialized {
    /// The path under which the parameter was found then, in the tree that was initialized then; empty where there was no tree.
    pub path: String,
    /// The initializer, with its settings.
    pub by: String,
    /// The line that did it (as far up as `#[track_caller]` reaches).
    pub at: &'static Location<'static>,
}

impl<T: Scalar> Params<T> {
    /// Notes that a parameter has been initialized on purpose: by which initializer, and under which path. Values stay as they are.
    ///
    /// Copies of the arena have the mark too, the next parameter in the same slot has not. A second mark takes the place of the first.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.mark_initialized(id, "0.weight", "ones")?;
    /// params.remove(id)?;
    /// let next = params.insert_with(Shape::new(&[2])?, |_| {});
    /// assert_eq!(next.index(), id.index());
    /// assert_eq!(params.initialized(next)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn mark_initialized(
        &mut self,
        id: ParamId,
        path: &str,
        by: &str,
    ) -> Result<(), ArenaError> {
        let mark = Initialized {
            path: path.to_owned(),
            by: by.to_owned(),
            at: Location::caller(),
        };
        self.values.mark(id, Some(Arc::new(mark)))
    }

    /// Who has initialized a parameter on purpose: `None` if it still has what its constructor gave it by default.
    ///
    /// # Errors
    /// As [`mark_initialized`](Self::mark_initialized).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.initialized(id)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initialized(&self, id: ParamId) -> Result<Option<&Initialized>, ArenaError> {
        Ok(self.values.slot(id)?.initialized.as_deref())
    }

    /// Gives one parameter the mark of another, or none if that has none: for who copies a parameter.
    ///
    /// # Errors
    /// As [`mark_initialized`](Self::mark_initialized).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.mark_initialized(id, "0.weight", "ones")?;
    /// let copy = params.insert(&params.value(id)?.into_owned())?;
    /// params.copy_mark(id, copy)?;
    /// assert_eq!(params.initialized(copy)?, params.initialized(id)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn copy_mark(&mut self, from: ParamId, to: ParamId) -> Result<(), ArenaError> {
        let mark = self.values.slot(from)?.initialized.clone();
        self.values.mark(to, mark)
    }
}
