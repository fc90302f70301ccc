//! Bringing the gradients of several workers together.

use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::grads::Grads;
use crate::places::Place;

impl<T: Scalar> Grads<T> {
    /// Adds the gradients of `others` to these, slot by slot and in the given order, so that the sum is the same bits on every
    /// run. Only touched slots count; the first contribution to one that is untouched here overwrites.
    ///
    /// Gradients that were never laid out take the layout of the first of the others.
    ///
    /// # Errors
    /// [`ArenaError::OutOfStep`] when one of the others has touched a parameter that these do not know; nothing has
    /// changed then.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// let mut workers = [Grads::new(values), Grads::new(values)];
    /// for (worker, x) in workers.iter_mut().zip([1.0, 2.0]) {
    ///     worker.touch(id.index());
    ///     worker.slab_mut()[values.slot(id)?.range()].fill(x);
    /// }
    /// let mut sum = Grads::default();
    /// sum.reduce(&workers)?;
    /// assert_eq!(sum.slice(id), Some(&[3.0, 3.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce(&mut self, others: &[Self]) -> Result<(), ArenaError> {
        if self.places.layout == 0
            && let Some(first) = others.iter().find(|other| other.places.layout != 0)
        {
            self.follow(first.places.clone());
        }
        for other in others
            .iter()
            .filter(|other| other.places.layout != self.places.layout)
        {
            if other
                .touched()
                .any(|(_, id, _)| self.places.get(id).is_none())
            {
                return Err(ArenaError::OutOfStep {
                    call: "`Grads::prepare`",
                });
            }
        }
        for other in others {
            for (index, id, theirs) in other.touched() {
                let Some(range) = self.places.get(id).map(Place::range) else {
                    continue;
                };
                let accumulate = self.touch(index);
                let (mine, theirs) = (&mut self.slab[range], &other.slab[theirs.range()]);
                if accumulate {
                    for (mine, &theirs) in mine.iter_mut().zip(theirs) {
                        *mine += theirs;
                    }
                } else {
                    mine.copy_from_slice(theirs);
                }
            }
        }
        Ok(())
    }
}
