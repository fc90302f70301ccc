//! The tree as a list of its modules with what each holds: for prints, which need to know what comes next.

use super::module::{Module, ParamUse};
use super::walk::{At, Walker, walk};

/// All modules, the root first, in the order of the tree.
pub(crate) struct Outline<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
}

pub(crate) struct Node<'a> {
    pub(crate) path: String,
    /// As its owner calls it; in paths it may be written with escapes.
    pub(crate) name: String,
    pub(crate) module: &'a dyn Module,
    /// The parameters that it holds itself, with their paths.
    pub(crate) params: Vec<(String, ParamUse)>,
    /// The modules that it holds itself, as positions in the list: behind its own.
    pub(crate) children: Vec<usize>,
}

impl<'a> Outline<'a> {
    pub(crate) fn new(root: &'a dyn Module) -> Self {
        let mut writer = Writer {
            nodes: Vec::new(),
            open: Vec::new(),
        };
        walk(root, &mut writer);
        Self {
            nodes: writer.nodes,
        }
    }
}

impl Node<'_> {
    /// The last component of a path under this module, as paths write it.
    pub(crate) fn component<'p>(&self, path: &'p str) -> &'p str {
        let below = path.strip_prefix(&*self.path).unwrap_or(path);
        match self.path.is_empty() {
            true => below,
            false => below.strip_prefix('.').unwrap_or(below),
        }
    }
}

struct Writer<'a> {
    nodes: Vec<Node<'a>>,
    /// The modules around the current place.
    open: Vec<usize>,
}

impl<'a> Writer<'a> {
    fn around(&mut self) -> Option<&mut Node<'a>> {
        let index = self.open.last()?;
        self.nodes.get_mut(*index)
    }
}

impl<'a> Walker<'a> for Writer<'a> {
    fn enter(&mut self, at: At<'_>, module: &'a dyn Module) {
        let index = self.nodes.len();
        if let Some(around) = self.around() {
            around.children.push(index);
        }
        self.open.push(index);
        self.nodes.push(Node {
            path: at.path.to_owned(),
            name: at.name.to_string(),
            module,
            params: Vec::new(),
            children: Vec::new(),
        });
    }

    fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
        self.open.pop();
    }

    fn param(&mut self, at: At<'_>, param: ParamUse) {
        let path = at.path.to_owned();
        if let Some(around) = self.around() {
            around.params.push((path, param));
        }
    }
}
