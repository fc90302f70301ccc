//! The picture of a tree: modules on the left, their parameters on the right.

use std::fmt;

use tiegrad_arena::{Params, Selection};
use tiegrad_kernels::Scalar;

use super::module::{Module, ParamUse};
use super::outline::{Node, Outline};
use super::summary::{Tie, Totals, ties};
use super::text::{PyTuple, thousands};
use super::uses::{IdMap, all_uses, uses_of};

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
    /// The picture of everything, or of the parameters that are kept and the modules around them.
    pub(crate) fn new<T: Scalar>(
        root: &dyn Module,
        params: &Params<T>,
        kept: Option<&Selection>,
    ) -> Self {
        let outline = Outline::new(root);
        let uses = match kept {
            None => all_uses(root),
            Some(kept) => uses_of(root, kept),
        };
        let canonical = uses
            .iter()
            .filter(|each| each.alias_of.is_none())
            .map(|each| (each.id, &*each.path))
            .collect();
        let mut painter = Painter {
            params,
            canonical,
            shown: shown(&outline, kept),
            outline: &outline,
            rows: Vec::new(),
        };
        if let Some(root) = outline.nodes.first() {
            painter.module(format!("net  ({})", root.module.kind()), "", root);
        }
        Self {
            rows: painter.rows,
            ties: ties(&uses),
            totals: Totals::new(&uses, params),
        }
    }
}

/// Which modules hold a parameter that is kept, at any depth; all, where everything is kept.
fn shown(outline: &Outline<'_>, kept: Option<&Selection>) -> Vec<bool> {
    let Some(kept) = kept else {
        return vec![true; outline.nodes.len()];
    };
    let mut shown = vec![false; outline.nodes.len()];
    // Children stand behind their parents.
    for (i, node) in outline.nodes.iter().enumerate().rev() {
        let own = node.params.iter().any(|(_, param)| kept.contains(param.id));
        shown[i] = own || node.children.iter().any(|&child| shown[child]);
    }
    shown
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
    /// The first path of each parameter that is kept.
    canonical: IdMap<&'p str>,
    outline: &'p Outline<'p>,
    shown: Vec<bool>,
    rows: Vec<Row>,
}

impl<T: Scalar> Painter<'_, T> {
    fn module(&mut self, head: String, prefix: &str, node: &Node<'_>) {
        let held = node.params.iter();
        let params: Vec<_> = held
            .filter(|(_, param)| self.canonical.contains_key(&param.id))
            .map(|(path, param)| (node.component(path), self.param(path, *param)))
            .collect();
        let children = node.children.iter().copied();
        let modules: Vec<usize> = children.filter(|&child| self.shown[child]).collect();

        if params.is_empty() {
            // A node without parameters is said to have none; one that holds modules shows them instead.
            let right = modules.is_empty().then(|| (1, "(no params)".to_owned()));
            self.rows.push(Row { left: head, right });
        } else {
            let names = params.iter().map(|(name, _)| name.chars().count());
            let width = names.max().unwrap_or(0);
            let below = if modules.is_empty() {
                prefix.to_owned()
            } else {
                format!("{prefix}│")
            };
            let mut left = head;
            for (i, (name, text)) in params.iter().enumerate() {
                let branch = if i + 1 == params.len() {
                    "└─"
                } else {
                    "├─"
                };
                self.rows.push(Row {
                    left: std::mem::replace(&mut left, below.clone()),
                    right: Some((0, format!("{branch} {name:width$}  {text}"))),
                });
            }
        }
        let outline = self.outline;
        for (i, &child) in modules.iter().enumerate() {
            let (branch, stem) = if i + 1 == modules.len() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            let child = &outline.nodes[child];
            let (name, kind) = (node.component(&child.path), child.module.kind());
            self.module(
                format!("{prefix}{branch}{name}: {kind}"),
                &format!("{prefix}{stem}"),
                child,
            );
        }
    }

    fn param(&self, path: &str, param: ParamUse) -> String {
        let ParamUse { id, transposed, .. } = param;
        let mut text = match self.params.info(id) {
            Ok(info) => PyTuple(&info.shape).to_string(),
            Err(_) => format!("{id}, not in this arena"),
        };
        if transposed {
            text.push('ᵀ');
        }
        if let Some(first) = self.canonical.get(&id).filter(|first| **first != path) {
            text.push_str(" ↔ ");
            text.push_str(first);
        } else if self.params.requires_grad(id) == Ok(false) {
            text.push_str("  frozen");
        }
        text
    }
}
