//! Parameter groups: some parameters with settings of their own.

use tiegrad_arena::{Params, Selection};
use tiegrad_kernels::scalar::Scalar;

use crate::setting::{Setting, Settings};

/// Parameters that an optimizer treats by settings of their own. What a group does not set it has from the optimizer, also
/// when that is changed later; parameters in no group have everything from it.
///
/// A parameter may be in one group only; ids that are removed from the arena leave their group by themselves. What is
/// [forked](Params::fork) from a parameter of a group (a tie that is undone) is in that group too, unless another one names it.
///
/// ```
/// use tiegrad_arena::{Params, Selection, Shape};
/// use tiegrad_optim::{AdamW, Group, matrices};
///
/// let mut params = Params::<f32>::new();
/// let weight = params.insert_with(Shape::new(&[2, 2])?, |_| {});
/// let bias = params.insert_with(Shape::new(&[2])?, |_| {});
/// let head = Selection::from_ids([bias]);
/// let mut opt = AdamW::new(1e-3)
///     .group(Group::new(matrices(&params)).label("decayed").weight_decay(0.1))
///     .group(Group::new(head).label("head").lr_scale(0.1));
/// opt.step(&mut params)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a group does nothing before an optimizer has it: `optimizer.group(group)`"]
pub struct Group {
    pub(crate) ids: Selection,
    pub(crate) label: Option<Box<str>>,
    overrides: Vec<(Setting, f64)>,
    lr_scale: f64,
}

impl Group {
    /// A group of these parameters, without settings of its own yet.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Selection};
    /// use tiegrad_optim::Group;
    ///
    /// let params = Params::<f32>::new();
    /// let everything = Group::new(Selection::from_ids(params.ids()));
    /// ```
    pub fn new(ids: Selection) -> Self {
        Self {
            ids,
            label: None,
            overrides: Vec::new(),
            lr_scale: 1.0,
        }
    }

    /// Gives it a name for errors and lists of settings. Without one it is called by its number: "group 0".
    ///
    /// ```
    /// use tiegrad_arena::{Params, Selection, Shape};
    /// use tiegrad_optim::{Group, SGD};
    ///
    /// let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::SCALAR, |_| {});
    /// let ids = Selection::from_ids([id]);
    /// let mut opt = SGD::new(0.1)
    ///     .group(Group::new(ids.clone()).label("trunk"))
    ///     .group(Group::new(ids).label("head"));
    /// let error = opt.step(&mut params).unwrap_err().to_string();
    /// assert!(error.starts_with(&format!("the parameter {id} is in two parameter groups: \"trunk\" and \"head\"")));
    /// ```
    pub fn label(mut self, label: impl Into<Box<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// A learning rate of its own, which `set_lr` of the optimizer (a schedule) does not change.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    /// let group = Group::new(Selection::default()).label("head").lr(0.1);
    /// let opt = SGD::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.lr".to_string(), 0.1)));
    /// ```
    pub fn lr(mut self, lr: f64) -> Self {
        self.lr_scale = 1.0;
        self.set(Setting::Lr, lr)
    }

    /// This multiple of the optimizer's learning rate, whatever that is at the moment.
    ///
    /// ```
    /// use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    ///
    /// let mut opt = SGD::<f32>::new(0.1).group(Group::new(Selection::default()).label("head").lr_scale(0.5));
    /// opt.set_lr(0.01);
    /// assert!(opt.settings().contains(&("head.lr".to_string(), 0.005)));
    /// ```
    pub fn lr_scale(mut self, factor: f64) -> Self {
        self.overrides
            .retain(|(setting, _)| *setting != Setting::Lr);
        self.lr_scale = factor;
        self
    }

    /// A weight decay of its own (also where the optimizer decays matrices only).
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, AdamW};
    /// let group = Group::new(Selection::default()).label("head").weight_decay(0.0);
    /// let opt = AdamW::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.weight_decay".to_string(), 0.0)));
    /// ```
    pub fn weight_decay(self, weight_decay: f64) -> Self {
        self.set(Setting::WeightDecay, weight_decay)
    }

    /// A momentum of its own.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    /// let group = Group::new(Selection::default()).label("head").momentum(0.9);
    /// let opt = SGD::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.momentum".to_string(), 0.9)));
    /// ```
    pub fn momentum(self, momentum: f64) -> Self {
        self.set(Setting::Momentum, momentum)
    }

