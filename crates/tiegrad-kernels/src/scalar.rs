//! The number types that the engine computes with: `f32`, `f64`, and dual numbers over each.

mod dual;
mod float;
mod fused;

use crate::matmul::{Activation, Gemm, Job};
use crate::simd::Level;
pub use dual::Dual;
pub use fused::Fused;
use std::fmt::{Debug, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

pub(crate) mod sealed {
    /// Types of this crate only; all of them are plain numbers for which all-zero bytes mean zero.
    pub trait Sealed {}
}

/// Which [`Scalar`] a value has.
///
/// ```
/// use tiegrad_kernels::{DType, Scalar};
/// assert_eq!(f32::DTYPE, DType::F32);
/// assert_eq!(DType::F64.to_string(), "float64");
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DType {
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `Dual<f32>`
    DualF32,
    /// `Dual<f64>`
    DualF64,
}

impl DType {
    /// The name, as PyTorch spells it for the two that it has.
    ///
    /// ```
    /// assert_eq!(tiegrad_kernels::DType::F32.name(), "float32");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::DualF32 => "dual float32",
            DType::DualF64 => "dual float64",
        }
    }
}

impl Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What formulas are written with: arithmetic and functions. Sealed: every [`Scalar`], and [`Fused`].
///
/// A function over this runs in any loop of [`elementwise`](crate::elementwise): where the loop is compiled for an instruction set with fused
/// multiply-add, its numbers are [`Fused`], whose functions use that and are 1.2 to 1.5 times as fast.
///
/// `exp`, `ln`, `ln_1p`, `exp_m1`, `tanh`, `sigmoid`, `softplus`, `erf`, `normal`, `sin_moderate` and `cos_moderate` of `f32` and
/// `f64` are branch-free and are vectorized in loops. The errors stated, in ulp, are the largest found, rounded up, fused or not: over all
/// `f32`, and over samples of `f64` (docs/performance.md, "Largest errors"). Odd functions, `exp_m1` and `ln_1p` keep the
/// sign of zero. Comparisons of dual numbers look at the real part alone.
///
/// ```
/// use tiegrad_kernels::Arithmetic;
/// fn logistic_loss<T: Arithmetic>(x: T) -> T { (-x).exp().ln_1p() }
/// assert!((logistic_loss(0.0_f64) - 2.0_f64.ln()).abs() < 1e-15);
/// ```
pub trait Arithmetic:
    sealed::Sealed
    + Copy
    + Debug
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// +∞.
    const INFINITY: Self;
    /// -∞.
    const NEG_INFINITY: Self;

    /// The nearest value; a dual number gets a zero derivative.
    fn from_f64(x: f64) -> Self;
    /// The value, or the real part of a dual number.
    fn to_f64(self) -> f64;
    /// The nearest value to an integer.
    #[inline(always)]
    fn from_usize(n: usize) -> Self {
        Self::from_f64(n as f64)
    }

    /// e^x, within 1 ulp.
    fn exp(self) -> Self;
    /// e^x, as good as [`exp`](Arithmetic::exp), for x that is not large (up to 88 for `f32`): beyond, +∞ included, it is meaningless, and where
    /// e^x is less than the smallest normal number, 0. A third faster.
    fn exp_bounded(self) -> Self;
    /// `sum` + e^x, for x that is at most 0 and e^x that is one of many terms of a sum whose largest is 1: within 2 ulp of e^x (`f32`: 2.5 above -20, and 5 below,
    /// where e^x is less than 2e-9), and where e^x is less than the smallest normal number, about that or 0. Two thirds of the time of
    /// [`exp_bounded`](Arithmetic::exp_bounded) and a sum.
    fn add_exp(self, sum: Self) -> Self;
    /// The natural logarithm, within 1 ulp.
    fn ln(self) -> Self;
    /// ln(1 + x), accurate near 0, within 1.5 ulp.
    fn ln_1p(self) -> Self;
    /// e^x - 1, accurate near 0, within 1.5 ulp.
    fn exp_m1(self) -> Self;
    /// The square root, rounded correctly.
    fn sqrt(self) -> Self;
    /// The hyperbolic tangent, within 1.5 ulp.
    fn tanh(self) -> Self;
    /// 1 / (1 + e^-x), within 2.5 ulp.
    fn sigmoid(self) -> Self;
    /// ln(1 + e^x), without overflow, within 3 ulp.
    fn softplus(self) -> Self;
    /// The error function, within 1.5 ulp (`f32`: 1.6).
    fn erf(self) -> Self;
    /// The normal distribution function Φ(x), within 9 ulp (`f32`: 7), and its density φ(x), within 2.5; they share their
    /// exponential. The relative error holds in the far tails too.
    fn normal(self) -> (Self, Self);
    /// The sine, within 1 ulp (`f32`: 1.6).
    fn sin(self) -> Self;
    /// The cosine, within 1 ulp (`f32`: 1.6).
    fn cos(self) -> Self;
    /// The sine where [`is_moderate`](Arithmetic::is_moderate), without the branch that keeps `sin` from being vectorized.
    fn sin_moderate(self) -> Self;
    /// The cosine where [`is_moderate`](Arithmetic::is_moderate), without the branch that keeps `cos` from being vectorized.
    fn cos_moderate(self) -> Self;
    /// Whether |x| is at most a million: where `sin_moderate` and `cos_moderate` are right.
    fn is_moderate(self) -> bool;
    /// The absolute value. A dual zero gets derivative 0, as `torch.abs` does.
    fn abs(self) -> Self;
    /// 1 / x.
    fn recip(self) -> Self;
    /// x to a real power.
    fn powf(self, y: Self) -> Self;
    /// x to an integer power.
    fn powi(self, n: i32) -> Self;
    /// The larger of two; NaN if either is NaN, as `torch.maximum`.
    fn maximum(self, other: Self) -> Self;
    /// The smaller of two; NaN if either is NaN, as `torch.minimum`.
    fn minimum(self, other: Self) -> Self;
    /// Whether this is NaN; for a dual number, whether either part is.
    fn is_nan(self) -> bool;
    /// Whether this is neither NaN nor infinite; for a dual number, whether both parts are.
    fn is_finite(self) -> bool;
}

