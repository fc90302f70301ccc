//! Initializers whose variance follows from the fans: Xavier, Kaiming, LeCun, and the general form of each system.

use rand::Rng;

use super::draw::{fill_normal, fill_truncated, uniform_draw};
use super::{InitError, Initializer, Nonlinearity, Target};

/// An initializer with standard deviation `gain / √fan`: what [`xavier_uniform`], [`kaiming_normal`] and their kin return, and what changes them.
///
/// ```
/// use tiegrad_nn::init::{self, Fan, Nonlinearity};
///
/// // torch.nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")
/// let relu = init::kaiming_normal().fan(Fan::Out).nonlinearity(Nonlinearity::ReLU);
/// assert_eq!(relu.std(100, 50), (2.0_f64 / 50.0).sqrt());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VarianceScaling {
    gain: f64,
    fan: Fan,
    distribution: Distribution,
}

/// Which fan a variance follows.
///
/// ```
/// use tiegrad_nn::init::{self, Fan};
/// let scaling = init::lecun_normal(); // gain 1
/// assert_eq!(scaling.fan(Fan::In).std(4, 16), 0.5);
/// assert_eq!(scaling.fan(Fan::Out).std(4, 16), 0.25);
/// assert_eq!(scaling.fan(Fan::Average).std(2, 6), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The inputs of an output element: keeps the forward pass's variance.
    In,
    /// The outputs of an input element: keeps the backward pass's variance.
    Out,
    /// The mean of both.
    Average,
}

/// What values are drawn from.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::init::Distribution;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[10, 300])?, |_| {});
/// let uniform = init::lecun_normal().distribution(Distribution::Uniform);
/// init::fill(&mut params, id, uniform, &mut rng)?;
/// assert!(params.as_slice(id)?.iter().all(|&x| x.abs() <= 0.1)); // √3 / √300
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// U(-b, b), b = √3 · std.
    Uniform,
    /// N(0, std²).
    Normal,
    /// A normal distribution cut off at two of its standard deviations, widened so that its standard deviation is `std` (as in Keras and Flax).
    TruncatedNormal,
}

/// Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), uniform: gain 1, the mean of both fans.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::xavier_uniform().std(100, 50) - ((1.0_f64 / 75.0).sqrt())).abs() < 1e-12);
/// ```
pub fn xavier_uniform() -> VarianceScaling {
    VarianceScaling {
        gain: 1.0,
        fan: Fan::Average,
        distribution: Distribution::Uniform,
    }
}

/// As [`xavier_uniform`], normal.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::xavier_normal().std(100, 50) - ((1.0_f64 / 75.0).sqrt())).abs() < 1e-12);
/// ```
pub fn xavier_normal() -> VarianceScaling {
    VarianceScaling {
        distribution: Distribution::Normal,
        ..xavier_uniform()
    }
}

/// He et al., "Delving deep into rectifiers" (arXiv:1502.01852), uniform: gain √2, fan in.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::kaiming_uniform().std(100, 50) - ((2.0_f64 / 100.0).sqrt())).abs() < 1e-12);
/// ```
pub fn kaiming_uniform() -> VarianceScaling {
    VarianceScaling {
        gain: Nonlinearity::ReLU.gain(),
        fan: Fan::In,
        distribution: Distribution::Uniform,
    }
}

/// As [`kaiming_uniform`], normal.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::kaiming_normal().std(100, 50) - ((2.0_f64 / 100.0).sqrt())).abs() < 1e-12);
/// ```
pub fn kaiming_normal() -> VarianceScaling {
    VarianceScaling {
        distribution: Distribution::Normal,
        ..kaiming_uniform()
    }
}

/// LeCun et al., "Efficient BackProp" (1998), uniform: gain 1, fan in.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::lecun_uniform().std(100, 50) - ((1.0_f64 / 100.0).sqrt())).abs() < 1e-12);
/// ```
pub fn lecun_uniform() -> VarianceScaling {
    VarianceScaling {
        gain: 1.0,
        fan: Fan::In,
        distribution: Distribution::Uniform,
    }
}

