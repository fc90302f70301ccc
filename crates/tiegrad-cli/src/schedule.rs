//! The learning rate of each iteration: linear warm-up, then half a cosine, then constant, as in nanoGPT's `get_lr`.

use std::f64::consts::PI;

use crate::config::Config;

/// The learning rate for the step that follows `iter` completed steps.
pub(crate) fn learning_rate(config: &Config, iter: u64) -> f64 {
    let (warmup, end) = (config.warmup_iters, config.lr_decay_iters);
    if iter < warmup {
        return config.learning_rate * (iter + 1) as f64 / (warmup + 1) as f64;
    }
    // nanoGPT's third branch at `iter == end` gives min_lr too, but divides 0 by 0 where the warm-up ends there as well.
    if iter >= end {
        return config.min_lr;
    }
    let ratio = (iter - warmup) as f64 / (end - warmup) as f64;
    config.min_lr + 0.5 * (1.0 + (PI * ratio).cos()) * (config.learning_rate - config.min_lr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(warmup_iters: u64, lr_decay_iters: u64) -> Config {
        Config {
            learning_rate: 1e-3,
            min_lr: 1e-4,
            warmup_iters,
            lr_decay_iters,
            ..Config::NANOGPT_CPU
        }
    }

    #[test]
    fn values_of_nanogpt() {
        // from nanoGPT's get_lr with these settings, printed with 17 digits
        let c = config(100, 2000);
        for (iter, expected) in [
            (0, 9.900_990_099_009_901e-6),
            (49, 4.950_495_049_504_951e-4),
            (99, 9.900_990_099_009_9e-4),
            (100, 1e-3),
            (1050, 5.5e-4),
            (2000, 1e-4),
            (2001, 1e-4),
            (9999, 1e-4),
        ] {
            let lr = learning_rate(&c, iter);
            assert!((lr - expected).abs() < 1e-15, "{iter}: {lr} {expected}");
        }
    }

    #[test]
    fn no_case_divides_by_zero() {
        for (warmup, end) in [(0, 0), (0, 10), (10, 10), (10, 5)] {
            for iter in 0..20 {
                let lr = learning_rate(&config(warmup, end), iter);
                assert!((1e-5..=1e-3).contains(&lr), "{warmup} {end} {iter}: {lr}");
            }
        }
    }
}
