//! Random numbers, drawn in double precision by formulas of our own, so that a seed means the same values with every version of `rand`.

use rand::Rng;

use super::{InitError, Target};

/// Uniform on [0, 1): 53 random bits.
pub(crate) fn unit(rng: &mut dyn Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// One draw from U[low, high).
///
/// ```
/// let mut rng = tiegrad_nn::doc_rng();
/// let x = tiegrad_nn::init::uniform_draw(&mut rng, 5.0, 10.0);
/// assert!((5.0..10.0).contains(&x));
/// ```
pub fn uniform_draw(rng: &mut dyn Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * unit(rng)
}

/// One draw from N(mean, std²).
///
/// ```
/// let mut rng = tiegrad_nn::doc_rng();
/// assert!(tiegrad_nn::init::normal_draw(&mut rng, 0.0, 0.01).abs() < 0.1);
/// ```
pub fn normal_draw(rng: &mut dyn Rng, mean: f64, std: f64) -> f64 {
    mean + std * pair(rng).0
}

/// One draw from 0..n, for n > 0: its bias is below n / 2⁶⁴.
pub(crate) fn index_below(rng: &mut dyn Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

/// A standard deviation, if it is one.
pub(crate) fn spread(target: &Target<'_>, std: f64) -> Result<f64, InitError> {
    match std >= 0.0 && std.is_finite() {
        true => Ok(std),
        false => Err(target.unsuitable(format!(
            "a standard deviation is at least 0 and finite, got {std}"
        ))),
    }
}

/// Two independent draws from N(0, 1): Box and Muller, Ann. Math. Statist. 29(2), 1958.
fn pair(rng: &mut dyn Rng) -> (f64, f64) {
    // 1 - u lies in (0, 1]: its logarithm is finite.
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    let (sin, cos) = (std::f64::consts::TAU * unit(rng)).sin_cos();
    (radius * cos, radius * sin)
}

/// Fills with draws from N(mean, std²), two from each pair.
pub(crate) fn fill_normal(values: &mut [f64], rng: &mut dyn Rng, mean: f64, std: f64) {
    for two in values.chunks_mut(2) {
        let (x, y) = pair(rng);
        for (value, draw) in two.iter_mut().zip([x, y]) {
            *value = mean + std * draw;
        }
    }
}

/// Fills with draws from N(mean, std²) conditioned on [low, high], by inversion of the distribution function, as PyTorch does.
pub(crate) fn fill_truncated(
    values: &mut [f64],
    rng: &mut dyn Rng,
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
) {
    use std::f64::consts::SQRT_2;
    use tiegrad_kernels::Arithmetic;
    // erf runs over the same quantiles as the distribution function, without its halves.
    let erf_of = |x: f64| Arithmetic::erf((x - mean) / (std * SQRT_2));
    let (from, to) = (erf_of(low), erf_of(high));
    for value in values {
        let draw = mean + std * SQRT_2 * erf_inv(uniform_draw(rng, from, to));
        *value = draw.clamp(low, high);
    }
}

/// The inverse of the error function: a start from M. Giles, "Approximating the erfinv function" (GPU Computing Gems, 2011), then Newton steps.
fn erf_inv(y: f64) -> f64 {
    use tiegrad_kernels::Arithmetic;
    let w = -((1.0 - y) * (1.0 + y)).ln();
    if !w.is_finite() {
        return if y > 0.0 {
            f64::INFINITY
        } else {
            f64::NEG_INFINITY
        };
    }
    let horner =
        |x: f64, coefficients: [f64; 9]| coefficients.into_iter().fold(0.0, |sum, c| sum * x + c);
    let start = if w < 5.0 {
        let coefficients = [
            2.810_226_36e-8,
            3.432_739_39e-7,
            -3.523_387_7e-6,
            -4.391_506_54e-6,
            0.000_218_580_87,
            -0.001_253_725_03,
            -0.004_177_681_64,
            0.246_640_727,
            1.501_409_41,
        ];
        horner(w - 2.5, coefficients)
    } else {
        let coefficients = [
            -0.000_200_214_257,
            0.000_100_950_558,
            0.001_349_343_22,
            -0.003_673_428_44,
            0.005_739_507_73,
            -0.007_622_461_3,
            0.009_438_870_47,
            1.001_674_06,
            2.832_976_82,
        ];
        horner(w.sqrt() - 3.0, coefficients)
    };
    let mut x = start * y;
    for _ in 0..2 {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        x -= (Arithmetic::erf(x) - y) / slope;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use tiegrad_kernels::Arithmetic;

    #[test]
    fn erf_inv_inverts_erf() {
        for i in -300..=300 {
            let x = f64::from(i) / 100.0;
            let back = erf_inv(Arithmetic::erf(x));
            assert!(
                (back - x).abs() < 1e-9 * (1.0 + (x * x).exp() * 1e-6),
                "{x} came back as {back}"
            );
        }
        assert_eq!(erf_inv(0.0), 0.0);
        assert_eq!(erf_inv(1.0), f64::INFINITY);
    }
}
