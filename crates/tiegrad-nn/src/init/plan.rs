//! One initialization of a tree: what it would do, whether it may, and then all of it.

use rand::Rng;
use tiegrad_arena::{Initialized, ParamId, Params};
use tiegrad_kernels::Scalar;

use super::target::fans;
use super::{InitError, Initializer, Source, Target, constant};
use crate::select::{Select, Selected, resolve};
use crate::tree::{At, Module, Name, ParamUse, Role, Use, Walker, walk};

/// What to do about parameters that have been initialized before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// It is an error.
    Refuse,
    /// They are initialized again.
    Force,
    /// They stay as they are.
    Keep,
}

/// An initializer, and what it is for.
pub(crate) struct Entry<'e> {
    pub(crate) select: Select<'e>,
    pub(crate) initializer: &'e mut dyn Initializer,
}

/// What happens to a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deed {
    /// The initializer of this entry fills it.
    Fill(usize),
    /// It becomes this: what biases and gains become that the initializer does not cover.
    Become(f64),
}

/// A parameter that is to be initialized.
struct Task {
    id: ParamId,
    /// Its canonical use.
    canonical: usize,
    /// The use by which it was selected.
    by: usize,
    deed: Deed,
}

/// Initializes a tree, or leaves everything as it was: nothing is written before everything has been checked and drawn.
#[track_caller]
pub(crate) fn run<T: Scalar>(
    root: &dyn Module,
    params: &mut Params<T>,
    mut entries: Vec<Entry<'_>>,
    before: Before,
    source: &mut dyn Source,
) -> Result<(), InitError> {
    let Plan { uses, tasks } = plan(root, params, &entries, before)?;
    let owners = owners(root);

    let mut drawn: Vec<T> = Vec::new();
    let mut buffer = Vec::new();
    for task in &tasks {
        let each = &uses[task.canonical];
        let shape = params.info(task.id)?.shape;
        let owner = owners.get(task.canonical);
        let weight = owner.and_then(|owner| owner.weight);
        let layer_fans = match weight {
            Some(weight) => {
                let (fan_in, fan_out) = fans(&params.info(weight.id)?.shape);
                Some(match weight.transposed {
                    false => (fan_in, fan_out),
                    true => (fan_out, fan_in),
                })
            }
            None => None,
        };
        let target = Target {
            owner: owner.map_or("", |owner| owner.kind),
            layer_fans,
            ..Target::new(&each.path, shape, each.role)
        };
        buffer.clear();
        buffer.resize(shape.len(), 0.0);
        let rng: &mut dyn Rng = source.at(&each.path);
        match task.deed {
            Deed::Fill(entry) => entries[entry].initializer.fill(&target, &mut buffer, rng)?,
            Deed::Become(value) => buffer.fill(value),
        }
        drawn.extend(buffer.iter().map(|&value| T::from_f64(value)));
    }

    let mut rest = &drawn[..];
    for task in tasks {
        let to = params.as_mut_slice(task.id)?;
        let (values, behind) = rest.split_at(to.len());
        to.copy_from_slice(values);
        rest = behind;
        let by = says(&entries, task.deed);
        params.mark_initialized(task.id, &uses[task.by].path, &by)?;
    }
    Ok(())
}

/// What is to be done.
struct Plan {
    uses: Vec<Use>,
    tasks: Vec<Task>,
}

