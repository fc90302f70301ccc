//! A tiny engine for tests: a table of bigram logits, trained by plain gradient descent. Its checkpoint is JSON. It can be told
//! to fail, or to have Ctrl-C pressed, in a certain step.

use std::cell::RefCell;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::batches::Batch;
use crate::config::Config;
use crate::engine::{Engine, Metadata, StepReport};
use crate::error::{Error, Result};
use crate::run_dir::replace_file;
use crate::signals::Signals;

/// What happens in a step.
#[derive(Clone, Debug, Default)]
pub(crate) enum Event {
    #[default]
    Nothing,
    /// The step fails, as if the process had been killed before it.
    Fail { step: u64 },
    /// Ctrl-C comes during the step.
    Interrupt { step: u64, signals: Signals },
    /// The loss is not a number any more.
    Diverge { step: u64 },
}

thread_local! {
    /// The event that all fake engines of this thread are waiting for.
    pub(crate) static EVENT: RefCell<Event> = RefCell::default();
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Fake {
    logits: Vec<f64>,
    vocabulary: usize,
    metadata: Metadata,
}

impl Fake {
    /// Cross-entropy; with a learning rate, a step of descent too. Returns the loss and the norm of the gradient.
    fn pass(&mut self, batch: &Batch, lr: Option<f64>) -> (f64, f64) {
        let (v, n) = (self.vocabulary, batch.tokens() as f64);
        let mut grad = vec![0.0; v * v];
        let mut loss = 0.0;
        for (&x, &y) in batch.x.iter().zip(&batch.y) {
            let row = &self.logits[x as usize * v..][..v];
            let sum: f64 = row.iter().map(|l| l.exp()).sum();
            loss += (sum.ln() - row[y as usize]) / n;
            for (place, l) in row.iter().enumerate() {
                grad[x as usize * v + place] +=
                    (l.exp() / sum - f64::from(place == y as usize)) / n;
            }
        }
        // lr of the command line is made for Adam: plain descent on a mean wants far more
        let scale = lr.unwrap_or(0.0) * 1e4;
        self.logits
            .iter_mut()
            .zip(&grad)
            .for_each(|(l, g)| *l -= scale * g);
        (loss, grad.iter().map(|g| g * g).sum::<f64>().sqrt())
    }
}

impl Engine for Fake {
    fn set_threads(_: Option<usize>) {}

    fn new(config: &Config, vocabulary: usize) -> Result<Self> {
        let logits = (0..vocabulary * vocabulary)
            .map(|i| ((i as u64 ^ config.seed) % 7) as f64 / 100.0)
            .collect();
        Ok(Fake {
            logits,
            vocabulary,
            metadata: Metadata::new(),
        })
    }

    fn metadata(path: &Path) -> Result<Metadata> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        let fake: Fake =
            serde_json::from_slice(&bytes).map_err(|e| Error::failed(e.to_string()))?;
        Ok(fake.metadata)
    }

    fn load(path: &Path, _: &Config, vocabulary: usize) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, "read", &e))?;
        let fake: Fake =
            serde_json::from_slice(&bytes).map_err(|e| Error::failed(e.to_string()))?;
        if fake.vocabulary != vocabulary {
            return Err(Error::failed("another shape"));
        }
        Ok(fake)
    }

    fn save(&mut self, path: &Path, metadata: &Metadata) -> Result<()> {
        self.metadata = metadata.clone();
        replace_file(path, |out| Ok(serde_json::to_writer(out, self)?))
    }

    fn describe(&self) -> String {
        format!("Fake({0} x {0})", self.vocabulary)
    }

    fn step(&mut self, iter: u64, batch: &Batch, lr: f64) -> Result<StepReport> {
        let (mut loss, grad_norm) = self.pass(batch, Some(lr));
        match EVENT.with_borrow(Event::clone) {
            Event::Fail { step } if step == iter => return Err(Error::failed("killed")),
            Event::Diverge { step } if step == iter => loss = f64::NAN,
            Event::Interrupt { step, signals } if step == iter => signals.raise(),
            _ => {}
        }
        Ok(StepReport { loss, grad_norm })
    }

    fn loss(&mut self, batch: &Batch) -> Result<f64> {
        Ok(self.pass(batch, None).0)
    }

    fn logits(&mut self, context: &[u32], logits: &mut Vec<f32>) -> Result<()> {
        let last = context.last().map_or(0, |&token| token as usize);
        logits.clear();
        logits.extend(
            self.logits[last * self.vocabulary..][..self.vocabulary]
                .iter()
                .map(|&l| l as f32),
        );
        Ok(())
    }
}
