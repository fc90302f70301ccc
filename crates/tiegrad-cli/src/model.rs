//! The engine of this program: tiegrad's GPT with AdamW, behind the seam of [`engine`](crate::engine).

use std::fmt::Display;
use std::path::Path;

use tiegrad::autodiff::RngState;
use tiegrad::nn::{GPT, GptConfig, Summary, SummaryRow};
use tiegrad::prelude::*;

use crate::batches::Batch;
use crate::config::Config;
use crate::engine::{Engine, Metadata, StepReport};
use crate::error::{Error, Result};
use crate::memory;
use crate::rng::{Stream, generator};

/// The name of the optimizer's state in a checkpoint.
const OPTIMIZER: &str = "optimizer";

/// A GPT, its parameters and its optimizer.
pub(crate) struct Model {
    net: GPT,
    params: Params<f32>,
    opt: AdamW<f32>,
    tape: Tape,
    seed: u64,
    grad_clip: f64,
}

fn failed(error: impl Display) -> Error {
    Error::failed(error.to_string())
}

/// A summary of few rows, for the tree above it shows every module: what is inside a block counts as the block's.
fn by_block(mut summary: Summary) -> Summary {
    let blocks = 2; // net, net.h, net.h.0
    let mut rows: Vec<SummaryRow> = Vec::new();
    for row in summary.rows {
        match rows.last_mut() {
            Some(block) if row.depth > blocks => {
                block.own += row.own;
                block.tied |= row.tied;
                block.multiply_adds += row.multiply_adds;
            }
            _ => rows.push(row),
        }
    }
    summary.rows = rows;
    summary
}

impl Model {
    /// The loss of a batch on a graph.
    fn forward<'t>(net: &GPT, g: Graph<'t, f32>, batch: &Batch) -> Var<'t, f32> {
        let shape = [batch.rows, batch.cols];
        net.loss(
            g.indices((&batch.x[..], shape)),
            g.indices((&batch.y[..], shape)),
        )
    }

    /// An op's error with the path of the layer.
    fn explain(net: &GPT, error: &tiegrad::autodiff::Error) -> Error {
        Error::failed(net.explain(error))
    }
}

impl Engine for Model {
    fn set_threads(threads: Option<usize>) {
        if let Some(threads) = threads {
            tiegrad::kernels::threads::set_num_threads(threads);
        }
    }

    fn new(config: &Config, vocabulary: usize) -> Result<Self> {
        memory::check(config, vocabulary)?;
        let mut params = Params::new();
        let settings = GptConfig {
            n_layer: config.n_layer,
            n_head: config.n_head,
            n_embd: config.n_embd,
            block_size: config.block_size,
            vocab_size: vocabulary,
            dropout: config.dropout,
            bias: false,
            tied: !config.untied,
            init_std: Some(config.init_std),
        };
        let mut rng = generator(config.seed, Stream::Init, 0, 0);
        let net = GPT::new(&mut params, &settings, &mut rng).map_err(failed)?;
        let mut opt = AdamW::new(config.learning_rate)
            .betas(config.beta1, config.beta2)
            .weight_decay(config.weight_decay)
            .decay_matrices_only();
        // A checkpoint before the first step has the optimizer's state too.
        opt.prepare(&params).map_err(failed)?;
        Ok(Model {
            net,
            params,
            opt,
            tape: Tape::new(),
            seed: config.seed,
            grad_clip: config.grad_clip,
        })
    }

    fn metadata(path: &Path) -> Result<Metadata> {
        Ok(Loaded::open(path).map_err(failed)?.metadata().clone())
    }

    fn load(path: &Path, config: &Config, vocabulary: usize) -> Result<Self> {
        let loaded = Loaded::open(path).map_err(failed)?;
        let mut model = Model::new(config, vocabulary)?;
        let names = checkpoint_names(&model.net);
        loaded
            .load_into(&mut model.params, &names, Policy::strict())
            .map_err(failed)?;
        let state = model.opt.state_mut();
        loaded
            .restore_state(OPTIMIZER, state, &model.params, &names, Policy::strict())
            .map_err(failed)?;
        Ok(model)
    }

    fn save(&mut self, path: &Path, metadata: &Metadata) -> Result<()> {
        let names = checkpoint_names(&self.net);
        let mut checkpoint =
            Checkpoint::new(&self.params, &names).state(OPTIMIZER, self.opt.state());
        for (key, value) in metadata {
            checkpoint = checkpoint.metadata(key, value);
        }
        checkpoint.save(path).map_err(failed)
    }

    fn describe(&self) -> String {
        // Of one sequence of full length.
        let input = tokens([1, self.net.wpe.num_embeddings]);
        let summary = match self.net.summary(&self.params, input) {
            Ok(summary) => summary,
            Err(_) => self.net.counts(&self.params),
        };
        format!("{}\n\n{}", self.net.tree(&self.params), by_block(summary))
    }

    fn step(&mut self, iter: u64, batch: &Batch, lr: f64) -> Result<StepReport> {
        // Dropout masks follow from (seed, iter) alone: there is no random state to save.
        self.tape.set_rng_state(RngState {
            seed: self.seed,
            step: iter,
        });
        let g = self.tape.record(&mut self.params);
        let loss = Self::forward(&self.net, g, batch)
            .backward()
            .map_err(|e| Self::explain(&self.net, &e))?;
        let grad_norm = match self.grad_clip {
            0.0 => grad_norm(&self.params),
            max_norm => clip_grad_norm(&mut self.params, max_norm).map_err(failed)?,
        };
        self.opt.set_lr(lr);
        self.opt.step(&mut self.params).map_err(failed)?;
        self.params.zero_grad();
        Ok(StepReport {
            loss: f64::from(loss),
            grad_norm,
        })
    }

    fn loss(&mut self, batch: &Batch) -> Result<f64> {
        let loss = Self::forward(&self.net, self.tape.eval(&self.params), batch).item();
        loss.map(f64::from)
            .map_err(|e| Self::explain(&self.net, &e))
    }

    fn logits(&mut self, context: &[u32], logits: &mut Vec<f32>) -> Result<()> {
        let g = self.tape.eval(&self.params);
        let last = self
            .net
            .last_logits(g.indices((context, [1, context.len()])));
        let values = last.value().map_err(|e| Self::explain(&self.net, &e))?;
        logits.clear();
        logits.extend(values.iter());
        Ok(())
    }
}
