//! Numbers of about 104 bits as unevaluated sums of two `f64` (T. J. Dekker 1971), with the functions that serve as references.

// Coefficients stand as their authors give them.
#![allow(clippy::excessive_precision)]

use std::ops::{Add, Div, Mul, Neg, Sub};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair(f64, f64);

impl Pair {
    pub(crate) const ONE: Pair = Pair(1.0, 0.0);
    /// 1 / sqrt(2 π)
    pub(crate) const INV_SQRT_2PI: Pair = Pair(0.398_942_280_401_432_7, -2.492_327_202_277_73e-17);
    /// 2 sqrt(2 / π)
    pub(crate) const GELU_C: Pair = Pair(1.595_769_121_605_730_8, -9.969_308_809_110_92e-17);
    const LN_2: Pair = Pair(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);
    const FRAC_1_SQRT_2: Pair = Pair(std::f64::consts::FRAC_1_SQRT_2, -4.833_646_656_726_457e-17);
    const FRAC_2_SQRT_PI: Pair = Pair(std::f64::consts::FRAC_2_SQRT_PI, 1.533_545_961_316_588e-17);

    /// The sum of two numbers, the first of them the larger.
    fn quick(a: f64, b: f64) -> Pair {
        let s = a + b;
        Pair(s, b - (s - a))
    }

    pub(crate) fn from(x: f64) -> Pair {
        Pair(x, 0.0)
    }

    pub(crate) fn to_f64(self) -> f64 {
        self.0 + self.1
    }

    /// Times a power of two.
    fn scale(self, by: f64) -> Pair {
        Pair(self.0 * by, self.1 * by)
    }

    pub(crate) fn exp(self) -> Pair {
        if self.0 < -745.2 || self.0.is_nan() {
            return Pair::from(self.0.exp());
        }
        let n = (self.0 / std::f64::consts::LN_2).round();
        let r = (self - Pair::LN_2 * Pair::from(n)).scale(1.0 / 512.0);
        // e^r - 1 by its series, and (y + 1)^2 - 1 nine times.
        let mut y = r.series(1.0, 10);
        for _ in 0..9 {
            y = y.scale(2.0) + y * y;
        }
        let half = (n / 2.0).trunc();
        (y + Pair::ONE).scale(half.exp2()).scale((n - half).exp2())
    }

    /// The sum of x^k / (first ... k) for k from 1.
    fn series(self, first: f64, terms: usize) -> Pair {
        let mut y = Pair::from(0.0);
        for k in (0..terms).rev() {
            y = (y + Pair::ONE) * self / Pair::from(first + k as f64);
        }
        y
    }

    pub(crate) fn exp_m1(self) -> Pair {
        if self.0.abs() < 0.3 {
            self.series(1.0, 28)
        } else {
            self.exp() - Pair::ONE
        }
    }

    pub(crate) fn ln(self) -> Pair {
        // Near the ends of the range e^-y would not be a normal number.
        let (x, shift) = if self.0 < 1e-200 {
            (self.scale(2.0_f64.powi(400)), -400.0)
        } else if self.0 > 1e200 {
            (self.scale(2.0_f64.powi(-400)), 400.0)
        } else {
            (self, 0.0)
        };
        let y = Pair::from(x.0.ln());
        // Newton's step, with its second order.
        let d = x * (-y).exp() - Pair::ONE;
        y + d - (d * d).scale(0.5) + Pair::LN_2 * Pair::from(shift)
    }

    pub(crate) fn ln_1p(self) -> Pair {
        if self.0.abs() > 0.1 {
            return (self + Pair::ONE).ln();
        }
        // 2 artanh(x / (2 + x))
        let s = self / (self + Pair::from(2.0));
        let z = s * s;
        let mut y = Pair::from(0.0);
        for k in (0..20).rev() {
            y = y * z + Pair::ONE / Pair::from(f64::from(2 * k + 1));
        }
        (y * s).scale(2.0)
    }

    pub(crate) fn tanh(self) -> Pair {
        if self.0.abs() > 40.0 {
            return Pair::from(self.0.signum());
        }
        let e = self.scale(2.0).exp_m1();
        e / (e + Pair::from(2.0))
    }

    pub(crate) fn sigmoid(self) -> Pair {
        if self.0 > 0.0 {
            Pair::ONE / (Pair::ONE + (-self).exp())
        } else {
            let e = self.exp();
            e / (Pair::ONE + e)
        }
    }

    pub(crate) fn sqrt(self) -> Pair {
        let y = Pair::from(self.0.sqrt());
        if y.0 == 0.0 || !y.0.is_finite() {
            return y;
        }
        y + (self - y * y) / y.scale(2.0)
    }

