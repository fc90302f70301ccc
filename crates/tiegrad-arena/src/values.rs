//! The slots and the slab of values: what a forward pass reads.

use std::fmt;
use std::sync::Arc;

use ndarray::{ArrayViewD, ArrayViewMutD};
use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::mark::Initialized;
use crate::places::{self, Hole};
use crate::slot::Slot;

/// The values of all parameters in one slab, and the slots that say which is where: the half of a
/// [`Params`](crate::Params) that forward passes read.
///
/// Every parameter starts on a 64-byte boundary; the padding behind it holds zeros that nothing reads.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f64>::new();
/// let a = params.insert_with(Shape::new(&[3])?, |w| w.copy_from_slice(&[1.0, 2.0, 3.0]));
/// let b = params.insert_with(Shape::new(&[1])?, |w| w[0] = 4.0);
/// let values = params.values();
/// assert_eq!(values.slice(a)?, [1.0, 2.0, 3.0]);
/// assert_eq!((values.slot(b)?.offset, values.slab().len()), (16, 32));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Values<T> {
    pub(crate) slots: Vec<Slot>,
    pub(crate) slab: AlignedBuf<T>,
    /// Freed stretches of the slab, by offset; no two touch.
    pub(crate) holes: Vec<Hole>,
    /// Slots that may be used again.
    pub(crate) free: Vec<usize>,
    /// How many parameters there are.
    pub(crate) live: usize,
    /// How many elements they have together, padding aside.
    pub(crate) elements: usize,
    /// The tag under which this arena inserts: drawn at its first insertion, 0 before.
    pub(crate) tag: u32,
    /// Drawn anew from one counter for the whole process whenever an offset may have changed; 0 before any insertion.
    pub(crate) layout: u64,
}

impl<T: Scalar> Values<T> {
    /// The slot of a parameter: one bounds check and one compare.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.slot(id)?.shape, [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slot(&self, id: ParamId) -> Result<&Slot, ArenaError> {
        match self.slots.get(id.index()) {
            Some(slot) if slot.id == Some(id) => Ok(slot),
            _ => Err(self.not_here(id)),
        }
    }

    /// All slots, by index; a slot whose `id` is `None` is free.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.slots()[id.index()].id, Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// All values. [`Slot::range`] says which belong to a parameter.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.slab().len(), 16);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slab(&self) -> &[T] {
        &self.slab
    }

    /// All values, to be changed: for optimizers.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let (values, _) = params.split_mut();
    /// values.slab_mut()[0] = 7.0;
    /// assert_eq!(params.as_slice(id)?, [7.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slab_mut(&mut self) -> &mut [T] {
        &mut self.slab
    }

    /// The values of one parameter, row-major.
    ///
    /// # Errors
    /// As [`slot`](Self::slot).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.slice(id)?, [1.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slice(&self, id: ParamId) -> Result<&[T], ArenaError> {
        let range = self.slot(id)?.range();
        Ok(&self.slab[range])
    }

    /// The values of one parameter as an array, not copied.
    ///
    /// # Errors
    /// As [`slot`](Self::slot).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.view(id)?.sum(), 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn view(&self, id: ParamId) -> Result<ArrayViewD<'_, T>, ArenaError> {
        let slot = self.slot(id)?;
        places::view(id, &slot.shape, &self.slab[slot.range()])
    }

    /// The number that stands for this layout; see [`Params::layout`](crate::Params::layout).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.layout(), params.layout());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn layout(&self) -> u64 {
        self.layout
    }

    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            slab: AlignedBuf::new(),
            holes: Vec::new(),
            free: Vec::new(),
            live: 0,
            elements: 0,
            tag: 0,
            layout: 0,
        }
    }

    /// The tag under which this arena inserts, if it has inserted anything itself.
    pub(crate) fn tag(&self) -> Option<u32> {
        (self.tag != 0).then_some(self.tag)
    }

    pub(crate) fn slice_mut(&mut self, id: ParamId) -> Result<&mut [T], ArenaError> {
        let range = self.slot(id)?.range();
        Ok(&mut self.slab[range])
    }

    pub(crate) fn view_mut(&mut self, id: ParamId) -> Result<ArrayViewMutD<'_, T>, ArenaError> {
        let slot = self.slot(id)?;
        let (shape, range) = (slot.shape, slot.range());
        places::view_mut(id, &shape, &mut self.slab[range])
    }

    pub(crate) fn set_requires_grad(
        &mut self,
        id: ParamId,
        requires_grad: bool,
    ) -> Result<(), ArenaError> {
        self.slot(id)?;
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.info.requires_grad = requires_grad;
        }
        Ok(())
    }

    pub(crate) fn mark(
        &mut self,
        id: ParamId,
        mark: Option<Arc<Initialized>>,
    ) -> Result<(), ArenaError> {
        self.slot(id)?;
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.initialized = mark;
        }
        Ok(())
    }

    /// The same parameters in another scalar type, at the same offsets and under the same ids.
    pub(crate) fn cast<U: Scalar>(&self) -> Values<U> {
        let mut slab = AlignedBuf::zeroed(self.slab.len());
        for (to, &from) in slab.iter_mut().zip(self.slab.iter()) {
            *to = U::from_f64(from.to_f64());
        }
        self.with_slab(slab)
    }

    /// A copy with other contents; it draws its own tag when it inserts, so that what two copies insert is foreign to each other.
    fn with_slab<U>(&self, slab: AlignedBuf<U>) -> Values<U> {
        Values {
            slots: self.slots.clone(),
            slab,
            holes: self.holes.clone(),
            free: self.free.clone(),
            live: self.live,
            elements: self.elements,
            tag: 0,
            layout: self.layout,
        }
    }
}

impl<T: Scalar> Clone for Values<T> {
    fn clone(&self) -> Self {
        self.with_slab(self.slab.clone())
    }

    fn clone_from(&mut self, source: &Self) {
        let mut slab = std::mem::take(&mut self.slab);
        slab.clone_from(&source.slab);
        *self = source.with_slab(slab);
    }
}

impl<T: Scalar> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values")
            .field("dtype", &T::DTYPE.name())
            .field("len", &self.live)
            .field("num_elements", &self.elements)
            .finish_non_exhaustive()
    }
}
