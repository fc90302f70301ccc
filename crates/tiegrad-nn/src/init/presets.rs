//! Initializers that do not look at the shape.

use rand::Rng;

use super::draw::{fill_normal, fill_truncated, uniform_draw};
use super::{InitError, Initializer, Target};

/// An initializer that does not look at the shape: what [`constant`], [`uniform`], [`normal`] and their kin return.
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
pub fn zeros() -> Preset {
    constant(0.0)
}

/// All ones.
pub fn ones() -> Preset {
    constant(1.0)
}

/// One value everywhere.
pub fn constant(value: f64) -> Preset {
    Preset(Kind::Constant(value))
}

/// U[low, high).
pub fn uniform(low: f64, high: f64) -> Preset {
    Preset(Kind::Uniform { low, high })
}

/// N(mean, std²).
pub fn normal(mean: f64, std: f64) -> Preset {
    Preset(Kind::Normal { mean, std })
}

/// N(mean, std²) conditioned on [low, high] (absolute bounds, as PyTorch's `trunc_normal_`).
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
        let spread = |std: f64| match std >= 0.0 && std.is_finite() {
            true => Ok(std),
            false => Err(target.unsuitable(format!(
                "a standard deviation is at least 0 and finite, got {std}"
            ))),
        };
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
            Kind::Normal { mean, std } => fill_normal(values, rng, mean, spread(std)?),
            Kind::TruncNormal {
                mean,
                std,
                low,
                high,
            } => {
                range(low, high)?;
                match spread(std)? {
                    0.0 => values.fill(mean.clamp(low, high)),
                    std => fill_truncated(values, rng, mean, std, low, high),
                }
            }
        }
        Ok(())
    }
}
