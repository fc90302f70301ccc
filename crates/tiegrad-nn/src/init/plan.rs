//! One initialization of a tree: what it would do, whether it may, and then all of it.

use rand::Rng;
use tiegrad_arena::{Initialized, ParamId, Params};
use tiegrad_kernels::Scalar;

use super::target::fans;
use super::{InitError, Initializer, Source, Target, constant};
use crate::tree::{At, Module, ModuleExt, Name, NameError, ParamUse, Role, Use, Walker};
use crate::tree::{Selected, select_uses, walk};

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

/// An initializer, and what it is for: a pattern, or everything.
pub(crate) struct Entry<'e> {
    pub(crate) pattern: Option<String>,
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
    /// The first of its uses that was selected.
    through: usize,
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
    let uses = root.all_uses();
    let tasks = plan(&uses, params, &entries, before)?;
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
        params.mark_initialized(task.id, &uses[task.through].path, &by)?;
    }
    Ok(())
}

/// Every parameter that is to be initialized, in tree order; or why it may not be.
fn plan<T: Scalar>(
    uses: &[Use],
    params: &Params<T>,
    entries: &[Entry<'_>],
    before: Before,
) -> Result<Vec<Task>, InitError> {
    let chosen = choose(uses, entries)?;
    // Of each canonical use, all uses of the same parameter, in order.
    let mut same: Vec<Vec<usize>> = vec![Vec::new(); uses.len()];
    for (at, each) in uses.iter().enumerate() {
        same[each.alias_of.unwrap_or(at)].push(at);
    }
    let mut tasks = Vec::new();
    for (canonical, same) in same.iter().enumerate() {
        let selected: Vec<usize> = (same.iter().copied())
            .filter(|&at| chosen[at].is_some())
            .collect();
        let Some(&through) = selected.first() else {
            continue;
        };
        let each = &uses[canonical];
        let mark = (params.initialized(each.id)).map_err(|source| InitError::Arena {
            path: each.path.clone(),
            source,
        })?;
        let Some(deed) = deed(uses, entries, &chosen, &selected, each.role)? else {
            continue;
        };
        match (mark, before) {
            (Some(_), Before::Keep) => continue,
            (Some(mark), Before::Refuse) => {
                done_already(uses, same, &selected, mark, entries, deed)?;
                continue;
            }
            (None, _) | (_, Before::Force) => {}
        }
        tasks.push(Task {
            id: each.id,
            canonical,
            through,
            deed,
        });
    }
    Ok(tasks)
}

/// Which entry each use falls to, and how it was selected: the first that selects it.
fn choose(
    uses: &[Use],
    entries: &[Entry<'_>],
) -> Result<Vec<Option<(usize, Selected)>>, InitError> {
    let mut chosen = vec![None; uses.len()];
    for (entry, Entry { pattern, .. }) in entries.iter().enumerate() {
        let Some(pattern) = pattern else {
            (chosen.iter_mut()).for_each(|one| *one = one.or(Some((entry, Selected::Around))));
            continue;
        };
        let selected = select_uses(pattern, uses);
        if selected.is_empty() {
            return Err(NameError::nothing(pattern, uses.to_vec()).into());
        }
        let mut all = uses.iter().enumerate();
        for (each, how) in selected {
            // Both are in the order of the tree.
            if let Some((at, _)) = all.find(|(_, other)| std::ptr::eq(*other, each)) {
                chosen[at] = chosen[at].or(Some((entry, how)));
            }
        }
    }
    Ok(chosen)
}

/// What is to happen to a parameter that was selected through these uses.
fn deed(
    uses: &[Use],
    entries: &[Entry<'_>],
    chosen: &[Option<(usize, Selected)>],
    selected: &[usize],
    role: Role,
) -> Result<Option<Deed>, InitError> {
    let mut first: Option<(usize, Option<Deed>)> = None;
    for &at in selected {
        let Some((entry, mut how)) = chosen[at] else {
            continue;
        };
        // One path that names the parameter itself is enough, whichever of its paths it is.
        for &other in selected {
            how = match chosen[other] {
                Some((same, other)) if same == entry => how.max(other),
                _ => how,
            };
        }
        let deed = match (how, role) {
            (Selected::Itself, _) => Some(Deed::Fill(entry)),
            (_, role) if entries[entry].initializer.covers(role) => Some(Deed::Fill(entry)),
            (_, Role::Bias) => Some(Deed::Become(0.0)),
            (_, Role::Gain) => Some(Deed::Become(1.0)),
            (_, Role::Weight) => None,
        };
        match (first, deed) {
            (None, deed) => first = Some((at, deed)),
            (Some((_, None)), Some(_)) => first = Some((at, deed)),
            (Some((_, Some(_))), None) | (Some((_, None)), None) => {}
            (Some((other, Some(earlier))), Some(deed)) => {
                if earlier != deed && !alike(entries, earlier, deed) {
                    return Err(InitError::Conflict {
                        path: uses[at].path.clone(),
                        by: says(entries, deed),
                        other_path: uses[other].path.clone(),
                        other_by: says(entries, earlier),
                        at: None,
                    });
                }
            }
        }
    }
    Ok(first.and_then(|(_, deed)| deed))
}

/// Whether what is to be done to a marked parameter has been done: the same, through another path of a tie. All else is an error.
fn done_already(
    uses: &[Use],
    same: &[usize],
    selected: &[usize],
    mark: &Initialized,
    entries: &[Entry<'_>],
    deed: Deed,
) -> Result<(), InitError> {
    let leads = |at: &usize| uses[*at].path == mark.path;
    let (path, by) = (uses[selected[0]].path.clone(), says(entries, deed));
    // A mark whose path is none of this tree's was set in a part of it, or in another tree: nothing is known of a tie then.
    let through_another = !selected.iter().any(leads) && same.iter().any(leads);
    if !through_another {
        return Err(InitError::AlreadyInitialized {
            path,
            by,
            earlier: Box::new(mark.clone()),
        });
    }
    if name(entries, deed).as_ref() == Some(&mark.by) {
        return Ok(());
    }
    Err(InitError::Conflict {
        path,
        by,
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