    /// A dampening of its own.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    /// let group = Group::new(Selection::default()).label("head").dampening(0.1);
    /// let opt = SGD::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.dampening".to_string(), 0.1)));
    /// ```
    pub fn dampening(self, dampening: f64) -> Self {
        self.set(Setting::Dampening, dampening)
    }

    /// Nesterov momentum or not, for this group.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    /// let group = Group::new(Selection::default()).label("head").momentum(0.9).nesterov(true);
    /// let opt = SGD::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.nesterov".to_string(), 1.0)));
    /// ```
    pub fn nesterov(self, nesterov: bool) -> Self {
        self.set(Setting::Nesterov, f64::from(nesterov))
    }

    /// Betas of its own.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, Adam};
    /// let group = Group::new(Selection::default()).label("head").betas(0.8, 0.99);
    /// let opt = Adam::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.beta2".to_string(), 0.99)));
    /// ```
    pub fn betas(self, beta1: f64, beta2: f64) -> Self {
        self.set(Setting::Beta1, beta1).set(Setting::Beta2, beta2)
    }

    /// An eps of its own.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, Adam};
    /// let group = Group::new(Selection::default()).label("head").eps(1e-6);
    /// let opt = Adam::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.eps".to_string(), 1e-6)));
    /// ```
    pub fn eps(self, eps: f64) -> Self {
        self.set(Setting::Eps, eps)
    }

    /// An alpha of its own.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, RMSprop};
    /// let group = Group::new(Selection::default()).label("head").alpha(0.9);
    /// let opt = RMSprop::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.alpha".to_string(), 0.9)));
    /// ```
    pub fn alpha(self, alpha: f64) -> Self {
        self.set(Setting::Alpha, alpha)
    }

    /// Whether to go up the gradient, for this group.
    ///
    /// ```
    /// # use tiegrad_arena::Selection;
    /// use tiegrad_optim::{Group, SGD};
    /// let group = Group::new(Selection::default()).label("head").maximize(true);
    /// let opt = SGD::<f32>::new(0.5).group(group);
    /// assert!(opt.settings().contains(&("head.maximize".to_string(), 1.0)));
    /// ```
    pub fn maximize(self, maximize: bool) -> Self {
        self.set(Setting::Maximize, f64::from(maximize))
    }

    fn set(mut self, setting: Setting, value: f64) -> Self {
        self.overrides.retain(|(known, _)| *known != setting);
        self.overrides.push((setting, value));
        self
    }

    /// Its name in messages, as the group of this number.
    pub(crate) fn name(&self, number: usize) -> Box<str> {
        self.label
            .clone()
            .unwrap_or_else(|| format!("group {number}").into())
    }

    pub(crate) fn overrides(&self) -> &[(Setting, f64)] {
        &self.overrides
    }

    pub(crate) fn sets(&self, setting: Setting) -> bool {
        self.overrides.iter().any(|(known, _)| *known == setting)
    }

    /// Its learning rate, given the optimizer's.
    #[inline]
    pub(crate) fn lr_of(&self, lr: f64) -> f64 {
        let own = self
            .overrides
            .iter()
            .find(|(setting, _)| *setting == Setting::Lr);
        own.map_or(lr * self.lr_scale, |(_, lr)| *lr)
    }

    /// Its settings, given the optimizer's.
    pub(crate) fn resolve(&self, defaults: &Settings) -> Settings {
        let mut settings = *defaults;
        settings.set(Setting::Lr, self.lr_of(defaults.get(Setting::Lr)));
        for &(setting, value) in &self.overrides {
            settings.set(setting, value);
        }
        settings
    }
}

/// The parameters with two dimensions or more: what weight decay is usually for (biases and norms have one).
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_optim::matrices;
///
/// let mut params = Params::<f32>::new();
/// let weight = params.insert_with(Shape::new(&[4, 2])?, |_| {});
/// let bias = params.insert_with(Shape::new(&[4])?, |_| {});
/// let decayed = matrices(&params);
/// assert!(decayed.contains(weight) && !decayed.contains(bias));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn matrices<T: Scalar>(params: &Params<T>) -> Selection {
    let slots = params.values().slots().iter();
    slots
        .filter(|slot| slot.shape.rank() >= 2)
        .filter_map(|slot| slot.id)
        .collect()
}
