//! Stochastic gradient descent.

use tiegrad_kernels::scalar::Scalar;
use tiegrad_kernels::step::{self, SgdStep};

use crate::engine::{Rule, SLABS};
use crate::setting::{Setting, Settings};

optimizer! {
    /// Stochastic gradient descent with momentum, as `torch.optim.SGD`.
    ///
    /// For a gradient `g` of a parameter `p`, negated with `maximize`:
    /// ```text
    /// g = g + weight_decay * p
    /// b = g                                    at the parameter's first step, later
    /// b = momentum * b + (1 - dampening) * g
    /// p = p - lr * b                           or, with nesterov,
    /// p = p - lr * (g + momentum * b)
    /// ```
    /// Without momentum there is no state, and steps are not counted.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_optim::SGD;
    ///
    /// let mut params = Params::<f64>::new();
    /// let id = params.insert_with(Shape::SCALAR, |w| w[0] = 1.0);
    /// let mut opt = SGD::new(0.1).momentum(0.9).nesterov(true);
    /// # let (values, grads) = params.split_mut();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[0] = 1.0;
    /// opt.step(&mut params)?; // the gradient is 1
    /// assert!((params.as_slice(id)?[0] - (1.0 - 0.1 * 1.9)).abs() < 1e-15);
    /// assert!(opt.state().names().eq(["momentum_buffer"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    SGD, Sgd
}

impl<T: Scalar> SGD<T> {
    /// The momentum factor; 0 (the default) is none.
    ///
    /// ```
    /// let opt = tiegrad_optim::SGD::<f32>::new(0.1).momentum(0.9);
    /// assert!(opt.settings().contains(&("momentum".to_string(), 0.9)));
    /// ```
    #[must_use]
    pub fn momentum(self, momentum: f64) -> Self {
        self.with(Setting::Momentum, momentum)
    }

    /// How much less than in full a gradient joins the momentum; 0 is the default.
    ///
    /// ```
    /// let opt = tiegrad_optim::SGD::<f32>::new(0.1).momentum(0.9).dampening(0.1);
    /// assert!(opt.settings().contains(&("dampening".to_string(), 0.1)));
    /// ```
    #[must_use]
    pub fn dampening(self, dampening: f64) -> Self {
        self.with(Setting::Dampening, dampening)
    }

    /// Nesterov momentum. Needs a momentum and no dampening.
    ///
    /// ```
    /// use tiegrad_arena::Params;
    /// use tiegrad_optim::SGD;
    ///
    /// let error = SGD::new(0.1).nesterov(true).step(&mut Params::<f32>::new()).unwrap_err();
    /// assert_eq!(error.to_string(), "SGD: nesterov is 1; it has to be 0 where momentum is 0 or dampening is not 0");
    /// ```
    #[must_use]
    pub fn nesterov(self, nesterov: bool) -> Self {
        self.with(Setting::Nesterov, f64::from(nesterov))
    }
}

struct Sgd;

impl Rule for Sgd {
    const NAME: &'static str = "SGD";
    const SETTINGS: &'static [(Setting, f64)] = &[
        (Setting::Lr, 1e-3),
        (Setting::Momentum, 0.0),
        (Setting::Dampening, 0.0),
        (Setting::WeightDecay, 0.0),
        (Setting::Nesterov, 0.0),
        (Setting::Maximize, 0.0),
    ];
    const WHOLE: &'static [Setting] = &[];
    const SLABS: [&'static str; SLABS] = ["momentum_buffer", "", ""];

    fn uses(settings: &Settings) -> [bool; SLABS] {
        [settings.get(Setting::Momentum) != 0.0, false, false]
    }

    fn objection(settings: &Settings) -> Option<(Setting, &'static str)> {
        let plain = settings.get(Setting::Momentum) == 0.0;
        let dampened = settings.get(Setting::Dampening) != 0.0;
        (settings.on(Setting::Nesterov) && (plain || dampened)).then_some((
            Setting::Nesterov,
            "0 where momentum is 0 or dampening is not 0",
        ))
    }

    #[inline]
    fn update<T: Scalar>(
        settings: &Settings,
        steps: u64,
        values: &mut [T],
        grads: &[T],
        [momentum_buffer, ..]: [&mut [T]; SLABS],
    ) {
        let factors = SgdStep {
            lr: settings.get(Setting::Lr),
            momentum: settings.get(Setting::Momentum),
            dampening: settings.get(Setting::Dampening),
            weight_decay: settings.get(Setting::WeightDecay),
            nesterov: settings.on(Setting::Nesterov),
            maximize: settings.on(Setting::Maximize),
            first: steps == 0,
        };
        step::sgd(values, grads, Some(momentum_buffer), factors);
    }
}
