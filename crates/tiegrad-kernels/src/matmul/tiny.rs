//! The smallest products: so few rows and columns and so short sums that whatever is decided first costs more than the sums.

use super::Gemm;
use super::gemm::store;
use super::vector::{Kernel, Vector};
use crate::scalar::Arithmetic;
use std::mem::MaybeUninit;

/// The most rows and columns.
const MOST: usize = 16;
/// The longest inner dimension, twice as long where columns of `b` need not be gathered and are more than one: longer sums of contiguous columns are dot products.
const DEPTH: usize = 16;
/// Most elements of `a` where rows of the result are several vectors, or vectors are short.
const FEW: usize = 64;

/// Whether a product of these sizes is so small that it is one of these for all strides and vectors.
#[inline(always)]
pub(super) fn is_tiniest<T>([m, n, k]: [usize; 3]) -> bool {
    // Zeros become the largest number.
    let sizes = m.wrapping_sub(1) | n.wrapping_sub(1) | k.wrapping_sub(1);
    sizes < MOST && m * k <= FEW && n * size_of::<T>() <= 64
}

/// Whether a product of these sizes may be one of these.
#[inline(always)]
pub(super) fn may_be_tiny<T>([m, n, k]: [usize; 3], b_col: usize) -> bool {
    let depth = DEPTH << usize::from(b_col == 1 && n != 1);
    (m.wrapping_sub(1) | n.wrapping_sub(1)) < MOST
        && k.wrapping_sub(1) < depth
        && n * size_of::<T>() <= 64
}

/// Whether a product is one of these, on a machine whose vectors have so many `bytes`: rows of the result are one vector, or it is one of the tiniest.
#[inline(always)]
pub(super) fn is_tiny<T>(sizes: [usize; 3], b_col: usize, bytes: impl FnOnce() -> usize) -> bool {
    let row = sizes[1].wrapping_mul(size_of::<T>());
    is_tiniest::<T>(sizes)
        || may_be_tiny::<T>(sizes, b_col) && (row.max(32)..=64).contains(&bytes())
}

/// A product for which [`is_tiny`] says yes, with contiguous rows of the result; each element the same chain of multiply-adds as in a tile.
/// With ONE, it has one column.
pub(super) struct Tiny<'a, V: Vector, const ONE: bool>(pub(super) &'a Gemm<V::Elem>);

impl<V: Vector, const ONE: bool> Kernel for Tiny<'_, V, ONE> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        debug_assert_eq!(ONE, g.n == 1);
        let mut j = 0;
        // SAFETY: strips are within the columns; the rest is promised by the caller.
        unsafe {
            while !ONE && g.n - j > V::LANES {
                strip::<V, ONE>(g, j, V::LANES);
                j += V::LANES;
            }
            strip::<V, ONE>(g, j, g.n - j);
            g.activate(0, g.m, 0, g.n);
        }
    }
}

/// Columns from `j` on, at most a vector of them; with ONE, a single one.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar); the columns are within the result.
#[inline(always)]
unsafe fn strip<V: Vector, const ONE: bool>(g: &Gemm<V::Elem>, j: usize, cols: usize) {
    #[repr(align(64))]
    struct Panel<T>([MaybeUninit<T>; DEPTH * MOST]);
    let mut panel = Panel::<V::Elem>([MaybeUninit::uninit(); DEPTH * MOST]);
    // SAFETY: rows, columns and p are within the sizes, so the caller promises that such elements are valid; the panel holds DEPTH rows of at most
    // MOST lanes.
    unsafe {
        let (mut b, mut b_row) = (g.b.add(j * g.b_col), g.b_row);
        if !ONE && g.b_col != 1 {
            let to: *mut V::Elem = panel.0.as_mut_ptr().cast();
            // A call, so that products that need none do not carry its registers.
            V::call(Gather::<V> { g, b, cols, to });
            (b, b_row) = (to, V::LANES);
        }
        let strip = Tile::<V> {
            g,
            j,
            cols,
            b,
            b_row,
        };
        let mut i = 0;
        while g.m - i >= 4 {
            strip.rows::<4, ONE>(i);
            i += 4;
        }
        match g.m - i {
            3 => strip.rows::<3, ONE>(i),
            2 => strip.rows::<2, ONE>(i),
            1 => strip.rows::<1, ONE>(i),
            _ => {}
        }
    }
}

/// Copies `cols` columns of `b` to rows of `LANES`, k of them.
struct Gather<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    b: *const V::Elem,
    cols: usize,
    to: *mut V::Elem,
}

impl<V: Vector> Kernel for Gather<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Gather { g, b, cols, to } = self;
        let mut p = 0;
        // SAFETY: p < k and c < cols, or a whole vector of columns and HALF of the k; the caller promises that such elements are valid.
        unsafe {
            if g.b_row == 1 && cols == V::LANES {
                while g.k - p >= V::HALF {
                    V::transpose(|l| b.add(l * g.b_col + p), to.add(p * V::LANES), V::LANES);
                    p += V::HALF;
                }
            }
            while p < g.k {
                for c in 0..cols {
                    *to.add(p * V::LANES + c) = *b.add(p * g.b_row + c * g.b_col);
                }
                p += 1;
            }
        }
    }
}

struct Tile<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    j: usize,
    cols: usize,
    /// Rows of these columns of `b`, contiguous.
    b: *const V::Elem,
    b_row: usize,
}

impl<V: Vector> Tile<'_, V> {
    /// Rows `i..i + R`.
    ///
    /// # Safety
    /// As [`Scalar::gemm`](crate::Scalar); the rows are within the result.
    #[inline(always)]
    unsafe fn rows<const R: usize, const ONE: bool>(&self, i: usize) {
        let g = self.g;
        // SAFETY: promised by the caller; of a vector only `cols` elements are read and written.
        unsafe {
            let mut acc = [V::splat(V::Elem::ZERO); R];
            let (mut a, mut b) = (g.a.add(i * g.a_row), self.b);
            for _ in 0..g.k {
                // A part of a vector, though masked, would wait for what was just written within a vector behind a single column.
                let y = if ONE {
                    V::splat(*b)
                } else if self.cols < V::LANES {
                    V::load_part(b, self.cols)
                } else {
                    V::load(b)
                };
                for r in 0..R {
                    acc[r] = V::splat(*a.wrapping_add(r * g.a_row)).mul_add(y, acc[r]);
                }
                a = a.wrapping_add(g.a_col);
                b = b.wrapping_add(self.b_row);
            }
            if !g.is_plain() {
                for r in 0..R {
                    store(g, i + r, self.j, acc[r]);
                }
                return;
            }
            let c = g.c.add(i * g.c_row + self.j);
            for r in 0..R {
                if ONE {
                    acc[r].store_part(c.add(r * g.c_row), 1);
                } else if self.cols < V::LANES {
                    acc[r].store_part(c.add(r * g.c_row), self.cols);
                } else {
                    acc[r].store(c.add(r * g.c_row));
                }
            }
        }
    }
}
