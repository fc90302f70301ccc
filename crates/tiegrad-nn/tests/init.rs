//! Initializers: distributions checked statistically, with fixed seeds and bounds that a wrong gain or fan breaks.

#![allow(clippy::unwrap_used)] // helpers of tests

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_kernels::Scalar;
use tiegrad_nn::init::{Distribution, Fan, InitError, Initializer, Nonlinearity, Target};
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(11)
}

const OUT: usize = 300;
const IN: usize = 200;

/// What an initializer makes of a weight of shape (OUT, IN), sorted.
fn draw(initializer: impl Initializer) -> Vec<f64> {
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(&[OUT, IN]).unwrap(), |_| {});
    init::fill(&mut params, id, initializer, &mut rng()).unwrap();
    let mut values = params.as_slice(id).unwrap().to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The Kolmogorov-Smirnov test: 1.95 is passed by chance once in a thousand.
fn follows(values: &[f64], cdf: impl Fn(f64) -> f64) {
    let n = values.len() as f64;
    let distance = values.iter().enumerate().map(|(i, &x)| {
        let p = cdf(x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    });
    let statistic = distance.fold(0.0, f64::max) * n.sqrt();
    assert!(statistic < 1.95, "{statistic}");
}

fn uniform_cdf(low: f64, high: f64) -> impl Fn(f64) -> f64 {
    move |x| ((x - low) / (high - low)).clamp(0.0, 1.0)
}

fn normal_cdf(mean: f64, std: f64) -> impl Fn(f64) -> f64 {
    move |x| 0.5 * (1.0 + Scalar::erf((x - mean) / (std * std::f64::consts::SQRT_2)))
}

fn truncated_cdf(mean: f64, std: f64, low: f64, high: f64) -> impl Fn(f64) -> f64 {
    let cdf = normal_cdf(mean, std);
    move |x| (cdf(x) - cdf(low)) / (cdf(high) - cdf(low))
}

#[test]
fn presets_follow_their_distributions() {
    assert!(draw(init::zeros()).iter().all(|&x| x == 0.0));
    assert!(draw(init::ones()).iter().all(|&x| x == 1.0));
    assert!(draw(init::constant(42.0)).iter().all(|&x| x == 42.0));

    let values = draw(init::uniform(-0.07, 0.07));
    assert!(values[0] >= -0.07 && values[values.len() - 1] < 0.07);
    follows(&values, uniform_cdf(-0.07, 0.07));

    follows(&draw(init::normal(1.0, 0.01)), normal_cdf(1.0, 0.01));

    for (mean, std, low, high) in [
        (0.0, 1.0, -2.0, 2.0),
        (0.5, 2.0, 0.0, 1.0),
        (0.0, 1.0, 3.0, 4.0),
    ] {
        let values = draw(init::trunc_normal(mean, std, low, high));
        assert!(values[0] >= low && values[values.len() - 1] <= high);
        follows(&values, truncated_cdf(mean, std, low, high));
    }
}

#[test]
fn scaled_initializers_have_the_formulas_bounds() {
    let (fan_in, fan_out) = (IN as f64, OUT as f64);
    let uniform = |initializer, bound: f64| follows(&draw(initializer), uniform_cdf(-bound, bound));
    let normal = |initializer, std: f64| follows(&draw(initializer), normal_cdf(0.0, std));
    uniform(init::xavier_uniform(), (6.0 / (fan_in + fan_out)).sqrt());
    normal(init::xavier_normal(), (2.0 / (fan_in + fan_out)).sqrt());
    uniform(init::kaiming_uniform(), (6.0 / fan_in).sqrt());
    normal(init::kaiming_normal(), (2.0 / fan_in).sqrt());
    uniform(init::lecun_uniform(), (3.0 / fan_in).sqrt());
    uniform(
        init::xavier_uniform().nonlinearity(Nonlinearity::Tanh),
        5.0 / 3.0 * (6.0 / (fan_in + fan_out)).sqrt(),
    );
    normal(init::kaiming_normal().fan(Fan::Out), (2.0 / fan_out).sqrt());
    normal(
        init::kaiming_normal().nonlinearity(Nonlinearity::LeakyReLU(1.0)),
        (1.0 / fan_in).sqrt(),
    );
    // PyTorch's default of a Linear.
    uniform(
        init::kaiming_uniform().nonlinearity(Nonlinearity::LeakyReLU(5.0_f64.sqrt())),
        1.0 / fan_in.sqrt(),
    );

    let wide = (1.0 / fan_in).sqrt() / 0.879_625_661_034_239_8;
    let values = draw(init::lecun_normal());
    follows(&values, truncated_cdf(0.0, wide, -2.0 * wide, 2.0 * wide));
    let variance = values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64;
    assert!((variance * fan_in - 1.0).abs() < 0.02, "{variance}");
    follows(
        &draw(
            init::xavier_normal()
                .distribution(Distribution::Uniform)
                .gain(2.0),
        ),
        {
            let bound = 2.0 * (6.0 / (fan_in + fan_out)).sqrt();
            uniform_cdf(-bound, bound)
        },
    );
}

#[test]
fn neighbours_are_not_correlated() {
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(&[20_000]).unwrap(), |_| {});
    init::fill(&mut params, id, init::normal(0.0, 1.0), &mut rng()).unwrap();
    let values = params.as_slice(id).unwrap();
    for lag in 1..4 {
        let correlation = values
            .iter()
            .zip(&values[lag..])
            .map(|(a, b)| a * b)
            .sum::<f64>()
            / values.len() as f64;
        assert!(
            correlation.abs() < 4.0 / (values.len() as f64).sqrt(),
            "{lag}: {correlation}"
        );
    }
}

