use super::*;
use crate::elementwise::{Gelu, GeluTanh, Unary};

/// The distance of `y` from the exact `x`, in units of the last place of an `f32` near `x`.
fn ulps(y: f32, x: f64) -> f64 {
    let near = x as f32;
    if near.is_infinite() || y.is_infinite() {
        // Rounding to infinity is right from half a unit above the largest number on.
        let close = x.abs() > 3.4028e38 && y.is_infinite() && y.signum() == near.signum();
        return if near == y || close {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let ulp = (f64::from(near.abs().next_up()) - f64::from(near.abs())).max(1.4e-45);
    (f64::from(y) - x).abs() / ulp
}

/// A dense sample of all `f32`: every 3001st bit pattern, plus the neighbourhood of special places.
fn sample() -> impl Iterator<Item = f32> {
    let special = [
        0.0,
        0.5,
        0.625,
        0.927_734_4,
        1.0,
        4.0,
        88.722_84,
        103.97,
        104.0,
        1e-38,
    ];
    let near = special.into_iter().flat_map(|x: f32| {
        (-50..50).map(move |d| f32::from_bits((x.to_bits() as i32 + d).max(0) as u32))
    });
    (0..=u32::MAX / 3001)
        .map(|i| f32::from_bits(i * 3001))
        .chain(near.flat_map(|x| [x, -x]))
        .filter(|x| !x.is_nan())
}

#[track_caller]
fn max_ulps(bound: f64, f: fn(f32) -> f32, exact: fn(f64) -> f64) {
    max_ulps_where(|_| true, bound, f, exact);
}

/// Of the arguments whose exact values are of a kind.
#[track_caller]
fn max_ulps_where(kind: fn(f64) -> bool, bound: f64, f: fn(f32) -> f32, exact: fn(f64) -> f64) {
    let mut worst = (0.0, 0.0);
    for x in sample().filter(|&x| kind(exact(f64::from(x)))) {
        let (y, e) = (f(x), exact(f64::from(x)));
        if e.is_nan() {
            assert!(y.is_nan(), "f({x}) = {y}, expected NaN");
            continue;
        }
        let d = ulps(y, e);
        if d > worst.0 || d.is_nan() {
            worst = (d, x);
        }
    }
    println!("largest error {} ulp at {:e}", worst.0, worst.1);
    assert!(
        worst.0 <= bound,
        "error {} ulp at {:e}: {:e}, expected {:e}",
        worst.0,
        worst.1,
        f(worst.1),
        exact(f64::from(worst.1))
    );
    assert!(f(f32::NAN).is_nan());
}

/// Checks a function of plain numbers, and the same one with fused multiply-add (calls into libm here, which round as the instruction does).
macro_rules! both {
    ($check:ident $float:ident: $bounds:tt, |$x:ident| $y:expr, $exact:expr $(,)?) => {
        both!(@ $check $bounds, |$x: $float| $y, $exact);
        both!(@ $check $bounds, |$x: $float| { let $x = Fused::from($x); $float::from($y) }, $exact)
    };
    (@ $check:ident ($($bound:expr),*), $f:expr, $exact:expr) => { $check($($bound,)* $f, $exact) };
    (@ $check:ident $bound:literal, $f:expr, $exact:expr) => { $check($bound, $f, $exact) };
}

#[test]
fn f32_exp() {
    both!(max_ulps f32: 1.0, |x| Arithmetic::exp(x), f64::exp);
}
/// A term of a sum: within 2.5 ulp where it counts, a little more down to the smallest normal number, and that or 0 below; the largest is 1 exactly.
#[test]
fn terms_of_sums_of_exponentials() {
    macro_rules! check {
        ($float:ident, $least:literal, $number:ty, $most:literal) => {
            let add = |x: $float, sum: $float| {
                $float::from(<$number>::from(x).add_exp(<$number>::from(sum)))
            };
            for i in 0..=200_000 {
                let x = $least * $float::from_f64(f64::from(i) / 2e5);
                let (y, e) = (add(x, 0.0), <$float as Arithmetic>::exp(x));
                if e < $float::MIN_POSITIVE {
                    assert!(y <= 1.001 * $float::MIN_POSITIVE, "at {x}: {y}");
                } else {
                    // Of two, one is within so many ulp of the truth, the other within 1.
                    let most = 1 + if x > -20.0 { 3 } else { $most };
                    assert!(y.to_bits().abs_diff(e.to_bits()) <= most, "at {x}: {y}");
                }
            }
            assert_eq!(add(0.0, 0.0), 1.0);
            assert_eq!(add(-0.0, 2.0), 3.0);
            for low in [$float::NEG_INFINITY, $float::MIN, -1e6] {
                assert!(add(low, 0.0) <= 1.001 * $float::MIN_POSITIVE, "at {low}");
                assert_eq!(add(low, 1.0), 1.0);
            }
            for nan in [
                $float::NAN,
                -$float::NAN,
                $float::from_bits($float::NAN.to_bits() | 0x155),
            ] {
                assert!(add(nan, 1.0).is_nan() && add(-1.0, nan).is_nan());
            }
            assert_eq!(add(-1.0, $float::INFINITY), $float::INFINITY);
        };
    }
    check!(f32, -110.0, f32, 1);
    check!(f32, -110.0, Fused<f32>, 5);
    check!(f32, -87.4, Fused<f32>, 5);
    check!(f64, -750.0, f64, 1);
    check!(f64, -750.0, Fused<f64>, 2);
    check!(f64, -708.5, Fused<f64>, 2);
    let y = Dual {
        re: -1.0_f64,
        eps: 2.0,
    }
    .add_exp(Dual { re: 1.0, eps: 3.0 });
    let e = (-1.0_f64).exp();
    assert!((y.re - (1.0 + e)).abs() < 1e-15 && (y.eps - (3.0 + 2.0 * e)).abs() < 1e-15);
}

/// Above, below and around the smallest normal number. The last bit may differ where a product on the way may be subnormal; and without fused
/// multiply-add `exp` is the method of std here.
#[test]
fn bounded_exponentials_are_those_of_exp_or_zero() {
    macro_rules! check {
        ($float:ident, $least:literal, $most:literal, $number:ty, $bound:literal) => {
            for i in 0..=200_000 {
                let x = $least + ($most - $least) * $float::from_f64(f64::from(i) / 2e5);
                let [y, e] =
                    [<$number>::from(x).exp_bounded(), <$number>::from(x).exp()].map($float::from);
                if e < $float::MIN_POSITIVE {
                    assert_eq!(y, 0.0, "at {x}");
                } else {
                    let distance = y.to_bits().abs_diff(e.to_bits());
                    assert!(distance <= $bound, "at {x}");
                }
            }
            let of = |x: $float| $float::from(<$number>::from(x).exp_bounded());
            assert_eq!(of($float::NEG_INFINITY), 0.0);
            // With a payload too, which reaches the bits that become the exponent.
            for nan in [
                $float::NAN,
                -$float::NAN,
                $float::from_bits($float::NAN.to_bits() | 0x155),
            ] {
                assert!(of(nan).is_nan());
            }
        };
    }
    check!(f32, -110.0, 88.0, f32, 1);
    check!(f32, -87.4, -87.3, f32, 1);
    check!(f32, -110.0, 88.0, Fused<f32>, 1);
    check!(f32, -87.4, -87.3, Fused<f32>, 1);
    check!(f32, -69.0, 88.0, Fused<f32>, 0);
    check!(f64, -750.0, 709.0, f64, 1);
    check!(f64, -708.4, -708.39, f64, 1);
    check!(f64, -750.0, 709.0, Fused<f64>, 0);
    check!(f64, -708.4, -708.39, Fused<f64>, 0);
}
#[test]
fn f32_ln() {
    both!(max_ulps f32: 1.0, |x| Arithmetic::ln(x), f64::ln);
}
#[test]
fn f32_ln_1p() {
    both!(max_ulps f32: 1.5, |x| Arithmetic::ln_1p(x), f64::ln_1p);
}
#[test]
fn f32_exp_m1() {
    both!(max_ulps f32: 1.5, |x| Arithmetic::exp_m1(x), f64::exp_m1);
}
#[test]
fn f32_tanh() {
    both!(max_ulps f32: 1.5, |x| Arithmetic::tanh(x), f64::tanh);
}
#[test]
fn f32_sigmoid() {
    both!(max_ulps f32: 2.5, |x| Arithmetic::sigmoid(x), |x| 1.0 / (1.0 + (-x).exp()));
}
#[test]
fn f32_erf() {
    both!(max_ulps f32: 1.6, |x| Arithmetic::erf(x), Arithmetic::erf);
}

#[test]
fn f32_softplus() {
    both!(max_ulps f32: 3.0, |x| Arithmetic::softplus(x), |x| {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    });
}
#[test]
fn f32_sin() {
    both!(max_ulps f32: 1.6, |x| Arithmetic::sin(x), f64::sin);
}
#[test]
fn f32_cos() {
    both!(max_ulps f32: 1.6, |x| Arithmetic::cos(x), f64::cos);
}
#[test]
fn f32_normal() {
    // Φ(x) = erfc(-x / √2) / 2, by the f64 version, whose own error does not show here.
    both!(
        max_ulps f32: 7.0,
        |x| Arithmetic::normal(x).0,
        |x| Arithmetic::normal(x).0,
    );
    both!(
        max_ulps f32: 2.5,
        |x| Arithmetic::normal(x).1,
        |x| Arithmetic::normal(x).1,
    );
}

/// What [`Gelu`] and [`GeluTanh`] promise, by their `f64` versions; x times a result next to the subnormal numbers has |x| times its error.
#[test]
fn f32_gelu() {
    both!(max_ulps_where f32: (|e| e.abs() >= 1.5e-36, 7.0), |x| Gelu.call(x), |x| Gelu.call(x));
    both!(max_ulps f32: 11.0, |x| Gelu.call(x), |x| Gelu.call(x));
    both!(max_ulps_where f32: (|e| e > 0.0, 3.0), |x| GeluTanh.call(x), |x| GeluTanh.call(x));
    both!(max_ulps f32: 220.0, |x| GeluTanh.call(x), |x| GeluTanh.call(x));
}

/// Odd functions, and those with f(x) ≈ x, have -0 at -0, as in libm and PyTorch.
#[test]
fn zeros_keep_their_sign() {
    macro_rules! check {
        ($($T:ident: $($name:ident)*;)*) => {$($(
            for x in [0.0, -0.0] {
                let x: $T = x;
                let y = Arithmetic::$name(x);
                assert!(y.to_bits() == x.to_bits(), "{}({x:?}) = {y:?}", stringify!($name));
                let y: $T = Arithmetic::$name(Fused::from(x)).into();
                assert!(y.to_bits() == x.to_bits(), "{}({x:?}) = {y:?}, fused", stringify!($name));
            }
        )*)*};
    }
    check! {
        f32: exp_m1 ln_1p tanh erf sin sin_moderate sqrt;
        f64: exp_m1 ln_1p tanh erf sin sin_moderate sqrt;
    }
}

/// The distance in ulp from libm's result, which is itself within half an ulp and a little (1 for `tanh` and `expm1`), over a sweep
/// of the range and the neighbourhoods of special places.
#[track_caller]
fn near_libm(bound: f64, range: std::ops::Range<f64>, f: fn(f64) -> f64, libm: fn(f64) -> f64) {
    let n = 200_000;
    let width = (range.end - range.start) / f64::from(n);
    let sweep = (0..n).map(|i| range.start + (f64::from(i) + 0.123_456_789) * width);
    let scales = (-1074..1024).flat_map(|e| {
        [1.0, 1.370_129_8, -1.0, -1.831_9]
            .map(|m| m * 2.0_f64.powi(e / 2) * 2.0_f64.powi(e - e / 2))
    });
    let special = [
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    for x in sweep.chain(scales).chain(special) {
        let (y, e) = (f(x), libm(x));
        if y == e || (y.is_nan() && e.is_nan()) {
            continue;
        }
        let ulp = (e.abs().next_up() - e.abs()).min(e.abs() - e.abs().next_down());
        let d = (y - e).abs() / ulp.max(5e-324);
        assert!(d <= bound, "error {d} ulp at {x:e}: {y:e}, expected {e:e}");
    }
}

#[test]
fn f64_functions_are_near_libm() {
    both!(near_libm f64: (2.0, -746.0..710.0), |x| Arithmetic::exp(x), f64::exp);
    both!(near_libm f64: (2.0, 0.0..4.0), |x| Arithmetic::ln(x), f64::ln);
    both!(near_libm f64: (4.0, -1.0..4.0), |x| Arithmetic::ln_1p(x), f64::ln_1p);
    both!(near_libm f64: (3.0, -3.0..3.0), |x| Arithmetic::exp_m1(x), f64::exp_m1);
    both!(near_libm f64: (3.0, -3.0..3.0), |x| Arithmetic::tanh(x), f64::tanh);
    both!(near_libm f64: (2.0, -1e6..1e6), |x| Arithmetic::sin(x), f64::sin);
    both!(near_libm f64: (2.0, -1e6..1e6), |x| Arithmetic::cos(x), f64::cos);
    both!(near_libm f64: (4.0, -40.0..40.0), |x| Arithmetic::sigmoid(x), |x| {
        let e = (-x.abs()).exp();
        if x < 0.0 {
            e / (1.0 + e)
        } else {
            1.0 / (1.0 + e)
        }
    });
    both!(near_libm f64: (4.0, -40.0..40.0), |x| Arithmetic::softplus(x), |x| {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    });
}

#[test]
fn f64_normal() {
    // Where 1 + erf does not cancel it is a reference; far below, the first terms of the asymptotic series are.
    for i in -1000..6000 {
        let x = f64::from(i) / 1000.0;
        let e = 0.5 + 0.5 * erf_slowly(x * std::f64::consts::FRAC_1_SQRT_2);
        assert!((Arithmetic::normal(x).0 - e).abs() <= 3e-15 * e, "Φ({x})");
    }
    for i in 300..370 {
        let x = f64::from(i) / 10.0;
        let density = (-0.5 * x * x).exp() * 0.398_942_280_401_432_7;
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..8 {
            term *= -f64::from(2 * k - 1) / (x * x);
            sum += term;
        }
        let (cdf, d) = Arithmetic::normal(-x);
        // x² has 2e-16 x² / 2 as its rounding error, which is the relative error of the exponential.
        assert!((d / density - 1.0).abs() < 2e-13, "φ({x})");
        assert!((cdf / (density / x * sum) - 1.0).abs() < 2e-13, "Φ(-{x})");
    }
    assert_eq!(Arithmetic::normal(f64::INFINITY), (1.0, 0.0));
    assert_eq!(Arithmetic::normal(f64::NEG_INFINITY), (0.0, 0.0));
    assert!(Arithmetic::normal(f64::NAN).0.is_nan());
}

/// erf by its series (small) and the continued fraction of erfc (large), summed in `f64`.
fn erf_slowly(x: f64) -> f64 {
    let a = x.abs();
    let y = if a < 2.5 {
        // 2/sqrt(pi) e^-x^2 sum 2^n x^(2n+1) / (2n+1)!!: all terms are positive.
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term > 1e-18 * sum {
            n += 1.0;
            term *= 2.0 * a * a / (2.0 * n + 1.0);
            sum += term;
        }
        std::f64::consts::FRAC_2_SQRT_PI * (-a * a).exp() * sum
    } else {
        let mut t = 0.0;
        for n in (1..200).rev() {
            t = f64::from(n) / 2.0 / (a + t);
        }
        1.0 - (-a * a).exp() / ((a + t) * std::f64::consts::PI.sqrt())
    };
    y.copysign(x)
}

#[test]
fn f64_erf() {
    for i in -7000..=7000 {
        let x = f64::from(i) / 1000.0 + 1e-7;
        let (y, e) = (Arithmetic::erf(x), erf_slowly(x));
        assert!(
            (y - e).abs() <= 2e-15 * e.abs(),
            "erf({x}) = {y}, expected {e}"
        );
    }
    assert_eq!(
        Arithmetic::erf(1e-300),
        1e-300 * (1.0 + (std::f64::consts::FRAC_2_SQRT_PI - 1.0))
    );
    assert_eq!(
        (
            Arithmetic::erf(f64::INFINITY),
            Arithmetic::erf(f64::NEG_INFINITY)
        ),
        (1.0, -1.0)
    );
    assert!(Arithmetic::erf(f64::NAN).is_nan());
}

#[test]
fn dual_derivatives_are_those_of_central_differences() {
    type D = Dual<f64>;
    type Function = (&'static str, fn(D) -> D, &'static [f64]);
    let functions: [Function; 20] = [
        ("exp", D::exp, &[-1.5, 0.0, 2.0]),
        ("ln", D::ln, &[0.3, 2.0]),
        ("ln_1p", D::ln_1p, &[-0.3, 2.0]),
        ("exp_m1", D::exp_m1, &[-0.3, 2.0]),
        ("sqrt", D::sqrt, &[0.3, 2.0]),
        ("tanh", D::tanh, &[-0.3, 2.0]),
        ("sigmoid", D::sigmoid, &[-0.3, 2.0]),
        ("erf", D::erf, &[-0.3, 2.0]),
        ("softplus", D::softplus, &[-0.3, 2.0]),
        ("normal", |x| x.normal().0, &[-0.3, 2.0]),
        ("density", |x| x.normal().1, &[-0.3, 2.0]),
        ("sin", D::sin, &[-0.3, 2.0]),
        ("cos", D::cos, &[-0.3, 2.0]),
        ("abs", D::abs, &[-0.3, 2.0]),
        ("recip", D::recip, &[-0.3, 2.0]),
        ("powf", |x| x.powf(D::from_f64(2.5)), &[0.3, 2.0]),
        ("2^x", |x| D::from_f64(2.0).powf(x), &[-0.3, 2.0]),
        ("x^x", |x| x.powf(x), &[0.3, 2.0]),
        ("powi", |x| x.powi(-3), &[-0.3, 2.0]),
        (
            "arithmetic",
            |x| (x * x - x / (x + D::ONE)) / -x,
            &[-0.3, 2.0],
        ),
    ];
    for (name, f, points) in functions {
        for &x in points {
            let h = 1e-6;
            let at = |x: f64| f(D { re: x, eps: 0.0 }).re;
            let slope = (at(x + h) - at(x - h)) / (2.0 * h);
            let d = f(D { re: x, eps: 3.0 }).eps;
            assert!(
                (d - 3.0 * slope).abs() < 1e-7 * (1.0 + slope.abs()),
                "{name}'({x}) = {d}, expected {slope} * 3"
            );
        }
    }
}

#[test]
fn maximum_and_minimum_propagate_nan() {
    let nan = f32::NAN;
    assert!(Arithmetic::maximum(nan, 1.0).is_nan() && Arithmetic::maximum(1.0, nan).is_nan());
    assert!(Arithmetic::minimum(nan, 1.0).is_nan() && Arithmetic::minimum(1.0, nan).is_nan());
    assert_eq!(
        (
            Arithmetic::maximum(1.0_f64, 2.0),
            Arithmetic::minimum(1.0_f64, 2.0)
        ),
        (2.0, 1.0)
    );
}
