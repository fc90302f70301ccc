//! The product of one pair of matrices: which of the ways to compute it, and the order of the sum.

use super::across::{across, goes_across};
use super::blocks::{self, from_afar, worth_packing};
use super::columns::{columns_packed, contiguous};
use super::epilogue::relu;
use super::few::{has_small_rows, small_rows};
use super::narrow::{Narrow, together};
use super::outer::{is_outer, outer};
use super::resident::{Resident, is_resident};
use super::tile::{Strip, many_registers};
use super::tiny::Tiny;
use super::vector::{Kernel, MOST_LANES, NV, Vector};
use super::wide::in_place;
use super::{Activation, Gemm};
use crate::scalar::{Arithmetic, Scalar};
use std::mem::MaybeUninit;

/// The product for scalars without vectors: the plain loops, with the sum in one register.
///
/// # Safety
/// As [`Scalar::gemm`].
pub(crate) unsafe fn gemm_plain<T: Scalar>(g: &Gemm<T>) {
    for i in 0..g.m {
        for j in 0..g.n {
            // SAFETY: i, j, p are within the sizes; the caller promises that such elements are valid.
            unsafe {
                let mut sum = T::ZERO;
                for p in 0..g.k {
                    sum +=
                        *g.a.add(i * g.a_row + p * g.a_col) * *g.b.add(p * g.b_row + j * g.b_col);
                }
                finish(g, i, j, sum);
            }
        }
    }
    // SAFETY: promised by the caller.
    unsafe { g.activate(0, g.m, 0, g.n) };
}

/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set.
#[inline(always)]
pub(super) unsafe fn gemm<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.tiny && g.n == 1 {
            V::call(Tiny::<V, true>(g));
        } else if g.tiny {
            V::call(Tiny::<V, false>(g));
        } else {
            V::larger(g);
        }
    }
}

/// # Safety
/// As `gemm`.
#[inline(always)]
pub(super) unsafe fn larger<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.m == 0 || g.n == 0 {
            return;
        }
        if g.dots != 0 {
            if g.dots == g.n && g.b_row == 1 {
                return contiguous::<V>(g);
            }
            return dotted::<V>(g);
        }
        if g.c_col != 1 {
            return scattered::<V>(g);
        }
        if has_small_rows::<V>(g) && g.k <= V::KC {
            return small_rows::<V>(g);
        }
        let rows = together(g, V::LANES);
        if rows > 0 {
            return V::call(Narrow::<V> { g, rows });
        }
        if is_resident::<V>(g) {
            return V::call(Resident::<V>(g));
        }
        // One vector of columns: the shortest way, for the smallest products.
        if g.n <= V::LANES && g.k <= V::KC && g.b_col == 1 && g.m < 48 {
            return V::call(Strip::<V, 1, true>::new(g, 0, g.n, std::ptr::null_mut()));
        }
        if g.k <= 16 && g.m <= V::MC && g.b_col != 1 {
            return blocks::small::<V>(g);
        }
        if is_outer::<V>(g) {
            return outer::<V>(g);
        }
        let tail = g.n % V::LANES;
        if is_turned::<V>(g, tail) {
            V::larger(&g.part(0, g.m, 0, g.n - tail));
            return V::call(Turned::<V>(&g.part(0, g.m, g.n - tail, tail)));
        }
        if const { many_registers::<V>() } && goes_across::<V>(g) {
            return across::<V>(g);
        }
        if g.k <= V::KC && g.b_col == 1 && !worth_packing::<V>(g) {
            return in_place::<V>(g);
        }
        deep::<V>(g);
    }
}

/// The product with its last columns as dot products.
///
/// # Safety
/// As `gemm`; rows of `a` are contiguous.
#[inline(never)]
unsafe fn dotted<V: Vector>(g: &Gemm<V::Elem>) {
    let first = g.n - g.dots;
    let last = g.part(0, g.m, first, g.dots);
    // SAFETY: promised by the caller.
    unsafe {
        if first > 0 {
            V::larger(&g.part(0, g.m, 0, first));
        }
        if last.b_row == 1 {
            contiguous::<V>(&last);
        } else {
            columns_packed::<V>(&last);
        }
    }
}

/// The product in blocks of the inner dimension and, where `b` is copied, of columns. Blocks of the inner dimension
/// follow from its length alone.
///
/// # Safety
/// As `gemm`; rows of `c` are contiguous.
#[inline(never)]
unsafe fn deep<V: Vector>(g: &Gemm<V::Elem>) {
    let pack = worth_packing::<V>(g);
    let wide = pack && from_afar::<V>(g);
    let depth = depth::<V>(g.k);
    let width = if wide || pack && g.m > V::MC {
        columns::<V>(g.n, depth)
    } else {
        g.n
    };
    for j in (0..g.n).step_by(width) {
        let part = g.part(0, g.m, j, width.min(g.n - j));
        // One round for k = 0 too, which writes zeros.
        for p in (0..g.k.max(1)).step_by(depth.max(1)) {
            let part = part.inner(p, depth.min(g.k - p));
            // SAFETY: the part is of the product, with k <= KC.
            unsafe {
                if pack {
                    blocks::packed::<V>(&part, wide);
                } else {
                    in_place::<V>(&part);
                }
            }
        }
    }
}

