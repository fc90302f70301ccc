//! The vectors that the matmul kernel is written over.

use super::Gemm;
use crate::scalar::Scalar;

/// Lanes of the longest vector.
pub(crate) const MOST_LANES: usize = 16;

/// Vectors in a row of a tile.
pub(crate) const NV: usize = 2;

/// A vector of `LANES` elements. Methods are inlined into code compiled for the instruction set they need.
pub(crate) trait Vector: Copy {
    type Elem: Scalar;
    const LANES: usize;
    /// Most rows of a tile of the result. A tile is [`NV`] vectors wide, so MR * NV accumulators, NV vectors of `b` and one
    /// of `a` must fit into the registers.
    const MR: usize;
    /// The inner dimension is summed in blocks of at most this length; each block is one chain of multiply-adds, or a few.
    const KC: usize;
    /// Rows that pass over a strip of `b` before the next strip does.
    const MC: usize;
    /// Rows that `transpose` makes.
    const HALF: usize;

    /// Runs `k` in a function compiled for this vector's instruction set.
    ///
    /// # Safety
    /// The processor has that instruction set.
    unsafe fn call<K: Kernel>(k: K);
    /// [`gemm::larger`](super::gemm::larger): [`compiled_here`].
    ///
    /// # Safety
    /// As [`Scalar::gemm`], and as [`call`](Vector::call).
    unsafe fn larger(g: &Gemm<Self::Elem>);
    /// # Safety
    /// As [`call`](Vector::call); so for all below.
    unsafe fn splat(x: Self::Elem) -> Self;
    /// # Safety
    /// `p` is valid for `LANES` reads.
    unsafe fn load(p: *const Self::Elem) -> Self;
    /// # Safety
    /// `p` is valid for `LANES` writes.
    unsafe fn store(self, p: *mut Self::Elem);
    /// The first `n <= LANES` elements, then zeros.
    /// # Safety
    /// `p` is valid for `n` reads.
    unsafe fn load_part(p: *const Self::Elem, n: usize) -> Self;
    /// # Safety
    /// `p` is valid for `n < LANES` writes.
    unsafe fn store_part(self, p: *mut Self::Elem, n: usize);
    /// Asks for the line at `p`, which need not be valid.
    #[inline(always)]
    fn prefetch(_p: *const Self::Elem) {}
    /// The same, into the second-level cache only.
    #[inline(always)]
    fn prefetch_near(_p: *const Self::Elem) {}
    /// `self * b + c`.
    /// # Safety
    /// As [`call`](Vector::call).
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// # Safety
    /// As [`call`](Vector::call).
    unsafe fn mul(self, b: Self) -> Self;
    /// # Safety
    /// As [`call`](Vector::call).
    unsafe fn add(self, b: Self) -> Self;
    /// The larger of each element and 0; an element that is NaN or -0 stays as it is.
    /// # Safety
    /// As [`call`](Vector::call).
    unsafe fn relu(self) -> Self;
    /// Row p of `to` (HALF rows, `to_stride` apart) = elements p of `LANES` runs of HALF elements, of which `from` says the first. Rows
    /// are written one after the other, so that they may overlap.
    /// # Safety
    /// Both sides are valid.
    unsafe fn transpose(
        from: impl Fn(usize) -> *const Self::Elem,
        to: *mut Self::Elem,
        to_stride: usize,
    );
    /// Rows that `transpose_long` makes: HALF, or a multiple of it where longer runs take fewer loads.
    const LONG: usize = Self::HALF;
    /// As `transpose` for LONG rows and runs of LONG elements, but rows are written in any order, so that they may not overlap.
    /// # Safety
    /// Both sides are valid.
    #[inline(always)]
    unsafe fn transpose_long(
        from: impl Fn(usize) -> *const Self::Elem,
        to: *mut Self::Elem,
        to_stride: usize,
    ) {
        const { assert!(Self::LONG == Self::HALF) };
        // SAFETY: promised by the caller.
        unsafe { Self::transpose(from, to, to_stride) };
    }
    /// Lane l is element `at[l]` of the two vectors, one after the other.
    /// # Safety
    /// `at` is valid for `LANES` reads, of numbers below `2 * LANES`.
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self;
    /// Writes the sums of the lanes of each, in one order for all four.
    /// # Safety
    /// `to` is valid for four writes.
    unsafe fn sum4(v: [Self; 4], to: *mut Self::Elem);
    /// [`sum4`](Vector::sum4) four times, the results `step` apart: the same sums.
    /// # Safety
    /// `to` is valid for the writes.
    #[inline(always)]
    unsafe fn sum16(v: [[Self; 4]; 4], to: *mut Self::Elem, step: usize) {
        let [a, b, c, d] = v;
        // SAFETY: promised by the caller.
        unsafe {
            Self::sum4(a, to);
            Self::sum4(b, to.add(step));
            Self::sum4(c, to.add(2 * step));
            Self::sum4(d, to.add(3 * step));
        }
    }
}

/// Stands in an `impl Vector`. A method that is not generic is compiled with this crate; what is generic, in each crate that multiplies, for seconds.
macro_rules! compiled_here {
    () => {
        #[inline(never)]
        unsafe fn larger(g: &$crate::matmul::Gemm<Self::Elem>) {
            // SAFETY: the same contract.
            unsafe { $crate::matmul::gemm::larger::<Self>(g) }
        }
    };
}
pub(super) use compiled_here;

/// Something to run in a function compiled for an instruction set.
pub(crate) trait Kernel {
    /// Must be `#[inline(always)]`.
    ///
    /// # Safety
    /// What the kernel's fields promise holds, and the processor has the instruction set it is run for.
    unsafe fn run(self);
}
