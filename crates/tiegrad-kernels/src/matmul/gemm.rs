//! The product of one pair of matrices: tiles of the result held in registers, over a `Vector`.

use super::Gemm;
use super::vector::{Kernel, Portable, Vector};
use crate::scalar::Scalar;
use crate::simd::{Level, level};
use std::mem::MaybeUninit;

/// The inner dimension is summed in blocks of this length; each block is one chain of multiply-adds.
const KC: usize = 256;
/// Rows whose part of `a` (MC x KC) stays in the second-level cache while strips of `b` pass.
const MC: usize = 480;
/// Vectors in a row of a tile, and its most rows: 12 accumulators, 2 of `b`, 1 of `a`.
const NV: usize = 2;
const MR: usize = 6;

/// One kernel per float, which picks the vector for the level in use.
pub(crate) mod vector {
    use super::*;

    /// # Safety
    /// As [`Scalar::gemm`].
    #[inline]
    pub(crate) unsafe fn f32(g: &Gemm<f32>) {
        match level() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level says that AVX2 and FMA are there; the rest is promised by the caller.
            Level::Avx2 => unsafe { gemm::<std::arch::x86_64::__m256>(g) },
            // SAFETY: promised by the caller.
            _ => unsafe { gemm::<Portable<f32, 4>>(g) },
        }
    }

    /// # Safety
    /// As [`Scalar::gemm`].
    #[inline]
    pub(crate) unsafe fn f64(g: &Gemm<f64>) {
        match level() {
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
                    sum += *g.a.add(i * g.a_row + p * g.a_col) * *g.b.add(p * g.b_row + j * g.b_col);
                }
                let c = g.c.add(i * g.c_row + j * g.c_col);
                let mut r = g.alpha * sum;
                if g.beta != T::ZERO {
                    r += g.beta * *c;
                }
                if !g.bias.is_null() {
                    r += *g.bias.add(i * g.bias_row + j * g.bias_col);
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
        if g.k <= KC {
            return block::<V>(g);
        }
        for p in (0..g.k).step_by(KC) {
            let mut part = *g;
            part.k = KC.min(g.k - p);
            part.a = g.a.add(p * g.a_col);
            part.b = g.b.add(p * g.b_row);
            if p > 0 {
                part.beta = V::Elem::ONE;
                part.bias = std::ptr::null();
            }
            block::<V>(&part);
        }
    }
}

/// The product for `k <= KC` and contiguous rows of `c`. Copying `b` first or not changes no bit.
///
/// # Safety
/// As `gemm`.
#[inline]
unsafe fn block<V: Vector>(g: &Gemm<V::Elem>) {
    let rereads = g.m >= 48 && g.k * g.n > 8192;
    // SAFETY: promised by the caller.
    unsafe {
        if g.b_col == 1 && !rereads {
            V::call(InPlace::<V>(g));
        } else if g.k <= 16 {
            packed::<V, 16>(g);
        } else {
            packed::<V, KC>(g);
        }
    }
}

/// Runs the product with `b` read where it is.
struct InPlace<'a, V: Vector>(&'a Gemm<V::Elem>);

impl<V: Vector> Kernel for InPlace<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let mut j = 0;
        // SAFETY: strips stay within the columns; the caller promises that such elements are valid.
        unsafe {
            if g.m <= 3 {
                while g.n - j >= 4 * V::LANES {
                    V::call(Strip::<V, 4, false>::new(g, g.b.add(j), g.b_row, j, 4 * V::LANES));
                    j += 4 * V::LANES;
                }
            }
            while g.n - j >= NV * V::LANES {
                V::call(Strip::<V, NV, false>::new(g, g.b.add(j), g.b_row, j, NV * V::LANES));
                j += NV * V::LANES;
            }
            let rest = g.n - j;
            if rest > V::LANES {
                V::call(Strip::<V, NV, true>::new(g, g.b.add(j), g.b_row, j, rest));
            } else if rest > 0 {
                V::call(Strip::<V, 1, true>::new(g, g.b.add(j), g.b_row, j, rest));
            }
        }
    }
}

/// Room for a packed strip: `K` rows of at most 16 elements.
#[repr(align(64))]
struct Panel<T, const K: usize>([[MaybeUninit<T>; 16]; K]);

/// Runs the product with each strip of `b` copied to the stack first.
///
/// # Safety
/// As `gemm`; and `g.k <= K`.
#[inline(never)]
unsafe fn packed<V: Vector, const K: usize>(g: &Gemm<V::Elem>) {
    let mut panel = Panel::<V::Elem, K>([[MaybeUninit::uninit(); 16]; K]);
    let panel: *mut V::Elem = panel.0.as_mut_ptr().cast();
    let width = NV * V::LANES;
    for i in (0..g.m).step_by(MC) {
        let rows = g.part(i, MC.min(g.m - i), 0, g.n);
        for j in (0..g.n).step_by(width) {
            let cols = width.min(g.n - j);
            // SAFETY: the panel holds K rows of `width` elements, and k <= K; strips stay within the columns.
            unsafe {
                V::call(Pack::<V> { g: &rows, j, cols, panel });
                if cols == width {
                    V::call(Strip::<V, NV, false>::new(&rows, panel, width, j, cols));
                } else if cols > V::LANES {
                    V::call(Strip::<V, NV, true>::new(&rows, panel, width, j, cols));
                } else {
                    V::call(Strip::<V, 1, true>::new(&rows, panel, width, j, cols));
                }
            }
        }
    }
}

/// Copies columns `j..j + cols` of `b` to rows of `NV` vectors.
struct Pack<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    j: usize,
    cols: usize,
    panel: *mut V::Elem,
}

