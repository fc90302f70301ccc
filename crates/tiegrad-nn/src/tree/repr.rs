//! A net as PyTorch prints it.

use std::fmt::{self, Write};

use super::module::Module;
use super::outline::{Node, Outline};

/// Prints a module in PyTorch's layout: what `#[derive(Module)]` puts into `Display`.
///
/// ```
/// use std::fmt;
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module)]
/// # #[module(crate = "tiegrad_nn")]
/// #[module(no_display)]
/// struct Loud(ReLU);
///
/// impl fmt::Display for Loud {
///     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
///         tiegrad_nn::fmt_module(self, f)?;
///         f.write_str("!")
///     }
/// }
/// assert_eq!(Loud(ReLU).to_string(), "Loud(\n  (0): ReLU()\n)!");
/// ```
///
/// # Errors
/// Those of the formatter.
pub fn fmt_module(module: &dyn Module, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = String::new();
    let outline = Outline::new(module);
    if let Some(root) = outline.nodes.first() {
        write_module(&mut text, &outline, root, 0)?;
    }
    f.write_str(&text)
}

/// What [`ModuleExt::repr`](crate::ModuleExt::repr) returns: displays a module in PyTorch's layout.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// let net = (ReLU, Tanh);
/// assert!(net.repr().to_string().ends_with("(0): ReLU()\n  (1): Tanh()\n)"));
/// ```
#[derive(Clone, Copy)]
pub struct Repr<'a>(pub(crate) &'a dyn Module);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_module(self.0, f)
    }
}

impl fmt::Debug for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `torch.nn.Module.__repr__`, and that of `ModuleList` where the module is a list.
fn write_module(
    out: &mut String,
    outline: &Outline<'_>,
    node: &Node<'_>,
    indent: usize,
) -> fmt::Result {
    let extra = Extra(node.module).to_string();
    write!(out, "{}(", node.module.kind())?;
    if node.children.is_empty() && !extra.contains('\n') {
        out.push_str(&extra);
    } else {
        for line in extra.lines() {
            write!(out, "\n{:width$}{line}", "", width = indent + 2)?;
        }
        let children = node.children.iter().map(|&child| &outline.nodes[child]);
        if node.module.is_list() {
            write_list(out, outline, children, indent + 2)?;
        } else {
            for child in children {
                write!(out, "\n{:width$}({}): ", "", child.name, width = indent + 2)?;
                write_module(out, outline, child, indent + 2)?;
            }
        }
        write!(out, "\n{:indent$}", "")?;
    }
    out.push(')');
    Ok(())
}

/// `(0-3): 4 x Block(…)` for neighbours that print the same.
fn write_list<'o>(
    out: &mut String,
    outline: &Outline<'_>,
    children: impl Iterator<Item = &'o Node<'o>>,
    indent: usize,
) -> fmt::Result {
    let mut runs: Vec<(&str, &str, usize, String)> = Vec::new();
    for child in children {
        let mut text = String::new();
        write_module(&mut text, outline, child, indent)?;
        match runs.last_mut() {
            Some((_, last, count, same)) if *same == text => {
                (*last, *count) = (&child.name, *count + 1)
            }
            _ => runs.push((&child.name, &child.name, 1, text)),
        }
    }
    for (first, last, count, text) in runs {
        write!(out, "\n{:indent$}", "")?;
        match count {
            1 => write!(out, "({first}): {text}")?,
            _ => write!(out, "({first}-{last}): {count} x {text}")?,
        }
    }
    Ok(())
}

struct Extra<'a>(&'a dyn Module);

impl fmt::Display for Extra<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.extra_repr(f)
    }
}