/// How long the blocks of an inner dimension are. The order of sums follows from it, for every kind of product but dot products.
pub(super) fn depth<V: Vector>(k: usize) -> usize {
    k.div_ceil(k.div_ceil(V::KC).max(1))
        .next_multiple_of(8)
        .min(V::KC)
}

/// How many columns of `b` are copied at a time, so that they fit into the room: about equal parts of whole strips.
fn columns<V: Vector>(n: usize, depth: usize) -> usize {
    let strips = n.div_ceil(NV * V::LANES);
    let most = blocks::strips::<V>(depth);
    strips.div_ceil(strips.div_ceil(most)) * NV * V::LANES
}

/// Writes one element from its sum; a long activation is left to [`Gemm::activate`].
///
/// # Safety
/// As [`Scalar::gemm`]; the element is within the result.
#[inline(always)]
pub(super) unsafe fn finish<T: Scalar>(g: &Gemm<T>, i: usize, j: usize, sum: T) {
    // SAFETY: promised by the caller.
    unsafe {
        let c = g.c.add(i * g.c_row + j * g.c_col);
        let mut y = g.alpha * sum;
        if g.beta != T::ZERO {
            y += g.beta * *c;
        }
        if !g.bias.is_null() {
            y += *g.bias.add(if g.bias_by_row { i } else { j });
        }
        if g.activation == Activation::Relu {
            y = relu(y);
        }
        *c = y;
    }
}

/// Writes as many elements as there are of row `i` from column `j` on, a vector at most, from their sums; a long activation is
/// left to [`Gemm::activate`].
///
/// # Safety
/// As [`Scalar::gemm`]; the elements are within the result, whose rows are contiguous.
#[inline(always)]
pub(super) unsafe fn store<V: Vector>(g: &Gemm<V::Elem>, i: usize, j: usize, sums: V) {
    let left = g.n - j;
    // SAFETY: promised by the caller; only `left` elements are read and written.
    unsafe {
        let bias = if g.bias.is_null() {
            V::splat(V::Elem::ZERO)
        } else if g.bias_by_row {
            V::splat(*g.bias.add(i))
        } else {
            first(g.bias.add(j), left)
        };
        store_at(g, g.c.add(i * g.c_row + j), left, sums, bias);
    }
}

/// Writes `len` elements from `c` on, a vector at most, from their sums and, if the product has one, their bias; a long activation is left to
/// [`Gemm::activate`].
///
/// # Safety
/// As [`Scalar::gemm`]; the elements are within the result.
#[inline(always)]
pub(super) unsafe fn store_at<V: Vector>(
    g: &Gemm<V::Elem>,
    c: *mut V::Elem,
    len: usize,
    sums: V,
    bias: V,
) {
    // SAFETY: promised by the caller; only `len` elements are read and written.
    unsafe {
        let mut y = sums;
        if g.alpha != V::Elem::ONE {
            y = V::splat(g.alpha).mul(y);
        }
        if g.beta != V::Elem::ZERO {
            y = V::splat(g.beta).mul_add(first(c, len), y);
        }
        // Not added where there is none: -0 would become 0.
        if !g.bias.is_null() {
            y = y.add(bias);
        }
        if g.activation == Activation::Relu {
            y = y.relu();
        }
        if len < V::LANES {
            y.store_part(c, len);
        } else {
            y.store(c);
        }
    }
}

/// The first `len` elements, a vector at most.
///
/// # Safety
/// The processor has the instruction set; `len` elements, or a vector, are valid.
#[inline(always)]
pub(super) unsafe fn first<V: Vector>(from: *const V::Elem, len: usize) -> V {
    // SAFETY: promised by the caller.
    unsafe {
        if len < V::LANES {
            V::load_part(from, len)
        } else {
            V::load(from)
        }
    }
}

/// Rows of the result that [`Turned`] computes at a time.
const TURNED: usize = 64;

/// Whether the last columns, less than a vector, are better computed as [`Turned`]: few of them, and contiguous columns of `a`.
#[inline(always)]
fn is_turned<V: Vector>(g: &Gemm<V::Elem>, tail: usize) -> bool {
    g.a_row == 1
        && g.a_col != 1
        && V::LANES >= 8
        && tail != 0
        && 4 * tail <= V::LANES
        && g.n > V::LANES
        && g.m >= TURNED
        && g.k >= 32
        && g.k <= V::KC
}

