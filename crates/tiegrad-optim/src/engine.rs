//! What all optimizers share: settings and groups, state, and the pass over the slabs.

use std::marker::PhantomData;

use tiegrad_arena::{ArenaError, Params, State, Values};
use tiegrad_kernels::scalar::Scalar;

use crate::error::OptimError;
use crate::group::Group;
use crate::plan::{Plan, settings_index};
use crate::setting::{Setting, Settings};

/// The most slabs that an optimizer has.
pub(crate) const SLABS: usize = 3;

/// What makes an optimizer the one it is.
pub(crate) trait Rule: Send + Sync + 'static {
    /// Its name.
    const NAME: &'static str;
    /// Its settings, with PyTorch's defaults.
    const SETTINGS: &'static [(Setting, f64)];
    /// The settings that a group cannot override.
    const WHOLE: &'static [Setting];
    /// What it may remember about each parameter, by PyTorch's names.
    const SLABS: [&'static str; SLABS];

    /// Which of the slabs these settings need. Where they need none, steps are not counted.
    fn uses(settings: &Settings) -> [bool; SLABS];

    /// What is wrong with settings that are each in their range.
    fn objection(settings: &Settings) -> Option<(Setting, &'static str)>;

    /// One update, the elements having had `steps` before; slabs that [`uses`](Self::uses) does not name may be empty.
    fn update<T: Scalar>(
        settings: &Settings,
        steps: u64,
        values: &mut [T],
        grads: &[T],
        slabs: [&mut [T]; SLABS],
    );
}

/// An optimizer but for its name.
pub(crate) struct Engine<T, R> {
    defaults: Settings,
    groups: Vec<Group>,
    /// Weight decay for parameters with two dimensions or more only.
    matrices_only: bool,
    state: State<T>,
    plan: Plan,
    /// The settings in force, at the places that `settings_index` says.
    resolved: Vec<Resolved>,
    /// The slabs that they need.
    uses: [bool; SLABS],
    /// Whether `resolved` is what the settings are.
    fresh: bool,
    /// What has to be looked at before the state is used.
    check: Check,
    rule: PhantomData<fn() -> R>,
}

#[derive(Clone, Copy, Debug)]
struct Resolved {
    settings: Settings,
    /// Whether a step leaves something behind, and is counted.
    counts: bool,
    /// Whether the padding between parameters has to be left out: with an eps of 0 it would become 0 / 0.
    skips_padding: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Check {
    /// The state has the slabs that the settings need.
    Done,
    /// The settings may need others now: those come in as zeros, those not needed go.
    Settings,
    /// Somebody may have put in another state: it has to have the right ones.
    State,
}

impl<T: Scalar, R: Rule> Engine<T, R> {
    pub(crate) fn new() -> Self {
        let mut engine = Self {
            defaults: Settings::of(R::SETTINGS),
            groups: Vec::new(),
            matrices_only: false,
            state: State::new([""; 0]),
            plan: Plan::default(),
            resolved: Vec::new(),
            uses: [false; SLABS],
            fresh: false,
            check: Check::Done,
            rule: PhantomData,
        };
        engine.changed();
        engine
    }

    pub(crate) fn get(&self, setting: Setting) -> f64 {
        self.defaults.get(setting)
    }

    /// Sets the learning rate, of the groups that follow it too. A schedule does this at every step, so that nothing else is
    /// worked out anew; one out of range is left to the next step, which makes the error.
    pub(crate) fn set_lr(&mut self, lr: f64) {
        self.defaults.set(Setting::Lr, lr);
        let own = std::iter::once(lr);
        let lrs = own.chain(self.groups.iter().map(|group| group.lr_of(lr)));
        for (pair, lr) in self.resolved.chunks_mut(settings_index(1, false)).zip(lrs) {
            self.fresh &= Setting::Lr.objection(lr).is_none();
            for resolved in pair {
                resolved.settings.set(Setting::Lr, lr);
            }
        }
    }

    pub(crate) fn with(mut self, setting: Setting, value: f64) -> Self {
        self.settle();
        self.defaults.set(setting, value);
        self.changed();
        self
    }

    pub(crate) fn with_group(mut self, group: Group) -> Self {
        self.settle();
        self.groups.push(group);
        self.plan.forget();
        self.changed();
        self
    }

    pub(crate) fn decay_matrices_only(mut self) -> Self {
        self.matrices_only = true;
        self.plan.forget();
        self.fresh = false;
        self
    }

    pub(crate) fn state(&self) -> &State<T> {
        &self.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut State<T> {
        self.check = Check::State;
        &mut self.state
    }

    pub(crate) fn load_state(&mut self, state: State<T>) -> Result<(), OptimError> {
        self.expect_names(&state)?;
        self.state = state;
        self.check = Check::State;
        Ok(())
    }

    /// The optimizer's settings, and those that differ in a group under `<label>.<name>`.
    pub(crate) fn settings(&self) -> Vec<(String, f64)> {
        let own = R::SETTINGS.iter();
        let mut list: Vec<_> = own
            .map(|&(setting, _)| (setting.name().to_string(), self.get(setting)))
            .collect();
        for (number, group) in self.groups.iter().enumerate() {
            let (settings, label) = (group.resolve(&self.defaults), group.name(number));
            for &(setting, _) in R::SETTINGS {
                if settings.get(setting) != self.get(setting) {
                    list.push((format!("{label}.{}", setting.name()), settings.get(setting)));
                }
            }
        }
        list
    }

    /// Makes everything ready for a step over these values; a few compares when nothing has changed.
    #[inline]
    pub(crate) fn prepare(&mut self, values: &Values<T>) -> Result<(), OptimError> {
        if !self.fresh {
            self.resolve()?;
        }
        self.plan.follow(values, &self.groups, self.matrices_only)?;
        if self.check != Check::Done {
            self.check_state(values)?;
        }
        if self.uses != [false; SLABS] {
            self.state.sync(values);
        }
        Ok(())
    }

    /// Updates the touched parameters: each stretch of the slabs whose parameters have equal settings and step counts at once.
    pub(crate) fn step(&mut self, params: &mut Params<T>) -> Result<(), OptimError> {
        let (values, grads) = params.split_mut();
        self.prepare(values)?;
        self.plan.look(values.slots());
        let plan = &self.plan;
        let (slabs, steps) = self.state.parts_mut::<SLABS>();
        let mut slabs = slabs.into_iter();
        let mut slabs = self.uses.map(|used| {
            let slab = used.then(|| slabs.next()).flatten();
            slab.unwrap_or_default()
        });
        for run in grads.runs(values, |id| plan.settings(id.index()).is_some())? {
            let mut first = run.slots.start;
            while first < run.slots.end {
                let key = |slot| (plan.settings(slot), steps.get(slot).copied());
                let (settings, step) = key(first);
                let Some(resolved) = settings.and_then(|index| self.resolved.get(index)) else {
                    break;
                };
                let mut next = first + 1;
                while next < run.slots.end
                    && key(next) == (settings, step)
                    && !resolved.skips_padding
                {
                    next += 1;
                }
                let range = match values.slots().get(first..next) {
                    Some([one]) => one.range(),
                    Some([one, .., last]) => one.offset..last.range().end,
                    _ => break,
                };
                R::update(
                    &resolved.settings,
                    step.unwrap_or(0),
                    values.slab_mut().get_mut(range.clone()).unwrap_or_default(),
                    grads.slab().get(range.clone()).unwrap_or_default(),
                    slabs
                        .each_mut()
                        .map(|slab| slab.get_mut(range.clone()).unwrap_or_default()),
                );
                if resolved.counts {
                    for step in steps.get_mut(first..next).unwrap_or_default() {
                        *step += 1;
                    }
                }
                first = next;
            }
        }
        Ok(())
    }

    /// Before settings or groups change: a state that fits what they were is not a strange one.
    fn settle(&mut self) {
        if self.check == Check::State && self.expect_names(&self.state).is_ok() {
            self.check = Check::Settings;
        }
    }

    /// The settings or groups are others: a state that holds nothing yet gets the slabs they need, so that it can be filled
    /// before the first step; one that does is changed at the next step.
    fn changed(&mut self) {
        self.fresh = false;
        if self.state.steps().is_empty() {
            self.state = State::new(self.slabs());
        } else if self.check == Check::Done {
            self.check = Check::Settings;
        }
    }

    /// Works the settings of every group out and checks them.
    #[cold]
    fn resolve(&mut self) -> Result<(), OptimError> {
        self.resolved.clear();
        let exempt = |settings: &Settings, group: Option<&Group>| {
            let mut settings = *settings;
            if self.matrices_only && !group.is_some_and(|group| group.sets(Setting::WeightDecay)) {
                settings.set(Setting::WeightDecay, 0.0);
            }
            settings
        };
        let divides = R::SETTINGS
            .iter()
            .any(|(setting, _)| *setting == Setting::Eps);
        let own = (self.defaults, None);
        let groups = self.groups.iter().enumerate();
        let groups = groups.map(|(number, g)| (g.resolve(&self.defaults), Some((number, g))));
        for (settings, group) in std::iter::once(own).chain(groups) {
            check::<R>(&settings, group)?;
            let exempt = exempt(&settings, group.map(|(_, group)| group));
            for settings in [settings, exempt] {
                self.resolved.push(Resolved {
                    settings,
                    counts: R::uses(&settings) != [false; SLABS],
                    skips_padding: divides && settings.get(Setting::Eps) == 0.0,
                });
            }
        }
        debug_assert_eq!(
            self.resolved.len(),
            settings_index(self.groups.len() + 1, false)
        );
        self.uses = self.needs();
        self.fresh = true;
        Ok(())
    }

    /// Which slabs the settings need, of the optimizer or of any group.
    fn needs(&self) -> [bool; SLABS] {
        let groups = self
            .groups
            .iter()
            .map(|group| group.resolve(&self.defaults));
        let uses = std::iter::once(self.defaults)
            .chain(groups)
            .map(|s| R::uses(&s));
        uses.fold([false; SLABS], |all, one| {
            std::array::from_fn(|slab| all[slab] || one[slab])
        })
    }

    /// Their names.
    fn slabs(&self) -> impl Iterator<Item = &'static str> {
        let named = R::SLABS.into_iter().zip(self.needs());
        named.filter_map(|(name, used)| used.then_some(name))
    }

    fn expect_names(&self, state: &State<T>) -> Result<(), OptimError> {
        let same_number = state.names().len() == self.slabs().count();
        if same_number
            && self
                .slabs()
                .all(|name| state.names().any(|found| found == name))
        {
            return Ok(());
        }
        Err(OptimError::State {
            optimizer: R::NAME,
            expected: self.slabs().collect(),
            found: state.names().map(Into::into).collect(),
        })
    }

    /// Gives the state the slabs that the settings need, in their order.
    #[cold]
    fn check_state(&mut self, values: &Values<T>) -> Result<(), OptimError> {
        if self.check == Check::State {
            self.expect_names(&self.state)?;
        }
        if !self.slabs().eq(self.state.names()) {
            self.state.sync(values);
            self.state = rearranged(&self.state, self.slabs(), values)?;
        }
        self.check = Check::Done;
        Ok(())
    }
}

/// A state with slabs of these names and, as far as the old one has them, its contents.
fn rearranged<T: Scalar>(
    old: &State<T>,
    names: impl Iterator<Item = &'static str>,
    values: &Values<T>,
) -> Result<State<T>, ArenaError> {
    let mut new = State::new(names);
    new.sync(values);
    let ids: Vec<_> = old.ids().collect();
    for id in ids {
        new.set_step(id, old.step(id)?)?;
        for name in old.names() {
            if new.names().any(|known| known == name) {
                new.set_tensor(id, name, &old.tensor(id, name)?)?;
            }
        }
    }
    Ok(new)
}

/// Checks the settings of a group (with its number), or the optimizer's own.
fn check<R: Rule>(settings: &Settings, group: Option<(usize, &Group)>) -> Result<(), OptimError> {
    let name = || group.map(|(number, group)| group.name(number));
    let in_group = |setting| {
        R::SETTINGS.iter().any(|(known, _)| *known == setting) && !R::WHOLE.contains(&setting)
    };
    let overrides = group.map_or(&[][..], |(_, group)| group.overrides());
    if let Some((setting, _)) = overrides.iter().find(|(setting, _)| !in_group(*setting)) {
        let known = R::SETTINGS.iter().map(|(setting, _)| *setting);
        return Err(OptimError::UnknownSetting {
            optimizer: R::NAME,
            group: name().unwrap_or_default(),
            setting: setting.name(),
            known: known
                .filter(|setting| in_group(*setting))
                .map(Setting::name)
                .collect(),
        });
    }
    let mut objections = R::SETTINGS.iter().filter_map(|&(setting, _)| {
        let expected = setting.objection(settings.get(setting))?;
        Some((setting, expected))
    });
    match objections.next().or_else(|| R::objection(settings)) {
        None => Ok(()),
        Some((setting, expected)) => Err(OptimError::Setting {
            optimizer: R::NAME,
            group: name(),
            setting: setting.name(),
            value: settings.get(setting),
            expected,
        }),
    }
}

impl<T: Scalar, R> Clone for Engine<T, R> {
    fn clone(&self) -> Self {
        Self {
            defaults: self.defaults,
            groups: self.groups.clone(),
            matrices_only: self.matrices_only,
            state: self.state.clone(),
            plan: self.plan.clone(),
            resolved: self.resolved.clone(),
            uses: self.uses,
            fresh: self.fresh,
            check: self.check,
            rule: PhantomData,
        }
    }
}
