//! The table of vectors.

use std::fmt;

use rand::Rng;
use tiegrad_arena::{ParamId, Params};
use tiegrad_autodiff::Var;
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::init::{self, InitError, Initializer, Plan};
use crate::layer::Layer;
use crate::tree::Role;

/// A vector for each index: indices (…), table (num_embeddings, embedding_dim), result (…, embedding_dim).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let table = Embedding::new(&mut params, 65, 8, &mut rng);
/// assert_eq!(table.to_string(), "Embedding(65, 8)");
/// let mut tape = Tape::new();
/// let vectors = table.forward(tape.eval(&params).indices(&[3_u32, 64, 3]));
/// assert_eq!(&**vectors.shape(), [3, 8]);
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "Embedding::extra")]
pub struct Embedding {
    /// (num_embeddings, embedding_dim)
    pub weight: ParamId,
    /// How many vectors there are.
    pub num_embeddings: usize,
    /// How long each is.
    pub embedding_dim: usize,
}

fn plan(dims: &[usize; 2]) -> Plan<'_> {
    Plan {
        name: "weight",
        dims,
        role: Role::Weight,
    }
}

impl Embedding {
    /// From N(0, 1): PyTorch's default.
    ///
    /// Does not fail: in a full arena the id is dead, and its use is an error.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let table = Embedding::new(&mut params, 65, 8, &mut rng);
    /// assert_eq!(table.num_parameters(&params), 520);
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        num_embeddings: usize,
        embedding_dim: usize,
        rng: &mut impl Rng,
    ) -> Self {
        let dims = [num_embeddings, embedding_dim];
        let weight = init::insert(params, &plan(&dims), &mut init::normal(0.0, 1.0), rng);
        Self {
            weight,
            num_embeddings,
            embedding_dim,
        }
    }

    /// From another initializer. The table counts as initialized then.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let table = Embedding::with_init(&mut params, 65, 8, init::normal(0.0, 0.02), &mut rng)?;
    /// assert!(params.value(table.weight)?.iter().all(|x| x.abs() < 0.2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a full arena, sizes too large, or an initializer that cannot fill.
    #[track_caller]
    pub fn with_init<T: Scalar>(
        params: &mut Params<T>,
        num_embeddings: usize,
        embedding_dim: usize,
        mut initializer: impl Initializer,
        rng: &mut impl Rng,
    ) -> Result<Self, InitError> {
        let table = Self::by_default(params, num_embeddings, embedding_dim, &mut initializer, rng)?;
        init::mark_given(params, table.weight, "weight", &initializer)?;
        Ok(table)
    }

    /// [`with_init`](Self::with_init) where the initializer is a model's default, which [`init`](crate::InitExt::init) may replace.
    #[track_caller]
    pub(crate) fn by_default<T: Scalar>(
        params: &mut Params<T>,
        num_embeddings: usize,
        embedding_dim: usize,
        initializer: &mut dyn Initializer,
        rng: &mut impl Rng,
    ) -> Result<Self, InitError> {
        let dims = [num_embeddings, embedding_dim];
        let weight = init::try_insert(params, &plan(&dims), initializer, rng)?;
        Ok(Self {
            weight,
            num_embeddings,
            embedding_dim,
        })
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.num_embeddings, self.embedding_dim)
    }
}

impl Layer for Embedding {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, indices: Var<'t, T>) -> Var<'t, T> {
        indices.graph().param_ref(&self.weight).embedding(indices)
    }
}
