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
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// assert_eq!(Selection::from_ids([a, b, a]).len(), 2);
    /// ```
    pub fn from_ids(ids: impl IntoIterator<Item = ParamId>) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids }
    }

    /// Whether the id is in the set; O(log n).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let some = Selection::from_ids([a, b]);
    /// assert!(some.contains(a) && !some.contains(c));
    /// ```
    #[inline]
    pub fn contains(&self, id: ParamId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// The ids, in order of their slots.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// assert!(Selection::from_ids([b, a]).iter().eq([a, b]));
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ParamId> + Clone + '_ {
        self.ids.iter().copied()
    }

    /// How many ids there are.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// assert_eq!(Selection::from_ids([a, b, c]).len(), 3);
    /// ```
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(tiegrad_arena::Selection::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What is in one of the two, or in both.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let (some, more) = (Selection::from_ids([a]), Selection::from_ids([a, c]));
    /// assert!(some.union(&more).iter().eq([a, c]));
    /// ```
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ids(self.iter().chain(other.iter()))
    }

    /// What is in both.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let (some, more) = (Selection::from_ids([a, b]), Selection::from_ids([b, c]));
    /// assert!(some.intersection(&more).iter().eq([b]));
    /// ```
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            ids: self.iter().filter(|&id| other.contains(id)).collect(),
        }
    }

    /// What is in this one and not in the other.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let (some, more) = (Selection::from_ids([a, b]), Selection::from_ids([b, c]));
    /// assert!(some.difference(&more).iter().eq([a]));
    /// ```
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
