//! The `tiegrad` program: trains character-level GPTs with tied embeddings, samples from them, and shows what their
//! checkpoints hold.
//!
//! The way through the files: [`args`] is the command line, [`mod@train`] and [`sample`] are the commands, [`trainer`] is the training
//! loop, [`engine`] the seam to the library and [`model`] what stands behind it. The rest is one concern a file.

mod args;
mod batches;
mod config;
mod engine;
mod error;
mod evaluate;
mod generate;
mod marks;
mod memory;
mod metrics;
mod model;
mod output;
mod plot;
mod progress;
mod rng;
mod run_dir;
mod sample;
mod sampler;
mod schedule;
mod signals;
mod state;
mod text;
mod train;
mod trainer;
mod vocabulary;

#[cfg(test)]
mod fake;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command, TrainArgs};
use error::{Result, usage_from_clap};
use model::Model;
use output::Output;
use signals::Signals;

fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(cli) => run(&cli),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let _ = e.print(); // a reader that has gone away is no error
            Ok(())
        }
        Err(e) => Err(usage_from_clap(&e)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            if let Some(line) = e.line() {
                output::note(&line);
            }
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let mut out = Output::stdout();
    match &cli.command {
        None => train(&cli.train, &mut out),
        Some(Command::Train(args)) => train(args, &mut out),
        Some(Command::Sample(args)) => sample::sample::<Model>(args, &mut out),
        Some(Command::Inspect(args)) => sample::inspect::<Model>(args, &mut out),
    }
}

fn train(args: &TrainArgs, out: &mut Output) -> Result<()> {
    train::train::<Model>(args, &Signals::install()?, out)
}
