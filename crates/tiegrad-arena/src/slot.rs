//! A slot, and what is known about the parameter in it.

use std::ops::{Deref, Range};
use std::panic::Location;
use std::sync::Arc;

use crate::id::ParamId;
use crate::mark::Initialized;
use crate::shape::Shape;
use crate::stale::Past;

/// What an arena knows about a parameter.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let line = line!() + 1;
/// let id = params.insert_with(Shape::new(&[3])?, |_| {});
/// let info = params.info(id)?;
/// assert_eq!((info.id, info.requires_grad), (id, true));
/// assert_eq!(info.shape, [3]);
/// assert_eq!(info.declared_at.line(), line);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamInfo {
    /// Its id.
    pub id: ParamId,
    /// Its shape.
    pub shape: Shape,
    /// Whether training should change it: whether a recording tape wants its gradient.
    pub requires_grad: bool,
    /// The line that inserted it (as far up as `#[track_caller]` reaches).
    pub declared_at: &'static Location<'static>,
    /// The parameter that it began as a copy of, by [`Params::fork`](crate::Params::fork).
    pub forked_from: Option<ParamId>,
    /// The line that removed it, of one that was.
    pub removed_at: Option<&'static Location<'static>>,
}

/// A slot of an arena. It dereferences to the [`ParamInfo`] of the parameter in it, or, where `id` is `None`, of the
/// one that was removed last.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2, 2])?, |w| w.fill(1.0));
/// let slot = params.values().slot(id)?;
/// assert_eq!(slot.id, Some(id));
/// assert_eq!(slot.shape, [2, 2]);
/// assert_eq!(params.values().slab()[slot.range()], [1.0; 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Slot {
    /// The id that the slot answers to.
    pub id: Option<ParamId>,
    /// Where its values (and gradients, and optimizer state) start in their slab, in elements: a multiple of 16.
    pub offset: usize,
    pub(crate) info: ParamInfo,
    pub(crate) past: Past,
    /// Shared by the copies of an arena.
    pub(crate) initialized: Option<Arc<Initialized>>,
}

impl Slot {
    /// The parameter in it, or the one that was removed last.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.remove(id)?;
    /// let slot = &params.values().slots()[id.index()];
    /// assert_eq!((slot.id, slot.info().id), (None, id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn info(&self) -> &ParamInfo {
        &self.info
    }

    /// Its elements within the slab. Means nothing for a slot whose `id` is `None`.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let values = params.values();
    /// assert_eq!(values.slot(id)?.range(), 0..2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.info.shape.len()
    }
}

impl Deref for Slot {
    type Target = ParamInfo;
    #[inline]
    fn deref(&self) -> &ParamInfo {
        &self.info
    }
}
