//! Branch-free `f64` functions, written so that LLVM vectorizes them inside loops; the counterpart of `math32`.
//!
//! No conversions between `i64` and `f64` and no arithmetic shifts of `i64`, which AVX2 lacks: integers go through the low bits
//! of large numbers. Errors stated, in ulp, are those of the table "Largest errors" in docs/performance.md, found over samples, rounded up.

// Coefficients stand as their authors or their fits give them.
#![allow(clippy::excessive_precision)]

use crate::simd::{MulAdd, array};
use std::f64::consts::{FRAC_2_PI, LOG2_E};

/// Adding and subtracting this rounds to the nearest integer n, and in between the low bits are n + 1023, the exponent of 2^n.
const MAGIC: f64 = 6_755_399_441_056_767.0; // 1.5 * 2^52 + 1023
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

/// 2^n for an integer n in -1022..=1023, given `MAGIC + n`. What is above the low bits leaves at the left.
#[inline(always)]
fn pow2(magic: f64) -> f64 {
    f64::from_bits(magic.to_bits() << 52)
}

/// (e^r - 1 - r) / r² for |r| up to ln(2) / 2, from the lowest power up: a fit, its error in e^r 0.04 ulp.
const EXP: [f64; 10] = [
    0.500_000_000_000_000_555_11,
    0.166_666_666_666_664_742_28,
    0.041_666_666_666_570_595_368,
    0.008_333_333_333_457_757_993_7,
    0.001_388_888_893_400_624_328_2,
    0.000_198_412_695_880_013_955_4,
    0.000_024_801_501_998_879_993_849,
    2.755_750_616_071_012_649_2e-6,
    2.762_743_040_781_985_784_5e-7,
    2.502_908_611_676_034_479_4e-8,
];

/// x - n ln 2 as a sum of two, the first of them exact.
#[inline(always)]
fn reduced<M: MulAdd>(x: f64, n: f64) -> (f64, f64) {
    (fma::<M>(-n, LN2.0, x), -n * LN2.1)
}

/// e^(high + low) times a power of two, for a sum of at most ln(2) / 2.
#[inline(always)]
fn exp_scaled<M: MulAdd>((high, low): (f64, f64), scale: f64) -> f64 {
    fma::<M>(high + exp_m1_rest::<M>(high, low), scale, scale)
}

/// a and b with a + b s = (e^(high + low) 2^n - 1) `one`, a power of two, for s = 2^n times that; b is small.
#[inline(always)]
fn exp_m1_parts<M: MulAdd>((high, low): (f64, f64), s: f64, one: f64) -> (f64, f64) {
    (fma::<M>(high, s, s - one), exp_m1_rest::<M>(high, low))
}

/// What e^r - 1 is more than `high`, for r = high + low. It is small, and only here does the rounding of r count.
#[inline(always)]
fn exp_m1_rest<M: MulAdd>(high: f64, low: f64) -> f64 {
    let r = high + low;
    fma::<M>(polynomial::<M, _>(r, &EXP), r * r, low)
}

/// e^x within 1 ulp, subnormal results included.
#[inline(always)]
pub(crate) fn exp<M: MulAdd>(x: f64) -> f64 {
    // Beyond these the result is infinity or zero; NaN passes through both selects.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -746.0 { -746.0 } else { x };
    // 2^n may be out of range where e^x is not, so it becomes two factors. The low bits are n + 2046, the sum of their exponents.
    const MAGIC: f64 = self::MAGIC + 1023.0;
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let sum = n.to_bits() << 52;
    let half = n.to_bits() << 51 & 0x7ff0_0000_0000_0000;
    let (one, two) = (f64::from_bits(half), f64::from_bits(sum.wrapping_sub(half)));
    exp_scaled::<M>(reduced::<M>(x, n - MAGIC), one) * two
}

/// [`exp`] for x up to 709: its bits where they are those of a normal number, and 0 where e^x is less than those are. Nothing is
/// cut to a range before, and one scaling will do. (Where multiply-add is not fused, and a product subnormal, the last bit may differ.)
#[inline(always)]
pub(crate) fn exp_bounded<M: MulAdd>(x: f64) -> f64 {
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let y = exp_scaled::<M>(reduced::<M>(x, n - MAGIC), pow2(n));
    if x < LEAST { 0.0 } else { y }
}

/// The logarithm of the smallest normal number, rounded up.
const LEAST: f64 = -708.396_418_532_264_1;

