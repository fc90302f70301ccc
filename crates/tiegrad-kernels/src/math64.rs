//! Branch-free `f64` functions, written so that LLVM vectorizes them inside loops; the counterpart of `math32`.
//!
//! No conversions between `i64` and `f64` and no arithmetic shifts of `i64`, which AVX2 lacks: integers go through the low bits
//! of large numbers. Errors stated are the largest seen by `examples/ulp/main.rs`, rounded up.

// Coefficients stand as their authors or their fits give them.
#![allow(clippy::excessive_precision)]

use crate::simd::MulAdd;
use std::f64::consts::{FRAC_2_PI, LOG2_E, SQRT_2};

/// Adding and subtracting this rounds to the nearest integer, which then sits in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
/// ln 2 in two parts; the first has 32 bits.
const LN2: (f64, f64) = (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10);

/// a·b + c
#[inline(always)]
fn fma<M: MulAdd>(a: f64, b: f64, c: f64) -> f64 {
    M::double(a, b, c)
}

/// The polynomial with coefficients `c`, lowest first: even and odd powers apart, so that no chain of operations is long.
#[inline(always)]
fn polynomial<M: MulAdd, const N: usize>(x: f64, c: &[f64; N]) -> f64 {
    let x2 = x * x;
    let (mut even, mut odd) = (0.0, 0.0);
    let mut i = N;
    while i > 0 {
        i -= 1;
        if i.is_multiple_of(2) {
            even = fma::<M>(even, x2, c[i]);
        } else {
            odd = fma::<M>(odd, x2, c[i]);
        }
    }
    fma::<M>(odd, x, even)
}

/// 2^n as two factors, for n in -2046..=2046 given as the bits of `MAGIC + n`: y 2^n may be in range where 2^n is not.
#[inline(always)]
fn pow2(magic_bits: u64) -> (f64, f64) {
    let n = magic_bits.wrapping_sub(MAGIC.to_bits()).wrapping_add(2048);
    let half = n >> 1;
    let scale = |k: u64| f64::from_bits(k.wrapping_sub(1) << 52);
    (scale(half), scale(n.wrapping_sub(half)))
}

/// (e^r - 1 - r) / r² for |r| up to ln(2) / 2, from the lowest power up.
const EXP: [f64; 11] = [
    0.499_999_999_999_999_999_65,
    0.166_666_666_666_666_838_45,
    0.041_666_666_666_666_724_599,
    0.008_333_333_333_316_738_877_5,
    0.001_388_888_888_885_851_150_7,
    0.000_198_412_698_970_572_875_58,
    0.000_024_801_587_373_528_141_645,
    2.755_723_423_912_423_883_6e-6,
    2.755_723_356_303_352_853_1e-7,
    2.511_223_884_676_484_736_1e-8,
    2.092_687_905_370_300_657_2e-9,
];

/// e^(x + rest) = y 2^n: y in [sqrt(1/2), sqrt(2)], and the two factors of 2^n.
#[inline(always)]
fn exp_parts<M: MulAdd>(x: f64, rest: f64) -> (f64, f64, f64) {
    let n = fma::<M>(x + rest, LOG2_E, MAGIC);
    let (one, two) = pow2(n.to_bits());
    let n = n - MAGIC;
    let r = fma::<M>(-n, LN2.1, fma::<M>(-n, LN2.0, x)) + rest;
    (
        fma::<M>(polynomial::<M, _>(r, &EXP), r * r, r) + 1.0,
        one,
        two,
    )
}

/// e^x within 1 ulp, subnormal results included.
#[inline(always)]
pub(crate) fn exp<M: MulAdd>(x: f64) -> f64 {
    // Beyond these the result is infinity or zero; NaN passes through both selects.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    let (y, one, two) = exp_parts::<M>(x, 0.0);
    y * one * two
}

/// [`exp`] for x up to 709: its bits where they are those of a normal number, and 0 where e^x is less than those are. (The last bit may
/// differ as in `math32`.)
#[inline(always)]
pub(crate) fn exp_bounded<M: MulAdd>(x: f64) -> f64 {
    let n = fma::<M>(x, LOG2_E, MAGIC);
    // The low bits of `MAGIC + n`: what is above them leaves at the left.
    let scale = f64::from_bits(n.to_bits().wrapping_add(1023) << 52);
    let n = n - MAGIC;
    let r = fma::<M>(-n, LN2.1, fma::<M>(-n, LN2.0, x));
    let q = fma::<M>(polynomial::<M, _>(r, &EXP), r * r, r);
    // (1 + q) 2^n, rounded once as 1 + q is.
    let y = fma::<M>(q, scale, scale);
    if x < -708.396_418_532_264_1 { 0.0 } else { y }
}

