//! What all optimizers can do, for programs that take any.

use tiegrad_arena::{Params, State};
use tiegrad_kernels::scalar::Scalar;

use crate::error::OptimError;

/// An optimizer over parameters of scalar `T`. It can be made into an object: `Box<dyn Optimizer<f32>>`.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_optim::{AdamW, Optimizer, SGD};
///
/// let mut params = Params::<f32>::new();
/// let mut optimizers: Vec<Box<dyn Optimizer<f32>>> = vec![Box::new(SGD::new(0.1)), Box::new(AdamW::new(1e-3))];
/// for opt in &mut optimizers {
///     opt.set_lr(opt.lr() / 2.0);
///     opt.step(&mut params)?;
/// }
/// assert_eq!(optimizers[1].name(), "AdamW");
/// assert_eq!(optimizers[1].lr(), 5e-4);
/// assert_eq!(optimizers[1].settings()[0], ("lr".to_string(), 5e-4));
/// let saved = optimizers[1].state().clone();
/// optimizers[1].load_state(saved)?;
/// # Ok::<(), tiegrad_optim::OptimError>(())
/// ```
pub trait Optimizer<T: Scalar> {
    /// What kind it is: `"AdamW"`.
    fn name(&self) -> &str;

    /// Updates every parameter that has a gradient and is not frozen.
    ///
    /// # Errors
    /// [`OptimError`]; nothing has changed then.
    fn step(&mut self, params: &mut Params<T>) -> Result<(), OptimError>;

    /// The learning rate.
    fn lr(&self) -> f64;

    /// Sets the learning rate from the next step on.
    fn set_lr(&mut self, lr: f64);

    /// All settings by name, for checkpoints and logs.
    fn settings(&self) -> Vec<(String, f64)>;

    /// What it remembers about each parameter.
    fn state(&self) -> &State<T>;

    /// What it remembers, to be changed.
    fn state_mut(&mut self) -> &mut State<T>;

    /// Replaces what it remembers.
    ///
    /// # Errors
    /// [`OptimError::State`] when `state` does not hold what this optimizer keeps with its settings; nothing has changed then.
    fn load_state(&mut self, state: State<T>) -> Result<(), OptimError>;
}