    pub(crate) fn erf(self) -> Pair {
        if self.0.abs() > 6.5 {
            return Pair::from(self.0.signum());
        }
        if self.0.abs() > 3.0 {
            let e = Pair::ONE - Pair(self.0.abs(), self.1 * self.0.signum()).erfc_far();
            return if self.0 < 0.0 { -e } else { e };
        }
        // 2/sqrt(π) e^-x² sum 2^n x^(2n+1) / (2n+1)!!: all terms have one sign.
        let z = (self * self).scale(2.0);
        let (mut term, mut sum, mut n) = (self, self, 1.0);
        while term.0.abs() > 1e-33 * sum.0.abs() {
            n += 2.0;
            term = term * z / Pair::from(n);
            sum = sum + term;
        }
        (-self * self).exp() * sum * Pair::FRAC_2_SQRT_PI
    }

    /// erfc(x) for x above 3 by its continued fraction.
    fn erfc_far(self) -> Pair {
        let mut t = Pair::from(0.0);
        let terms = if self.0 > 6.0 { 80 } else { 240 };
        for n in (1..terms).rev() {
            t = Pair::from(f64::from(n) / 2.0) / (self + t);
        }
        (-self * self).exp() * Pair::FRAC_2_SQRT_PI.scale(0.5) / (self + t)
    }

    /// The normal distribution function.
    pub(crate) fn normal(self) -> Pair {
        let x = -self * Pair::FRAC_1_SQRT_2;
        if x.0 > 27.5 {
            Pair::from(0.0)
        } else if x.0 > 3.0 {
            x.erfc_far().scale(0.5)
        } else if x.0.is_nan() {
            x
        } else {
            (Pair::ONE - x.erf()).scale(0.5)
        }
    }

    /// x - n π/2, and n: π/2 in parts of 33 bits, whose products with n are exact, for |x| up to a million.
    fn quadrant(x: f64) -> (Pair, i64) {
        let n = (x * std::f64::consts::FRAC_2_PI).round();
        let parts = [
            1.570_796_326_734_125_614_17,
            6.077_100_506_303_965_976_6e-11,
            2.022_266_248_711_166_455_8e-21,
            8.478_427_660_368_899_569_97e-32,
        ];
        (
            parts
                .iter()
                .fold(Pair::from(x), |r, &p| r - Pair::from(n) * Pair::from(p)),
            n as i64,
        )
    }

    /// The sine of `self`, or its cosine, by the series.
    fn wave(self, cosine: bool) -> Pair {
        let z = -self * self;
        let mut y = Pair::from(0.0);
        let odd = if cosine { 0.0 } else { 1.0 };
        for k in (1..16).rev() {
            let k = 2.0 * f64::from(k) + odd;
            y = (y + Pair::ONE) * z / Pair::from(k * (k - 1.0));
        }
        let y = y + Pair::ONE;
        if cosine { y } else { y * self }
    }

    fn turned(x: f64, more: i64) -> Pair {
        if x.is_nan() || x.abs() > 1e6 {
            let exact = if more == 0 { x.sin() } else { x.cos() };
            return Pair::from(exact);
        }
        let (r, n) = Pair::quadrant(x);
        let n = n + more;
        let y = r.wave(n & 1 == 1);
        if n & 2 == 0 { y } else { -y }
    }

    pub(crate) fn sin(x: f64) -> Pair {
        Pair::turned(x, 0)
    }

    pub(crate) fn cos(x: f64) -> Pair {
        Pair::turned(x, 1)
    }
}

impl Add for Pair {
    type Output = Pair;
    fn add(self, b: Pair) -> Pair {
        let s = self.0 + b.0;
        let v = s - self.0;
        let e = (self.0 - (s - v)) + (b.0 - v);
        let t = self.1 + b.1;
        let u = t - self.1;
        let f = (self.1 - (t - u)) + (b.1 - u);
        let y = Pair::quick(s, e + t);
        Pair::quick(y.0, y.1 + f)
    }
}

impl Sub for Pair {
    type Output = Pair;
    fn sub(self, b: Pair) -> Pair {
        self + -b
    }
}

impl Neg for Pair {
    type Output = Pair;
    fn neg(self) -> Pair {
        Pair(-self.0, -self.1)
    }
}

impl Mul for Pair {
    type Output = Pair;
    fn mul(self, b: Pair) -> Pair {
        let p = self.0 * b.0;
        let e = self.0.mul_add(b.0, -p);
        Pair::quick(p, e + (self.0 * b.1 + self.1 * b.0))
    }
}

impl Div for Pair {
    type Output = Pair;
    fn div(self, b: Pair) -> Pair {
        let q = self.0 / b.0;
        let r = self - b * Pair::from(q);
        let q2 = r.0 / b.0;
        let r = r - b * Pair::from(q2);
        Pair::quick(q, q2) + Pair::from(r.0 / b.0)
    }
}
