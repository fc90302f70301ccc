//! Dual numbers: a value and its derivative along one direction (forward-mode differentiation).

use super::float::Real;
use super::{Arithmetic, DType, Scalar, ScalarFn, sealed::Sealed};
use crate::matmul::{self, Gemm};
use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// `re + eps·ε` with ε² = 0: `eps` is the derivative of `re` along one direction.
///
/// Every function of [`Arithmetic`] carries the derivative by its own closed formula. Comparisons, equality
/// included, look at `re` alone.
///
/// ```
/// use tiegrad_kernels::{Arithmetic, Dual};
/// let x = Dual { re: 2.0_f64, eps: 1.0 };
/// let y = x * x * x;
/// assert_eq!((y.re, y.eps), (8.0, 12.0));
/// assert_eq!(x.exp().eps, 2.0_f64.exp());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Dual<R> {
    /// The value.
    pub re: R,
    /// The derivative.
    pub eps: R,
}

impl<R: Real> Dual<R> {
    /// `f(self)`, where `re` is f's value and `slope` its derivative at `self.re`.
    #[inline(always)]
    fn chain(self, re: R, slope: R) -> Self {
        // A constant stays one even where the slope is infinite.
        let eps = if self.eps == R::ZERO {
            R::ZERO
        } else {
            self.eps * slope
        };
        Dual { re, eps }
    }
}

impl<R: Display> Display for Dual<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}ε", self.re, self.eps)
    }
}

impl<R: PartialEq> PartialEq for Dual<R> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.re == other.re
    }
}

impl<R: PartialOrd> PartialOrd for Dual<R> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.re.partial_cmp(&other.re)
    }
}

impl<R: Real> Add for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, y: Self) -> Self {
        Dual {
            re: self.re + y.re,
            eps: self.eps + y.eps,
        }
    }
}

impl<R: Real> Sub for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, y: Self) -> Self {
        Dual {
            re: self.re - y.re,
            eps: self.eps - y.eps,
        }
    }
}

impl<R: Real> Mul for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, y: Self) -> Self {
        Dual {
            re: self.re * y.re,
            eps: self.re * y.eps + self.eps * y.re,
        }
    }
}

impl<R: Real> Div for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn div(self, y: Self) -> Self {
        let re = self.re / y.re;
        Dual {
            re,
            eps: (self.eps - re * y.eps) / y.re,
        }
    }
}

impl<R: Real> Neg for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Dual {
            re: -self.re,
            eps: -self.eps,
        }
    }
}

macro_rules! assign {
    ($($trait:ident $method:ident $op:tt),*) => {$(
        impl<R: Real> $trait for Dual<R> {
            #[inline(always)]
            fn $method(&mut self, y: Self) {
                *self = *self $op y;
            }
        }
    )*};
}
assign!(AddAssign add_assign +, SubAssign sub_assign -, MulAssign mul_assign *, DivAssign div_assign /);

impl<R: Real> Sum for Dual<R> {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, |a, b| a + b)
    }
}

impl<R: Real> Sealed for Dual<R> {}

impl<R: Real> Arithmetic for Dual<R> {
    const ZERO: Self = Dual {
        re: R::ZERO,
        eps: R::ZERO,
    };
    const ONE: Self = Dual {
        re: R::ONE,
        eps: R::ZERO,
    };
    const INFINITY: Self = Dual {
        re: R::INFINITY,
        eps: R::ZERO,
    };
    const NEG_INFINITY: Self = Dual {
        re: R::NEG_INFINITY,
        eps: R::ZERO,
    };

