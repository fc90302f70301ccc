//! Which parameter is treated by which settings.

use tiegrad_arena::{ArenaError, Slot, Values};
use tiegrad_kernels::scalar::Scalar;

use crate::error::OptimError;
use crate::group::Group;

/// Stands where a slot is not to be updated.
const FROZEN: usize = usize::MAX;

/// The index of the settings of each slot. It is made anew when the arena's layout changes, so that a step looks no id up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    layout: Option<u64>,
    /// By slot: which settings it has.
    of_slot: Vec<usize>,
    /// The same, `FROZEN` where a slot is frozen at the moment (which changes no layout).
    now: Vec<usize>,
}

/// Where the settings of a group stand: each group has them twice, the second time for parameters that a weight decay on
/// matrices only exempts. Group 0 is the optimizer itself.
pub(crate) const fn settings_index(group: usize, exempt: bool) -> usize {
    2 * group + exempt as usize
}

impl Plan {
    /// To be made anew at the next step, as the groups have changed.
    pub(crate) fn forget(&mut self) {
        self.layout = None;
    }

    /// Follows the arena's layout: one compare when it has not changed.
    ///
    /// # Errors
    /// [`OptimError::InTwoGroups`], [`OptimError::Group`]; the plan is then made anew at the next step.
    #[inline]
    pub(crate) fn follow<T: Scalar>(
        &mut self,
        values: &Values<T>,
        groups: &[Group],
        matrices_only: bool,
    ) -> Result<(), OptimError> {
        if self.layout == Some(values.layout()) {
            return Ok(());
        }
        self.make(values, groups, matrices_only)
    }

    #[cold]
    fn make<T: Scalar>(
        &mut self,
        values: &Values<T>,
        groups: &[Group],
        matrices_only: bool,
    ) -> Result<(), OptimError> {
        self.layout = None;
        let exempt = |slot: &Slot| matrices_only && slot.shape.rank() < 2;
        let slots = values.slots().iter();
        self.of_slot.clear();
        self.of_slot
            .extend(slots.map(|slot| settings_index(0, exempt(slot))));
        for (number, group) in groups.iter().enumerate() {
            for id in group.ids.iter() {
                let slot = match values.slot(id) {
                    Ok(slot) => slot,
                    // It was removed from the arena, and with that from its group.
                    Err(ArenaError::Stale { .. }) => continue,
                    Err(source) => {
                        let group = group.name(number);
                        return Err(OptimError::Group { group, source });
                    }
                };
                let Some(index) = self.of_slot.get_mut(id.index()) else {
                    continue;
                };
                if let Some(other) = (*index / 2).checked_sub(1) {
                    let path = |group: &Group| group.ids.path(id).map(Box::from);
                    let first = groups.get(other);
                    return Err(OptimError::InTwoGroups {
                        id,
                        first: first.map_or_else(Box::default, |g| g.name(other)),
                        first_path: first.and_then(path),
                        second: group.name(number),
                        second_path: path(group),
                    });
                }
                *index = settings_index(number + 1, exempt(slot));
            }
        }
        self.adopt_forks(values, groups, exempt);
        self.now.clone_from(&self.of_slot);
        self.layout = Some(values.layout());
        Ok(())
    }

    /// A parameter that began as a copy of another, and that no group names, is treated as the group of that one says: untying changes
    /// no training.
    fn adopt_forks<T: Scalar>(
        &mut self,
        values: &Values<T>,
        groups: &[Group],
        exempt: impl Fn(&Slot) -> bool,
    ) {
        for (index, slot) in self.of_slot.iter_mut().zip(values.slots()) {
            let mut origin = slot.forked_from.filter(|_| *index / 2 == 0);
            while let Some(id) = origin {
                if let Some(number) = groups.iter().position(|group| group.ids.contains(id)) {
                    *index = settings_index(number + 1, exempt(slot));
                    break;
                }
                origin = values.slot(id).ok().and_then(|slot| slot.forked_from);
            }
        }
    }

    /// Looks which slots are frozen.
    #[inline]
    pub(crate) fn look(&mut self, slots: &[Slot]) {
        for ((now, &of), slot) in self.now.iter_mut().zip(&self.of_slot).zip(slots) {
            *now = if slot.requires_grad { of } else { FROZEN };
        }
    }

    /// The settings of a slot, or `None` for one that is not to be updated.
    #[inline]
    pub(crate) fn settings(&self, slot: usize) -> Option<usize> {
        self.now.get(slot).copied().filter(|&index| index != FROZEN)
    }
}
