//! Which tensor of a file goes into which parameter, and everything that stands against it: decided before anything is
//! written.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::dtype::Dtype;
use tiegrad_arena::ParamId;

use crate::bits;
use crate::error::Problem;
use crate::loaded::{Loaded, Tensor};
use crate::names::{Entry, Group};
use crate::near::near;
use crate::policy::{Policy, Report};

/// One family of a file's tensors, one per parameter, by the parameter's name: the parameters themselves, or one tensor of
/// an optimizer's state.
pub(crate) struct Family<'f> {
    prefix: &'f str,
    tensors: BTreeMap<&'f str, Tensor<'f>>,
    /// Alias to name, for the aliases of names that are there.
    aliases: BTreeMap<&'f str, &'f str>,
    transposed: &'f [String],
    /// Whether the writer was tiegrad, which stores tied names once: separate tensors are separate parameters then.
    knows_ties: bool,
}

impl<'f> Family<'f> {
    /// The parameters.
    pub(crate) fn parameters(file: &'f Loaded) -> Self {
        let tensors = file.below("");
        Self::new(
            file,
            "",
            tensors.filter(|(name, _)| !file.extras.covers(name)),
        )
    }

    /// What starts with `prefix`.
    pub(crate) fn below(file: &'f Loaded, prefix: &'f str) -> Self {
        Self::new(file, prefix, file.below(prefix))
    }

    fn new(
        file: &'f Loaded,
        prefix: &'f str,
        tensors: impl Iterator<Item = (&'f str, Tensor<'f>)>,
    ) -> Self {
        let tensors = map(tensors);
        let aliases = file.aliases();
        let aliases = map(aliases.filter(|(_, name)| tensors.contains_key(name)));
        Self {
            prefix,
            aliases,
            tensors,
            transposed: &file.extras.transposed,
            knows_ties: file.extras.own,
        }
    }

    /// The tensors of the file that one parameter's names lead to, each once, with whether it is stored transposed.
    fn sources(&self, group: &Group<'_>) -> Vec<Source<'f>> {
        let direct = group.entries().filter_map(|entry| {
            let (&key, &tensor) = self.tensors.get_key_value(&*entry.path)?;
            Some(Source::new(key, tensor, entry.transposed))
        });
        let by_alias = group.entries().filter_map(|entry| {
            let key = *self.aliases.get(&*entry.path)?;
            let turned = self.transposed.contains(&entry.path);
            let tensor = *self.tensors.get(key)?;
            Some(Source::new(key, tensor, entry.transposed != turned))
        });
        let mut sources: Vec<Source<'f>> = Vec::new();
        for source in direct.chain(by_alias) {
            if sources.iter().all(|known| known.key != source.key) {
                sources.push(source);
            }
        }
        sources
    }
}

/// Entry by entry: `collect` sorts first, by code that takes users longer to compile than all that is around it.
fn map<'f, T>(entries: impl Iterator<Item = (&'f str, T)>) -> BTreeMap<&'f str, T> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}

/// A tensor of the file that may be a parameter's value.
#[derive(Clone, Copy)]
struct Source<'f> {
    key: &'f str,
    tensor: Tensor<'f>,
    /// Whether its last two axes have to be swapped to give the parameter.
    swap: bool,
}

impl<'f> Source<'f> {
    fn new(key: &'f str, tensor: Tensor<'f>, swap: bool) -> Self {
        Self { key, tensor, swap }
    }

    fn bytes(&self) -> Cow<'f, [u8]> {
        let tensor = &self.tensor;
        bits::oriented(tensor.data(), tensor.shape(), tensor.dtype(), self.swap)
    }

    /// Checks the shape. A transposed use may be stored either way round (an output projection that is the transposed
    /// embedding is stored as the embedding is); the shape says which, and a square one is taken at its word.
    fn fit(&mut self, shape: &[usize]) -> Result<(), Vec<usize>> {
        if self.swap {
            let swapped = bits::swapped(shape);
            if self.tensor.shape() == swapped {
                return Ok(());
            }
            if self.tensor.shape() != shape {
                return Err(swapped);
            }
            self.swap = false;
            return Ok(());
        }
        if self.tensor.shape() == shape {
            Ok(())
        } else {
            Err(shape.to_vec())
        }
    }
}

/// What a family has to be.
pub(crate) struct Wanted {
    /// The type, unless it has no name in a file (dual numbers).
    pub(crate) dtype: Option<Dtype>,
    pub(crate) type_name: &'static str,
}

/// A tensor to be written.
pub(crate) struct Move<'f> {
    pub(crate) id: ParamId,
    pub(crate) dtype: Dtype,
    pub(crate) bytes: Cow<'f, [u8]>,
}

/// What is to be done, what that amounts to, and what stands against it.
#[derive(Default)]
pub(crate) struct Plan<'f> {
    pub(crate) moves: Vec<Move<'f>>,
    pub(crate) report: Report,
    pub(crate) problems: Vec<Problem>,
}

