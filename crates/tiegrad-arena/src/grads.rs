//! Gradients: a slab parallel to the values, and marks that say which of them a backward pass has reached.

use std::fmt;

use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::places::{Place, Places};
use crate::runs::Runs;
use crate::values::Values;

/// The gradients of an arena's parameters, at the same offsets as the values.
///
/// A slot is *touched* when a gradient has reached it since the last [`zero_grad`](Self::zero_grad). The first
/// contribution overwrites what is in the slab, later ones accumulate, and nothing but the marks is ever cleared. The one
/// who contributes does so: [`touch`](Self::touch) tells which it is.
///
/// [`Params`](crate::Params) owns one; workers that share the values have one each and are brought together with
/// [`reduce`](Self::reduce).
///
/// ```
/// use tiegrad_arena::{Grads, Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |_| {});
/// let values = params.values();
/// let mut worker = Grads::new(values);
/// let slot = values.slot(id)?;
/// for contribution in [[1.0, 2.0], [10.0, 20.0]] {
///     let accumulate = worker.touch(id.index());
///     for (grad, c) in worker.slab_mut()[slot.range()].iter_mut().zip(contribution) {
///         *grad = if accumulate { *grad + c } else { c };
///     }
/// }
/// assert_eq!(worker.slice(id), Some(&[11.0, 22.0][..]));
/// worker.zero_grad();
/// assert_eq!(worker.slice(id), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Grads<T> {
    pub(crate) slab: AlignedBuf<T>,
    /// A slot is touched where its mark is the epoch; 0 never is.
    marks: Vec<u32>,
    epoch: u32,
    pub(crate) places: Places,
}