    fn from_f64(x: f64) -> Self {
        Dual {
            re: R::from_f64(x),
            eps: R::ZERO,
        }
    }
    fn to_f64(self) -> f64 {
        self.re.to_f64()
    }
    fn exp(self) -> Self {
        let y = self.re.exp();
        self.chain(y, y)
    }
    fn exp_bounded(self) -> Self {
        let y = self.re.exp_bounded();
        self.chain(y, y)
    }
    fn add_exp(self, sum: Self) -> Self {
        sum + self.exp_bounded()
    }
    fn ln(self) -> Self {
        self.chain(self.re.ln(), self.re.recip())
    }
    fn ln_1p(self) -> Self {
        self.chain(self.re.ln_1p(), (R::ONE + self.re).recip())
    }
    fn exp_m1(self) -> Self {
        self.chain(self.re.exp_m1(), self.re.exp())
    }
    fn sqrt(self) -> Self {
        let y = self.re.sqrt();
        self.chain(y, R::from_f64(0.5) / y)
    }
    fn tanh(self) -> Self {
        let y = self.re.tanh();
        self.chain(y, R::ONE - y * y)
    }
    fn sigmoid(self) -> Self {
        let y = self.re.sigmoid();
        self.chain(y, y * (R::ONE - y))
    }
    fn erf(self) -> Self {
        let slope = (-(self.re * self.re)).exp() * R::from_f64(std::f64::consts::FRAC_2_SQRT_PI);
        self.chain(self.re.erf(), slope)
    }
    fn softplus(self) -> Self {
        self.chain(self.re.softplus(), self.re.sigmoid())
    }
    fn normal(self) -> (Self, Self) {
        let (cdf, density) = self.re.normal();
        (
            self.chain(cdf, density),
            self.chain(density, -(self.re * density)),
        )
    }
    fn sin_moderate(self) -> Self {
        self.sin()
    }
    fn cos_moderate(self) -> Self {
        self.cos()
    }
    fn is_moderate(self) -> bool {
        self.re.is_moderate()
    }
    fn sin(self) -> Self {
        self.chain(self.re.sin(), self.re.cos())
    }
    fn cos(self) -> Self {
        self.chain(self.re.cos(), -self.re.sin())
    }
    fn abs(self) -> Self {
        let slope = if self.re > R::ZERO {
            R::ONE
        } else if self.re < R::ZERO {
            -R::ONE
        } else {
            R::ZERO
        };
        self.chain(self.re.abs(), slope)
    }
    fn recip(self) -> Self {
        let y = self.re.recip();
        self.chain(y, -(y * y))
    }
    fn powf(self, y: Self) -> Self {
        let re = self.re.powf(y.re);
        let by_base = self.chain(re, y.re * self.re.powf(y.re - R::ONE)).eps;
        let by_exponent = y
            .chain(
                re,
                if re == R::ZERO {
                    R::ZERO
                } else {
                    re * self.re.ln()
                },
            )
            .eps;
        Dual {
            re,
            eps: by_base + by_exponent,
        }
    }
    fn powi(self, n: i32) -> Self {
        let slope = if n == 0 {
            R::ZERO
        } else {
            R::from_f64(n.into()) * self.re.powi(n.saturating_sub(1))
        };
        self.chain(self.re.powi(n), slope)
    }
    fn maximum(self, other: Self) -> Self {
        if self.re > other.re || self.re.is_nan() {
            self
        } else {
            other
        }
    }
    fn minimum(self, other: Self) -> Self {
        if self.re < other.re || self.re.is_nan() {
            self
        } else {
            other
        }
    }
    fn is_nan(self) -> bool {
        self.re.is_nan() || self.eps.is_nan()
    }
    fn is_finite(self) -> bool {
        self.re.is_finite() && self.eps.is_finite()
    }
}

impl<R: Real> Scalar for Dual<R> {
    const DTYPE: DType = R::DUAL;
    type Fused = Self;

    fn apply<F: ScalarFn>(f: F, x: F::In<Self>) -> F::Out<Self> {
        R::apply_dual(f, x)
    }
    unsafe fn gemm(g: &Gemm<Self>) {
        // SAFETY: the same contract.
        unsafe { matmul::gemm_plain(g) }
    }
}
