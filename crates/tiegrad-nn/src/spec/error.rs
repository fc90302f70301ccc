//! What can be wrong with a spec.

use std::fmt;

use tiegrad_arena::{Shape, ShapeError};

use crate::init::InitError;
use crate::layer_ext::LayerError;
use crate::tree::NameError;

/// Parameters were asked for before there are any.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// assert!(dense(8).find("bias").unwrap_err().to_string().starts_with("dense(8) has no parameters yet"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBuilt(pub(super) String);

impl fmt::Display for NotBuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(spec) = self;
        write!(
            f,
            "{spec} has no parameters yet: their sizes follow from an input's shape, as in `Sequential::build([{spec}], &mut params, [2, 4], &mut rng)`"
        )
    }
}

impl std::error::Error for NotBuilt {}

/// Why a network could not be built of specs: the layer, the shape that reached it, and what is wrong.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::spec::Reason;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let own = Linear::new(&mut params, 9, 1, &mut rng);
/// let error = Sequential::build([dense(8), layer(own)], &mut params, [2, 4], &mut rng).unwrap_err();
/// assert_eq!((error.path.as_str(), error.kind.as_str()), ("1", "Linear"));
/// assert!(matches!(error.reason, Reason::Shapes(_)));
/// assert!(error.to_string().starts_with("1 (Linear) cannot take an input of shape [2, 8]: linear([2, 8], [1, 9], [1])"));
/// assert_eq!(params.len(), 2); // what had been inserted for the 0th layer is gone again
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct BuildError {
    /// The layer's path.
    pub path: String,
    /// The layer's type.
    pub kind: String,
    /// The shape of its input.
    pub input: Box<Shape>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong in a [`BuildError`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::spec::Reason;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let error = Sequential::build([dense(8)], &mut params, [], &mut rng).unwrap_err();
/// assert!(matches!(error.reason, Reason::NoDimension));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// A single number has no last dimension.
    NoDimension,
    /// The shapes do not fit.
    Shapes(Box<LayerError>),
    /// The parameters could not be made.
    Init(Box<InitError>),
    /// The name cannot be.
    Name(Box<NameError>),
    /// The input's shape cannot be.
    Input(ShapeError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path, kind, input, ..
        } = self;
        let (place, space) = if path.is_empty() {
            ("", "")
        } else {
            (&**path, " ")
        };
        write!(f, "{place}{space}({kind}) ")?;
        match &self.reason {
            Reason::NoDimension => write!(
                f,
                "cannot take an input of shape {input}: its size follows from the last dimension, and there is none"
            ),
            Reason::Shapes(error) => write!(
                f,
                "cannot take an input of shape {input}: {}",
                error.error()
            ),
            Reason::Init(error) => write!(f, "with an input of shape {input}: {error}"),
            Reason::Name(error) => write!(f, "cannot be named so: {error}"),
            Reason::Input(error) => write!(f, "has an input that cannot be: {error}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::NoDimension => None,
            Reason::Shapes(error) => Some(&**error),
            Reason::Init(error) => Some(&**error),
            Reason::Name(error) => Some(&**error),
            Reason::Input(error) => Some(error),
        }
    }
}
