//! Sizes that no machine holds are refused in words, before an allocation fails.

use crate::config::Config;
use crate::error::{Error, Result};

/// Refuses a model and batches for which the system does not even promise the memory. What passes may still turn out too
/// large, for the bound is a low one and systems promise more than they have.
pub(crate) fn check(config: &Config, vocabulary: usize) -> Result<()> {
    let bytes = at_least(config, vocabulary);
    let promised =
        bytes < isize::MAX as f64 && Vec::<u8>::new().try_reserve_exact(bytes as usize).is_ok();
    if promised {
        return Ok(());
    }
    let (gigabytes, parameters) = (bytes / 1e9, parameters(config, vocabulary));
    Err(Error::failed(format!(
        "a model of {parameters:.1e} parameters in batches of {} x {} takes more than {gigabytes:.1e} GB of memory, which is \
         more than can be had here",
        config.batch_size, config.block_size
    )))
}

fn parameters(config: &Config, vocabulary: usize) -> f64 {
    let (layers, width) = (config.n_layer as f64, config.n_embd as f64);
    let embedded = vocabulary as f64 + config.block_size as f64;
    width * (embedded + layers * 12.0 * width)
}

/// Bytes that training takes: values, gradients and AdamW's two moments; and, for each character of a batch, a part of what
/// the backward pass needs of every block, and the logits.
fn at_least(config: &Config, vocabulary: usize) -> f64 {
    let characters = config.batch_size as f64 * config.block_size as f64;
    let of_each = 10.0 * config.n_layer as f64 * config.n_embd as f64 + vocabulary as f64;
    size_of::<f32>() as f64 * (4.0 * parameters(config, vocabulary) + characters * of_each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_sizes_pass_and_absurd_ones_do_not() {
        let usual = Config::NANOGPT_CPU;
        assert_eq!(parameters(&usual, 65), 802_944.0); // all but the layer norms' 1,152
        assert!(check(&usual, 65).is_ok());
        for absurd in [
            Config {
                n_embd: usize::MAX,
                ..usual.clone()
            },
            Config {
                n_layer: usize::MAX,
                ..usual.clone()
            },
            Config {
                batch_size: usize::MAX,
                ..usual.clone()
            },
            Config {
                block_size: usize::MAX,
                ..usual.clone()
            },
        ] {
            assert!(check(&absurd, 65).is_err_and(|e| e.to_string().contains("GB of memory")));
        }
    }
}
