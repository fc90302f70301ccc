//! Right operands that are copied once for several products: a weight that is used many times in one pass (ties, recurrent steps).
//!
//! The copy is what a large product makes of its right operand by itself, block by block: for each block of the inner dimension one strip of columns after the
//! other, row by row. A caller who keeps it saves this work for every further product; it is most of the work where the product has few
//! rows and the operand is transposed.

use std::ops::RangeInclusive;

use super::blocks::{Pack, prepacked};
use super::gemm::depth;
use super::parallel::PARALLEL;
use super::vector::{NV, Vector};
use super::{Epilogue, Gemm, Mat, MatMut, MatmulShape, check, matmul};
use crate::buffer::AlignedBuf;
use crate::scalar::Scalar;
use crate::simd::{self, Level};
use crate::strided::disjoint;
use crate::threads::{self, parallel_for};

/// Room for the copy of a right operand. Kept by the caller, it allocates when it is first used and when an operand is larger than all before.
///
/// ```
/// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, PackRoom, matmul_packed};
/// let w = [1.0_f32, 2.0, 3.0, 4.0];              // 2 x 2
/// let mut room = PackRoom::new();                 // outlives the passes
/// let packed = room.pack(1, 2, 2, Mat::new(&w, 2));  // in each pass, as the weight has changed
/// let mut h = [1.0, 1.0];
/// for _ in 0..3 {
///     let mut next = [0.0; 2];
///     matmul_packed(1, 1.0, Mat::new(&h, 2), packed, 0.0, Epilogue::NONE, MatMut::new(&mut next, 2));
///     h = next;
/// }
/// assert_eq!(h, [118.0, 172.0]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PackRoom<T: Scalar> {
    copy: AlignedBuf<T>,
}

/// A right operand with its copy: what [`PackRoom::pack`] makes and [`matmul_packed`] takes. It borrows both, so that neither can change.
///
/// ```
/// use tiegrad_kernels::matmul::{Mat, PackRoom};
/// let w = [1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let mut room = PackRoom::new();
/// let packed = room.pack(8, 3, 2, Mat::new(&w, 3).t());
/// assert_eq!((packed.rows(), packed.columns()), (3, 2));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Packed<'a, T> {
    b: Mat<'a, T>,
    k: usize,
    n: usize,
    /// Empty where there is none.
    pub(super) copy: &'a [T],
    /// Whose vectors the copy is made for.
    level: Level,
}

impl<T> Packed<'_, T> {
    /// The rows of the operand, which are summed over.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Mat, PackRoom};
    /// assert_eq!(PackRoom::new().pack(8, 1, 2, Mat::new(&[1.0, 2.0], 2)).rows(), 1);
    /// ```
    pub const fn rows(&self) -> usize {
        self.k
    }

    /// The columns of the operand, and of the products.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Mat, PackRoom};
    /// assert_eq!(PackRoom::new().pack(8, 1, 2, Mat::new(&[1.0, 2.0], 2)).columns(), 2);
    /// ```
    pub const fn columns(&self) -> usize {
        self.n
    }
}

impl<T: Scalar> PackRoom<T> {
    /// Room without memory.
    ///
    /// ```
    /// let room = tiegrad_kernels::matmul::PackRoom::<f32>::new();
    /// assert!(format!("{room:?}").contains("[]"));
    /// ```
    pub const fn new() -> Self {
        PackRoom {
            copy: AlignedBuf::new(),
        }
    }

