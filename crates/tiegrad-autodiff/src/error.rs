//! [`Error`]: what went wrong in an op, with everything needed to find it.

use std::fmt;
use std::panic::Location;

use tiegrad_arena::{ArenaError, ParamId, Shape};

/// What was wrong with an op's operands or settings. Small and `Copy`, so that it can lie on the tape.
///
/// ```
/// use tiegrad_autodiff::Problem;
/// let problem = Problem::Dim { what: "the last dimension (in_features)", expected: 4, found: 5 };
/// assert_eq!(problem.to_string(), "the last dimension (in_features) is 5, expected 4");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// The operands' shapes do not broadcast against each other.
    Broadcast,
    /// The operands' shapes differ.
    ShapesDiffer,
    /// A dimension has the wrong size.
    Dim {
        /// Which dimension.
        what: &'static str,
        /// The size that would be right.
        expected: usize,
        /// The size that was there.
        found: usize,
    },
    /// An operand has too few or too many dimensions.
    Rank {
        /// Which operand.
        what: &'static str,
        /// The least rank that would be right.
        least: usize,
        /// The greatest rank that would be right.
        most: usize,
        /// The rank that was there.
        found: usize,
    },
    /// An axis outside the operand's rank, or named twice.
    Axis {
        /// The axis asked for.
        axis: usize,
        /// The operand's rank.
        rank: usize,
    },
    /// A range outside a dimension.
    Range {
        /// First index.
        start: usize,
        /// One past the last index.
        end: usize,
        /// The size of the dimension.
        size: usize,
    },
    /// An index (of a row, of a class) outside what it points into.
    Index {
        /// The first index that is wrong; `usize::MAX` stands for a negative one.
        index: usize,
        /// How many there are.
        size: usize,
    },
    /// A new shape with another number of elements.
    Numel {
        /// Elements there are.
        from: usize,
        /// Elements the new shape has.
        to: usize,
    },
    /// A shape that cannot be: more than 8 dimensions, or more elements than memory has addresses.
    BadShape,
    /// Data whose length is not what its shape says.
    Length {
        /// The number of elements of the shape.
        expected: usize,
        /// The number of elements given.
        found: usize,
    },
    /// A reduction that has no value over no elements.
    Empty,
    /// A setting outside its range.
    Setting {
        /// The setting's name and range.
        what: &'static str,
        /// The value given.
        value: f64,
    },
    /// Indices were expected, values were given.
    ExpectedIndices {
        /// Which operand (from 0).
        operand: usize,
    },
    /// Values were expected, indices were given.
    ExpectedValues {
        /// Which operand (from 0).
        operand: usize,
    },
    /// Operands that belong to different graphs.
    TwoGraphs,
    /// A parameter that is not there: see [`Error::arena`].
    Parameter,
    /// `backward` from something that is not one number.
    NotScalar,
    /// `item` of something that is not one number.
    NotOneElement,
    /// `backward` from a result that no parameter or leaf with a gradient had a part in (or in a pass without gradients).
    NoGradient,
    /// A value was asked for where there are only shapes.
    NoValues,
    /// A setting of the graph that came after its first use.
    TooLate,

    /// An op applied to another number of operands than it takes.
    Operands {
        /// How many it takes.
        expected: usize,
        /// How many there were.
        found: usize,
    },

    /// What a user's own op says.
    Custom(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Problem::Broadcast => write!(f, "the shapes do not broadcast"),
            Problem::Operands { expected, found } => {
                write!(f, "takes {expected} operands, found {found}")
            }
            Problem::ShapesDiffer => write!(f, "the shapes differ"),
            Problem::Dim {
                what,
                expected,
                found,
            } => write!(f, "{what} is {found}, expected {expected}"),
            Problem::Rank {
                what,
                least,
                most,
                found,
            } if least == most => {
                write!(f, "{what} has {found} dimensions, expected {least}")
            }
            Problem::Rank {
                what,
                least,
                most,
                found,
            } => {
                write!(
                    f,
                    "{what} has {found} dimensions, expected {least} to {most}"
                )
            }
            Problem::Axis { axis, rank } => {
                write!(
                    f,
                    "axis {axis} is not one of {rank} dimensions, or is named twice"
                )
            }
            Problem::Range { start, end, size } => {
                write!(
                    f,
                    "the range {start}..{end} does not lie in a dimension of size {size}"
                )
            }
            Problem::Index {
                index: usize::MAX,
                size,
            } => {
                write!(
                    f,
                    "an index is negative or does not fit 32 bits, there are {size}"
                )
            }
            Problem::Index { index, size } => {
                write!(f, "index {index} is out of range, there are {size}")
            }
            Problem::Numel { from, to } => write!(f, "{from} elements cannot take a shape of {to}"),
            Problem::BadShape => write!(
                f,
                "a shape has at most 8 dimensions and as many elements as fit an address"
            ),
            Problem::Length { expected, found } => {
                write!(
                    f,
                    "the data has {found} elements, its shape says {expected}"
                )
            }
            Problem::Empty => write!(f, "there is no such value over no elements"),
            Problem::Setting { what, value } => write!(f, "{what}, got {value}"),
            Problem::ExpectedIndices { operand } => {
                write!(
                    f,
                    "operand {operand} should be indices (g.indices(..)), not values"
                )
            }
            Problem::ExpectedValues { operand } => {
                write!(
                    f,
                    "operand {operand} should be values, not indices (g.indices(..))"
                )
            }
            Problem::TwoGraphs => write!(
                f,
                "the operands belong to different graphs; bring the other value in with g.input(..)"
            ),
            Problem::Parameter => write!(f, "the parameter is not there"),
            Problem::NotScalar => {
                write!(
                    f,
                    "backward starts from one number; reduce first (sum, mean), or use backward_with(cotangent)"
                )
            }
            Problem::NotOneElement => write!(f, "item() reads one number; use value() for more"),
            Problem::NoGradient => write!(
                f,
                "the result depends on no parameter or leaf that requires a gradient, or the pass records none (tape.eval)"
            ),
            Problem::NoValues => write!(f, "a shape-only pass has shapes and no values"),
            Problem::TooLate => write!(
                f,
                "this must be said before the graph's first parameter or op"
            ),
            Problem::Custom(text) => write!(f, "{text}"),
        }
    }
}

