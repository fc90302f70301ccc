//! The settings of a run: where they come from, what they must satisfy, and what a resumed run may change.

use serde::{Deserialize, Serialize};
use tiegrad::nn::GptConfig;

use crate::args::Settings;
use crate::error::{Error, Result};

/// Everything that says what a run computes. Kept in its checkpoints. The number of threads is not here, since
/// nothing depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Transformer blocks.
    pub(crate) n_layer: usize,
    /// Attention heads.
    pub(crate) n_head: usize,
    /// Width.
    pub(crate) n_embd: usize,
    /// Characters in a block.
    pub(crate) block_size: usize,
    /// Dropout probability.
    pub(crate) dropout: f64,
    /// Whether the output projection has a weight of its own.
    pub(crate) untied: bool,
    /// Standard deviation of the initial weights.
    pub(crate) init_std: f64,
    /// Blocks in a batch.
    pub(crate) batch_size: usize,
    /// Steps to train.
    pub(crate) max_iters: u64,
    /// Steps between evaluations.
    pub(crate) eval_interval: u64,
    /// Batches of an evaluation.
    pub(crate) eval_iters: u64,
    /// Steps between two training losses in the metrics.
    pub(crate) log_interval: u64,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// Learning rate after the warm-up.
    pub(crate) learning_rate: f64,
    /// Learning rate after the cosine.
    pub(crate) min_lr: f64,
    /// Steps of warm-up.
    pub(crate) warmup_iters: u64,
    /// Step at which the cosine ends.
    pub(crate) lr_decay_iters: u64,
    /// AdamW's decay of the first moment.
    pub(crate) beta1: f64,
    /// AdamW's decay of the second moment.
    pub(crate) beta2: f64,
    /// Weight decay, on matrices only.
    pub(crate) weight_decay: f64,
    /// Largest gradient norm; 0 for none.
    pub(crate) grad_clip: f64,
}

/// Calls a macro with all settings that simply replace a default when given. `init_std`, `min_lr` and `lr_decay_iters`, whose
/// defaults depend on others, and the switch `untied` are treated by hand.
macro_rules! plain_settings {
    ($with:ident) => {
        $with!(
            n_layer n_head n_embd block_size dropout batch_size eval_interval eval_iters log_interval seed learning_rate
            warmup_iters beta1 beta2 weight_decay grad_clip
        )
    };
}

impl Config {
    /// nanoGPT's CPU setting for character-level texts, but for the initial weights: nanoGPT takes 0.02 at every width, this is
    /// 0.02 · √(768 / 128), the same variance of a layer's output as GPT-2 has at its width of 768.
    pub(crate) const NANOGPT_CPU: Config = Config {
        n_layer: 4,
        n_head: 4,
        n_embd: 128,
        block_size: 64,
        dropout: 0.0,
        untied: false,
        init_std: 0.048_989_794_855_663_56,
        batch_size: 12,
        max_iters: 2000,
        eval_interval: 250,
        eval_iters: 20,
        log_interval: 10,
        seed: 1337,
        learning_rate: 1e-3,
        min_lr: 1e-4,
        warmup_iters: 100,
        lr_decay_iters: 2000,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 0.1,
        grad_clip: 1.0,
    };

    /// The job of `tiegrad` without arguments, on the built-in text: nanoGPT's model, but a shorter training with a higher
    /// learning rate. Losses on the whole validation part with the final weights, which should be at most 1.95 after less than a
    /// minute: 1.879 (seed 1337), 1.871, 1.854, 1.873 (seeds 1, 2, 3), at 28 s of CPU time, evaluations and all, on an AMD EPYC with
    /// AVX2. A rate of 3e-3 gave 1.887 (seed 1), one of 2e-3 gave 1.910 and 1.903 (seeds 1, 2); 500 steps at 4e-3 gave 1.805 and
    /// 1.782 (seeds 1, 2), 300 steps at 3e-3 gave 1.969.
    pub(crate) const BUILT_IN_TEXT: Config = Config {
        max_iters: 400,
        eval_interval: 100,
        eval_iters: 10,
        learning_rate: 4e-3,
        min_lr: 4e-4,
        lr_decay_iters: 400,
        ..Config::NANOGPT_CPU
    };

