//! Products of few rows: one or two with a large right operand, which take about the time of reading that, and up to three with a small one or with few columns.

use super::Gemm;
use super::gemm::store;
use super::tile::many_registers;
use super::vector::{Kernel, Vector};
use crate::cache::LINE;
use crate::scalar::Arithmetic;
use crate::simd::opaque;
use std::mem::MaybeUninit;

/// Room for the sums of some columns of the rows: with the rows of `b` that pass over them, they stay in the first-level cache.
const SUMS: usize = 1024;

/// One or two rows times a `b` with contiguous rows, which are read in the order of memory, a few at a time, past the sums of both.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar); k <= KC, m <= 2.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector>(g: &Gemm<V::Elem>) {
    #[repr(align(64))]
    struct Sums<T>([MaybeUninit<T>; SUMS]);
    let mut sums = Sums([MaybeUninit::<V::Elem>::uninit(); SUMS]);
    let sums: *mut V::Elem = sums.0.as_mut_ptr().cast();
    let width = if g.m == 1 {
        SUMS
    } else {
        2048 / size_of::<V::Elem>()
    };
    // Rows that lie whole pages apart fall on one set of the cache.
    let apart = (g.b_row * size_of::<V::Elem>()).is_multiple_of(4096);
    let mut j = 0;
    while j < g.n {
        let part = g.part(0, g.m, j, width.min(g.n - j));
        j += width;
        // SAFETY: columns and p are within the sizes; the sums have room for `width` columns of both rows, and the first step writes them all.
        unsafe {
            let mut p = 0;
            while !apart && g.k - p >= 8 {
                add_all::<V, 8>(&part, p, sums, width);
                p += 8;
            }
            while g.k - p >= 4 {
                add_all::<V, 4>(&part, p, sums, width);
                p += 4;
            }
            if g.k - p >= 2 {
                add_all::<V, 2>(&part, p, sums, width);
                p += 2;
            }
            if p < g.k {
                add_all::<V, 1>(&part, p, sums, width);
            }
            for i in 0..g.m {
                let mut j = 0;
                while part.is_plain() && part.n - j >= V::LANES {
                    V::load(sums.add(i * width + j)).store(part.c.add(i * g.c_row + j));
                    j += V::LANES;
                }
                while j < part.n {
                    store(&part, i, j, V::load(sums.add(i * width + j)));
                    j += V::LANES;
                }
            }
            part.activate(0, g.m, 0, part.n);
        }
    }
}

/// Up to how many bytes of `b`, of `n` columns, one row reads it so: what stays in the first-level cache, or nearly so, in whatever order it is read; any number, where all columns
/// are read at once and so in the order of memory; little where there are few registers.
#[inline(always)]
fn small<V: Vector>(n: usize) -> usize {
    if const { V::MR < 6 } {
        16 << 10
    } else if n <= MOST * V::LANES {
        usize::MAX
    } else {
        32 << 10
    }
}
/// Bytes of a `b` that two or three rows read so: little of any second-level cache. Beyond it two rows gain by reading it in the order of memory ([`rows`]).
pub(super) const NEAR: usize = 64 << 10;

/// Whether the product is one for [`small_rows`]: of one row or, where there are registers for their sums, up to three.
#[inline(always)]
pub(super) fn has_small_rows<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    // Parts too, in the order of the whole.
    if g.chains > 1 {
        return true;
    }
    let bytes = match g.m {
        1 => small::<V>(g.n),
        // Long rows of short sums are better as `outer` computes them.
        2 | 3 if const { many_registers::<V>() } && (g.k > 8 || g.n <= 3 * V::LANES) => NEAR,
        _ => return false,
    };
    g.b_col == 1 && g.k.saturating_mul(g.n).saturating_mul(size_of::<V::Elem>()) <= bytes
}

/// The most vectors of columns whose sums are in registers at once.
const MOST: usize = 6;
/// The shortest sums that are chained.
const CHAINED: usize = 16;

/// Whether the sums of a whole product may be in several [`chains`]: no more than these are, by vectors of any length.
#[inline(always)]
pub(super) fn may_be_chained<T>(g: &Gemm<T>) -> bool {
    let row = g.n.saturating_mul(size_of::<T>());
    g.m.wrapping_sub(1) < 3
        && row <= 3 * 64
        && g.m * row <= 6 * 64
        && g.k >= CHAINED
        && g.dots == 0
        && g.b_col == 1
}

/// In how many chains of multiply-adds each sum of `m` rows of so many vectors is. A multiply-add takes about four cycles, and there are two at a time, so that fewer than eight
/// chains do not fill the time. (Four vectors of a single row take as long to be loaded.)
pub(super) fn chains(m: usize, vectors: usize) -> usize {
    match m * vectors {
        0..=3 => 4,
        4..=6 if m > 1 => 2,
        _ => 1,
    }
}

/// The most vectors of columns of M rows in C chains each that are computed at once, as [`chains`] has it.
const fn most(m: usize, c: usize) -> usize {
    match c {
        4 => 3 / m,
        // Of one row too, which is one of several.
        2 if m < 3 => MOST / 2,
        2 => MOST / 3,
        _ => MOST,
    }
}

