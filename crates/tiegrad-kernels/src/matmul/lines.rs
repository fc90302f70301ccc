//! Products of one or a few rows.

use super::Gemm;
use super::gemm::finish;
use super::vector::{Kernel, Vector};
use crate::scalar::Scalar;

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
