//! The seam between this program and the engine: all that training and sampling ask of a model.

use std::collections::BTreeMap;
use std::path::Path;

use crate::batches::Batch;
use crate::config::Config;
use crate::error::Result;

/// Free-form text that a checkpoint carries.
pub(crate) type Metadata = BTreeMap<String, String>;

/// What a training step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StepReport {
    /// Mean loss on the batch, before the step, in nats per token.
    pub(crate) loss: f64,
    /// Norm of the gradient before clipping.
    pub(crate) grad_norm: f64,
}

/// A model with its optimizer.
pub(crate) trait Engine: Sized {
    /// Sets how many threads compute; `None` leaves the choice to the engine. No result depends on it.
    fn set_threads(threads: Option<usize>);

    /// A freshly initialized model for tokens below `vocabulary`, random by `config.seed` only.
    fn new(config: &Config, vocabulary: usize) -> Result<Self>;

    /// The metadata of a checkpoint, without building anything.
    fn metadata(path: &Path) -> Result<Metadata>;

    /// A model with everything as it was when the checkpoint was written; an error if the checkpoint's tensors are
    /// not those of this configuration.
    fn load(path: &Path, config: &Config, vocabulary: usize) -> Result<Self>;

    /// Writes a checkpoint with parameters and optimizer state. A crash at any moment leaves the old file or the new one. The
    /// bytes depend on state and metadata only.
    fn save(&mut self, path: &Path, metadata: &Metadata) -> Result<()>;

    /// The module tree and the summary, ready to print.
    fn describe(&self) -> String;

    /// One step: forward, backward, clip, update. `iter` is the number of steps done before; dropout depends on
    /// `(config.seed, iter)` only.
    fn step(&mut self, iter: u64, batch: &Batch, lr: f64) -> Result<StepReport>;

    /// Mean loss on a batch, in evaluation mode. Blocks may be shorter and fewer than in training.
    fn loss(&mut self, batch: &Batch) -> Result<f64>;

    /// The logits that follow `context`, at most a block of tokens, into `logits`.
    fn logits(&mut self, context: &[u32], logits: &mut Vec<f32>) -> Result<()>;
}