    /// The settings of a new run: `defaults` where the command line is silent.
    pub(crate) fn fresh(given: &Settings, defaults: &Config) -> Result<Config> {
        let mut config = defaults.clone();
        macro_rules! overlay {
            ($($name:ident)*) => { $(if let Some(value) = given.$name { config.$name = value; })* };
        }
        plain_settings!(overlay);
        config.untied = given.untied || defaults.untied;
        let by_width = GptConfig {
            n_embd: config.n_embd,
            ..GptConfig::default()
        };
        config.init_std = given.init_std.unwrap_or(by_width.std());
        if given.learning_rate.is_some() {
            config.min_lr = config.learning_rate / 10.0;
        }
        if let Some(max_iters) = given.max_iters {
            config.max_iters = max_iters;
            config.lr_decay_iters = max_iters;
        }
        config.min_lr = given.min_lr.unwrap_or(config.min_lr);
        config.lr_decay_iters = given.lr_decay_iters.unwrap_or(config.lr_decay_iters);
        config.validate()?;
        Ok(config)
    }

    /// The settings of a resumed run: its own, with another number of steps if one is given. A flag that repeats the run's
    /// value is fine; one that contradicts it is an error.
    pub(crate) fn resumed(&self, given: &Settings) -> Result<Config> {
        macro_rules! compare {
            ($($name:ident)*) => { $(
                if let Some(value) = given.$name && value != self.$name {
                    return Err(contradiction(stringify!($name), &value, &self.$name));
                }
            )* };
        }
        plain_settings!(compare);
        compare!(init_std min_lr lr_decay_iters);
        if given.untied && !self.untied {
            return Err(Error::usage(
                "--untied contradicts the run to resume, whose embeddings are tied",
            ));
        }
        let config = Config {
            max_iters: given.max_iters.unwrap_or(self.max_iters),
            ..self.clone()
        };
        config.validate()?;
        Ok(config)
    }

    /// What must hold for a run to make sense; the first thing that does not is the error.
    pub(crate) fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("n-layer", self.n_layer as u64),
            ("n-head", self.n_head as u64),
            ("n-embd", self.n_embd as u64),
            ("block-size", self.block_size as u64),
            ("batch-size", self.batch_size as u64),
            ("eval-interval", self.eval_interval),
            ("eval-iters", self.eval_iters),
            ("log-interval", self.log_interval),
        ];
        for (flag, value) in at_least_one {
            check(value >= 1, || format!("--{flag} must be at least 1"))?;
        }
        check(self.n_embd.is_multiple_of(self.n_head), || {
            format!(
                "--n-embd {} must be a multiple of --n-head {}",
                self.n_embd, self.n_head
            )
        })?;
        check((0.0..1.0).contains(&self.dropout), || {
            format!("--dropout {} must be in [0, 1)", self.dropout)
        })?;
        check(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            || {
                format!(
                    "--learning-rate {} must be a positive number",
                    self.learning_rate
                )
            },
        )?;
        check((0.0..=self.learning_rate).contains(&self.min_lr), || {
            format!(
                "--min-lr {} must be between 0 and --learning-rate {}",
                self.min_lr, self.learning_rate
            )
        })?;
        for (flag, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            check((0.0..1.0).contains(&beta), || {
                format!("--{flag} {beta} must be in [0, 1)")
            })?;
        }
        for (flag, value) in [
            ("init-std", self.init_std),
            ("weight-decay", self.weight_decay),
            ("grad-clip", self.grad_clip),
        ] {
            check(value.is_finite() && value >= 0.0, || {
                format!("--{flag} {value} must be a number that is not negative")
            })?;
        }
        Ok(())
    }
}

/// The number of threads asked for, which must be one that can be had.
pub(crate) fn threads(given: Option<usize>) -> Result<Option<usize>> {
    check(given.is_none_or(|n| (1..=1024).contains(&n)), || {
        "--threads must be between 1 and 1024".into()
    })?;
    Ok(given)
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Usage(message()))
    }
}

