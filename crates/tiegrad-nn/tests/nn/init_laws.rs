//! Initializers, statistically: what each draws follows its law, with fixed seeds and bounds that follow from the number of draws. The checks have teeth: the
//! same checks must refuse the same draws where the law's scale differs by 5 %.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_kernels::Arithmetic;
use tiegrad_nn::init::{Distribution, Fan, Initializer, Nonlinearity};
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(11)
}

/// Different, so that a wrong fan is a wrong scale.
const OUT: usize = 300;
const IN: usize = 200;

/// What an initializer makes of a parameter of this shape, in its order.
fn drawn(shape: &[usize], initializer: impl Initializer) -> Vec<f64> {
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(shape).unwrap(), |_| {});
    init::fill(&mut params, id, initializer, &mut rng()).unwrap();
    params.as_slice(id).unwrap().to_vec()
}

/// A distribution on an interval.
#[derive(Clone, Copy, Debug)]
enum Law {
    Uniform(f64, f64),
    Normal(f64, f64),
    /// Mean and standard deviation of what is cut off; where.
    Truncated(f64, f64, f64, f64),
}

impl Law {
    /// Symmetric.
    fn within(bound: f64) -> Self {
        Self::Uniform(-bound, bound)
    }

    fn scaled(self, by: f64) -> Self {
        match self {
            Self::Uniform(low, high) => Self::Uniform(low * by, high * by),
            Self::Normal(mean, std) => Self::Normal(mean * by, std * by),
            Self::Truncated(mean, std, low, high) => {
                Self::Truncated(mean * by, std * by, low * by, high * by)
            }
        }
    }

