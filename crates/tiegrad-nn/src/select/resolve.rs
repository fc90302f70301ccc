//! From a [`Select`] to parameters: one function, over the one traversal.

use regex_lite::Regex;
use tiegrad_arena::{Params, Selection};
use tiegrad_kernels::Scalar;

use super::glob::Glob;
use super::{Expr, Leaf, Predicate, Select, Selected};
use crate::tree::{At, Module, NameError, ParamUse, Use, Uses, Walker, near, near_uses, walk};

/// Which of the parameters of a net are selected, and by which of their uses.
pub(crate) struct Resolved {
    /// All uses, selected or not.
    pub(crate) uses: Vec<Use>,
    chosen: Set,
}

/// By the position of a parameter's first use.
type Set = Vec<Option<Chosen>>;

/// How a parameter was selected, and by which use. It orders by the first, as a name says more than a module around it.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    how: Selected,
    by: usize,
}

impl Resolved {
    /// Of every use, if it is the first of a selected parameter: how that was selected, and the position of the use by which it was.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = Option<(Selected, usize)>> {
        let chosen = self.chosen.iter();
        chosen.map(|chosen| chosen.map(|Chosen { how, by }| (how, by)))
    }

    /// As a set of ids, each with the path that it was selected by.
    ///
    /// # Errors
    /// [`NameError::Arena`].
    pub(crate) fn selection<T: Scalar>(&self, params: &Params<T>) -> Result<Selection, NameError> {
        let ids = self.pairs().map(|(each, chosen)| {
            let path = &self.uses.get(chosen.by).unwrap_or(each).path;
            match params.info(each.id) {
                Ok(_) => Ok((&**path, each.id)),
                Err(source) => Err(NameError::Arena {
                    path: path.clone(),
                    source,
                }),
            }
        });
        Ok(Selection::from_named(ids.collect::<Result<Vec<_>, _>>()?))
    }

    fn pairs(&self) -> impl Iterator<Item = (&Use, Chosen)> {
        let pairs = self.uses.iter().zip(&self.chosen);
        pairs.filter_map(|(each, chosen)| Some((each, (*chosen)?)))
    }
}

/// Finds what a [`Select`] selects.
///
/// # Errors
/// [`NameError::BadRegex`]; [`NameError::NothingSelected`] for a text or a type that selects no parameter, and where of what such ones select nothing is
/// left, unless a closure or a set of ids had a say.
pub(crate) fn resolve<T: Scalar>(
    root: &dyn Module,
    params: &Params<T>,
    select: &Select<'_>,
) -> Result<Resolved, NameError> {
    let mut leaves = Vec::new();
    collect(&select.0, false, &mut leaves)?;
    let mut asking = Asking {
        params,
        uses: Uses::default(),
        leaves,
    };
    walk(root, &mut asking);
    let (uses, leaves) = (asking.uses.uses, asking.leaves);
    if let Some(idle) = leaves
        .iter()
        .find(|leaf| leaf.hits.is_empty() && !leaf.may_be_idle())
    {
        return Err(idle.nothing(root, &uses));
    }
    // Where nothing was named, as in `Select::all()` of a net without parameters, nothing was named wrongly.
    let may_be_empty = leaves.is_empty() || leaves.iter().any(Asked::may_be_idle);
    let mut sets = leaves.into_iter().map(|leaf| leaf.set(uses.len()));
    let chosen = combine(&select.0, &uses, &mut sets);
    if !may_be_empty && chosen.iter().all(Option::is_none) {
        return Err(NameError::NothingSelected {
            pattern: select.to_string(),
            near: Vec::new(),
        });
    }
    Ok(Resolved { uses, chosen })
}

/// The leaves of an expression from left to right, ready to be asked.
fn collect<'e>(
    expr: &'e Expr<'_>,
    excluded: bool,
    leaves: &mut Vec<Asked<'e>>,
) -> Result<(), NameError> {
    match expr {
        Expr::All => Ok(()),
        Expr::Leaf(leaf) => {
            leaves.push(Asked::new(leaf, excluded)?);
            Ok(())
        }
        Expr::Not(of) => collect(of, true, leaves),
        Expr::Or(parts) => parts
            .iter()
            .try_for_each(|part| collect(part, excluded, leaves)),
        Expr::And(parts) => parts
            .iter()
            .try_for_each(|part| collect(part, excluded, leaves)),
        Expr::Except(parts) => {
            collect(&parts[0], excluded, leaves)?;
            collect(&parts[1], true, leaves)
        }
    }
}

