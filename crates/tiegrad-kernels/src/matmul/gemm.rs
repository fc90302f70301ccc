//! The product of one pair of matrices: tiles of the result held in registers, over a `Vector`.

use super::Gemm;
use super::vector::{Kernel, Portable, Vector};
use crate::buffer::AlignedBuf;
use crate::scalar::Scalar;
use crate::simd::{Level, level};
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// The inner dimension is summed in blocks of this length; each block is one chain of multiply-adds.
const KC: usize = 256;
/// Rows whose part of `a` (MC x KC) stays in the second-level cache while strips of `b` pass.
const MC: usize = 512;
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
            Level::Avx2 | Level::Avx512 => unsafe { gemm::<std::arch::x86_64::__m256>(g) },
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
            Level::Avx2 | Level::Avx512 => unsafe { gemm::<std::arch::x86_64::__m256d>(g) },
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

/// The product for `k <= KC` and contiguous rows of `c`. Copying operands first or not changes no bit.
///
/// # Safety
/// As `gemm`.
#[inline]
unsafe fn block<V: Vector>(g: &Gemm<V::Elem>) {
    // Strips of a large `b` are read once per tile of rows, from rows that are far apart.
    let rereads = g.m >= 48 && g.k * g.n > 8192;
    // Columns of `a` touch a line per element, and rows that are whole pages apart fall on one set of the cache.
    let far = if g.a_col == 1 {
        g.n >= 256 && (g.a_row * size_of::<V::Elem>()).is_multiple_of(4096)
    } else {
        g.k * g.a_col > 1 << 15
    };
    let scattered_a = far && g.m >= 96 && g.n >= 128 && g.k >= 64;
    // SAFETY: promised by the caller.
    unsafe {
        if scattered_a {
            packed_a::<V>(g);
        } else if g.b_col == 1 && !rereads {
            V::call(Strips::<V>(g));
        } else if g.k <= 16 {
            packed::<V, 16>(g);
        } else {
            packed::<V, KC>(g);
        }
    }
}

/// Room for a packed strip of `b`: `K` rows of at most 16 elements.
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
        for j in (0..g.n).step_by(width) {
            let mut part = g.part(i, MC.min(g.m - i), j, width.min(g.n - j));
            // SAFETY: the panel holds K rows of `width` elements, and k <= K.
            unsafe {
                V::call(Pack::<V> {
                    from: part.b,
                    k: g.k,
                    row: g.b_row,
                    col: g.b_col,
                    cols: part.n,
                    to: panel,
                    width,
                });
                (part.b, part.b_row, part.b_col) = (panel, width, 1);
                V::call(Strips::<V>(&part));
            }
        }
    }
}

/// Elements of a block of `a` that was copied: 512 rows.
const ROOM: usize = 512 * WIDTH;
/// From one row of the block to the next: a line more than KC, so that rows do not fall on the same sets.
const WIDTH: usize = KC + 16;

thread_local! {
    /// Where a thread copies blocks of `a` to; allocated at the first use.
    static ROOMS: RefCell<AlignedBuf<f64>> = const { RefCell::new(AlignedBuf::new()) };
}

/// Makes this thread's room, so that no later product allocates.
pub(crate) fn prepare_thread() {
    // A thread that is going away makes its own room then.
    let _ = ROOMS.try_with(|room| room.borrow_mut().resize_zeroed(ROOM));
}

/// Runs the product with blocks of rows of `a` copied first, so that a row is contiguous.
///
/// # Safety
/// As `gemm`; and `g.k <= KC`.
#[inline(never)]
unsafe fn packed_a<V: Vector>(g: &Gemm<V::Elem>) {
    let run = |room: &mut AlignedBuf<f64>| {
        room.resize_zeroed(ROOM);
        let room: *mut V::Elem = room.as_mut_ptr().cast();
        for i in (0..g.m).step_by(ROOM / WIDTH) {
            let mut part = g.part(i, (ROOM / WIDTH).min(g.m - i), 0, g.n);
            // SAFETY: the room holds ROOM / WIDTH rows of WIDTH elements of at most 8 bytes, and k <= KC. As `Pack`
            // sees it, `a` transposed has k columns and contiguous rows of the result.
            unsafe {
                let (from, cols) = (part.a, part.k);
                V::call(Pack::<V> {
                    from,
                    k: part.m,
                    row: g.a_row,
                    col: g.a_col,
                    cols,
                    to: room,
                    width: WIDTH,
                });
                (part.a, part.a_row, part.a_col) = (room, WIDTH, 1);
                packed::<V, KC>(&part);
            }
        }
    };
    // A thread that is going away has no room any more, and no need to be fast.
    if ROOMS.try_with(|room| run(&mut room.borrow_mut())).is_err() {
        run(&mut AlignedBuf::new());
    }
}

