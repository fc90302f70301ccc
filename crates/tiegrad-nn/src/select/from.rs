//! What may stand where a [`Select`] is asked for.

use std::borrow::Cow;

use tiegrad_arena::{ParamId, ParamInfo, Selection};

use super::text::parse;
use super::{Expr, Leaf, Select};

impl<'s> From<&'s str> for Select<'s> {
    fn from(text: &'s str) -> Self {
        Self(parse(Cow::Borrowed(text)))
    }
}

impl<'s> From<&'s String> for Select<'s> {
    fn from(text: &'s String) -> Self {
        Self(parse(Cow::Borrowed(text)))
    }
}

impl From<String> for Select<'_> {
    fn from(text: String) -> Self {
        Self(parse(Cow::Owned(text)))
    }
}

impl From<ParamId> for Select<'_> {
    fn from(id: ParamId) -> Self {
        Selection::from_ids([id]).into()
    }
}

impl From<Selection> for Select<'_> {
    fn from(ids: Selection) -> Self {
        Self(Expr::Leaf(Leaf::Ids(Cow::Owned(ids))))
    }
}

impl<'s> From<&'s Selection> for Select<'s> {
    fn from(ids: &'s Selection) -> Self {
        Self::ids(ids)
    }
}

/// What one of the entries selects and none of those with a `!` does; of everything, where all have one.
impl<'s, S: Into<Select<'s>>> From<Vec<S>> for Select<'s> {
    fn from(entries: Vec<S>) -> Self {
        list(entries)
    }
}

/// What one of the entries selects and none of those with a `!` does; of everything, where all have one.
impl<'s, S: Into<Select<'s>>, const N: usize> From<[S; N]> for Select<'s> {
    fn from(entries: [S; N]) -> Self {
        list(entries)
    }
}

impl<'s, F: Fn(&str, &ParamInfo) -> bool + 's> From<F> for Select<'s> {
    fn from(f: F) -> Self {
        Self::by(f)
    }
}

fn list<'s, S: Into<Select<'s>>>(entries: impl IntoIterator<Item = S>) -> Select<'s> {
    let (mut included, mut excluded) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.into().0 {
            Expr::Not(of) => excluded.push(*of),
            other => included.push(other),
        }
    }
    let one = |mut parts: Vec<Expr<'s>>| match parts.len() {
        1 => parts.remove(0),
        _ => Expr::Or(parts),
    };
    if excluded.is_empty() {
        return Select(one(included));
    }
    let included = match included.is_empty() {
        true => Expr::All,
        false => one(included),
    };
    Select(Expr::Except(Box::new([included, one(excluded)])))
}
