//! GPT.

use rand::Rng;
use tiegrad_arena::Params;
use tiegrad_autodiff::{Part, Var};
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use super::attention::check_heads;
use super::block::BlockInit;
use super::{Block, Dropout, Embedding, LayerNorm, Linear};
use crate::init::{self, InitError};
use crate::layer::Layer;

/// The sizes and settings of a [`GPT`], under nanoGPT's names. The default is nanoGPT's CPU setting: 804,096 parameters.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let config = GptConfig { n_layer: 1, tied: false, ..GptConfig::default() };
/// let gpt = GPT::new(&mut params, &config, &mut rng)?;
/// assert_eq!(gpt.h.len(), 1);
/// assert_ne!(gpt.lm_head.weight, gpt.wte.weight);
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GptConfig {
    /// The number of blocks.
    pub n_layer: usize,
    /// The number of heads; divides `n_embd`.
    pub n_head: usize,
    /// The width.
    pub n_embd: usize,
    /// The longest sequence.
    pub block_size: usize,
    /// The number of tokens.
    pub vocab_size: usize,
    /// The probability of dropout, everywhere.
    pub dropout: f64,
    /// Whether linear layers and normalizations have biases.
    pub bias: bool,
    /// Whether the output projection is the input embedding.
    pub tied: bool,
    /// The standard deviation of the initial weights; see [`GptConfig::std`]. nanoGPT has 0.02 at every width.
    pub init_std: Option<f64>,
}

impl GptConfig {
    /// The standard deviation of the initial weights: `init_std`, or else GPT-2's 0.02 at the width that it was chosen for, 768, carried over
    /// to this width: `0.02 · √(768 / n_embd)`, so that a layer's output has the same variance at every width. Narrow models learn much
    /// faster from it than from 0.02.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// let wide = GptConfig { n_embd: 768, ..GptConfig::default() };
    /// assert_eq!(wide.std(), 0.02);
    /// let as_nano_gpt = GptConfig { init_std: Some(0.02), ..GptConfig::default() };
    /// assert_eq!(as_nano_gpt.std(), 0.02);
    /// ```
    pub fn std(&self) -> f64 {
        let carried = 0.02 * (768.0 / self.n_embd.max(1) as f64).sqrt();
        self.init_std.unwrap_or(carried)
    }
}

impl Default for GptConfig {
    fn default() -> Self {
        Self {
            n_layer: 4,
            n_head: 4,
            n_embd: 128,
            block_size: 64,
            vocab_size: 65,
            dropout: 0.0,
            bias: false,
            tied: true,
            init_std: None,
        }
    }
}

/// A language model in the manner of GPT-2, with nanoGPT's names: token and position embeddings, [`Block`]s, a last normalization,
/// and a projection to logits, which is tied to the token embedding unless the configuration says otherwise.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let config = GptConfig { n_layer: 2, n_head: 2, n_embd: 8, block_size: 16, vocab_size: 65, ..GptConfig::default() };
/// let gpt = GPT::new(&mut params, &config, &mut rng)?;
/// assert_eq!(gpt.lm_head.weight, gpt.wte.weight);
///
/// let mut tape = Tape::new();
/// let g = tape.record(&mut params);
/// let idx = g.indices((&[1_u32, 2, 3, 4, 5, 6][..], [2, 3]));
/// let targets = g.indices((&[2_u32, 3, 4, 5, 6, 7][..], [2, 3]));
/// let loss = gpt.loss(idx, targets).backward()?;
/// assert!((loss - 65.0_f32.ln()).abs() < 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate")]
pub struct GPT {
    /// Of tokens: (vocab_size, n_embd).
    pub wte: Embedding,
    /// Of positions: (block_size, n_embd).
    pub wpe: Embedding,
    /// On the embeddings.
    pub drop: Dropout,
    /// The blocks.
    pub h: Vec<Block>,
    /// Before the projection.
    pub ln_f: LayerNorm,
    /// To logits: n_embd to vocab_size, without a bias.
    pub lm_head: Linear,
}