/// As [`lecun_uniform`], from a truncated normal distribution, as in Keras.
///
/// ```
/// use tiegrad_nn::init;
/// assert!((init::lecun_normal().std(100, 50) - ((1.0_f64 / 100.0).sqrt())).abs() < 1e-12);
/// ```
pub fn lecun_normal() -> VarianceScaling {
    VarianceScaling {
        distribution: Distribution::TruncatedNormal,
        ..lecun_uniform()
    }
}

/// Keras's general form: variance `scale / fan`. Keras calls the untruncated normal distribution `untruncated_normal`.
///
/// ```
/// use tiegrad_nn::init::{self, Distribution, Fan};
/// assert_eq!(init::variance_scaling(2.0, Fan::In, Distribution::Uniform), init::he_uniform());
/// assert_eq!(init::variance_scaling(1.0, Fan::Out, Distribution::Normal).std(100, 25), 0.2);
/// ```
pub fn variance_scaling(scale: f64, mode: Fan, distribution: Distribution) -> VarianceScaling {
    VarianceScaling {
        // Of a negative scale, no number: filling says so.
        gain: scale.sqrt(),
        fan: mode,
        distribution,
    }
}

/// Keras's `GlorotUniform`: [`xavier_uniform`].
///
/// ```
/// use tiegrad_nn::init;
/// assert_eq!(init::glorot_uniform(), init::xavier_uniform());
/// ```
pub fn glorot_uniform() -> VarianceScaling {
    xavier_uniform()
}

/// Keras's `GlorotNormal`, from a truncated normal distribution: [`xavier_normal`] is PyTorch's, from one that is not.
///
/// ```
/// use tiegrad_nn::init::{self, Distribution};
/// assert_eq!(init::glorot_normal(), init::xavier_normal().distribution(Distribution::TruncatedNormal));
/// ```
pub fn glorot_normal() -> VarianceScaling {
    xavier_uniform().distribution(Distribution::TruncatedNormal)
}

/// Keras's `HeUniform`: [`kaiming_uniform`].
///
/// ```
/// use tiegrad_nn::init;
/// assert_eq!(init::he_uniform(), init::kaiming_uniform());
/// ```
pub fn he_uniform() -> VarianceScaling {
    kaiming_uniform()
}

/// Keras's `HeNormal`, from a truncated normal distribution: [`kaiming_normal`] is PyTorch's, from one that is not.
///
/// ```
/// use tiegrad_nn::init::{self, Distribution};
/// assert_eq!(init::he_normal(), init::kaiming_normal().distribution(Distribution::TruncatedNormal));
/// ```
pub fn he_normal() -> VarianceScaling {
    kaiming_uniform().distribution(Distribution::TruncatedNormal)
}

/// Gluon's `Xavier(rnd_type, factor_type, magnitude)`, whose defaults are uniform, average, 3: U(±√(magnitude / fan)), or, for `gaussian`,
/// N(0, magnitude / fan). The same magnitude means a third of the variance where it is uniform.
///
/// ```
/// use tiegrad_nn::init::{self, Distribution, Fan};
/// assert_eq!(init::gluon_xavier(Distribution::Uniform, Fan::Average, 3.0), init::xavier_uniform());
/// let gaussian = init::gluon_xavier(Distribution::Normal, Fan::In, 2.0);
/// assert_eq!(gaussian, init::kaiming_normal());
/// ```
pub fn gluon_xavier(rnd_type: Distribution, factor_type: Fan, magnitude: f64) -> VarianceScaling {
    let scale = match rnd_type {
        Distribution::Uniform => magnitude / 3.0,
        Distribution::Normal | Distribution::TruncatedNormal => magnitude,
    };
    variance_scaling(scale, factor_type, rnd_type)
}

/// Gluon's `MSRAPrelu(factor_type, slope)`, whose defaults are average, 0.25: N(0, 2 / ((1 + slope²) fan)), for what a PReLU with this slope follows.
///
/// ```
/// use tiegrad_nn::init::{self, Fan};
/// assert_eq!(init::msra_prelu(Fan::In, 0.0), init::kaiming_normal());
/// ```
pub fn msra_prelu(factor_type: Fan, slope: f64) -> VarianceScaling {
    kaiming_normal().a(slope).fan(factor_type)
}

