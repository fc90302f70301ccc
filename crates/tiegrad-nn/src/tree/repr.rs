//! A net as PyTorch prints it.

use std::fmt::{self, Write};

use super::module::{Module, Name, ParamUse, Visit, unboxed};

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
    write_module(&mut text, module, 0)?;
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
fn write_module(out: &mut String, module: &dyn Module, indent: usize) -> fmt::Result {
    let module = unboxed(module);
    let extra = Extra(module).to_string();
    let children = children(module);
    write!(out, "{}(", module.kind())?;
    if children.is_empty() && !extra.contains('\n') {
        out.push_str(&extra);
    } else {
        for line in extra.lines() {
            write!(out, "\n{:width$}{line}", "", width = indent + 2)?;
        }
        if module.is_list() {
            write_list(out, &children, indent + 2)?;
        } else {
            for (name, child) in &children {
                write!(out, "\n{:width$}({name}): ", "", width = indent + 2)?;
                write_module(out, *child, indent + 2)?;
            }
        }
        write!(out, "\n{:indent$}", "")?;
    }
    out.push(')');
    Ok(())
}

/// `(0-3): 4 x Block(…)` for neighbours that print the same.
fn write_list(out: &mut String, children: &[(String, &dyn Module)], indent: usize) -> fmt::Result {
    let mut runs: Vec<(&str, &str, usize, String)> = Vec::new();
    for (name, child) in children {
        let mut text = String::new();
        write_module(&mut text, *child, indent)?;
        match runs.last_mut() {
            Some((_, last, count, same)) if *same == text => (*last, *count) = (name, *count + 1),
            _ => runs.push((name, name, 1, text)),
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

fn children(module: &dyn Module) -> Vec<(String, &dyn Module)> {
    struct Children<'a>(Vec<(String, &'a dyn Module)>);
    impl<'a> Visit<'a> for Children<'a> {
        fn param(&mut self, _: Name<'_>, _: ParamUse) {}
        fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
            self.0.push((name.to_string(), module));
        }
    }
    let mut children = Children(Vec::new());
    module.visit(&mut children);
    children.0
}