impl<T: Scalar> Grads<T> {
    /// Gradients for these values, none touched.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let grads = Grads::new(params.values());
    /// assert_eq!((grads.slab().len(), grads.slice(id)), (16, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(values: &Values<T>) -> Self {
        let mut grads = Self::default();
        grads.prepare(values);
        grads
    }

    /// Lays the gradients out as the values are now: one compare when they are already. What was touched and still
    /// exists is kept. A first call allocates the slab.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::default();
    /// grads.prepare(params.values());
    /// assert!(grads.is_prepared(params.values()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn prepare(&mut self, values: &Values<T>) {
        if self.places.layout != values.layout() {
            self.follow(Places::of(values));
        }
    }

    /// Whether the gradients are laid out as `values` are.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let grads = Grads::new(params.values());
    /// params.insert_with(Shape::SCALAR, |_| {});
    /// assert!(!grads.is_prepared(params.values()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_prepared(&self, values: &Values<T>) -> bool {
        self.places.layout == values.layout()
    }

    /// All gradients; those of untouched slots mean nothing.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(Grads::new(params.values()).slab().len(), params.values().slab().len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slab(&self) -> &[T] {
        &self.slab
    }

    /// All gradients, to be written. Write within the ranges of slots: the padding between them stays zero.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::new(params.values());
    /// grads.touch(id.index());
    /// grads.slab_mut()[..2].fill(3.0);
    /// assert_eq!(grads.slice(id), Some(&[3.0, 3.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slab_mut(&mut self) -> &mut [T] {
        &mut self.slab
    }

    /// Whether a gradient has reached slot `index` since the last `zero_grad`.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::new(params.values());
    /// assert!(!grads.is_touched(0));
    /// grads.touch(0);
    /// assert!(grads.is_touched(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn is_touched(&self, index: usize) -> bool {
        self.marks.get(index) == Some(&self.epoch)
    }

    /// Marks slot `index` as touched and returns whether it was before: accumulate if so, overwrite if not. An index that
    /// has no slot here is not marked.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::new(params.values());
    /// assert!(!grads.touch(id.index())); // overwrite
    /// assert!(grads.touch(id.index())); // accumulate
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn touch(&mut self, index: usize) -> bool {
        match self.marks.get_mut(index) {
            Some(mark) => std::mem::replace(mark, self.epoch) == self.epoch,
            None => false,
        }
    }

    /// The gradient of a parameter, row-major: `None` until one has reached it.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(Grads::new(params.values()).slice(id), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slice(&self, id: ParamId) -> Option<&[T]> {
        self.touched_place(id)
            .map(|place| &self.slab[place.range()])
    }

    /// As [`slice`](Self::slice), to be changed (clipping, tests).
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::new(params.values());
    /// grads.touch(id.index());
    /// if let Some(grad) = grads.slice_mut(id) {
    ///     grad.fill(1.0);
    /// }
    /// assert_eq!(grads.slab()[..3], [1.0, 1.0, 0.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slice_mut(&mut self, id: ParamId) -> Option<&mut [T]> {
        let range = self.touched_place(id)?.range();
        Some(&mut self.slab[range])
    }

    /// Makes all gradients `None`: one addition, whatever their size. No gradient byte is touched.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let mut grads = Grads::new(params.values());
    /// grads.touch(id.index());
    /// grads.zero_grad();
    /// assert!(!grads.is_touched(id.index()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn zero_grad(&mut self) {
        match self.epoch.checked_add(1) {
            Some(epoch) => self.epoch = epoch,
            None => {
                // Once in 4 billion steps: a mark from the epochs before must not look fresh.
                self.marks.fill(0);
                self.epoch = 1;
            }
        }
    }

    /// The stretches of the slabs that hold the touched parameters that `keep` wants, each as long as can be: what
    /// optimizers, norms and clipping go through. Slots come in order of their index. Allocates nothing; a network whose
    /// parameters were all touched is one run.
    ///
    /// The runs borrow the gradients only, so that the values may change meanwhile. `keep` may be asked twice about an id.
    ///
    /// # Errors
    /// [`ArenaError::OutOfStep`] when `values` are laid out otherwise than these gradients (see [`prepare`](Self::prepare))
    /// and some gradient is touched.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    ///
    /// let mut params = Params::<f32>::new();
    /// for len in [3, 20, 1] {
    ///     params.insert_with(Shape::new(&[len])?, |w| w.fill(1.0));
    /// }
    /// let (values, grads) = params.split_mut();
    /// grads.prepare(values);
    /// for slot in values.slots() {
    ///     grads.touch(slot.id.unwrap().index());
    ///     grads.slab_mut()[slot.range()].fill(0.5);
    /// }
    /// for run in grads.runs(values, |_| true)? {
    ///     assert_eq!((run.range.clone(), run.slots), (0..64, 0..3));
    ///     for (w, g) in values.slab_mut()[run.range.clone()].iter_mut().zip(&grads.slab()[run.range]) {
    ///         *w -= 0.1 * g;
    ///     }
    /// }
    /// assert_eq!(values.slab()[0], 0.95);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn runs<F: FnMut(ParamId) -> bool>(
        &self,
        values: &Values<T>,
        keep: F,
    ) -> Result<Runs<'_, F>, ArenaError> {
        if self.places.layout != values.layout() && self.any_touched() {
            return Err(ArenaError::OutOfStep {
                call: "`Grads::prepare`",
            });
        }
        Ok(Runs::new(&self.places.slots, &self.marks, self.epoch, keep))
    }

    /// Whether a first `prepare` has been.
    pub(crate) fn is_laid_out(&self) -> bool {
        self.places.layout != 0
    }

    fn touched_place(&self, id: ParamId) -> Option<&Place> {
        self.places.get(id).filter(|_| self.is_touched(id.index()))
    }

    fn any_touched(&self) -> bool {
        self.touched().next().is_some()
    }

    /// The touched slots: index, id, place.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (usize, ParamId, &Place)> {
        let slots = self.places.slots.iter().enumerate();
        slots
            .filter(|&(index, _)| self.is_touched(index))
            .filter_map(|(index, place)| Some((index, place.id?, place)))
    }

    #[cold]
    pub(crate) fn follow(&mut self, new: Places) {
        self.places.carry(&mut self.slab, &new, &[]);
        self.marks.resize(new.slots.len(), 0);
        for (index, mark) in self.marks.iter_mut().enumerate() {
            if !self.places.keeps(index, &new) {
                *mark = 0;
            }
        }
        self.places = new;
    }
}

impl<T: Scalar> Clone for Grads<T> {
    fn clone(&self) -> Self {
        Self {
            slab: self.slab.clone(),
            marks: self.marks.clone(),
            epoch: self.epoch,
            places: self.places.clone(),
        }
    }
}

impl<T: Scalar> fmt::Debug for Grads<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let touched: Vec<_> = self.touched().map(|(_, id, _)| id).collect();
        f.debug_struct("Grads")
            .field("dtype", &T::DTYPE.name())
            .field("touched", &touched)
            .finish_non_exhaustive()
    }
}

/// No gradients, and no memory for any yet.
impl<T: Scalar> Default for Grads<T> {
    fn default() -> Self {
        Self {
            slab: AlignedBuf::new(),
            marks: Vec::new(),
            epoch: 1,
            places: Places::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Params, Shape};

    #[test]
    fn the_epoch_wraps_and_no_old_mark_looks_fresh() {
        let mut params = Params::<f32>::new();
        params.insert_with(Shape::SCALAR, |_| {});
        params.insert_with(Shape::SCALAR, |_| {});
        let mut grads = Grads::new(params.values());
        grads.touch(0); // under epoch 1, the one that comes again
        grads.epoch = u32::MAX;
        grads.touch(1);
        assert!(!grads.is_touched(0) && grads.is_touched(1));
        grads.zero_grad();
        assert_eq!(grads.epoch, 1);
        assert!(!grads.is_touched(0) && !grads.is_touched(1));
        assert!(!grads.touch(0) && grads.touch(0));
    }
}
