//! Functions with long bodies, and their derivatives.

use super::{Binary, Unary};
use crate::scalar::Arithmetic;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

/// GELU, x Φ(x) (Hendrycks and Gimpel 2016, arXiv:1606.08415), within 9 ulp (`f32`: 7; results below 1.5e-36: 11), also in the far
/// negative tail, where 1 + erf would cancel.
///
/// ```
/// use tiegrad_kernels::elementwise::{Gelu, Unary};
/// assert_eq!(Gelu.call(0.0_f32), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Gelu;

impl<T: Arithmetic> Unary<T> for Gelu {
    #[inline(always)]
    fn call(self, x: T) -> T {
        x * x.normal().0
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

impl<T: Arithmetic> Binary<T> for GeluBackward {
    #[inline(always)]
    fn call(self, x: T, dy: T) -> T {
        let (cdf, density) = x.normal();
        dy * (cdf + x * density)
    }
}

/// Twice tanh's argument in the approximate GELU, 2 sqrt(2 / pi) (x + 0.044715 x^3), and its derivative.
#[inline(always)]
fn inner<T: Arithmetic>(x: T) -> (T, T) {
    let c = T::from_f64(2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
    let cube = T::from_f64(0.044715) * x * x;
    (
        c * x * (T::ONE + cube),
        c * (T::ONE + T::from_f64(3.0) * cube),
    )
}

/// The tanh approximation of GELU, `approximate="tanh"` in PyTorch, by way of (1 + tanh(u)) / 2 = sigmoid(2 u), which does not
/// cancel. The rounding error of u makes the relative error grow with u: 3 ulp near 0, 200 ulp at x = -9 in `f32`, 2,000 ulp at
/// x = -20 in `f64`; measured against |x|, it is below an ulp there.
///
/// ```
/// use tiegrad_kernels::elementwise::{GeluTanh, Unary};
/// assert!((GeluTanh.call(1.0_f64) - 0.8411919906082768).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GeluTanh;

impl<T: Arithmetic> Unary<T> for GeluTanh {
    #[inline(always)]
    fn call(self, x: T) -> T {
        x * inner(x).0.sigmoid()
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

impl<T: Arithmetic> Binary<T> for GeluTanhBackward {
    #[inline(always)]
    fn call(self, x: T, dy: T) -> T {
        let (u, du) = inner(x);
        let s = u.sigmoid();
        dy * (s + x * s * (T::ONE - s) * du)
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

impl<T: Arithmetic> Unary<T> for Softplus {
    #[inline(always)]
    fn call(self, x: T) -> T {
        x.softplus()
    }
}

/// The sine, vectorized where all of a block of arguments are moderate ([`Arithmetic::is_moderate`]).
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::{Sin, map_with}};
/// let mut y = [0.0_f64];
/// map_with(Write::Overwrite, &mut y, &[0.5], Sin);
/// assert!((y[0] - 0.5_f64.sin()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sin;

/// The cosine, as [`Sin`].
///
/// ```
/// use tiegrad_kernels::elementwise::{Cos, Unary};
/// assert_eq!(Cos.call(0.0_f32), 1.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Cos;

/// The gradient through [`Sin`]: `call(x, dy)` = dy cos(x).
///
/// ```
/// use tiegrad_kernels::elementwise::{Binary, SinBackward};
/// assert_eq!(SinBackward.call(0.0_f64, 3.0), 3.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SinBackward;

/// The gradient through [`Cos`]: `call(x, dy)` = -dy sin(x).
///
/// ```
/// use tiegrad_kernels::elementwise::{Binary, CosBackward};
/// assert_eq!(CosBackward.call(0.0_f64, 3.0), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CosBackward;

macro_rules! moderate {
    ($($trait:ident $type:ident |$x:ident $(, $dy:ident)?| $usual:expr, $rare:expr;)*) => {$(
        impl<T: Arithmetic> $trait<T> for $type {
            const RARE: bool = true;
            #[inline(always)]
            fn call(self, $x: T $(, $dy: T)?) -> T {
                $usual
            }
            #[inline(always)]
            fn is_usual(self, x: T) -> bool {
                x.is_moderate()
            }
            fn call_rare(self, $x: T $(, $dy: T)?) -> T {
                $rare
            }
        }
    )*};
}
moderate! {
    Unary Sin |x| x.sin_moderate(), x.sin();
    Unary Cos |x| x.cos_moderate(), x.cos();
    Binary SinBackward |x, dy| x.cos_moderate() * dy, x.cos() * dy;
    Binary CosBackward |x, dy| -x.sin_moderate() * dy, -x.sin() * dy;
}