/// The product as columns, which vectors lie along: rows of the transposed product on the stack. The sums are the same chains of multiply-adds as those of
/// tiles, and so is what is done to them. For k <= KC and a quarter of a vector of columns at most.
struct Turned<'a, V: Vector>(&'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Turned<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        const { assert!(V::LANES <= MOST_LANES) };
        debug_assert!(4 * g.n <= V::LANES);
        let mut sums = [V::Elem::ZERO; MOST_LANES / 4 * TURNED];
        for i in (0..g.m).step_by(TURNED) {
            let out = g.part(i, TURNED.min(g.m - i), 0, g.n);
            let mut rows = Gemm::new(out.n, out.m, out.k);
            (rows.a, rows.a_row, rows.a_col) = (out.b, out.b_col, out.b_row);
            (rows.b, rows.b_row, rows.b_col) = (out.a, out.a_col, out.a_row);
            (rows.c, rows.c_row, rows.c_col) = (sums.as_mut_ptr(), TURNED, 1);
            // SAFETY: there is room for a quarter of a vector of columns; the elements are within the sizes.
            unsafe {
                V::larger(&rows);
                for j in 0..out.n {
                    for r in 0..out.m {
                        let bias = if out.bias.is_null() {
                            V::Elem::ZERO
                        } else {
                            *out.bias.add(if out.bias_by_row { r } else { j })
                        };
                        let c = out.c.add(r * out.c_row + j);
                        let sum = V::splat(sums[j * TURNED + r]);
                        store_at(&out, c, 1, sum, V::splat(bias));
                    }
                }
                out.activate(0, out.m, 0, out.n);
            }
        }
    }
}

/// A result without contiguous rows: blocks of it are computed on the stack and copied out.
///
/// # Safety
/// As `gemm`.
#[inline(never)]
unsafe fn scattered<V: Vector>(g: &Gemm<V::Elem>) {
    const ROWS: usize = 24;
    const COLS: usize = 64;
    let mut block = [MaybeUninit::<V::Elem>::uninit(); ROWS * COLS];
    for i in (0..g.m).step_by(ROWS) {
        for j in (0..g.n).step_by(COLS) {
            let mut part = g.part(i, ROWS.min(g.m - i), j, COLS.min(g.n - j));
            let out = part;
            (part.c, part.c_row, part.c_col) = (block.as_mut_ptr().cast(), COLS, 1);
            (part.alpha, part.beta, part.bias) = (V::Elem::ONE, V::Elem::ZERO, std::ptr::null());
            part.activation = Activation::None;
            let mut bare = out;
            bare.beta = V::Elem::ZERO;
            let bare = bare.is_plain();
            // SAFETY: the block has room for the part, which is written before it is read; its elements are within the sizes.
            unsafe {
                V::larger(&part);
                if bare && out.beta == V::Elem::ZERO {
                    copy_out::<_, COLS, false>(part.c, &out);
                } else if bare && out.beta == V::Elem::ONE {
                    copy_out::<_, COLS, true>(part.c, &out);
                } else {
                    for r in 0..part.m {
                        for c in 0..part.n {
                            finish(&out, r, c, *part.c.add(r * COLS + c));
                        }
                    }
                }
                out.activate(0, part.m, 0, part.n);
            }
        }
    }
}

/// Copies or, with ADD, adds sums in rows `STEP` apart to the result, column by column: where rows of the result are not contiguous, its columns mostly are.
///
/// # Safety
/// The sums and the elements of the result are valid.
#[inline(always)]
unsafe fn copy_out<T: Scalar, const STEP: usize, const ADD: bool>(sums: *const T, to: &Gemm<T>) {
    for r in (0..to.m).step_by(4) {
        let rows = to.part(r, 4.min(to.m - r), 0, to.n);
        // SAFETY: rows are within the sizes; the rest is promised by the caller.
        unsafe {
            let sums = sums.add(r * STEP);
            match rows.m {
                1 => copy_rows::<T, 1, STEP, ADD>(sums, &rows),
                2 => copy_rows::<T, 2, STEP, ADD>(sums, &rows),
                3 => copy_rows::<T, 3, STEP, ADD>(sums, &rows),
                _ => copy_rows::<T, 4, STEP, ADD>(sums, &rows),
            }
        }
    }
}

/// The same for R rows, a constant, so that the loop over them is unrolled.
///
/// # Safety
/// As [`copy_out`]; the result has R rows.
#[inline(always)]
unsafe fn copy_rows<T: Scalar, const R: usize, const STEP: usize, const ADD: bool>(
    sums: *const T,
    to: &Gemm<T>,
) {
    for c in 0..to.n {
        let column = to.c.wrapping_add(c * to.c_col);
        for r in 0..R {
            // SAFETY: r < R and c are within the sizes; the rest is promised by the caller.
            unsafe {
                let (y, sum) = (column.wrapping_add(r * to.c_row), *sums.add(r * STEP + c));
                *y = if ADD { sum + *y } else { sum };
            }
        }
    }
}
