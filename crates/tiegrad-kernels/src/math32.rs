//! Branch-free `f32` functions, written so that LLVM vectorizes them inside loops.
//!
//! Sums of a product go through [`MulAdd`], which is fused in the copies of a loop whose instruction set has that. Selects are `if` expressions over values that are
//! all computed. Errors stated, in ulp, are those of the table "Largest errors" in docs/performance.md, rounded up.

// Coefficients stand as their authors or their fits give them.
#![allow(clippy::excessive_precision)]

use crate::simd::MulAdd;
use std::f32::consts::{FRAC_2_PI, LN_2, LOG2_E};

/// Adding and subtracting this rounds to the nearest integer n, and in between the low bits are n + 127, the exponent of 2^n.
const MAGIC: f32 = 12_583_039.0; // 1.5 * 2^23 + 127

/// a·b + c
#[inline(always)]
fn fma<M: MulAdd>(a: f32, b: f32, c: f32) -> f32 {
    M::single(a, b, c)
}

/// 2^n for an integer n in -126..=127, given `MAGIC + n`. What is above the low bits leaves at the left.
#[inline(always)]
fn pow2(magic: f32) -> f32 {
    f32::from_bits(magic.to_bits() << 23)
}

/// e^x within 1 ulp, subnormal results included.
#[inline(always)]
pub(crate) fn exp<M: MulAdd>(x: f32) -> f32 {
    // Beyond these the result is infinity or zero; NaN passes through both selects.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    // 2^n may be out of range where e^x is not, so it becomes two factors. The low bits are n + 254, the sum of their exponents.
    const MAGIC: f32 = self::MAGIC + 127.0;
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let sum = n.to_bits() << 23;
    let half = n.to_bits() << 22 & 0x7f80_0000;
    let (one, two) = (f32::from_bits(half), f32::from_bits(sum.wrapping_sub(half)));
    exp_scaled::<M>(x, n - MAGIC, one) * two
}

/// [`exp`] for x up to 88: its bits where they are those of a normal number, and 0 where e^x is less than those are. Nothing is
/// cut to a range before, and one scaling will do. (Where multiply-add is fused, the last bit may differ below 1e-30: there a product on the way is subnormal.)
#[inline(always)]
pub(crate) fn exp_bounded<M: MulAdd>(x: f32) -> f32 {
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let y = exp_scaled::<M>(x, n - MAGIC, pow2(n));
    if x < LEAST { 0.0 } else { y }
}

/// The logarithm of the smallest normal number, rounded up.
const LEAST: f32 = -87.336_54;

/// `sum` + e^x for x up to 0, where e^x is one of many terms, the largest of them 1: within 2.5 ulp of e^x above -20, within 5 below, and at least the smallest
/// normal number. So one part of ln 2 will do, a polynomial of a degree less, one comparison, and one multiply-add for the last scaling and the sum.
#[inline(always)]
pub(crate) fn add_exp<M: MulAdd>(x: f32, sum: f32) -> f32 {
    if !M::FUSED {
        return sum + exp_bounded::<M>(x);
    }
    let x = if x < LEAST { LEAST } else { x };
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let r = fma::<M>(n - MAGIC, -LN_2, x);
    // (e^r - 1) / r for |r| up to ln(2) / 2: a fit, the relative error of e^r 0.79 / 2^23; e^0 is 1.
    let p = fma::<M>(8.290_306e-3, r, 4.189_797_5e-2);
    let p = fma::<M>(p, r, 1.666_763_7e-1);
    let p = fma::<M>(p, r, 4.999_914_9e-1);
    let p = fma::<M>(p, r, 9.999_997_1e-1);
    fma::<M>(fma::<M>(p, r, 1.0), pow2(n), sum)
}

