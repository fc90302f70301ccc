//! What all optimizers have in their interface, written once.

/// Makes the public type of an optimizer from its [`Rule`](crate::engine::Rule).
macro_rules! optimizer {
    ($(#[$meta:meta])* $name:ident, $rule:ty) => {
        $(#[$meta])*
        pub struct $name<T = f32> {
            engine: $crate::engine::Engine<T, $rule>,
        }

        impl<T: tiegrad_kernels::scalar::Scalar> $name<T> {
            /// With this learning rate and PyTorch's defaults for the rest.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.25);")]
            /// assert_eq!(opt.lr(), 0.25);
            /// ```
            pub fn new(lr: f64) -> Self {
                Self::default().with($crate::setting::Setting::Lr, lr)
            }

            /// Adds a group of parameters with settings of their own; see [`Group`](crate::Group).
            ///
            /// ```
            /// use tiegrad_arena::{Params, Selection, Shape};
            #[doc = concat!("use tiegrad_optim::{Group, ", stringify!($name), "};")]
            ///
            /// let mut params = Params::<f32>::new();
            /// let head = params.insert_with(Shape::SCALAR, |_| {});
            #[doc = concat!("let mut opt = ", stringify!($name), "::new(0.1)")]
            ///     .group(Group::new(Selection::from_ids([head])).label("head").lr(0.01));
            /// opt.step(&mut params)?;
            /// # Ok::<(), tiegrad_optim::OptimError>(())
            /// ```
            #[must_use]
            pub fn group(self, group: $crate::Group) -> Self {
                Self { engine: self.engine.with_group(group) }
            }

            /// Weight decay; 0 is none.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).weight_decay(0.5);")]
            /// assert!(opt.settings().contains(&("weight_decay".to_string(), 0.5)));
            /// ```
            #[must_use]
            pub fn weight_decay(self, weight_decay: f64) -> Self {
                self.with($crate::setting::Setting::WeightDecay, weight_decay)
            }

            /// Exempts parameters with fewer than two dimensions (biases, norms) from the weight decay, except in groups that set
            /// one themselves.
            ///
            /// ```
            /// use tiegrad_arena::Params;
            #[doc = concat!("use tiegrad_optim::", stringify!($name), ";")]
            ///
            #[doc = concat!("let mut opt = ", stringify!($name), "::new(0.1).weight_decay(0.1).decay_matrices_only();")]
            /// opt.step(&mut Params::<f32>::new())?;
            /// # Ok::<(), tiegrad_optim::OptimError>(())
            /// ```
            #[must_use]
            pub fn decay_matrices_only(self) -> Self {
                Self { engine: self.engine.decay_matrices_only() }
            }

            /// Whether to go up the gradient instead of down.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).maximize(true);")]
            /// assert!(opt.settings().contains(&("maximize".to_string(), 1.0)));
            /// ```
            #[must_use]
            pub fn maximize(self, maximize: bool) -> Self {
                self.with($crate::setting::Setting::Maximize, f64::from(maximize))
            }

            /// Updates every parameter that has a gradient and is not frozen.
            ///
            /// O(elements of these parameters), in one pass. The first step, and one after the arena's layout or the groups have
            /// changed, may allocate; others do not.
            ///
            /// # Errors
            /// [`OptimError`](crate::OptimError): a setting out of range, a parameter in two groups, foreign ids in a group,
            /// a state that does not fit. Nothing has changed then.
            ///
            /// ```
            /// use tiegrad_arena::{Params, Shape};
            ///
            /// let mut params = Params::<f64>::new();
            /// let id = params.insert_with(Shape::SCALAR, |w| w[0] = 1.0);
            #[doc = concat!("let mut opt = tiegrad_optim::", stringify!($name), "::new(0.1);")]
            /// opt.step(&mut params)?; // no gradient: nothing happens
            /// assert_eq!(params.as_slice(id)?, [1.0]);
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[inline]
            pub fn step(
                &mut self,
                params: &mut tiegrad_arena::Params<T>,
            ) -> Result<(), $crate::OptimError> {
                self.engine.step(params)
            }

            /// Checks settings and groups against an arena and lays the state out, as the first step would do.
            ///
            /// # Errors
            /// As [`step`](Self::step).
            ///
            /// ```
            /// use tiegrad_arena::Params;
            ///
            #[doc = concat!("let mut opt = tiegrad_optim::", stringify!($name), "::new(f64::NAN);")]
            /// assert!(opt.prepare(&Params::<f32>::new()).is_err());
            /// ```
            pub fn prepare(
                &mut self,
                params: &tiegrad_arena::Params<T>,
            ) -> Result<(), $crate::OptimError> {
                self.engine.prepare(params.values())
            }

            /// The learning rate.
            ///
            /// ```
            #[doc = concat!("assert_eq!(tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).lr(), 0.1);")]
            /// ```
            #[inline]
            pub fn lr(&self) -> f64 {
                self.engine.get($crate::setting::Setting::Lr)
            }

            /// Sets the learning rate from the next step on; groups with one of their own keep it.
            ///
            /// ```
            #[doc = concat!("let mut opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1);")]
            /// opt.set_lr(0.05);
            /// assert_eq!(opt.lr(), 0.05);
            /// ```
            #[inline]
            pub fn set_lr(&mut self, lr: f64) {
                self.engine.set_lr(lr);
            }

            /// All settings by PyTorch's names (betas as `beta1` and `beta2`, switches as 0 or 1), then those that differ in a group
            /// as `label.name`.
            ///
            /// ```
            #[doc = concat!("let settings = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1).settings();")]
            /// assert_eq!(settings[0], ("lr".to_string(), 0.1));
            /// ```
            pub fn settings(&self) -> Vec<(String, f64)> {
                self.engine.settings()
            }

            /// What it remembers about each parameter, under PyTorch's names. It is laid out by the first step or by
            /// [`prepare`](Self::prepare); before, it has names only.
            ///
            /// ```
            #[doc = concat!("let opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1);")]
            /// assert_eq!(opt.state().ids().count(), 0);
            /// ```
            pub fn state(&self) -> &tiegrad_arena::State<T> {
                self.engine.state()
            }

            /// What it remembers, to be changed. The next step checks that it still has the names that the settings need.
            ///
            /// ```
            #[doc = concat!("let mut opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1);")]
            /// opt.state_mut().reset(); // begin anew
            /// ```
            pub fn state_mut(&mut self) -> &mut tiegrad_arena::State<T> {
                self.engine.state_mut()
            }

            /// Replaces what it remembers, as when a checkpoint is loaded.
            ///
            /// # Errors
            /// [`OptimError::State`](crate::OptimError::State) when `state` has not the names that the settings need (in any
            /// order); nothing has changed then.
            ///
            /// ```
            /// use tiegrad_arena::State;
            ///
            #[doc = concat!("let mut opt = tiegrad_optim::", stringify!($name), "::<f32>::new(0.1);")]
            /// let saved = opt.state().clone();
            /// assert!(opt.load_state(saved).is_ok());
            /// assert!(opt.load_state(State::new(["hessian"])).is_err());
            /// ```
            pub fn load_state(
                &mut self,
                state: tiegrad_arena::State<T>,
            ) -> Result<(), $crate::OptimError> {
                self.engine.load_state(state)
            }

            fn with(self, setting: $crate::setting::Setting, value: f64) -> Self {
                Self { engine: self.engine.with(setting, value) }
            }
        }

        impl<T: tiegrad_kernels::scalar::Scalar> $crate::Optimizer<T> for $name<T> {
            fn name(&self) -> &str {
                <$rule as $crate::engine::Rule>::NAME
            }
            fn step(
                &mut self,
                params: &mut tiegrad_arena::Params<T>,
            ) -> Result<(), $crate::OptimError> {
                self.engine.step(params)
            }
            fn lr(&self) -> f64 {
                self.lr()
            }
            fn set_lr(&mut self, lr: f64) {
                self.set_lr(lr);
            }
            fn settings(&self) -> Vec<(String, f64)> {
                self.settings()
            }
            fn state(&self) -> &tiegrad_arena::State<T> {
                self.state()
            }
            fn state_mut(&mut self) -> &mut tiegrad_arena::State<T> {
                self.state_mut()
            }
            fn load_state(
                &mut self,
                state: tiegrad_arena::State<T>,
            ) -> Result<(), $crate::OptimError> {
                self.load_state(state)
            }
        }

        /// With PyTorch's defaults, the learning rate included.
        impl<T: tiegrad_kernels::scalar::Scalar> Default for $name<T> {
            fn default() -> Self {
                Self { engine: $crate::engine::Engine::new() }
            }
        }

        impl<T: tiegrad_kernels::scalar::Scalar> Clone for $name<T> {
            fn clone(&self) -> Self {
                Self { engine: self.engine.clone() }
            }
        }

        /// The settings.
        impl<T: tiegrad_kernels::scalar::Scalar> std::fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut out = f.debug_struct(stringify!($name));
                for (name, value) in self.settings() {
                    out.field(&name, &value);
                }
                out.finish()
            }
        }
    };
}
