//! Matrix products: one strided pair of matrices, or a batch of them.
//!
//! Every element of the result is one chain of multiply-adds over the inner dimension in blocks of fixed size,
//! wherever in a tile it sits; so how work is cut into tiles, rows, columns, batches or threads changes no bit.
//! What does change the order of a sum (dot products, and several chains for few rows of few columns) is chosen from the whole shape.

mod across;
mod adjacent;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod choice;
mod columns;
mod dots;
mod epilogue;
mod few;
mod gemm;
mod narrow;
#[cfg(target_arch = "aarch64")]
mod neon;
mod order;
mod outer;
mod packed;
mod parallel;
mod portable;
mod resident;
mod tile;
mod tiny;
mod vector;
mod wide;

use crate::scalar::Scalar;
use crate::simd;
pub(crate) use blocks::prepare_thread;
#[cfg(test)]
pub(crate) use choice::Vectorized;
pub(crate) use choice::{gemm_at, packed_at};
pub(crate) use epilogue::activate;
pub use epilogue::{Activation, Epilogue};
pub(crate) use gemm::gemm_plain;
#[doc(hidden)]
pub use packed::Job;
pub use packed::{PackRoom, Packed, matmul_packed};
use parallel::{PARALLEL, batched, split};
use tiny::{is_tiniest, is_tiny, may_be_tiny};

/// The sizes of a product: `m x k` times `k x n`, `batch[0] * batch[1]` times.
///
/// ```
/// use tiegrad_kernels::matmul::MatmulShape;
/// let s = MatmulShape::new(2, 3, 4);
/// assert_eq!((s.batch, s.m, s.n, s.k), ([1, 1], 2, 3, 4));
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct MatmulShape {
    /// Two batch dimensions; `[1, 1]` for a plain product.
    pub batch: [usize; 2],
    /// Rows of the result.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// The summed dimension.
    pub k: usize,
}

impl MatmulShape {
    /// One product of `m x k` times `k x n`.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::MatmulShape;
    /// let eight = MatmulShape { batch: [1, 8], ..MatmulShape::new(2, 3, 4) };
    /// assert_eq!((eight.m, eight.n, eight.k), (2, 3, 4));
    /// ```
    pub const fn new(m: usize, n: usize, k: usize) -> Self {
        MatmulShape {
            batch: [1, 1],
            m,
            n,
            k,
        }
    }

    /// Whether it is one product. Not `==`, which would load both numbers at once: a load of 16 bytes right after two stores of 8 waits until these are in the cache.
    #[inline(always)]
    fn is_single(&self) -> bool {
        (self.batch[0] ^ 1) | (self.batch[1] ^ 1) == 0
    }
}

/// A matrix, or a batch of them, in a slice. Strides are in elements; element (i, j) of batch (b, c) is at
/// `b * batch[0] + c * batch[1] + i * row + j * col`.
///
/// ```
/// use tiegrad_kernels::matmul::Mat;
/// let w = [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let m = Mat::new(&w, 3);            // 2 x 3
/// assert_eq!((m.row, m.col), (3, 1));
/// assert_eq!((m.t().row, m.t().col), (1, 3));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Mat<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub col: usize,
    /// From one batch to the next; 0 shares the matrix.
    pub batch: [usize; 2],
}

impl<'a, T> Mat<'a, T> {
    /// A row-major matrix of `cols` columns.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::Mat;
    /// let m = Mat::new(&[1.0_f32, 2.0, 3.0, 4.0], 2);
    /// assert_eq!(m.data[m.row], 3.0);
    /// ```
    pub const fn new(data: &'a [T], cols: usize) -> Self {
        Mat {
            data,
            row: cols,
            col: 1,
            batch: [0, 0],
        }
    }

    /// The transposed matrix; no element moves.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::Mat;
    /// let t = Mat::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 3).t(); // 3 x 2
    /// assert_eq!(t.data[2 * t.row + t.col], 6.0);
    /// ```
    pub const fn t(self) -> Self {
        Mat {
            data: self.data,
            row: self.col,
            col: self.row,
            batch: self.batch,
        }
    }
}

