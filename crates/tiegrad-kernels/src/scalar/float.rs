//! `Scalar` for `f32` and `f64`.

use super::{DType, Dual, Scalar, ScalarFn, sealed::Sealed};
use crate::matmul::{self, Gemm};
use crate::{math32, math64};

macro_rules! methods {
    ($float:ident, $dtype:ident, $call:ident) => {
        const ZERO: Self = 0.0;
        const ONE: Self = 1.0;
        const INFINITY: Self = $float::INFINITY;
        const NEG_INFINITY: Self = $float::NEG_INFINITY;
        const DTYPE: DType = DType::$dtype;
        const VECTORIZED: bool = true;

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
        #[inline(always)]
        fn sin(self) -> Self {
            $float::sin(self)
        }
        #[inline(always)]
        fn cos(self) -> Self {
            $float::cos(self)
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
        #[inline(always)]
        fn apply<F: ScalarFn>(f: F, x: F::In<Self>) -> F::Out<Self> {
            f.$call(x)
        }
        #[inline(always)]
        unsafe fn gemm(g: &Gemm<Self>) {
            // SAFETY: the same contract.
            unsafe { matmul::gemm_vector::$float(crate::simd::level(), g) }
        }
    };
}

impl Sealed for f32 {}
impl Sealed for f64 {}

impl Scalar for f32 {
    methods!(f32, F32, call_f32);

    #[inline(always)]
    fn exp(self) -> Self {
        math32::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        math32::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        math32::ln_1p(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        math32::exp_m1(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        math32::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        math32::sigmoid(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        math32::erf(self)
    }
}

impl Scalar for f64 {
    methods!(f64, F64, call_f64);

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        f64::exp_m1(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let e = (-self.abs()).exp();
        let top = if self < 0.0 { e } else { 1.0 };
        top / (1.0 + e)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        math64::erf(self)
    }
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
