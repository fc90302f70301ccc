//! Branch-free `f32` functions, written so that LLVM vectorizes them inside loops.
//!
//! Sums of a product go through [`MulAdd`], which is fused in the copies of a loop whose instruction set has that. Selects are `if` expressions over values that are
//! all computed. Errors stated, in ulp, are the largest seen by `examples/ulp/main.rs` over all `f32`, rounded up.

// Coefficients stand as their authors or their fits give them.
#![allow(clippy::excessive_precision)]

use crate::simd::MulAdd;
use std::f32::consts::LOG2_E;

/// Adding and subtracting this rounds to the nearest integer, which then sits in the low bits.
const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23

/// a·b + c
#[inline(always)]
fn fma<M: MulAdd>(a: f32, b: f32, c: f32) -> f32 {
    M::single(a, b, c)
}

/// 2^n for an integer n in -126..=127, given as the bits of `MAGIC + n`.
#[inline(always)]
fn pow2(magic_bits: u32) -> f32 {
    f32::from_bits(magic_bits.wrapping_add(127) << 23)
}

/// e^x within 1.03 ulp, subnormal results included; Cephes `expf` with a two-step scaling.
#[inline(always)]
pub(crate) fn exp<M: MulAdd>(x: f32) -> f32 {
    // Beyond these the result is infinity or zero; NaN passes through both selects.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let (y, bits) = exp_parts::<M>(x);
    // 2^n may be out of range where y * 2^n is not (and the other way round): two halves are in range.
    let n = bits.wrapping_sub(MAGIC.to_bits()) as i32;
    let half = n >> 1;
    y * pow2(half as u32) * pow2((n - half) as u32)
}

/// [`exp`] for x up to 88: its bits where they are those of a normal number, and 0 where e^x is less than those are. Nothing is
/// cut to a range before, and one scaling will do. (Where multiply-add is not fused, and a product subnormal, the last bit may differ.)
#[inline(always)]
pub(crate) fn exp_bounded<M: MulAdd>(x: f32) -> f32 {
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let (scale, n) = (pow2(n.to_bits()), n - MAGIC);
    let r = fma::<M>(-n, 0.693_359_4, x);
    let r = fma::<M>(-n, -2.121_944_4e-4, r);
    // (1 + e) 2^n, rounded once as 1 + e is.
    let y = fma::<M>(exp_m1_reduced::<M>(r), scale, scale);
    if x < -87.336_54 { 0.0 } else { y }
}

/// e^x for -80 < x < 80, where one scaling will do.
#[inline(always)]
fn exp_moderate<M: MulAdd>(x: f32) -> f32 {
    let (y, bits) = exp_parts::<M>(x);
    y * pow2(bits)
}

/// y in [sqrt(1/2), sqrt(2)] and n with e^x = y 2^n; n as the low bits of the second.
#[inline(always)]
fn exp_parts<M: MulAdd>(x: f32) -> (f32, u32) {
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let (bits, n) = (n.to_bits(), n - MAGIC);
    // x - n ln 2 in two parts: the first has few bits, so that its product is exact.
    let r = fma::<M>(-n, 0.693_359_4, x);
    let r = fma::<M>(-n, -2.121_944_4e-4, r);
    (exp_m1_reduced::<M>(r) + 1.0, bits)
}

/// e^r - 1 for |r| up to ln(2) / 2, good for adding 1.
#[inline(always)]
fn exp_m1_reduced<M: MulAdd>(r: f32) -> f32 {
    // Pairs of terms (Estrin's scheme): half the latency of Horner's, which is what bounds these functions.
    let r2 = r * r;
    let high = fma::<M>(
        fma::<M>(1.987_569_1e-4, r, 1.398_199_9e-3),
        r2,
        fma::<M>(8.333_452e-3, r, 4.166_579_6e-2),
    );
    let p = fma::<M>(high, r2, fma::<M>(1.666_666_5e-1, r, 5.0e-1));
    fma::<M>(p, r2, r)
}

