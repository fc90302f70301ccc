use super::*;

/// The distance of `y` from the exact `x`, in units of the last place of an `f32` near `x`.
fn ulps(y: f32, x: f64) -> f64 {
    let near = x as f32;
    if near.is_infinite() || y.is_infinite() {
        // Rounding to infinity is right from half a unit above the largest number on.
        return if near == y || (x.abs() > 3.4028e38 && y.is_infinite()) {
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
    let mut worst = (0.0, 0.0);
    for x in sample() {
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

#[test]
fn f32_exp() {
    max_ulps(1.5, Scalar::exp, f64::exp);
}
#[test]
fn f32_ln() {
    max_ulps(1.0, Scalar::ln, f64::ln);
}
#[test]
fn f32_ln_1p() {
    max_ulps(3.0, Scalar::ln_1p, f64::ln_1p);
}
#[test]
fn f32_exp_m1() {
    max_ulps(3.0, Scalar::exp_m1, f64::exp_m1);
}
#[test]
fn f32_tanh() {
    max_ulps(2.0, Scalar::tanh, f64::tanh);
}
#[test]
fn f32_sigmoid() {
    max_ulps(3.0, Scalar::sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
}
#[test]
fn f32_erf() {
    max_ulps(2.0, Scalar::erf, Scalar::erf);
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
        let (y, e) = (Scalar::erf(x), erf_slowly(x));
        assert!(
            (y - e).abs() <= 2e-15 * e.abs(),
            "erf({x}) = {y}, expected {e}"
        );
    }
    assert_eq!(
        Scalar::erf(1e-300),
        1e-300 * (1.0 + (std::f64::consts::FRAC_2_SQRT_PI - 1.0))
    );
    assert_eq!(
        (Scalar::erf(f64::INFINITY), Scalar::erf(f64::NEG_INFINITY)),
        (1.0, -1.0)
    );
    assert!(Scalar::erf(f64::NAN).is_nan());
}

#[test]
fn dual_derivatives_are_those_of_central_differences() {
    type D = Dual<f64>;
    type Function = (&'static str, fn(D) -> D, &'static [f64]);
    let functions: [Function; 17] = [
        ("exp", D::exp, &[-1.5, 0.0, 2.0]),
        ("ln", D::ln, &[0.3, 2.0]),
        ("ln_1p", D::ln_1p, &[-0.3, 2.0]),
        ("exp_m1", D::exp_m1, &[-0.3, 2.0]),
        ("sqrt", D::sqrt, &[0.3, 2.0]),
        ("tanh", D::tanh, &[-0.3, 2.0]),
        ("sigmoid", D::sigmoid, &[-0.3, 2.0]),
        ("erf", D::erf, &[-0.3, 2.0]),
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
    assert!(Scalar::maximum(nan, 1.0).is_nan() && Scalar::maximum(1.0, nan).is_nan());
    assert!(Scalar::minimum(nan, 1.0).is_nan() && Scalar::minimum(1.0, nan).is_nan());
    assert_eq!(
        (Scalar::maximum(1.0_f64, 2.0), Scalar::minimum(1.0_f64, 2.0)),
        (2.0, 1.0)
    );
}