/// Where a product is written to; laid out as [`Mat`] says, and no two elements at one place.
///
/// ```
/// let mut c = [0.0_f64; 6];
/// let c = tiegrad_kernels::matmul::MatMut::new(&mut c, 3);
/// assert_eq!((c.row, c.col), (3, 1));
/// ```
#[derive(Debug)]
pub struct MatMut<'a, T> {
    /// The elements.
    pub data: &'a mut [T],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub col: usize,
    /// From one batch to the next.
    pub batch: [usize; 2],
}

impl<'a, T> MatMut<'a, T> {
    /// A row-major matrix of `cols` columns.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
    /// let mut c = [0.0; 2];
    /// let (a, b) = (Mat::new(&[2.0], 1), Mat::new(&[3.0, 4.0], 2));
    /// matmul(MatmulShape::new(1, 2, 1), 1.0, a, b, 0.0, Epilogue::NONE, MatMut::new(&mut c, 2));
    /// assert_eq!(c, [6.0, 8.0]);
    /// ```
    pub const fn new(data: &'a mut [T], cols: usize) -> Self {
        MatMut {
            data,
            row: cols,
            col: 1,
            batch: [0, 0],
        }
    }
}

/// One product, or a run of a batch of them, as pointers.
#[doc(hidden)]
#[derive(Copy, Clone)]
pub struct Gemm<T> {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) alpha: T,
    pub(crate) beta: T,
    pub(crate) a: *const T,
    pub(crate) a_row: usize,
    pub(crate) a_col: usize,
    pub(crate) b: *const T,
    pub(crate) b_row: usize,
    pub(crate) b_col: usize,
    pub(crate) c: *mut T,
    pub(crate) c_row: usize,
    pub(crate) c_col: usize,
    /// Null: none.
    pub(crate) bias: *const T,
    /// Whether the bias has an element per row, instead of one per column.
    pub(crate) bias_by_row: bool,
    /// Applied after the bias.
    pub(crate) activation: Activation,
    /// How many of the last columns are computed as dot products with vectors along the inner dimension. This orders the
    /// sum differently, so it is decided from the whole shape.
    pub(crate) dots: usize,
    /// In how many chains of multiply-adds each sum of a few rows, or of a few long dot products, is: another order of the sum too.
    pub(crate) chains: usize,
    /// Whether this is one of the smallest products, with contiguous rows of the result, which are left as they are.
    pub(crate) tiny: bool,
}

// SAFETY: a Gemm is only numbers and addresses; who runs one answers for its pointers.
unsafe impl<T: Send> Send for Gemm<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Gemm<T> {}

/// `c = f(alpha * a @ b + beta * c + bias)`, with the bias and the function f of the [`Epilogue`].
///
/// With `beta == 0`, `c` is never read. With `k == 0` the product is zero. NaN and infinity propagate as in
/// the triple loop. Large products are split over threads; the bits do not depend on it. O(m n k) for each product of the batch.
///
/// # Panics
/// If a slice is too short for its sizes and strides.
///
/// ```
/// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
/// let x = [1.0_f32, 2.0, 3.0, 4.0];          // 2 x 2
/// let w = [1.0, 0.0, 1.0, 1.0, 2.0, 0.0];    // 3 x 2, used transposed
/// let mut y = [f32::NAN; 6];
/// matmul(
///     MatmulShape::new(2, 3, 2), 1.0, Mat::new(&x, 2), Mat::new(&w, 2).t(),
///     0.0, Epilogue::NONE.bias_per_column(&[0.0, 0.0, 10.0]), MatMut::new(&mut y, 3),
/// );
/// assert_eq!(y, [1.0, 3.0, 12.0, 3.0, 7.0, 16.0]);
/// ```
pub fn matmul<T: Scalar>(
    s: MatmulShape,
    alpha: T,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    beta: T,
    epilogue: Epilogue<'_, T>,
    c: MatMut<'_, T>,
) {
    let (one, sizes) = (s.is_single(), [s.m, s.n, s.k]);
    if one && is_tiniest::<T>(sizes) {
        small::<T, true>(s, alpha, &a, &b, beta, &epilogue, c);
    } else if one && may_be_tiny::<T>(sizes, b.col) {
        small::<T, false>(s, alpha, &a, &b, beta, &epilogue, c);
    } else {
        general(s, alpha, &a, &b, beta, &epilogue, c);
    }
}