impl<V: Vector> Kernel for Pack<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Pack { g, j, cols, panel } = self;
        let width = NV * V::LANES;
        // SAFETY: elements are within the sizes of `b` and of the panel.
        unsafe {
            let b = g.b.add(j * g.b_col);
            if g.b_col == 1 && cols == width {
                for p in 0..g.k {
                    let (from, to) = (b.add(p * g.b_row), panel.add(p * width));
                    for v in 0..NV {
                        V::load(from.add(v * V::LANES)).store(to.add(v * V::LANES));
                    }
                }
            } else {
                for c in 0..cols {
                    let from = b.add(c * g.b_col);
                    for p in 0..g.k {
                        *panel.add(p * width + c) = *from.add(p * g.b_row);
                    }
                }
            }
        }
    }
}

/// A strip of the result, `N` vectors wide, all rows: `b` is rows of contiguous elements. In a strip with `TAIL`
/// the last vector has `last` elements.
struct Strip<'a, V: Vector, const N: usize, const TAIL: bool> {
    g: &'a Gemm<V::Elem>,
    b: *const V::Elem,
    b_row: usize,
    j: usize,
    last: usize,
}

impl<'a, V: Vector, const N: usize, const TAIL: bool> Strip<'a, V, N, TAIL> {
    #[inline(always)]
    fn new(g: &'a Gemm<V::Elem>, b: *const V::Elem, b_row: usize, j: usize, cols: usize) -> Self {
        let last = cols - (N - 1) * V::LANES;
        Strip { g, b, b_row, j, last }
    }
}

impl<V: Vector, const N: usize, const TAIL: bool> Kernel for Strip<'_, V, N, TAIL> {
    #[inline(always)]
    unsafe fn run(self) {
        let m = self.g.m;
        // SAFETY: tiles cover the rows once; the rest is promised by the caller.
        unsafe {
            if N > NV {
                match m {
                    1 => self.tile::<1>(0),
                    2 => self.tile::<2>(0),
                    _ => self.tile::<3>(0),
                }
                return;
            }
            // As few tiles as possible, of about equal height: a tile of one or two rows runs at a fraction of
            // the speed.
            let tiles = m.div_ceil(MR);
            let (height, mut taller) = (m / tiles, m % tiles);
            let mut i = 0;
            while i < m {
                let rows = height + usize::from(taller > 0);
                taller = taller.saturating_sub(1);
                match rows {
                    1 => self.tile::<1>(i),
                    2 => self.tile::<2>(i),
                    3 => self.tile::<3>(i),
                    4 => self.tile::<4>(i),
                    5 => self.tile::<5>(i),
                    _ => self.tile::<6>(i),
                }
                i += rows;
            }
        }
    }
}

impl<V: Vector, const N: usize, const TAIL: bool> Strip<'_, V, N, TAIL> {
    /// Rows `i..i + M` of the strip.
    ///
    /// # Safety
    /// As [`Scalar::gemm`]; the rows are within the result.
    #[inline(always)]
    unsafe fn tile<const M: usize>(&self, i: usize) {
        let g = self.g;
        // SAFETY: rows, columns and k are within the sizes, so the caller promises that the elements are valid.
        unsafe {
            let zero = V::splat(V::Elem::ZERO);
            let mut acc = [[zero; N]; M];
            let mut a = g.a.add(i * g.a_row);
            let mut b = self.b;
            for _ in 0..g.k {
                let mut bv = [zero; N];
                for v in 0..N {
                    let from = b.add(v * V::LANES);
                    bv[v] = if TAIL && v == N - 1 { V::load_part(from, self.last) } else { V::load(from) };
                }
                for r in 0..M {
                    let x = V::splat(*a.add(r * g.a_row));
                    for v in 0..N {
                        acc[r][v] = x.mul_add(bv[v], acc[r][v]);
                    }
                }
                a = a.wrapping_add(g.a_col);
                b = b.wrapping_add(self.b_row);
            }
            let alpha = V::splat(g.alpha);
            for r in 0..M {
                for v in 0..N {
                    let j = self.j + v * V::LANES;
                    let c = g.c.add((i + r) * g.c_row + j);
                    let part = TAIL && v == N - 1;
                    let mut y = alpha.mul(acc[r][v]);
                    if g.beta != V::Elem::ZERO {
                        let old = if part { V::load_part(c, self.last) } else { V::load(c) };
                        y = V::splat(g.beta).mul_add(old, y);
                    }
                    if !g.bias.is_null() {
                        let bias = g.bias.add((i + r) * g.bias_row + j * g.bias_col);
                        let bias = if g.bias_col == 0 {
                            V::splat(*bias)
                        } else if part {
                            V::load_part(bias, self.last)
                        } else {
                            V::load(bias)
                        };
                        y = y.add(bias);
                    }
                    if part && self.last < V::LANES {
                        y.store_part(c, self.last);
                    } else {
                        y.store(c);
                    }
                }
            }
        }
    }
}

/// Few rows times a `b` whose columns are contiguous: dot products along the inner dimension.
struct Dots<'a, V: Vector>(&'a Gemm<V::Elem>);

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

/// Writes one element from its sum.
///
/// # Safety
/// As [`Scalar::gemm`]; the element is within the result.
#[inline(always)]
unsafe fn finish<T: Scalar>(g: &Gemm<T>, i: usize, j: usize, sum: T) {
    // SAFETY: promised by the caller.
    unsafe {
        let c = g.c.add(i * g.c_row + j * g.c_col);
        let mut y = g.alpha * sum;
        if g.beta != T::ZERO {
            y += g.beta * *c;
        }
        if !g.bias.is_null() {
            y += *g.bias.add(i * g.bias_row + j * g.bias_col);
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
