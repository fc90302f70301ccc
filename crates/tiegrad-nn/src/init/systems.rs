//! What the layers of PyTorch, Keras and Gluon start with.

use rand::Rng;

use super::{InitError, Initializer, Nonlinearity, Target};
use super::{constant, kaiming_uniform, normal, uniform, xavier_uniform};
use crate::tree::Role;

/// What the layers of a system start with: what [`pytorch_default`], [`keras_default`] and [`gluon_default`] return. It sets every role.
///
/// ```
/// use tiegrad_nn::init::{self, Initializer, SystemDefault};
/// assert_eq!(init::pytorch_default(), SystemDefault::PyTorch);
/// assert_eq!(SystemDefault::Gluon.name().as_deref(), Some("gluon_default"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemDefault {
    /// [`pytorch_default`]
    PyTorch,
    /// [`keras_default`]
    Keras,
    /// [`gluon_default`]
    Gluon,
}

/// PyTorch's: weights from U(±1/√fan_in) (`kaiming_uniform_(a=√5)`) and their layer's bias from the same, an `Embedding` from N(0, 1), normalizations 1 and 0.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 16, 4, &mut rng), LayerNorm::new(&mut params, 4));
/// net.init(&mut params, init::pytorch_default(), &mut rng)?;
/// assert!(params.as_slice(net.find("0.bias")?)?.iter().all(|x| x.abs() <= 0.25 && *x != 0.0)); // 1 / √16
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pytorch_default() -> SystemDefault {
    SystemDefault::PyTorch
}

/// Keras's: weights from Glorot's uniform distribution, biases 0, an `Embedding` from U(±0.05), normalizations 1 and 0.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Embedding::new(&mut params, 16, 4, &mut rng), Linear::new(&mut params, 4, 4, &mut rng));
/// net.init(&mut params, init::keras_default(), &mut rng)?;
/// assert!(params.as_slice(net.0.weight)?.iter().all(|x| x.abs() <= 0.05));
/// assert_eq!(params.as_slice(net.find("1.bias")?)?, [0.0; 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn keras_default() -> SystemDefault {
    SystemDefault::Keras
}

/// Gluon's: weights of every kind from U(±0.07), biases 0, normalizations 1 and 0.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 4, &mut rng), ReLU);
/// net.init(&mut params, init::gluon_default(), &mut rng)?;
/// assert!(params.as_slice(net.0.weight)?.iter().all(|x| x.abs() <= 0.07));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn gluon_default() -> SystemDefault {
    SystemDefault::Gluon
}

impl Initializer for SystemDefault {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let embedding = target.owner == "Embedding";
        match (self, target.role) {
            (_, Role::Gain) => constant(1.0).fill(target, values, rng),
            (Self::PyTorch, Role::Bias) => match target.layer_fans {
                Some((fan_in, _)) if fan_in > 0 => {
                    let bound = 1.0 / (fan_in as f64).sqrt();
                    uniform(-bound, bound).fill(target, values, rng)
                }
                // As that of a normalization.
                _ if !target.owner.is_empty() => constant(0.0).fill(target, values, rng),
                _ => Err(target.unsuitable(
                    "PyTorch's default of a bias follows from its layer's weight, which is not known here",
                )),
            },
            (_, Role::Bias) => constant(0.0).fill(target, values, rng),
            (Self::PyTorch, Role::Weight) if embedding => {
                normal(0.0, 1.0).fill(target, values, rng)
            }
            (Self::PyTorch, Role::Weight) => kaiming_uniform()
                .nonlinearity(Nonlinearity::LeakyReLU(5.0_f64.sqrt()))
                .fill(target, values, rng),
            (Self::Keras, Role::Weight) if embedding => {
                uniform(-0.05, 0.05).fill(target, values, rng)
            }
            (Self::Keras, Role::Weight) => xavier_uniform().fill(target, values, rng),
            (Self::Gluon, Role::Weight) => uniform(-0.07, 0.07).fill(target, values, rng),
        }
    }

    fn name(&self) -> Option<String> {
        let name = match self {
            Self::PyTorch => "pytorch_default",
            Self::Keras => "keras_default",
            Self::Gluon => "gluon_default",
        };
        Some(name.to_owned())
    }

    fn covers(&self, _: Role) -> bool {
        true
    }
}
