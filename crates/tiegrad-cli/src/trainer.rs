//! The training loop.
//!
//! The checkpoint is the single source of truth: metrics and picture are derived, and repaired when a run goes on. Lines
//! of metrics reach the disk before the checkpoint that counts on them.

use std::time::Instant;

use crate::batches::Batch;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::evaluate;
use crate::marks::Marks;
use crate::metrics::{Log, Row};
use crate::plot;
use crate::progress::{Progress, Status};
use crate::rng::Stream;
use crate::run_dir::{self, RunDir, replace_file};
use crate::schedule::learning_rate;
use crate::signals::Signals;
use crate::state::RunState;
use crate::text::Corpus;

/// What a finished run has reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Training loss of the last evaluation.
    pub(crate) train_loss: f64,
    /// Loss on the whole validation part with the final weights.
    pub(crate) val_loss: f64,
    /// Predictions in the validation part.
    pub(crate) val_tokens: u64,
    /// Seconds spent on the run, earlier sessions included.
    pub(crate) elapsed_s: f64,
    /// Training speed of this session, 0 if it made no step.
    pub(crate) tokens_per_s: f64,
    /// Seconds per step of this session, 0 if it made no step.
    pub(crate) seconds_per_step: f64,
}

/// A run in progress.
pub(crate) struct Trainer<'a, E> {
    /// The model and its optimizer.
    pub(crate) engine: E,
    /// Settings and steps done.
    pub(crate) state: RunState,
    corpus: &'a Corpus,
    marks: Marks,
    dir: RunDir,
    log: Log,
    signals: Signals,
    progress: Progress,
    clock: Clock,
    batch: Batch,
    /// Whether the checkpoint on the disk is another than one written now would be.
    unsaved: bool,
}

impl<'a, E: Engine> Trainer<'a, E> {
    /// Goes on with the run in `dir` from its checkpoint, which `engine` and `state` were loaded from: also how a new run
    /// begins. `changed` says that the settings are no longer those in the checkpoint.
    pub(crate) fn new(
        engine: E,
        state: RunState,
        corpus: &'a Corpus,
        marks: Marks,
        dir: RunDir,
        signals: Signals,
        changed: bool,
    ) -> Result<Self> {
        let (iter, config) = (state.iter, &state.config);
        // Of an evaluation, only those that a run without stops would have made; a run that goes on has not ended.
        let keep = |row: &Row| match row {
            Row::Step { .. } => row.iter() <= iter,
            Row::Eval { .. } => {
                row.iter() <= iter
                    && (row.iter().is_multiple_of(config.eval_interval)
                        || row.iter() == config.max_iters)
            }
            Row::Final { .. } => iter == config.max_iters && row.iter() == iter,
        };
        let log = Log::open(&dir.file(run_dir::METRICS), keep)?;
        let before = log.rows().iter().map(Row::elapsed_s).fold(0.0, f64::max);
        let progress = Progress::new(iter, config.max_iters);
        let clock = Clock {
            before,
            started: Instant::now(),
            training_s: 0.0,
            tokens: 0,
            steps: 0,
        };
        let batch = Batch::new();
        Ok(Trainer {
            engine,
            corpus,
            marks,
            dir,
            log,
            signals,
            progress,
            clock,
            batch,
            unsaved: changed,
            state,
        })
    }

    /// The run's folder.
    pub(crate) fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Trains to the end. If a signal comes, writes a checkpoint and returns [`Error::Interrupted`].
    pub(crate) fn run(&mut self) -> Result<Outcome> {
        let result = self.train_to_end();
        if let Err(Error::Interrupted { .. }) = result {
            self.save()?;
        }
        self.progress.finish();
        result
    }

    fn train_to_end(&mut self) -> Result<Outcome> {
        loop {
            self.signals.check()?;
            if self.evaluation_is_due() {
                self.evaluate()?;
            }
            if self.state.iter >= self.state.config.max_iters {
                return self.conclude();
            }
            self.step()?;
        }
    }

    fn step(&mut self) -> Result<()> {
        let started = Instant::now();
        let (iter, config) = (self.state.iter, &self.state.config);
        let lr = learning_rate(config, iter);
        let place = (config.seed, Stream::TrainBatch, iter, 0);
        self.batch.draw(
            &self.corpus.train,
            config.batch_size,
            config.block_size,
            place,
        );
        let report = self.engine.step(iter, &self.batch, lr)?;
        if !(report.loss.is_finite() && report.grad_norm.is_finite()) {
            let (loss, norm) = (report.loss, report.grad_norm);
            return Err(self.diverged(&format!(
                "loss {loss}, gradient norm {norm} in step {}",
                iter + 1
            )));
        }
        self.state.iter = iter + 1;
        self.unsaved = true;
        self.clock.count(started, self.batch.tokens());
        let (elapsed_s, tokens_per_s) = (self.clock.elapsed_s(), self.clock.tokens_per_s());
        if self
            .state
            .iter
            .is_multiple_of(self.state.config.log_interval)
        {
            let (loss, grad_norm) = (report.loss, report.grad_norm);
            self.log.append(Row::Step {
                iter: iter + 1,
                loss,
                lr,
                grad_norm,
                tokens_per_s,
                elapsed_s,
            })?;
        }
        let val_loss = self.last_evaluation().map(|(_, val_loss)| val_loss);
        self.progress.step(&Status {
            iter: iter + 1,
            loss: report.loss,
            val_loss,
            tokens_per_s,
        });
        Ok(())
    }