impl GPT {
    /// Weights from N(0, σ²) with σ = [`config.std()`](GptConfig::std), those of the projections into the residual stream from N(0, σ² / (2 n_layer)) as
    /// in GPT-2, biases 0, gains 1.
    ///
    /// # Errors
    /// [`InitError`]: heads that do not divide the width; sizes too large; a full arena.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let gpt = GPT::new(&mut params, &GptConfig::default(), &mut rng)?;
    /// assert_eq!(gpt.num_parameters(&params), 804_096);
    /// assert!(GPT::new(&mut params, &GptConfig { n_head: 3, ..GptConfig::default() }, &mut rng).is_err());
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        config: &GptConfig,
        rng: &mut impl Rng,
    ) -> Result<Self, InitError> {
        let &GptConfig {
            n_layer,
            n_head,
            n_embd,
            block_size,
            vocab_size,
            dropout,
            bias,
            tied,
            init_std: _,
        } = config;
        check_heads(n_embd, n_head)?;
        let std = config.std();
        let weights = init::normal(0.0, std);
        let residual = init::normal(0.0, std / (2.0 * n_layer.max(1) as f64).sqrt());

        let wte = Embedding::by_default(params, vocab_size, n_embd, &mut { weights }, rng)?;
        let wpe = Embedding::by_default(params, block_size, n_embd, &mut { weights }, rng)?;
        let mut h = Vec::with_capacity(n_layer);
        for _ in 0..n_layer {
            let init = BlockInit { weights, residual };
            h.push(Block::with_init(
                params, n_embd, n_head, dropout, bias, init, rng,
            )?);
        }
        let ln_f = LayerNorm::with(params, n_embd, 1e-5, true, bias)?;
        let lm_head = match tied {
            true => Linear::from_ids(params, wte.weight, None)?,
            false => Linear::with(n_embd, vocab_size)
                .bias(false)
                .weight_init(weights)
                .by_default()
                .build(params, rng)?,
        };
        Ok(Self {
            wte,
            wpe,
            drop: Dropout::new(dropout),
            h,
            ln_f,
            lm_head,
        })
    }

    /// The mean cross-entropy of `targets` (batch, time) after `idx` (batch, time), in nats.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// # let config = GptConfig { n_layer: 1, n_head: 2, n_embd: 8, block_size: 16, init_std: Some(0.02), ..GptConfig::default() };
    /// let gpt = GPT::new(&mut params, &config, &mut rng)?;
    /// let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// let (idx, targets) = (g.indices((&[1_u32, 2, 3][..], [1, 3])), g.indices((&[2_u32, 3, 4][..], [1, 3])));
    /// assert!((gpt.loss(idx, targets).item()? - 65.0_f32.ln()).abs() < 0.2); // it knows nothing yet
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn loss<'t, T: Scalar>(&self, idx: Var<'t, T>, targets: Var<'t, T>) -> Var<'t, T> {
        self.forward(idx).cross_entropy(targets)
    }

    /// The logits of the last position alone, (batch, vocab_size): what sampling needs.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let gpt = GPT::new(&mut params, &GptConfig { n_layer: 1, ..GptConfig::default() }, &mut rng)?;
    /// let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// let logits = gpt.last_logits(g.indices((&[1_u32, 2, 3][..], [1, 3])));
    /// assert_eq!(&**logits.shape(), [1, 65]);
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn last_logits<'t, T: Scalar>(&self, idx: Var<'t, T>) -> Var<'t, T> {
        let last = idx.shape().last().map_or(0, |time| time.saturating_sub(1));
        self.lm_head.forward(self.hidden(idx).select(-2, last))
    }

    /// The hidden state after the last normalization: idx (batch, time), result (batch, time, n_embd).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// # let config = GptConfig { n_layer: 1, n_head: 2, n_embd: 8, block_size: 16, ..GptConfig::default() };
    /// let gpt = GPT::new(&mut params, &config, &mut rng)?;
    /// let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// let hidden = gpt.hidden(g.indices((&[1_u32, 2, 3][..], [1, 3])));
    /// assert_eq!(&**hidden.shape(), [1, 3, 8]);
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn hidden<'t, T: Scalar>(&self, idx: Var<'t, T>) -> Var<'t, T> {
        let time = idx.shape().last().copied().unwrap_or(0);
        // Too long a sequence is an error of this slice: the range does not lie in the dimension.
        let positions = idx.graph().param_ref(&self.wpe.weight).slice(0, 0..time);
        let mut x = self.drop.forward(self.wte.forward(idx) + positions);
        x = self.h.forward(x);
        self.ln_f.forward(x)
    }
}

/// idx (batch, time) to logits (batch, time, vocab_size).
impl Layer for GPT {
    #[track_caller]
    fn forward<'t, T: Scalar>(&self, idx: Var<'t, T>) -> Var<'t, T> {
        idx.enter(|| Part::of(self));
        self.lm_head.forward(self.hidden(idx)).leave(idx)
    }
}
