//! Look-up by path, and what to suggest when it fails.

use tiegrad_arena::ParamId;

use super::error::NameError;
use super::module::{Module, Name, ParamUse, Visit, unboxed};
use super::near::near;
use super::uses::all_uses;
use super::walk::{At, Walker, walk};

/// The parameter at a path: goes only where the path leads.
pub(crate) fn find(root: &dyn Module, path: &str) -> Result<ParamId, NameError> {
    match lookup(root, path) {
        Some(Found::Param(param)) => Ok(param.id),
        Some(Found::Module(module)) => Err(NameError::IsModule {
            path: path.to_owned(),
            kind: module.kind().to_owned(),
            parameters: all_uses(module)
                .into_iter()
                .map(|each| join(path, &each.path))
                .collect(),
        }),
        None => Err(NameError::NotFound {
            path: path.to_owned(),
            what: "parameter",
            near: near(path, all_uses(root).iter().map(|each| &*each.path)),
        }),
    }
}

/// The module at a path; the root at the empty one.
pub(crate) fn find_module<'a>(
    root: &'a dyn Module,
    path: &str,
) -> Result<&'a dyn Module, NameError> {
    match lookup(root, path) {
        Some(Found::Module(module)) => Ok(module),
        Some(Found::Param(_)) => Err(NameError::IsParameter {
            path: path.to_owned(),
        }),
        None => Err(NameError::NotFound {
            path: path.to_owned(),
            what: "module",
            near: near(path, modules(root).iter().map(|module| &**module)),
        }),
    }
}

fn modules(root: &dyn Module) -> Vec<String> {
    struct Modules(Vec<String>);
    impl<'a> Walker<'a> for Modules {
        fn enter(&mut self, at: At<'_>, _: &'a dyn Module) {
            if at.depth > 0 {
                self.0.push(at.path.to_owned());
            }
        }
        fn param(&mut self, _: At<'_>, _: ParamUse) {}
    }
    let mut modules = Modules(Vec::new());
    walk(root, &mut modules);
    modules.0
}

fn join(path: &str, rest: &str) -> String {
    if path.is_empty() {
        rest.to_owned()
    } else {
        format!("{path}.{rest}")
    }
}

enum Found<'a> {
    Module(&'a dyn Module),
    Param(ParamUse),
}

fn lookup<'a>(root: &'a dyn Module, path: &str) -> Option<Found<'a>> {
    let root = unboxed(root);
    if path.is_empty() {
        return Some(Found::Module(root));
    }
    let mut lookup = Lookup {
        rest: path,
        found: None,
    };
    root.visit(&mut lookup);
    lookup.found
}

struct Lookup<'a, 'p> {
    rest: &'p str,
    found: Option<Found<'a>>,
}

impl<'a> Visit<'a> for Lookup<'a, '_> {
    fn param(&mut self, name: Name<'_>, param: ParamUse) {
        if self.found.is_none() && strip(self.rest, name) == Some("") {
            self.found = Some(Found::Param(param));
        }
    }

    fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
        if self.found.is_some() {
            return;
        }
        let Some(after) = strip(self.rest, name) else {
            return;
        };
        let module = unboxed(module);
        match after.strip_prefix('.') {
            None if after.is_empty() => self.found = Some(Found::Module(module)),
            None => {}
            Some(rest) => {
                let before = std::mem::replace(&mut self.rest, rest);
                module.visit(self);
                self.rest = before;
            }
        }
    }
}

/// What follows a component in a path, if the path starts with that component.
pub(crate) fn strip<'p>(path: &'p str, name: Name<'_>) -> Option<&'p str> {
    match name {
        Name::Field(name) => {
            let mut rest = path;
            let mut from = 0;
            for (at, c) in name.char_indices().filter(|&(_, c)| c == '.' || c == '\\') {
                rest = rest
                    .strip_prefix(&name[from..at])?
                    .strip_prefix('\\')?
                    .strip_prefix(c)?;
                from = at + 1;
            }
            rest.strip_prefix(&name[from..])
        }
        Name::Index(index) => {
            let digits = path.bytes().take_while(u8::is_ascii_digit).count();
            let (head, rest) = path.split_at(digits);
            // Only the one way in which paths are written: no leading zeros.
            let canonical = head == "0" || !head.starts_with('0');
            (canonical && head.parse() == Ok(index)).then_some(rest)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use tiegrad_arena::{Params, Shape};

    use super::*;
    use crate::tree::VisitMut;

    /// Counts how often it is looked into.
    struct Counting {
        children: Vec<Counting>,
        weight: ParamId,
        visits: Rc<Cell<usize>>,
    }

    impl Module for Counting {
        fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
            self.visits.set(self.visits.get() + 1);
            for (i, child) in self.children.iter().enumerate() {
                v.module(Name::Index(i), child);
            }
            v.param("weight".into(), ParamUse::new("weight".into(), self.weight));
        }

        fn visit_mut(&mut self, _: &mut dyn VisitMut) {}
    }

    fn tree(params: &mut Params<f32>, depth: usize, visits: &Rc<Cell<usize>>) -> Counting {
        let children = if depth == 0 { 0 } else { 10 };
        Counting {
            children: (0..children)
                .map(|_| tree(params, depth - 1, visits))
                .collect(),
            weight: params.insert_with(Shape::SCALAR, |_| {}),
            visits: Rc::clone(visits),
        }
    }

    #[test]
    fn a_look_up_walks_only_along_the_path() {
        let visits = Rc::new(Cell::new(0));
        let net = tree(&mut Params::new(), 4, &visits);
        let deep = &net.children[7].children[0].children[3].children[9];
        assert_eq!(find(&net, "7.0.3.9.weight"), Ok(deep.weight));
        assert_eq!(visits.take(), 5, "of 11,111 modules");
        assert_eq!(find(&net, "weight"), Ok(net.weight));
        assert_eq!(visits.take(), 1);
        assert!(find_module(&net, "7.0").is_ok());
        assert_eq!(visits.take(), 2);
        // What is not there is looked for along the path too, and then once in all paths for what is near.
        assert!(find(&net, "7.0.wieght").is_err());
        assert_eq!(visits.take(), 3 + 11_111);
    }
}