/// Plans the loading of one family. `shapes` are those of the groups.
pub(crate) fn plan<'f>(
    family: &Family<'f>,
    groups: &[Group<'_>],
    shapes: &[Vec<usize>],
    wanted: &Wanted,
    policy: Policy,
) -> Plan<'f> {
    let mut planner = Planner {
        family,
        wanted,
        policy,
        plan: Plan::default(),
        missing: Vec::new(),
        claims: BTreeMap::new(),
    };
    for (position, (group, shape)) in groups.iter().zip(shapes).enumerate() {
        planner.group(position, group, shape);
    }
    planner.leftovers(groups);
    planner.untied();
    planner.plan
}

struct Planner<'p, 'f> {
    family: &'p Family<'f>,
    wanted: &'p Wanted,
    policy: Policy,
    plan: Plan<'f>,
    missing: Vec<String>,
    /// By tensor: the parameters that it goes into, by their canonical names, and the position of the first.
    claims: BTreeMap<&'f str, (usize, Vec<String>)>,
}

impl<'f> Planner<'_, 'f> {
    fn group(&mut self, position: usize, group: &Group<'_>, shape: &[usize]) {
        let mut sources = self.family.sources(group);
        for source in &sources {
            let (_, claims) = self
                .claims
                .entry(source.key)
                .or_insert((position, Vec::new()));
            claims.push(group.canonical.path.clone());
        }
        let before = self.plan.problems.len();
        for source in &mut sources {
            self.check(source, shape);
        }
        let [first, others @ ..] = &sources[..] else {
            self.missing.push(group.canonical.path.clone());
            return;
        };
        if self.plan.problems.len() > before {
            return;
        }
        let bytes = first.bytes();
        for other in others {
            if other.tensor.dtype() != first.tensor.dtype() || other.bytes() != bytes {
                let (first, second) = (self.name(first.key), self.name(other.key));
                self.plan.problems.push(Problem::Conflict { first, second });
            }
        }
        if !others.is_empty() && self.family.knows_ties {
            let names = sources.iter().map(|source| self.name(source.key)).collect();
            if self.policy.tie {
                self.plan.report.tied.push(names);
            } else if self.plan.problems.len() == before {
                self.plan.problems.push(Problem::UntiedInFile { names });
            }
        }
        let dtype = first.tensor.dtype();
        if self.wanted.dtype != Some(dtype) {
            let name = self.name(first.key);
            self.plan.report.cast.push(name);
        }
        self.plan.report.loaded += 1;
        self.plan.moves.push(Move {
            id: group.id,
            dtype,
            bytes,
        });
    }

    fn check(&mut self, source: &mut Source<'f>, shape: &[usize]) {
        if let Err(expected) = source.fit(shape) {
            self.plan.problems.push(Problem::Shape {
                name: self.name(source.key),
                expected,
                found: source.tensor.shape().to_vec(),
            });
        }
        let found = source.tensor.dtype();
        let castable = self.policy.cast
            && bits::is_float(found)
            && self.wanted.dtype.is_none_or(bits::is_float);
        if self.wanted.dtype != Some(found) && !castable {
            self.plan.problems.push(Problem::Dtype {
                name: self.name(source.key),
                expected: self.wanted.type_name,
                found,
            });
        }
    }

    /// Names that only one side has.
    fn leftovers(&mut self, groups: &[Group<'_>]) {
        let paths: BTreeSet<&str> = groups
            .iter()
            .flat_map(Group::entries)
            .map(|Entry { path, .. }| path.as_str())
            .collect();
        let tensors = self.family.tensors.keys().copied();
        let tensors = tensors.filter(|name| !self.claims.contains_key(name));
        let aliases = self.family.aliases.keys().copied();
        let aliases =
            aliases.filter(|name| !paths.contains(name) && !self.family.tensors.contains_key(name));
        let unexpected: BTreeSet<&str> = tensors.chain(aliases).collect();
        let missing = std::mem::take(&mut self.missing);
        // Only the first few get suggestions: they cost a comparison with every name.
        let mut hints = 0..16;
        let mut hint = |name: &str, known: &mut dyn Iterator<Item = &str>| match hints.next() {
            Some(_) => near(name, known),
            None => Vec::new(),
        };
        for name in &missing {
            if self.policy.missing {
                self.plan.report.missing.push(self.name(name));
            } else {
                let near = hint(name, &mut unexpected.iter().copied());
                let name = self.name(name);
                self.plan.problems.push(Problem::Missing { name, near });
            }
        }
        for name in &unexpected {
            if self.policy.unexpected {
                self.plan.report.unexpected.push(self.name(name));
            } else {
                let near = hint(name, &mut missing.iter().map(String::as_str));
                let name = self.name(name);
                self.plan.problems.push(Problem::Unexpected { name, near });
            }
        }
    }

    /// Tensors that would go into several parameters.
    fn untied(&mut self) {
        let mut shared: Vec<_> = std::mem::take(&mut self.claims).into_values().collect();
        shared.retain(|(_, names)| names.len() > 1);
        // In the order of the network, as the other lists.
        shared.sort();
        for (_, names) in shared {
            let names = names.iter().map(|name| self.name(name)).collect();
            if self.policy.untie {
                self.plan.report.untied.push(names);
            } else {
                self.plan.problems.push(Problem::TiedInFile { names });
            }
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.family.prefix)
    }
}
