//! The product of one pair of matrices: the instruction set, and the order of the sum.

use super::Gemm;
use super::blocks::{packed, worth_packing};
use super::lines::Dots;
use super::portable::Portable;
use super::tile::Strips;
use super::vector::{NV, Vector};
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::Level;

/// One kernel per float, which picks the vector for a level: the one place where an instance is chosen.
pub(crate) mod vector {
    use super::*;

    /// # Safety
    /// As [`Scalar::gemm`]; the machine has the level.
    #[inline(always)]
    pub(crate) unsafe fn f32(level: Level, g: &Gemm<f32>) {
        match level {
            // The same chains of multiply-adds in half a vector, which costs a short product less. Dot products are ordered by the width of a vector, so
            // theirs follows from k alone, which no split changes.
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level contains AVX2 and FMA; the rest is promised by the caller.
            Level::Avx512 if g.k <= 16 && (g.dots || g.n <= 8) => unsafe {
                gemm::<std::arch::x86_64::__m256>(g)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that AVX-512 is there; the rest is promised by the caller.
            Level::Avx512 => unsafe { gemm::<std::arch::x86_64::__m512>(g) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that AVX2 and FMA are there; the rest is promised by the caller.
            Level::Avx2 => unsafe { gemm::<std::arch::x86_64::__m256>(g) },
            // SAFETY: promised by the caller.
            _ => unsafe { gemm::<Portable<f32, 4>>(g) },
        }
    }

    /// # Safety
    /// As [`Scalar::gemm`]; the machine has the level.
    #[inline(always)]
    pub(crate) unsafe fn f64(level: Level, g: &Gemm<f64>) {
        match level {
            // The same chains of multiply-adds in half a vector, which costs a short product less. Dot products are ordered by the width of a vector, so
            // theirs follows from k alone, which no split changes.
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level contains AVX2 and FMA; the rest is promised by the caller.
            Level::Avx512 if g.k <= 16 && (g.dots || g.n <= 4) => unsafe {
                gemm::<std::arch::x86_64::__m256d>(g)
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that AVX-512 is there; the rest is promised by the caller.
            Level::Avx512 => unsafe { gemm::<std::arch::x86_64::__m512d>(g) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that AVX2 and FMA are there; the rest is promised by the caller.
            Level::Avx2 => unsafe { gemm::<std::arch::x86_64::__m256d>(g) },
            // SAFETY: promised by the caller.
            _ => unsafe { gemm::<Portable<f64, 2>>(g) },
        }
    }
}

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
                let c = g.c.add(i * g.c_row + j * g.c_col);
                let mut r = g.alpha * sum;
                if g.beta != T::ZERO {
                    r += g.beta * *c;
                }
                if !g.bias.is_null() {
                    r += *g.bias.add(if g.bias_by_row { i } else { j });
                }
                *c = r;
            }
        }
    }
}

/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set.
#[inline]
unsafe fn gemm<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.m == 0 || g.n == 0 {
            return;
        }
        if g.dots {
            return V::call(Dots::<V>(g));
        }
        if g.c_col != 1 {
            return scattered::<V>(g);
        }
        if g.k <= V::KC && g.b_col == 1 && !worth_packing::<V>(g) {
            return V::call(Strips::<V>(g));
        }
        deep::<V>(g);
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
    let depth =
        g.k.div_ceil(g.k.div_ceil(V::KC).max(1))
            .next_multiple_of(8)
            .min(V::KC);
    let width = if pack && g.m > V::MC {
        columns::<V>(g.n, depth)
    } else {
        g.n
    };
    for j in (0..g.n).step_by(width) {
        let part = g.part(0, g.m, j, width.min(g.n - j));
        // One round for k = 0 too, which writes zeros.
        for p in (0..g.k.max(1)).step_by(depth.max(1)) {
            let mut part = part;
            part.k = depth.min(g.k - p);
            part.a = g.a.wrapping_add(p * g.a_col);
            part.b = part.b.wrapping_add(p * g.b_row);
            if p > 0 {
                part.beta = V::Elem::ONE;
                part.bias = std::ptr::null();
            }
            // SAFETY: the part is of the product, with k <= KC.
            unsafe {
                if pack {
                    packed::<V>(&part);
                } else {
                    V::call(Strips::<V>(&part));
                }
            }
        }
    }
}

/// How many columns of `b` are copied at a time, so that they fit into the room: about equal parts of whole strips.
fn columns<V: Vector>(n: usize, depth: usize) -> usize {
    let strips = n.div_ceil(NV * V::LANES);
    let most = super::blocks::strips::<V>(depth);
    strips.div_ceil(strips.div_ceil(most)) * NV * V::LANES
}

/// Writes one element from its sum.
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
        *c = y;
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
    let mut block = [V::Elem::ZERO; ROWS * COLS];
    for i in (0..g.m).step_by(ROWS) {
        for j in (0..g.n).step_by(COLS) {
            let mut part = g.part(i, ROWS.min(g.m - i), j, COLS.min(g.n - j));
            let out = part;
            (part.c, part.c_row, part.c_col) = (block.as_mut_ptr(), COLS, 1);
            (part.alpha, part.beta, part.bias) = (V::Elem::ONE, V::Elem::ZERO, std::ptr::null());
            // SAFETY: the block has room for the part; its elements are within the sizes.
            unsafe {
                gemm::<V>(&part);
                for r in 0..part.m {
                    for c in 0..part.n {
                        finish(&out, r, c, block[r * COLS + c]);
                    }
                }
            }
        }
    }
}
