//! A set of parameters.

use crate::id::ParamId;

/// A set of parameter ids: what to train, to clip, to put into an optimizer's group.
///
/// ```
/// use tiegrad_arena::{Params, Selection, Shape};
///
/// let mut params = Params::<f32>::new();
/// let ids: Vec<_> = (1..4).map(|n| params.insert_with(Shape::new(&[n]).unwrap(), |_| {})).collect();
/// let head = Selection::from_ids([ids[2], ids[1], ids[2]]);
/// assert_eq!(head.len(), 2);
/// assert!(head.contains(ids[1]) && !head.contains(ids[0]));
/// let rest = Selection::from_ids(params.ids()).difference(&head);
/// assert_eq!(rest.iter().collect::<Vec<_>>(), [ids[0]]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Ordered, each once.
    ids: Vec<ParamId>,
}

impl Selection {
    /// The set of these ids.
    pub fn from_ids(ids: impl IntoIterator<Item = ParamId>) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }

    /// Whether the id is in the set; O(log n).
    #[inline]
    pub fn contains(&self, id: ParamId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// The ids, in order of their slots.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ParamId> + Clone + '_ {
        self.ids.iter().copied()
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What is in one of the two, or in both.
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ids(self.iter().chain(other.iter()))
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            ids: self.iter().filter(|&id| other.contains(id)).collect(),
        }
    }

    /// What is in this one and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            ids: self.iter().filter(|&id| !other.contains(id)).collect(),
        }
    }
}

impl FromIterator<ParamId> for Selection {
    fn from_iter<I: IntoIterator<Item = ParamId>>(ids: I) -> Self {
        Self::from_ids(ids)
    }
}

impl Extend<ParamId> for Selection {
    fn extend<I: IntoIterator<Item = ParamId>>(&mut self, ids: I) {
        let mine = std::mem::take(&mut self.ids);
        *self = Self::from_ids(mine.into_iter().chain(ids));
    }
}
