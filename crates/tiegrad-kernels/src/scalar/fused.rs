//! Numbers inside of loops that are compiled for fused multiply-add.

use super::{Arithmetic, sealed::Sealed};
use crate::simd::Together;
use crate::{math32, math64};
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// An `f32` or `f64` whose functions ([`exp`](Arithmetic::exp), …) use fused multiply-add. Its sums and products are the ordinary ones.
///
/// Only loops that were compiled for an instruction set with fused multiply-add make such numbers: elsewhere each multiply-add would
/// be a call into libm, right and slow.
///
/// ```
/// use tiegrad_kernels::{Arithmetic, scalar::Fused};
/// let y: f64 = Fused::from(1.0).exp().into();
/// assert!((y - 1.0_f64.exp()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Fused<R>(R);

impl<R> Sealed for Fused<R> {}

macro_rules! operators {
    ($($trait:ident $method:ident $assign:ident $assign_method:ident),*) => {$(
        impl<R: Arithmetic> $trait for Fused<R> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, y: Self) -> Self {
                Fused($trait::$method(self.0, y.0))
            }
        }
        impl<R: Arithmetic> $assign for Fused<R> {
            #[inline(always)]
            fn $assign_method(&mut self, y: Self) {
                $assign::$assign_method(&mut self.0, y.0);
            }
        }
    )*};
}
operators! {
    Add add AddAssign add_assign, Sub sub SubAssign sub_assign, Mul mul MulAssign mul_assign, Div div DivAssign div_assign
}

impl<R: Arithmetic> Neg for Fused<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Fused(-self.0)
    }
}

/// Functions that stand in a module of mathematics.
macro_rules! mathematics {
    ($math:ident: $($name:ident $to:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            Fused($math::$to::<Together>(self.0))
        }
    )*};
}

/// Functions that have no multiply-add to fuse.
macro_rules! same {
    ($($name:ident($($arg:ident: $ty:ty),*)),*) => {$(
        #[inline(always)]
        fn $name(self $(, $arg: $ty)*) -> Self {
            Fused(Arithmetic::$name(self.0 $(, $arg.into())*))
        }
    )*};
}

macro_rules! fused {
    ($float:ident, $math:ident) => {
        impl From<$float> for Fused<$float> {
            #[inline(always)]
            fn from(x: $float) -> Self {
                Fused(x)
            }
        }

        impl From<Fused<$float>> for $float {
            #[inline(always)]
            fn from(x: Fused<$float>) -> Self {
                x.0
            }
        }

        impl Arithmetic for Fused<$float> {
            const ZERO: Self = Fused(0.0);
            const ONE: Self = Fused(1.0);
            const INFINITY: Self = Fused($float::INFINITY);
            const NEG_INFINITY: Self = Fused($float::NEG_INFINITY);

            mathematics! {
                $math: exp exp, exp_bounded exp_bounded, ln ln, ln_1p ln_1p, exp_m1 exp_m1, tanh tanh, sigmoid sigmoid, softplus softplus, erf erf,
                sin_moderate sin, cos_moderate cos
            }
            same!(sqrt(), abs(), recip(), powf(y: Self), powi(n: i32), maximum(y: Self), minimum(y: Self));

            #[inline(always)]
            fn add_exp(self, sum: Self) -> Self {
                Fused($math::add_exp::<Together>(self.0, sum.0))
            }
            #[inline(always)]
            fn normal(self) -> (Self, Self) {
                let (cdf, density) = $math::normal::<Together>(self.0);
                (Fused(cdf), Fused(density))
            }
            // Loops call these where an argument may not be moderate; the moderate ones beside it get the bits that they get elsewhere.
            #[inline]
            fn sin(self) -> Self {
                if self.is_moderate() {
                    self.sin_moderate()
                } else {
                    Fused(Arithmetic::sin(self.0))
                }
            }
            #[inline]
            fn cos(self) -> Self {
                if self.is_moderate() {
                    self.cos_moderate()
                } else {
                    Fused(Arithmetic::cos(self.0))
                }
            }
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                Fused(x as $float)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.0.into()
            }
            #[inline(always)]
            fn is_moderate(self) -> bool {
                self.0.is_moderate()
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.0.is_nan()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.0.is_finite()
            }
        }
    };
}
fused!(f32, math32);
fused!(f64, math64);