impl VarianceScaling {
    /// Another gain.
    ///
    /// ```
    /// use tiegrad_nn::init;
    /// assert_eq!(init::lecun_normal().gain(3.0).std(100, 50), 0.3);
    /// ```
    pub fn gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// The gain for what comes after the layer.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Nonlinearity};
    /// assert_eq!(init::lecun_uniform().nonlinearity(Nonlinearity::ReLU), init::kaiming_uniform());
    /// ```
    pub fn nonlinearity(self, nonlinearity: Nonlinearity) -> Self {
        self.gain(nonlinearity.gain())
    }

    /// The gain for a leaky rectifier with this negative slope: PyTorch's argument `a`.
    ///
    /// ```
    /// use tiegrad_nn::init;
    /// assert_eq!(init::kaiming_uniform().a(0.0), init::kaiming_uniform());
    /// assert_eq!(init::kaiming_normal().a(1.0).std(100, 25), 0.1);
    /// ```
    pub fn a(self, slope: f64) -> Self {
        self.nonlinearity(Nonlinearity::LeakyReLU(slope))
    }

    /// Another fan.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Fan};
    /// assert_eq!(init::lecun_normal().fan(Fan::Out).std(100, 25), 0.2);
    /// ```
    pub fn fan(self, fan: Fan) -> Self {
        Self { fan, ..self }
    }

    /// Another distribution.
    ///
    /// ```
    /// use tiegrad_nn::init::{self, Distribution};
    /// assert_eq!(init::kaiming_uniform().distribution(Distribution::Normal), init::kaiming_normal());
    /// ```
    pub fn distribution(self, distribution: Distribution) -> Self {
        Self {
            distribution,
            ..self
        }
    }

    /// The standard deviation for these fans.
    ///
    /// ```
    /// use tiegrad_nn::init;
    /// assert_eq!(init::lecun_uniform().std(25, 100), 0.2);
    /// assert_eq!(init::xavier_uniform().std(6, 2), 0.5);
    /// ```
    pub fn std(&self, fan_in: usize, fan_out: usize) -> f64 {
        let fan = match self.fan {
            Fan::In => fan_in as f64,
            Fan::Out => fan_out as f64,
            Fan::Average => (fan_in as f64 + fan_out as f64) / 2.0,
        };
        (self.gain * self.gain / fan).sqrt()
    }
}

/// The standard deviation of N(0, 1) cut off at -2 and 2.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

impl Initializer for VarianceScaling {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        if values.is_empty() {
            return Ok(());
        }
        let std = self.std(target.fan_in, target.fan_out);
        if !std.is_finite() {
            return Err(target.unsuitable(format!("a gain is a finite number, got {}", self.gain)));
        }
        match self.distribution {
            Distribution::Uniform => {
                let bound = 3.0_f64.sqrt() * std;
                values
                    .iter_mut()
                    .for_each(|value| *value = uniform_draw(rng, -bound, bound));
            }
            Distribution::Normal => fill_normal(values, rng, 0.0, std),
            Distribution::TruncatedNormal => {
                let wide = std / TRUNCATED_STD;
                if wide > 0.0 {
                    fill_truncated(values, rng, 0.0, wide, -2.0 * wide, 2.0 * wide);
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        let gain = self.gain;
        let mode = match self.fan {
            Fan::In => "fan_in",
            Fan::Out => "fan_out",
            Fan::Average => "fan_avg",
        };
        Some(match (self.fan, self.distribution) {
            (Fan::Average, Distribution::Uniform) => format!("xavier_uniform(gain={gain})"),
            (Fan::Average, Distribution::Normal) => format!("xavier_normal(gain={gain})"),
            (_, Distribution::Uniform) => format!("kaiming_uniform(mode={mode}, gain={gain})"),
            (_, Distribution::Normal) => format!("kaiming_normal(mode={mode}, gain={gain})"),
            (_, Distribution::TruncatedNormal) => {
                format!("variance_scaling(mode={mode}, gain={gain}, distribution=truncated_normal)")
            }
        })
    }
}
