//! What an id that is not here once was.

use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::slot::{ParamInfo, Slot};
use crate::values::Values;

/// The removed tenants of a slot: of each arena tag that inserted here, the last one.
///
/// A copy of an arena goes on with a tag of its own, so a slot's generations were given under one tag after the other, and the
/// last of each suffices to tell an id that was here from one that another copy gave. Empty for a slot's first tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past(Vec<ParamInfo>);

impl Past {
    /// Remembers a removed tenant that gets a successor.
    pub(crate) fn bury(&mut self, info: ParamInfo) {
        match self.0.last_mut() {
            Some(last) if last.id.arena() == info.id.arena() => *last = info,
            _ => self.0.push(info),
        }
    }
}

impl Slot {
    /// Whether `id`, which is not in this slot now, was; and what it was, where that is known still.
    fn was(&self, id: ParamId) -> Option<Option<ParamInfo>> {
        let mut oldest = 1;
        for last in self.past.0.iter().chain([&self.info]) {
            let given = oldest..=last.id.generation();
            if last.id.arena() == id.arena() && given.contains(&id.generation()) {
                return Some((last.id == id).then_some(*last));
            }
            oldest = last.id.generation() + 1;
        }
        None
    }
}

impl<T: Scalar> Values<T> {
    /// The error for an id that no slot answers to.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_here(&self, id: ParamId) -> ArenaError {
        if id.is_dead() {
            return ArenaError::Dead;
        }
        let slot = self.slots.get(id.index());
        let now = slot
            .filter(|slot| slot.id.is_some())
            .map(|slot| Box::new(slot.info));
        match slot.and_then(|slot| slot.was(id)) {
            Some(held) => ArenaError::Stale {
                id,
                held: held.map(Box::new),
                now,
            },
            None => ArenaError::Foreign {
                id,
                arena: self.tag(),
                now,
            },
        }
    }
}