/// A number that the engine stores and computes with. Sealed: `f32`, `f64`, [`Dual<f32>`](Dual), [`Dual<f64>`](Dual).
///
/// ```
/// use tiegrad_kernels::{DType, Scalar};
/// fn bytes<T: Scalar>(x: &[T]) -> usize { size_of_val(x) }
/// assert_eq!((bytes(&[1.0_f32]), f32::DTYPE), (4, DType::F32));
/// ```
pub trait Scalar: Arithmetic + Default + Display + Sum {
    /// Which scalar this is.
    const DTYPE: DType;
    /// Whether kernels are compiled for more than the baseline instruction set.
    #[doc(hidden)]
    const VECTORIZED: bool = false;
    /// The number as it is inside of loops compiled for fused multiply-add: [`Fused`]; for dual numbers, themselves.
    type Fused: Arithmetic + From<Self> + Into<Self>;

    /// Calls the method of `f` for this scalar: how generic code reaches one method per scalar.
    fn apply<F: ScalarFn>(f: F, x: F::In<Self>) -> F::Out<Self>;

    /// The matrix product kernel of this scalar.
    ///
    /// # Safety
    /// Every element that the sizes and strides of `g` reach must be valid: `a`, `b` and `bias` for reads,
    /// `c` for reads and writes and not shared with anything.
    #[doc(hidden)]
    unsafe fn gemm(g: &Gemm<Self>);

    /// What the vectors of a level do with right operands that are copied once for several products; 0 where there are no vectors.
    ///
    /// # Safety
    /// What the job's sizes and strides reach is valid as for [`gemm`](Scalar::gemm), the machine has the level, and a copy has the size asked for
    /// with the same level.
    #[doc(hidden)]
    unsafe fn packed(_level: Level, _job: Job<'_, Self>) -> usize {
        0
    }

    /// Applies an activation in place to a matrix of contiguous rows, `row` apart: what vectorized products end with.
    ///
    /// # Safety
    /// The elements are valid for reads and writes and not shared with anything.
    #[doc(hidden)]
    unsafe fn activate(activation: Activation, c: *mut Self, rows: usize, cols: usize, row: usize) {
        for i in 0..rows {
            for j in 0..cols {
                // SAFETY: promised by the caller.
                unsafe {
                    let c = c.add(i * row + j);
                    *c = activation.call(*c);
                }
            }
        }
    }
}

/// A function with one method per scalar, called through [`Scalar::apply`].
///
/// ```
/// use tiegrad_kernels::{Dual, Scalar, ScalarFn};
/// struct Name;
/// impl ScalarFn for Name {
///     type In<T: Scalar> = ();
///     type Out<T: Scalar> = &'static str;
///     fn call_f32(self, (): ()) -> &'static str { "single" }
///     fn call_f64(self, (): ()) -> &'static str { "double" }
///     fn call_dual_f32(self, (): ()) -> &'static str { "dual single" }
///     fn call_dual_f64(self, (): ()) -> &'static str { "dual double" }
/// }
/// fn name<T: Scalar>() -> &'static str { T::apply(Name, ()) }
/// assert_eq!(name::<f32>(), "single");
/// assert_eq!(name::<Dual<f64>>(), "dual double");
/// ```
pub trait ScalarFn {
    /// The argument.
    type In<T: Scalar>;
    /// The result.
    type Out<T: Scalar>;
    /// The method for `f32`.
    fn call_f32(self, x: Self::In<f32>) -> Self::Out<f32>;
    /// The method for `f64`.
    fn call_f64(self, x: Self::In<f64>) -> Self::Out<f64>;
    /// The method for `Dual<f32>`.
    fn call_dual_f32(self, x: Self::In<Dual<f32>>) -> Self::Out<Dual<f32>>;
    /// The method for `Dual<f64>`.
    fn call_dual_f64(self, x: Self::In<Dual<f64>>) -> Self::Out<Dual<f64>>;
}

#[cfg(test)]
mod tests;