/// [`matmul`] of one product of sizes that may be the smallest, or are the tiniest. Not part of [`general`]: what one needs first, the other does not.
#[inline(never)]
fn small<T: Scalar, const TINIEST: bool>(
    s: MatmulShape,
    alpha: T,
    a: &Mat<'_, T>,
    b: &Mat<'_, T>,
    beta: T,
    epilogue: &Epilogue<'_, T>,
    c: MatMut<'_, T>,
) {
    let bytes = || simd::level().bytes();
    let is_tiny = TINIEST || is_tiny::<T>([s.m, s.n, s.k], b.col, bytes);
    // The usual strides, of which no product with a size is too large for a number.
    let strides = a.row | a.col | b.row | b.col | c.row;
    if !is_tiny || c.col != 1 || strides >= 1 << (usize::BITS / 2) {
        return general(s, alpha, a, b, beta, epilogue, c);
    }
    assert!(fit(s, a, b, &c), "{BEYOND}");
    let mut g = Gemm::of(s, alpha, a, b, beta, epilogue, c);
    g.tiny = true;
    // SAFETY: every element that the sizes and strides reach is there, and `c` is borrowed exclusively.
    unsafe { T::gemm(&g) };
}

/// [`matmul`] of all sizes.
#[inline(never)]
fn general<T: Scalar>(
    s: MatmulShape,
    alpha: T,
    a: &Mat<'_, T>,
    b: &Mat<'_, T>,
    beta: T,
    epilogue: &Epilogue<'_, T>,
    c: MatMut<'_, T>,
) {
    // Zeros become the largest number.
    let sizes = s.m.wrapping_sub(1) | s.n.wrapping_sub(1) | s.k.wrapping_sub(1);
    let strides = a.row | a.col | b.row | b.col | c.row | c.col;
    if s.is_single() && (sizes | strides) >> (usize::BITS / 2 - 1) == 0 {
        assert!(fit(s, a, b, &c), "{BEYOND}");
    } else {
        if s.m == 0 || s.n == 0 || s.batch[0] == 0 || s.batch[1] == 0 {
            return;
        }
        check(c.data.len(), s, [s.m, s.n], [c.row, c.col], c.batch);
        if s.k != 0 {
            check(a.data.len(), s, [s.m, s.k], [a.row, a.col], a.batch);
            check(b.data.len(), s, [s.k, s.n], [b.row, b.col], b.batch);
        }
    }
    let of_c = (c.batch, [c.row, c.col]);
    let mut g = Gemm::of(s, alpha, a, b, beta, epilogue, c);
    if s.k == 0 {
        g.read_nothing();
    }
    if s.is_single() {
        // The smallest have been seen; those with unusual strides may be computed as any other.
        g.arrange(simd::level);
    } else {
        g.orient(simd::level);
    }
    let work = s.m.saturating_mul(s.n).saturating_mul(s.k);
    // SAFETY: `fit` or `check` has seen every element that the sizes and strides reach, and `c` is borrowed exclusively.
    unsafe {
        if !s.is_single() {
            let mut batch = if s.k == 0 {
                [[0, 0]; 2]
            } else {
                [a.batch, b.batch]
            };
            if g.bias_by_row != epilogue.by_row {
                // `orient` has exchanged the operands.
                batch.reverse();
            }
            batched(&g, s, [batch[0], batch[1], of_c.0], of_c.1);
        } else if work < PARALLEL {
            T::gemm(&g);
        } else {
            split(&g);
        }
    }
}

/// Whether the slices hold the matrices of one product, of sizes that are not 0 and strides whose products with them are in range.
#[inline(always)]
fn fit<T>(s: MatmulShape, a: &Mat<'_, T>, b: &Mat<'_, T>, c: &MatMut<'_, T>) -> bool {
    let fits = |len: usize, [rows, cols]: [usize; 2], [row, col]: [usize; 2]| {
        (rows - 1) * row + (cols - 1) * col < len
    };
    fits(c.data.len(), [s.m, s.n], [c.row, c.col])
        && fits(a.data.len(), [s.m, s.k], [a.row, a.col])
        && fits(b.data.len(), [s.k, s.n], [b.row, b.col])
}

/// Panics unless a slice of `len` elements holds a batch of matrices with these sizes (none 0) and strides.
#[inline(always)]
fn check(len: usize, s: MatmulShape, sizes: [usize; 2], strides: [usize; 2], batch: [usize; 2]) {
    // What does not fit into a number is beyond every slice, and so is the greatest number.
    let last = |sizes: [usize; 2], strides: [usize; 2]| {
        let rows = (sizes[0] - 1).saturating_mul(strides[0]);
        rows.saturating_add((sizes[1] - 1).saturating_mul(strides[1]))
    };
    let mut end = last(sizes, strides);
    if !s.is_single() {
        end = end.saturating_add(last(s.batch, batch));
    }
    assert!(end < len, "{BEYOND}");
}

