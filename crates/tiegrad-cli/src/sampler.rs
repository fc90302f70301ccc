//! Choosing the next token from a model's logits.

use rand::Rng;

use crate::error::{Error, Result};
use crate::rng;

/// How to choose.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    temperature: f64,
    top_k: usize,
    weights: Vec<f64>,
    ranked: Vec<f32>,
}

impl Sampler {
    /// A sampler. Temperature 0 always takes the first of the largest logits; `top_k` 0 sets no limit.
    pub(crate) fn new(temperature: f64, top_k: usize) -> Result<Sampler> {
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::usage(format!(
                "--temperature {temperature} must be a number that is not negative"
            )));
        }
        Ok(Sampler {
            temperature,
            top_k,
            weights: Vec::new(),
            ranked: Vec::new(),
        })
    }

    /// Draws a token with probability `softmax(logits / temperature)` over the `top_k` largest logits (as in nanoGPT, all
    /// that equal the smallest of these stay in). NaN, or no finite logit, is an error. O(logits).
    pub(crate) fn choose(&mut self, logits: &[f32], rng: &mut impl Rng) -> Result<u32> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() || logits.iter().any(|l| l.is_nan()) {
            return Err(Error::failed(
                "the model's output is not finite: this run has diverged",
            ));
        }
        if self.temperature == 0.0 {
            return Ok(logits
                .iter()
                .position(|&l| l == largest)
                .unwrap_or_default() as u32);
        }
        let smallest = self.threshold(logits);
        self.weights.clear();
        self.weights.extend(logits.iter().map(|&l| {
            if l < smallest {
                0.0
            } else {
                (f64::from(l - largest) / self.temperature).exp()
            }
        }));
        let mut rest = rng::unit(rng) * self.weights.iter().sum::<f64>();
        let mut chosen = 0;
        for (token, &weight) in self.weights.iter().enumerate() {
            if weight > 0.0 {
                chosen = token;
                if rest < weight {
                    break;
                }
                rest -= weight;
            }
        }
        Ok(chosen as u32)
    }

    /// The smallest logit that stays in.
    fn threshold(&mut self, logits: &[f32]) -> f32 {
        if self.top_k == 0 || self.top_k >= logits.len() {
            return f32::NEG_INFINITY;
        }
        self.ranked.clear();
        self.ranked.extend_from_slice(logits);
        *self
            .ranked
            .select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a))
            .1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Stream, generator};

    fn frequencies(temperature: f64, top_k: usize, logits: &[f32]) -> Vec<f64> {
        let mut sampler = Sampler::new(temperature, top_k).unwrap();
        let mut rng = generator(11, Stream::Sample, 0, 0);
        let mut counts = vec![0.0; logits.len()];
        for _ in 0..40_000 {
            counts[sampler.choose(logits, &mut rng).unwrap() as usize] += 1.0 / 40_000.0;
        }
        counts
    }

    #[track_caller]
    fn near(observed: &[f64], expected: &[f64]) {
        assert!(
            observed
                .iter()
                .zip(expected)
                .all(|(o, e)| (o - e).abs() < 0.012),
            "{observed:?} {expected:?}"
        );
    }

    #[test]
    fn follows_the_softmax() {
        let logits = [0.2_f32.ln(), 0.5_f32.ln(), 0.3_f32.ln(), f32::NEG_INFINITY];
        near(&frequencies(1.0, 0, &logits), &[0.2, 0.5, 0.3, 0.0]);
        // temperature 1/2 squares the probabilities: 4, 25, 9 of 38
        near(
            &frequencies(0.5, 200, &logits),
            &[4.0 / 38.0, 25.0 / 38.0, 9.0 / 38.0, 0.0],
        );
    }

    #[test]
    fn top_k_cuts_and_keeps_ties() {
        let logits = [0.2_f32.ln(), 0.5_f32.ln(), 0.3_f32.ln()];
        assert_eq!(
            frequencies(1.0, 1, &logits)[1],
            frequencies(1.0, 1, &logits).iter().sum::<f64>()
        );
        near(&frequencies(1.0, 2, &logits), &[0.0, 0.625, 0.375]);
        near(&frequencies(1.0, 1, &[1.0, 1.0, 0.0]), &[0.5, 0.5, 0.0]);
    }

    #[test]
    fn temperature_zero_is_argmax() {
        let mut rng = generator(0, Stream::Sample, 0, 0);
        let mut sampler = Sampler::new(0.0, 0).unwrap();
        assert_eq!(sampler.choose(&[1.0, 3.0, 3.0, -1.0], &mut rng).unwrap(), 1);
    }

    #[test]
    fn extremes_do_not_break_it() {
        let mut rng = generator(0, Stream::Sample, 0, 0);
        let mut cold = Sampler::new(1e-300, 0).unwrap();
        assert_eq!(cold.choose(&[-5.0, 900.0, 899.0], &mut rng).unwrap(), 1);
        for bad in [
            &[][..],
            &[f32::NAN, 1.0],
            &[f32::NEG_INFINITY],
            &[f32::INFINITY],
        ] {
            assert!(
                Sampler::new(1.0, 0).unwrap().choose(bad, &mut rng).is_err(),
                "{bad:?}"
            );
        }
        assert!(Sampler::new(-1.0, 0).is_err());
        assert!(Sampler::new(f64::NAN, 0).is_err());
    }
}
