//! Shapes: up to 8 dimensions, `Copy`, their product known to fit.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;

/// The shape of a tensor: at most 8 dimensions, row-major, `Copy`. Rank 0 is a scalar; dimensions may be 0.
///
/// A shape that exists has a sound number of elements: the product of its dimensions (zeros aside) fits an `isize`.
///
/// ```
/// use tiegrad_arena::Shape;
///
/// let shape = Shape::new(&[8, 4])?;
/// assert_eq!((shape.rank(), shape.len(), shape[1]), (2, 32, 4));
/// assert_eq!(shape.to_string(), "[8, 4]");
/// assert_eq!(Shape::SCALAR.len(), 1);
/// assert!(Shape::new(&[usize::MAX, 2]).is_err());
/// # Ok::<(), tiegrad_arena::ShapeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Dimensions beyond the rank are 1, so that equality may look at all.
    dims: [usize; Self::MAX_RANK],
    len: usize,
    rank: u8,
}

impl Shape {
    /// The highest rank.
    pub const MAX_RANK: usize = 8;

    /// Rank 0, one element.
    pub const SCALAR: Self = Self {
        dims: [1; Self::MAX_RANK],
        len: 1,
        rank: 0,
    };

    /// The shape with these dimensions.
    ///
    /// # Errors
    /// [`ShapeError`] for more than 8 dimensions, or when their product does not fit.
    ///
    /// ```
    /// use tiegrad_arena::Shape;
    ///
    /// assert_eq!(Shape::new(&[2, 3])?, [2, 3]);
    /// assert!(Shape::new(&[1; 9]).is_err());
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    pub fn new(dims: &[usize]) -> Result<Self, ShapeError> {
        let mut shape = Self::SCALAR;
        let Some(head) = shape.dims.get_mut(..dims.len()) else {
            return Err(ShapeError::Rank { rank: dims.len() });
        };
        head.copy_from_slice(dims);
        // ndarray asks the same of an array: the zeros aside, the product fits.
        let product = dims
            .iter()
            .filter(|&&d| d != 0)
            .try_fold(1usize, |product, &d| product.checked_mul(d));
        match product {
            Some(product) if product <= isize::MAX as usize => {
                shape.len = if dims.contains(&0) { 0 } else { product };
            }
            _ => return Err(ShapeError::Size { dims: dims.into() }),
        }
        shape.rank = dims.len() as u8;
        Ok(shape)
    }

    /// The same shape with another size along one axis; `None` where there is no such axis or the product does not fit.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert_eq!(Shape::new(&[2, 3])?.with(1, 5), Shape::new(&[2, 5]).ok());
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn with(mut self, axis: usize, size: usize) -> Option<Self> {
        let old = *self.dims().get(axis)?;
        self.dims[axis] = size;
        if old == 0 || size == 0 {
            return Self::new(self.dims()).ok();
        }
        let len = (self.len / old).checked_mul(size)?;
        self.len = len;
        // With a zero elsewhere the product of the rest is not at hand.
        if len == 0 || len > isize::MAX as usize {
            Self::new(self.dims()).ok()
        } else {
            Some(self)
        }
    }

    /// The same dimensions with two axes exchanged; `None` where there is no such axis.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert_eq!(Shape::new(&[2, 3])?.swapped(0, 1), Shape::new(&[3, 2]).ok());
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn swapped(mut self, a: usize, b: usize) -> Option<Self> {
        if a.max(b) >= self.rank() {
            return None;
        }
        self.dims.swap(a, b);
        Some(self)
    }

    /// The number of dimensions.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert_eq!(Shape::new(&[2, 3])?.rank(), 2);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn rank(&self) -> usize {
        usize::from(self.rank)
    }

    /// The number of elements: 1 for a scalar, 0 where a dimension is 0.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert_eq!(Shape::new(&[2, 3])?.len(), 6);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    #[allow(clippy::len_without_is_empty)] // `is_empty` below; clippy does not see past `Deref`
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert!(Shape::new(&[2, 0])?.is_empty());
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The dimensions.
    ///
    /// ```
    /// # use tiegrad_arena::Shape;
    /// assert_eq!(Shape::new(&[2, 3])?.dims(), [2, 3]);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank()]
    }

    /// Row-major strides in elements; those beyond the rank are 0. A dimension of 0 counts as 1, as in PyTorch.
    ///
    /// ```
    /// use tiegrad_arena::Shape;
    ///
    /// assert_eq!(Shape::new(&[2, 3, 4])?.strides(), [12, 4, 1, 0, 0, 0, 0, 0]);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn strides(&self) -> [usize; Self::MAX_RANK] {
        let mut strides = [0; Self::MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank()).rev() {
            strides[axis] = step;
            step *= self.dims[axis].max(1);
        }
        strides
    }
}

/// The scalar.
impl Default for Shape {
    fn default() -> Self {
        Self::SCALAR
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        self.dims()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, dims: &[usize]) -> bool {
        self.dims() == dims
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, dims: &[usize; N]) -> bool {
        self.dims() == dims
    }
}

/// What becomes a [`Shape`]: `4`, `[8, 4]`, `(8, 4)`, `()`, slices, vectors, and a `Shape` itself.
///
/// ```
/// use tiegrad_arena::{IntoShape, Shape, ShapeError};
///
/// fn zeros(shape: impl IntoShape) -> Result<Shape, ShapeError> {
///     shape.into_shape()
/// }
/// assert_eq!(zeros(4)?, [4]);
/// assert_eq!(zeros([8, 4])?, zeros((8, 4))?);
/// assert_eq!(zeros(())?, Shape::SCALAR);
/// # Ok::<(), ShapeError>(())
/// ```
pub trait IntoShape {
    /// The shape.
    ///
    /// # Errors
    /// [`ShapeError`], as for [`Shape::new`].
    fn into_shape(self) -> Result<Shape, ShapeError>;
}

