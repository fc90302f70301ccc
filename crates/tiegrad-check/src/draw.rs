//! Inputs for the checks, drawn from an op's samples.

use ndarray::{ArrayD, IxDyn};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tiegrad_autodiff::ArgSpec;

/// Distance that drawn values keep from kinks and, where they must be distinct, from each other. Larger than three steps of the finite differences.
const CLEARANCE: f64 = 0.02;

#[derive(Clone, Debug)]
pub(crate) enum Drawn {
    Values(ArrayD<f64>),
    Indices(ArrayD<u32>),
}

impl Drawn {
    pub(crate) fn values(&self) -> Option<&ArrayD<f64>> {
        match self {
            Drawn::Values(values) => Some(values),
            Drawn::Indices(_) => None,
        }
    }
}

pub(crate) fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

pub(crate) fn draw(spec: &ArgSpec, rng: &mut Xoshiro256PlusPlus) -> Drawn {
    match spec {
        ArgSpec::Values {
            shape,
            range: (low, high),
            kinks,
            distinct,
        } => {
            let mut taken: Vec<f64> = Vec::new();
            let one = || {
                // Rejection is bounded: after many tries the clearance gives way rather than the check hang.
                let mut x = low + (high - low) * rng.random::<f64>();
                for _ in 0..1000 {
                    let near = |points: &[f64]| points.iter().any(|p| (x - p).abs() < CLEARANCE);
                    let inside =
                        (high - low) < 4.0 * CLEARANCE || (x - low > 0.0 && high - x > 0.0);
                    if inside && !near(kinks) && !(*distinct && near(&taken)) {
                        break;
                    }
                    x = low + (high - low) * rng.random::<f64>();
                }
                taken.push(x);
                x
            };
            Drawn::Values(ArrayD::from_shape_simple_fn(IxDyn(shape), one))
        }
        ArgSpec::Indices { shape, bound } => {
            Drawn::Indices(ArrayD::from_shape_simple_fn(IxDyn(shape), || {
                rng.random_range(0..*bound)
            }))
        }
    }
}

/// Numbers of order 1, both signs, none near 0: cotangents and directions.
pub(crate) fn cotangent(shape: &[usize], rng: &mut Xoshiro256PlusPlus) -> ArrayD<f64> {
    ArrayD::from_shape_simple_fn(IxDyn(shape), || {
        let size = 0.3 + rng.random::<f64>();
        if rng.random::<bool>() { size } else { -size }
    })
}
