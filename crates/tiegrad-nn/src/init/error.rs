//! [`InitError`]: what could not be initialized.

use std::fmt;
use std::panic::Location;

use tiegrad_arena::{ArenaError, Initialized, Shape, ShapeError};

use crate::tree::NameError;

/// Why a parameter could not be initialized, or a layer not be built.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::init::InitError;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::new(&mut params, 4, 8, &mut rng);
/// let error = layer.init(&mut params, init::normal(0.0, -1.0), &mut rng).unwrap_err();
/// assert!(matches!(error, InitError::Unsuitable { .. }));
/// let error = CausalSelfAttention::new(&mut params, 8, 3, 0.0, true, &mut rng).unwrap_err();
/// assert!(matches!(error, InitError::Setting { .. })); // 3 heads do not divide 8
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InitError {
    /// The parameter is not in the arena, or there is no room for it.
    Arena {
        /// The parameter's path, where there is a tree.
        path: String,
        /// What the arena says.
        source: ArenaError,
    },
    /// The pattern selects nothing.
    Name(NameError),
    /// The initializer cannot fill this parameter.
    Unsuitable {
        /// The parameter's path, where there is a tree.
        path: String,
        /// Its shape.
        shape: Box<Shape>,
        /// Why.
        why: String,
    },
    /// The parameter has been initialized on purpose before.
    AlreadyInitialized {
        /// The parameter's path; empty where there is no tree.
        path: String,
        /// The initializer that was to do it now.
        by: String,
        /// Who did it before.
        earlier: Box<Initialized>,
    },
    /// Two paths lead to one tied parameter, and two initializers came through them.
    Conflict {
        /// The path through which the second came.
        path: String,
        /// The second initializer.
        by: String,
        /// The path through which the first came.
        other_path: String,
        /// The first initializer.
        other_by: String,
        /// The line of the first; `None` where one call has both.
        at: Option<&'static Location<'static>>,
    },
    /// There is no initializer of this name.
    UnknownName {
        /// The name asked for.
        name: String,
        /// Names much like it.
        near: Vec<String>,
    },
    /// A layer's sizes are too large for a shape.
    Shape(ShapeError),
    /// A layer's or an initializer's settings do not go together.
    Setting {
        /// Which, and why.
        what: String,
    },
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arena { path, source } if path.is_empty() => write!(f, "{source}"),
            Self::Arena { path, source } => write!(f, "{path}: {source}"),
            Self::Name(source) => write!(f, "{source}"),
            Self::Unsuitable { path, shape, why } => {
                let path = or_else(path, "a parameter");
                write!(f, "{path} of shape {shape} cannot be initialized so: {why}")
            }
            Self::AlreadyInitialized { path, by, earlier } => {
                write!(
                    f,
                    "{} is initialized already, by {}",
                    or_else(path, "the parameter"),
                    earlier.by
                )?;
                if earlier.path != *path && !earlier.path.is_empty() {
                    write!(f, " as {}", earlier.path)?;
                }
                write!(f, " ({}): ", earlier.at)?;
                match path.is_empty() {
                    true => write!(f, "init::refill lets {by} do it again"),
                    false => write!(
                        f,
                        "reinit lets {by} do it again, init_rest leaves it as it is"
                    ),
                }
            }
            Self::Conflict {
                path,
                by,
                other_path,
                other_by,
                at,
            } => {
                write!(
                    f,
                    "{path} and {other_path} are one tied parameter: {other_by} has initialized {other_path}"
                )?;
                if let Some(at) = at {
                    write!(f, " ({at})")?;
                }
                write!(
                    f,
                    ", and {by} would initialize {path}: choose one of them, or reinit"
                )
            }
            Self::UnknownName { name, near } => {
                write!(f, "there is no initializer {name:?}")?;
                for (i, near) in near.iter().enumerate() {
                    let lead = if i == 0 { "; near it: " } else { ", " };
                    write!(f, "{lead}{near:?}")?;
                }
                Ok(())
            }
            Self::Shape(source) => write!(f, "{source}"),
            Self::Setting { what } => f.write_str(what),
        }
    }
}

fn or_else<'a>(path: &'a str, nameless: &'a str) -> &'a str {
    if path.is_empty() { nameless } else { path }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arena { source, .. } => Some(source),
            Self::Name(source) => Some(source),
            Self::Shape(source) => Some(source),
            Self::Unsuitable { .. }
            | Self::AlreadyInitialized { .. }
            | Self::Conflict { .. }
            | Self::UnknownName { .. }
            | Self::Setting { .. } => None,
        }
    }
}

impl From<NameError> for InitError {
    fn from(source: NameError) -> Self {
        Self::Name(source)
    }
}

impl From<ShapeError> for InitError {
    fn from(source: ShapeError) -> Self {
        Self::Shape(source)
    }
}

impl From<ArenaError> for InitError {
    fn from(source: ArenaError) -> Self {
        Self::Arena {
            path: String::new(),
            source,
        }
    }
}