/// ln(x) within 1 ulp, subnormals included; fdlibm's `e_log.c` (Sun Microsystems, 1993).
#[inline(always)]
pub(crate) fn ln<M: MulAdd>(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_0000_0000;
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let small = x < f64::MIN_POSITIVE;
    let scaled = if small {
        x * 18_014_398_509_481_984.0
    } else {
        x
    };
    // Mantissa in [sqrt(1/2), sqrt(2)), exponent to match, biased so that it is not negative.
    let t = scaled
        .to_bits()
        .wrapping_sub(SQRT_HALF)
        .wrapping_add(1023 << 52);
    let bias = if small {
        4_503_599_627_371_573.0
    } else {
        4_503_599_627_371_519.0
    };
    let e = f64::from_bits(t >> 52 & 0xfff | TWO_52) - bias;
    let f = f64::from_bits((t & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let p = polynomial::<M, _>(
        z,
        &[
            6.666_666_666_666_735e-1,
            3.999_999_999_940_942e-1,
            2.857_142_874_366_239e-1,
            2.222_219_843_214_978_4e-1,
            1.818_357_216_161_805e-1,
            1.531_383_769_920_937_3e-1,
            1.479_819_860_511_658_6e-1,
        ],
    ) * z;
    let half = 0.5 * f * f;
    let y = fma::<M>(e, LN2.0, -((half - fma::<M>(s, half + p, e * LN2.1)) - f));
    // Zero, negative, infinite and NaN arguments.
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f64::NAN } else { y };
    let y = if x == f64::INFINITY { x } else { y };
    if x.is_nan() { x } else { y }
}

/// ln(1 + x) within 3 ulp (W. Kahan's correction of the rounded 1 + x).
#[inline(always)]
pub(crate) fn ln_1p<M: MulAdd>(x: f64) -> f64 {
    let u = 1.0 + x;
    let d = u - 1.0;
    let y = ln::<M>(u) * (x / d);
    let y = if d == 0.0 { x } else { y };
    let y = if x == -1.0 { f64::NEG_INFINITY } else { y };
    if x == f64::INFINITY { x } else { y }
}

/// e^x - 1 within 2 ulp: a polynomial near zero, the difference elsewhere.
#[inline(always)]
pub(crate) fn exp_m1<M: MulAdd>(x: f64) -> f64 {
    const NEAR: [f64; 12] = [
        0.499_999_999_999_999_991_23,
        0.166_666_666_666_666_663_56,
        0.041_666_666_666_667_657_603,
        0.008_333_333_333_333_535_114_2,
        0.001_388_888_888_857_070_981,
        0.000_198_412_698_408_148_879_93,
        0.000_024_801_587_738_693_266_14,
        2.755_731_970_694_899_899_8e-6,
        2.755_702_757_163_295_524_5e-7,
        2.505_184_498_254_014_003_2e-8,
        2.097_009_717_769_477_126_4e-9,
        1.613_053_559_731_884_473_1e-10,
    ];
    // The sign is x's; of -0 the sum makes 0.
    let near = fma::<M>(polynomial::<M, _>(x, &NEAR), x * x, x).copysign(x);
    let far = exp::<M>(x) - 1.0;
    if x.abs() < 0.5 { near } else { far }
}

/// 1 / (1 + e^-x) within 2.5 ulp, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid<M: MulAdd>(x: f64) -> f64 {
    let e = exp::<M>(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// tanh(x) within 2 ulp; Cephes `tanh`, with one division for both of its intervals.
#[inline(always)]
pub(crate) fn tanh<M: MulAdd>(x: f64) -> f64 {
    let a = x.abs();
    let z = x * x;
    let p = polynomial::<M, _>(
        z,
        &[
            -1.614_687_684_417_084_5e3,
            -9.928_772_310_019_186e1,
            -9.643_991_794_250_523e-1,
        ],
    );
    let q = polynomial::<M, _>(
        z,
        &[
            4.844_063_053_251_255e3,
            2.235_488_390_601_004_5e3,
            1.128_116_784_916_329_3e2,
            1.0,
        ],
    );
    // From 20 on the result is one; NaN takes the other branch.
    let c = if a < 20.0 { a } else { 20.0 };
    let (y, one, two) = exp_parts::<M>(c + c, 0.0);
    let far = a > 0.625;
    let base = if far { 1.0 } else { a };
    let top = if far { -2.0 } else { a * z * p };
    let bottom = if far { y * one * two + 1.0 } else { q };
    (base + top / bottom).copysign(x)
}

/// ln(1 + e^x) within 3 ulp: max(x, 0) + 2 artanh(e / (2 + e)) with e = e^-|x|.
#[inline(always)]
pub(crate) fn softplus<M: MulAdd>(x: f64) -> f64 {
    let e = exp::<M>(-x.abs());
    let s = e / fma::<M>(0.5, e, 1.0);
    let z = 0.25 * s * s;
    // (2 artanh(s/2) - s) / (s z) for z up to 1/9.
    let p = polynomial::<M, _>(
        z,
        &[
            0.5 * 0.666_666_666_666_666_783_17,
            0.5 * 0.399_999_999_999_939_790_32,
            0.5 * 0.285_714_285_725_097_731_08,
            0.5 * 0.222_222_221_254_912_192_77,
            0.5 * 0.181_818_232_020_110_273_9,
            0.5 * 0.153_844_519_561_984_031_1,
            0.5 * 0.133_368_054_202_915_538_53,
            0.5 * 0.117_159_548_595_161_389_73,
            0.5 * 0.109_725_396_489_812_549_43,
            0.5 * 0.069_943_462_062_068_884_396,
            0.5 * 0.164_674_784_496_425_949,
        ],
    );
    let linear = if x > 0.0 { x } else { 0.0 };
    let y = linear + fma::<M>(s, z * p, s);
    if x.is_nan() { x } else { y }
}

/// Φ(-a) = e^(-a²/2) p((a - 5) / (a + 5)) / (a + 5), the normal distribution far below: p for a from 0 to 39. Even powers.
const TAIL_EVEN: [f64; 11] = [
    0.769_193_049_750_062_956_16,
    0.495_305_615_969_977_001_33,
    0.165_020_366_170_361_455_28,
    0.020_795_066_800_243_733_416,
    -0.000_797_869_401_491_999_895_49,
    -0.000_059_375_711_212_846_770_993,
    0.000_016_681_144_576_830_872_094,
    -2.769_054_586_819_807_985_3e-6,
    4.326_855_204_437_043_885_2e-7,
    -6.531_908_679_581_627_236_6e-8,
    7.181_711_589_493_063_982_7e-9,
];
/// The odd powers.
const TAIL_ODD: [f64; 11] = [
    -0.665_382_502_890_056_600_43,
    -0.313_533_156_671_315_722_27,
    -0.069_118_638_705_952_087_307,
    -0.002_993_376_775_695_755_302_1,
    0.000_544_899_105_872_035_231_2,
    -0.000_049_763_010_262_162_104_84,
    3.981_491_292_517_412_131_2e-6,
    -3.377_431_389_700_141_120_6e-7,
    4.361_217_795_510_971_962_1e-8,
    -1.021_063_214_109_275_258_2e-8,
    2.013_786_445_588_871_853_2e-9,
];

/// e^(a²/2) Φ(-a) for a from 0 to 39.
#[inline(always)]
fn tail<M: MulAdd>(a: f64) -> f64 {
    let inverse = 1.0 / (a + 5.0);
    let t = (a - 5.0) * inverse;
    // As two: LLVM does not unroll a loop over all the coefficients early enough to vectorize what is around it.
    let t2 = t * t;
    let (odd, even) = (
        polynomial::<M, _>(t2, &TAIL_ODD),
        polynomial::<M, _>(t2, &TAIL_EVEN),
    );
    fma::<M>(odd, t, even) * inverse
}

/// -a² in two parts, the first exact: in e^(-a²) the rounding error of a square would be worth hundreds of ulp.
#[inline(always)]
fn minus_square(a: f64) -> (f64, f64) {
    let high = f64::from_bits(a.to_bits() & 0xffff_ffff_f800_0000);
    (-high * high, (high - a) * (high + a))
}

/// erf(x) within 1.5 ulp: x times a polynomial in x² below 1, 1 - 2 Φ(-√2 |x|) above.
#[inline(always)]
pub(crate) fn erf<M: MulAdd>(x: f64) -> f64 {
    const NEAR: [f64; 12] = [
        -0.376_126_389_031_837_496_01,
        0.112_837_916_709_549_298_78,
        -0.026_866_170_645_084_490_973,
        0.005_223_977_624_882_042_524_9,
        -0.000_854_832_698_410_133_650_6,
        0.000_120_553_312_200_086_956_62,
        -0.000_014_925_597_672_943_348_03,
        1.646_103_655_708_637_236_1e-6,
        -1.635_067_314_220_026_136e-7,
        1.466_207_505_355_243_843_96e-8,
        -1.138_132_412_705_324_953_8e-9,
        5.970_900_381_450_560_078_6e-11,
    ];
    let a = x.abs();
    let z = x * x;
    let p = fma::<M>(polynomial::<M, _>(z, &NEAR), z, 1.283_791_670_955_125_7e-1);
    let near = fma::<M>(x, p, x);
    // Beyond 6 the result is one; NaN takes the other branch.
    let c = if a < 6.0 { a } else { 6.0 };
    let (square, rest) = minus_square(c);
    let (e, one, two) = exp_parts::<M>(square, rest);
    let far = fma::<M>(-2.0, e * tail::<M>(c * SQRT_2) * one * two, 1.0);
    if a > 1.0 { far.copysign(x) } else { near }
}

/// Φ(x) and φ(x), the normal distribution within 9 ulp and its density within 2.5.
#[inline(always)]
pub(crate) fn normal<M: MulAdd>(x: f64) -> (f64, f64) {
    let a = x.abs();
    // From here on both are zero.
    let a = if a < 39.0 { a } else { 39.0 };
    let (square, rest) = minus_square(a);
    let (e, one, two) = exp_parts::<M>(0.5 * square, 0.5 * rest);
    let below = e * tail::<M>(a) * one * two;
    let cdf = if x > 0.0 { 1.0 - below } else { below };
    let density = e * 3.989_422_804_014_326_8e-1 * one * two;
    if x.is_nan() { (x, x) } else { (cdf, density) }
}

/// Up to here [`sin`] and [`cos`] are right: n below has 20 bits, so that its products with parts of 33 bits are exact.
pub(crate) const MODERATE: f64 = 1_000_000.0;

/// x - n π/2 in -π/4..π/4 as a sum of two, and n in the low bits of the third, for |x| up to [`MODERATE`]: π/2 in three parts
/// of 33 bits and a rest (fdlibm's `e_rem_pio2.c`).
#[inline(always)]
fn quadrant<M: MulAdd>(x: f64) -> (f64, f64, u64) {
    let n = fma::<M>(x, FRAC_2_PI, MAGIC);
    let (bits, n) = (n.to_bits(), n - MAGIC);
    let t = fma::<M>(-n, 1.570_796_326_734_125_614_17, x);
    let w = n * 6.077_100_506_303_965_976_6e-11;
    let r = t - w;
    let lost = (t - r) - w;
    let w = n * 2.022_266_248_711_166_455_8e-21;
    let s = r - w;
    // Subtracted, so that -0 stays -0.
    let over = fma::<M>(n, 8.478_427_660_368_899_569_97e-32, (w - (r - s)) - lost);
    let y = s - over;
    (y, (s - y) - over, bits)
}

/// sin(r + rest + n π/2) for |r| up to π/4; fdlibm's `k_sin.c` and `k_cos.c`.
#[inline(always)]
fn sin_quadrant<M: MulAdd>(r: f64, rest: f64, n: u64) -> f64 {
    let z = r * r;
    let v = z * r;
    let p = polynomial::<M, _>(
        z,
        &[
            8.333_333_333_322_489e-3,
            -1.984_126_982_985_795e-4,
            2.755_731_370_707_006_8e-6,
            -2.505_076_025_340_686_3e-8,
            1.589_690_995_211_55e-10,
        ],
    );
    let sin = r - fma::<M>(
        -v,
        -1.666_666_666_666_663_2e-1,
        fma::<M>(z, fma::<M>(-v, p, 0.5 * rest), -rest),
    );
    let p = z * polynomial::<M, _>(
        z,
        &[
            4.166_666_666_666_66e-2,
            -1.388_888_888_887_411e-3,
            2.480_158_728_947_673e-5,
            -2.755_731_435_139_066_3e-7,
            2.087_572_321_298_175e-9,
            -1.135_964_755_778_819_5e-11,
        ],
    );
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cos = w + (((1.0 - w) - half) + fma::<M>(-r, rest, z * p));
    let y = if n & 1 == 0 { sin } else { cos };
    f64::from_bits(y.to_bits() ^ (n & 2) << 62)
}

/// sin(x) within 1 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn sin<M: MulAdd>(x: f64) -> f64 {
    let (r, rest, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, rest, n)
}

/// cos(x) within 1 ulp for |x| up to [`MODERATE`].
#[inline(always)]
pub(crate) fn cos<M: MulAdd>(x: f64) -> f64 {
    let (r, rest, n) = quadrant::<M>(x);
    sin_quadrant::<M>(r, rest, n.wrapping_add(1))
}