#[test]
fn constructors_have_pytorchs_defaults() {
    let mut params = Params::<f64>::new();
    let linear = Linear::new(&mut params, IN, OUT, &mut rng());
    let sorted = |params: &Params<f64>, id| {
        let mut values = params.as_slice(id).unwrap().to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let bound = 1.0 / (IN as f64).sqrt();
    follows(&sorted(&params, linear.weight), uniform_cdf(-bound, bound));
    follows(
        &sorted(&params, linear.bias.unwrap()),
        uniform_cdf(-bound, bound),
    );
    let table = Embedding::new(&mut params, OUT, IN, &mut rng());
    follows(&sorted(&params, table.weight), normal_cdf(0.0, 1.0));
    let norm = LayerNorm::new(&mut params, 5);
    assert_eq!(params.as_slice(norm.weight.unwrap()).unwrap(), [1.0; 5]);
    assert_eq!(params.as_slice(norm.bias.unwrap()).unwrap(), [0.0; 5]);

    let built = Linear::with(2, 3)
        .weight_init(init::constant(1.5))
        .bias_init(init::constant(-1.0));
    let built = built.build(&mut params, &mut rng()).unwrap();
    assert_eq!(params.as_slice(built.weight).unwrap(), [1.5; 6]);
    assert_eq!(params.as_slice(built.bias.unwrap()).unwrap(), [-1.0; 3]);
}

#[test]
fn one_seed_gives_the_same_net_under_every_scalar() {
    let (mut single, mut double) = (Params::<f32>::new(), Params::<f64>::new());
    let a = Linear::new(&mut single, 3, 5, &mut rng());
    let b = Linear::new(&mut double, 3, 5, &mut rng());
    let rounded: Vec<f32> = double
        .as_slice(b.weight)
        .unwrap()
        .iter()
        .map(|&x| x as f32)
        .collect();
    assert_eq!(single.as_slice(a.weight).unwrap(), rounded);
}

#[test]
fn a_whole_net_initializer_touches_weights() {
    let mut params = Params::<f64>::new();
    let net = (
        (
            Linear::new(&mut params, 4, 8, &mut rng()),
            LayerNorm::new(&mut params, 8),
        ),
        Linear::new(&mut params, 8, 1, &mut rng()),
    );
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng())
        .unwrap();
    let all = |params: &Params<f64>, path: &str, f: &dyn Fn(f64) -> bool| {
        assert!(
            params
                .as_slice(net.find(path).unwrap())
                .unwrap()
                .iter()
                .all(|&x| f(x)),
            "{path}"
        );
    };
    all(&params, "0.0.weight", &|x| x != 0.0 && x.abs() < 0.06);
    all(&params, "0.0.bias", &|x| x == 0.0);
    all(&params, "0.1.weight", &|x| x == 1.0);
    all(&params, "0.1.bias", &|x| x == 0.0);

    // One block, then one parameter by name.
    net.reinit_at(&mut params, "1", init::constant(42.0), &mut rng())
        .unwrap();
    all(&params, "1.weight", &|x| x == 42.0);
    all(&params, "1.bias", &|x| x == 0.0);
    all(&params, "0.0.weight", &|x| x.abs() < 0.06);
    net.reinit_at(&mut params, "0.*.bias", init::constant(3.0), &mut rng())
        .unwrap();
    all(&params, "0.0.bias", &|x| x == 3.0);
    all(&params, "0.1.bias", &|x| x == 3.0);
    all(&params, "1.bias", &|x| x == 0.0);
    let error = net
        .reinit_at(&mut params, "2", init::zeros(), &mut rng())
        .unwrap_err();
    assert!(matches!(
        error,
        InitError::Name(NameError::NothingSelected { .. })
    ));

    // A sub-tree alone.
    net.0.reinit(&mut params, init::ones(), &mut rng()).unwrap();
    all(&params, "0.0.weight", &|x| x == 1.0);
    all(&params, "1.weight", &|x| x == 42.0);
}

