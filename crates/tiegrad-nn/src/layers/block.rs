//! The transformer block.

use rand::Rng;
use tiegrad_arena::Params;
use tiegrad_autodiff::{Part, Var};
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use super::attention::check_heads;
use super::{CausalSelfAttention, Dropout, GELU, LayerNorm, Linear};
use crate::init::{self, InitError, Preset};
use crate::layer::Layer;

/// A transformer block with normalization before each part, as in GPT-2: `x + attn(ln_1(x))`, then `x + mlp(ln_2(x))`, under nanoGPT's names.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let block = Block::new(&mut params, 8, 2, 0.0, true, &mut rng)?;
/// let names: Vec<_> = block.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names[2], "attn.c_attn.weight");
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate")]
pub struct Block {
    /// Before the attention.
    pub ln_1: LayerNorm,
    /// Mixes positions.
    pub attn: CausalSelfAttention,
    /// Before the network.
    pub ln_2: LayerNorm,
    /// Works on each position alone.
    pub mlp: MLP,
}

/// The network of a [`Block`]: n_embd to 4 n_embd, GELU, and back.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let block = Block::new(&mut params, 8, 2, 0.0, true, &mut rng)?;
/// let mlp: &MLP = &block.mlp;
/// assert_eq!((mlp.c_fc.out_features, mlp.c_proj.in_features), (32, 32));
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate")]
pub struct MLP {
    /// n_embd to 4 n_embd.
    pub c_fc: Linear,
    /// By the error function.
    pub gelu: GELU,
    /// 4 n_embd to n_embd.
    pub c_proj: Linear,
    /// On the result.
    pub dropout: Dropout,
}

/// How the weights of a block start.
#[derive(Clone, Copy)]
pub(crate) struct BlockInit {
    pub(crate) weights: Preset,
    /// Of the projections that end in the residual stream.
    pub(crate) residual: Preset,
}

impl Block {
    /// `n_embd` wide with `n_head` heads. Weights from N(0, 0.02²), biases 0.
    ///
    /// # Errors
    /// [`InitError`]: heads that do not divide the width; a full arena.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let block = Block::new(&mut params, 8, 2, 0.1, false, &mut rng)?;
    /// let mut tape = Tape::new();
    /// let y = block.forward(tape.eval(&params).full([1, 5, 8], 1.0));
    /// assert_eq!(&**y.shape(), [1, 5, 8]);
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        n_embd: usize,
        n_head: usize,
        dropout: f64,
        bias: bool,
        rng: &mut impl Rng,
    ) -> Result<Self, InitError> {
        let init = BlockInit {
            weights: init::normal(0.0, 0.02),
            residual: init::normal(0.0, 0.02),
        };
        Self::with_init(params, n_embd, n_head, dropout, bias, init, rng)
    }

    #[track_caller]
    pub(crate) fn with_init<T: Scalar>(
        params: &mut Params<T>,
        n_embd: usize,
        n_head: usize,
        dropout: f64,
        bias: bool,
        init: BlockInit,
        rng: &mut impl Rng,
    ) -> Result<Self, InitError> {
        check_heads(n_embd, n_head)?;
        let zeros = init::zeros();
        let linear = |inputs, outputs, weights| {
            Linear::with(inputs, outputs)
                .bias(bias)
                .weight_init(weights)
                .bias_init(zeros)
                .by_default()
        };
        let ln_1 = LayerNorm::with(params, n_embd, 1e-5, true, bias)?;
        let c_attn = linear(n_embd, 3 * n_embd, init.weights).build(params, rng)?;
        let c_proj = linear(n_embd, n_embd, init.residual).build(params, rng)?;
        let attn = CausalSelfAttention::from_parts(c_attn, c_proj, dropout, n_head);
        let ln_2 = LayerNorm::with(params, n_embd, 1e-5, true, bias)?;
        let c_fc = linear(n_embd, 4 * n_embd, init.weights).build(params, rng)?;
        let c_proj = linear(4 * n_embd, n_embd, init.residual).build(params, rng)?;
        let mlp = MLP {
            c_fc,
            gelu: GELU,
            c_proj,
            dropout: Dropout::new(dropout),
        };
        Ok(Self {
            ln_1,
            attn,
            ln_2,
            mlp,
        })
    }
}

impl Layer for MLP {
    #[track_caller]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        let h = self.gelu.forward(self.c_fc.forward(x));
        self.dropout.forward(self.c_proj.forward(h)).leave(x)
    }
}

impl Layer for Block {
    #[track_caller]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        // Operators would name this line in an error; x and what the parts return have one shape, so these two cannot fail first.
        x.enter(|| Part::of(self));
        let h = x + self.attn.forward(self.ln_1.forward(x));
        (h + self.mlp.forward(self.ln_2.forward(h))).leave(x)
    }
}