const BEYOND: &str = "a matrix reaches beyond its slice";

impl<T: Scalar> Gemm<T> {
    /// A product of these sizes with alpha 1, beta 0, no epilogue, and no matrices yet.
    #[inline(always)]
    pub(crate) fn new(m: usize, n: usize, k: usize) -> Self {
        Gemm {
            m,
            n,
            k,
            alpha: T::ONE,
            beta: T::ZERO,
            a: std::ptr::null(),
            a_row: 0,
            a_col: 0,
            b: std::ptr::null(),
            b_row: 0,
            b_col: 0,
            c: std::ptr::null_mut(),
            c_row: 0,
            c_col: 0,
            bias: std::ptr::null(),
            bias_by_row: false,
            activation: Activation::None,
            dots: 0,
            chains: 1,
            tiny: false,
        }
    }

    /// What [`matmul`] is called with, as pointers.
    #[inline(always)]
    fn of(
        s: MatmulShape,
        alpha: T,
        a: &Mat<'_, T>,
        b: &Mat<'_, T>,
        beta: T,
        epilogue: &Epilogue<'_, T>,
        c: MatMut<'_, T>,
    ) -> Self {
        Gemm {
            alpha,
            beta,
            a: a.data.as_ptr(),
            a_row: a.row,
            a_col: a.col,
            b: b.data.as_ptr(),
            b_row: b.row,
            b_col: b.col,
            c: c.data.as_mut_ptr(),
            c_row: c.row,
            c_col: c.col,
            bias: epilogue.bias_ptr(s.m, s.n),
            bias_by_row: epilogue.by_row,
            activation: epilogue.activation,
            ..Gemm::new(s.m, s.n, s.k)
        }
    }

    /// Whether sums are written as they are, but for a long activation, which [`activate`](Gemm::activate) applies.
    #[inline(always)]
    fn is_plain(&self) -> bool {
        self.alpha == T::ONE
            && self.beta == T::ZERO
            && self.bias.is_null()
            && self.activation != Activation::Relu
    }

    /// Gives operands without elements usual strides, as theirs may be anything.
    fn read_nothing(&mut self) {
        (self.a_row, self.a_col, self.b_row, self.b_col) = (0, 1, 0, 1);
    }

    /// Runs the product on this thread.
    ///
    /// # Safety
    /// As [`Scalar::gemm`].
    #[inline]
    pub(crate) unsafe fn run(mut self) {
        if self.m != 0 && self.n != 0 {
            if self.k == 0 {
                self.read_nothing();
            }
            self.orient(simd::level);
            // SAFETY: promised by the caller.
            unsafe { T::gemm(&self) };
        }
    }

    /// The part of the sums from `p` on, `k` long: the first adds the bias, and the last, which completes the sums, applies the activation.
    #[inline(always)]
    fn inner(&self, p: usize, k: usize) -> Self {
        let mut g = *self;
        g.k = k;
        g.a = g.a.wrapping_add(p * g.a_col);
        g.b = g.b.wrapping_add(p * g.b_row);
        if p > 0 {
            g.beta = T::ONE;
            g.bias = std::ptr::null();
        }
        if p + k < self.k {
            g.activation = Activation::None;
        }
        g
    }

    /// The part of the product with these rows and columns.
    #[inline(always)]
    fn part(&self, i: usize, m: usize, j: usize, n: usize) -> Self {
        let mut g = *self;
        (g.m, g.n) = (m, n);
        g.a = g.a.wrapping_add(i * g.a_row);
        g.b = g.b.wrapping_add(j * g.b_col);
        g.c = g.c.wrapping_add(i * g.c_row + j * g.c_col);
        if !g.bias.is_null() {
            g.bias = g.bias.wrapping_add(if g.bias_by_row { i } else { j });
        }
        if g.dots != 0 {
            // Those of the last columns that are in the part.
            g.dots = n.min((j + n).saturating_sub(self.n - g.dots));
        }
        g
    }
}

#[cfg(test)]
mod tests;