/// Every parameter that is to be initialized, in tree order; or why it may not be.
fn plan<T: Scalar>(
    root: &dyn Module,
    params: &Params<T>,
    entries: &[Entry<'_>],
    before: Before,
) -> Result<Plan, InitError> {
    let mut uses: Vec<Use> = Vec::new();
    // Of each parameter, at the position of its first use: what happens to it, and the use by which it was selected.
    let mut deeds: Vec<Option<(Deed, usize)>> = Vec::new();
    for (entry, Entry { select, .. }) in entries.iter().enumerate() {
        let resolved = resolve(root, params, select)?;
        deeds.resize(resolved.uses.len(), None);
        for (at, chosen) in resolved.parameters().enumerate() {
            let Some((how, by)) = chosen else { continue };
            let covered = |role| entries[entry].initializer.covers(role);
            let deed = match (how, resolved.uses[at].role) {
                (Selected::Itself, _) => Deed::Fill(entry),
                (Selected::Around, role) if covered(role) => Deed::Fill(entry),
                (Selected::Around, Role::Bias) => Deed::Become(0.0),
                (Selected::Around, Role::Gain) => Deed::Become(1.0),
                (Selected::Around, Role::Weight) => continue,
            };
            match deeds[at] {
                None => deeds[at] = Some((deed, by)),
                // The first that selects a parameter has it; but through another path the user has asked for two things.
                Some((first, other)) if other != by && !alike(entries, first, deed) => {
                    return Err(InitError::Conflict {
                        path: resolved.uses[by].path.clone(),
                        by: says(entries, deed),
                        other_path: resolved.uses[other].path.clone(),
                        other_by: says(entries, first),
                        at: None,
                    });
                }
                Some(_) => {}
            }
        }
        uses = resolved.uses;
    }

    // Of each first use, the others of the same parameter.
    let mut aliases: Vec<Vec<usize>> = vec![Vec::new(); uses.len()];
    for (at, each) in uses.iter().enumerate() {
        if let Some(canonical) = each.alias_of {
            aliases[canonical].push(at);
        }
    }
    let mut tasks = Vec::new();
    for (canonical, planned) in deeds.into_iter().enumerate() {
        let (Some((deed, by)), each) = (planned, &uses[canonical]) else {
            continue;
        };
        let mark = (params.initialized(each.id)).map_err(|source| InitError::Arena {
            path: each.path.clone(),
            source,
        })?;
        match (mark, before) {
            (Some(_), Before::Keep) => continue,
            (Some(mark), Before::Refuse) => {
                let same = [&[canonical], &aliases[canonical][..]].concat();
                done_already(&uses, &same, by, mark, entries, deed)?;
                continue;
            }
            (None, _) | (_, Before::Force) => tasks.push(Task {
                id: each.id,
                canonical,
                by,
                deed,
            }),
        }
    }
    Ok(Plan { uses, tasks })
}

/// Whether what is to be done to a marked parameter has been done: the same, through another path of a tie. All else is an error.
fn done_already(
    uses: &[Use],
    same: &[usize],
    by: usize,
    mark: &Initialized,
    entries: &[Entry<'_>],
    deed: Deed,
) -> Result<(), InitError> {
    let (path, now) = (uses[by].path.clone(), says(entries, deed));
    let mut paths = same.iter().map(|at| &uses[*at].path);
    // A mark whose path is none of this tree's was set in a part of it, or in another tree: nothing is known of a tie then.
    if mark.path == path || !paths.any(|path| *path == mark.path) {
        return Err(InitError::AlreadyInitialized {
            path,
            by: now,
            earlier: Box::new(mark.clone()),
        });
    }
    if name(entries, deed).as_ref() == Some(&mark.by) {
        return Ok(());
    }
    Err(InitError::Conflict {
        path,
        by: now,
        other_path: mark.path.clone(),
        other_by: mark.by.clone(),
        at: Some(mark.at),
    })
}

/// The name of what is done, if it has one by which it can be compared.
fn name(entries: &[Entry<'_>], deed: Deed) -> Option<String> {
    match deed {
        Deed::Fill(entry) => entries[entry].initializer.name(),
        Deed::Become(value) => constant(value).name(),
    }
}

/// What is done, in words.
fn says(entries: &[Entry<'_>], deed: Deed) -> String {
    match deed {
        Deed::Fill(entry) => entries[entry].initializer.describe(),
        Deed::Become(value) => constant(value).describe(),
    }
}

fn alike(entries: &[Entry<'_>], a: Deed, b: Deed) -> bool {
    let (a, b) = (name(entries, a), name(entries, b));
    a.is_some() && a == b
}

/// The module around a use.
#[derive(Clone, Copy)]
struct Owner<'a> {
    kind: &'a str,
    /// What it calls `weight`, if that multiplies inputs.
    weight: Option<ParamUse>,
}

/// The owner of every use, in the order of the uses.
fn owners(root: &dyn Module) -> Vec<Owner<'_>> {
    #[derive(Default)]
    struct Owners<'a> {
        owners: Vec<Owner<'a>>,
        /// The modules around, each with the uses that it holds itself.
        around: Vec<(Owner<'a>, Vec<usize>)>,
    }
    impl<'a> Walker<'a> for Owners<'a> {
        fn enter(&mut self, _: At<'_>, module: &'a dyn Module) {
            let owner = Owner {
                kind: module.kind(),
                weight: None,
            };
            self.around.push((owner, Vec::new()));
        }

        fn leave(&mut self, _: At<'_>, _: &'a dyn Module) {
            if let Some((owner, uses)) = self.around.pop() {
                uses.into_iter().for_each(|at| self.owners[at] = owner);
            }
        }

        fn param(&mut self, at: At<'_>, param: ParamUse) {
            if let Some((owner, uses)) = self.around.last_mut() {
                if at.name == Name::Field("weight") && param.role == Role::Weight {
                    owner.weight = Some(param);
                }
                uses.push(self.owners.len());
                self.owners.push(*owner);
            }
        }
    }
    let mut owners = Owners::default();
    walk(root, &mut owners);
    owners.owners
}
