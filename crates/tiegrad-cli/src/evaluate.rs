//! Losses of a model on parts of a text.

use crate::batches::{Batch, consecutive};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Result;
use crate::rng::Stream;
use crate::signals::Signals;

/// The mean loss on `eval_iters` random batches of `tokens`, which depend on the seed, the stream and `iter` only.
pub(crate) fn estimate<E: Engine>(
    engine: &mut E,
    config: &Config,
    tokens: &[u32],
    (stream, iter): (Stream, u64),
    signals: &Signals,
) -> Result<f64> {
    let mut batch = Batch::new();
    let mut sum = 0.0;
    for part in 0..config.eval_iters {
        signals.check()?;
        batch.draw(
            tokens,
            config.batch_size,
            config.block_size,
            (config.seed, stream, iter, part),
        );
        sum += engine.loss(&batch)?;
    }
    Ok(sum / config.eval_iters as f64)
}

/// The mean loss over all of `tokens` but the first, in consecutive blocks, and their number.
pub(crate) fn whole<E: Engine>(
    engine: &mut E,
    config: &Config,
    tokens: &[u32],
    signals: &Signals,
) -> Result<(f64, u64)> {
    let (mut sum, mut count) = (0.0, 0);
    for batch in consecutive(tokens, config.batch_size, config.block_size) {
        signals.check()?;
        sum += engine.loss(&batch)? * batch.tokens() as f64;
        count += batch.tokens() as u64;
    }
    Ok((sum / count.max(1) as f64, count))
}
