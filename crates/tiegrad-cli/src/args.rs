//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  tiegrad                                      train on the built-in text, into runs/cicero-1
  tiegrad train --text book.txt                train on a file, into runs/book-1
  tiegrad train --text book.txt --n-layer 6 --n-embd 192 --dropout 0.1 --out big
  tiegrad train --resume runs/book-1           go on where that run stopped
  tiegrad sample runs/book-1 --start 'It was'  generate text
  tiegrad inspect runs/book-1                  what a run's checkpoint holds";

const TRAIN_NOTES: &str = "\
Defaults are nanoGPT's CPU setting; the built-in text has a shorter training of its own.
--min-lr is a tenth of --learning-rate, --lr-decay-iters is --max-iters, unless given.

The run folder holds checkpoint.safetensors (written at every evaluation, at the end, and on
Ctrl-C), metrics.jsonl (one JSON object a line) and loss.svg. Losses are in nats per character.
Progress goes to stderr, results to stdout. The same seed gives the same bits for any number of
threads, stopped and resumed or not. A run resumed with a larger --max-iters keeps its
--lr-decay-iters: beyond it, the learning rate is --min-lr.

Examples:
  tiegrad train --text book.txt
  tiegrad train --text book.txt --max-iters 5000 --learning-rate 6e-4 --seed 7 --out my-run
  tiegrad train --resume my-run
  tiegrad train --resume my-run --max-iters 8000";

const SAMPLE_NOTES: &str = "\
Examples:
  tiegrad sample runs/cicero-1
  tiegrad sample runs/cicero-1 --start 'Quis ' --temperature 0.7 --top-k 20 --num-samples 3
  tiegrad sample runs/cicero-1 --temperature 0     always the likeliest character";

const INSPECT_NOTES: &str = "\
Example:
  tiegrad inspect runs/cicero-1";

/// Train character-level GPTs with tied embeddings on the CPU.
///
/// Without a subcommand, trains on a built-in text: a first look that takes less than a minute.
#[derive(Debug, Parser)]
#[command(name = "tiegrad", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) train: TrainArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model on a text, or go on with a run
    #[command(after_help = TRAIN_NOTES)]
    Train(Box<TrainArgs>),
    /// Generate text with the model of a run
    #[command(after_help = SAMPLE_NOTES)]
    Sample(SampleArgs),
    /// Print what the checkpoint of a run holds: the module tree and the metadata
    #[command(after_help = INSPECT_NOTES)]
    Inspect(InspectArgs),
}

/// Flags of `train`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TrainArgs {
    /// UTF-8 text: the first 90 % trains, the rest validates [default: a built-in text]
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub(crate) text: Option<PathBuf>,

    /// Run folder to create [default: runs/NAME-N with the next N]
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Run",
        conflicts_with = "resume"
    )]
    pub(crate) out: Option<PathBuf>,

    /// Go on with this run, whose settings stay; only --max-iters and --threads may differ
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    pub(crate) resume: Option<PathBuf>,

    /// Threads to compute with; the results do not depend on it [default: all cores]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Run"
    )]
    pub(crate) threads: Option<usize>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The flags that say what is computed; each is `None` where the command line is silent.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Settings {
    /// Transformer blocks [default: 4]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) n_layer: Option<usize>,
    /// Attention heads [default: 4]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) n_head: Option<usize>,
    /// Width, a multiple of the number of heads [default: 128]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) n_embd: Option<usize>,
    /// Characters the model sees at once [default: 64]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) block_size: Option<usize>,
    /// Dropout probability [default: 0]
    #[arg(
        long,
        value_name = "P",
        allow_hyphen_values = true,
        help_heading = "Model",
        allow_negative_numbers = true
    )]
    pub(crate) dropout: Option<f64>,
    /// Give the output projection a weight of its own instead of the input embedding's
    #[arg(long, help_heading = "Model")]
    pub(crate) untied: bool,
    /// Standard deviation of the initial weights; nanoGPT has 0.02 [default: 0.02 * sqrt(768 / n_embd)]
    #[arg(
        long,
        value_name = "STD",
        allow_negative_numbers = true,
        help_heading = "Model"
    )]
    pub(crate) init_std: Option<f64>,

    /// Blocks in a batch [default: 12]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) batch_size: Option<usize>,
    /// Steps to train [default: 2000; 400 for the built-in text]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) max_iters: Option<u64>,
    /// Steps between two evaluations, each followed by a checkpoint [default: 250; 100 for the built-in text]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) eval_interval: Option<u64>,
    /// Batches an evaluation averages over, for each part of the text [default: 20; 10 for the built-in text]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) eval_iters: Option<u64>,
    /// Steps between two lines of training loss in the metrics [default: 10]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) log_interval: Option<u64>,
    /// Seed of everything random [default: 1337]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub(crate) seed: Option<u64>,

    /// Learning rate after the warm-up [default: 1e-3; 4e-3 for the built-in text]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) learning_rate: Option<f64>,
    /// Learning rate at the end of the cosine [default: a tenth of --learning-rate]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) min_lr: Option<f64>,
    /// Steps of linear warm-up [default: 100]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Optimizer (AdamW)"
    )]
    pub(crate) warmup_iters: Option<u64>,
    /// Step at which the cosine reaches --min-lr [default: --max-iters]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Optimizer (AdamW)"
    )]
    pub(crate) lr_decay_iters: Option<u64>,
    /// Decay of the mean of the gradients [default: 0.9]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) beta1: Option<f64>,
    /// Decay of the mean of their squares [default: 0.99]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) beta2: Option<f64>,
    /// Weight decay, on matrices only [default: 0.1]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) weight_decay: Option<f64>,
    /// Largest norm of the gradient, 0 for no limit [default: 1]
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        help_heading = "Optimizer (AdamW)",
        allow_negative_numbers = true
    )]
    pub(crate) grad_clip: Option<f64>,
}