fn contradiction(
    field: &str,
    given: &dyn std::fmt::Display,
    kept: &dyn std::fmt::Display,
) -> Error {
    let flag = field.replace('_', "-");
    Error::Usage(format!(
        "--{flag} {given} contradicts the run to resume, which has {kept}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(given: Settings) -> Result<Config> {
        Config::fresh(&given, &Config::NANOGPT_CPU)
    }

    #[test]
    fn presets_are_valid() {
        Config::NANOGPT_CPU.validate().unwrap();
        Config::BUILT_IN_TEXT.validate().unwrap();
        assert_eq!(fresh(Settings::default()).unwrap(), Config::NANOGPT_CPU);
    }

    #[test]
    fn dependent_defaults_follow() {
        let config = fresh(Settings {
            learning_rate: Some(6e-4),
            max_iters: Some(50),
            ..Settings::default()
        })
        .unwrap();
        assert_eq!((config.min_lr, config.lr_decay_iters), (6e-4 / 10.0, 50));
        let given = Settings {
            max_iters: Some(50),
            lr_decay_iters: Some(70),
            min_lr: Some(0.0),
            ..Settings::default()
        };
        let config = fresh(given).unwrap();
        assert_eq!(
            (config.min_lr, config.lr_decay_iters, config.learning_rate),
            (0.0, 70, 1e-3)
        );
    }

    #[test]
    fn bad_values_are_named() {
        let bad = |given: Settings| match fresh(given) {
            Err(Error::Usage(message)) => message,
            other => panic!("{other:?}"),
        };
        let none = Settings::default;
        assert_eq!(
            bad(Settings {
                n_head: Some(3),
                ..none()
            }),
            "--n-embd 128 must be a multiple of --n-head 3"
        );
        assert_eq!(
            bad(Settings {
                n_head: Some(0),
                ..none()
            }),
            "--n-head must be at least 1"
        );
        assert_eq!(
            bad(Settings {
                block_size: Some(0),
                ..none()
            }),
            "--block-size must be at least 1"
        );
        assert_eq!(
            bad(Settings {
                dropout: Some(1.0),
                ..none()
            }),
            "--dropout 1 must be in [0, 1)"
        );
        assert!(
            bad(Settings {
                learning_rate: Some(f64::NAN),
                ..none()
            })
            .starts_with("--learning-rate NaN")
        );
        assert!(
            bad(Settings {
                learning_rate: Some(-1.0),
                ..none()
            })
            .starts_with("--learning-rate -1")
        );
        assert!(
            bad(Settings {
                min_lr: Some(1.0),
                ..none()
            })
            .starts_with("--min-lr 1 must be between")
        );
        assert!(
            bad(Settings {
                beta2: Some(1.5),
                ..none()
            })
            .starts_with("--beta2 1.5")
        );
        assert!(
            bad(Settings {
                grad_clip: Some(-0.5),
                ..none()
            })
            .starts_with("--grad-clip -0.5")
        );
        assert!(
            bad(Settings {
                weight_decay: Some(f64::INFINITY),
                ..none()
            })
            .starts_with("--weight-decay inf")
        );
        assert!(threads(Some(0)).is_err());
        assert_eq!(threads(Some(2)).unwrap(), Some(2));
    }

    #[test]
    fn resume_keeps_settings_and_refuses_contradictions() {
        let run = Config::NANOGPT_CPU;
        let longer = run
            .resumed(&Settings {
                max_iters: Some(3000),
                n_layer: Some(4),
                ..Settings::default()
            })
            .unwrap();
        assert_eq!(
            longer,
            Config {
                max_iters: 3000,
                ..run.clone()
            }
        );
        let refused = |given| run.resumed(&given).unwrap_err().to_string();
        assert_eq!(
            refused(Settings {
                n_layer: Some(5),
                ..Settings::default()
            }),
            "--n-layer 5 contradicts the run to resume, which has 4"
        );
        assert!(
            refused(Settings {
                min_lr: Some(0.0),
                ..Settings::default()
            })
            .starts_with("--min-lr 0 contradicts")
        );
        assert!(
            refused(Settings {
                untied: true,
                ..Settings::default()
            })
            .starts_with("--untied contradicts")
        );
    }

    #[test]
    fn json_keeps_every_bit() {
        let config = Config {
            learning_rate: 0.1 + 0.2,
            seed: u64::MAX,
            ..Config::NANOGPT_CPU
        };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }
}