/// Copies a matrix of `k` rows and `cols` columns to contiguous rows, `width` apart.
struct Pack<V: Vector> {
    from: *const V::Elem,
    k: usize,
    row: usize,
    col: usize,
    cols: usize,
    to: *mut V::Elem,
    width: usize,
}

impl<V: Vector> Kernel for Pack<V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Pack {
            from,
            k,
            row,
            col,
            cols,
            to,
            width,
        } = self;
        // SAFETY: p < k and c < cols; the caller promises that such elements are valid on both sides.
        unsafe {
            let mut c = 0;
            while cols - c >= V::LANES {
                let from = from.add(c * col);
                let to = to.add(c);
                let mut p = 0;
                if col == 1 {
                    while p < k {
                        V::load(from.add(p * row)).store(to.add(p * width));
                        p += 1;
                    }
                } else if row == 1 {
                    while k - p >= V::HALF {
                        V::transpose(from.add(p), col, to.add(p * width), width);
                        p += V::HALF;
                    }
                }
                while p < k {
                    for l in 0..V::LANES {
                        *to.add(p * width + l) = *from.add(p * row + l * col);
                    }
                    p += 1;
                }
                c += V::LANES;
            }
            while c < cols {
                for p in 0..k {
                    *to.add(p * width + c) = *from.add(p * row + c * col);
                }
                c += 1;
            }
        }
    }
}

/// Runs the product in strips of columns, with `b` read where it is.
struct Strips<'a, V: Vector>(&'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Strips<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let mut j = 0;
        // SAFETY: strips stay within the columns; the caller promises that such elements are valid.
        unsafe {
            if g.m <= 3 {
                while g.n - j >= 4 * V::LANES {
                    Strip::<V, 4, false> {
                        g,
                        j,
                        last: V::LANES,
                    }
                    .run();
                    j += 4 * V::LANES;
                }
            }
            while g.n - j >= NV * V::LANES {
                Strip::<V, NV, false> {
                    g,
                    j,
                    last: V::LANES,
                }
                .run();
                j += NV * V::LANES;
            }
            let rest = g.n - j;
            if rest > V::LANES {
                Strip::<V, NV, true> {
                    g,
                    j,
                    last: rest - V::LANES,
                }
                .run();
            } else if rest > 0 {
                Strip::<V, 1, true> { g, j, last: rest }.run();
            }
        }
    }
}

/// Columns from `j` on of the result, `N` vectors wide, all rows; rows of `b` are contiguous. In a strip with
/// `TAIL` the last vector has `last` elements.
struct Strip<'a, V: Vector, const N: usize, const TAIL: bool> {
    g: &'a Gemm<V::Elem>,
    j: usize,
    last: usize,
}

impl<V: Vector, const N: usize, const TAIL: bool> Strip<'_, V, N, TAIL> {
    /// # Safety
    /// As [`Kernel::run`], for these columns.
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
            let (height, mut taller) = if m <= MR {
                (m, 0)
            } else {
                let tiles = m.div_ceil(MR);
                (m / tiles, m % tiles)
            };
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
            if N == NV && !TAIL && g.k >= 64 {
                for r in 0..M {
                    for v in 0..N {
                        V::prefetch(g.c.add((i + r) * g.c_row + self.j + v * V::LANES));
                    }
                }
            }
            let mut a = g.a.add(i * g.a_row);
            let mut b = g.b.add(self.j);
            for _ in 0..g.k {
                let mut bv = [zero; N];
                for v in 0..N {
                    let from = b.add(v * V::LANES);
                    bv[v] = if TAIL && v == N - 1 {
                        V::load_part(from, self.last)
                    } else {
                        V::load(from)
                    };
                }
                for r in 0..M {
                    let x = V::splat(*a.add(r * g.a_row));
                    for v in 0..N {
                        acc[r][v] = x.mul_add(bv[v], acc[r][v]);
                    }
                }
                a = a.wrapping_add(g.a_col);
                b = b.wrapping_add(g.b_row);
            }
            let alpha = V::splat(g.alpha);
            for r in 0..M {
                for v in 0..N {
                    let j = self.j + v * V::LANES;
                    let c = g.c.add((i + r) * g.c_row + j);
                    let part = TAIL && v == N - 1;
                    let mut y = alpha.mul(acc[r][v]);
                    if g.beta != V::Elem::ZERO {
                        let old = if part {
                            V::load_part(c, self.last)
                        } else {
                            V::load(c)
                        };
                        y = V::splat(g.beta).mul_add(old, y);
                    }
                    if !g.bias.is_null() {
                        let bias = if g.bias_by_row {
                            V::splat(*g.bias.add(i + r))
                        } else if part {
                            V::load_part(g.bias.add(j), self.last)
                        } else {
                            V::load(g.bias.add(j))
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
