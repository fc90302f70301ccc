//! Learning rates over the course of training.

use std::f64::consts::PI;

/// A learning rate for every step. Closures are schedules too.
///
/// ```
/// use tiegrad_optim::{SGD, Schedule};
///
/// let halved_every_100 = |step: u64| 0.1 * 0.5_f64.powi((step / 100) as i32);
/// let mut opt = SGD::<f32>::new(0.1);
/// opt.set_lr(halved_every_100.lr(250));
/// assert_eq!(opt.lr(), 0.025);
/// ```
pub trait Schedule {
    /// The learning rate of a step, the first being 0.
    fn lr(&self, step: u64) -> f64;
}

impl<F: Fn(u64) -> f64> Schedule for F {
    fn lr(&self, step: u64) -> f64 {
        self(step)
    }
}

/// Linear warm-up, then half a cosine from `learning_rate` to `min_lr`, then `min_lr`: nanoGPT's `get_lr`, to the letter.
///
/// With `lr_decay_iters <= warmup_iters` there is no cosine.
///
/// ```
/// use tiegrad_optim::{Schedule, WarmupCosine};
///
/// let schedule = WarmupCosine { warmup_iters: 100, lr_decay_iters: 2000, learning_rate: 1e-3, min_lr: 1e-4 };
/// assert_eq!(schedule.lr(0), 1e-3 * 1.0 / 101.0);
/// assert_eq!(schedule.lr(100), 1e-3);
/// assert!((schedule.lr(1050) - 5.5e-4).abs() < 1e-15);
/// assert!((schedule.lr(2000) - 1e-4).abs() < 1e-15);
/// assert_eq!(schedule.lr(2001), 1e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosine {
    /// Steps of warm-up; step `i` of them has `learning_rate * (i + 1) / (warmup_iters + 1)`.
    pub warmup_iters: u64,
    /// The step at which `min_lr` is reached.
    pub lr_decay_iters: u64,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// The lowest one, after the decay.
    pub min_lr: f64,
}

impl Schedule for WarmupCosine {
    fn lr(&self, step: u64) -> f64 {
        if step < self.warmup_iters {
            // In f64 first: `warmup_iters + 1` must not overflow.
            return self.learning_rate * (step as f64 + 1.0) / (self.warmup_iters as f64 + 1.0);
        }
        if step > self.lr_decay_iters {
            return self.min_lr;
        }
        let span = self.lr_decay_iters - self.warmup_iters;
        if span == 0 {
            return self.learning_rate;
        }
        let decay_ratio = (step - self.warmup_iters) as f64 / span as f64;
        let coeff = 0.5 * (1.0 + (PI * decay_ratio).cos());
        self.min_lr + coeff * (self.learning_rate - self.min_lr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values were computed by nanoGPT's `get_lr` in Python.
    #[test]
    fn the_numbers_are_those_of_nanogpt() {
        let schedule = WarmupCosine {
            warmup_iters: 7,
            lr_decay_iters: 53,
            learning_rate: 6e-4,
            min_lr: 6e-5,
        };
        for (step, lr) in NANOGPT {
            let ours = schedule.lr(step);
            assert!(
                (ours - lr).abs() <= 1e-18,
                "step {step}: {ours} and not {lr}"
            );
        }
    }

    #[test]
    fn degenerate_spans_are_no_nan() {
        let schedule = |warmup_iters, lr_decay_iters| WarmupCosine {
            warmup_iters,
            lr_decay_iters,
            learning_rate: 1.0,
            min_lr: 0.1,
        };
        assert_eq!(schedule(0, 0).lr(0), 1.0);
        assert_eq!(schedule(0, 0).lr(1), 0.1);
        assert_eq!(schedule(5, 3).lr(4), 5.0 / 6.0);
        assert_eq!(schedule(5, 3).lr(5), 0.1);
        assert!(schedule(u64::MAX, u64::MAX).lr(u64::MAX - 1).is_finite());
        assert_eq!(schedule(u64::MAX, u64::MAX).lr(u64::MAX), 1.0);
    }

    const NANOGPT: [(u64, f64); 9] = [
        (0, 7.5e-05),
        (3, 0.0003),
        (6, 0.000525),
        (7, 0.0006),
        (8, 0.0005993705676814456),
        (30, 0.00032999999999999994),
        (52, 6.06294323185544e-05),
        (53, 6e-05),
        (54, 6e-05),
    ];
}
