//! What [`Graph::input`](crate::Graph::input) and [`Graph::indices`](crate::Graph::indices) take.

use ndarray::{ArrayBase, ArrayRef, Data, Dimension};
use tiegrad_kernels::Scalar;

/// Numbers with a shape that a graph can copy in: ndarray arrays and views of any layout, slices and plain arrays (one
/// dimension), and `(slice, shape)` pairs.
///
/// ```
/// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
/// let params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let g = tape.eval(&params);
/// let m = array![[1.0, 2.0], [3.0, 4.0]];
/// assert_eq!(&**g.input(&m).shape(), [2, 2]);
/// assert_eq!(&**g.input(m.t()).shape(), [2, 2]);
/// assert_eq!(&**g.input(&[1.0, 2.0, 3.0]).shape(), [3]);
/// assert_eq!(&**g.input((&[1.0, 2.0, 3.0][..], [1, 3])).shape(), [1, 3]);
/// ```
pub trait Input<T> {
    /// The shape.
    fn dims(&self) -> &[usize];
    /// The numbers, if they stand in row-major order.
    fn dense(&self) -> Option<&[T]>;
    /// Copies the numbers in row-major order to `out`, which has as many elements as the shape.
    fn copy_to(&self, out: &mut [T]);
}

macro_rules! array_input {
    ($this:ident, $array:expr) => {
        fn dims(&self) -> &[usize] {
            let $this = self;
            $array.shape()
        }
        #[inline]
        fn dense(&self) -> Option<&[T]> {
            let $this = self;
            $array.as_slice()
        }
        fn copy_to(&self, out: &mut [T]) {
            let $this = self;
            for (o, &x) in out.iter_mut().zip($array.iter()) {
                *o = x;
            }
        }
    };
}

impl<T: Scalar, S: Data<Elem = T>, D: Dimension> Input<T> for &ArrayBase<S, D> {
    array_input!(this, this);
}

impl<T: Scalar, S: Data<Elem = T>, D: Dimension> Input<T> for ArrayBase<S, D> {
    array_input!(this, this);
}

impl<T: Scalar, D: Dimension> Input<T> for &ArrayRef<T, D> {
    array_input!(this, this);
}

macro_rules! slice_input {
    ($this:ident, $slice:expr, $shape:expr) => {
        #[inline]
        fn dims(&self) -> &[usize] {
            #[allow(unused_variables, reason = "a plain array's shape is its type's")]
            let $this = self;
            $shape
        }
        #[inline]
        fn dense(&self) -> Option<&[T]> {
            let $this = self;
            Some($slice)
        }
        fn copy_to(&self, out: &mut [T]) {
            let $this = self;
            out.copy_from_slice($slice);
        }
    };
}

impl<T: Scalar, const N: usize> Input<T> for &[T; N] {
    slice_input!(this, &this[..], &[N]);
}

impl<T: Scalar, const R: usize> Input<T> for (&[T], [usize; R]) {
    slice_input!(this, this.0, &this.1[..]);
}

impl<T: Scalar> Input<T> for (&[T], &[usize]) {
    slice_input!(this, this.0, this.1);
}

/// An integer that can be an index: of a row of an embedding, of a class.
///
/// ```
/// use tiegrad_autodiff::AsIndex;
/// assert_eq!(7_i64.as_index(), Some(7));
/// assert_eq!((-1_i64).as_index(), None);
/// ```
pub trait AsIndex: Copy {
    /// The index, or `None` if it is negative or needs more than 32 bits.
    fn as_index(self) -> Option<u32>;
}

macro_rules! as_index {
    ($($t:ty),*) => {$(
        impl AsIndex for $t {
            #[inline]
            fn as_index(self) -> Option<u32> {
                u32::try_from(self).ok()
            }
        }
    )*};
}
as_index!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

/// Integers with a shape that a graph can copy in as indices: ndarray arrays and views, slices and plain arrays (one dimension), and
/// `(slice, shape)` pairs.
///
/// ```
/// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
/// let params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let g = tape.eval(&params);
/// assert_eq!(&**g.indices(&array![[1_u32, 2], [3, 4]]).shape(), [2, 2]);
/// assert_eq!(&**g.indices((&[1_i64, 2, 3, 4][..], [2, 2])).shape(), [2, 2]);
/// ```
pub trait Indices {
    /// The shape.
    fn dims(&self) -> &[usize];
    /// Copies the indices in row-major order to `out`; `false` if one of them is no index.
    fn copy_to(&self, out: &mut [u32]) -> bool;
}

fn copy_indices<'a, I: AsIndex + 'a>(out: &mut [u32], from: impl Iterator<Item = &'a I>) -> bool {
    let mut all = true;
    for (o, &i) in out.iter_mut().zip(from) {
        match i.as_index() {
            Some(i) => *o = i,
            None => all = false,
        }
    }
    all
}

impl<I: AsIndex, S: Data<Elem = I>, D: Dimension> Indices for &ArrayBase<S, D> {
    fn dims(&self) -> &[usize] {
        self.shape()
    }
    fn copy_to(&self, out: &mut [u32]) -> bool {
        copy_indices(out, self.iter())
    }
}

impl<I: AsIndex, S: Data<Elem = I>, D: Dimension> Indices for ArrayBase<S, D> {
    fn dims(&self) -> &[usize] {
        self.shape()
    }
    fn copy_to(&self, out: &mut [u32]) -> bool {
        copy_indices(out, self.iter())
    }
}

impl<I: AsIndex, const N: usize> Indices for &[I; N] {
    fn dims(&self) -> &[usize] {
        &[N]
    }
    fn copy_to(&self, out: &mut [u32]) -> bool {
        copy_indices(out, self.iter())
    }
}

impl<I: AsIndex, const R: usize> Indices for (&[I], [usize; R]) {
    fn dims(&self) -> &[usize] {
        &self.1
    }
    fn copy_to(&self, out: &mut [u32]) -> bool {
        copy_indices(out, self.0.iter())
    }
}
