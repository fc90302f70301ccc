//! Products of one or a few rows.

use super::Gemm;
use super::gemm::finish;
use super::vector::{Kernel, Vector};
use crate::scalar::Arithmetic;

/// Few rows times a `b` whose columns are contiguous: dot products along the inner dimension.
pub(super) struct Dots<'a, V: Vector>(pub(super) &'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Dots<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        for i in 0..g.m {
            let mut j = 0;
            // SAFETY: rows and columns are within the sizes.
            unsafe {
                while g.n - j >= 4 {
                    dots::<V, 4>(g, i, j);
                    j += 4;
                }
                while j < g.n {
                    dots::<V, 1>(g, i, j);
                    j += 1;
                }
            }
        }
    }
}

/// Elements (i, j..j + N) as dot products.
///
/// # Safety
/// As [`Scalar::gemm`]; the elements are within the result, and the inner strides are 1.
#[inline(always)]
unsafe fn dots<V: Vector, const N: usize>(g: &Gemm<V::Elem>, i: usize, j: usize) {
    // SAFETY: elements are within the sizes, so the caller promises that they are valid.
    unsafe {
        let a = g.a.add(i * g.a_row);
        let b = g.b.add(j * g.b_col);
        let mut acc = [V::splat(V::Elem::ZERO); N];
        let mut p = 0;
        while g.k - p >= V::LANES {
            let x = V::load(a.add(p));
            for c in 0..N {
                acc[c] = x.mul_add(V::load(b.add(c * g.b_col + p)), acc[c]);
            }
            p += V::LANES;
        }
        if p < g.k {
            let x = V::load_part(a.add(p), g.k - p);
            for c in 0..N {
                acc[c] = x.mul_add(V::load_part(b.add(c * g.b_col + p), g.k - p), acc[c]);
            }
        }
        for c in 0..N {
            finish(g, i, j + c, acc[c].sum());
        }
    }
}

/// Columns of a row of the result that are summed at a time, in memory that stays in the first-level cache.
const CHUNK: usize = 1024;

/// One row times a `b` with contiguous rows: a few rows of `b` at a time stream past the sums, so that they are read in
/// the order of memory.
///
/// # Safety
/// As [`Kernel::run`]; k <= KC, m = 1.
#[inline(always)]
pub(super) unsafe fn row<V: Vector>(g: &Gemm<V::Elem>) {
    #[repr(align(64))]
    struct Sums<T>([T; CHUNK]);
    let mut sums = Sums([V::Elem::ZERO; CHUNK]);
    for j in (0..g.n).step_by(CHUNK) {
        let n = CHUNK.min(g.n - j);
        if j > 0 {
            sums.0[..n].fill(V::Elem::ZERO);
        }
        let sums = sums.0.as_mut_ptr();
        let part = g.part(0, 1, j, n);
        // SAFETY: columns and p are within the sizes; the sums have room for n, rounded up to whole vectors.
        unsafe {
            let mut p = 0;
            while g.k - p >= 8 {
                rows::<V, 8>(&part, p, sums);
                p += 8;
            }
            while p < g.k {
                rows::<V, 1>(&part, p, sums);
                p += 1;
            }
            let mut j = 0;
            while j < n {
                let left = n - j;
                let get = |p: *const V::Elem| {
                    if left < V::LANES {
                        V::load_part(p, left)
                    } else {
                        V::load(p)
                    }
                };
                let c = part.c.add(j);
                let mut y = V::splat(g.alpha).mul(V::load(sums.add(j)));
                if g.beta != V::Elem::ZERO {
                    y = V::splat(g.beta).mul_add(get(c), y);
                }
                if !g.bias.is_null() {
                    y = y.add(if g.bias_by_row {
                        V::splat(*part.bias)
                    } else {
                        get(part.bias.add(j))
                    });
                }
                if left < V::LANES {
                    y.store_part(c, left);
                } else {
                    y.store(c);
                }
                j += V::LANES;
            }
        }
    }
}

/// Adds rows `p..p + R` of `b`, times their elements of `a`, to the sums, one after the other.
///
/// # Safety
/// As [`row`]; the rows are within the sizes.
#[inline(always)]
unsafe fn rows<V: Vector, const R: usize>(g: &Gemm<V::Elem>, p: usize, sums: *mut V::Elem) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut x = [V::splat(V::Elem::ZERO); R];
        let mut b = [g.b.wrapping_add(p * g.b_row); R];
        for r in 0..R {
            x[r] = V::splat(*g.a.add((p + r) * g.a_col));
            b[r] = g.b.wrapping_add((p + r) * g.b_row);
        }
        let mut j = 0;
        while g.n - j >= V::LANES {
            let mut y = V::load(sums.add(j));
            for r in 0..R {
                y = x[r].mul_add(V::load(b[r].add(j)), y);
            }
            y.store(sums.add(j));
            j += V::LANES;
        }
        if j < g.n {
            let mut y = V::load(sums.add(j));
            for r in 0..R {
                y = x[r].mul_add(V::load_part(b[r].add(j), g.n - j), y);
            }
            y.store(sums.add(j));
        }
    }
}
