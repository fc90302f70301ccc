//! `tiegrad train`: a new run, or one that goes on.

use std::path::Path;

use crate::args::TrainArgs;
use crate::config::{self, Config};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::generate::{generate, start_tokens};
use crate::marks::Marks;
use crate::output::{Output, note};
use crate::progress::duration;
use crate::rng::{Stream, generator};
use crate::run_dir::{CHECKPOINT, METRICS, PLOT, Place, RunDir};
use crate::sampler::Sampler;
use crate::signals::Signals;
use crate::state::RunState;
use crate::text::{Corpus, Fingerprint, Source};
use crate::trainer::{Outcome, Trainer};

/// The folder that new runs go to.
const RUNS: &str = "runs";
/// The sample at the end of a run: length, temperature and top-k, as `tiegrad sample` has them.
const SAMPLE: (u64, f64, usize) = (500, 0.8, 200);

/// Does what the command line says.
pub(crate) fn train<E: Engine>(
    args: &TrainArgs,
    signals: &Signals,
    out: &mut Output,
) -> Result<()> {
    E::set_threads(config::threads(args.threads)?);
    let Start {
        engine,
        state,
        corpus,
        dir,
        changed,
    } = match &args.resume {
        Some(run) => resume::<E>(args, run, out)?,
        None => begin::<E>(args, out)?,
    };
    let marks = Marks::of(&corpus.train);
    out.line(&format!("run folder: {}", dir.path().display()))?;
    if state.iter > 0 && state.iter == state.config.max_iters {
        note(&format!(
            "nothing to train: the run has done its {} steps (--max-iters with a larger number goes on)",
            grouped(state.iter as usize)
        ));
    }
    let mut trainer = Trainer::new(engine, state, &corpus, marks, dir, signals.clone(), changed)?;
    let outcome = trainer.run().inspect_err(|e| {
        if let Error::Interrupted { .. } = e {
            let (iter, dir) = (trainer.state.iter, trainer.dir().path().display());
            note(&format!(
                "stopped after step {iter}; go on with: tiegrad train --resume {dir}"
            ));
        }
    })?;
    report(out, &trainer.state.config, &outcome, &marks, trainer.dir())?;
    sample(&mut trainer, &corpus, signals, out)
}

/// A run, ready to train.
struct Start<E> {
    engine: E,
    state: RunState,
    corpus: Corpus,
    dir: RunDir,
    /// Whether the settings are no longer those in the checkpoint.
    changed: bool,
}

/// A new run. Its folder is made last, when nothing that the user gave can be wrong any more.
fn begin<E: Engine>(args: &TrainArgs, out: &mut Output) -> Result<Start<E>> {
    let (source, defaults) = match &args.text {
        Some(path) => (Source::File(absolute(path)?), Config::NANOGPT_CPU),
        None => (Source::BuiltIn, Config::BUILT_IN_TEXT),
    };
    let config = Config::fresh(&args.settings, &defaults)?;
    let place = match &args.out {
        Some(path) => Place::Named(path.clone()),
        None => Place::Numbered {
            parent: RUNS.into(),
            name: source.name(),
        },
    };
    place.check()?;
    let text = source.read()?;
    let corpus = Corpus::new(&source, &text, config.block_size)?;
    let mut engine = E::new(&config, corpus.vocabulary.len())?;
    let state = RunState::new(config, source, &text, &corpus.vocabulary);
    introduce(out, &engine, &state, &corpus)?;
    let metadata = state.to_metadata()?;
    let dir = place.create(|path| engine.save(&path.join(CHECKPOINT), &metadata))?;
    Ok(Start {
        engine,
        state,
        corpus,
        dir,
        changed: false,
    })
}

