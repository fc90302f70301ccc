//! The gain that goes with what comes after a layer.

use super::InitError;
use crate::tree::near;

/// What comes after a layer: what its gain is chosen for (`torch.nn.init.calculate_gain`).
///
/// ```
/// use tiegrad_nn::init::Nonlinearity;
/// assert_eq!(Nonlinearity::Linear.gain(), 1.0);
/// assert_eq!(Nonlinearity::LeakyReLU(0.0).gain(), Nonlinearity::ReLU.gain());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Nonlinearity {
    /// None: gain 1. PyTorch's `linear`, and the names of its convolutions.
    Linear,
    /// Gain 1.
    Sigmoid,
    /// Gain 5/3.
    Tanh,
    /// Gain √2.
    ReLU,
    /// Gain √(2 / (1 + slope²)).
    LeakyReLU(
        /// The negative slope.
        f64,
    ),
    /// Gain 3/4.
    SELU,
}

impl Nonlinearity {
    /// The gain.
    ///
    /// ```
    /// assert_eq!(tiegrad_nn::init::Nonlinearity::Tanh.gain(), 5.0 / 3.0);
    /// ```
    pub fn gain(self) -> f64 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::ReLU => std::f64::consts::SQRT_2,
            Self::LeakyReLU(slope) => (2.0 / (1.0 + slope * slope)).sqrt(),
            Self::SELU => 0.75,
        }
    }
}

/// The names that [`calculate_gain`] knows, which are PyTorch's.
const NAMES: [(&str, Nonlinearity); 12] = [
    ("linear", Nonlinearity::Linear),
    ("conv1d", Nonlinearity::Linear),
    ("conv2d", Nonlinearity::Linear),
    ("conv3d", Nonlinearity::Linear),
    ("conv_transpose1d", Nonlinearity::Linear),
    ("conv_transpose2d", Nonlinearity::Linear),
    ("conv_transpose3d", Nonlinearity::Linear),
    ("sigmoid", Nonlinearity::Sigmoid),
    ("tanh", Nonlinearity::Tanh),
    ("relu", Nonlinearity::ReLU),
    ("leaky_relu", Nonlinearity::LeakyReLU(0.01)),
    ("selu", Nonlinearity::SELU),
];

/// PyTorch's `torch.nn.init.calculate_gain`: by name; `param` is the slope of `leaky_relu` (0.01 unless given), the others ignore it.
///
/// ```
/// use tiegrad_nn::init::calculate_gain;
/// assert_eq!(calculate_gain("tanh", None)?, 5.0 / 3.0);
/// assert_eq!(calculate_gain("leaky_relu", Some(1.0))?, 1.0);
/// assert!(calculate_gain("rleu", None).unwrap_err().to_string().contains("\"relu\""));
/// # Ok::<(), tiegrad_nn::init::InitError>(())
/// ```
///
/// # Errors
/// [`InitError::Setting`] for a name that PyTorch's table does not have.
pub fn calculate_gain(nonlinearity: &str, param: Option<f64>) -> Result<f64, InitError> {
    let found = NAMES.iter().find(|(name, _)| *name == nonlinearity);
    match (found, param) {
        (Some((_, Nonlinearity::LeakyReLU(_))), Some(slope)) => {
            Ok(Nonlinearity::LeakyReLU(slope).gain())
        }
        (Some((_, known)), _) => Ok(known.gain()),
        (None, _) => {
            let near = near(nonlinearity, NAMES.map(|(name, _)| name));
            let near = match near.is_empty() {
                true => NAMES.map(|(name, _)| name).join(", "),
                false => format!("{near:?}"),
            };
            Err(InitError::Setting {
                what: format!("no gain is known for {nonlinearity:?}; known are {near}"),
            })
        }
    }
}
