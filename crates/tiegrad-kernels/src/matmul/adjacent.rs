//! Products with a short inner dimension whose rows are computed next to each other and written wherever they begin: where a vector that is written across two lines of the cache costs little.

use super::Gemm;
use super::outer::{NEAR, apart, goes_by_lines};
use super::tile::{many_registers, whole_lines};
use super::vector::{Kernel, Vector};
use crate::cache::{LINE, second_level, writing_across_lines_costs_little};
use crate::scalar::Arithmetic;

/// Whether a product for which [`is_outer`](super::outer::is_outer) says yes is computed here. Not one whose rows all begin at the same place within a line, other than its begin: they can be written line by line
/// four at a time. Nor one with k of 2 and a result that is not near, which takes as long either way.
#[inline(always)]
pub(super) fn is_adjacent<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let possible = const { whole_lines::<V>() && many_registers::<V>() };
    possible
        && (g.k != 2 || g.m.saturating_mul(g.c_row) <= NEAR / size_of::<V::Elem>())
        && g.n >= V::LANES
        && g.is_plain()
        && writing_across_lines_costs_little()
        && !(apart::<V>(g) == 1 && !(g.c as usize).is_multiple_of(LINE) && goes_by_lines::<V>(g))
}

/// A product with k = K whose rows are a vector long or more.
pub(super) struct Adjacent<'a, V: Vector, const K: usize>(pub(super) &'a Gemm<V::Elem>);

impl<V: Vector, const K: usize> Kernel for Adjacent<'_, V, K> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        // SAFETY: promised by the caller.
        unsafe {
            match K {
                1 if is_second(g) => all_rows::<V, K, 1, 4>(g),
                1 => all_rows::<V, K, 2, 2>(g),
                _ if g.m <= 2 || K > 6 && g.m == 4 => all_rows::<V, K, 2, 1>(g),
                // So many rows that K numbers and a sum of each, and a vector of `b`, are in registers; fewer where fewer are then computed twice.
                7.. => all_rows::<V, K, 3, 1>(g),
                _ if matches!(g.m, 3 | 5 | 6 | 9) => all_rows::<V, K, 3, 1>(g),
                _ => all_rows::<V, K, 4, 1>(g),
            }
        }
    }
}

/// Whether the result is much larger than the first-level cache, and in the second, where rows one after the other are written faster than two at a time. (Measured with 400 and 800 KB.)
#[inline(always)]
fn is_second<T>(g: &Gemm<T>) -> bool {
    let bytes = g.m.saturating_mul(g.c_row).saturating_mul(size_of::<T>());
    bytes > 4 * NEAR && bytes <= second_level()
}

/// All rows, R at a time, U vectors at a time.
///
/// # Safety
/// As [`Adjacent`].
#[inline(always)]
unsafe fn all_rows<V: Vector, const K: usize, const R: usize, const U: usize>(g: &Gemm<V::Elem>) {
    let mut i = 0;
    // SAFETY: rows are within the result.
    unsafe {
        while g.m - i >= R {
            rows::<V, K, R, U>(g, i);
            i += R;
        }
        if i < g.m && g.m >= R {
            // Some rows once more.
            rows::<V, K, R, U>(g, g.m - R);
        } else {
            while i < g.m {
                rows::<V, K, 1, U>(g, i);
                i += 1;
            }
        }
    }
}

/// R rows from `i` on.
///
/// # Safety
/// As [`Adjacent`]; the rows are within the result.
#[inline(always)]
unsafe fn rows<V: Vector, const K: usize, const R: usize, const U: usize>(
    g: &Gemm<V::Elem>,
    i: usize,
) {
    // SAFETY: rows, columns and p < K are within the sizes, so the caller promises that they are valid.
    unsafe {
        let mut x = [[V::splat(V::Elem::ZERO); K]; R];
        for r in 0..R {
            for p in 0..K {
                x[r][p] = V::splat(*g.a.add((i + r) * g.a_row + p * g.a_col));
            }
        }
        let c = g.c.add(i * g.c_row);
        let mut j = 0;
        while g.n - j >= U * V::LANES {
            for u in 0..U {
                vectors::<V, K, R>(g, c, j + u * V::LANES, &x);
            }
            j += U * V::LANES;
        }
        if const { U > 1 } {
            while g.n - j >= V::LANES {
                vectors::<V, K, R>(g, c, j, &x);
                j += V::LANES;
            }
        }
        if j < g.n {
            // Some elements once more.
            vectors::<V, K, R>(g, c, g.n - V::LANES, &x);
        }
        for r in 0..R {
            g.activate(i + r, 1, 0, g.n);
        }
    }
}

/// A vector of each of the rows from `c` on, from column `j` on.
///
/// # Safety
/// As [`rows`]; the columns are within the result.
#[inline(always)]
unsafe fn vectors<V: Vector, const K: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    c: *mut V::Elem,
    j: usize,
    x: &[[V; K]; R],
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
        for r in 0..R {
            y[r].store(c.add(r * g.c_row + j));
        }
    }
}
