//! The table of modules: what they give out, their parameters, their multiply-adds.

use std::fmt;

use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use super::module::{Module, ParamUse};
use super::text::{PyTuple, thousands};
use super::uses::{Seen, Use, all_uses};
use super::walk::{At, Walker, walk};
use super::watch::Observations;

/// What [`LayerExt::summary`](crate::LayerExt::summary) and [`ModuleExt::counts`](crate::ModuleExt::counts) return: a row for each module, and totals with and
/// without ties.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), shared.clone(), shared);
/// let summary = net.counts(&params);
/// assert_eq!((summary.duplicates_included, summary.shared, summary.unique), (184, 72, 112));
/// assert_eq!(summary.rows[2].own, 72);
/// assert_eq!(summary.ties[0].to_string(), "2.weight ↔ 1.weight");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The modules, root first, in the order of the tree.
    pub rows: Vec<SummaryRow>,
    /// Elements of all parameters, those of a tied one at every use.
    pub duplicates_included: usize,
    /// Elements that the total above counts more than once: what ties save.
    pub shared: usize,
    /// Elements of all parameters, each once.
    pub unique: usize,
    /// Of these, those that training changes.
    pub trainable: usize,
    /// Of these, those that it does not.
    pub frozen: usize,
    /// Uses of parameters that are not in this arena: they count nowhere.
    pub missing: usize,
    /// The aliases, each with the path it is an alias of.
    pub ties: Vec<Tie>,
    /// Multiplications with an addition of one forward pass, each use of a tied parameter counted; `None` where no input shape was given.
    pub multiply_adds: Option<u64>,
}

/// A module in a [`Summary`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
/// let summary = net.summary(&params, [2, 4])?;
/// let row = &summary.rows[1]; // behind the root
/// assert_eq!((row.path.as_str(), row.kind.as_str(), row.depth, row.own), ("0", "Linear", 1, 40));
/// assert_eq!((&*row.outputs[0].0, row.multiply_adds), (&[2, 8][..], 64));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SummaryRow {
    /// Its path; empty for the root.
    pub path: String,
    /// Its name within its owner.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// How deep in the tree it is; 0 for the root.
    pub depth: usize,
    /// Elements of the parameters that it holds itself, tied ones included.
    pub own: usize,
    /// Whether one of them has an earlier path.
    pub tied: bool,
    /// The shapes it gave out, in the order of its uses, equal neighbours counted together. Empty where no input shape was given, for a module that was not used, and for one made of
    /// others that neither stands in a container nor says [`Var::within`](tiegrad_autodiff::Var::within).
    pub outputs: Vec<(Shape, usize)>,
    /// Multiply-adds that it did itself, over all uses.
    pub multiply_adds: u64,
}

/// A path that leads to a parameter which has an earlier one. It displays as `lm_head.weight ↔ wte.weight`.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = (shared.clone(), shared);
/// let tie = &net.counts(&params).ties[0];
/// assert_eq!((tie.alias.as_str(), tie.canonical.as_str()), ("1.weight", "0.weight"));
/// assert!(!tie.transposed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tie {
    /// The later path.
    pub alias: String,
    /// The first path.
    pub canonical: String,
    /// Whether the two uses differ in that one takes the parameter transposed.
    pub transposed: bool,
}

impl fmt::Display for Tie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ↔ {}{}",
            self.alias,
            self.canonical,
            if self.transposed { "ᵀ" } else { "" }
        )
    }
}

pub(crate) fn ties(uses: &[Use]) -> Vec<Tie> {
    uses.iter()
        .filter_map(|alias| {
            let first = uses.get(alias.alias_of?)?;
            Some(Tie {
                alias: alias.path.clone(),
                canonical: first.path.clone(),
                transposed: alias.transposed != first.transposed,
            })
        })
        .collect()
}

/// Counts over all uses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) duplicates_included: usize,
    pub(crate) unique: usize,
    pub(crate) trainable: usize,
    pub(crate) frozen: usize,
    pub(crate) missing: usize,
}

impl Totals {
    pub(crate) fn new<T: Scalar>(uses: &[Use], params: &Params<T>) -> Self {
        let mut totals = Self::default();
        for each in uses {
            totals.add(params, each.id, each.alias_of.is_some());
        }
        totals
    }

    /// Counts one use and returns its elements.
    fn add<T: Scalar>(&mut self, params: &Params<T>, id: ParamId, alias: bool) -> usize {
        let Ok(info) = params.info(id) else {
            self.missing += 1;
            return 0;
        };
        let n = info.shape.len();
        self.duplicates_included += n;
        if !alias {
            self.unique += n;
            *if info.requires_grad {
                &mut self.trainable
            } else {
                &mut self.frozen
            } += n;
        }
        n
    }
}

impl Summary {
    pub(crate) fn new<T: Scalar>(root: &dyn Module, params: &Params<T>) -> Self {
        let mut rows = Rows {
            params,
            rows: Vec::new(),
            open: Vec::new(),
            seen: Seen::default(),
            totals: Totals::default(),
        };
        walk(root, &mut rows);
        // The paths of the uses are only asked for where there are ties to name.
        let ties = match rows.rows.iter().any(|row| row.tied) {
            true => ties(&all_uses(root)),
            false => Vec::new(),
        };
        let Totals {
            duplicates_included,
            unique,
            trainable,
            frozen,
            missing,
        } = rows.totals;
        Self {
            rows: rows.rows,
            duplicates_included,
            shared: duplicates_included - unique,
            unique,
            trainable,
            frozen,
            missing,
            ties,
            multiply_adds: None,
        }
    }