/// A few rows times a `b` with contiguous rows, small or of few columns, with the sums of up to six vectors of columns in registers; each the chain of multiply-adds of a tile, or several chains.
/// To be run where [`has_small_rows`] says yes.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set; k <= KC.
#[inline(always)]
pub(super) unsafe fn small_rows<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: m is the number of rows that each is for; the rest is promised by the caller.
    unsafe {
        match (g.m, g.chains) {
            (2, 1) if const { many_registers::<V>() } => V::call(SmallRows::<V, 2, 1, false>(g)),
            (2, 2) if const { many_registers::<V>() } => V::call(SmallRows::<V, 2, 2, false>(g)),
            (2, _) if const { many_registers::<V>() } => V::call(SmallRows::<V, 2, 4, false>(g)),
            (3, 1) if const { many_registers::<V>() } => V::call(SmallRows::<V, 3, 1, false>(g)),
            (3, 2) if const { many_registers::<V>() } => V::call(SmallRows::<V, 3, 2, false>(g)),
            (3, _) if const { many_registers::<V>() } => V::call(SmallRows::<V, 3, 4, false>(g)),
            (_, 1) if is_far(g) => V::call(SmallRows::<V, 1, 1, true>(g)),
            (_, 1) => V::call(SmallRows::<V, 1, 1, false>(g)),
            // A row of several.
            (_, 2) => V::call(SmallRows::<V, 1, 2, false>(g)),
            (_, _) if is_far(g) => V::call(SmallRows::<V, 1, 4, true>(g)),
            (_, _) => V::call(SmallRows::<V, 1, 4, false>(g)),
        }
    }
}

/// Rows of a far `b` ahead of those that are read, which are asked for.
const ASKED: usize = 16;
/// Bytes of a `b`, or of a block of it, that stays in the first-level cache.
const FIRST_LEVEL: usize = 48 << 10;

/// Whether `b`, or a block of it, is more than that. (Measured on Emerald Rapids: one row that asks is 1.1 to 1.2 times as fast beyond, and takes up to 1.15 times as long within.)
#[inline(always)]
fn is_far<T>(g: &Gemm<T>) -> bool {
    g.k.saturating_mul(g.n).saturating_mul(size_of::<T>()) > FIRST_LEVEL
}

/// All columns of M rows, which are all rows, each sum in C chains; with ASK, rows of `b` are asked for.
struct SmallRows<'a, V: Vector, const M: usize, const C: usize, const ASK: bool>(&'a Gemm<V::Elem>);

impl<V: Vector, const M: usize, const C: usize, const ASK: bool> Kernel
    for SmallRows<'_, V, M, C, ASK>
{
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let mut j = 0;
        // SAFETY: columns are within the sizes; the rest is promised by the caller.
        unsafe {
            if const { most(M, C) == MOST } {
                while g.n - j > MOST * V::LANES {
                    columns::<V, M, 4, C, false, ASK>(g, j);
                    j += 4 * V::LANES;
                }
            }
            let vectors = (g.n - j).div_ceil(V::LANES);
            debug_assert!(g.m == M && g.chains == C && vectors <= most(M, C));
            // The last arm is that of the most vectors.
            match vectors {
                _ if const { most(M, C) == 1 } => columns::<V, M, 1, C, true, ASK>(g, j),
                1 => columns::<V, M, 1, C, true, ASK>(g, j),
                _ if const { most(M, C) == 2 } => columns::<V, M, 2, C, true, ASK>(g, j),
                2 => columns::<V, M, 2, C, true, ASK>(g, j),
                _ if const { most(M, C) == 3 } => columns::<V, M, 3, C, true, ASK>(g, j),
                3 => columns::<V, M, 3, C, true, ASK>(g, j),
                4 => columns::<V, M, 4, C, true, ASK>(g, j),
                5 => columns::<V, M, 5, C, true, ASK>(g, j),
                _ => columns::<V, M, 6, C, true, ASK>(g, j),
            }
            g.activate(0, M, 0, g.n);
        }
    }
}

/// N vectors of columns from `j` on of M rows; with TAIL the last columns, of which there may be fewer in the last vector. Each sum is in C chains, which take a step of the inner dimension in
/// turn and are summed pairwise; with ASK, rows of `b` are asked for.
///
/// # Safety
/// As [`small_rows`]; m = M, and the columns are within the sizes.
#[inline(always)]
unsafe fn columns<
    V: Vector,
    const M: usize,
    const N: usize,
    const C: usize,
    const TAIL: bool,
    const ASK: bool,