/// `sum` + e^x for x up to 0, where e^x is one of many terms, as in `math32`: within 2 ulp of e^x.
#[inline(always)]
pub(crate) fn add_exp<M: MulAdd>(x: f64, sum: f64) -> f64 {
    if !M::FUSED {
        return sum + exp_bounded::<M>(x);
    }
    let x = if x < LEAST { LEAST } else { x };
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let whole = n - MAGIC;
    let r = fma::<M>(-whole, LN2.1, fma::<M>(-whole, LN2.0, x));
    let p = fma::<M>(polynomial::<M, _>(r, &EXP), r, 1.0);
    fma::<M>(fma::<M>(p, r, 1.0), pow2(n), sum)
}

/// [`MAGIC`] for 2^(n + 512), with n from -1111 to 0: where the other factor of 2^n can be a constant.
const MAGIC_512: f64 = MAGIC + 512.0;
/// 2^-512
const TWO_M512: f64 = 7.458_340_731_200_207e-155;

/// [`exp`] for x up to 0.
#[inline(always)]
fn exp_below<M: MulAdd>(x: f64) -> f64 {
    let x = if x < -746.0 { -746.0 } else { x };
    let n = fma::<M>(x, LOG2_E, MAGIC_512);
    exp_scaled::<M>(reduced::<M>(x, n - MAGIC_512), pow2(n)) * TWO_M512
}

/// 2^512 e^(x + rest) for x from -770 to 0.
#[inline(always)]
fn exp_above<M: MulAdd>(x: f64, rest: f64) -> f64 {
    let n = fma::<M>(x + rest, LOG2_E, MAGIC_512);
    let (scale, n) = (pow2(n), n - MAGIC_512);
    exp_scaled::<M>((fma::<M>(-n, LN2.0, x), fma::<M>(-n, LN2.1, rest)), scale)
}

/// The bits of sqrt(1/2), nearly.
const SQRT_HALF: u64 = 0x3fe6_a09e_0000_0000;

/// ln(x) within 1 ulp, subnormals included; fdlibm's `e_log.c` (Sun Microsystems, 1993).
#[inline(always)]
pub(crate) fn ln<M: MulAdd>(x: f64) -> f64 {
    let small = x < f64::MIN_POSITIVE;
    let scaled = if small {
        x * 18_014_398_509_481_984.0
    } else {
        x
    };
    let (t, e) = exponent(scaled);
    let e = e - if small { 54.0 } else { 0.0 };
    let f = f64::from_bits((t & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF)) - 1.0;
    let y = ln_reduced::<M>(f, e);
    // Zero, negative, infinite and NaN arguments.
    let y = if x == 0.0 { f64::NEG_INFINITY } else { y };
    let y = if x < 0.0 { f64::NAN } else { y };
    let y = if x == f64::INFINITY { x } else { y };
    if x.is_nan() { x } else { y }
}

/// x = m 2^e with m in [sqrt(1/2), sqrt(2)): bits of which the upper 12 are e + 1023 and the others those of m less [`SQRT_HALF`], and e.
#[inline(always)]
fn exponent(x: f64) -> (u64, f64) {
    const TWO_52: u64 = 0x4330_0000_0000_0000;
    let t = x.to_bits().wrapping_sub(SQRT_HALF).wrapping_add(1023 << 52);
    (
        t,
        f64::from_bits(t >> 52 | TWO_52) - 4_503_599_627_371_519.0,
    )
}

/// ln(1 + f) + e ln 2, for 1 + f from sqrt(1/2) to sqrt(2).
#[inline(always)]
fn ln_reduced<M: MulAdd>(f: f64, e: f64) -> f64 {
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
    fma::<M>(e, LN2.0, -((half - fma::<M>(s, half + p, e * LN2.1)) - f))
}

/// ln(1 + x) within 1.5 ulp.
#[inline(always)]
pub(crate) fn ln_1p<M: MulAdd>(x: f64) -> f64 {
    // As in `math32`.
    let (t, e) = exponent(1.0 + x);
    let scale = f64::from_bits((1_u64 << 63).wrapping_sub(t & 0xfff0_0000_0000_0000));
    let y = ln_reduced::<M>(0.25 * fma::<M>(x, scale, scale - 4.0), e);
    // Infinite and NaN arguments, -1 and below. The sign is x's; of -0 the sums make 0.
    let y = if x < f64::INFINITY { y } else { x };
    let least = if x == -1.0 {
        f64::NEG_INFINITY
    } else {
        f64::NAN
    };
    (if x > -1.0 { y } else { least }).copysign(x)
}

/// e^x - 1 within 1.5 ulp.
#[inline(always)]
pub(crate) fn exp_m1<M: MulAdd>(x: f64) -> f64 {
    // Below, the result is -1.
    let x = if x > 710.0 { 710.0 } else { x };
    let x = if x < -38.0 { -38.0 } else { x };
    // Half of it: 2^n may be 2^1024.
    const MAGIC: f64 = self::MAGIC - 1.0;
    let n = fma::<M>(x, LOG2_E, MAGIC);
    let scale = pow2(n);
    let (most, rest) = exp_m1_parts::<M>(reduced::<M>(x, n - MAGIC), scale, 0.5);
    let y = fma::<M>(rest, scale, most);
    // The sign is x's; of -0 the sums make 0.
    (y + y).copysign(x)
}

