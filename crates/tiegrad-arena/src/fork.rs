//! A parameter that begins as a copy of another.

use std::panic::Location;

use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::params::Params;

impl<T: Scalar> Params<T> {
    /// Inserts a copy of a parameter: its value, whether it is trained and who initialized it; no gradient. From here on the two are independent.
    ///
    /// The copy remembers what it was forked from ([`ParamInfo::forked_from`](crate::ParamInfo::forked_from)), so that every optimizer
    /// gives it, at its next step, the state that the original has then and treats it as the group of the original says. This is how a tie
    /// is undone in the middle of a training.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`]; [`ArenaError::Full`] or [`ArenaError::Memory`].
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape, State};
    ///
    /// let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut state = State::new(["momentum_buffer"]);
    /// state.sync(params.values());
    /// state.set_tensor(id, "momentum_buffer", &ndarray::arr1(&[0.5, 0.25]))?;
    /// state.set_step(id, 3)?;
    ///
    /// let copy = params.fork(id)?;
    /// state.sync(params.values());
    /// assert_eq!(params.value(copy)?, params.value(id)?);
    /// assert_eq!(state.tensor(copy, "momentum_buffer")?, ndarray::arr1(&[0.5, 0.25]).into_dyn());
    /// assert_eq!((state.step(copy)?, params.info(copy)?.forked_from), (3, Some(id)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn fork(&mut self, id: ParamId) -> Result<ParamId, ArenaError> {
        let info = *self.info(id)?;
        let value = self.as_slice(id)?.to_vec();
        let declared_at = Location::caller();
        let fork = self.values.insert(info.shape, declared_at, |slice| {
            slice.copy_from_slice(&value);
        })?;
        if let Some(slot) = self.values.slots.get_mut(fork.index()) {
            slot.info.forked_from = Some(id);
            slot.info.requires_grad = info.requires_grad;
        }
        self.copy_mark(id, fork)?;
        Ok(fork)
    }
}