/// [`exp`] for x up to 0: 2^(n + 64) is in range for all n, so that its second factor is a constant.
#[inline(always)]
fn exp_below<M: MulAdd>(x: f32) -> f32 {
    const MAGIC: f32 = self::MAGIC + 64.0;
    let x = if x < -104.0 { -104.0 } else { x };
    let n = fma::<M>(x, LOG2_E, MAGIC);
    exp_scaled::<M>(x, n - MAGIC, pow2(n)) * TWO_M64
}

/// 2^-64
const TWO_M64: f32 = 5.421_010_9e-20;

/// ln 2 in two parts: the first has so few bits that its product with an exponent is exact.
const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);

/// x - n ln 2 as a sum of two, the first of them exact.
#[inline(always)]
fn reduced<M: MulAdd>(x: f32, n: f32) -> (f32, f32) {
    (fma::<M>(-n, LN2.0, x), -n * LN2.1)
}

/// e^(x - n ln 2) times a power of two.
#[inline(always)]
fn exp_scaled<M: MulAdd>(x: f32, n: f32, scale: f32) -> f32 {
    let (high, low) = reduced::<M>(x, n);
    if M::FUSED {
        exp_fused::<M>(fma::<M>(-n, LN2.1, high), scale)
    } else {
        exp_apart::<M>(high, low, scale)
    }
}

/// e^r times a power of two, for |r| up to ln(2) / 2. (e^r - 1) / r is rounded before it shrinks, and its product with r is not rounded.
#[inline(always)]
fn exp_fused<M: MulAdd>(r: f32, scale: f32) -> f32 {
    let p = fma::<M>(exp_polynomial::<M>(r), r, 1.0);
    fma::<M>(p, r * scale, scale)
}

/// The same for r = high + low, without fused multiply-add.
#[inline(always)]
fn exp_apart<M: MulAdd>(high: f32, low: f32, scale: f32) -> f32 {
    (high + exp_m1_rest::<M>(high, low) + 1.0) * scale
}

/// a and b with a + b s = (e^(high + low) 2^n - 1) `one`, a power of two, for s = 2^n times that; b is small.
#[inline(always)]
fn exp_m1_parts<M: MulAdd>((high, low): (f32, f32), s: f32, one: f32) -> (f32, f32) {
    (fma::<M>(high, s, s - one), exp_m1_rest::<M>(high, low))
}

/// What e^r - 1 is more than `high`, for r = high + low. It is small, and only here does the rounding of r count.
#[inline(always)]
fn exp_m1_rest<M: MulAdd>(high: f32, low: f32) -> f32 {
    let r = high + low;
    fma::<M>(exp_polynomial::<M>(r), r * r, low)
}

/// (e^r - 1 - r) / r² for |r| up to ln(2) / 2: a fit, its error in e^r 0.05 ulp.
#[inline(always)]
fn exp_polynomial<M: MulAdd>(r: f32) -> f32 {
    let p = fma::<M>(1.386_194e-3, r, 8.368_321_7e-3);
    let p = fma::<M>(p, r, 4.166_759_9e-2);
    let p = fma::<M>(p, r, 1.666_652_7e-1);
    fma::<M>(p, r, 4.999_999_7e-1)
}

/// ln(x) within 1 ulp, subnormals included; Cephes `logf`.
#[inline(always)]
pub(crate) fn ln<M: MulAdd>(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = if small { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)), exponent to match.
    let t = bits.wrapping_sub(SQRT_HALF);
    let e = (t as i32 >> 23) as f32 - if small { 23.0 } else { 0.0 };
    let m = f32::from_bits((t & 0x007f_ffff).wrapping_add(SQRT_HALF));
    let y = ln_reduced::<M>(m - 1.0, e);
    // Zero, negative, infinite and NaN arguments.
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x.is_nan() { x } else { y }
}

/// The bits of sqrt(1/2).
const SQRT_HALF: u32 = 0x3f35_04f3;