/// A run that goes on, with its own settings and its own text.
fn resume<E: Engine>(args: &TrainArgs, run: &Path, out: &mut Output) -> Result<Start<E>> {
    let dir = RunDir::open_for_writing(run)?;
    let stored = RunState::read::<E>(&dir)?;
    let mut state = stored.clone();
    state.config = stored.config.resumed(&args.settings)?;
    if state.config.max_iters < state.iter {
        let (iter, asked) = (state.iter, state.config.max_iters);
        return Err(Error::usage(format!(
            "--max-iters {asked} is less than the {iter} steps that the run has done"
        )));
    }
    let source = match &args.text {
        Some(path) => Source::File(absolute(path)?),
        None => state.source.clone(),
    };
    let text = source.read()?;
    if Fingerprint::of(&text) != state.fingerprint {
        return Err(Error::failed(format!(
            "{source}: this is not the text that the run was trained on"
        )));
    }
    let corpus = Corpus::new(&source, &text, state.config.block_size)?;
    let engine: E = state.load(&dir)?;
    introduce(out, &engine, &state, &corpus)?;
    let changed = state != stored;
    Ok(Start {
        engine,
        state,
        corpus,
        dir,
        changed,
    })
}

fn introduce<E: Engine>(
    out: &mut Output,
    engine: &E,
    state: &RunState,
    corpus: &Corpus,
) -> Result<()> {
    out.line(engine.describe().trim_end())?;
    let (train, validation) = (corpus.train.len(), corpus.validation.len());
    out.line(&format!(
        "\ntext: {}: {} characters, {} of them different; {} train, {} validate",
        state.source,
        grouped(train + validation),
        corpus.vocabulary.len(),
        grouped(train),
        grouped(validation)
    ))?;
    let Config {
        max_iters,
        batch_size,
        block_size,
        seed,
        ..
    } = state.config;
    let from = if state.iter > 0 {
        format!("from step {} ", grouped(state.iter as usize))
    } else {
        String::new()
    };
    out.line(&format!(
        "training: {from}to step {} in batches of {batch_size} x {block_size}, seed {seed}",
        grouped(max_iters as usize)
    ))
}

fn report(
    out: &mut Output,
    config: &Config,
    outcome: &Outcome,
    marks: &Marks,
    dir: &RunDir,
) -> Result<()> {
    let speed = if outcome.seconds_per_step > 0.0 {
        let (ms, tokens) = (
            outcome.seconds_per_step * 1e3,
            grouped(outcome.tokens_per_s.round() as usize),
        );
        format!("  ({ms:.1} ms a step, {tokens} tokens/s)")
    } else {
        String::new()
    };
    out.print(&format!(
        "\n\
         train loss       {:.4}  (on {} random batches)\n\
         validation loss  {:.4}  (on the whole validation part, {} characters)\n\
         unigram entropy  {:.2}    (knowing how often each character occurs)\n\
         bigram entropy   {:.2}    (knowing the character before)\n\
         time             {}{speed}\n\
         written          {} ({CHECKPOINT}, {METRICS}, {PLOT})\n",
        outcome.train_loss,
        config.eval_iters,
        outcome.val_loss,
        grouped(outcome.val_tokens as usize),
        marks.unigram,
        marks.bigram,
        duration(outcome.elapsed_s),
        dir.path().display(),
    ))
}

fn sample<E: Engine>(
    trainer: &mut Trainer<'_, E>,
    corpus: &Corpus,
    signals: &Signals,
    out: &mut Output,
) -> Result<()> {
    let (count, temperature, top_k) = SAMPLE;
    let Config {
        seed, block_size, ..
    } = trainer.state.config;
    let mut sampler = Sampler::new(temperature, top_k)?;
    let mut rng = generator(seed, Stream::Sample, 0, 0);
    let mut tokens = start_tokens(&corpus.vocabulary, None)?;
    out.line("\nsample:")?;
    generate(
        &mut trainer.engine,
        &mut sampler,
        &mut rng,
        &mut tokens,
        block_size,
        count,
        |token| {
            signals.check()?;
            out.print(corpus.vocabulary.character(token).encode_utf8(&mut [0; 4]))?;
            Ok(!out.is_closed())
        },
    )?;
    out.line("")
}

fn absolute(path: &Path) -> Result<std::path::PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, "find it", &e))
}

/// A number with a comma before each group of three digits.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_groups() {
        let shown: Vec<String> = [0, 999, 1000, 44_161, 1_115_394]
            .into_iter()
            .map(grouped)
            .collect();
        assert_eq!(shown, ["0", "999", "1,000", "44,161", "1,115,394"]);
    }
}
