//! Norms of gradients, and clipping.

use tiegrad_arena::{Grads, ParamId, Params, Selection, Values};
use tiegrad_kernels::scalar::{DType, Scalar};
use tiegrad_kernels::{reduce, step};

use crate::error::OptimError;

/// Scales the gradients so that their norm, all taken together, is at most `max_norm`, as `torch.nn.utils.clip_grad_norm_`.
/// Returns the norm before.
///
/// The gradients are those that a step would use: of parameters that have one and are not frozen. They are multiplied by
/// `max_norm / (norm + 1e-6)` where that is less than 1. As in PyTorch, a norm that is not finite is no error here (gradients
/// become NaN or 0, and the norm says so); see [`ClipGradNorm::error_if_nonfinite`].
///
/// # Errors
/// [`OptimError::Setting`] for a `max_norm` that is negative or NaN.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_optim::clip_grad_norm;
///
/// let mut params = Params::<f64>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |_| {});
/// # let (values, grads) = params.split_mut();
/// # grads.prepare(values);
/// # grads.touch(id.index());
/// # grads.slab_mut()[..2].copy_from_slice(&[3.0, 4.0]);
/// assert_eq!(clip_grad_norm(&mut params, 1.0)?, 5.0); // the gradient is [3, 4]
/// assert!((params.grad_slice(id)?.unwrap()[0] - 0.6).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn clip_grad_norm<T: Scalar>(params: &mut Params<T>, max_norm: f64) -> Result<f64, OptimError> {
    ClipGradNorm::new(max_norm).clip(params)
}

/// [`clip_grad_norm`] with options.
///
/// ```
/// use tiegrad_arena::{Params, Selection};
/// use tiegrad_optim::ClipGradNorm;
///
/// let mut params = Params::<f32>::new();
/// let generator = Selection::default();
/// let norm = ClipGradNorm::new(1.0).only(&generator).error_if_nonfinite(true).clip(&mut params)?;
/// assert_eq!(norm, 0.0);
/// # Ok::<(), tiegrad_optim::OptimError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "options clip nothing before `clip`"]
pub struct ClipGradNorm<'a> {
    max_norm: f64,
    error_if_nonfinite: bool,
    only: Option<&'a Selection>,
}

impl<'a> ClipGradNorm<'a> {
    /// Clipping to this norm, without options.
    ///
    /// ```
    /// use tiegrad_arena::Params;
    /// use tiegrad_optim::ClipGradNorm;
    ///
    /// assert_eq!(ClipGradNorm::new(1.0).clip(&mut Params::<f32>::new()), Ok(0.0));
    /// ```
    pub fn new(max_norm: f64) -> Self {
        Self {
            max_norm,
            error_if_nonfinite: false,
            only: None,
        }
    }

    /// Makes a norm that is infinite or NaN an error, which names the first parameter that it comes from. The gradients stay as
    /// they are then.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_optim::{ClipGradNorm, OptimError};
    ///
    /// let mut params = Params::<f64>::new();
    /// let id = params.insert_with(Shape::SCALAR, |_| {});
    /// # let (values, grads) = params.split_mut();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[0] = f64::NAN;
    /// let error = ClipGradNorm::new(1.0).error_if_nonfinite(true).clip(&mut params); // the gradient is NaN
    /// assert!(matches!(error, Err(OptimError::NonFiniteNorm { id: found, .. }) if found == Some(id)));
    /// ```
    pub fn error_if_nonfinite(mut self, error_if_nonfinite: bool) -> Self {
        self.error_if_nonfinite = error_if_nonfinite;
        self
    }

    /// Looks at these parameters only, and scales only their gradients.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Selection};
    /// use tiegrad_optim::ClipGradNorm;
    ///
    /// let some = Selection::default();
    /// assert_eq!(ClipGradNorm::new(1.0).only(&some).clip(&mut Params::<f32>::new()), Ok(0.0));
    /// ```
    pub fn only(mut self, selection: &'a Selection) -> Self {
        self.only = Some(selection);
        self
    }

    /// Clips, and returns the norm before. Two passes over the gradients at most; allocates nothing.
    ///
    /// # Errors
    /// As [`clip_grad_norm`], and [`OptimError::NonFiniteNorm`] where that was asked for.
    ///
    /// ```
    /// use tiegrad_arena::Params;
    /// use tiegrad_optim::ClipGradNorm;
    ///
    /// assert!(ClipGradNorm::new(-1.0).clip(&mut Params::<f32>::new()).is_err());
    /// ```
    pub fn clip<T: Scalar>(&self, params: &mut Params<T>) -> Result<f64, OptimError> {
        expect_limit("clip_grad_norm", "max_norm", self.max_norm)?;
        let (values, grads) = params.split_mut();
        let norm = norm_of(values, grads, self.only);
        if self.error_if_nonfinite && !norm.is_finite() {
            let bad = |id: &ParamId| grads.slice(*id).is_some_and(|g| !reduce::all_finite(g));
            return Err(OptimError::NonFiniteNorm {
                norm: norm.to_f64(),
                id: trained(values, self.only).find(bad),
            });
        }
        let factor = T::from_f64(self.max_norm) / (norm + T::from_f64(1e-6));
        // A NaN is not at least 1 and goes into the gradients, as in PyTorch.
        let within = factor.to_f64() >= 1.0;
        if !within {
            for id in trained(values, self.only) {
                if let Some(grad) = grads.slice_mut(id) {
                    step::scale(grad, factor);
                }
            }
        }
        Ok(norm.to_f64())
    }
}

