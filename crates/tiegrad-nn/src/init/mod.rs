//! Initializers: what values parameters start with.
//!
//! A constructor gives every parameter PyTorch's default. [`ModuleExt::init`](crate::ModuleExt::init) initializes a whole net,
//! [`init_at`](crate::ModuleExt::init_at) a part of it, [`fill`] one parameter, and builders such as [`Linear::with`](crate::Linear::with) take an initializer at construction.
//!
//! ```
//! use tiegrad_nn::prelude::*;
//!
//! # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
//! let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
//! net.init(&mut params, init::normal(0.0, 0.01), &mut rng)?;
//! net.0.init(&mut params, init::xavier_uniform(), &mut rng)?;
//! init::fill(&mut params, net.2.weight, init::constant(42.0), &mut rng)?;
//!
//! // One's own: a closure that sees path, shape, fans and the random source.
//! net.init(&mut params, init::from_fn(|target, values, rng| {
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
mod presets;
mod scaling;

use std::fmt;

use rand::Rng;
use tiegrad_arena::{ArenaError, Shape, ShapeError};

use crate::tree::{NameError, Role};

pub use apply::fill;
pub(crate) use apply::{Plan, insert, try_insert, whole};
pub use draw::{normal_draw, uniform_draw};
pub use presets::{Preset, constant, normal, ones, trunc_normal, uniform, zeros};
pub use scaling::{
    Distribution, Fan, Nonlinearity, VarianceScaling, kaiming_normal, kaiming_uniform,
    lecun_normal, lecun_uniform, xavier_normal, xavier_uniform,
};

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

/// What an [`Initializer`] is to fill.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
/// let mut seen = Vec::new();
/// net.init(&mut params, init::from_fn(|target, _, _| {
///     seen.push((target.path.to_string(), target.fan_in, target.fan_out));
/// }), &mut rng)?;
/// assert_eq!(seen, [("0.weight".to_string(), 4, 8)]); // a bias just becomes 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target<'p> {
    /// The parameter's path in the tree that is being initialized; empty where there is no tree ([`fill`](fn@fill)).
    pub path: &'p str,
    /// Its shape.
    pub shape: Shape,
    /// What it is there for.
    pub role: Role,
    /// How many inputs each output element is made from: for a weight (out, in, …) the product of all dimensions but the first.
    pub fan_in: usize,
    /// How many output elements each input goes into: the product of all dimensions but the second.
    pub fan_out: usize,
}

impl<'p> Target<'p> {
    pub(crate) fn new(path: &'p str, shape: Shape, role: Role) -> Self {
        // As PyTorch for two dimensions and more, as Keras for fewer.
        let (fan_in, fan_out) = match *shape {
            [] => (1, 1),
            [n] => (n, n),
            [out, inner, ref field @ ..] => {
                let field: usize = field.iter().product();
                (inner * field, out * field)
            }
        };
        Self {
            path,
            shape,
            role,
            fan_in,
            fan_out,
        }
    }

    /// The error of an initializer that cannot fill this parameter.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// use tiegrad_nn::init::{InitError, Initializer, Target};
    ///
    /// struct Never;
    /// impl Initializer for Never {
    ///     fn fill(&mut self, target: &Target<'_>, _: &mut [f64], _: &mut dyn rand::Rng) -> Result<(), InitError> {
    ///         Err(target.unsuitable("I never do it"))
    ///     }
    /// }
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// let error = net.init(&mut params, Never, &mut rng).unwrap_err();
    /// assert_eq!(error.to_string(), "0.weight of shape [8, 4] cannot be initialized so: I never do it");
    /// ```
    pub fn unsuitable(&self, why: impl Into<String>) -> InitError {
        InitError::Unsuitable {
            path: self.path.to_owned(),
            shape: Box::new(self.shape),
            why: why.into(),
        }
    }
}

/// Why a parameter could not be initialized, or a layer not be built.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::init::InitError;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::new(&mut params, 4, 8, &mut rng);
/// let error = layer.init(&mut params, init::normal(0.0, -1.0), &mut rng).unwrap_err();
/// assert!(matches!(error, InitError::Unsuitable { .. }));
/// let error = CausalSelfAttention::new(&mut params, 8, 3, 0.0, true, &mut rng).unwrap_err();
/// assert!(matches!(error, InitError::Setting { .. })); // 3 heads do not divide 8
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InitError {
    /// The parameter is not in the arena, or there is no room for it.
    Arena {
        /// The parameter's path, where there is a tree.
        path: String,
        /// What the arena says.
        source: ArenaError,
    },
    /// The pattern selects nothing.
    Name(NameError),
    /// The initializer cannot fill this parameter.
    Unsuitable {
        /// The parameter's path, where there is a tree.
        path: String,
        /// Its shape.
        shape: Box<Shape>,
        /// Why.
        why: String,
    },
    /// A layer's sizes are too large for a shape.
    Shape(ShapeError),
    /// A layer's settings do not go together.
    Setting {
        /// Which, and why.
        what: String,
    },
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena { path, source } if path.is_empty() => write!(f, "{source}"),
            Self::Arena { path, source } => write!(f, "{path}: {source}"),
            Self::Name(source) => write!(f, "{source}"),
            Self::Unsuitable { path, shape, why } if path.is_empty() => {
                write!(
                    f,
                    "a parameter of shape {shape} cannot be initialized so: {why}"
                )
            }
            Self::Unsuitable { path, shape, why } => {
                write!(f, "{path} of shape {shape} cannot be initialized so: {why}")
            }
            Self::Shape(source) => write!(f, "{source}"),
            Self::Setting { what } => f.write_str(what),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arena { source, .. } => Some(source),
            Self::Name(source) => Some(source),
            Self::Shape(source) => Some(source),
            Self::Unsuitable { .. } | Self::Setting { .. } => None,
        }
    }
}

impl From<NameError> for InitError {
    fn from(source: NameError) -> Self {
        Self::Name(source)
    }
}

impl From<ShapeError> for InitError {
    fn from(source: ShapeError) -> Self {
        Self::Shape(source)
    }
}

impl From<ArenaError> for InitError {
    fn from(source: ArenaError) -> Self {
        Self::Arena {
            path: String::new(),
            source,
        }
    }
}
