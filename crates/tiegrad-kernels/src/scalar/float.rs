//! `Scalar` for `f32` and `f64`.

use super::{Arithmetic, DType, Dual, Fused, Scalar, ScalarFn, sealed::Sealed};
use crate::matmul::{self, Activation, Gemm, Job};
use crate::simd::{Level, Separate};
use crate::{math32, math64};

/// Methods that stand in a module of mathematics under the same name.
macro_rules! mathematics {
    ($math:ident: $($name:ident $to:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $math::$to::<Separate>(self)
        }
    )*};
}

macro_rules! arithmetic {
    ($float:ident, $math:ident) => {
        mathematics! {
            $math: exp exp, exp_bounded exp_bounded, ln ln, ln_1p ln_1p, exp_m1 exp_m1, tanh tanh, sigmoid sigmoid, softplus softplus, erf erf,
            sin_moderate sin, cos_moderate cos
        }

        #[inline(always)]
        fn add_exp(self, sum: Self) -> Self {
            $math::add_exp::<Separate>(self, sum)
        }
        #[inline(always)]
        fn normal(self) -> (Self, Self) {
            $math::normal::<Separate>(self)
        }

        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const INFINITY: Self = $float::INFINITY;
        const NEG_INFINITY: Self = $float::NEG_INFINITY;

        #[inline(always)]
        fn from_f64(x: f64) -> Self {
            x as $float
        }
        #[inline(always)]
        fn to_f64(self) -> f64 {
            self.into()
        }
        #[inline(always)]
        fn sqrt(self) -> Self {
            $float::sqrt(self)
        }
        #[inline]
        fn sin(self) -> Self {
            if self.is_moderate() {
                self.sin_moderate()
            } else {
                // libm's, whose reduction knows enough digits of π; one rounding more for an `f32`.
                f64::from(self).sin() as $float
            }
        }
        #[inline]
        fn cos(self) -> Self {
            if self.is_moderate() {
                self.cos_moderate()
            } else {
                f64::from(self).cos() as $float
            }
        }
        #[inline(always)]
        fn is_moderate(self) -> bool {
            self.abs() <= $math::MODERATE
        }
        #[inline(always)]
        fn abs(self) -> Self {
            $float::abs(self)
        }
        #[inline(always)]
        fn recip(self) -> Self {
            1.0 / self
        }
        #[inline(always)]
        fn powf(self, y: Self) -> Self {
            $float::powf(self, y)
        }
        #[inline(always)]
        fn powi(self, n: i32) -> Self {
            $float::powi(self, n)
        }
        #[inline(always)]
        fn maximum(self, other: Self) -> Self {
            if self > other || self.is_nan() {
                self
            } else {
                other
            }
        }
        #[inline(always)]
        fn minimum(self, other: Self) -> Self {
            if self < other || self.is_nan() {
                self
            } else {
                other
            }
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            $float::is_nan(self)
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            $float::is_finite(self)
        }
    };
}

macro_rules! scalar {
    ($float:ident, $dtype:ident, $call:ident) => {
        const DTYPE: DType = DType::$dtype;
        const VECTORIZED: bool = true;
        type Fused = Fused<$float>;

        #[inline(always)]
        fn apply<F: ScalarFn>(f: F, x: F::In<Self>) -> F::Out<Self> {
            f.$call(x)
        }
        #[inline(always)]
        unsafe fn gemm(g: &Gemm<Self>) {
            // SAFETY: the same contract.
            unsafe { matmul::gemm_at(crate::simd::level(), g) }
        }
        unsafe fn packed(level: Level, job: Job<'_, Self>) -> usize {
            // SAFETY: the same contract.
            unsafe { matmul::packed_at(level, job) }
        }
        #[inline(always)]
        unsafe fn activate(
            activation: Activation,
            c: *mut Self,
            rows: usize,
            cols: usize,
            row: usize,
        ) {
            // SAFETY: the same contract.
            unsafe { matmul::activate::$float(activation, c, rows, cols, row) }
        }
    };
}

impl Sealed for f32 {}
impl Sealed for f64 {}

impl Arithmetic for f32 {
    arithmetic!(f32, math32);
}

impl Arithmetic for f64 {
    arithmetic!(f64, math64);
}

impl Scalar for f32 {
    scalar!(f32, F32, call_f32);
}

impl Scalar for f64 {
    scalar!(f64, F64, call_f64);
}

/// What [`Dual`] is made over.
pub trait Real: Scalar {
    /// The scalar of the dual numbers over this.
    #[doc(hidden)]
    const DUAL: DType;
    #[doc(hidden)]
    fn apply_dual<F: ScalarFn>(f: F, x: F::In<Dual<Self>>) -> F::Out<Dual<Self>>
    where
        Self: Sized;
}

impl Real for f32 {
    const DUAL: DType = DType::DualF32;
    #[inline(always)]
    fn apply_dual<F: ScalarFn>(f: F, x: F::In<Dual<Self>>) -> F::Out<Dual<Self>> {
        f.call_dual_f32(x)
    }
}

impl Real for f64 {
    const DUAL: DType = DType::DualF64;
    #[inline(always)]
    fn apply_dual<F: ScalarFn>(f: F, x: F::In<Dual<Self>>) -> F::Out<Dual<Self>> {
        f.call_dual_f64(x)
    }
}
