//! The names of parameters, as a network's traversal lists them.

use std::collections::{HashMap, HashSet};

use tiegrad_arena::ParamId;

use crate::error::Error;

/// A parameter under one of its paths. A list of these, in the order of the network's traversal, is what a checkpoint
/// takes its names from: the first path of an id is canonical, the others are aliases.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::Entry;
///
/// let mut params = Params::<f32>::new();
/// let code = params.insert_with(Shape::new(&[3, 6])?, |_| {});
/// let names = [Entry::new("encoder.weight", code), Entry::transposed("decoder.weight", code)];
/// assert!(!names[0].transposed && names[1].transposed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The dotted path: `blocks.0.attn.weight`.
    pub path: String,
    /// The parameter.
    pub id: ParamId,
    /// Whether what stands at this path is the parameter with its last two axes swapped (a tied decoder).
    pub transposed: bool,
}

impl Entry {
    /// A path that shows the parameter as it is.
    ///
    /// ```
    /// use tiegrad_checkpoint::Entry;
    /// # let mut params = tiegrad_arena::Params::<f32>::new();
    /// # let id = params.insert_with(tiegrad_arena::Shape::SCALAR, |_| {});
    /// let entry = Entry::new("h.0.attn.weight", id);
    /// assert_eq!(entry, Entry::from(("h.0.attn.weight", id)));
    /// ```
    pub fn new(path: impl Into<String>, id: ParamId) -> Self {
        Self {
            path: path.into(),
            id,
            transposed: false,
        }
    }

    /// A path that shows the parameter transposed.
    ///
    /// ```
    /// use tiegrad_checkpoint::Entry;
    /// # let mut params = tiegrad_arena::Params::<f32>::new();
    /// # let id = params.insert_with(tiegrad_arena::Shape::SCALAR, |_| {});
    /// let entry = Entry::transposed("decoder.weight", id);
    /// assert!(entry.transposed);
    /// assert_ne!(entry, Entry::new("decoder.weight", id));
    /// ```
    pub fn transposed(path: impl Into<String>, id: ParamId) -> Self {
        Self {
            transposed: true,
            ..Self::new(path, id)
        }
    }
}

impl<P: Into<String>> From<(P, ParamId)> for Entry {
    fn from((path, id): (P, ParamId)) -> Self {
        Self::new(path, id)
    }
}

/// A parameter with all of its paths, the canonical one first.
pub(crate) struct Group<'a> {
    pub(crate) id: ParamId,
    pub(crate) canonical: &'a Entry,
    pub(crate) aliases: Vec<&'a Entry>,
}

impl<'a> Group<'a> {
    /// All paths, the canonical one first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'a Entry> + Clone + '_ {
        std::iter::once(self.canonical).chain(self.aliases.iter().copied())
    }
}

/// The list by parameter, in traversal order.
pub(crate) fn group(names: &[Entry]) -> Result<Vec<Group<'_>>, Error> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut index = HashMap::new();
    let mut seen = HashSet::with_capacity(names.len());
    for entry in names {
        if !seen.insert(&*entry.path) {
            return Err(Error::DuplicateName {
                name: entry.path.clone(),
            });
        }
        match index.get(&entry.id) {
            Some(&at) => {
                let group: &mut Group<'_> = &mut groups[at];
                group.aliases.push(entry);
            }
            None => {
                index.insert(entry.id, groups.len());
                groups.push(Group {
                    id: entry.id,
                    canonical: entry,
                    aliases: Vec::new(),
                });
            }
        }
    }
    Ok(groups)
}
