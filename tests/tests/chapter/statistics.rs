//! What tests of distributions need.

use tiegrad::prelude::*;

/// A distribution, by its distribution function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Law {
    /// On [low, high].
    Uniform(f64, f64),
    /// Mean and standard deviation.
    Normal(f64, f64),
}

impl Law {
    /// From PyTorch's arguments, as `chapter.json` has them: `{"uniform": [low, high]}` or `{"normal": [mean, std]}`.
    pub(crate) fn of(json: &serde_json::Value) -> Self {
        let two = |kind: &str| {
            let pair = &json[kind];
            Some((pair[0].as_f64()?, pair[1].as_f64()?))
        };
        match (two("uniform"), two("normal")) {
            (Some((low, high)), None) => Self::Uniform(low, high),
            (None, Some((mean, std))) => Self::Normal(mean, std),
            _ => panic!("no law: {json}"),
        }
    }

    fn below(self, x: f64) -> f64 {
        match self {
            Self::Uniform(low, high) => ((x - low) / (high - low)).clamp(0.0, 1.0),
            Self::Normal(mean, std) => {
                0.5 * (1.0
                    + tiegrad::kernels::Arithmetic::erf(
                        (x - mean) / (std * std::f64::consts::SQRT_2),
                    ))
            }
        }
    }

    fn moments(self) -> (f64, f64) {
        match self {
            Self::Uniform(low, high) => ((low + high) / 2.0, (high - low) / 12.0_f64.sqrt()),
            Self::Normal(mean, std) => (mean, std),
        }
    }
}

/// The moments and the standard deviation of a sample.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// That a sample is from a law: support, mean, standard deviation, and the Kolmogorov-Smirnov distance. Seeds are fixed, so that the
/// bounds (5 standard errors; a distance that one sample in a million passes) hold always or never.
#[track_caller]
pub(crate) fn assert_law(values: &[f64], law: Law, what: &str) {
    let n = values.len() as f64;
    assert!(n >= 5000.0, "{what}: too few values to say much");
    if let Law::Uniform(low, high) = law {
        // Rounding alone may step over an end.
        let slack = 1e-12 * (high - low);
        let inside = |x: &&f64| **x >= low - slack && **x <= high + slack;
        assert_eq!(values.iter().filter(inside).count(), values.len(), "{what}");
        // Both ends are come near to: no value in 20 / n of the range has a probability of e⁻²⁰.
        let near = 20.0 / n * (high - low);
        let (least, most) = values
            .iter()
            .fold((high, low), |(least, most), &x| (least.min(x), most.max(x)));
        assert!(
            least < low + near && most > high - near,
            "{what}: from {least} to {most}, expected {low} to {high}"
        );
    }
    let ((mean, std), (found_mean, found_std)) = (law.moments(), moments(values));
    let error = std / n.sqrt();
    // The standard error of a standard deviation is σ √((κ - 1) / 4n), with a kurtosis κ of 9/5 and 3.
    let std_error = match law {
        Law::Uniform(..) => error * 0.2_f64.sqrt(),
        Law::Normal(..) => error * 0.5_f64.sqrt(),
    };
    assert!(
        (found_mean - mean).abs() < 5.0 * error,
        "{what}: the mean is {found_mean}, expected {mean}"
    );
    assert!(
        (found_std - std).abs() < 5.0 * std_error,
        "{what}: the standard deviation is {found_std}, expected {std}"
    );
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let distance = sorted.iter().enumerate().map(|(i, &x)| {
        let below = law.below(x);
        (below - i as f64 / n).max((i as f64 + 1.0) / n - below)
    });
    let distance = distance.fold(0.0, f64::max);
    assert!(
        distance < 2.7 / n.sqrt(),
        "{what}: a distance of {distance}"
    );
}

/// The values of a parameter.
pub(crate) fn values_of<T: Scalar>(params: &Params<T>, id: ParamId) -> Vec<f64> {
    let values = params.as_slice(id).unwrap().iter();
    values.map(|x| x.to_f64()).collect()
}

#[test]
fn a_wrong_law_is_found() {
    use rand::RngExt;
    let mut rng = crate::nets::rng(1);
    let values: Vec<f64> = (0..20_000).map(|_| rng.random_range(-1.0..1.0)).collect();
    assert_law(&values, Law::Uniform(-1.0, 1.0), "right");
    for (law, what) in [
        (Law::Uniform(-1.01, 1.01), "the support is 1 % too wide"),
        (Law::Uniform(-0.999, 0.999), "too narrow"),
        (Law::Normal(0.0, 1.0 / 3.0_f64.sqrt()), "the same moments"),
    ] {
        let wrong = std::panic::catch_unwind(|| assert_law(&values, law, "wrong"));
        assert!(wrong.is_err(), "{what}");
    }
}