    /// Adds what a shape-only pass has shown.
    pub(crate) fn observed(mut self, seen: Observations) -> Self {
        self.multiply_adds = Some(seen.multiply_adds);
        for (row, seen) in self.rows.iter_mut().zip(seen.modules) {
            (row.outputs, row.multiply_adds) = (seen.outputs, seen.multiply_adds);
        }
        self
    }
}

struct Rows<'p, T: Scalar> {
    params: &'p Params<T>,
    rows: Vec<SummaryRow>,
    /// The modules around the current place, as positions in `rows`.
    open: Vec<usize>,
    seen: Seen,
    totals: Totals,
}

impl<'a, T: Scalar> Walker<'a> for Rows<'_, T> {
    fn enter(&mut self, at: At<'_>, module: &'a dyn Module) {
        self.open.push(self.rows.len());
        self.rows.push(SummaryRow {
            path: at.path.to_owned(),
            name: at.name.to_string(),
            kind: module.kind().to_owned(),
            depth: at.depth,
            own: 0,
            tied: false,
            outputs: Vec::new(),
            multiply_adds: 0,
        });
    }

    fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
        self.open.pop();
    }

    fn param(&mut self, _: At<'_>, param: ParamUse) {
        let tied = self.seen.insert(param.id, 0).is_some();
        let elements = self.totals.add(self.params, param.id, tied);
        if let Some(row) = self.open.last().and_then(|&open| self.rows.get_mut(open)) {
            row.own += elements;
            row.tied |= tied;
        }
    }
}

impl SummaryRow {
    /// `(2, 8)`, `(2, 8) ×3` for three uses, `(2, 8), (2, 4)` for two different ones.
    fn output(&self) -> String {
        let each = self.outputs.iter().map(|(shape, count)| match count {
            1 => PyTuple(shape).to_string(),
            _ => format!("{} ×{count}", PyTuple(shape)),
        });
        match self.outputs.len() {
            0..=2 => each.collect::<Vec<_>>().join(", "),
            _ => "multiple".to_owned(),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Columns: name, output, parameters, mark of a tie, multiply-adds. Two of them only where an input shape was given.
        let observed = self.multiply_adds.is_some();
        let heading = ["Layer (type)", "Output", "Parameters", "", "Multiply-adds"];
        let mut rows = vec![heading.map(str::to_owned)];
        rows.extend(self.rows.iter().map(|row| {
            let name = if row.depth == 0 { "net" } else { &row.name };
            let products = match row.multiply_adds {
                0 => "-".to_owned(),
                n => thousands(usize::try_from(n).unwrap_or(usize::MAX)),
            };
            [
                format!(
                    "{:indent$}{name} ({})",
                    "",
                    row.kind,
                    indent = 2 * row.depth
                ),
                row.output(),
                thousands(row.own),
                if row.tied { "↔" } else { "" }.to_owned(),
                products,
            ]
        }));
        let totals = [
            ("Parameters, duplicates included", self.duplicates_included),
            ("  shared (counted more than once)", self.shared),
            ("  unique", self.unique),
            ("    trainable", self.trainable),
            ("    frozen", self.frozen),
        ];
        let widest = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let total_names = totals.iter().map(|(name, _)| name.len());
        let output = if observed { widest(1) + 3 } else { 0 };
        let name = (widest(0) + 3).max((total_names.max().unwrap_or(0) + 3).saturating_sub(output));
        let number = thousands(self.duplicates_included).len().max(widest(2));
        let products = if observed { widest(4) + 2 } else { 0 };
        let rule = "─".repeat(name + output + number + 2 + products);

        for (i, [left, out, count, tie, multiply_adds]) in rows.iter().enumerate() {
            let mut line = format!("{left:name$}");
            if observed {
                line += &format!("{out:output$}");
            }
            line += &format!("{count:>number$} {tie:1}");
            if observed {
                line += &format!("{multiply_adds:>products$}");
            }
            writeln!(f, "{}", line.trim_end())?;
            if i == 0 {
                writeln!(f, "{rule}")?;
            }
        }
        writeln!(f, "{rule}")?;
        let left = name + output;
        for (i, (name, count)) in totals.iter().enumerate() {
            let end = if i + 1 == totals.len() { "" } else { "\n" };
            write!(f, "{name:left$}{:>number$}{end}", thousands(*count))?;
        }
        if let Some(n) = self.multiply_adds {
            let n = thousands(usize::try_from(n).unwrap_or(usize::MAX));
            write!(
                f,
                "\n{:left$}{n:>number$}",
                "Multiply-adds of a forward pass"
            )?;
        }
        if self.missing > 0 {
            write!(
                f,
                "\n{} uses of parameters that are not in this arena",
                self.missing
            )?;
        }
        for tie in &self.ties {
            write!(f, "\n{tie}")?;
        }
        Ok(())
    }
}
