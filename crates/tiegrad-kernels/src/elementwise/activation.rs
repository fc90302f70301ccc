//! Activation functions whose bodies are long, and their derivatives.

use super::{Binary, Unary};
use crate::scalar::Scalar;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// GELU, x Φ(x) = x (1 + erf(x / √2)) / 2 (Hendrycks and Gimpel 2016, arXiv:1606.08415).
///
/// ```
/// use tiegrad_kernels::elementwise::{Gelu, Unary};
/// assert_eq!(Gelu.call(0.0_f32), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl<T: Scalar> Unary<T> for Gelu {
    #[inline(always)]
    fn call(self, x: T) -> T {
        x * half_plus_half((x * T::from_f64(FRAC_1_SQRT_2)).erf())
    }
}

/// The gradient through [`Gelu`]: `call(x, dy)` = dy (Φ(x) + x φ(x)).
///
/// ```
/// use tiegrad_kernels::elementwise::{Binary, GeluBackward};
/// assert_eq!(GeluBackward.call(0.0_f32, 1.0), 0.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluBackward;

impl<T: Scalar> Binary<T> for GeluBackward {
    #[inline(always)]
    fn call(self, x: T, dy: T) -> T {
        let cdf = half_plus_half((x * T::from_f64(FRAC_1_SQRT_2)).erf());
        let density = (x * x * T::from_f64(-0.5)).exp();
        // 1 / sqrt(2 pi)
        dy * (cdf + x * density * T::from_f64(FRAC_1_SQRT_2 * FRAC_2_SQRT_PI * 0.5))
    }
}

/// (1 + y) / 2.
#[inline(always)]
fn half_plus_half<T: Scalar>(y: T) -> T {
    y * T::from_f64(0.5) + T::from_f64(0.5)
}

/// tanh's argument in the approximate GELU, sqrt(2 / pi) (x + 0.044715 x^3), and its derivative.
#[inline(always)]
fn inner<T: Scalar>(x: T) -> (T, T) {
    let c = T::from_f64(FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    let cube = T::from_f64(0.044715) * x * x;
    (
        c * x * (T::ONE + cube),
        c * (T::ONE + T::from_f64(3.0) * cube),
    )
}

/// The tanh approximation of GELU, `approximate="tanh"` in PyTorch.
///
/// ```
/// use tiegrad_kernels::elementwise::{GeluTanh, Unary};
/// assert!((GeluTanh.call(1.0_f64) - 0.8411919906082768).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl<T: Scalar> Unary<T> for GeluTanh {
    #[inline(always)]
    fn call(self, x: T) -> T {
        x * half_plus_half(inner(x).0.tanh())
    }
}

/// The gradient through [`GeluTanh`].
///
/// ```
/// use tiegrad_kernels::elementwise::{Binary, GeluTanhBackward};
/// assert_eq!(GeluTanhBackward.call(0.0_f64, 1.0), 0.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanhBackward;

impl<T: Scalar> Binary<T> for GeluTanhBackward {
    #[inline(always)]
    fn call(self, x: T, dy: T) -> T {
        let (u, du) = inner(x);
        let t = u.tanh();
        dy * (half_plus_half(t) + x * T::from_f64(0.5) * (T::ONE - t * t) * du)
    }
}

/// ln(1 + e^x), without overflow. Its derivative is the sigmoid.
///
/// ```
/// use tiegrad_kernels::elementwise::{Softplus, Unary};
/// assert_eq!(Softplus.call(1000.0_f32), 1000.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Softplus;

impl<T: Scalar> Unary<T> for Softplus {
    #[inline(always)]
    fn call(self, x: T) -> T {
        // Selects instead of `abs` and `maximum`, whose derivatives jump at 0.
        let up = x > T::ZERO;
        let (linear, exponent) = if up { (x, -x) } else { (T::ZERO, x) };
        linear + exponent.exp().ln_1p()
    }
}