/// ln(1 + r) + e ln 2, for 1 + r from sqrt(1/2) to sqrt(2).
#[inline(always)]
fn ln_reduced<M: MulAdd>(r: f32, e: f32) -> f32 {
    let z = r * r;
    let z2 = z * z;
    let high = fma::<M>(
        fma::<M>(7.037_683_6e-2, r, -1.151_461e-1),
        z,
        fma::<M>(1.167_699_9e-1, r, -1.242_014_1e-1),
    );
    let low = fma::<M>(
        fma::<M>(1.424_932_3e-1, r, -1.666_805_8e-1),
        z,
        fma::<M>(2.000_071_5e-1, r, -2.499_999_4e-1),
    );
    let p = fma::<M>(fma::<M>(high, z2, low), r, 3.333_333e-1);
    let y = fma::<M>(-0.5, z, fma::<M>(p * r, z, e * LN2.1));
    fma::<M>(e, LN2.0, r + y)
}

/// ln(1 + x) within 1.5 ulp.
#[inline(always)]
pub(crate) fn ln_1p<M: MulAdd>(x: f32) -> f32 {
    // 1 + x = m 2^e with m in [sqrt(1/2), sqrt(2)], by the rounded sum, and m - 1 = x 2^-e + (2^-e - 1), rounded once. Four times that: 2^-128 is not normal.
    let t = (1.0 + x).to_bits().wrapping_sub(SQRT_HALF);
    let e = (t as i32 >> 23) as f32;
    let scale = f32::from_bits(0x4080_0000_u32.wrapping_sub(t & 0xff80_0000));
    let r = 0.25 * fma::<M>(x, scale, scale - 4.0);
    let y = ln_reduced::<M>(r, e);
    // Infinite and NaN arguments, -1 and below. The sign is x's; of -0 the sums make 0.
    let y = if x < f32::INFINITY { y } else { x };
    let least = if x == -1.0 {
        f32::NEG_INFINITY
    } else {
        f32::NAN
    };
    (if x > -1.0 { y } else { least }).copysign(x)
}

/// e^x - 1 within 1.5 ulp.
#[inline(always)]
pub(crate) fn exp_m1<M: MulAdd>(x: f32) -> f32 {
    // Below, the result is -1.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -18.0 { -18.0 } else { x };
    // Half of it: 2^n may be 2^128. (This costs subnormal results a unit of their last place.)
    const MAGIC: f32 = self::MAGIC - 1.0;
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let scale = pow2(n);
    let (most, rest) = exp_m1_parts::<M>(reduced::<M>(x, n - MAGIC), scale, 0.5);
    let y = fma::<M>(rest, scale, most);
    // The sign is x's; of -0 the sums make 0.
    (y + y).copysign(x)
}

/// 1 / (1 + e^-x) within 2.5 ulp, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    let e = exp_below::<M>(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// tanh(x) within 1.5 ulp: with m = e^2|x| - 1, it is m / (m + 2).
#[inline(always)]
pub(crate) fn tanh<M: MulAdd>(x: f32) -> f32 {
    // From 10 on the result is one; NaN passes through the select.
    let a = x.abs();
    let a = if a > 10.0 { 10.0 } else { a };
    let twice = a + a;
    let n = fma::<M>(twice, LOG2_E, MAGIC);
    let scale = pow2(n);
    let (most, rest) = exp_m1_parts::<M>(reduced::<M>(twice, n - MAGIC), scale, 1.0);
    let m = fma::<M>(rest, scale, most);
    // m / (m + 2) = c + ((1 - c) m - 2 c) / (m + 2) with an exact c near it, so that the errors of the division count little. Where m is small, so do its own.
    let far = a > 0.55;
    let (c, by, more) = if far {
        (0.75, 0.25, -1.5)
    } else {
        (a, -a, fma::<M>(rest, scale, most - twice))
    };
    let y = c + fma::<M>(by, m, more) / (m + 2.0);
    y.copysign(x)
}

