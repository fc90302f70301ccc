//! The slots and the slab of values.

use std::fmt;
use std::ops::{Deref, Range};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ndarray::{ArrayViewD, ArrayViewMutD};
use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::places::{self, Hole};
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
}

impl Slot {
    /// The parameter in it, or the one that was removed last.
    #[inline]
    pub fn info(&self) -> &ParamInfo {
        &self.info
    }

    /// Its elements within the slab. Means nothing for a slot whose `id` is `None`.
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
    free: Vec<usize>,
    live: usize,
    elements: usize,
    /// The tag under which this arena inserts: drawn at its first insertion, 0 before.
    tag: u32,
    /// Drawn anew from one counter for the whole process whenever an offset may have changed; 0 before any insertion.
    layout: u64,
}

impl<T: Scalar> Values<T> {
    /// The slot of a parameter: one bounds check and one compare.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`].
    #[inline]
    pub fn slot(&self, id: ParamId) -> Result<&Slot, ArenaError> {
        match self.slots.get(id.index()) {
            Some(slot) if slot.id == Some(id) => Ok(slot),
            _ => Err(self.not_here(id)),
        }
    }

    /// All slots, by index; a slot whose `id` is `None` is free.
    #[inline]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// All values. [`Slot::range`] says which belong to a parameter.
    #[inline]
    pub fn slab(&self) -> &[T] {
        &self.slab
    }

    /// All values, to be changed: for optimizers.
    #[inline]
    pub fn slab_mut(&mut self) -> &mut [T] {
        &mut self.slab
    }

    /// The values of one parameter, row-major.
    ///
    /// # Errors
    /// As [`slot`](Self::slot).
    #[inline]
    pub fn slice(&self, id: ParamId) -> Result<&[T], ArenaError> {
        let range = self.slot(id)?.range();
        Ok(&self.slab[range])
    }

    /// The values of one parameter as an array, not copied.
    ///
    /// # Errors
    /// As [`slot`](Self::slot).
    pub fn view(&self, id: ParamId) -> Result<ArrayViewD<'_, T>, ArenaError> {
        let slot = self.slot(id)?;
        places::view(id, &slot.shape, &self.slab[slot.range()])
    }

    /// The number that stands for this layout; see [`Params::layout`](crate::Params::layout).
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

    /// How many parameters there are.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// How many elements they have together, padding aside.
    pub(crate) fn elements(&self) -> usize {
        self.elements
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

    /// Puts a parameter in the first hole that fits, or at the end. Nothing is registered before `fill` has returned, so
    /// that one that panics leaves an arena in order.
    pub(crate) fn insert(
        &mut self,
        shape: Shape,
        declared_at: &'static Location<'static>,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<ParamId, ArenaError> {
        let index = self.free.last().copied().unwrap_or(self.slots.len());
        if index >= ParamId::MAX_SLOTS {
            return Err(ArenaError::Full {
                slots: ParamId::MAX_SLOTS,
            });
        }
        if self.tag == 0 {
            self.tag = draw_tag()?;
        }

        let span = places::padded(shape.len());
        let hole = self
            .holes
            .iter()
            .position(|hole| span != 0 && hole.len >= span);
        let offset = match hole {
            Some(hole) => {
                let offset = self.holes[hole].offset;
                self.slab[offset..offset + span].fill(T::ZERO);
                offset
            }
            None => {
                let offset = self.slab.len();
                self.slab
                    .try_resize_zeroed(offset + span)
                    .map_err(|source| ArenaError::Memory {
                        shape: Box::new(shape),
                        source,
                    })?;
                offset
            }
        };
        fill(&mut self.slab[offset..offset + shape.len()]);

        if let Some(hole) = hole {
            places::take(&mut self.holes, hole, span);
        }
        let generation = self
            .slots
            .get(index)
            .map_or(0, |slot| slot.info.id.generation())
            + 1;
        let id = ParamId::from_parts(index, generation, self.tag);
        let info = ParamInfo {
            id,
            shape,
            requires_grad: true,
            declared_at,
        };
        match self.slots.get_mut(index) {
            Some(slot) => {
                slot.past.bury(slot.info);
                (slot.id, slot.offset, slot.info) = (Some(id), offset, info);
                self.free.pop();
            }
            None => self.slots.push(Slot {
                id: Some(id),
                offset,
                info,
                past: Past::default(),
            }),
        }
        self.live += 1;
        self.elements += shape.len();
        self.layout = draw_layout();
        Ok(id)
    }

    /// Frees a slot and its stretch of the slab.
    pub(crate) fn remove(&mut self, id: ParamId) -> Result<(), ArenaError> {
        let slot = self.slot(id)?;
        let (offset, len) = (slot.offset, slot.shape.len());
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.id = None;
        }
        places::give_back(
            &mut self.holes,
            Hole {
                offset,
                len: places::padded(len),
            },
        );
        // A slot whose generation would wrap is retired: an old id can never mean something new.
        if id.generation() < ParamId::MAX_GENERATION {
            self.free.push(id.index());
        }
        self.live -= 1;
        self.elements -= len;
        self.layout = draw_layout();
        Ok(())
    }

    /// Lays the parameters out anew, in slot order and without holes.
    pub(crate) fn compact(&mut self) {
        let total: usize = self
            .slots
            .iter()
            .filter(|slot| slot.id.is_some())
            .map(|slot| places::padded(slot.shape.len()))
            .sum();
        let mut slab = AlignedBuf::zeroed(total);
        let mut offset = 0;
        for slot in self.slots.iter_mut().filter(|slot| slot.id.is_some()) {
            let from = slot.range();
            slab[offset..offset + from.len()].copy_from_slice(&self.slab[from]);
            slot.offset = offset;
            offset += places::padded(slot.info.shape.len());
        }
        self.slab = slab;
        self.holes.clear();
        self.layout = draw_layout();
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

/// The next arena's tag.
fn draw_tag() -> Result<u32, ArenaError> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let drawn = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, tag_after);
    drawn
        .ok()
        .and_then(tag_after)
        .ok_or(ArenaError::TooManyArenas)
}

/// `None` when all 28 bits have been used: tags do not come again.
fn tag_after(last: u32) -> Option<u32> {
    (last < ParamId::MAX_TAG).then_some(last + 1)
}

/// A number no layout has had yet.
fn draw_layout() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_without_slots_is_full() {
        let mut values = Values::<f32>::new();
        // 16 million insertions would show the same.
        values.free.push(ParamId::MAX_SLOTS);
        let error = values
            .insert(Shape::SCALAR, Location::caller(), |_| {})
            .unwrap_err();
        assert_eq!(
            error,
            ArenaError::Full {
                slots: ParamId::MAX_SLOTS
            }
        );
        assert_eq!(
            error.to_string(),
            "the arena is full: all of its 16777215 slots have been used"
        );
        assert_eq!(values.slab.len(), 0);
    }

    #[test]
    fn tags_end_and_do_not_wrap() {
        assert_eq!(tag_after(0), Some(1));
        assert_eq!(tag_after(ParamId::MAX_TAG - 1), Some(ParamId::MAX_TAG));
        assert_eq!(tag_after(ParamId::MAX_TAG), None);
        assert!(!ParamId::from_parts(0, 1, ParamId::MAX_TAG).is_dead());
    }
}