    /// Copies the matrix of `k` rows and `n` columns, in place of what was copied before, for products of about `m` rows. O(k n).
    ///
    /// It is not copied where the products would not be faster: of few rows, which are dot products or have other ways of their own; of many rows, which copy it block by block in less time than
    /// they take; of a matrix with contiguous rows that fits into a cache.
    ///
    /// # Panics
    /// If the slice is too short for the sizes and strides.
    ///
    /// ```
    /// use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, PackRoom, matmul_packed};
    /// let (w, x) = ([1.0_f64, 2.0, 3.0], [10.0, 20.0]);
    /// let mut room = PackRoom::new();
    /// let packed = room.pack(2, 1, 3, Mat::new(&w, 3));
    /// let mut y = [0.0; 6];
    /// matmul_packed(2, 1.0, Mat::new(&x, 1), packed, 0.0, Epilogue::NONE, MatMut::new(&mut y, 3));
    /// assert_eq!(y, [10.0, 20.0, 30.0, 20.0, 40.0, 60.0]);
    /// ```
    pub fn pack<'a>(&'a mut self, m: usize, k: usize, n: usize, b: Mat<'a, T>) -> Packed<'a, T> {
        let mut g = Gemm::new(0, n, k);
        let level = simd::level();
        if k != 0 && n != 0 {
            check(
                b.data.len(),
                MatmulShape::new(1, n, k),
                [k, n],
                [b.row, b.col],
                [0, 0],
            );
            (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.row, b.col);
            let room = &mut self.copy;
            let far = k.saturating_mul(n).saturating_mul(size_of::<T>()) >= FAR;
            let mut direct = g;
            (direct.m, direct.a_row, direct.a_col) = (m, k, 1);
            (direct.c_row, direct.c_col) = (n, 1);
            let gains = ROWS.contains(&m) && (b.col != 1 || far) && direct.takes_strips(level);
            let len = if gains {
                // SAFETY: the size of a copy asks for nothing but the level, which is in use.
                unsafe { T::packed(level, Job::Size(&g)) }
            } else {
                0
            };
            room.resize_zeroed(len);
            if len != 0 {
                // SAFETY: `check` has seen every element of the operand, and the room is as long as the copy of this level.
                unsafe { T::packed(level, Job::Pack(&g, room.as_mut_ptr())) };
            }
        } else {
            self.copy.clear();
        }
        Packed {
            b,
            k,
            n,
            copy: &self.copy,
            level,
        }
    }
}

impl<T: Scalar> Gemm<T> {
    /// Whether [`matmul`] sums strips of the right operand as it is given: neither dot products nor the transposed product, which give other bits, nor one of the
    /// smallest, which is faster without a copy.
    pub(super) fn takes_strips(mut self, level: Level) -> bool {
        let by_row = self.bias_by_row;
        self.orient(|| level);
        self.dots == 0 && self.bias_by_row == by_row && !self.tiny
    }
}

/// Rows of products that gain by a copy that exists. Fewer have ways of their own, which are faster than short strips; with more, making the copy is a small part of the
/// work, and caches want it made block by block.
const ROWS: RangeInclusive<usize> = 4..=128;
/// Bytes of a matrix with contiguous rows from which strips are better read from a copy, where they do not lie in pages all over.
const FAR: usize = 4 << 20;

