//! What can go wrong with an id, and the sentences that say so.

use std::fmt;

use tiegrad_kernels::buffer::OutOfMemory;

use crate::id::ParamId;
use crate::shape::{Shape, ShapeError};
use crate::slot::ParamInfo;

/// Why an arena did not do what it was asked.
///
/// ```
/// use tiegrad_arena::{ArenaError, Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2, 3])?, |_| {});
/// params.remove(id)?;
/// let error = params.value(id).unwrap_err();
/// assert!(matches!(error, ArenaError::Stale { .. }));
/// let text = error.to_string();
/// assert!(text.contains("was removed at ") && text.contains("it had the shape [2, 3]"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArenaError {
    /// The parameter was in this arena once and has been removed.
    #[non_exhaustive]
    Stale {
        /// The id that was used.
        id: ParamId,
        /// What the parameter was; `None` where its slot has held others since.
        held: Option<Box<ParamInfo>>,
        /// What is in its slot now.
        now: Option<Box<ParamInfo>>,
    },
    /// The parameter was never in this arena.
    #[non_exhaustive]
    Foreign {
        /// The id that was used.
        id: ParamId,
        /// The tag under which this arena inserts; `None` before its own first insertion.
        arena: Option<u32>,
        /// What this arena holds at that index.
        now: Option<Box<ParamInfo>>,
    },
    /// [`ParamId::DEAD`]: the insertion had failed.
    Dead,
    /// An array of another shape than the parameter's.
    #[non_exhaustive]
    Shape {
        /// The parameter.
        id: ParamId,
        /// Its shape.
        expected: Box<Shape>,
        /// The shape that was given.
        found: Box<[usize]>,
    },
    /// An array that can be no parameter.
    #[non_exhaustive]
    BadShape {
        /// What is wrong with it.
        source: ShapeError,
    },
    /// There is no slot left.
    #[non_exhaustive]
    Full {
        /// How many slots there are.
        slots: usize,
    },
    /// More arenas have been made in this process than there are tags (268 million).
    TooManyArenas,
    /// There is not enough memory for a parameter of this shape.
    #[non_exhaustive]
    Memory {
        /// The shape.
        shape: Box<Shape>,
        /// What the allocator was asked for.
        source: OutOfMemory,
    },
    /// An optimizer's state has no tensor of this name.
    #[non_exhaustive]
    UnknownTensor {
        /// The name that was asked for.
        name: Box<str>,
        /// The names there are.
        known: Box<[Box<str>]>,
    },
    /// Gradients or optimizer state were laid out before the arena changed, or for another arena.
    #[non_exhaustive]
    OutOfStep {
        /// What has to be called first.
        call: &'static str,
    },
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { id, held: Some(held), now } => {
                write!(f, "the parameter {id} was removed")?;
                if let Some(line) = held.removed_at {
                    write!(f, " at {line}")?;
                }
                write!(f, ": it had the shape {}, declared at {}", held.shape, held.declared_at)?;
                write_now(f, "; its slot ", now)
            }
            Self::Stale { id, held: None, now } => {
                write!(f, "the parameter {id} was removed, and others have used its slot since")?;
                write_now(f, "; the slot ", now)
            }
            Self::Foreign { id, arena, now } => {
                write!(f, "the parameter {id} belongs to the arena @{}, not to this one", id.arena())?;
                match arena {
                    Some(tag) => write!(f, " (which inserts as @{tag})")?,
                    None => f.write_str(" (which has inserted nothing itself yet)")?,
                }
                write_now(f, "; the slot of that index here ", now)
            }
            Self::Dead => f.write_str(
                "this parameter does not exist: its insertion had failed because the arena or the memory was full \
                 (`try_insert_with` returns that error)",
            ),
            Self::Shape { id, expected, found } => {
                write!(f, "the parameter {id} has the shape {expected}, and the array given for it has {found:?}")
            }
            Self::BadShape { source } => write!(f, "the array cannot be a parameter: {source}"),
            Self::Full { slots } => write!(f, "the arena is full: all of its {slots} slots have been used"),
            Self::TooManyArenas => f.write_str("this process has made more arenas than can be told apart (268 million)"),
            Self::Memory { shape, source } => write!(f, "a parameter of shape {shape} does not fit: {source}"),
            Self::UnknownTensor { name, known } => {
                write!(f, "the optimizer's state has no tensor {name:?}; it has {known:?}")
            }
            Self::OutOfStep { call } => {
                write!(f, "the arena's layout has changed since these were laid out; call {call} first")
            }
        }
    }
}

fn write_now(
    f: &mut fmt::Formatter<'_>,
    subject: &str,
    now: &Option<Box<ParamInfo>>,
) -> fmt::Result {
    f.write_str(subject)?;
    match now {
        Some(info) => write!(
            f,
            "now holds {} of shape {}, declared at {}",
            info.id, info.shape, info.declared_at
        ),
        None => f.write_str("is empty now"),
    }
}

impl std::error::Error for ArenaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadShape { source } => Some(source),
            Self::Memory { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ShapeError> for ArenaError {
    fn from(source: ShapeError) -> Self {
        Self::BadShape { source }
    }
}
