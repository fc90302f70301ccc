//! A set of parameters.

use std::fmt;

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
///
/// A set that a net has selected remembers the path by which each id was chosen, so that errors can name it. Paths take no part in comparisons.
#[derive(Clone, Default)]
pub struct Selection {
    /// Ordered by id, each once.
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    id: ParamId,
    path: Option<Box<str>>,
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
        let entries = ids.into_iter().map(|id| Entry { id, path: None });
        Self::new(entries.collect())
    }

    /// The set of these ids, each with the path that leads to it. Of an id that comes twice the first path is kept.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let encoder = Selection::from_named([("encoder.weight", a), ("encoder.bias", b)]);
    /// assert_eq!(encoder.path(a), Some("encoder.weight"));
    /// assert_eq!(encoder, Selection::from_ids([a, b]));
    /// ```
    pub fn from_named<N: Into<Box<str>>>(named: impl IntoIterator<Item = (N, ParamId)>) -> Self {
        let entries = named.into_iter().map(|(path, id)| Entry {
            id,
            path: Some(path.into()),
        });
        Self::new(entries.collect())
    }

    fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by_key(|entry| entry.id); // stable
        entries.dedup_by(|next, first| {
            let same = next.id == first.id;
            if same && first.path.is_none() {
                first.path = next.path.take();
            }
            same
        });
        Self { entries }
    }

    /// The path by which an id was chosen, if the set has it and knows.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b, c] = [1.0, 2.0, 3.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let both = Selection::from_ids([a, b]).union(&Selection::from_named([("head.bias", b)]));
    /// assert_eq!([a, b, c].map(|id| both.path(id)), [None, Some("head.bias"), None]);
    /// ```
    pub fn path(&self, id: ParamId) -> Option<&str> {
        self.entry(id)?.path.as_deref()
    }

    fn entry(&self, id: ParamId) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&id, |entry| entry.id);
        at.ok().and_then(|at| self.entries.get(at))
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
        self.entry(id).is_some()
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
        self.entries.iter().map(|entry| entry.id)
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
        self.entries.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(tiegrad_arena::Selection::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
        Self::new(self.entries.iter().chain(&other.entries).cloned().collect())
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
        self.filtered(|id| other.contains(id))
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
        self.filtered(|id| !other.contains(id))
    }

    fn filtered(&self, keep: impl Fn(ParamId) -> bool) -> Self {
        let entries = self.entries.iter().filter(|entry| keep(entry.id));
        Self {
            entries: entries.cloned().collect(),
        }
    }
}

impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Selection {}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for entry in &self.entries {
            match &entry.path {
                None => set.entry(&entry.id),
                Some(path) => set.entry(&format_args!("{} ({path})", entry.id)),
            };
        }
        set.finish()
    }
}

impl FromIterator<ParamId> for Selection {
    fn from_iter<I: IntoIterator<Item = ParamId>>(ids: I) -> Self {
        Self::from_ids(ids)
    }
}

impl Extend<ParamId> for Selection {
    fn extend<I: IntoIterator<Item = ParamId>>(&mut self, ids: I) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.extend(ids.into_iter().map(|id| Entry { id, path: None }));
        *self = Self::new(entries);
    }
}