#[test]
fn custom_initializers_see_where_they_are() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng()),
        ReLU,
        Linear::new(&mut params, 8, 1, &mut rng()),
    );
    let mut seen = Vec::new();
    let chapters = |target: &Target<'_>, values: &mut [f64], rng: &mut dyn rand::Rng| {
        seen.push(format!(
            "{} {} {} {}",
            target.path, target.shape, target.fan_in, target.fan_out
        ));
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    };
    net.init(&mut params, chapters, &mut rng()).unwrap();
    assert_eq!(seen, ["0.weight [8, 4] 4 8", "2.weight [1, 8] 8 1"]);
}

#[test]
fn fans_are_pytorchs() {
    let fans = |dims: &[usize]| {
        let mut params = Params::<f32>::new();
        let id = params.insert_with(Shape::new(dims).unwrap(), |_| {});
        let mut fans = (0, 0);
        init::fill(
            &mut params,
            id,
            init::from_fn(|t, _, _| fans = (t.fan_in, t.fan_out)),
            &mut rng(),
        )
        .unwrap();
        fans
    };
    assert_eq!(fans(&[8, 4]), (4, 8));
    assert_eq!(fans(&[16, 3, 5, 5]), (75, 400));
    assert_eq!(fans(&[7]), (7, 7));
    assert_eq!(fans(&[]), (1, 1));
}

#[test]
fn what_cannot_be_is_an_error() {
    let mut params = Params::<f32>::new();
    let net = (Linear::new(&mut params, 4, 8, &mut rng()),);
    let mut error = |initializer: init::Preset| {
        net.init(&mut params, initializer, &mut rng())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(init::normal(0.0, -1.0)),
        "0.weight of shape [8, 4] cannot be initialized so: a standard deviation is at least 0 and finite, got -1"
    );
    assert_eq!(
        error(init::uniform(1.0, 0.0)),
        "0.weight of shape [8, 4] cannot be initialized so: the range from 1 to 0 is none"
    );
    assert!(error(init::uniform(f64::NAN, 0.0)).contains("none"));
    assert!(
        error(init::trunc_normal(0.0, f64::INFINITY, -1.0, 1.0)).contains("standard deviation")
    );
    assert!(
        net.init(
            &mut params,
            init::xavier_uniform().gain(f64::NAN),
            &mut rng()
        )
        .is_err()
    );

    // Sizes that no memory holds: a dead id from `new`, an error from `build`.
    let dead = Linear::new(&mut params, usize::MAX, 2, &mut rng());
    assert!(dead.weight.is_dead());
    assert!(
        Linear::with(usize::MAX, 2)
            .build(&mut params, &mut rng())
            .is_err()
    );
    let empty = Linear::new(&mut params, 0, 3, &mut rng());
    assert_eq!(params.as_slice(empty.weight).unwrap().len(), 0);
    (empty,)
        .init(&mut params, init::kaiming_normal(), &mut rng())
        .unwrap();
}
