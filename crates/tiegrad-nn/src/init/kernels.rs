//! Initializers of convolution kernels, (out, in, …), and of an LSTM's bias.

use rand::Rng;

use super::{InitError, Initializer, Target};
use crate::tree::Role;

/// Kernels that pass their inputs on: what [`dirac`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, Dirac};
/// assert_eq!(init::dirac(1), Dirac { groups: 1 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirac {
    /// Into how many groups the output channels fall, each with all of the kernel's input channels to itself.
    pub groups: usize,
}

/// A 1 in the middle of kernel (d, d) of each group, 0 elsewhere: a convolution that passes on as many channels as it can (`torch.nn.init.dirac_`).
/// For shapes (out, in, …) with one to three dimensions of space.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[2, 2, 3])?, |_| {});
/// init::fill(&mut params, id, init::dirac(1), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [0., 1., 0.,  0., 0., 0.,    0., 0., 0.,  0., 1., 0.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dirac(groups: usize) -> Dirac {
    Dirac { groups }
}

impl Initializer for Dirac {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        _: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let [out, inner, ref field @ ..] = *target.shape else {
            return Err(target.unsuitable(DIMENSIONS));
        };
        if !(1..=3).contains(&field.len()) {
            return Err(target.unsuitable(DIMENSIONS));
        }
        if self.groups == 0 || out % self.groups != 0 {
            let why = format!("{} groups do not divide {out} output channels", self.groups);
            return Err(target.unsuitable(why));
        }
        if values.is_empty() {
            return Ok(());
        }
        let size: usize = field.iter().product();
        let middle = field.iter().fold(0, |at, &n| at * n + n / 2);
        let per_group = out / self.groups;
        for group in 0..self.groups {
            for d in 0..per_group.min(inner) {
                values[((group * per_group + d) * inner + d) * size + middle] = 1.0;
            }
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        Some(format!("dirac(groups={})", self.groups))
    }
}

const DIMENSIONS: &str = "a Dirac kernel has three, four or five dimensions";

/// Kernels that interpolate: what [`bilinear`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, Bilinear};
/// assert_eq!(init::bilinear(), Bilinear);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bilinear;

/// The kernel of a transposed convolution that enlarges by bilinear interpolation (MXNet's `Bilinear`), the same for every pair of channels of a shape (out, in, height, width):
/// `(1 - |x/f - c|) · (1 - |y/f - c|)` with `f = ⌈width/2⌉` and `c = (2f - 1 - f mod 2) / (2f)`.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[1, 1, 4, 4])?, |_| {});
/// init::fill(&mut params, id, init::bilinear(), &mut rng)?;
/// assert_eq!(params.as_slice(id)?[4..8], [0.1875, 0.5625, 0.5625, 0.1875]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn bilinear() -> Bilinear {
    Bilinear
}

impl Initializer for Bilinear {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        _: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let [_, _, height, width] = *target.shape else {
            return Err(target.unsuitable("a bilinear kernel has four dimensions"));
        };
        let f = width.div_ceil(2) as f64;
        let c = (2.0 * f - 1.0 - f % 2.0) / (2.0 * f);
        let part = |at: usize| 1.0 - (at as f64 / f - c).abs();
        for (i, value) in values.iter_mut().enumerate() {
            *value = part(i % width) * part(i / width % height);
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        Some("bilinear".to_owned())
    }
}

/// An LSTM's bias: what [`lstm_bias`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, LSTMBias};
/// assert_eq!(init::lstm_bias(1.0), LSTMBias { forget_bias: 1.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LSTMBias {
    /// The forget gate's bias.
    pub forget_bias: f64,
}

/// Zeros, but the forget gate, the second quarter of the first dimension, gets `forget_bias` (MXNet's `LSTMBias`; Jozefowicz, Zaremba and Sutskever 2015 recommend 1).
/// Over a whole net it sets biases and leaves weights as they are.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[8])?, |_| {});
/// init::fill(&mut params, id, init::lstm_bias(1.0), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn lstm_bias(forget_bias: f64) -> LSTMBias {
    LSTMBias { forget_bias }
}

impl Initializer for LSTMBias {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        _: &mut dyn Rng,
    ) -> Result<(), InitError> {
        match target.shape.first() {
            Some(gates) if gates % 4 == 0 => {
                let quarter = values.len() / 4;
                values[quarter..2 * quarter].fill(self.forget_bias);
                Ok(())
            }
            _ => Err(target.unsuitable("an LSTM's bias is of four gates of one size")),
        }
    }

    fn name(&self) -> Option<String> {
        Some(format!("lstm_bias(forget_bias={})", self.forget_bias))
    }

    fn covers(&self, role: Role) -> bool {
        role == Role::Bias
    }
}