    fn evaluation_is_due(&self) -> bool {
        let (iter, config) = (self.state.iter, &self.state.config);
        let planned = iter.is_multiple_of(config.eval_interval) || iter == config.max_iters;
        let done = |row: &Row| matches!(row, Row::Eval { iter: at, .. } if *at == iter);
        planned && !self.log.rows().iter().rev().any(done)
    }

    /// Evaluates, then writes metrics, checkpoint and picture, in this order.
    fn evaluate(&mut self) -> Result<()> {
        let (iter, config) = (self.state.iter, &self.state.config);
        let (engine, signals) = (&mut self.engine, &self.signals);
        let train_loss = evaluate::estimate(
            engine,
            config,
            &self.corpus.train,
            (Stream::EvalTrain, iter),
            signals,
        )?;
        let val_loss = evaluate::estimate(
            engine,
            config,
            &self.corpus.validation,
            (Stream::EvalValidation, iter),
            signals,
        )?;
        if !(train_loss.is_finite() && val_loss.is_finite()) {
            return Err(self.diverged(&format!(
                "losses {train_loss} and {val_loss} after step {iter}"
            )));
        }
        let (elapsed_s, tokens_per_s) = (self.clock.elapsed_s(), self.clock.tokens_per_s());
        let lr = learning_rate(config, iter);
        self.log.append(Row::Eval {
            iter,
            train_loss,
            val_loss,
            lr,
            tokens_per_s,
            elapsed_s,
        })?;
        self.save()?;
        self.draw()?;
        self.progress
            .evaluation(iter, train_loss, val_loss, tokens_per_s);
        Ok(())
    }

    /// Makes the checkpoint one of this moment.
    fn save(&mut self) -> Result<()> {
        self.log.sync()?;
        if self.unsaved {
            let metadata = self.state.to_metadata()?;
            self.engine
                .save(&self.dir.file(run_dir::CHECKPOINT), &metadata)?;
            self.unsaved = false;
        }
        Ok(())
    }

    fn draw(&self) -> Result<()> {
        let name = self
            .dir
            .path()
            .file_name()
            .unwrap_or(self.dir.path().as_os_str())
            .to_string_lossy();
        let svg = plot::svg(
            &name,
            self.log.rows(),
            &self.marks,
            self.state.config.max_iters,
        );
        let svg = svg.map_err(|e| Error::failed(format!("cannot draw the loss curve ({e})")))?;
        replace_file(&self.dir.file(run_dir::PLOT), |out| {
            std::io::Write::write_all(out, svg.as_bytes())
        })
    }

    /// The last line of the metrics, and what the run has reached.
    fn conclude(&mut self) -> Result<Outcome> {
        let (iter, config) = (self.state.iter, &self.state.config);
        let (val_loss, val_tokens) = evaluate::whole(
            &mut self.engine,
            config,
            &self.corpus.validation,
            &self.signals,
        )?;
        let elapsed_s = self.clock.elapsed_s();
        if !matches!(self.log.rows().last(), Some(Row::Final { .. })) {
            let Marks {
                unigram: unigram_entropy,
                bigram: bigram_entropy,
            } = self.marks;
            let row = Row::Final {
                iter,
                val_loss,
                val_tokens,
                unigram_entropy,
                bigram_entropy,
                elapsed_s,
            };
            self.log.append(row)?;
            self.log.sync()?;
        }
        self.save()?;
        self.draw()?;
        let train_loss = self
            .last_evaluation()
            .map_or(f64::NAN, |(train_loss, _)| train_loss);
        Ok(Outcome {
            train_loss,
            val_loss,
            val_tokens,
            elapsed_s,
            tokens_per_s: self.clock.tokens_per_s(),
            seconds_per_step: self.clock.seconds_per_step(),
        })
    }

    fn last_evaluation(&self) -> Option<(f64, f64)> {
        self.log.rows().iter().rev().find_map(|row| match row {
            Row::Eval {
                train_loss,
                val_loss,
                ..
            } => Some((*train_loss, *val_loss)),
            _ => None,
        })
    }

    fn diverged(&self, how: &str) -> Error {
        Error::failed(format!(
            "training has diverged ({how}); {} keeps its last checkpoint (try a smaller --learning-rate)",
            self.dir.path().display()
        ))
    }
}

/// What the time went into.
#[derive(Clone, Copy, Debug)]
struct Clock {
    before: f64,
    started: Instant,
    training_s: f64,
    tokens: u64,
    steps: u64,
}

impl Clock {
    fn count(&mut self, started: Instant, tokens: usize) {
        self.training_s += started.elapsed().as_secs_f64();
        self.tokens += tokens as u64;
        self.steps += 1;
    }

    fn elapsed_s(&self) -> f64 {
        milli(self.before + self.started.elapsed().as_secs_f64())
    }

    fn tokens_per_s(&self) -> f64 {
        if self.training_s > 0.0 {
            milli(self.tokens as f64 / self.training_s)
        } else {
            0.0
        }
    }

    fn seconds_per_step(&self) -> f64 {
        if self.steps > 0 {
            self.training_s / self.steps as f64
        } else {
            0.0
        }
    }
}

/// Three digits behind the point are enough for times.
fn milli(x: f64) -> f64 {
    (x * 1e3).round() / 1e3
}

#[cfg(test)]
#[path = "trainer_tests.rs"]
mod tests;
