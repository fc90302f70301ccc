//! Where things lie in a slab, and how another slab follows when that changes.

use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};
use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::shape::Shape;
use crate::values::Values;

/// Offsets are multiples of this many elements: 64 bytes of `f32`, and a multiple of 64 bytes of every other scalar, so that
/// offsets are the same in all of them.
const LANES: usize = 16;

/// `len` with its padding.
#[inline]
pub(crate) fn padded(len: usize) -> usize {
    len.next_multiple_of(LANES)
}

/// A freed stretch of a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// Takes the first `len` elements of a hole.
pub(crate) fn take(holes: &mut Vec<Hole>, index: usize, len: usize) {
    let hole = &mut holes[index];
    hole.offset += len;
    hole.len -= len;
    if hole.len == 0 {
        holes.remove(index);
    }
}

/// Adds a hole, joined with its neighbours.
pub(crate) fn give_back(holes: &mut Vec<Hole>, hole: Hole) {
    if hole.len == 0 {
        return;
    }
    let next = holes.partition_point(|other| other.offset < hole.offset);
    let joins_next = holes
        .get(next)
        .is_some_and(|other| hole.offset + hole.len == other.offset);
    let previous = next
        .checked_sub(1)
        .filter(|&p| holes[p].offset + holes[p].len == hole.offset);
    match (previous, joins_next) {
        (Some(previous), true) => holes[previous].len += hole.len + holes.remove(next).len,
        (Some(previous), false) => holes[previous].len += hole.len,
        (None, true) => {
            holes[next] = Hole {
                offset: hole.offset,
                len: hole.len + holes[next].len,
            }
        }
        (None, false) => holes.insert(next, hole),
    }
}

/// One slot's part of a slab that runs parallel to the values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) id: Option<ParamId>,
    pub(crate) offset: usize,
    pub(crate) shape: Shape,
    /// What it began as a copy of.
    pub(crate) origin: Option<ParamId>,
}

impl Place {
    #[inline]
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.shape.len()
    }
}

/// The layout that parallel slabs (gradients, optimizer state) have: a copy of the arena's at the time, so that they are
/// sound by themselves and can follow the arena by id when it has changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    pub(crate) layout: u64,
    pub(crate) slots: Vec<Place>,
    pub(crate) len: usize,
}

impl Places {
    pub(crate) fn of<T: Scalar>(values: &Values<T>) -> Self {
        let slots = values.slots().iter().map(|slot| Place {
            id: slot.id,
            offset: slot.offset,
            shape: slot.shape,
            origin: slot.forked_from,
        });
        Self {
            layout: values.layout(),
            slots: slots.collect(),
            len: values.slab().len(),
        }
    }

    /// The place of a parameter.
    #[inline]
    pub(crate) fn get(&self, id: ParamId) -> Option<&Place> {
        self.slots
            .get(id.index())
            .filter(|place| place.id == Some(id))
    }

    /// Whether slot `index` holds the same parameter in both.
    pub(crate) fn keeps(&self, index: usize, new: &Self) -> bool {
        let id = |places: &Self| places.slots.get(index).and_then(|place| place.id);
        id(self).is_some() && id(self) == id(new)
    }

    /// The parameters of `new` that are not here and began as a copy of one that is: the indices of that one here and of the copy there.
    pub(crate) fn forks(&self, new: &Self) -> Vec<(usize, usize)> {
        let places = new.slots.iter().enumerate();
        let forks = places.filter_map(|(index, place)| {
            let is_new = place.id.is_some() && !self.keeps(index, new);
            let mut origin = place.origin.filter(|_| is_new)?;
            // A copy of a copy may come before anyone has looked at the first; no id is older than its origin.
            while self.get(origin).is_none() {
                origin = new.get(origin)?.origin?;
            }
            Some((origin.index(), index))
        });
        forks.collect()
    }

    /// Brings a slab from this layout into `new`: what both hold is kept, `forks` begin as copies, everything else becomes zero.
    pub(crate) fn carry<T: Scalar>(
        &self,
        slab: &mut AlignedBuf<T>,
        new: &Self,
        forks: &[(usize, usize)],
    ) {
        let kept = || {
            self.slots
                .iter()
                .zip(&new.slots)
                .enumerate()
                .filter(|(index, _)| self.keeps(*index, new))
        };
        if forks.is_empty() && kept().all(|(_, (old, new))| old.offset == new.offset) {
            // Nothing moved: clear what was dropped. What is new lies there or behind the old end.
            for (index, old) in self.slots.iter().enumerate() {
                if old.id.is_some() && !self.keeps(index, new) {
                    slab[old.range()].fill(T::ZERO);
                }
            }
            slab.resize_zeroed(new.len);
            return;
        }
        let mut moved = AlignedBuf::zeroed(new.len);
        for (_, (old, new)) in kept() {
            moved[new.range()].copy_from_slice(&slab[old.range()]);
        }
        for &(from, to) in forks {
            if let (Some(old), Some(new)) = (self.slots.get(from), new.slots.get(to)) {
                moved[new.range()].copy_from_slice(&slab[old.range()]);
            }
        }
        *slab = moved;
    }
}

/// A parameter's part of a slab as an array.
pub(crate) fn view<'a, T>(
    id: ParamId,
    shape: &Shape,
    part: &'a [T],
) -> Result<ArrayViewD<'a, T>, ArenaError> {
    ArrayViewD::from_shape(IxDyn(shape.dims()), part)
        .map_err(|_| mismatch(id, shape, &[part.len()]))
}

/// As [`view`], to be written.
pub(crate) fn view_mut<'a, T>(
    id: ParamId,
    shape: &Shape,
    part: &'a mut [T],
) -> Result<ArrayViewMutD<'a, T>, ArenaError> {
    let len = part.len();
    ArrayViewMutD::from_shape(IxDyn(shape.dims()), part).map_err(|_| mismatch(id, shape, &[len]))
}

#[cold]
pub(crate) fn mismatch(id: ParamId, expected: &Shape, found: &[usize]) -> ArenaError {
    ArenaError::Shape {
        id,
        expected: Box::new(*expected),
        found: found.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_join_their_neighbours() {
        let hole = |offset, len| Hole { offset, len };
        let mut holes = Vec::new();
        for freed in [hole(32, 16), hole(96, 16), hole(0, 16), hole(64, 0)] {
            give_back(&mut holes, freed);
        }
        assert_eq!(holes, [hole(0, 16), hole(32, 16), hole(96, 16)]);
        give_back(&mut holes, hole(16, 16));
        assert_eq!(holes, [hole(0, 48), hole(96, 16)]);
        give_back(&mut holes, hole(48, 16));
        give_back(&mut holes, hole(80, 16));
        assert_eq!(holes, [hole(0, 64), hole(80, 32)]);
        take(&mut holes, 1, 16);
        assert_eq!(holes, [hole(0, 64), hole(96, 16)]);
        take(&mut holes, 0, 64);
        assert_eq!(holes, [hole(96, 16)]);
    }
}
