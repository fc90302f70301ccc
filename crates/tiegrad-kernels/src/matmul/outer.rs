//! Products with a short inner dimension.

use super::Gemm;
use super::adjacent::{Adjacent, is_adjacent};
use super::gemm::store;
use super::tile::{WIDE, many_registers, most_rows, whole_lines, writes_far};
use super::vector::{Kernel, Vector};
use crate::scalar::Arithmetic;

/// Whether the product is computed here: its inner dimension is 1 to 8, and rows of `b` and of the result, which are not too short, are contiguous.
#[inline(always)]
pub(super) fn is_outer<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    // Rows of four vectors are one tile, which takes no longer from seven steps on.
    let shortest = match g.k {
        0..=3 => 2 * V::LANES,
        4..=6 => 4 * V::LANES,
        _ => 4 * V::LANES + 1,
    };
    if g.k == 0 || g.k > 8 || g.n < shortest || g.b_col != 1 {
        return false;
    }
    // One tile, of up to four vectors, reads all of `b` before it writes, and does not wait for what it has written next to it. (A `b` of one row gains nothing by that.)
    if const { many_registers::<V>() }
        && g.k > 1
        && g.m <= most_rows::<V, WIDE>()
        && g.n <= WIDE * V::LANES
    {
        return false;
    }
    // Where there is much to read, and too few rows for two that begin at one place of a line each, tiles read it once for all rows. Measured with AVX-512.
    g.k < 6
        || g.m == 1
        || g.m > 2 * most_rows::<V, WIDE>() && is_adjacent::<V>(g)
        || const { !many_registers::<V>() || !whole_lines::<V>() }
        || g.m >= 2 * apart::<V>(g)
        || g.n.saturating_mul(g.k * size_of::<V::Elem>()) <= FAR
}

/// Bytes of a `b` that is near for any number of rows.
const FAR: usize = 24 << 10;

/// How many rows of the result are between two that begin at one place of a line.
#[inline(always)]
pub(super) fn apart<V: Vector>(g: &Gemm<V::Elem>) -> usize {
    let line = V::LANES * size_of::<V::Elem>();
    let row = g.c_row.saturating_mul(size_of::<V::Elem>());
    line >> (row | line).trailing_zeros()
}

/// A product with an inner dimension of 1 to 8, which takes about the time of writing the result: a few rows at a time.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set; k is 1 to 8, and rows of `b` and of the result are contiguous.
#[inline(always)]
pub(super) unsafe fn outer<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.n.saturating_mul(g.k * size_of::<V::Elem>()) <= SPAN {
            span::<V>(g);
        } else {
            spans::<V>(g);
        }
    }
}

/// # Safety
/// As [`outer`].
#[inline(never)]
unsafe fn spans<V: Vector>(g: &Gemm<V::Elem>) {
    // Whole vectors, so that rows which begin at a line do so in all spans.
    let size = SPAN / (g.k * size_of::<V::Elem>()) / V::LANES * V::LANES;
    for j in (0..g.n).step_by(size) {
        // SAFETY: a part of the product.
        unsafe { span::<V>(&g.part(0, g.m, j, size.min(g.n - j))) };
    }
}

/// Bytes of the rows of `b` that pass over all rows of the result before their next columns do: they stay in the first-level cache.
const SPAN: usize = 16 << 10;

/// A product whose rows of `b` stay in the first-level cache. A function for each depth: in one, what all of them compute first would cost as much as
/// a small product.
///
/// # Safety
/// As [`outer`].
#[inline(never)]
unsafe fn span<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        let beside = is_adjacent::<V>(g);
        match g.k {
            1 => of_depth::<V, 1>(g, beside),
            2 => of_depth::<V, 2>(g, beside),
            3 => of_depth::<V, 3>(g, beside),
            4 => of_depth::<V, 4>(g, beside),
            5 => of_depth::<V, 5>(g, beside),
            6 => of_depth::<V, 6>(g, beside),
            7 => of_depth::<V, 7>(g, beside),
            _ => of_depth::<V, 8>(g, beside),
        }
    }
}

