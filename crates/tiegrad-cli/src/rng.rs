//! Randomness without hidden state: every use names its stream and its counter, so that the draws of
//! iteration 700 are the same whether or not the program was stopped and resumed before it.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// What a series of draws is for. The numbers are part of what a seed means; never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The training batch of an iteration.
    TrainBatch = 1,
    /// Evaluation batches from the training part.
    EvalTrain = 2,
    /// Evaluation batches from the validation part.
    EvalValidation = 3,
    /// Generated text.
    Sample = 4,
    /// Initial values.
    Init = 5,
}

/// A generator that depends on nothing but `(seed, stream, index, part)`.
pub(crate) fn generator(seed: u64, stream: Stream, index: u64, part: u64) -> Xoshiro256PlusPlus {
    let state = [stream as u64, index, part]
        .into_iter()
        .fold(mix(seed), |state, word| mix(state ^ mix(word)));
    Xoshiro256PlusPlus::seed_from_u64(state)
}

/// A number below `bound`, by multiply and shift: the bias is below `bound / 2^64`, and the result is the same
/// on every platform and under every version of `rand`'s own range code. `bound` is at least 1.
pub(crate) fn below(rng: &mut impl Rng, bound: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// A number in `[0, 1)` with 53 random bits.
pub(crate) fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// One round of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit reaches every output bit.
fn mix(word: u64) -> u64 {
    let z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_every_word_and_on_nothing_else() {
        let first = |seed, stream, index, part| generator(seed, stream, index, part).next_u64();
        let base = first(1, Stream::TrainBatch, 2, 3);
        assert_eq!(base, first(1, Stream::TrainBatch, 2, 3));
        for other in [
            first(2, Stream::TrainBatch, 2, 3),
            first(1, Stream::EvalTrain, 2, 3),
            first(1, Stream::TrainBatch, 3, 3),
            first(1, Stream::TrainBatch, 2, 4),
            first(1, Stream::TrainBatch, 3, 2),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn below_reaches_all_and_only_smaller_numbers() {
        let mut rng = generator(7, Stream::Sample, 0, 0);
        let mut seen = [0_u32; 5];
        for _ in 0..5000 {
            seen[below(&mut rng, 5) as usize] += 1;
        }
        assert!(seen.iter().all(|&n| (850..1150).contains(&n)), "{seen:?}");
        assert_eq!(below(&mut rng, 1), 0);
    }

    #[test]
    fn unit_is_half_open_and_centred() {
        let mut rng = generator(7, Stream::Sample, 1, 0);
        let draws: Vec<f64> = (0..4000).map(|_| unit(&mut rng)).collect();
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        let mean = draws.iter().sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }
}
