//! [`LayerExt`]: what every layer can do without numbers.

use std::fmt;

use tiegrad_arena::{IntoShape, Params, Shape, ShapeError};
use tiegrad_autodiff::{Error, Graph, Tape, Var};
use tiegrad_kernels::{MAX_RANK, Scalar};

use crate::layer::Layer;
use crate::tree::{ModuleExt, Observations, Summary, Watcher};

/// What every [`Layer`] can do from an input's shape alone, by a pass that runs no arithmetic.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, shared.clone(), ReLU, shared, Linear::new(&mut params, 8, 1, &mut rng));
/// assert_eq!(net.summary(&params, [2, 4])?.to_string(), "\
/// Layer (type)               Output   Parameters    Multiply-adds
/// ───────────────────────────────────────────────────────────────
/// net (Sequential)           (2, 1)            0                -
///   0 (Linear)               (2, 8)           40               64
///   1 (ReLU)                 (2, 8)            0                -
///   2 (Linear)               (2, 8)           72              128
///   3 (ReLU)                 (2, 8)            0                -
///   4 (Linear)               (2, 8)           72 ↔            128
///   5 (Linear)               (2, 1)            9               16
/// ───────────────────────────────────────────────────────────────
/// Parameters, duplicates included            193
///   shared (counted more than once)           72
///   unique                                   121
///     trainable                              121
///     frozen                                   0
/// Multiply-adds of a forward pass            336
/// 4.weight ↔ 2.weight
/// 4.bias ↔ 2.bias");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait LayerExt: Layer + Sized {
    /// The table of all modules: output shapes, parameters, multiply-adds (each use of a tied parameter counted), and the totals. The input is a shape, or
    /// [`tokens`] for a network that takes indices. O(tree and ops), whatever the sizes.
    ///
    /// # Errors
    /// [`LayerError`]: which layer the shapes do not fit, and both shapes.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let gpt = GPT::new(&mut params, &GptConfig { n_layer: 1, ..GptConfig::default() }, &mut rng)?;
    /// let summary = gpt.summary(&params, tokens([12, 64]))?;
    /// assert_eq!(&*summary.rows[0].outputs[0].0, [12, 64, 65]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn summary<T: Scalar>(
        &self,
        params: &Params<T>,
        input: impl InputShape,
    ) -> Result<Summary, LayerError> {
        let (_, seen) = observe(self, params, input)?;
        Ok(self.counts(params).observed(seen))
    }

    /// The output's shape for an input's.
    ///
    /// # Errors
    /// As [`summary`](LayerExt::summary).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Flatten, Linear::new(&mut params, 12, 8, &mut rng));
    /// assert_eq!(&*net.output_shape(&params, [2, 3, 4])?, [2, 8]);
    /// let error = net.output_shape(&params, [2, 3, 5]).unwrap_err().to_string();
    /// assert!(error.starts_with("1 (Linear): linear([2, 15], [8, 12], [8]): the input's last dimension (in_features) is 15, expected 12"));
    /// # Ok::<(), LayerError>(())
    /// ```
    fn output_shape<T: Scalar>(
        &self,
        params: &Params<T>,
        input: impl InputShape,
    ) -> Result<Shape, LayerError> {
        Ok(observe(self, params, input)?.0)
    }
}

impl<L: Layer> LayerExt for L {}

/// The output's shape, and what a shape-only pass shows.
fn observe<T: Scalar>(
    net: &impl Layer,
    params: &Params<T>,
    input: impl InputShape,
) -> Result<(Shape, Observations), LayerError> {
    let watcher = Watcher::new(net.as_module());
    let mut tape = Tape::new();
    let g = tape.shapes(params, &watcher);
    let input = match input.kind() {
        Ok(input) => input.placeholder(g),
        // The graph's own error for a shape that cannot be.
        Err(_) => g.placeholder([0; MAX_RANK + 1]),
    };
    let output = net.forward(input);
    let (shape, error) = (*output.shape(), output.error());
    drop(tape);
    let seen = watcher.finish(&shape);
    match error {
        None => Ok((shape, seen)),
        Some(error) => Err(LayerError::new(
            &net.counts(params),
            seen.failed,
            net,
            error,
        )),
    }
}

/// The shape of a network's input: any shape for values, [`tokens`] for indices.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::InputShape;
///
/// fn outputs(net: &impl Layer, params: &Params<f32>, input: impl InputShape) -> usize {
///     net.output_shape(params, input).map_or(0, |shape| shape.len())
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let linear = Linear::new(&mut params, 4, 8, &mut rng);
/// assert_eq!(outputs(&linear, &params, [2, 4]), 16);
/// let embedding = Embedding::new(&mut params, 65, 8, &mut rng);
/// assert_eq!(outputs(&embedding, &params, tokens([2, 3])), 48);
/// ```
pub trait InputShape {
    /// What it is.
    ///
    /// # Errors
    /// [`ShapeError`]: more than 8 dimensions, or too many elements.
    fn kind(self) -> Result<InputKind, ShapeError>;
}