/// [`matmul`] of an `a` of `m` rows with an operand that was copied before: the same bits, without the work of copying. Where that gains
/// nothing it is `matmul`. O(m n k).
///
/// # Panics
/// If a slice is too short for its sizes and strides.
///
/// ```
/// use tiegrad_kernels::matmul::{Activation, Epilogue, Mat, MatMut, PackRoom, matmul_packed};
/// let (w, b) = ([1.0_f32, -1.0], [0.5, 0.5]);   // 2 x 1, used transposed
/// let mut room = PackRoom::new();
/// let packed = room.pack(4, 1, 2, Mat::new(&w, 1).t());
/// let relu = Epilogue::NONE.bias_per_column(&b).activation(Activation::Relu);
/// let mut y = [0.0; 8];
/// matmul_packed(4, 1.0, Mat::new(&[1.0, 2.0, 3.0, 4.0], 1), packed, 0.0, relu, MatMut::new(&mut y, 2));
/// assert_eq!(y, [1.5, 0.0, 2.5, 0.0, 3.5, 0.0, 4.5, 0.0]);
/// ```
pub fn matmul_packed<T: Scalar>(
    m: usize,
    alpha: T,
    a: Mat<'_, T>,
    b: Packed<'_, T>,
    beta: T,
    epilogue: Epilogue<'_, T>,
    c: MatMut<'_, T>,
) {
    let s = MatmulShape::new(m, b.n, b.k);
    let mut g = Gemm::new(s.m, s.n, s.k);
    (g.a_row, g.a_col, g.b_row, g.b_col) = (a.row, a.col, b.b.row, b.b.col);
    (g.c_row, g.c_col) = (c.row, c.col);
    if b.copy.is_empty()
        || b.level != simd::level()
        || !ROWS.contains(&m)
        || c.col != 1
        || !g.takes_strips(b.level)
        || !disjoint(&[s.m, s.n], &[c.row, c.col])
    {
        return matmul(s, alpha, a, b.b, beta, epilogue, c);
    }
    check(c.data.len(), s, [s.m, s.n], [c.row, c.col], c.batch);
    check(a.data.len(), s, [s.m, s.k], [a.row, a.col], a.batch);
    (g.alpha, g.beta) = (alpha, beta);
    g.bias = epilogue.bias_ptr(s.m, s.n);
    (g.bias_by_row, g.activation) = (epilogue.by_row, epilogue.activation);
    (g.a, g.c) = (a.data.as_ptr(), c.data.as_mut_ptr());
    let multiply = |first, size| {
        let part = g.part(0, g.m, first, size);
        // SAFETY: `check` has seen every element that the sizes and strides reach, and `c` is borrowed exclusively; parts share no element of it. The
        // level is the one that the copy was made for.
        unsafe { T::packed(b.level, Job::Multiply(&part, b.copy.as_ptr(), first, s.n)) };
    };
    let work = s.m.saturating_mul(s.n).saturating_mul(s.k);
    let threads = threads::num_threads();
    if work < PARALLEL || threads == 1 {
        return multiply(0, s.n);
    }
    super::prepare_thread();
    // Whole strips, a few parts per thread.
    let size = s.n.div_ceil(4 * threads).next_multiple_of(32);
    parallel_for(s.n.div_ceil(size), &|part| {
        multiply(part * size, size.min(s.n - part * size));
    });
}

/// What is asked of the vectors of a level.
#[doc(hidden)]
pub enum Job<'a, T> {
    /// How many elements the copy of the product's `b` takes.
    Size(&'a Gemm<T>),
    /// To make the copy.
    Pack(&'a Gemm<T>, *mut T),
    /// The product of some columns, from that one on, with the copy of an operand of so many columns.
    Multiply(&'a Gemm<T>, *const T, usize, usize),
}

/// Columns of the copy: whole strips.
const fn padded<V: Vector>(n: usize) -> usize {
    n.next_multiple_of(NV * V::LANES)
}

/// # Safety
/// The processor has the vector's instruction set; all that the job's sizes and strides reach is valid, as [`Scalar::gemm`] says; a copy has the size asked for
/// with the same vector.
pub(super) unsafe fn run<V: Vector>(job: Job<'_, V::Elem>) -> usize {
    let width = NV * V::LANES;
    match job {
        Job::Size(g) => g.k * padded::<V>(g.n),
        Job::Pack(g, to) => {
            let depth = depth::<V>(g.k);
            for p in (0..g.k).step_by(depth) {
                let k = depth.min(g.k - p);
                for j in (0..g.n).step_by(width) {
                    let part = g.part(0, 0, j, width.min(g.n - j));
                    // SAFETY: blocks of the inner dimension and strips of columns follow one after the other in the copy, each of k whole rows of a strip.
                    unsafe {
                        V::call(Pack::<V> {
                            from: part.b.wrapping_add(p * g.b_row),
                            k,
                            row: g.b_row,
                            col: g.b_col,
                            cols: part.n,
                            to: to.add(p * padded::<V>(g.n) + j * k),
                            width,
                        });
                    }
                }
            }
            0
        }
        Job::Multiply(g, copy, first, columns) => {
            let depth = depth::<V>(g.k);
            for p in (0..g.k).step_by(depth) {
                let part = g.inner(p, depth.min(g.k - p));
                // SAFETY: the block of the copy begins there; the rest is promised by the caller.
                unsafe {
                    prepacked::<V>(&part, copy.add(p * padded::<V>(columns) + first * part.k));
                }
            }
            0
        }
    }
}