    fn support(self) -> (f64, f64) {
        match self {
            Self::Uniform(low, high) | Self::Truncated(_, _, low, high) => (low, high),
            Self::Normal(..) => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    fn cdf(self, x: f64) -> f64 {
        match self {
            Self::Uniform(low, high) => ((x - low) / (high - low)).clamp(0.0, 1.0),
            Self::Normal(mean, std) => {
                0.5 * (1.0 + Arithmetic::erf((x - mean) / (std * std::f64::consts::SQRT_2)))
            }
            Self::Truncated(mean, std, low, high) => {
                let whole = |x| Self::Normal(mean, std).cdf(x);
                ((whole(x) - whole(low)) / (whole(high) - whole(low))).clamp(0.0, 1.0)
            }
        }
    }

    /// Mean, variance, and fourth central moment, from the distribution function: a sum over 20,000 short intervals.
    fn moments(self) -> (f64, f64, f64) {
        let (low, high) = match self {
            Self::Normal(mean, std) => (mean - 9.0 * std, mean + 9.0 * std),
            _ => self.support(),
        };
        let parts = 20_000;
        let at = |i: usize| low + (high - low) * i as f64 / f64::from(parts);
        let mean_of = |f: &dyn Fn(f64) -> f64| -> f64 {
            let part = |i| (self.cdf(at(i + 1)) - self.cdf(at(i))) * f((at(i) + at(i + 1)) / 2.0);
            (0..parts as usize).map(part).sum()
        };
        let mean = mean_of(&|x| x);
        let power = |n| mean_of(&move |x: f64| (x - mean).powi(n));
        (mean, power(2), power(4))
    }
}

/// Whether these are independent draws from the law: support, mean and variance within 4.5 standard errors (passed by chance all but 7 times in a million), and the test of
/// Kolmogorov and Smirnov (1.95: all but once in a thousand).
fn check(values: &[f64], law: Law) -> Result<(), String> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let (low, high) = law.support();
    // Bounds computed in another order may differ in the last place.
    let air = 1e-12 * low.abs().max(high.abs());
    if air.is_finite() && (sorted[0] < low - air || sorted[sorted.len() - 1] > high + air) {
        return Err(format!("outside of {low} to {high}"));
    }
    let (mean, variance, fourth) = law.moments();
    let found = sorted.iter().sum::<f64>() / n;
    if (found - mean).abs() > 4.5 * (variance / n).sqrt() {
        return Err(format!("the mean is {found}, not {mean}"));
    }
    let found = sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    if (found - variance).abs() > 4.5 * ((fourth - variance * variance) / n).sqrt() {
        return Err(format!("the variance is {found}, not {variance}"));
    }
    let statistic = kolmogorov_smirnov(&sorted, |x| law.cdf(x));
    if statistic > 1.95 {
        return Err(format!("{statistic} of Kolmogorov and Smirnov"));
    }
    Ok(())
}

fn kolmogorov_smirnov(sorted: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
    let n = sorted.len() as f64;
    let distance = sorted.iter().enumerate().map(|(i, &x)| {
        let p = cdf(x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    });
    distance.fold(0.0, f64::max) * n.sqrt()
}

/// The draws of a weight (OUT, IN) follow the law, and would not follow one whose scale is 5 % off.
#[track_caller]
fn follows(initializer: impl Initializer, law: Law) {
    let name = initializer.describe();
    let values = drawn(&[OUT, IN], initializer);
    let verdict = check(&values, law);
    assert!(verdict.is_ok(), "{name} is not {law:?}: {verdict:?}");
    for wrong in [0.95, 1.05] {
        let missed = check(&values, law.scaled(wrong)).is_ok();
        assert!(!missed, "{name}: a scale {wrong} times as large passes");
    }
}

#[test]
fn presets_follow_their_distributions() {
    assert!(drawn(&[9], init::zeros()).iter().all(|&x| x == 0.0));
    assert!(drawn(&[9], init::ones()).iter().all(|&x| x == 1.0));
    assert!(drawn(&[9], init::constant(42.0)).iter().all(|&x| x == 42.0));
    follows(init::uniform(-0.07, 0.07), Law::within(0.07));
    follows(init::uniform(1.0, 3.0), Law::Uniform(1.0, 3.0));
    follows(init::normal(0.0, 0.01), Law::Normal(0.0, 0.01));
    follows(init::normal(1.0, 0.01), Law::Normal(1.0, 0.01));
    for (mean, std, low, high) in [
        (0.0, 1.0, -2.0, 2.0),
        (0.5, 2.0, 0.0, 1.0),
        (0.0, 1.0, 3.0, 4.0),
    ] {
        let law = Law::Truncated(mean, std, low, high);
        follows(init::trunc_normal(mean, std, low, high), law);
    }
}

#[test]
fn scaled_initializers_have_the_formulas_scales() {
    let (fan_in, fan_out) = (IN as f64, OUT as f64);
    let average = (fan_in + fan_out) / 2.0;
    let uniform = |initializer, bound: f64| follows(initializer, Law::within(bound));
    let normal = |initializer, std: f64| follows(initializer, Law::Normal(0.0, std));
    // Keras: what is cut off at two standard deviations has 0.8796… of them left.
    let truncated = |initializer, std: f64| {
        let wide = std / 0.879_625_661_034_239_8;
        let law = Law::Truncated(0.0, wide, -2.0 * wide, 2.0 * wide);
        assert!((law.moments().1.sqrt() / std - 1.0).abs() < 1e-6);
        follows(initializer, law);
    };

    // torch.nn.init
    uniform(init::xavier_uniform(), (6.0 / (fan_in + fan_out)).sqrt());
    normal(init::xavier_normal(), (2.0 / (fan_in + fan_out)).sqrt());
    uniform(init::kaiming_uniform(), (6.0 / fan_in).sqrt());
    normal(init::kaiming_normal(), (2.0 / fan_in).sqrt());
    normal(init::kaiming_normal().fan(Fan::Out), (2.0 / fan_out).sqrt());
    normal(init::kaiming_normal().a(1.0), (1.0 / fan_in).sqrt());
    let tanh = init::xavier_uniform().nonlinearity(Nonlinearity::Tanh);
    uniform(tanh, 5.0 / 3.0 * (6.0 / (fan_in + fan_out)).sqrt());
    // The default of a Linear.
    let linear = init::kaiming_uniform().a(5.0_f64.sqrt());
    uniform(linear, 1.0 / fan_in.sqrt());

    // Keras
    uniform(init::lecun_uniform(), (3.0 / fan_in).sqrt());
    uniform(init::he_uniform(), (6.0 / fan_in).sqrt());
    uniform(init::glorot_uniform(), (6.0 / (fan_in + fan_out)).sqrt());
    truncated(init::lecun_normal(), (1.0 / fan_in).sqrt());
    truncated(init::he_normal(), (2.0 / fan_in).sqrt());
    truncated(init::glorot_normal(), (2.0 / (fan_in + fan_out)).sqrt());
    let scaling = |mode, distribution| init::variance_scaling(0.3, mode, distribution);
    let out = scaling(Fan::Out, Distribution::TruncatedNormal);
    truncated(out, (0.3 / fan_out).sqrt());
    let plain = scaling(Fan::Average, Distribution::Normal);
    normal(plain, (0.3 / average).sqrt());
    let flat = scaling(Fan::In, Distribution::Uniform);
    uniform(flat, (3.0 * 0.3 / fan_in).sqrt());

    // Gluon: the magnitude is of the bound, or of the standard deviation.
    let xavier = |rnd, factor, magnitude| init::gluon_xavier(rnd, factor, magnitude);
    let one = xavier(Distribution::Uniform, Fan::In, 2.34);
    uniform(one, (2.34 / fan_in).sqrt());
    let other = xavier(Distribution::Normal, Fan::Average, 3.0);
    normal(other, (3.0 / average).sqrt());
    let msra = init::msra_prelu(Fan::Average, 0.25);
    normal(msra, (2.0 / (1.0 + 0.25 * 0.25) / average).sqrt());
}

#[test]
fn a_wrong_gain_or_fan_fails() {
    let law = Law::within((6.0 / (IN + OUT) as f64).sqrt());
    let refused = |initializer: init::VarianceScaling| {
        let values = drawn(&[OUT, IN], initializer);
        check(&values, law).is_err()
    };
    assert!(!refused(init::xavier_uniform()));
    assert!(refused(init::xavier_uniform().gain(1.05)));
    assert!(refused(init::xavier_uniform().gain(0.95)));
    assert!(refused(init::xavier_uniform().fan(Fan::In)));
    assert!(refused(init::xavier_uniform().fan(Fan::Out)));
    // The right variance, and another shape.
    assert!(refused(init::xavier_normal()));
    assert!(refused(init::glorot_normal()));
    // The right shape and scale, around another mean.
    let bound = (6.0 / (IN + OUT) as f64).sqrt();
    let shifted = init::uniform(-0.9 * bound, bound);
    assert!(check(&drawn(&[OUT, IN], shifted), law).is_err());
}

#[test]
fn by_name_is_statistically_the_systems() {
    let average = (IN + OUT) as f64 / 2.0;
    follows(init::by_name("keras.uniform").unwrap(), Law::within(0.05));
    follows(init::by_name("gluon.uniform").unwrap(), Law::within(0.07));
    follows(init::by_name("uniform_").unwrap(), Law::Uniform(0.0, 1.0));
    follows(
        init::by_name("mx.init.Normal").unwrap(),
        Law::Normal(0.0, 0.01),
    );
    let xavier = init::by_name("Xavier(gaussian, in, 2)").unwrap();
    assert!(check(&drawn(&[OUT, IN], xavier), Law::Normal(0.0, 0.1)).is_ok()); // √(2 / 200)
    follows(
        init::by_name("Xavier").unwrap(),
        Law::within((3.0 / average).sqrt()),
    );
    let cut = Law::Truncated(0.0, 0.05, -0.1, 0.1);
    follows(init::by_name("TruncatedNormal").unwrap(), cut);
}

/// U(5, 10) with 1/4, 0 with 1/2, U(-10, -5) with 1/4.
fn chapters() -> impl Initializer {
    init::from_fn(|_, values, rng| {
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    })
}

fn check_chapters(values: &[f64]) -> Result<(), String> {
    let n = values.len() as f64;
    let part = |is: fn(&f64) -> bool| -> Vec<f64> { values.iter().copied().filter(is).collect() };
    let (above, zero, below) = (part(|x| *x > 0.0), part(|x| *x == 0.0), part(|x| *x < 0.0));
    for (part, p) in [(&above, 0.25), (&zero, 0.5), (&below, 0.25)] {
        let found = part.len() as f64 / n;
        if (found - p).abs() > 4.5 * (p * (1.0 - p) / n).sqrt() {
            return Err(format!("{found} of all, not {p}"));
        }
    }
    check(&above, Law::Uniform(5.0, 10.0))?;
    check(&below, Law::Uniform(-10.0, -5.0))
}

#[test]
fn the_chapters_mixture() {
    let values = drawn(&[OUT, IN], chapters());
    check_chapters(&values).unwrap();
    let plain = drawn(&[OUT, IN], init::uniform(-10.0, 10.0)); // what Keras's version of the chapter draws
    assert!(check_chapters(&plain).is_err());
    let wide: Vec<f64> = values.iter().map(|x| 1.05 * x).collect();
    assert!(check_chapters(&wide).is_err());
    let fewer: Vec<f64> = (values.iter().enumerate())
        .map(|(i, &x)| if i % 20 == 0 { 0.0 } else { x })
        .collect();
    assert!(check_chapters(&fewer).is_err());
}

#[test]
fn neighbours_are_not_correlated() {
    let correlated = |values: &[f64]| {
        (1..4).any(|lag| {
            let pairs = values.iter().zip(&values[lag..]);
            let correlation = pairs.map(|(a, b)| a * b).sum::<f64>() / values.len() as f64;
            correlation.abs() > 4.5 / (values.len() as f64).sqrt()
        })
    };
    let values = drawn(&[20_000], init::normal(0.0, 1.0));
    assert!(!correlated(&values));
    let smoothed: Vec<f64> = values.windows(2).map(|w| w[0] + 0.05 * w[1]).collect();
    assert!(correlated(&smoothed));
}

/// The largest deviation of the Gram matrix of the short side from the identity.
fn deviation(w: &[f64], rows: usize) -> f64 {
    let columns = w.len() / rows;
    let short = rows.min(columns);
    let at = |i: usize, k: usize| {
        if rows <= columns {
            w[i * columns + k]
        } else {
            w[k * columns + i]
        }
    };
    let mut worst = 0.0_f64;
    for i in 0..short {
        for j in 0..short {
            let dot: f64 = (0..rows.max(columns)).map(|k| at(i, k) * at(j, k)).sum();
            worst = worst.max((dot - f64::from(u8::from(i == j))).abs());
        }
    }
    worst
}

#[test]
fn orthogonal_is_orthogonal() {
    for shape in [
        &[1, 1][..],
        &[5, 5],
        &[7, 3],
        &[3, 7],
        &[120, 80],
        &[4, 2, 3, 3],
        &[40, 2, 3, 3],
    ] {
        let w = drawn(shape, init::orthogonal());
        assert!(deviation(&w, shape[0]) < 1e-12, "{shape:?}");
        let doubled = drawn(shape, init::orthogonal().gain(2.0));
        assert!(w.iter().zip(&doubled).all(|(a, b)| 2.0 * a == *b));
        let off = drawn(shape, init::orthogonal().gain(1.05));
        assert!(deviation(&off, shape[0]) > 0.1, "{shape:?}");
    }
    assert!(drawn(&[0, 3], init::orthogonal()).is_empty());
}

/// Whether 3 × 3 matrices are uniform on the orthogonal group: each entry is U(-1, 1) (Archimedes: a coordinate of a random point on the sphere), determinants are 1 and -1 equally
/// often, and the trace has mean 0 and variance 1 (Diaconis and Shahshahani 1994).
fn check_haar(matrices: &[Vec<f64>]) -> Result<(), String> {
    let n = matrices.len() as f64;
    for entry in 0..9 {
        let values: Vec<f64> = matrices.iter().map(|w| w[entry]).collect();
        check(&values, Law::Uniform(-1.0, 1.0)).map_err(|why| format!("entry {entry}: {why}"))?;
    }
    let determinant = |w: &Vec<f64>| {
        w[0] * (w[4] * w[8] - w[5] * w[7]) - w[1] * (w[3] * w[8] - w[5] * w[6])
            + w[2] * (w[3] * w[7] - w[4] * w[6])
    };
    let sum: f64 = matrices.iter().map(|w| determinant(w).round()).sum();
    if sum.abs() > 4.5 * n.sqrt() {
        return Err(format!("the mean determinant is {}", sum / n));
    }
    let traces = || matrices.iter().map(|w| w[0] + w[4] + w[8]);
    let (mean, square) = (
        traces().sum::<f64>() / n,
        traces().map(|t| t * t).sum::<f64>() / n,
    );
    // The fourth moment of the trace is at most 3³.
    if mean.abs() > 4.5 / n.sqrt() || (square - 1.0).abs() > 4.5 * (26.0 / n).sqrt() {
        return Err(format!("the trace has moments {mean} and {square}"));
    }
    Ok(())
}

#[test]
fn orthogonal_is_uniform_over_all_of_them() {
    let mut rng = rng();
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(&[3, 3]).unwrap(), |_| {});
    let draw = |_| {
        init::refill(&mut params, id, init::orthogonal(), &mut rng).unwrap();
        params.as_slice(id).unwrap().to_vec()
    };
    let matrices: Vec<Vec<f64>> = (0..6000).map(draw).collect();
    check_haar(&matrices).unwrap();
    // What a decomposition gives whose signs are not those of a positive diagonal: here the first column's is fixed.
    let uncorrected = matrices.iter().cloned().map(|mut w| {
        let sign = w[0].signum();
        [0, 3, 6].into_iter().for_each(|i| w[i] *= -sign);
        w
    });
    assert!(check_haar(&uncorrected.collect::<Vec<_>>()).is_err());
    // Rotations only.
    let rotations = matrices.iter().cloned().map(|mut w| {
        let turned = (w[4] * w[8] - w[5] * w[7]) * w[0] < 0.0;
        if turned {
            w[..3].iter_mut().for_each(|x| *x = -*x);
        }
        w
    });
    assert!(check_haar(&rotations.collect::<Vec<_>>()).is_err());
}

#[test]
fn sparse_has_its_zeros_in_every_column() {
    for (sparsity, zeros) in [
        (0.0, 0),
        (0.1, 1),
        (0.75, 8),
        (0.9, 9),
        (0.91, 10),
        (1.0, 10),
    ] {
        let w = drawn(&[10, 700], init::sparse(sparsity, 0.02));
        for column in 0..700 {
            let found = (0..10).filter(|row| w[row * 700 + column] == 0.0).count();
            assert_eq!(found, zeros, "{sparsity}, column {column}");
        }
        // Which rows they are in is left to chance: binomial per row.
        let p: f64 = zeros as f64 / 10.0;
        for row in 0..10 {
            let found = w[row * 700..][..700].iter().filter(|x| **x == 0.0).count();
            let bound = 4.5 * (700.0 * p * (1.0 - p)).sqrt();
            assert!(
                (found as f64 - 700.0 * p).abs() <= bound,
                "{sparsity}: {found}"
            );
        }
    }
    let rest: Vec<f64> = (drawn(&[OUT, IN], init::sparse(0.5, 0.02)).into_iter())
        .filter(|x| *x != 0.0)
        .collect();
    assert_eq!(rest.len(), OUT * IN / 2);
    check(&rest, Law::Normal(0.0, 0.02)).unwrap();
    assert!(check(&rest, Law::Normal(0.0, 0.021)).is_err());
}

/// A convolution with stride 1, over one or two dimensions of space (`height` 1 is one), padded so that element `n / 2` of a kernel meets the output's position.
fn convolve(x: &[f64], w: &[f64], shape: [usize; 4], groups: usize, field: [usize; 2]) -> Vec<f64> {
    let [out, inner, kh, kw] = shape;
    let [height, width] = field;
    let mut y = vec![0.0; out * height * width];
    for o in 0..out {
        let group = o / (out / groups);
        for (row, column) in (0..height).flat_map(|r| (0..width).map(move |c| (r, c))) {
            let mut sum = 0.0;
            for (i, u, v) in (0..inner * kh * kw).map(|at| (at / (kh * kw), at / kw % kh, at % kw))
            {
                let (r, c) = (
                    (row + u).wrapping_sub(kh / 2),
                    (column + v).wrapping_sub(kw / 2),
                );
                if r < height && c < width {
                    let channel = group * inner + i;
                    sum += w[((o * inner + i) * kh + u) * kw + v]
                        * x[(channel * height + r) * width + c];
                }
            }
            y[(o * height + row) * width + column] = sum;
        }
    }
    y
}

#[test]
fn dirac_convolutions_are_the_identity() {
    let x = drawn(&[6 * 4 * 5], init::uniform(1.0, 2.0));
    for (groups, kernel) in [(1, [3, 3]), (1, [1, 1]), (2, [3, 5]), (3, [2, 4])] {
        let inner = 6 / groups;
        let w = drawn(&[6, inner, kernel[0], kernel[1]], init::dirac(groups));
        let y = convolve(&x, &w, [6, inner, kernel[0], kernel[1]], groups, [4, 5]);
        assert_eq!(y, x, "{groups} {kernel:?}");
    }
    let line = drawn(&[6, 6, 3], init::dirac(1));
    assert_eq!(convolve(&x, &line, [6, 6, 1, 3], 1, [1, 20]), x);
    // As PyTorch's: more outputs than inputs leave the rest 0, each group for itself.
    let w = drawn(&[6, 2, 1], init::dirac(2));
    assert_eq!(w, [1., 0., 0., 1., 0., 0., 1., 0., 0., 1., 0., 0.]);
    let cube = drawn(&[1, 1, 3, 3, 3], init::dirac(1));
    assert_eq!(cube.iter().position(|x| *x == 1.0), Some(13));
}

#[test]
fn bilinear_is_gluons() {
    for (height, width) in [(4, 4), (3, 3), (2, 2), (6, 4), (1, 1)] {
        let w = drawn(&[2, 3, height, width], init::bilinear());
        // mxnet.initializer.Bilinear, term by term.
        let f = (width as f64 / 2.0).ceil();
        let c = (2.0 * f - 1.0 - f % 2.0) / (2.0 * f);
        for (i, value) in w.into_iter().enumerate() {
            let (x, y) = ((i % width) as f64, ((i / width) % height) as f64);
            assert_eq!(value, (1.0 - (x / f - c).abs()) * (1.0 - (y / f - c).abs()));
        }
    }
    // Twice as large by a transposed convolution with stride 2: the parts of each output's phase sum to 1, so a constant picture stays constant.
    let w = drawn(&[1, 1, 4, 4], init::bilinear());
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let at = |r: usize, c: usize| w[(row + 2 * r) * 4 + column + 2 * c];
        assert_eq!(at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1), 1.0);
    }
}

