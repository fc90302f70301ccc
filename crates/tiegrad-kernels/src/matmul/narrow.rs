//! Products of many short rows: several rows of the result share a vector.

use super::Gemm;
use super::gemm::{first, store_at};
use super::vector::{Kernel, MOST_LANES, Vector};
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::array;
use std::mem::MaybeUninit;

/// The longest inner dimension.
const DEPTH: usize = 16;
/// Fewer rows do not repay what is prepared for all of them.
const ROWS: usize = 32;
/// From this inner dimension on it takes twice as many.
const LONG: usize = 11;

/// How many rows of the result share a vector of this many lanes; 0 where this is not the way to compute the product. Rows of the result must
/// lie one after the other, and the elements of `a` for a group of rows in two vectors.
#[inline(always)]
pub(super) fn together<T: Scalar>(g: &Gemm<T>, lanes: usize) -> usize {
    // A single column is better computed as dot products from 8 on. Two rows in a vector gain, and only in many rows, over one row in half of it, but nothing
    // where they have eight lanes.
    let usual = g.m >= if g.k < LONG { ROWS } else { 2 * ROWS }
        && (g.n > 1 || g.k < 8)
        && g.n >= 1
        && g.k >= 1
        && g.k <= DEPTH
        && (3 * g.n <= lanes || lanes == MOST_LANES && 2 * g.n < lanes && g.m >= 2 * ROWS)
        && g.dots == 0
        && g.c_col == 1
        && g.c_row == g.n
        && (g.a_col == 1 || g.k == 1)
        && (g.bias.is_null() || !g.bias_by_row);
    if !usual || g.a_row > lanes {
        return 0;
    }
    let rows = (lanes / g.n).min((2 * lanes - g.k) / g.a_row.max(1) + 1);
    if rows >= 2 { rows } else { 0 }
}

/// The product with this many rows, as [`together`] says, in a vector.
pub(super) struct Narrow<'a, V: Vector> {
    pub(super) g: &'a Gemm<V::Elem>,
    pub(super) rows: usize,
}

/// What is the same for all groups of rows.
struct Shared<V> {
    /// Where the lanes find their element of `a` in two vectors.
    at: [[u32; MOST_LANES]; DEPTH],
    /// Rows of `b`, once for each row of a group.
    b: [MaybeUninit<V>; DEPTH],
    bias: V,
}

impl<V: Vector> Kernel for Narrow<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Narrow { g, rows } = self;
        const { assert!(V::LANES <= MOST_LANES) };
        // SAFETY: rows, columns and p are within the sizes, so the caller promises that their elements are valid; what is read of `a` for a
        // group ends with the last element of `a`.
        unsafe {
            let shared = self.prepare();
            // Elements of `a` from its begin to its end, and those that two groups read.
            let end = (g.m - 1) * g.a_row + g.k;
            let two = rows * g.a_row + 2 * V::LANES;
            let mut i = 0;
            while g.m - i >= 2 * rows && end - i * g.a_row >= two {
                let a: [_; 2] = array(|half| {
                    let from = g.a.wrapping_add((i + half * rows) * g.a_row);
                    [V::load(from), V::load(from.wrapping_add(V::LANES))]
                });
                let y = sums(g, &shared, a);
                store_at(g, g.c.add(i * g.n), rows * g.n, y[0], shared.bias);
                store_at(g, g.c.add((i + rows) * g.n), rows * g.n, y[1], shared.bias);
                i += 2 * rows;
            }
            while i < g.m {
                let count = rows.min(g.m - i);
                let from = g.a.wrapping_add(i * g.a_row);
                let left = end - i * g.a_row;
                let rest = left.saturating_sub(V::LANES);
                let a = [first(from, left), first(from.wrapping_add(V::LANES), rest)];
                let y = sums(g, &shared, [a]);
                store_at(g, g.c.add(i * g.n), count * g.n, y[0], shared.bias);
                i += count;
            }
            g.activate(0, g.m, 0, g.n);
        }
    }
}

impl<V: Vector> Narrow<'_, V> {
    /// # Safety
    /// As [`Scalar::gemm`].
    #[inline(always)]
    unsafe fn prepare(&self) -> Shared<V> {
        let Narrow { g, rows } = *self;
        // SAFETY: rows * n lanes are in use; the columns and p < k are within the sizes, so the caller promises that their elements are valid.
        unsafe {
            let zero = V::splat(V::Elem::ZERO);
            let mut shared = Shared::<V> {
                at: [[0; MOST_LANES]; DEPTH],
                b: [MaybeUninit::uninit(); DEPTH],
                bias: zero,
            };
            let mut column = [0; MOST_LANES];
            for r in 0..rows {
                for c in 0..g.n {
                    shared.at[0][r * g.n + c] = (r * g.a_row) as u32;
                    column[r * g.n + c] = c as u32;
                }
            }
            for p in 0..g.k {
                for l in 0..MOST_LANES {
                    shared.at[p][l] = shared.at[0][l] + p as u32;
                }
                let mut row = [V::Elem::ZERO; MOST_LANES];
                for c in 0..g.n {
                    row[c] = *g.b.wrapping_add(p * g.b_row + c * g.b_col);
                }
                let row = V::pick([V::load(row.as_ptr()), zero], column.as_ptr());
                shared.b[p].write(row);
            }
            if !g.bias.is_null() {
                shared.bias = V::pick([first(g.bias, g.n), zero], column.as_ptr());
            }
            shared
        }
    }
}

/// The sums of groups of rows, from their elements of `a`.
///
/// # Safety
/// The processor has the instruction set; the first k rows of what is shared are there.
#[inline(always)]
unsafe fn sums<V: Vector, const S: usize>(
    g: &Gemm<V::Elem>,
    shared: &Shared<V>,
    a: [[V; 2]; S],
) -> [V; S] {
    // SAFETY: promised by the caller; the numbers of elements are below 2 * LANES, as `together` knows.
    unsafe {
        let mut y = [V::splat(V::Elem::ZERO); S];
        for p in 0..g.k {
            let b = shared.b[p].assume_init();
            for s in 0..S {
                y[s] = V::pick(a[s], shared.at[p].as_ptr()).mul_add(b, y[s]);
            }
        }
        y
    }
}
