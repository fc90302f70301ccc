//! Causal self-attention.

use rand::Rng;
use tiegrad_arena::Params;
use tiegrad_autodiff::{Input, Part, Var};
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use super::{Dropout, Linear};
use crate::init::InitError;
use crate::layer::Layer;

/// Multi-head self-attention in which a position sees only itself and those before it (Vaswani et al., arXiv:1706.03762), with query, key and value
/// from one projection, under nanoGPT's names. Input and output (batch, time, n_embd), or (time, n_embd).
///
/// Without dropout on the probabilities it is one op; with it, in training, it is composed of several.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let attention = CausalSelfAttention::new(&mut params, 8, 2, 0.0, true, &mut rng)?;
/// let mut tape = Tape::new();
/// let y = attention.forward(tape.eval(&params).full([1, 5, 8], 1.0));
/// assert_eq!(&**y.shape(), [1, 5, 8]);
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate")]
pub struct CausalSelfAttention {
    /// To query, key and value: n_embd to 3 n_embd.
    pub c_attn: Linear,
    /// From the heads: n_embd to n_embd.
    pub c_proj: Linear,
    /// On the probabilities.
    pub attn_dropout: Dropout,
    /// On the result.
    pub resid_dropout: Dropout,
    /// The number of heads; divides n_embd.
    pub n_head: usize,
}

impl CausalSelfAttention {
    /// `n_embd` wide with `n_head` heads, PyTorch's default initialization.
    ///
    /// # Errors
    /// [`InitError::Setting`] if the heads do not divide the width.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let attention = CausalSelfAttention::new(&mut params, 8, 2, 0.0, false, &mut rng)?;
    /// assert_eq!(attention.num_parameters(&params), 4 * 8 * 8); // query, key, value, and the way out
    /// assert!(CausalSelfAttention::new(&mut params, 8, 3, 0.0, false, &mut rng).is_err());
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
        check_heads(n_embd, n_head)?;
        let c_attn = Linear::with(n_embd, 3 * n_embd)
            .bias(bias)
            .build(params, rng)?;
        let c_proj = Linear::with(n_embd, n_embd).bias(bias).build(params, rng)?;
        Ok(Self::from_parts(c_attn, c_proj, dropout, n_head))
    }

    pub(crate) fn from_parts(c_attn: Linear, c_proj: Linear, dropout: f64, n_head: usize) -> Self {
        let [attn_dropout, resid_dropout] = [Dropout::new(dropout); 2];
        Self {
            c_attn,
            c_proj,
            attn_dropout,
            resid_dropout,
            n_head,
        }
    }
}

pub(crate) fn check_heads(n_embd: usize, n_head: usize) -> Result<(), InitError> {
    if n_head == 0 || !n_embd.is_multiple_of(n_head) {
        let what = format!("n_head divides n_embd, got n_head {n_head} and n_embd {n_embd}");
        return Err(InitError::Setting { what });
    }
    Ok(())
}

impl Layer for CausalSelfAttention {
    #[track_caller]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.enter(|| Part::of(self));
        let (shape, width) = (*x.shape(), self.c_proj.in_features);
        // Any other rank does not fit the reshapes below, which say so.
        let (batch, time) = match *shape {
            [batch, time, _] => (batch, time),
            [time, _] => (1, time),
            _ => (0, 0),
        };
        let heads = [
            batch,
            time,
            self.n_head,
            width.checked_div(self.n_head).unwrap_or(0),
        ];
        let [q, k, v] = self.c_attn.forward(x).chunk::<3>(-1);
        let (q, k, v) = (q.reshape(heads), k.reshape(heads), v.reshape(heads));
        let y = if self.attn_dropout.p == 0.0 || !x.graph().is_training() {
            q.attention(k, v, true)
        } else {
            self.attend_with_dropout(q, k, v)
        };
        let y = match shape.rank() {
            2 => y.reshape([time, width]),
            _ => y.reshape([batch, time, width]),
        };
        self.resid_dropout.forward(self.c_proj.forward(y)).leave(x)
    }
}

impl CausalSelfAttention {
    /// The same from simpler ops, with dropout on the probabilities. All are (batch, time, head, width of a head).
    #[track_caller]
    fn attend_with_dropout<'t, T: Scalar>(
        &self,
        q: Var<'t, T>,
        k: Var<'t, T>,
        v: Var<'t, T>,
    ) -> Var<'t, T> {
        let (time, width) = match **q.shape() {
            [_, time, _, width] => (time, width),
            _ => (0, 1),
        };
        let (q, k, v) = (
            q.permute(&[0, 2, 1, 3]),
            k.permute(&[0, 2, 3, 1]),
            v.permute(&[0, 2, 1, 3]),
        );
        let scores = q.matmul(k).affine(1.0 / (width as f64).sqrt(), 0.0)
            + q.graph().input(CausalMask([time, time]));
        let probabilities = self.attn_dropout.forward(scores.softmax(-1));
        probabilities.matmul(v).permute(&[0, 2, 1, 3])
    }
}

/// 0 where a query (row) sees a key (column), -∞ where it does not.
struct CausalMask([usize; 2]);

impl<T: Scalar> Input<T> for CausalMask {
    fn dims(&self) -> &[usize] {
        &self.0
    }

    fn dense(&self) -> Option<&[T]> {
        None
    }

    fn copy_to(&self, out: &mut [T]) {
        let cols = self.0[1].max(1);
        for (row, scores) in out.chunks_mut(cols).enumerate() {
            for (col, score) in scores.iter_mut().enumerate() {
                *score = if col <= row { T::ZERO } else { T::NEG_INFINITY };
            }
        }
    }
}
