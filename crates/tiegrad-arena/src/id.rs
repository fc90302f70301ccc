//! The name of a parameter: slot index, generation and arena tag in 8 bytes.

use std::fmt;
use std::num::NonZeroU64;

const GENERATION_BITS: u32 = 12;
const TAG_BITS: u32 = 28;

/// The id of a parameter in a [`Params`](crate::Params): what layers hold, and what makes a tie (two equal ids).
///
/// It holds a slot index (24 bits), the slot's generation (12) and the tag of the arena that inserted it (28), in 8 bytes
/// that are never 0, so that `Option<ParamId>` takes 8 bytes too. Ids order by slot index first.
///
/// ```
/// use tiegrad_arena::{ParamId, Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::SCALAR, |_| {});
/// assert_eq!(id.index(), 0);
/// assert_eq!(id.to_string(), format!("#0v1@{}", id.arena()));
/// assert_eq!(size_of::<Option<ParamId>>(), 8);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(NonZeroU64);

impl ParamId {
    /// The id that no arena answers to: what an insertion into a full arena returns.
    ///
    /// ```
    /// use tiegrad_arena::{ArenaError, ParamId, Params};
    ///
    /// assert_eq!(Params::<f32>::new().value(ParamId::DEAD), Err(ArenaError::Dead));
    /// ```
    pub const DEAD: Self = Self(NonZeroU64::MAX);

    /// Indices below this one have a slot; the last index of the 24 bits belongs to [`DEAD`](Self::DEAD).
    pub(crate) const MAX_SLOTS: usize = (1 << (64 - GENERATION_BITS - TAG_BITS)) - 1;
    /// A slot that reached this generation is not used again.
    pub(crate) const MAX_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
    /// Tags go from 1 to this one.
    pub(crate) const MAX_TAG: u32 = (1 << TAG_BITS) - 2;

    /// The id of these parts, or `DEAD` where one does not fit (which the arena rules out before).
    pub(crate) fn from_parts(index: usize, generation: u32, tag: u32) -> Self {
        let fits = index < Self::MAX_SLOTS
            && (1..=Self::MAX_GENERATION).contains(&generation)
            && (1..=Self::MAX_TAG).contains(&tag);
        let raw = ((index as u64) << (GENERATION_BITS + TAG_BITS))
            | (u64::from(generation) << TAG_BITS)
            | u64::from(tag);
        NonZeroU64::new(raw)
            .filter(|_| fits)
            .map_or(Self::DEAD, Self)
    }

    /// The slot this id points at: an index into [`Values::slots`](crate::Values::slots).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(id.index(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn index(self) -> usize {
        (self.0.get() >> (GENERATION_BITS + TAG_BITS)) as usize
    }

    /// Which tenant of the slot this is, counted from 1.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.remove(id)?;
    /// let next = params.insert_with(Shape::SCALAR, |_| {});
    /// assert_eq!((id.generation(), next.generation()), (1, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn generation(self) -> u32 {
        (self.0.get() >> TAG_BITS) as u32 & Self::MAX_GENERATION
    }

    /// The tag of the arena that inserted this parameter. Copies of an arena answer to its ids too.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let copy = params.clone();
    /// assert_eq!(copy.ids().next().map(|copied| copied.arena()), Some(id.arena()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn arena(self) -> u32 {
        self.0.get() as u32 & ((1 << TAG_BITS) - 1)
    }

    /// Whether this is [`DEAD`](Self::DEAD).
    ///
    /// ```
    /// use tiegrad_arena::ParamId;
    ///
    /// assert!(ParamId::DEAD.is_dead());
    /// ```
    #[inline]
    pub fn is_dead(self) -> bool {
        self == Self::DEAD
    }
}

impl fmt::Display for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_dead() {
            return f.write_str("#dead");
        }
        write!(
            f,
            "#{}v{}@{}",
            self.index(),
            self.generation(),
            self.arena()
        )
    }
}

impl fmt::Debug for ParamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        for index in [0, 1, 77, ParamId::MAX_SLOTS - 1] {
            for generation in [1, 2, ParamId::MAX_GENERATION] {
                for tag in [1, 99, ParamId::MAX_TAG] {
                    let id = ParamId::from_parts(index, generation, tag);
                    assert_eq!(
                        (id.index(), id.generation(), id.arena()),
                        (index, generation, tag)
                    );
                    assert!(!id.is_dead());
                }
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_dead() {
        for (index, generation, tag) in [
            (ParamId::MAX_SLOTS, 1, 1),
            (0, 0, 1),
            (0, ParamId::MAX_GENERATION + 1, 1),
            (0, 1, 0),
            (0, 1, ParamId::MAX_TAG + 1),
        ] {
            assert!(ParamId::from_parts(index, generation, tag).is_dead());
        }
    }

    #[test]
    fn ids_print_short_and_order_by_slot() {
        assert_eq!(
            format!("{0} {0:?} {1}", ParamId::from_parts(3, 1, 7), ParamId::DEAD),
            "#3v1@7 #3v1@7 #dead"
        );
        assert!(ParamId::from_parts(3, 9, 9) < ParamId::from_parts(4, 1, 1));
    }
}
