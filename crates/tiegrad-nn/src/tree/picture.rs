//! The picture of a tree: modules on the left, their parameters on the right.

use std::fmt;

use tiegrad_arena::Params;
use tiegrad_kernels::Scalar;

use super::module::{Module, Name, ParamUse, Visit, unboxed};
use super::summary::{Tie, Totals, ties};
use super::text::{PyTuple, thousands};
use super::uses::{IdMap, all_uses};
use super::walk::push_name;

/// Columns between the longest module and the parameters.
const GAP: usize = 6;

/// What [`ModuleExt::tree`](crate::ModuleExt::tree) returns: the picture of a tree, with shapes, ties and counts.
///
/// ```text
/// net  (Sequential)
/// ├─ 0: Linear      ├─ weight  (8, 4)
/// │                 └─ bias    (8,)
/// ├─ 1: ReLU         (no params)
/// └─ 2: Linear      ├─ weight  (1, 8)
///                   └─ bias    (1,)
///
/// 49 parameters
/// ```
///
/// A parameter that an earlier path leads to is shown as `↔ path`, a transposed use with a `ᵀ` behind the parameter's shape.
#[derive(Clone, Debug)]
pub struct Picture {
    rows: Vec<Row>,
    ties: Vec<Tie>,
    totals: Totals,
}

#[derive(Clone, Debug)]
struct Row {
    left: String,
    /// With the column it starts after the gap.
    right: Option<(usize, String)>,
}

impl Picture {
    pub(crate) fn new<T: Scalar>(root: &dyn Module, params: &Params<T>) -> Self {
        let uses = all_uses(root);
        let canonical = uses
            .iter()
            .filter(|each| each.alias_of.is_none())
            .map(|each| (each.id, &*each.path))
            .collect();
        let mut painter = Painter {
            params,
            canonical,
            path: String::new(),
            rows: Vec::new(),
        };
        let root = unboxed(root);
        painter.module(format!("net  ({})", root.kind()), "", root);
        Self {
            rows: painter.rows,
            ties: ties(&uses),
            totals: Totals::new(&uses, params),
        }
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_right = self.rows.iter().filter(|row| row.right.is_some());
        let column = with_right
            .map(|row| row.left.chars().count())
            .max()
            .unwrap_or(0)
            + GAP;
        for Row { left, right } in &self.rows {
            match right {
                None => writeln!(f, "{}", left.trim_end())?,
                Some((shift, right)) => {
                    let fill = column + shift - left.chars().count();
                    writeln!(f, "{left}{:fill$}{right}", "")?;
                }
            }
        }
        writeln!(f)?;
        for tie in &self.ties {
            writeln!(f, "{tie}")?;
        }
        let Totals {
            duplicates_included,
            unique,
            frozen,
            missing,
            ..
        } = self.totals;
        write!(f, "{} parameters", thousands(unique))?;
        if duplicates_included != unique {
            write!(
                f,
                " ({} with every use of the tied ones counted)",
                thousands(duplicates_included)
            )?;
        }
        if frozen > 0 {
            write!(f, ", {} of them frozen", thousands(frozen))?;
        }
        if missing > 0 {
            write!(
                f,
                "; {} not in this arena",
                if missing == 1 {
                    "1 is".into()
                } else {
                    format!("{missing} are")
                }
            )?;
        }
        Ok(())
    }
}

struct Painter<'p, T: Scalar> {
    params: &'p Params<T>,
    canonical: IdMap<&'p str>,
    /// Of the module being painted, with a dot behind it (none for the root).
    path: String,
    rows: Vec<Row>,
}

/// What a module holds directly.
#[derive(Default)]
struct Inside<'a> {
    params: Vec<(String, ParamUse)>,
    modules: Vec<(String, &'a dyn Module)>,
}

impl<'a> Visit<'a> for Inside<'a> {
    fn param(&mut self, name: Name<'_>, param: ParamUse) {
        self.params.push((component(name), param));
    }
    fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
        self.modules.push((component(name), unboxed(module)));
    }
}

fn component(name: Name<'_>) -> String {
    let mut text = String::new();
    push_name(&mut text, name);
    text
}

impl<T: Scalar> Painter<'_, T> {
    fn module(&mut self, head: String, prefix: &str, module: &dyn Module) {
        let mut inside = Inside::default();
        module.visit(&mut inside);
        let Inside { params, modules } = inside;

        if params.is_empty() {
            // A node without parameters is said to have none; one that holds modules shows them instead.
            let right = modules.is_empty().then(|| (1, "(no params)".to_owned()));
            self.rows.push(Row { left: head, right });
        } else {
            let width = params
                .iter()
                .map(|(name, _)| name.chars().count())
                .max()
                .unwrap_or(0);
            let below = if modules.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}│")
            };
            let mut left = head;
            for (i, (name, param)) in params.iter().enumerate() {
                let branch = if i + 1 == params.len() {
                    "└─"
                } else {
                    "├─"
                };
                let right = format!("{branch} {name:width$}  {}", self.param(name, *param));
                self.rows.push(Row {
                    left: std::mem::replace(&mut left, below.clone()),
                    right: Some((0, right)),
                });
            }
        }
        for (i, (name, child)) in modules.iter().enumerate() {
            let (branch, stem) = if i + 1 == modules.len() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let before = self.path.len();
            self.path.push_str(name);
            self.path.push('.');
            self.module(
                format!("{prefix}{branch}{name}: {}", child.kind()),
                &format!("{prefix}{stem}"),
                *child,
            );
            self.path.truncate(before);
        }
    }

    fn param(&self, name: &str, param: ParamUse) -> String {
        let ParamUse { id, transposed, .. } = param;
        let mut text = match self.params.info(id) {
            Ok(info) => PyTuple(&info.shape).to_string(),
            Err(_) => format!("{id}, not in this arena"),
        };
        if transposed {
            text.push('ᵀ');
        }
        let own = |path: &&&str| path.strip_prefix(&*self.path) != Some(name);
        if let Some(path) = self.canonical.get(&id).filter(own) {
            text.push_str(" ↔ ");
            text.push_str(path);
        } else if self.params.requires_grad(id) == Ok(false) {
            text.push_str("  frozen");
        }
        text
    }
}
