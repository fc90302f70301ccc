//! The walk over a whole tree, with paths.

use super::module::{Module, Name, ParamUse, Visit, unboxed};

/// Where in a tree something stands.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{At, ParamUse, Walker};
///
/// struct Seen(Vec<(String, usize)>);
/// impl<'a> Walker<'a> for Seen {
///     fn param(&mut self, at: At<'_>, _: ParamUse) {
///         self.0.push((at.path.to_string(), at.depth));
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut seen = Seen(Vec::new());
/// (ReLU, Linear::new(&mut params, 2, 2, &mut rng)).walk(&mut seen);
/// assert_eq!(seen.0, [("1.weight".to_string(), 2), ("1.bias".to_string(), 2)]);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct At<'p> {
    /// The path from the root: components with dots between; the root's own is empty. Dots and backslashes within a name are
    /// written `\.` and `\\`, so that a path leads to one thing only.
    pub path: &'p str,
    /// The last component, as its owner calls it.
    pub name: Name<'p>,
    /// The number of components: 0 for the root.
    pub depth: usize,
}

/// Who walks a tree, root first, in the order of declaration: see [`ModuleExt::walk`](crate::ModuleExt::walk).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{At, ParamUse, Walker};
///
/// struct Deepest(usize);
/// impl<'a> Walker<'a> for Deepest {
///     fn param(&mut self, at: At<'_>, _: ParamUse) {
///         self.0 = self.0.max(at.depth);
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut deepest = Deepest(0);
/// (Linear::new(&mut params, 2, 2, &mut rng),).walk(&mut deepest);
/// assert_eq!(deepest.0, 2);
/// ```
pub trait Walker<'a> {
    /// A module, before what it holds.
    fn enter(&mut self, at: At<'_>, module: &'a dyn Module) {
        let _ = (at, module);
    }
    /// A module, after what it holds.
    fn leave(&mut self, at: At<'_>, module: &'a dyn Module) {
        let _ = (at, module);
    }
    /// A use of a parameter.
    fn param(&mut self, at: At<'_>, param: ParamUse);
}

/// Walks the tree under `root`. One path buffer serves all.
pub(crate) fn walk<'a, W: Walker<'a>>(root: &'a dyn Module, walker: &mut W) {
    let root = unboxed(root);
    let at = At {
        path: "",
        name: Name::Field(""),
        depth: 0,
    };
    walker.enter(at, root);
    root.visit(&mut Paths {
        path: String::new(),
        depth: 0,
        walker,
    });
    walker.leave(at, root);
}

struct Paths<'w, W> {
    path: String,
    /// Components in `path`.
    depth: usize,
    walker: &'w mut W,
}

impl<W> Paths<'_, W> {
    /// Adds a component and returns what to cut back to.
    fn push(&mut self, name: Name<'_>) -> usize {
        let before = self.path.len();
        if self.depth > 0 {
            self.path.push('.');
        }
        self.depth += 1;
        push_name(&mut self.path, name);
        before
    }

    fn pop(&mut self, before: usize) {
        self.path.truncate(before);
        self.depth -= 1;
    }
}

impl<'a, W: Walker<'a>> Visit<'a> for Paths<'_, W> {
    fn param(&mut self, name: Name<'_>, param: ParamUse) {
        let before = self.push(name);
        self.walker.param(
            At {
                path: &self.path,
                name,
                depth: self.depth,
            },
            param,
        );
        self.pop(before);
    }

    fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
        let module = unboxed(module);
        let before = self.push(name);
        self.walker.enter(
            At {
                path: &self.path,
                name,
                depth: self.depth,
            },
            module,
        );
        module.visit(self);
        self.walker.leave(
            At {
                path: &self.path,
                name,
                depth: self.depth,
            },
            module,
        );
        self.pop(before);
    }
}

/// Writes a name as a component of a path.
pub(crate) fn push_name(path: &mut String, name: Name<'_>) {
    match name {
        Name::Field(name) if !name.bytes().any(|b| b == b'.' || b == b'\\') => path.push_str(name),
        Name::Field(name) => {
            for c in name.chars() {
                if c == '.' || c == '\\' {
                    path.push('\\');
                }
                path.push(c);
            }
        }
        Name::Index(index) => push_number(path, index),
    }
}

/// `write!(path, "{number}")`, which would take most of a walk's time.
fn push_number(path: &mut String, number: usize) {
    if number >= 10 {
        push_number(path, number / 10);
    }
    path.push(char::from(b'0' + (number % 10) as u8));
}

/// The components of a path or pattern, still escaped.
pub(crate) fn components(path: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (i, b) in path.bytes().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'.' => {
                parts.push(&path[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&path[start..]);
    parts
}

/// The component without its escapes.
pub(crate) fn unescaped(component: &str) -> String {
    let mut chars = component.chars();
    let mut name = String::with_capacity(component.len());
    while let Some(c) = chars.next() {
        name.push(if c == '\\' {
            chars.next().unwrap_or(c)
        } else {
            c
        });
    }
    name
}