/// ln(x) within 1 ulp, subnormals included; Cephes `logf`.
#[inline(always)]
pub(crate) fn ln<M: MulAdd>(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = if small { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)), exponent to match.
    let t = bits.wrapping_sub(0x3f35_04f3);
    let e = (t as i32 >> 23) as f32 - if small { 23.0 } else { 0.0 };
    let m = f32::from_bits((t & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let r = m - 1.0;
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
    let y = fma::<M>(-0.5, z, fma::<M>(p * r, z, e * -2.121_944_4e-4));
    let y = fma::<M>(e, 0.693_359_4, r + y);
    // Zero, negative, infinite and NaN arguments.
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x.is_nan() { x } else { y }
}

/// ln(1 + x) within 3 ulp (W. Kahan's correction of the rounded 1 + x).
#[inline(always)]
pub(crate) fn ln_1p<M: MulAdd>(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let y = ln::<M>(u) * (x / d);
    let y = if d == 0.0 { x } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x == f32::INFINITY { x } else { y }
}

/// e^x - 1 within 2 ulp: a polynomial near zero, the difference elsewhere.
#[inline(always)]
pub(crate) fn exp_m1<M: MulAdd>(x: f32) -> f32 {
    let p = 2.480_158_7e-5;
    let p = fma::<M>(p, x, 1.984_127e-4);
    let p = fma::<M>(p, x, 1.388_888_9e-3);
    let p = fma::<M>(p, x, 8.333_333e-3);
    let p = fma::<M>(p, x, 4.166_666_8e-2);
    let p = fma::<M>(p, x, 1.666_666_7e-1);
    let p = fma::<M>(p, x, 0.5);
    // Adding zero makes 0 of the -0 that a product is for x = -0, so that the result is -0.
    let near = fma::<M>(fma::<M>(p, x, 0.0), x, x);
    let far = exp::<M>(x) - 1.0;
    if x.abs() < 0.5 { near } else { far }
}

/// 1 / (1 + e^-x) within 2.5 ulp, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid<M: MulAdd>(x: f32) -> f32 {
    let e = exp::<M>(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// tanh(x) within 2 ulp; Cephes `tanhf`.
#[inline(always)]
pub(crate) fn tanh<M: MulAdd>(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = fma::<M>(p, z, 2.063_908_9e-2);
    let p = fma::<M>(p, z, -5.373_971_6e-2);
    let p = fma::<M>(p, z, 1.333_144_2e-1);
    let p = fma::<M>(p, z, -3.333_328_2e-1);
    let near = fma::<M>(p * z, x, x);
    // From 10 on the result is one; NaN takes the other branch.
    let c = if a < 10.0 { a } else { 10.0 };
    let far = 1.0 - 2.0 / (exp_moderate::<M>(c + c) + 1.0);
    // For -0 too, of which `near` makes 0.
    (if a > 0.625 { far } else { near }).copysign(x)
}

/// ln(1 + e^x) within 3 ulp: max(x, 0) + 2 artanh(e / (2 + e)) with e = e^-|x|.
#[inline(always)]
pub(crate) fn softplus<M: MulAdd>(x: f32) -> f32 {
    let e = exp::<M>(-x.abs());
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
    let n = fma::<M>(square + rest, LOG2_E, MAGIC);
    let (bits, n) = (n.to_bits(), n - MAGIC);
    let r = fma::<M>(-n, 0.693_359_4, square);
    let r = fma::<M>(-n, -2.121_944_4e-4, r) + rest;
    let e = exp_m1_reduced::<M>(r) + 1.0;
    let n = bits.wrapping_sub(MAGIC.to_bits()) as i32;
    let half = n >> 1;
    let (one, two) = (pow2(half as u32), pow2((n - half) as u32));
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
    let below = e * (p * inverse) * one * two;
    let cdf = if x > 0.0 { 1.0 - below } else { below };
    let density = e * 3.989_423e-1 * one * two;
    if x.is_nan() { (x, x) } else { (cdf, density) }
}

/// Up to here [`sin`] and [`cos`] are right: n below has 20 bits, so that its product with 33 bits of π/2 is exact.
pub(crate) const MODERATE: f32 = 1_000_000.0;

/// x - n π/2 in -π/4..π/4, and n in the low bits of the second, for |x| up to [`MODERATE`].
#[inline(always)]
fn quadrant<M: MulAdd>(x: f32) -> (f32, u32) {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    let x = f64::from(x);
    let n = M::double(x, std::f64::consts::FRAC_2_PI, MAGIC);
    let (bits, n) = (n.to_bits() as u32, n - MAGIC);
    let r = M::double(n, -1.570_796_326_734_125_6, x);
    let r = M::double(n, -6.077_100_506_506_192e-11, r);
    (r as f32, bits)
}

/// sin(r + n π/2) for |r| up to π/4; Cephes `sinf`.
#[inline(always)]
fn sin_quadrant<M: MulAdd>(r: f32, n: u32) -> f32 {
    let z = r * r;
    let s = fma::<M>(
        fma::<M>(-1.951_529_6e-4, z, 8.332_161e-3),
        z,
        -1.666_665_5e-1,
    );
    // Adding zero makes 0 of the -0 that the product is for a zero, so that the sine of -0 is -0.
    let s = fma::<M>(fma::<M>(s, z, 0.0), r, r);
    let c = fma::<M>(
        fma::<M>(2.443_315_7e-5, z, -1.388_731_6e-3),
        z,
        4.166_664_6e-2,
    );
    let c = fma::<M>(-0.5, z, c * z * z) + 1.0;
    let y = if n & 1 == 0 { s } else { c };
    f32::from_bits(y.to_bits() ^ (n & 2) << 30)
}

/// sin(x) within 1.6 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn sin<M: MulAdd>(x: f32) -> f32 {
    let (r, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, n)
}

/// cos(x) within 1.6 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn cos<M: MulAdd>(x: f32) -> f32 {
    let (r, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, n.wrapping_add(1))
}

/// erf(x) within 1.5 ulp: N. Juffa's two-interval fit, odd polynomial below 475/512, 1 - e^q(x) above.
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
    let (bits, n) = (n.to_bits(), n - MAGIC);
    let r = q - n;
    let r2 = r * r;
    let high = fma::<M>(
        fma::<M>(1.535_336_2e-4, r, 1.339_887_4e-3),
        r2,
        fma::<M>(9.618_437e-3, r, 5.550_332_5e-2),
    );
    let p = fma::<M>(high, r2, fma::<M>(2.402_264_8e-1, r, 6.931_472e-1));
    let far = fma::<M>(-fma::<M>(p, r, 1.0), pow2(bits), 1.0).copysign(x);
    let s2 = s * s;
    let high = fma::<M>(-5.967_617_0e-4, s, 4.991_194_2e-3);
    let mid = fma::<M>(-2.676_813_5e-2, s, 1.128_199_25e-1);
    let low = fma::<M>(-3.761_253_4e-1, s, 1.283_791_7e-1);
    let q = fma::<M>(fma::<M>(high, s2, mid), s2, low);
    let near = fma::<M>(q, x, x);
    if t > 0.927_734_4 { far } else { near }
}
