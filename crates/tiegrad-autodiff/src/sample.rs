//! [`Sample`] and [`ArgSpec`]: the inputs over which the gradient checks walk.

/// One sample of an op for the gradient checks: the settings and what operands to draw.
///
/// ```
/// use tiegrad_autodiff::{ArgSpec, Sample, ops};
/// let sample = Sample::new(ops::Relu, [ArgSpec::values([2, 3]).away_from(&[0.0])]);
/// assert_eq!(sample.args.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Sample<O> {
    /// The settings.
    pub op: O,
    /// What to draw for each operand.
    pub args: Vec<ArgSpec>,
}

impl<O> Sample<O> {
    /// A sample from settings and operands.
    ///
    /// ```
    /// use tiegrad_autodiff::{ArgSpec, Sample, ops};
    /// let sample = Sample::new(ops::Clamp { low: 0.0, high: 1.0 }, [ArgSpec::values([4]).away_from(&[0.0, 1.0])]);
    /// assert_eq!((sample.op.high, sample.args.len()), (1.0, 1));
    /// ```
    pub fn new(op: O, args: impl Into<Vec<ArgSpec>>) -> Sample<O> {
        Sample {
            op,
            args: args.into(),
        }
    }
}

/// How to draw an operand of a [`Sample`].
///
/// ```
/// use tiegrad_autodiff::ArgSpec;
/// let positive = ArgSpec::values([3]).range(0.5, 2.0);
/// let classes = ArgSpec::indices([4], 10);
/// assert_ne!(format!("{positive:?}"), format!("{classes:?}"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum ArgSpec {
    /// Values drawn uniformly.
    Values {
        /// The shape.
        shape: Vec<usize>,
        /// The range to draw from.
        range: (f64, f64),
        /// Points where the op has no derivative: drawn values keep a distance from them.
        kinks: Vec<f64>,
        /// Whether all values differ clearly from each other (for maxima).
        distinct: bool,
    },
    /// Indices below a bound.
    Indices {
        /// The shape.
        shape: Vec<usize>,
        /// One past the greatest index.
        bound: u32,
    },
}

impl ArgSpec {
    /// Values from -1.5 to 1.5.
    ///
    /// ```
    /// use tiegrad_autodiff::ArgSpec;
    /// assert_eq!(ArgSpec::values([2, 3]), ArgSpec::values(vec![2, 3]).range(-1.5, 1.5));
    /// ```
    pub fn values(shape: impl Into<Vec<usize>>) -> ArgSpec {
        ArgSpec::Values {
            shape: shape.into(),
            range: (-1.5, 1.5),
            kinks: Vec::new(),
            distinct: false,
        }
    }

    /// Indices from 0 to `bound - 1`.
    ///
    /// ```
    /// use tiegrad_autodiff::ArgSpec;
    /// assert_eq!(ArgSpec::indices([4], 10), ArgSpec::Indices { shape: vec![4], bound: 10 });
    /// ```
    pub fn indices(shape: impl Into<Vec<usize>>, bound: u32) -> ArgSpec {
        ArgSpec::Indices {
            shape: shape.into(),
            bound,
        }
    }

    /// Draw from another range.
    ///
    /// ```
    /// use tiegrad_autodiff::ArgSpec;
    /// let spec = ArgSpec::values([3]).range(0.5, 2.0); // for a logarithm
    /// assert!(matches!(spec, ArgSpec::Values { range, .. } if range == (0.5, 2.0)));
    /// ```
    pub fn range(mut self, low: f64, high: f64) -> ArgSpec {
        if let ArgSpec::Values { range, .. } = &mut self {
            *range = (low, high);
        }
        self
    }

    /// Keep away from points where there is no derivative.
    ///
    /// ```
    /// use tiegrad_autodiff::ArgSpec;
    /// let spec = ArgSpec::values([3]).away_from(&[0.0]); // for an absolute value
    /// assert!(matches!(spec, ArgSpec::Values { kinks, .. } if kinks == [0.0]));
    /// ```
    pub fn away_from(mut self, points: &[f64]) -> ArgSpec {
        if let ArgSpec::Values { kinks, .. } = &mut self {
            kinks.extend_from_slice(points);
        }
        self
    }

    /// Draw values that clearly differ from each other.
    ///
    /// ```
    /// use tiegrad_autodiff::ArgSpec;
    /// let spec = ArgSpec::values([3]).all_distinct(); // for a maximum
    /// assert!(matches!(spec, ArgSpec::Values { distinct: true, .. }));
    /// ```
    pub fn all_distinct(mut self) -> ArgSpec {
        if let ArgSpec::Values { distinct, .. } = &mut self {
            *distinct = true;
        }
        self
    }
}
