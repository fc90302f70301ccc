//! Initializers that do not look at the shape.

use rand::Rng;

use super::draw::{fill_normal, fill_truncated, spread, uniform_draw};
use super::{InitError, Initializer, Target};

/// An initializer that does not look at the shape: what [`constant`], [`uniform`], [`normal`] and their kin return.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let narrow: init::Preset = init::normal(0.0, 0.02);
/// let layer = Linear::with(4, 8).weight_init(narrow).bias_init(init::zeros()).build(&mut params, &mut rng)?;
/// assert_eq!(params.as_slice(layer.bias.unwrap_or(layer.weight))?, [0.0; 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preset(Kind);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Constant(f64),
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        mean: f64,
        std: f64,
    },
    TruncNormal {
        mean: f64,
        std: f64,
        low: f64,
        high: f64,
    },
}

/// All zeros.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[3])?, |_| {});
/// init::fill(&mut params, id, init::zeros(), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [0.0; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn zeros() -> Preset {
    constant(0.0)
}

/// All ones.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[3])?, |_| {});
/// init::fill(&mut params, id, init::ones(), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [1.0; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn ones() -> Preset {
    constant(1.0)
}

/// One value everywhere.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[3])?, |_| {});
/// init::fill(&mut params, id, init::constant(0.5), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [0.5; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn constant(value: f64) -> Preset {
    Preset(Kind::Constant(value))
}

/// U[low, high).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[100])?, |_| {});
/// init::fill(&mut params, id, init::uniform(-0.5, 2.0), &mut rng)?;
/// assert!(params.as_slice(id)?.iter().all(|&x| (-0.5..2.0).contains(&x)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn uniform(low: f64, high: f64) -> Preset {
    Preset(Kind::Uniform { low, high })
}

/// N(mean, std²).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[1000])?, |_| {});
/// init::fill(&mut params, id, init::normal(5.0, 0.1), &mut rng)?;
/// let mean = params.as_slice(id)?.iter().sum::<f32>() / 1000.0;
/// assert!((mean - 5.0).abs() < 0.02);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn normal(mean: f64, std: f64) -> Preset {
    Preset(Kind::Normal { mean, std })
}

/// N(mean, std²) conditioned on [low, high] (absolute bounds, as PyTorch's `trunc_normal_`).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[100])?, |_| {});
/// init::fill(&mut params, id, init::trunc_normal(0.0, 1.0, -0.5, 2.0), &mut rng)?;
/// assert!(params.as_slice(id)?.iter().all(|&x| (-0.5..=2.0).contains(&x)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn trunc_normal(mean: f64, std: f64, low: f64, high: f64) -> Preset {
    Preset(Kind::TruncNormal {
        mean,
        std,
        low,
        high,
    })
}

impl Initializer for Preset {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let range = |low: f64, high: f64| match low <= high && (high - low).is_finite() {
            true => Ok(()),
            false => Err(target.unsuitable(format!("the range from {low} to {high} is none"))),
        };
        match self.0 {
            Kind::Constant(value) => values.fill(value),
            Kind::Uniform { low, high } => {
                range(low, high)?;
                values
                    .iter_mut()
                    .for_each(|value| *value = uniform_draw(rng, low, high));
            }
            Kind::Normal { mean, std } => fill_normal(values, rng, mean, spread(target, std)?),
            Kind::TruncNormal {
                mean,
                std,
                low,
                high,
            } => {
                range(low, high)?;
                match spread(target, std)? {
                    0.0 => values.fill(mean.clamp(low, high)),
                    std => fill_truncated(values, rng, mean, std, low, high),
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        Some(match self.0 {
            Kind::Constant(0.0) => "zeros".to_owned(),
            Kind::Constant(1.0) => "ones".to_owned(),
            Kind::Constant(value) => format!("constant({value})"),
            Kind::Uniform { low, high } => format!("uniform(low={low}, high={high})"),
            Kind::Normal { mean, std } => format!("normal(mean={mean}, std={std})"),
            Kind::TruncNormal {
                mean,
                std,
                low,
                high,
            } => format!("trunc_normal(mean={mean}, std={std}, low={low}, high={high})"),
        })
    }
}