/// 1 / (1 + e^-x) within 2.5 ulp, without overflow on either side.
#[inline(always)]
pub(crate) fn sigmoid<M: MulAdd>(x: f64) -> f64 {
    let e = exp_below::<M>(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// tanh(x) within 1.5 ulp: with m = e^2|x| - 1, it is m / (m + 2).
#[inline(always)]
pub(crate) fn tanh<M: MulAdd>(x: f64) -> f64 {
    // From 20 on the result is one; NaN passes through the select.
    let a = x.abs();
    let a = if a > 20.0 { 20.0 } else { a };
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
pub(crate) fn softplus<M: MulAdd>(x: f64) -> f64 {
    let e = exp_below::<M>(-x.abs());
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

/// erf(x) = x + x p(x²) up to 1, from the lowest power up.
const ERF: [f64; 12] = [
    0.128_379_167_095_512_558_56,
    -0.376_126_389_031_833_430_2,
    0.112_837_916_709_369_490_14,
    -0.026_866_170_641_958_616_455,
    0.005_223_977_596_728_685_869_5,
    -0.000_854_832_548_449_504_158_95,
    0.000_120_552_804_761_573_604_26,
    -0.000_014_924_465_132_887_490_779,
    1.644_414_275_104_435_233_5e-6,
    -1.618_391_810_287_117_887_5e-7,
    1.361_632_085_482_765_254e-8,
    -7.606_979_312_419_737_958_5e-10,
];
/// erfc(a) = e^(-a²) p((a - 3) / (a + 3)) from 1 to 6, where the error is small against 1.
const ERFC: [f64; 12] = [
    0.179_001_151_181_353_818_09,
    -0.326_233_560_045_899_928_51,
    0.245_603_801_664_328_519_34,
    -0.150_115_936_343_642_147_89,
    0.071_665_850_128_120_378_582,
    -0.024_392_327_907_930_812_236,
    0.004_270_353_612_079_681_379_6,
    0.000_713_174_598_107_466_709_98,
    -0.000_581_093_779_392_769_915_07,
    0.000_076_391_782_004_138_196_493,
    0.000_102_950_040_853_600_283_05,
    0.000_015_202_672_316_756_819_803,
];

/// erf(x) within 1.5 ulp: one polynomial, whose coefficients and argument are selected.
#[inline(always)]
pub(crate) fn erf<M: MulAdd>(x: f64) -> f64 {
    // Beyond 6 the result is one; NaN passes through the select.
    let a = x.abs();
    let a = if a > 6.0 { 6.0 } else { a };
    let square = a * a;
    let far = a > 1.0;
    let t = if far { (a - 3.0) / (a + 3.0) } else { square };
    let p = polynomial::<M, _>(t, &array::<_, 12>(|i| if far { ERFC[i] } else { ERF[i] }));
    // The rounding error of the square is worth 0.1 ulp of a result near 1.
    let n = fma::<M>(-square, LOG2_E, MAGIC);
    let e = exp_scaled::<M>(reduced::<M>(-square, n - MAGIC), pow2(n));
    let (by, base) = if far { (-e, 1.0) } else { (a, a) };
    // The sign is x's; of -0 the sum makes 0.
    fma::<M>(by, p, base).copysign(x)
}

/// Φ(x) and φ(x), the normal distribution within 9 ulp and its density within 2.5.
#[inline(always)]
pub(crate) fn normal<M: MulAdd>(x: f64) -> (f64, f64) {
    let a = x.abs();
    // From here on both are zero.
    let a = if a < 39.0 { a } else { 39.0 };
    let (square, rest) = minus_square(a);
    let e = exp_above::<M>(0.5 * square, 0.5 * rest);
    let below = e * tail::<M>(a) * TWO_M512;
    let cdf = if x > 0.0 { 1.0 - below } else { below };
    let density = e * 3.989_422_804_014_326_8e-1 * TWO_M512;
    if x.is_nan() { (x, x) } else { (cdf, density) }
}

/// Up to here [`sin`] and [`cos`] are right: n below has 20 bits, so that its products with parts of 33 bits are exact.
pub(crate) const MODERATE: f64 = 1_000_000.0;

/// x - n π/2 in -π/4..π/4 as a sum of two, and n in the low bits of the third, for |x| up to [`MODERATE`]: π/2 in three parts
/// of 33 bits and a rest (fdlibm's `e_rem_pio2.c`).
#[inline(always)]
fn quadrant<M: MulAdd>(x: f64) -> (f64, f64, u64) {
    const MAGIC: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
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
