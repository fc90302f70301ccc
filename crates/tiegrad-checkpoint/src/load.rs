//! From a file into an arena and an optimizer's state.

use crate::dtype::Dtype;
use tiegrad_arena::{ArenaError, Params, State};
use tiegrad_kernels::scalar::Scalar;

use crate::bits;
use crate::error::Error;
use crate::loaded::Loaded;
use crate::names::{self, Entry, Group};
use crate::plan::{Family, Plan, Wanted, plan};
use crate::policy::{Policy, Report};

impl Loaded {
    /// Writes the file's tensors into the parameters of these names. Everything is checked before anything is written: on
    /// an error the arena is as it was. Gradients and what is not named stay as they are.
    ///
    /// A name is looked for as it is and as an alias that the file's metadata knows. A tied parameter takes its value from
    /// whichever of its names the file has; where it has several, they must be equal bit for bit.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with every [`Problem`](crate::Problem) that `policy` does not allow; [`Error::Arena`] and
    /// [`Error::DuplicateName`] for a list of names that does not fit the arena.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// let mut params = Params::<f32>::new();
    /// let [one, two] = [1.0, 2.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// let tied = [Entry::new("a", one), Entry::new("b", one)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &tied).to_bytes()?)?;
    ///
    /// let untied = [Entry::new("a", one), Entry::new("b", two)];
    /// let error = loaded.load_into(&mut params, &untied, Policy::strict()).unwrap_err();
    /// assert!(error.to_string().contains(r#""a" and "b" are one parameter in the file"#));
    /// assert_eq!(params.as_slice(two)?, [2.0]);
    ///
    /// let report = loaded.load_into(&mut params, &untied, Policy::strict().allow_untie(true))?;
    /// assert_eq!(report.untied, [["a", "b"]]);
    /// assert_eq!(params.as_slice(two)?, [1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load_into<T: Scalar>(
        &self,
        params: &mut Params<T>,
        names: &[Entry],
        policy: Policy,
    ) -> Result<Report, Error> {
        let groups = names::group(names)?;
        let shapes = shapes(params, &groups)?;
        let plan = plan(
            &Family::parameters(self),
            &groups,
            &shapes,
            &wanted::<T>(),
            policy,
        );
        let plan = self.allowed(plan)?;
        for step in &plan.moves {
            let values = params.as_mut_slice(step.id).map_err(late)?;
            bits::decode(step.dtype, &step.bytes, values);
        }
        Ok(plan.report)
    }

    /// Brings back an optimizer's state that was saved as `name`, tensors and step counters. Everything is checked before
    /// anything is written: on an error the state is as it was. What it remembers of parameters that are not named stays.
    /// Ties are treated as by [`load_into`](Self::load_into).
    ///
    /// # Errors
    /// [`Error::State`] where the file has no such state or one of another kind of optimizer; else as
    /// [`load_into`](Self::load_into).
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape, State};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::SCALAR, |_| {});
    /// let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// state.sync(params.values());
    /// state.set_step(id, 7)?;
    /// let names = [Entry::new("a", id)];
    /// let bytes = Checkpoint::new(&params, &names).state("optimizer", &state).to_bytes()?;
    ///
    /// let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// let loaded = Loaded::from_bytes(bytes)?;
    /// loaded.restore_state("optimizer", &mut state, &params, &names, Policy::strict())?;
    /// assert_eq!(state.step(id)?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_state<T: Scalar>(
        &self,
        name: &str,
        state: &mut State<T>,
        params: &Params<T>,
        names: &[Entry],
        policy: Policy,
    ) -> Result<Report, Error> {
        let groups = names::group(names)?;
        let shapes = shapes(params, &groups)?;
        let slabs = self.same_slabs(name, state)?;
        let prefixes: Vec<String> = slabs.iter().map(|slab| format!("{name}.{slab}.")).collect();
        let mut all = Plan::default();
        let mut tensors = Vec::new();
        for prefix in &prefixes {
            let family = Family::below(self, prefix);
            let mut plan = plan(&family, &groups, &shapes, &wanted::<T>(), policy);
            tensors.push(std::mem::take(&mut plan.moves));
            all.problems.append(&mut plan.problems);
            all.report.extend(plan.report);
        }
        let counter = Wanted {
            dtype: Some(Dtype::U64),
            type_name: "U64",
        };
        let prefix = format!("{name}.step.");
        let scalars = vec![Vec::new(); groups.len()];
        let mut steps = plan(
            &Family::below(self, &prefix),
            &groups,
            &scalars,
            &counter,
            policy,
        );
        let counters = std::mem::take(&mut steps.moves);
        all.problems.append(&mut steps.problems);
        all.report.extend(steps.report);
        let all = self.allowed(all)?;

        state.sync(params.values());
        for (slab, moves) in slabs.iter().zip(&tensors) {
            for step in moves {
                let mut value = params.value(step.id).map_err(late)?.to_owned();
                let mut values = vec![T::ZERO; value.len()];
                bits::decode(step.dtype, &step.bytes, &mut values);
                value.iter_mut().zip(values).for_each(|(to, x)| *to = x);
                state.set_tensor(step.id, slab, &value).map_err(late)?;
            }
        }
        for step in &counters {
            let bytes = step.bytes.first_chunk().copied().unwrap_or_default();
            let count = u64::from_le_bytes(bytes);
            state.set_step(step.id, count).map_err(late)?;
        }
        Ok(all.report)
    }

    /// The names of the state's tensors, provided the file's state has the same ones.
    fn same_slabs<T: Scalar>(&self, name: &str, state: &State<T>) -> Result<Vec<String>, Error> {
        let expected: Vec<String> = state.names().map(String::from).collect();
        let found = self.extras.states.get(name);
        let sorted = |slabs: &[String]| {
            let mut slabs = slabs.to_vec();
            slabs.sort();
            slabs
        };
        match found {
            Some(found) if sorted(found) == sorted(&expected) => Ok(expected),
            _ => Err(Error::State {
                path: self.path.clone(),
                name: name.into(),
                expected,
                found: found.cloned(),
            }),
        }
    }

    fn allowed<'f>(&self, plan: Plan<'f>) -> Result<Plan<'f>, Error> {
        if plan.problems.is_empty() {
            return Ok(plan);
        }
        Err(Error::Mismatch {
            path: self.path.clone(),
            problems: plan.problems,
        })
    }
}

fn wanted<T: Scalar>() -> Wanted {
    Wanted {
        dtype: bits::stored::<T>(),
        type_name: bits::type_name::<T>(),
    }
}

fn shapes<T: Scalar>(params: &Params<T>, groups: &[Group<'_>]) -> Result<Vec<Vec<usize>>, Error> {
    let shape = |group: &Group<'_>| match params.info(group.id) {
        Ok(info) => Ok(info.shape.to_vec()),
        Err(source) => Err(Error::Arena {
            name: group.canonical.path.clone(),
            source,
        }),
    };
    groups.iter().map(shape).collect()
}

/// For errors that the checks before have ruled out.
fn late(source: ArenaError) -> Error {
    Error::Arena {
        name: "a checked name".into(),
        source,
    }
}