/// ln(1 + e^x) within 3 ulp: max(x, 0) + 2 artanh(e / (2 + e)) with e = e^-|x|.
#[inline(always)]
pub(crate) fn softplus<M: MulAdd>(x: f32) -> f32 {
    let e = exp_below::<M>(-x.abs());
    let s = e / fma::<M>(0.5, e, 1.0);
    let z = 0.25 * s * s;
    let p = fma::<M>(
        fma::<M>(1.215_054_4e-1, z, 1.071_383_2e-1),
        z * z,
        fma::<M>(1.430_843_9e-1, z, 1.999_943_9e-1),
    );
    let p = fma::<M>(p, z * z, 3.333_333_8e-1 * z);
    let linear = if x > 0.0 { x } else { 0.0 };
    let y = linear + fma::<M>(s, p, s);
    if x.is_nan() { x } else { y }
}

/// Φ(x) and φ(x), the normal distribution within 7 ulp and its density within 2.5: both have the factor e^(-x²/2), and what remains of Φ(-|x|) is a polynomial in (|x| - 4) / (|x| + 4).
#[inline(always)]
pub(crate) fn normal<M: MulAdd>(x: f32) -> (f32, f32) {
    let a = x.abs();
    // From here on Φ(-a) and φ(a) are zero.
    let a = if a < 15.0 { a } else { 15.0 };
    // a² in two parts, the first exact: its rounding error alone would be worth 60 ulp at the far end.
    let high = f32::from_bits(a.to_bits() & 0xffff_f000);
    let (square, rest) = (high * high * -0.5, (a - high) * (a + high) * -0.5);
    // Times 2^64, as in `exp_below`.
    const MAGIC: f32 = self::MAGIC + 64.0;
    let n = fma::<M>(square + rest, LOG2_E, MAGIC);
    let (scale, n) = (pow2(n), n - MAGIC);
    let (high, low) = (fma::<M>(-n, LN2.0, square), fma::<M>(-n, LN2.1, rest));
    let e = if M::FUSED {
        exp_fused::<M>(high + low, scale)
    } else {
        exp_apart::<M>(high, low, scale)
    };
    let inverse = 1.0 / (a + 4.0);
    let t = (a - 4.0) * inverse;
    let t2 = t * t;
    let p = fma::<M>(
        fma::<M>(-1.319_76e-4, t, 1.793_482_2e-4),
        t2,
        fma::<M>(1.569_924_7e-3, t, -3.512_551_6e-3),
    );
    let p = fma::<M>(p, t2, fma::<M>(-7.525_272_8e-3, t, 6.040_383_1e-2));
    let p = fma::<M>(p, t2, fma::<M>(-1.865_234_4e-1, t, 3.871_369e-1));
    let p = fma::<M>(p, t2, fma::<M>(-6.078_965_9e-1, t, 7.552_851_4e-1));
    let below = e * (p * inverse) * TWO_M64;
    let cdf = if x > 0.0 { 1.0 - below } else { below };
    let density = e * 3.989_423e-1 * TWO_M64;
    if x.is_nan() { (x, x) } else { (cdf, density) }
}

/// Up to here [`sin`] and [`cos`] are right: n below has 20 bits.
pub(crate) const MODERATE: f32 = 1_000_000.0;

/// x - n π/2 in -π/4..π/4 as a sum of two, the second of them less than 4e-9, and n in the low bits of the third, for |x| up to [`MODERATE`].
#[inline(always)]
fn quadrant<M: MulAdd>(x: f32) -> (f32, f32, u32) {
    if M::FUSED {
        // π/2 in three parts (W. J. Cody and W. Waite 1980). The first product needs 44 bits, but what it leaves of x is a multiple of x's last place or of 2^-23,
        // and exact; the second difference is rounded as a result would be. All parts are positive, so that -0 stays -0.
        const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
        let n = fma::<M>(x, FRAC_2_PI, MAGIC);
        let (bits, n) = (n.to_bits(), n - MAGIC);
        let r = fma::<M>(-n, 1.570_796_25, x);
        let r = fma::<M>(-n, 7.549_789_4e-8, r);
        (r, -n * 5.390_303e-15, bits)
    } else {
        // In `f64`, where the product with the first part, of 33 bits, is exact.
        const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
        let x = f64::from(x);
        let n = x * std::f64::consts::FRAC_2_PI + MAGIC;
        let (bits, n) = (n.to_bits() as u32, n - MAGIC);
        let r = x - n * 1.570_796_326_734_125_6 - n * 6.077_100_506_506_192e-11;
        (r as f32, -0.0, bits)
    }
}

