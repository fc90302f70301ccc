//! Initializers: what values parameters start with.
//!
//! A constructor gives every parameter PyTorch's default. [`InitExt::init`] initializes a whole net,
//! [`init_at`](InitExt::init_at) a part of it, [`fill`] one parameter, and builders such as [`Linear::with`](crate::Linear::with) take an initializer at construction.
//! Each parameter is initialized once unless one says `reinit`.
//!
//! There is everything that `torch.nn.init` has, and what Keras and Gluon add, as functions here and [by name](by_name); what a whole system starts its layers with
//! ([`pytorch_default`], [`keras_default`], [`gluon_default`]); and one's own, which is a closure or a type that implements [`Initializer`].
//!
//! ```
//! use tiegrad_nn::prelude::*;
//!
//! # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
//! let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
//! net.init(&mut params, init::normal(0.0, 0.01), &mut rng)?;
//! net.reinit_at(&mut params, "0", init::xavier_uniform(), &mut rng)?;
//! init::refill(&mut params, net.2.weight, init::constant(42.0), &mut rng)?;
//!
//! // One's own: a closure that sees path, shape, fans and the random source.
//! net.reinit(&mut params, init::from_fn(|target, values, rng| {
//!     println!("init {} {}", target.path, target.shape);
//!     for value in values {
//!         let x = init::uniform_draw(rng, -10.0, 10.0);
//!         *value = if x.abs() >= 5.0 { x } else { 0.0 };
//!     }
//! }), &mut rng)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod apply;
mod draw;
mod error;
mod ext;
mod gains;
mod kernels;
mod matrices;
mod names;
mod plan;
mod presets;
mod scaling;
mod source;
mod systems;
mod target;

use rand::Rng;

use crate::tree::Role;

pub(crate) use apply::{Plan, insert, mark_given, try_insert};
pub use apply::{fill, refill};
pub use draw::{normal_draw, uniform_draw};
pub use error::InitError;
pub use ext::InitExt;
pub use gains::{Nonlinearity, calculate_gain};
pub use kernels::{Bilinear, Dirac, LSTMBias, bilinear, dirac, lstm_bias};
pub use matrices::{Identity, Orthogonal, Sparse, eye, identity, orthogonal, sparse};
pub use names::{by_name, names};
pub use presets::{Preset, constant, normal, ones, trunc_normal, uniform, zeros};
pub use scaling::{
    Distribution, Fan, VarianceScaling, glorot_normal, glorot_uniform, gluon_xavier, he_normal,
    he_uniform, kaiming_normal, kaiming_uniform, lecun_normal, lecun_uniform, msra_prelu,
    variance_scaling, xavier_normal, xavier_uniform,
};
pub use source::{PathSeeded, Source, path_seeded};
pub use systems::{SystemDefault, gluon_default, keras_default, pytorch_default};
pub use target::Target;

/// Gives a parameter its first values: the presets of [`init`](crate::init), and closures
/// (`|target: &Target<'_>, values: &mut [f64], rng: &mut dyn Rng| …`, or with fewer words by [`from_fn`]).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::init::{InitError, Initializer, Target};
///
/// struct Identity;
/// impl Initializer for Identity {
///     fn fill(&mut self, target: &Target<'_>, values: &mut [f64], _: &mut dyn rand::Rng) -> Result<(), InitError> {
///         let [rows, columns] = *target.shape else {
///             return Err(target.unsuitable("an identity is a matrix"));
///         };
///         (0..rows.min(columns)).for_each(|i| values[i * columns + i] = 1.0);
///         Ok(())
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::with(2, 2).weight_init(Identity).build(&mut params, &mut rng)?;
/// assert_eq!(params.as_slice(layer.weight)?, [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Initializer {
    /// Writes all values, row-major. They are zeros before. Values are drawn in double precision and rounded to the arena's type.
    ///
    /// # Errors
    /// [`InitError::Unsuitable`] where the parameter cannot be filled so.
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError>;

    /// Its name with all settings, if two initializers with this name do the same: through two paths of a tie they are then no conflict. `None`
    /// unless implemented: equal to none.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Initializer};
    /// assert_eq!(init::normal(0.0, 0.01).name().as_deref(), Some("normal(mean=0, std=0.01)"));
    /// assert_eq!(init::from_fn(|_, _, _| {}).name(), None);
    /// ```
    fn name(&self) -> Option<String> {
        None
    }

    /// Whether a whole net's parameters with this role are for it. What it does not cover becomes 0 if it is a bias and 1 if it is a gain, and stays as it is if it is a
    /// weight. Only weights are, unless implemented.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Initializer};
    /// use tiegrad_nn::Role;
    /// assert!(!init::normal(0.0, 0.01).covers(Role::Bias));
    /// assert!(init::pytorch_default().covers(Role::Bias));
    /// ```
    fn covers(&self, role: Role) -> bool {
        role == Role::Weight
    }

    /// What errors call it: its [`name`](Initializer::name), or else that of its type.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Initializer};
    /// assert_eq!(init::ones().describe(), "ones");
    /// assert_eq!(init::from_fn(|_, _, _| {}).describe(), "a closure");
    /// ```
    fn describe(&self) -> String {
        self.name().unwrap_or_else(|| {
            let name = std::any::type_name::<Self>();
            if name.contains("{{closure}}") {
                return "a closure".to_owned();
            }
            let name = name.split('<').next().unwrap_or(name);
            let name = name.rsplit("::").next().unwrap_or(name);
            format!("an initializer of type {name}")
        })
    }

    /// Behind a pointer, so that several kinds fit into one list.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Initializer};
    /// let list = [init::ones().boxed(), init::xavier_uniform().boxed()];
    /// assert_eq!(list[1].describe(), "xavier_uniform(gain=1)");
    /// ```
    fn boxed<'i>(self) -> Box<dyn Initializer + 'i>
    where
        Self: Sized + 'i,
    {
        Box::new(self)
    }
}

impl Initializer for Box<dyn Initializer + '_> {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        (**self).fill(target, values, rng)
    }

    fn name(&self) -> Option<String> {
        (**self).name()
    }

    fn covers(&self, role: Role) -> bool {
        (**self).covers(role)
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

impl<F: FnMut(&Target<'_>, &mut [f64], &mut dyn Rng)> Initializer for F {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        self(target, values, rng);
        Ok(())
    }
}

/// An initializer from a closure that writes all values of a parameter.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::new(&mut params, 2, 2, &mut rng);
/// let identity = init::from_fn(|target, values, _| {
///     for i in 0..target.shape[0].min(target.shape[1]) {
///         values[i * target.shape[1] + i] = 1.0;
///     }
/// });
/// layer.init(&mut params, identity, &mut rng)?;
/// assert_eq!(params.as_slice(layer.weight)?, [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_fn(f: impl FnMut(&Target<'_>, &mut [f64], &mut dyn Rng)) -> impl Initializer {
    f
}