/// The set of an expression, from those of its leaves from left to right.
fn combine(expr: &Expr<'_>, uses: &[Use], leaves: &mut impl Iterator<Item = Set>) -> Set {
    match expr {
        Expr::All => everything(uses),
        Expr::Leaf(_) => leaves.next().unwrap_or_default(),
        Expr::Not(of) => except(everything(uses), &combine(of, uses, leaves)),
        Expr::Or(parts) => {
            let sets = parts.iter().map(|part| combine(part, uses, leaves));
            sets.fold(vec![None; uses.len()], |all, one| {
                let both = all.into_iter().zip(one);
                both.map(|(a, b)| better(a, b)).collect()
            })
        }
        Expr::And(parts) => {
            let [a, b] = parts.each_ref().map(|part| combine(part, uses, leaves));
            let both = a.into_iter().zip(b);
            both.map(|(a, b)| a.and(b).and(better(a, b))).collect()
        }
        Expr::Except(parts) => {
            let [a, b] = parts.each_ref().map(|part| combine(part, uses, leaves));
            except(a, &b)
        }
    }
}

fn everything(uses: &[Use]) -> Set {
    let each = uses.iter().enumerate().map(|(by, each)| {
        let how = Selected::Around;
        each.alias_of.is_none().then_some(Chosen { how, by })
    });
    each.collect()
}

fn except(set: Set, other: &Set) -> Set {
    let both = set.into_iter().zip(other);
    both.map(|(a, b)| a.filter(|_| b.is_none())).collect()
}

/// The one that says more; the first of equal ones.
fn better(a: Option<Chosen>, b: Option<Chosen>) -> Option<Chosen> {
    match (a, b) {
        (Some(a), Some(b)) if b.how > a.how => Some(b),
        (None, b) => b,
        (a, _) => a,
    }
}

/// The walk on which the leaves are asked about every use.
struct Asking<'e, 'p, T: Scalar> {
    params: &'p Params<T>,
    uses: Uses,
    leaves: Vec<Asked<'e>>,
}

impl<'a, T: Scalar> Walker<'a> for Asking<'_, '_, T> {
    fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
        for leaf in &mut self.leaves {
            leaf.test.enter(module);
        }
    }

    fn leave(&mut self, _: At<'_>, module: &'a dyn Module) {
        for leaf in &mut self.leaves {
            leaf.test.leave(module);
        }
    }

    fn param(&mut self, at: At<'_>, param: ParamUse) {
        let by = self.uses.uses.len();
        let first = self.uses.push(at, param);
        for leaf in &mut self.leaves {
            if let Some(how) = leaf.test.ask(at, param, self.params) {
                leaf.hits.push((first, Chosen { how, by }));
            }
        }
    }
}

/// A leaf, and what it has selected.
struct Asked<'e> {
    leaf: &'e Leaf<'e>,
    excluded: bool,
    test: Test<'e>,
    /// With the position of the parameter's first use.
    hits: Vec<(usize, Chosen)>,
}

enum Test<'e> {
    Path(Glob),
    Regex(Regex),
    Module {
        of: &'e Leaf<'e>,
        /// How many such modules the walk is in.
        open: usize,
    },
    By(&'e Predicate<'e>),
    Ids(&'e Selection),
}

impl<'e> Asked<'e> {
    fn new(leaf: &'e Leaf<'_>, excluded: bool) -> Result<Self, NameError> {
        let test = match leaf {
            Leaf::Path(path) => Test::Path(Glob::literal(path)),
            Leaf::Glob(pattern) => Test::Path(Glob::new(pattern)),
            Leaf::Regex(pattern) => Test::Regex(whole(pattern)?),
            Leaf::Kind(_) | Leaf::Type { .. } => Test::Module { of: leaf, open: 0 },
            Leaf::By(f) => Test::By(&**f),
            Leaf::Ids(ids) => Test::Ids(ids),
        };
        Ok(Self {
            leaf,
            excluded,
            test,
            hits: Vec::new(),
        })
    }

    /// Whether it may select nothing: what was not written as a name.
    fn may_be_idle(&self) -> bool {
        matches!(self.leaf, Leaf::By(_) | Leaf::Ids(_))
    }

