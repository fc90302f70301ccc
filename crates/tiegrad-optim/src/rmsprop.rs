//! RMSprop.

use tiegrad_kernels::scalar::Scalar;
use tiegrad_kernels::step::{self, RmspropStep};

use crate::engine::{Rule, SLABS};
use crate::setting::{Setting, Settings};

optimizer! {
    /// RMSprop, as `torch.optim.RMSprop`.
    ///
    /// For a gradient `g` of a parameter `p`, negated with `maximize`:
    /// ```text
    /// g = g + weight_decay * p
    /// s = alpha * s + (1 - alpha) * g²         square_avg
    /// a = alpha * a + (1 - alpha) * g          grad_avg, if centered: then s - a² takes the place of s below
    /// d = g / (sqrt(s) + eps)
    /// b = momentum * b + d                     momentum_buffer, if there is momentum: then b takes the place of d
    /// p = p - lr * d
    /// ```
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_optim::RMSprop;
    ///
    /// let mut params = Params::<f64>::new();
    /// let id = params.insert_with(Shape::SCALAR, |w| w[0] = 1.0);
    /// let mut opt = RMSprop::new(0.1).alpha(0.75);
    /// # let (values, grads) = params.split_mut();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[0] = 7.0;
    /// opt.step(&mut params)?; // the gradient is positive: 1 / sqrt(1 - alpha) is 2
    /// assert!((params.as_slice(id)?[0] - 0.8).abs() < 1e-8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    RMSprop, Rmsprop
}

impl<T: Scalar> RMSprop<T> {
    /// How much of the averages stays at each step; 0.99 by default.
    ///
    /// ```
    /// let opt = tiegrad_optim::RMSprop::<f32>::new(0.01).alpha(0.9);
    /// assert!(opt.settings().contains(&("alpha".to_string(), 0.9)));
    /// ```
    #[must_use]
    pub fn alpha(self, alpha: f64) -> Self {
        self.with(Setting::Alpha, alpha)
    }

    /// What is added to the denominator; 1e-8 by default.
    ///
    /// ```
    /// let opt = tiegrad_optim::RMSprop::<f32>::new(0.01).eps(1e-6);
    /// assert!(opt.settings().contains(&("eps".to_string(), 1e-6)));
    /// ```
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        self.with(Setting::Eps, eps)
    }

    /// The momentum factor; 0 (the default) is none.
    ///
    /// ```
    /// let opt = tiegrad_optim::RMSprop::<f32>::new(0.01).momentum(0.9);
    /// assert!(opt.state().names().eq(["square_avg", "momentum_buffer"]));
    /// ```
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        self.with(Setting::Momentum, momentum)
    }

    /// Whether to divide by an estimate of the variance instead of the mean square.
    ///
    /// ```
    /// let opt = tiegrad_optim::RMSprop::<f32>::new(0.01).centered(true);
    /// assert!(opt.state().names().eq(["square_avg", "grad_avg"]));
    /// ```
    #[must_use]
    pub fn centered(self, centered: bool) -> Self {
        self.with(Setting::Centered, f64::from(centered))
    }
}

struct Rmsprop;

impl Rule for Rmsprop {
    const NAME: &'static str = "RMSprop";
    const SETTINGS: &'static [(Setting, f64)] = &[
        (Setting::Lr, 1e-2),
        (Setting::Alpha, 0.99),
        (Setting::Eps, 1e-8),
        (Setting::WeightDecay, 0.0),
        (Setting::Momentum, 0.0),
        (Setting::Centered, 0.0),
        (Setting::Maximize, 0.0),
    ];
    const WHOLE: &'static [Setting] = &[Setting::Centered];
    const SLABS: [&'static str; SLABS] = ["square_avg", "momentum_buffer", "grad_avg"];

    fn uses(settings: &Settings) -> [bool; SLABS] {
        let momentum = settings.get(Setting::Momentum) != 0.0;
        [true, momentum, settings.on(Setting::Centered)]
    }

    fn objection(_: &Settings) -> Option<(Setting, &'static str)> {
        None
    }

    #[inline]
    fn update<T: Scalar>(
        settings: &Settings,
        _: u64,
        values: &mut [T],
        grads: &[T],
        [square_avg, momentum_buffer, grad_avg]: [&mut [T]; SLABS],
    ) {
        let factors = RmspropStep {
            lr: settings.get(Setting::Lr),
            alpha: settings.get(Setting::Alpha),
            eps: settings.get(Setting::Eps),
            weight_decay: settings.get(Setting::WeightDecay),
            momentum: settings.get(Setting::Momentum),
            maximize: settings.on(Setting::Maximize),
        };
        let grad_avg = settings.on(Setting::Centered).then_some(grad_avg);
        step::rmsprop(
            values,
            grads,
            square_avg,
            grad_avg,
            Some(momentum_buffer),
            factors,
        );
    }
}
