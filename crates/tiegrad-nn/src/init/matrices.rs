//! Initializers of matrices: orthogonal, the identity, sparse columns.

use rand::Rng;

use super::draw::{fill_normal, index_below, spread};
use super::{InitError, Initializer, Target};

/// A random orthogonal matrix times a gain: what [`orthogonal`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, Orthogonal};
/// assert_eq!(init::orthogonal(), Orthogonal { gain: 1.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orthogonal {
    /// Multiplies the matrix.
    pub gain: f64,
}

/// A random (semi-)orthogonal matrix, uniform over all of them (Haar measure): Saxe, McClelland and Ganguli, arXiv:1312.6120.
///
/// A shape (out, …) is a matrix (out, product of the rest): its rows are orthonormal where it is wide, its columns where it is tall.
///
/// Gaussian vectors, made orthonormal by modified Gram and Schmidt, each projection twice (Giraud, Langou and Rozložník 2005: then orthogonal to rounding). The triangular
/// factor's diagonal is positive that way, which is what PyTorch's and Keras's correction of signs is for (Mezzadri, arXiv:math-ph/0609050). O(long side · short side²) in
/// double precision.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[2, 3])?, |_| {});
/// init::fill(&mut params, id, init::orthogonal(), &mut rng)?;
/// let w = params.as_slice(id)?;
/// let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
/// assert!((dot(&w[..3], &w[..3]) - 1.0).abs() < 1e-12);
/// assert!(dot(&w[..3], &w[3..]).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn orthogonal() -> Orthogonal {
    Orthogonal { gain: 1.0 }
}

impl Orthogonal {
    /// Another gain.
    ///
    /// ```
    /// use tiegrad_nn::init;
    /// assert_eq!(init::orthogonal().gain(2.0).gain, 2.0);
    /// ```
    pub fn gain(self, gain: f64) -> Self {
        Self { gain }
    }
}

impl Initializer for Orthogonal {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let [rows, _, ..] = *target.shape else {
            return Err(target.unsuitable("an orthogonal matrix has two dimensions or more"));
        };
        if !self.gain.is_finite() {
            return Err(target.unsuitable(format!("a gain is a finite number, got {}", self.gain)));
        }
        if values.is_empty() {
            return Ok(());
        }
        let columns = values.len() / rows;
        if rows <= columns {
            orthonormal_rows(values, columns, rng).map_err(|why| target.unsuitable(why))?;
        } else {
            let mut across = vec![0.0; values.len()];
            orthonormal_rows(&mut across, rows, rng).map_err(|why| target.unsuitable(why))?;
            for (row, values) in values.chunks_exact_mut(columns).enumerate() {
                for (column, value) in values.iter_mut().enumerate() {
                    *value = across[column * rows + row];
                }
            }
        }
        values.iter_mut().for_each(|value| *value *= self.gain);
        Ok(())
    }

    fn name(&self) -> Option<String> {
        Some(format!("orthogonal(gain={})", self.gain))
    }
}

/// Fills rows of this length, of which there are not more than that, with orthonormal vectors.
fn orthonormal_rows(values: &mut [f64], len: usize, rng: &mut dyn Rng) -> Result<(), &'static str> {
    /// A vector that loses more than this to the ones before it has nothing of its own but rounding errors.
    const LEAST: f64 = 1e-10;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut done = 0;
    let mut draws_left = 8;
    while done < values.len() {
        let (before, from) = values.split_at_mut(done);
        let row = &mut from[..len];
        fill_normal(row, rng, 0.0, 1.0);
        let drawn = dot(row, row).sqrt();
        for _ in 0..2 {
            for other in before.chunks_exact(len) {
                let part = dot(row, other);
                row.iter_mut()
                    .zip(other)
                    .for_each(|(x, other)| *x -= part * other);
            }
        }
        let left = dot(row, row).sqrt();
        if left > LEAST * drawn {
            row.iter_mut().for_each(|x| *x /= left);
            done += len;
            draws_left = 8;
        } else if draws_left > 0 {
            // Never with a source that is random: the vectors are independent with probability 1.
            draws_left -= 1;
        } else {
            return Err("the source of random numbers repeats itself");
        }
    }
    Ok(())
}

/// Ones on the diagonal, times a gain: what [`eye`] and [`identity`] return.
///
/// ```
/// use tiegrad_nn::init::{self, Identity};
/// assert_eq!(init::eye(), Identity { gain: 1.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Identity {
    /// What stands on the diagonal.
    pub gain: f64,
}

/// The identity matrix (`torch.nn.init.eye_`), also for matrices that are not square: as many inputs as possible pass unchanged.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[2, 3])?, |_| {});
/// init::fill(&mut params, id, init::eye(), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn eye() -> Identity {
    identity(1.0)
}

/// [`eye`] with a gain on the diagonal (Keras's `Identity`).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::with(2, 2).weight_init(init::identity(0.5)).build(&mut params, &mut rng)?;
/// assert_eq!(params.as_slice(layer.weight)?, [0.5, 0.0, 0.0, 0.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn identity(gain: f64) -> Identity {
    Identity { gain }
}

impl Initializer for Identity {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        _: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let [rows, columns] = *target.shape else {
            return Err(target.unsuitable("an identity has two dimensions"));
        };
        for i in 0..rows.min(columns) {
            values[i * columns + i] = self.gain;
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        Some(format!("identity(gain={})", self.gain))
    }
}

/// A matrix with many zeros: what [`sparse`] returns.
///
/// ```
/// use tiegrad_nn::init::{self, Sparse};
/// assert_eq!(init::sparse(0.9, 0.01), Sparse { sparsity: 0.9, std: 0.01 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sparse {
    /// The fraction of each column that is zero.
    pub sparsity: f64,
    /// The standard deviation of the rest.
    pub std: f64,
}

/// N(0, std²), but of each column `⌈sparsity · rows⌉` elements, chosen at random, are zero (`torch.nn.init.sparse_`; Martens, "Deep learning via Hessian-free optimization", 2010).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let id = params.insert_with(Shape::new(&[10, 3])?, |_| {});
/// init::fill(&mut params, id, init::sparse(0.75, 0.01), &mut rng)?;
/// assert_eq!(params.as_slice(id)?.iter().filter(|&&x| x == 0.0).count(), 3 * 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sparse(sparsity: f64, std: f64) -> Sparse {
    Sparse { sparsity, std }
}

impl Initializer for Sparse {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn Rng,
    ) -> Result<(), InitError> {
        let [rows, columns] = *target.shape else {
            return Err(target.unsuitable("a sparse matrix has two dimensions"));
        };
        if !(0.0..=1.0).contains(&self.sparsity) {
            let why = format!("a sparsity lies between 0 and 1, got {}", self.sparsity);
            return Err(target.unsuitable(why));
        }
        fill_normal(values, rng, 0.0, spread(target, self.std)?);
        let zeros = (self.sparsity * rows as f64).ceil() as usize;
        let mut order: Vec<usize> = (0..rows).collect();
        for column in 0..columns {
            for i in 0..zeros.min(rows) {
                // The first places of a shuffle by Fisher and Yates; the order from the last column is as good as any.
                order.swap(i, i + index_below(rng, rows - i));
                values[order[i] * columns + column] = 0.0;
            }
        }
        Ok(())
    }

    fn name(&self) -> Option<String> {
        let Self { sparsity, std } = self;
        Some(format!("sparse(sparsity={sparsity}, std={std})"))
    }
}