/// The defaults of layers, from a constructor or by name.
#[test]
fn the_three_systems_defaults() {
    let sorted = |params: &Params<f64>, id| params.as_slice(id).unwrap().to_vec();
    let mut params = Params::<f64>::new();
    let linear = Linear::new(&mut params, IN, OUT, &mut rng());
    let back = TiedLinear::new(&mut params, Tied::transposed(linear.weight), true).unwrap();
    let table = Embedding::new(&mut params, OUT, IN, &mut rng());
    let norm = LayerNorm::new(&mut params, 300);
    let net = (linear, table, norm, back);
    let [weight, table] = [net.0.weight, net.1.weight];
    let [bias, back] = [net.0.bias.unwrap(), net.3.bias.unwrap()];

    let pytorch = |params: &Params<f64>| {
        let near = 1.0 / (IN as f64).sqrt();
        check(&sorted(params, weight), Law::within(near)).unwrap();
        assert!(check(&sorted(params, weight), Law::within(1.05 * near)).is_err());
        check(&sorted(params, bias), Law::within(near)).unwrap();
        check(&sorted(params, table), Law::Normal(0.0, 1.0)).unwrap();
    };
    pytorch(&params);
    let seeded = || init::path_seeded(3);
    net.init(&mut params, init::pytorch_default(), seeded())
        .unwrap();
    pytorch(&params);
    // Its layer takes the weight transposed, so its inputs are OUT.
    let far = 1.0 / (OUT as f64).sqrt();
    check(&sorted(&params, back), Law::within(far)).unwrap();
    assert!(sorted(&params, back).iter().any(|x| x.abs() > 0.9 * far));

    let rest_is_plain = |params: &Params<f64>| {
        for id in [bias, back, net.2.bias.unwrap()] {
            assert!(sorted(params, id).iter().all(|x| *x == 0.0));
        }
        assert!(
            sorted(params, net.2.weight.unwrap())
                .iter()
                .all(|x| *x == 1.0)
        );
    };
    net.reinit(&mut params, init::keras_default(), seeded())
        .unwrap();
    let glorot = (6.0 / (IN + OUT) as f64).sqrt();
    check(&sorted(&params, weight), Law::within(glorot)).unwrap();
    check(&sorted(&params, table), Law::within(0.05)).unwrap();
    rest_is_plain(&params);

    net.reinit(&mut params, init::gluon_default(), seeded())
        .unwrap();
    check(&sorted(&params, weight), Law::within(0.07)).unwrap();
    check(&sorted(&params, table), Law::within(0.07)).unwrap();
    rest_is_plain(&params);

    // A bias by itself: nothing is known of its layer.
    let error = init::refill(&mut params, bias, init::pytorch_default(), &mut rng());
    assert!(error.is_ok()); // `refill` takes every parameter for a weight
    let built = Linear::with(2, 3).bias_init(init::pytorch_default());
    assert!(built.build(&mut params, &mut rng()).is_err());
}