/// The norm of all gradients together: the square root of the sum of all squares, of the parameters that have a gradient and
/// are not frozen; 0 where there is none.
///
/// The squares are summed per parameter, then in the order of slots: the same bits for every number of threads. Finite gradients whose
/// squares leave the scalar's range still give the right norm.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |_| {});
/// assert_eq!(tiegrad_optim::grad_norm(&params), 0.0);
/// # let (values, grads) = params.split_mut();
/// # grads.prepare(values);
/// # grads.touch(id.index());
/// # grads.slab_mut()[..2].copy_from_slice(&[3.0, 4.0]);
/// assert_eq!(tiegrad_optim::grad_norm(&params), 5.0); // the gradient is [3, 4]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn grad_norm<T: Scalar>(params: &Params<T>) -> f64 {
    norm_of(params.values(), params.grads(), None).to_f64()
}

/// Cuts every element of every gradient to at least `-clip_value` and at most `clip_value`, as
/// `torch.nn.utils.clip_grad_value_`. NaN stays NaN.
///
/// # Errors
/// [`OptimError::Setting`] for a `clip_value` that is negative or NaN.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |_| {});
/// # let (values, grads) = params.split_mut();
/// # grads.prepare(values);
/// # grads.touch(id.index());
/// # grads.slab_mut()[..2].copy_from_slice(&[-3.0, 0.5]);
/// tiegrad_optim::clip_grad_value(&mut params, 1.0)?; // the gradient is [-3, 0.5]
/// assert_eq!(params.grad_slice(id)?, Some(&[-1.0, 0.5][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn clip_grad_value<T: Scalar>(
    params: &mut Params<T>,
    clip_value: f64,
) -> Result<(), OptimError> {
    expect_limit("clip_grad_value", "clip_value", clip_value)?;
    let limit = T::from_f64(clip_value);
    let (values, grads) = params.split_mut();
    for id in trained(values, None) {
        for g in grads.slice_mut(id).unwrap_or_default() {
            *g = g.minimum(limit).maximum(-limit);
        }
    }
    Ok(())
}

/// The parameters that are selected and not frozen, in slot order.
fn trained<'a, T: Scalar>(
    values: &'a Values<T>,
    only: Option<&'a Selection>,
) -> impl Iterator<Item = ParamId> + 'a {
    let slots = values.slots().iter().filter(|slot| slot.requires_grad);
    slots
        .filter_map(|slot| slot.id)
        .filter(move |&id| only.is_none_or(|only| only.contains(id)))
}

fn norm_of<T: Scalar>(values: &Values<T>, grads: &Grads<T>, only: Option<&Selection>) -> T {
    let gradients = || trained(values, only).filter_map(|id| grads.slice(id));
    let mut sum = T::ZERO;
    for grad in gradients() {
        sum += reduce::sum_squares(grad);
    }
    // Below this, squares may have lost digits.
    let small = match T::DTYPE {
        DType::F32 | DType::DualF32 => 1e-30,
        _ => 1e-290,
    };
    if sum.is_finite() && sum.to_f64() > small {
        return sum.sqrt();
    }
    scaled_norm(gradients)
}

/// The norm where squares overflow or underflow: of the gradients over the largest element, times that.
#[cold]
fn scaled_norm<'a, T: Scalar, I: Iterator<Item = &'a [T]>>(gradients: impl Fn() -> I) -> T {
    let elements = || gradients().flatten();
    let largest = elements().fold(T::ZERO, |largest, g| largest.maximum(g.abs()));
    if !largest.is_finite() || largest == T::ZERO {
        return largest;
    }
    // Of a dual number the real part: the scale is a constant.
    let scale = T::from_f64(largest.to_f64());
    let squares = elements().map(|&g| (g / scale) * (g / scale));
    squares.sum::<T>().sqrt() * scale
}

fn expect_limit(function: &'static str, name: &'static str, value: f64) -> Result<(), OptimError> {
    if value >= 0.0 {
        return Ok(());
    }
    Err(OptimError::Setting {
        optimizer: function,
        group: None,
        setting: name,
        value,
        expected: "a number that is not negative",
    })
}