/// sin(r + rest + n π/2) for |r| up to π/4 and a little more, by fits: sine and cosine are a + a z p(z) with z = r² and a = r or 1. The rest,
/// which shows only where the result is near zero, is added where r is.
#[inline(always)]
fn sin_quadrant<M: MulAdd>(r: f32, rest: f32, n: u32) -> f32 {
    let z = r * r;
    let pick = |sin: f32, cos: f32| if n & 1 == 0 { sin } else { cos };
    let p = fma::<M>(
        pick(2.803_724_6e-6, 2.439_365e-5),
        z,
        pick(-1.985_064e-4, -1.388_695_9e-3),
    );
    let p = fma::<M>(p, z, pick(8.333_375e-3, 4.166_663_8e-2));
    let p = fma::<M>(p, z, pick(-1.666_666_7e-1, -0.5));
    let a = pick(r, 1.0);
    // Adding zero makes 0 of the -0 that the product is for a zero, so that the sine of -0 is -0.
    let y = fma::<M>(fma::<M>(p, z, 0.0), a, rest) + a;
    f32::from_bits(y.to_bits() ^ (n & 2) << 30)
}

/// sin(x) within 1.6 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn sin<M: MulAdd>(x: f32) -> f32 {
    let (r, rest, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, rest, n)
}

/// cos(x) within 1.6 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn cos<M: MulAdd>(x: f32) -> f32 {
    let (r, rest, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, rest, n.wrapping_add(1))
}

/// erf(x) within 1.6 ulp: N. Juffa's two-interval fit, odd polynomial below 475/512, 1 - e^q(x) above.
#[inline(always)]
pub(crate) fn erf<M: MulAdd>(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    // Beyond 4 the result is one; NaN takes the other branch below. The fit's coefficients come times log2(e),
    // so that 2^q is what remains.
    let a = if t < 4.0 { t } else { 4.0 };
    let a2 = a * a;
    let high = fma::<M>(
        fma::<M>(-2.493_748_4e-5, a, 5.528_366e-4),
        a2,
        fma::<M>(-5.603_376e-3, a, 3.499_202e-2),
    );
    let low = fma::<M>(
        -1.628_395_2,
        a,
        fma::<M>(-1.540_479_1e-1, a, -9.158_901_7e-1) * a2,
    );
    let q = fma::<M>(high, a2 * a2, low);
    let n = q + MAGIC;
    let (scale, n) = (pow2(n), n - MAGIC);
    let r = q - n;
    let r2 = r * r;
    let high = fma::<M>(
        fma::<M>(1.535_336_2e-4, r, 1.339_887_4e-3),
        r2,
        fma::<M>(9.618_437e-3, r, 5.550_332_5e-2),
    );
    let p = fma::<M>(high, r2, fma::<M>(2.402_264_8e-1, r, 6.931_472e-1));
    let far = fma::<M>(-fma::<M>(p, r, 1.0), scale, 1.0).copysign(x);
    let s2 = s * s;
    let high = fma::<M>(-5.967_617_0e-4, s, 4.991_194_2e-3);
    let mid = fma::<M>(-2.676_813_5e-2, s, 1.128_199_25e-1);
    let low = fma::<M>(-3.761_253_4e-1, s, 1.283_791_7e-1);
    let q = fma::<M>(fma::<M>(high, s2, mid), s2, low);
    let near = fma::<M>(q, x, x);
    if t > 0.927_734_4 { far } else { near }
}
