//! Nets and data for several tests.

use tiegrad::nn::GptConfig;
use tiegrad::prelude::*;

/// A random source that gives the same on every run.
pub(crate) fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// A small GPT of 7 tokens and 6 positions.
pub(crate) fn gpt<T: Scalar>(tied: bool, params: &mut Params<T>) -> GPT {
    let config = GptConfig {
        n_layer: 2,
        n_head: 2,
        n_embd: 8,
        block_size: 6,
        vocab_size: 7,
        dropout: 0.0,
        bias: true,
        tied,
        init_std: Some(0.02),
    };
    GPT::new(params, &config, &mut rng(1)).unwrap()
}

/// Inputs and targets for it: 3 sequences of 5 tokens.
pub(crate) fn tokens() -> (Array2<u32>, Array2<u32>) {
    let token = |(i, j): (usize, usize)| ((3 * i * i + 5 * j + i * j) % 7) as u32;
    let x = Array2::from_shape_fn((3, 5), token);
    let y = Array2::from_shape_fn((3, 5), |(i, j)| token((i, j + 1)));
    (x, y)
}

/// The bits of numbers: what "the same" means.
pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Everything that is in an arena, in bits.
pub(crate) fn all_bits(params: &Params<f32>) -> Vec<Vec<u32>> {
    let ids = params.ids();
    ids.map(|id| bits(params.as_slice(id).unwrap())).collect()
}
