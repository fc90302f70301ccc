//! Adam and AdamW.

use tiegrad_kernels::scalar::Scalar;
use tiegrad_kernels::step::{self, AdamStep};

use crate::engine::{Rule, SLABS};
use crate::setting::{Setting, Settings};

optimizer! {
    /// Adam, as `torch.optim.Adam` ([Kingma and Ba, 2014](https://arxiv.org/abs/1412.6980)).
    ///
    /// For a gradient `g` of a parameter `p` at its step `t` (from 1), negated with `maximize`:
    /// ```text
    /// g = g + weight_decay * p
    /// m = beta1 * m + (1 - beta1) * g          exp_avg
    /// v = beta2 * v + (1 - beta2) * g²         exp_avg_sq; with amsgrad its largest value so far is used
    /// p = p - lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps)
    /// ```
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_optim::Adam;
    ///
    /// let mut params = Params::<f64>::new();
    /// let id = params.insert_with(Shape::SCALAR, |w| w[0] = 1.0);
    /// let mut opt = Adam::new(0.1).betas(0.9, 0.99);
    /// # let (values, grads) = params.split_mut();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[0] = 7.0;
    /// opt.step(&mut params)?; // the gradient is positive
    /// assert!((params.as_slice(id)?[0] - 0.9).abs() < 1e-8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Adam, AdamRule<false>
}

optimizer! {
    /// Adam with decoupled weight decay, as `torch.optim.AdamW`
    /// ([Loshchilov and Hutter, 2017](https://arxiv.org/abs/1711.05101)).
    ///
    /// As [`Adam`], but the weight decay does not go through the moments: parameters shrink by `1 - lr * weight_decay` first.
    /// The default weight decay is PyTorch's, 0.01.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_optim::AdamW;
    ///
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert_with(Shape::new(&[2, 2])?, |w| w.fill(1.0));
    /// let mut opt = AdamW::new(1e-3).betas(0.9, 0.99).weight_decay(0.1).decay_matrices_only();
    /// opt.step(&mut params)?;
    /// assert!(opt.state().names().eq(["exp_avg", "exp_avg_sq"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    AdamW, AdamRule<true>
}

macro_rules! adam_settings {
    ($name:ident) => {
        impl<T: Scalar> $name<T> {
            /// How much of the averages of the gradient and of its square stays at each step; 0.9 and 0.999 by default.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).betas(0.8, 0.99);")]
            /// assert!(opt.settings().contains(&("beta1".to_string(), 0.8)));
            /// ```
            #[must_use]
            pub fn betas(self, beta1: f64, beta2: f64) -> Self {
                self.with(Setting::Beta1, beta1).with(Setting::Beta2, beta2)
            }

            /// What is added to the denominator; 1e-8 by default.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).eps(1e-6);")]
            /// assert!(opt.settings().contains(&("eps".to_string(), 1e-6)));
            /// ```
            #[must_use]
            pub fn eps(self, eps: f64) -> Self {
                self.with(Setting::Eps, eps)
            }

            /// AMSGrad: divides by the largest average of squares so far
            /// ([Reddi, Kale and Kumar, 2018](https://arxiv.org/abs/1904.09237)).
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).amsgrad(true);")]
            /// assert!(opt.state().names().eq(["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]));
            /// ```
            #[must_use]
            pub fn amsgrad(self, amsgrad: bool) -> Self {
                self.with(Setting::Amsgrad, f64::from(amsgrad))
            }
        }
    };
}
adam_settings!(Adam);
adam_settings!(AdamW);

impl<T: Scalar> Adam<T> {
    /// Whether the weight decay is that of [`AdamW`].
    ///
    /// ```
    /// let opt = tiegrad_optim::Adam::<f32>::new(0.1).weight_decay(0.1).decoupled_weight_decay(true);
    /// assert!(opt.settings().contains(&("decoupled_weight_decay".to_string(), 1.0)));
    /// ```
    #[must_use]
    pub fn decoupled_weight_decay(self, decoupled: bool) -> Self {
        self.with(Setting::DecoupledWeightDecay, f64::from(decoupled))
    }
}

struct AdamRule<const W: bool>;

impl<const W: bool> Rule for AdamRule<W> {
    const NAME: &'static str = if W { "AdamW" } else { "Adam" };
    const SETTINGS: &'static [(Setting, f64)] = &[
        (Setting::Lr, 1e-3),
        (Setting::Beta1, 0.9),
        (Setting::Beta2, 0.999),
        (Setting::Eps, 1e-8),
        (Setting::WeightDecay, if W { 1e-2 } else { 0.0 }),
        (Setting::Amsgrad, 0.0),
        (Setting::Maximize, 0.0),
        (Setting::DecoupledWeightDecay, if W { 1.0 } else { 0.0 }),
    ];
    const WHOLE: &'static [Setting] = &[Setting::Amsgrad, Setting::DecoupledWeightDecay];
    const SLABS: [&'static str; SLABS] = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"];

    fn uses(settings: &Settings) -> [bool; SLABS] {
        [true, true, settings.on(Setting::Amsgrad)]
    }

    fn objection(_: &Settings) -> Option<(Setting, &'static str)> {
        None
    }

    #[inline]
    fn update<T: Scalar>(
        settings: &Settings,
        steps: u64,
        values: &mut [T],
        grads: &[T],
        [exp_avg, exp_avg_sq, max_exp_avg_sq]: [&mut [T]; SLABS],
    ) {
        let [beta1, beta2] = [Setting::Beta1, Setting::Beta2].map(|beta| settings.get(beta));
        let (lr, eps) = (settings.get(Setting::Lr), settings.get(Setting::Eps));
        let factors = AdamStep {
            weight_decay: settings.get(Setting::WeightDecay),
            decoupled: settings.on(Setting::DecoupledWeightDecay),
            maximize: settings.on(Setting::Maximize),
            ..AdamStep::new(lr, beta1, beta2, eps, steps.saturating_add(1))
        };
        let max = settings.on(Setting::Amsgrad).then_some(max_exp_avg_sq);
        step::adam(values, grads, exp_avg, exp_avg_sq, max, factors);
    }
}