/// The same with k = K, by rows beside each other or not.
///
/// # Safety
/// As [`outer`], and k = K; rows beside each other where the product [`is_adjacent`].
#[inline(always)]
unsafe fn of_depth<V: Vector, const K: usize>(g: &Gemm<V::Elem>, beside: bool) {
    // SAFETY: promised by the caller.
    unsafe {
        if beside {
            V::call(Adjacent::<V, K>(g));
        } else {
            V::call(Outer::<V, K>(g));
        }
    }
}

/// A product with k = K; rows of `b` and of the result are contiguous.
struct Outer<'a, V: Vector, const K: usize>(&'a Gemm<V::Elem>);

impl<V: Vector, const K: usize> Kernel for Outer<'_, V, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let lines = goes_by_lines::<V>(g);
        let apart = if lines { apart::<V>(g) } else { 1 };
        let mut i = 0;
        // SAFETY: rows are within the result.
        unsafe {
            if K > few::<V>() || !lines {
                i = groups::<V, K>(g, i, apart, lines);
                if K > 6 {
                    // Much to read for each row that is written.
                    i = groups::<V, K>(g, i, 1, lines);
                }
            }
            while i < g.m {
                outer_rows::<V, K, 1>(g, i, 1, lines);
                i += 1;
            }
        }
    }
}

/// Whether rows are written line by line. Vectors that are written across the end of a line take twice the time or more, most of all where the line is not in the first-level cache. Rows that are [`apart`] begin at one
/// place of a line: of several of those all vectors but the first and the last are whole lines, and `b` is read once for all.
#[inline(always)]
pub(super) fn goes_by_lines<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let row = g.c_row.saturating_mul(size_of::<V::Elem>());
    g.n >= 4 * V::LANES && row.saturating_mul(g.m) > NEAR
        || g.n >= 12 * V::LANES && g.k <= few::<V>()
}

/// The longest inner dimension for which lines are written one row at a time.
#[inline(always)]
const fn few<V: Vector>() -> usize {
    if many_registers::<V>() { 1 } else { 2 }
}

/// Bytes from the first to the last row of a result that is in the first-level cache when it is written.
pub(super) const NEAR: usize = 32 << 10;

/// Vectors ahead of those that are written, whose lines of a far result are asked for. (Measured on Emerald Rapids with results of 1.4 to 17 MB: k of 1 to 3 is 1.05 to 1.2 times as fast;
/// longer sums, of which each takes more registers, took 1.1 times as long.)
const WRITTEN_AHEAD: usize = 6;

/// The rows from `i` on in groups of rows that are `apart` from each other, as far as there are whole groups. Returns the row after them.
///
/// # Safety
/// As [`outer_rows`].
#[inline(always)]
unsafe fn groups<V: Vector, const K: usize>(
    g: &Gemm<V::Elem>,
    mut i: usize,
    apart: usize,
    lines: bool,
) -> usize {
    // SAFETY: promised by the caller.
    unsafe {
        // K vectors for each row, one sum each and one of `b` fit into the registers.
        if const { many_registers::<V>() } {
            i = if const { K > 6 } {
                groups_of::<V, K, 3>(g, i, apart, lines)
            } else {
                groups_of::<V, K, 4>(g, i, apart, lines)
            };
        }
        groups_of::<V, K, 2>(g, i, apart, lines)
    }
}

/// As [`groups`], of R rows each.
///
/// # Safety
/// As [`outer_rows`].
#[inline(always)]
unsafe fn groups_of<V: Vector, const K: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    mut i: usize,
    apart: usize,
    lines: bool,
) -> usize {
    while g.m - i >= R * apart {
        for first in i..i + apart {
            // SAFETY: promised by the caller.
            unsafe { outer_rows::<V, K, R>(g, first, apart, lines) };
        }
        i += R * apart;
    }
    i
}