/// What an [`InputShape`] is the shape of.
///
/// ```
/// use tiegrad_nn::{InputKind, InputShape, tokens};
/// assert!(matches!([2, 4].kind(), Ok(InputKind::Values(shape)) if shape == [2, 4]));
/// assert!(matches!(tokens([2, 4]).kind(), Ok(InputKind::Indices(_))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Values.
    Values(Shape),
    /// Indices.
    Indices(Shape),
}

impl InputKind {
    /// The shape.
    ///
    /// ```
    /// use tiegrad_nn::{InputShape, tokens};
    /// assert_eq!(**tokens([2, 4]).kind()?.shape(), [2, 4]);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Values(shape) | Self::Indices(shape) => shape,
        }
    }

    fn placeholder<T: Scalar>(self, g: Graph<'_, T>) -> Var<'_, T> {
        match self {
            Self::Values(shape) => g.placeholder(shape),
            Self::Indices(shape) => g.placeholder_indices(shape),
        }
    }
}

impl InputShape for InputKind {
    fn kind(self) -> Result<InputKind, ShapeError> {
        Ok(self)
    }
}

impl<S: IntoShape> InputShape for S {
    fn kind(self) -> Result<InputKind, ShapeError> {
        self.into_shape().map(InputKind::Values)
    }
}

/// The shape of indices: what [`tokens`] returns.
///
/// ```
/// use tiegrad_nn::{InputShape, Tokens, tokens};
/// fn batch(input: Tokens<[usize; 2]>) -> impl InputShape {
///     input
/// }
/// batch(tokens([12, 64]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tokens<S>(S);

/// An input of indices, of this shape.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let wte = Embedding::new(&mut params, 65, 8, &mut rng);
/// assert_eq!(&*wte.output_shape(&params, tokens([12, 64]))?, [12, 64, 8]);
/// # Ok::<(), LayerError>(())
/// ```
pub fn tokens<S: IntoShape>(shape: S) -> Tokens<S> {
    Tokens(shape)
}

impl<S: IntoShape> InputShape for Tokens<S> {
    fn kind(self) -> Result<InputKind, ShapeError> {
        self.0.into_shape().map(InputKind::Indices)
    }
}

/// Shapes that do not fit: the op's error with the layer it happened in.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 9, 1, &mut rng));
/// let error = net.summary(&params, [2, 4]).unwrap_err();
/// assert_eq!((error.path(), error.kind()), ("2", "Linear"));
/// assert_eq!(&*error.error().shapes()[0], [2, 8]); // and shapes()[1] is (1, 9)
/// ```
#[derive(Clone, Debug)]
pub struct LayerError {
    path: String,
    kind: String,
    error: Box<Error>,
}

impl LayerError {
    /// The layer is the one that holds the parameter which the failed op read, or the innermost that had no result.
    fn new(counts: &Summary, failed: Option<usize>, net: &impl Layer, error: Error) -> Self {
        let inside = failed.and_then(|failed| counts.rows.get(failed));
        let prefix = inside.map_or("", |row| &row.path);
        let within = |path: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('.'))
        };
        let uses = net.all_uses();
        let named = uses
            .iter()
            .filter(|each| error.params().contains(&each.id))
            .max_by_key(|each| within(&each.path));
        let of_param = named.and_then(|each| {
            let owner = counts.rows.iter().filter(|row| {
                let rest = each.path.strip_prefix(&*row.path);
                row.path.is_empty() || rest.is_some_and(|rest| rest.starts_with('.'))
            });
            owner.max_by_key(|row| row.path.len())
        });
        let row = of_param.or(inside).or(counts.rows.first());
        Self {
            path: row.map(|row| row.path.clone()).unwrap_or_default(),
            kind: row.map(|row| row.kind.clone()).unwrap_or_default(),
            error: Box::new(error),
        }
    }

    /// The layer's path; empty for the whole network.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = ((Linear::new(&mut params, 4, 8, &mut rng),), ReLU);
    /// assert_eq!(net.output_shape(&params, [5]).unwrap_err().path(), "0.0");
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The layer's type.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// assert_eq!(net.output_shape(&params, [5]).unwrap_err().kind(), "Linear");
    /// ```
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The op's error, with the shapes.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// assert_eq!(net.output_shape(&params, [5]).unwrap_err().error().op(), "linear");
    /// ```
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.is_empty() {
            true => write!(f, "{}: {}", self.kind, self.error),
            false => write!(f, "{} ({}): {}", self.path, self.kind, self.error),
        }
    }
}

impl std::error::Error for LayerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.error)
    }
}