    fn set(self, len: usize) -> Set {
        let mut set = vec![None; len];
        for (first, chosen) in self.hits {
            if let Some(slot) = set.get_mut(first) {
                *slot = better(*slot, Some(chosen));
            }
        }
        set
    }

    #[cold]
    fn nothing(&self, root: &dyn Module, uses: &[Use]) -> NameError {
        let near = match self.leaf {
            Leaf::Path(text) | Leaf::Glob(text) => near_uses(text, uses),
            Leaf::Regex(pattern) => near_uses(&as_glob(pattern), uses),
            Leaf::Kind(kind) => near(kind, kinds(root)),
            Leaf::Type { name, .. } => near(name.rsplit("::").next().unwrap_or(name), kinds(root)),
            Leaf::By(_) | Leaf::Ids(_) => Vec::new(),
        };
        let sign = if self.excluded { "!" } else { "" };
        NameError::NothingSelected {
            pattern: format!("{sign}{}", self.leaf),
            near,
        }
    }
}

impl Test<'_> {
    fn enter(&mut self, module: &dyn Module) {
        if let Self::Module { of, open } = self {
            *open += usize::from(is_of(module, of));
        }
    }

    fn leave(&mut self, module: &dyn Module) {
        if let Self::Module { of, open } = self {
            *open -= usize::from(is_of(module, of));
        }
    }

    fn ask<T: Scalar>(&self, at: At<'_>, param: ParamUse, params: &Params<T>) -> Option<Selected> {
        let itself = |yes: bool| yes.then_some(Selected::Itself);
        match self {
            Self::Path(glob) => glob.matches(at.path),
            Self::Regex(regex) => itself(regex.is_match(at.path)),
            Self::Module { open, .. } => (*open > 0).then_some(Selected::Around),
            Self::By(f) => itself(params.info(param.id).is_ok_and(|info| f(at.path, info))),
            Self::Ids(ids) => itself(ids.contains(param.id)),
        }
    }
}

fn is_of(module: &dyn Module, leaf: &Leaf<'_>) -> bool {
    match leaf {
        Leaf::Kind(kind) => module.kind() == kind,
        Leaf::Type { is, .. } => is(module),
        _ => false,
    }
}

/// The regular expression that matches whole paths only.
fn whole(pattern: &str) -> Result<Regex, NameError> {
    let bad = |error: regex_lite::Error| NameError::BadRegex {
        pattern: pattern.to_owned(),
        message: error.to_string(),
    };
    // By itself first: a pattern such as `a)(b` is not to become a good one in between.
    Regex::new(pattern).map_err(bad)?;
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(bad)
}

/// A glob that a regular expression is like, to look for names near it.
fn as_glob(pattern: &str) -> String {
    let mut glob = String::new();
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let any = c == '.' && chars.next_if(|c| matches!(c, '*' | '+')).is_some();
        if any {
            // A component of its own.
            let dot = !glob.is_empty() && !glob.ends_with('.');
            glob.push_str(if dot { ".**" } else { "**" });
            continue;
        }
        let c = if c == '\\' { chars.next() } else { Some(c) };
        let Some(c) = c.filter(|c| !r"^$()[]{}|?*+".contains(*c)) else {
            continue;
        };
        if glob.ends_with("**") && c != '.' {
            glob.push('.');
        }
        glob.push(c);
    }
    glob
}

/// The types of the modules of a net, each once.
fn kinds(root: &dyn Module) -> Vec<&str> {
    struct Kinds<'a>(Vec<&'a str>);
    impl<'a> Walker<'a> for Kinds<'a> {
        fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
            if !self.0.contains(&module.kind()) {
                self.0.push(module.kind());
            }
        }
        fn param(&mut self, _: At<'_>, _: ParamUse) {}
    }
    let mut kinds = Kinds(Vec::new());
    walk(root, &mut kinds);
    kinds.0
}

#[cfg(test)]
mod tests {
    use super::as_glob;

    #[test]
    fn a_regex_is_like_a_glob() {
        for (regex, glob) in [
            (".*wieght", "**.wieght"),
            (r"^blocks\.\d+\.fc$", "blocks.d.fc"),
            (r"blocks\..*\.weight", "blocks.**.weight"),
            ("fc.*bias", "fc.**.bias"),
            (".*", "**"),
        ] {
            assert_eq!(as_glob(regex), glob);
        }
    }
}