/// R rows from `i` on, `apart` from each other; with `lines`, if they begin at one place of a line, a part of a vector first, so that what follows lies within lines.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar); k = K, and the rows are within the result.
#[inline(always)]
unsafe fn outer_rows<V: Vector, const K: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    i: usize,
    apart: usize,
    lines: bool,
) {
    // SAFETY: rows, columns and p < K are within the sizes, so the caller promises that they are valid.
    unsafe {
        let zero = V::splat(V::Elem::ZERO);
        let plain = g.is_plain();
        let mut x = [[zero; K]; R];
        for r in 0..R {
            for p in 0..K {
                x[r][p] = V::splat(*g.a.add((i + r * apart) * g.a_row + p * g.a_col));
            }
        }
        let c = g.c.add(i * g.c_row);
        let c_step = apart * g.c_row;
        let line = V::LANES * size_of::<V::Elem>();
        let before = (c as usize).wrapping_neg() % line / size_of::<V::Elem>();
        let mut j = 0;
        if lines
            && before > 0
            && (R == 1
                || c_step
                    .wrapping_mul(size_of::<V::Elem>())
                    .is_multiple_of(line))
        {
            outer_part::<V, K, R>(g, i, apart, 0, before, x);
            j = before;
        }
        let asks = lines && const { K <= 3 && whole_lines::<V>() } && writes_far(g);
        while g.n - j >= V::LANES {
            if asks {
                for r in 0..R {
                    V::prefetch(c.wrapping_add(r * c_step + j + WRITTEN_AHEAD * V::LANES));
                }
            }
            outer_vectors::<V, K, R>(g, i, apart, j, x, plain);
            j += V::LANES;
        }
        if j < g.n && plain && !lines && g.n >= V::LANES {
            // Some elements are written again: a part of a vector of `b` would take a mask, and where the result lies behind `b`, wait for what was just written there.
            outer_vectors::<V, K, R>(g, i, apart, g.n - V::LANES, x, plain);
        } else if j < g.n {
            outer_part::<V, K, R>(g, i, apart, j, g.n, x);
        }
        for r in 0..R {
            g.activate(i + r * apart, 1, 0, g.n);
        }
    }
}

/// A vector of each of the rows, from column `j` on; `plain` as the product is.
///
/// # Safety
/// As [`outer_rows`]; the columns are within the result.
#[inline(always)]
unsafe fn outer_vectors<V: Vector, const K: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    i: usize,
    apart: usize,
    j: usize,
    x: [[V; K]; R],
    plain: bool,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut y = [V::splat(V::Elem::ZERO); R];
        for p in 0..K {
            let b = V::load(g.b.add(p * g.b_row + j));
            for r in 0..R {
                y[r] = x[r][p].mul_add(b, y[r]);
            }
        }
        let c = g.c.add(i * g.c_row);
        for r in 0..R {
            if plain {
                y[r].store(c.add(r * apart * g.c_row + j));
            } else {
                store(g, i + r * apart, j, y[r]);
            }
        }
    }
}

/// Columns `j..n` of the rows, fewer than a vector.
///
/// # Safety
/// As [`outer_rows`].
#[inline(always)]
unsafe fn outer_part<V: Vector, const K: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    i: usize,
    apart: usize,
    j: usize,
    n: usize,
    x: [[V; K]; R],
) {
    // SAFETY: promised by the caller; only elements before column n are read and written.
    unsafe {
        let mut y = [V::splat(V::Elem::ZERO); R];
        for p in 0..K {
            let b = V::load_part(g.b.add(p * g.b_row + j), n - j);
            for r in 0..R {
                y[r] = x[r][p].mul_add(b, y[r]);
            }
        }
        let c = g.c.add(i * g.c_row + j);
        if g.is_plain() {
            for r in 0..R {
                y[r].store_part(c.add(r * apart * g.c_row), n - j);
            }
            return;
        }
        let g = &g.part(0, g.m, 0, n);
        for r in 0..R {
            store(g, i + r * apart, j, y[r]);
        }
    }
}