>(
    g: &Gemm<V::Elem>,
    j: usize,
) {
    const { assert!(matches!(C, 1 | 2 | 4)) };
    // SAFETY: promised by the caller.
    unsafe {
        let zero = V::splat(V::Elem::ZERO);
        let last = g.n - j - (N - 1) * V::LANES;
        let mut sums = [[[zero; N]; M]; C];
        let (mut a, mut b) = (g.a, g.b.wrapping_add(j));
        for _ in 0..g.k / C {
            for c in 0..C {
                add_row::<V, M, N, TAIL, ASK>(g, a, b, last, &mut sums[c]);
                a = a.wrapping_add(g.a_col);
                b = b.wrapping_add(g.b_row);
            }
        }
        // The steps after the last whole turn.
        let rest = g.k % C;
        for c in 0..C {
            if c < rest {
                add_row::<V, M, N, TAIL, ASK>(g, a, b, last, &mut sums[c]);
                a = a.wrapping_add(g.a_col);
                b = b.wrapping_add(g.b_row);
            }
        }
        let mut half = C / 2;
        while half > 0 {
            for chain in 0..half {
                for i in 0..M {
                    for v in 0..N {
                        sums[chain][i][v] = sums[chain][i][v].add(sums[chain + half][i][v]);
                    }
                }
            }
            half /= 2;
        }
        // Apart, so that the usual sums of several rows stay in registers.
        if const { M > 1 } && g.is_plain() {
            for i in 0..M {
                let c = g.c.wrapping_add(i * g.c_row + j);
                for v in 0..N {
                    let to = c.wrapping_add(v * V::LANES);
                    if TAIL && v == N - 1 && last < V::LANES {
                        sums[0][i][v].store_part(to, last);
                    } else {
                        sums[0][i][v].store(to);
                    }
                }
            }
            return;
        }
        for i in 0..M {
            for v in 0..N {
                store(g, i, j + v * V::LANES, sums[0][i][v]);
            }
        }
    }
}

/// Adds N vectors from `b` on, the last of `last` elements with TAIL, ASK as in [`SmallRows`], times the elements from `a` on, to the sums of M rows.
///
/// # Safety
/// As [`columns`]; the elements are valid.
#[inline(always)]
unsafe fn add_row<V: Vector, const M: usize, const N: usize, const TAIL: bool, const ASK: bool>(
    g: &Gemm<V::Elem>,
    a: *const V::Elem,
    b: *const V::Elem,
    last: usize,
    sums: &mut [[V; N]; M],
) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut x = [V::splat(V::Elem::ZERO); M];
        for i in 0..M {
            x[i] = V::splat(*a.wrapping_add(i * g.a_row));
        }
        for v in 0..N {
            let from = b.wrapping_add(v * V::LANES);
            // Vectors shorter than a line ask once for as many as make one.
            if ASK && (v * V::LANES * size_of::<V::Elem>()).is_multiple_of(LINE) {
                V::prefetch(from.wrapping_add(ASKED.wrapping_mul(g.b_row)));
            }
            let y = if TAIL && v == N - 1 {
                V::load_part(from, last)
            } else {
                V::load(from)
            };
            for i in 0..M {
                sums[i][v] = x[i].mul_add(y, sums[i][v]);
            }
        }
    }
}

/// Adds rows `p..p + R` of `b` to the sums of both rows, which are `width` apart.
///
/// # Safety
/// As [`rows`]; the rows are within the sizes.
#[inline(always)]
unsafe fn add_all<V: Vector, const R: usize>(
    g: &Gemm<V::Elem>,
    p: usize,
    sums: *mut V::Elem,
    width: usize,
) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.m == 1 {
            add::<V, 1, R>(g, p, sums, width);
        } else {
            add::<V, 2, R>(g, p, sums, width);
        }
    }
}

/// Adds rows `p..p + R` of `b`, times their elements of `a`, to the sums of all I rows, one after the other; the first ones to zeros.
///
/// # Safety
/// As [`rows`]; the rows are within the sizes, m = I.
#[inline(always)]
unsafe fn add<V: Vector, const I: usize, const R: usize>(
    g: &Gemm<V::Elem>,
    p: usize,
    sums: *mut V::Elem,
    width: usize,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let mut x = [[V::splat(V::Elem::ZERO); R]; I];
        let mut b = [g.b; R];
        for r in 0..R {
            for (q, x) in x.iter_mut().enumerate() {
                x[r] = V::splat(*g.a.add(q * g.a_row + (p + r) * g.a_col));
            }
            b[r] = opaque(g.b.wrapping_add((p + r) * g.b_row));
        }
        let sum = |q: usize, j: usize| {
            if p == 0 {
                V::splat(V::Elem::ZERO)
            } else {
                V::load(sums.add(q * width + j))
            }
        };
        let mut j = 0;
        while g.n - j >= V::LANES {
            let mut y = [V::splat(V::Elem::ZERO); I];
            for q in 0..I {
                y[q] = sum(q, j);
            }
            for r in 0..R {
                let b = V::load(b[r].add(j));
                for q in 0..I {
                    y[q] = x[q][r].mul_add(b, y[q]);
                }
            }
            for q in 0..I {
                y[q].store(sums.add(q * width + j));
            }
            j += V::LANES;
        }
        if j < g.n {
            let mut y = [V::splat(V::Elem::ZERO); I];
            for q in 0..I {
                y[q] = sum(q, j);
            }
            for r in 0..R {
                let b = V::load_part(b[r].add(j), g.n - j);
                for q in 0..I {
                    y[q] = x[q][r].mul_add(b, y[q]);
                }
            }
            for q in 0..I {
                y[q].store(sums.add(q * width + j));
            }
        }
    }
}
