//! An op's error with the layers it happened in.

use std::fmt::Write;

use tiegrad_arena::ArenaError;
use tiegrad_autodiff::Error;

use super::module::{Module, ParamUse};
use super::uses::all_uses;
use super::walk::{At, Walker, walk};

/// The error's text, and a line for each parameter it names: which paths of this tree lead to it, and in which modules. All paths, so that of
/// a parameter that was removed both the one that was meant and the one that still uses it are there.
pub(crate) fn explain(root: &dyn Module, error: &Error) -> String {
    let mut text = error.to_string();
    let uses = all_uses(root);
    let kinds = owners(root);
    let mut told = Vec::new();
    for &id in error.params() {
        if told.contains(&id) {
            continue;
        }
        told.push(id);
        let paths: Vec<String> = uses
            .iter()
            .zip(&kinds)
            .filter(|(each, _)| each.id == id)
            .map(|(each, kind)| format!("{} ({kind})", each.path))
            .collect();
        let removed =
            matches!(error.arena(), Some(ArenaError::Stale { id: stale, .. }) if *stale == id);
        let end = match (removed, paths.len()) {
            (false, _) | (_, 0) => "",
            (true, 1) => "; it uses what was removed",
            (true, _) => "; all of these use what was removed",
        };
        // Writing to a string does not fail.
        let _ = match &paths[..] {
            [] => write!(text, "\n  {id} is no parameter of this net"),
            [path] => write!(text, "\n  {id} is {path}{end}"),
            [path, aliases @ ..] => write!(
                text,
                "\n  {id} is {path}, also used as {}{end}",
                aliases.join(", ")
            ),
        };
    }
    text
}

/// The type of the module that holds each use, in the order of `all_uses`.
fn owners(root: &dyn Module) -> Vec<&str> {
    #[derive(Default)]
    struct Owners<'a> {
        open: Vec<&'a str>,
        owners: Vec<&'a str>,
    }
    impl<'a> Walker<'a> for Owners<'a> {
        fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
            self.open.push(module.kind());
        }
        fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
            self.open.pop();
        }
        fn param(&mut self, _: At<'_>, _: ParamUse) {
            self.owners
                .push(self.open.last().copied().unwrap_or_default());
        }
    }
    let mut owners = Owners::default();
    walk(root, &mut owners);
    owners.owners
}