/// The first thing that went wrong on the way to a value: which op, why, the operands' shapes, the parameters among the
/// operands, and the line of the user's call.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::{Problem, Tape};
///
/// let mut params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let g = tape.record(&mut params);
/// let bad = g.input(&[1.0, 2.0]) + g.input(&[1.0, 2.0, 3.0]);
/// let later = bad.relu().sum();                  // goes on without a panic
/// let error = later.item().unwrap_err();
/// assert_eq!(error.op(), "add");
/// assert_eq!(error.problem(), Problem::Broadcast);
/// assert!(error.to_string().starts_with("add([2], [3]): the shapes do not broadcast"));
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    op: &'static str,
    problem: Problem,
    shapes: Vec<Shape>,
    params: Vec<ParamId>,
    location: &'static Location<'static>,
    arena: Option<ArenaError>,
}

/// An [`Error`] while it lies on the tape.
#[derive(Clone, Copy)]
pub(crate) struct ErrorRecord<'t> {
    pub(crate) op: &'static str,
    pub(crate) problem: Problem,
    pub(crate) shapes: &'t [Shape],
    pub(crate) params: &'t [ParamId],
    pub(crate) location: &'static Location<'static>,
}

impl Error {
    #[cold]
    pub(crate) fn new(record: &ErrorRecord<'_>, arena: Option<ArenaError>) -> Error {
        Error(Box::new(Inner {
            op: record.op,
            problem: record.problem,
            shapes: record.shapes.to_vec(),
            params: record.params.to_vec(),
            location: record.location,
            arena,
        }))
    }

    /// The name of the op that failed, PyTorch's where PyTorch has it.
    ///
    /// ```
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// # let g = tape.record(&mut params);
    /// let error = g.input(&[1.0, 2.0]).reshape([3]).relu().item().unwrap_err();
    /// assert_eq!(error.op(), "reshape"); // not relu: the first one counts
    /// ```
    pub fn op(&self) -> &'static str {
        self.0.op
    }

    /// What was wrong.
    ///
    /// ```
    /// # use tiegrad_autodiff::Problem;
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// # let g = tape.record(&mut params);
    /// let error = g.input(&[1.0, 2.0]).reshape([3]).item().unwrap_err();
    /// assert_eq!(error.problem(), Problem::Numel { from: 2, to: 3 });
    /// ```
    pub fn problem(&self) -> Problem {
        self.0.problem
    }

    /// The operands' shapes, in order.
    ///
    /// ```
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// # let g = tape.record(&mut params);
    /// let error = (g.full([2, 3], 0.0) * g.full([4], 0.0)).item().unwrap_err();
    /// assert_eq!(error.shapes().len(), 2);
    /// assert_eq!(&*error.shapes()[1], [4]);
    /// ```
    pub fn shapes(&self) -> &[Shape] {
        &self.0.shapes
    }

    /// The parameters among the operands, in order; `net.explain(&err)` turns them into layer paths.
    ///
    /// ```
    /// use ndarray::array;
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let w = params.insert(&array![1.0, 2.0, 3.0])?;
    /// let g = tape.record(&mut params);
    /// let error = (g.input(&[1.0, 2.0]) * g.param(w)).item().unwrap_err();
    /// assert_eq!(error.params(), [w]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn params(&self) -> &[ParamId] {
        &self.0.params
    }

    /// The line of the user's call.
    ///
    /// ```
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// # let g = tape.record(&mut params);
    /// let bad = g.input(&[1.0, 2.0]) + g.input(&[1.0, 2.0, 3.0]);
    /// let line = line!() - 1;
    /// assert_eq!(bad.item().unwrap_err().location().line(), line);
    /// ```
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Where a parameter was stale or foreign: what the arena says of it.
    ///
    /// ```
    /// use ndarray::array;
    /// # let mut params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let w = params.insert(&array![1.0])?;
    /// params.remove(w)?;
    /// let error = tape.record(&mut params).param(w).item().unwrap_err();
    /// assert_eq!(error.arena().map(ToString::to_string), params.value(w).err().map(|e| e.to_string()));
    /// assert!(error.arena().is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn arena(&self) -> Option<&ArenaError> {
        self.0.arena.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            op,
            problem,
            shapes,
            params,
            location,
            arena,
        } = &*self.0;
        write!(f, "{op}(")?;
        for (i, shape) in shapes.iter().enumerate() {
            write!(f, "{}{shape}", if i == 0 { "" } else { ", " })?;
        }
        write!(f, "): ")?;
        match arena {
            Some(arena) => write!(f, "{arena}")?,
            None => write!(f, "{problem}")?,
        }
        if arena.is_none() && !params.is_empty() {
            write!(f, "; parameters")?;
            for id in params {
                write!(f, " {id}")?;
            }
        }
        write!(
            f,
            "; at {}:{}:{}",
            location.file(),
            location.line(),
            location.column()
        )
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.arena.as_ref().map(|arena| arena as _)
    }
}