impl<D> IntoShape for D
where
    D: TryInto<Shape>,
    ShapeError: From<D::Error>,
{
    #[inline]
    fn into_shape(self) -> Result<Shape, ShapeError> {
        Ok(self.try_into()?)
    }
}

impl TryFrom<&[usize]> for Shape {
    type Error = ShapeError;
    fn try_from(dims: &[usize]) -> Result<Self, ShapeError> {
        Self::new(dims)
    }
}

impl TryFrom<&Vec<usize>> for Shape {
    type Error = ShapeError;
    fn try_from(dims: &Vec<usize>) -> Result<Self, ShapeError> {
        Self::new(dims)
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = ShapeError;
    fn try_from(dims: Vec<usize>) -> Result<Self, ShapeError> {
        Self::new(&dims)
    }
}

impl<const N: usize> TryFrom<[usize; N]> for Shape {
    type Error = ShapeError;
    fn try_from(dims: [usize; N]) -> Result<Self, ShapeError> {
        Self::new(&dims)
    }
}

impl<const N: usize> TryFrom<&[usize; N]> for Shape {
    type Error = ShapeError;
    fn try_from(dims: &[usize; N]) -> Result<Self, ShapeError> {
        Self::new(dims)
    }
}

impl TryFrom<usize> for Shape {
    type Error = ShapeError;
    fn try_from(len: usize) -> Result<Self, ShapeError> {
        Self::new(&[len])
    }
}

impl From<()> for Shape {
    fn from((): ()) -> Self {
        Self::SCALAR
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        *shape
    }
}

macro_rules! from_tuple {
    ($($name:ident: $dim:ty),+) => {
        impl TryFrom<($($dim,)+)> for Shape {
            type Error = ShapeError;
            fn try_from(($($name,)+): ($($dim,)+)) -> Result<Self, ShapeError> {
                Self::new(&[$($name),+])
            }
        }
    };
}
from_tuple!(a: usize);
from_tuple!(a: usize, b: usize);
from_tuple!(a: usize, b: usize, c: usize);
from_tuple!(a: usize, b: usize, c: usize, d: usize);
from_tuple!(a: usize, b: usize, c: usize, d: usize, e: usize);
from_tuple!(a: usize, b: usize, c: usize, d: usize, e: usize, f: usize);

/// Dimensions that are no [`Shape`].
///
/// ```
/// use tiegrad_arena::Shape;
///
/// assert_eq!(
///     Shape::new(&[1; 9]).unwrap_err().to_string(),
///     "a shape has at most 8 dimensions, and this one has 9"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// More than 8 dimensions.
    #[non_exhaustive]
    Rank {
        /// How many there were.
        rank: usize,
    },
    /// The product of the dimensions does not fit.
    #[non_exhaustive]
    Size {
        /// The dimensions.
        dims: Box<[usize]>,
    },
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rank { rank } => {
                write!(
                    f,
                    "a shape has at most {} dimensions, and this one has {rank}",
                    Shape::MAX_RANK
                )
            }
            Self::Size { dims } => {
                write!(
                    f,
                    "the shape {dims:?} has more elements than can be counted on this machine"
                )
            }
        }
    }
}

impl std::error::Error for ShapeError {}

impl From<Infallible> for ShapeError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_scalars() {
        let empty = Shape::new(&[2, 0, 3]).unwrap();
        assert_eq!((empty.len(), empty.rank(), empty.is_empty()), (0, 3, true));
        assert_eq!(&empty.strides()[..3], [3, 3, 1]);
        assert_eq!(Shape::new(&[]).unwrap(), Shape::SCALAR);
        assert_eq!(
            (Shape::SCALAR.rank(), Shape::SCALAR.to_string().as_str()),
            (0, "[]")
        );
        assert_ne!(Shape::SCALAR, Shape::new(&[1]).unwrap());
    }

    #[test]
    fn products_are_checked_past_zeros() {
        assert!(matches!(
            Shape::new(&[0, usize::MAX, 2]),
            Err(ShapeError::Size { .. })
        ));
        assert!(matches!(
            Shape::new(&[isize::MAX as usize + 1]),
            Err(ShapeError::Size { .. })
        ));
        assert!(Shape::new(&[isize::MAX as usize]).is_ok());
        assert_eq!(Shape::new(&[1; 9]), Err(ShapeError::Rank { rank: 9 }));
    }

    #[test]
    fn everything_that_looks_like_a_shape_is_one() {
        let shape = Shape::new(&[2, 3]).unwrap();
        assert_eq!([2, 3].into_shape(), Ok(shape));
        assert_eq!((&[2, 3]).into_shape(), Ok(shape));
        assert_eq!((&[2, 3][..]).into_shape(), Ok(shape));
        assert_eq!(vec![2, 3].into_shape(), Ok(shape));
        assert_eq!((&vec![2, 3]).into_shape(), Ok(shape));
        assert_eq!((2, 3).into_shape(), Ok(shape));
        assert_eq!(shape.into_shape(), Ok(shape));
        assert_eq!((&shape).into_shape(), Ok(shape));
        assert_eq!(7.into_shape().unwrap(), [7]);
        assert_eq!((7,).into_shape().unwrap(), [7]);
        assert_eq!([0usize; 0].into_shape(), Ok(Shape::SCALAR));
    }
}
