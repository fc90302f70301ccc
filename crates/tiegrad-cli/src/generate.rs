//! Text from a model, character by character.

use rand::Rng;

use crate::engine::Engine;
use crate::error::Result;
use crate::sampler::Sampler;
use crate::vocabulary::Vocabulary;

/// The tokens that `text` stands for, or without a text those of a line break (of the first character, where there is no
/// line break in the vocabulary).
pub(crate) fn start_tokens(vocabulary: &Vocabulary, text: Option<&str>) -> Result<Vec<u32>> {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => vocabulary.encode(text),
        None => Ok(vec![vocabulary.token('\n').unwrap_or(0)]),
    }
}

/// Adds `count` tokens to `tokens`, each chosen after the last `block_size` before it, and hands each to `show`, which says
/// whether to go on.
pub(crate) fn generate<E: Engine>(
    engine: &mut E,
    sampler: &mut Sampler,
    rng: &mut impl Rng,
    tokens: &mut Vec<u32>,
    block_size: usize,
    count: u64,
    mut show: impl FnMut(u32) -> Result<bool>,
) -> Result<()> {
    let mut logits = Vec::new();
    for _ in 0..count {
        let context = &tokens[tokens.len().saturating_sub(block_size)..];
        engine.logits(context, &mut logits)?;
        let token = sampler.choose(&logits, rng)?;
        tokens.push(token);
        if !show(token)? {
            break;
        }
    }
    Ok(())
}
