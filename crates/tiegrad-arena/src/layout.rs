//! How parameters come, go and move: everything that changes where things lie.

use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::places::{self, Hole};
use crate::shape::Shape;
use crate::slot::{ParamInfo, Slot};
use crate::stale::Past;
use crate::values::Values;

impl<T: Scalar> Values<T> {
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
            forked_from: None,
            removed_at: None,
        };
        match self.slots.get_mut(index) {
            Some(slot) => {
                slot.past.bury(slot.info);
                (slot.id, slot.offset, slot.info) = (Some(id), offset, info);
                slot.initialized = None;
                self.free.pop();
            }
            None => self.slots.push(Slot {
                id: Some(id),
                offset,
                info,
                past: Past::default(),
                initialized: None,
            }),
        }
        self.live += 1;
        self.elements += shape.len();
        self.layout = draw_layout();
        Ok(id)
    }

    /// Frees a slot and its stretch of the slab.
    pub(crate) fn remove(
        &mut self,
        id: ParamId,
        removed_at: &'static Location<'static>,
    ) -> Result<(), ArenaError> {
        let slot = self.slot(id)?;
        let (offset, len) = (slot.offset, slot.shape.len());
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.id = None;
            slot.info.removed_at = Some(removed_at);
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