/// Flags of `sample`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SampleArgs {
    /// Run folder
    pub(crate) run: PathBuf,
    /// Text to begin with [default: a line break]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) start: Option<String>,
    /// Texts to generate
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 1
    )]
    pub(crate) num_samples: u64,
    /// Characters to add to each
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 500
    )]
    pub(crate) max_new_tokens: u64,
    /// Randomness: 1 as the model says, 0 always the likeliest character
    #[arg(
        long,
        value_name = "X",
        allow_hyphen_values = true,
        default_value_t = 0.8,
        allow_negative_numbers = true
    )]
    pub(crate) temperature: f64,
    /// Choose among the K likeliest characters, 0 for no limit
    #[arg(
        long,
        value_name = "K",
        allow_negative_numbers = true,
        default_value_t = 200
    )]
    pub(crate) top_k: usize,
    /// Seed of the choices
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value_t = 1337
    )]
    pub(crate) seed: u64,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) threads: Option<usize>,
}

/// Flags of `inspect`.
#[derive(Clone, Debug, Args)]
pub(crate) struct InspectArgs {
    /// Run folder
    pub(crate) run: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::config::Config;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_the_issue_is_there() {
        let flags = "n-layer n-head n-embd block-size batch-size max-iters learning-rate min-lr warmup-iters lr-decay-iters \
                     beta1 beta2 weight-decay grad-clip dropout eval-interval eval-iters seed threads untied out text resume init-std";
        let command = Cli::command();
        let train = command.find_subcommand("train").unwrap();
        for flag in flags.split_whitespace() {
            assert!(
                train.get_arguments().any(|a| a.get_long() == Some(flag)),
                "--{flag}"
            );
            assert!(
                command.get_arguments().any(|a| a.get_long() == Some(flag)),
                "--{flag} without a subcommand"
            );
        }
        let sample = command.find_subcommand("sample").unwrap();
        for flag in [
            "num-samples",
            "max-new-tokens",
            "temperature",
            "top-k",
            "seed",
            "start",
        ] {
            assert!(
                sample.get_arguments().any(|a| a.get_long() == Some(flag)),
                "--{flag}"
            );
        }
    }

    #[test]
    fn the_defaults_that_help_states_are_those_that_hold() {
        let help = Cli::command()
            .find_subcommand_mut("train")
            .unwrap()
            .render_long_help()
            .to_string();
        let (usual, own) = (Config::NANOGPT_CPU, Config::BUILT_IN_TEXT);
        let both = |flag: &str, usual: f64, own: f64| {
            let line = help
                .lines()
                .skip_while(|line| !line.contains(&format!("--{flag} <")))
                .take(2)
                .collect::<String>();
            let stated = line
                .split("[default: ")
                .nth(1)
                .and_then(|rest| rest.split(']').next())
                .unwrap_or_default();
            let numbers: Vec<f64> = stated
                .split_whitespace()
                .filter_map(|word| word.trim_end_matches(';').parse().ok())
                .collect();
            let expected = if usual == own {
                vec![usual]
            } else {
                vec![usual, own]
            };
            assert_eq!(numbers, expected, "--{flag}: {stated}");
        };
        macro_rules! stated {
            ($($name:ident)*) => { $( both(&stringify!($name).replace('_', "-"), usual.$name as f64, own.$name as f64); )* };
        }
        stated!(n_layer n_head n_embd block_size dropout batch_size max_iters eval_interval eval_iters log_interval seed);
        stated!(learning_rate warmup_iters beta1 beta2 weight_decay grad_clip);
        for config in [usual, own] {
            assert_eq!(
                (config.min_lr, config.lr_decay_iters),
                (config.learning_rate / 10.0, config.max_iters)
            );
        }
    }

    #[test]
    fn no_subcommand_means_train() {
        let cli = Cli::try_parse_from(["tiegrad", "--max-iters", "3"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.train.settings.max_iters, Some(3));
    }

    #[test]
    fn out_and_resume_exclude_each_other() {
        assert!(Cli::try_parse_from(["tiegrad", "train", "--out", "a", "--resume", "b"]).is_err());
    }
}
