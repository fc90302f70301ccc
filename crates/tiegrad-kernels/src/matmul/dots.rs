//! Products of few rows or columns as dot products.

use super::Gemm;
use super::gemm::{finish, first};
use super::tile::{many_registers, whole_lines};
use super::vector::{Kernel, MOST_LANES, Vector};
use crate::cache::LINE;
use crate::scalar::Arithmetic;
use crate::simd::opaque;

/// Rows of `a` times columns of `b`, both contiguous, as dot products along the inner dimension: for a result of few rows or
/// columns, which would leave vectors along its rows mostly empty.
///
/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set; the inner strides are 1.
#[inline(always)]
pub(super) unsafe fn dots<V: Vector>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        if g.chains > 1 || g.m == 1 && g.n <= most_columns::<V>() {
            V::call(Single::<V>(g));
        } else if g.n == 1 {
            let mut i = 0;
            while i < g.m {
                let rows = ROWS.min(g.m - i);
                V::call(Column::<V> { g, i, rows, j: 0 });
                g.activate(i, rows, 0, 1);
                i += rows;
            }
        } else {
            V::call(Dots::<V>(g));
        }
    }
}

/// One row and at most as many columns as a group has, or chained ones: without what all tiles would compute first.
struct Single<'a, V: Vector>(&'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Single<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let (g, plain) = (self.0, self.0.is_plain());
        let mut j = 0;
        debug_assert!(g.m == 1 && g.n <= if g.chains > 1 { 4 } else { most_columns::<V>() });
        // SAFETY: promised by the caller; each of the columns is one of the product's.
        unsafe {
            if const { !many_registers::<V>() } {
                // Chained ones only, as others are not so many.
                while g.n - j > 2 {
                    tile::<V, 1, 2, CHAINS>(g, plain, 0, j);
                    j += 2;
                }
            }
            match (g.n - j, g.chains > 1) {
                (1, true) => tile::<V, 1, 1, CHAINS>(g, plain, 0, j),
                (1, false) => tile::<V, 1, 1, 1>(g, plain, 0, j),
                (2, true) => tile::<V, 1, 2, CHAINS>(g, plain, 0, j),
                (2, false) => tile::<V, 1, 2, 1>(g, plain, 0, j),
                // Never: at most two are left.
                _ if const { !many_registers::<V>() } => {}
                (3, true) => tile::<V, 1, 3, CHAINS>(g, plain, 0, j),
                (3, false) => tile::<V, 1, 3, 1>(g, plain, 0, j),
                (_, true) => tile::<V, 1, 4, CHAINS>(g, plain, 0, j),
                (_, false) => tile::<V, 1, 4, 1>(g, plain, 0, j),
            }
            g.activate(0, 1, 0, g.n);
        }
    }
}

/// Chains of a dot product that is chained. A multiply-add takes about four cycles, and there are two at a time.
pub(super) const CHAINS: usize = 4;

/// All rows and columns in groups.
struct Dots<'a, V: Vector>(&'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Dots<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let (g, plain) = (self.0, self.0.is_plain());
        // The longer side is read once: a few rows pass over each group of columns, or a few columns over each group of rows.
        let row = g.k * size_of::<V::Elem>();
        let block = match g.n {
            n if g.m < n => g.m,
            n if n <= most_columns::<V>() => g.m.min(ROWS),
            // Rows stay in the first-level cache for the next group of columns, if there is one.
            n if n > 4 && 8 * row > 16 << 10 => 4,
            _ => 8,
        };
        let mut i = 0;
        // SAFETY: rows and columns are within the sizes.
        unsafe {
            while i < g.m {
                let rows = block.min(g.m - i);
                let mut j = 0;
                if const { many_registers::<V>() } {
                    while g.n - j >= 4 {
                        columns::<V, 4>(g, plain, i, rows, j);
                        j += 4;
                    }
                    if g.n - j == 3 {
                        columns::<V, 3>(g, plain, i, rows, j);
                        j += 3;
                    }
                }
                while g.n - j >= 2 {
                    columns::<V, 2>(g, plain, i, rows, j);
                    j += 2;
                }
                if j < g.n {
                    V::call(Column::<V> { g, i, rows, j });
                }
                g.activate(i, rows, 0, g.n);
                i += rows;
            }
        }
    }
}

/// Column `j` of `rows` rows from `i` on, which are within the result; the inner strides are 1. Without what the tiles of several columns would compute first.
struct Column<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    i: usize,
    rows: usize,
    j: usize,
}

impl<V: Vector> Kernel for Column<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: promised by the caller.
        unsafe { columns::<V, 1>(self.g, self.g.is_plain(), self.i, self.rows, self.j) };
    }
}

/// Rows of a single group of columns after which a long activation is applied to them.
const ROWS: usize = 1024;

/// Most columns of a group.
const fn most_columns<V: Vector>() -> usize {
    if many_registers::<V>() { 4 } else { 2 }
}

/// Columns `j..j + N` of `rows` rows of the result from `i` on, in groups of rows whose sums, with N vectors of `b` and one of `a`, fit into the registers.
///
/// # Safety
/// As [`Scalar::gemm`]; the elements are within the result, and the inner strides are 1.
#[inline(always)]
unsafe fn columns<V: Vector, const N: usize>(
    g: &Gemm<V::Elem>,
    plain: bool,
    i: usize,
    rows: usize,
    j: usize,
) {
    let end = i + rows;
    let mut i = i;
    // SAFETY: promised by the caller.
    unsafe {
        if const { many_registers::<V>() && N <= 2 } {
            while end - i >= 8 {
                tile::<V, 8, N, 1>(g, plain, i, j);
                i += 8;
            }
        }
        // So many together wait less for each other than four and the rest.
        if const { many_registers::<V>() && N == 1 } {
            match end - i {
                7 => return tile::<V, 7, N, 1>(g, plain, i, j),
                6 => return tile::<V, 6, N, 1>(g, plain, i, j),
                5 => return tile::<V, 5, N, 1>(g, plain, i, j),
                _ => {}
            }
        }
        while end - i >= 4 {
            tile::<V, 4, N, 1>(g, plain, i, j);
            i += 4;
        }
        match end - i {
            3 if const { many_registers::<V>() } => tile::<V, 3, N, 1>(g, plain, i, j),
            3 => {
                tile::<V, 2, N, 1>(g, plain, i, j);
                tile::<V, 1, N, 1>(g, plain, i + 2, j);
            }
            2 => tile::<V, 2, N, 1>(g, plain, i, j),
            1 => tile::<V, 1, N, 1>(g, plain, i, j),
            _ => {}
        }
    }
}

/// Elements (i..i + R, j..j + N) of the result, each sum in C chains.
///
/// # Safety
/// As [`columns`].
#[inline(always)]
unsafe fn tile<V: Vector, const R: usize, const N: usize, const C: usize>(
    g: &Gemm<V::Elem>,
    plain: bool,
    i: usize,
    j: usize,
) {
    // Where four sums follow each other in memory, they are written at once.
    let joined = plain && g.c_col == 1 && (N == 4 || (R * N).is_multiple_of(4) && g.c_row == N);
    // So that what follows from each address is not computed before, for tiles of all sizes, which fills the stack.
    let a = opaque(g.a.wrapping_add(i * g.a_row));
    let b = opaque(g.b.wrapping_add(j * g.b_col));
    let c = g.c.wrapping_add(i * g.c_row + j * g.c_col);
    // SAFETY: rows and columns are those of the elements, which the caller promises to be valid. Joined fours are all elements of the result, and a tile has
    // at most 16.
    unsafe {
        let mut acc = [[V::splat(V::Elem::ZERO); N]; R];
        if const { C == 1 && N == 1 && R == 8 && whole_lines::<V>() } && is_shifted(g.k, a, g.a_row)
        {
            let of = shifted::<V, R>(g.k, a, g.a_row, b);
            for r in 0..R {
                acc[r][0] = of[r];
            }
        } else if const { C == 1 && N == 4 && R == 1 && whole_lines::<V>() }
            && is_shifted(g.k, b, g.b_col)
        {
            acc[0] = shifted::<V, N>(g.k, b, g.b_col, a);
        } else {
            acc = sums::<V, R, N, C>(g.k, a, g.a_row, b, g.b_col);
        }
        if joined {
            return write(acc, c, if N == 4 { g.c_row } else { 4 });
        }
        let mut sums = [V::Elem::ZERO; 16];
        write(acc, sums.as_mut_ptr(), 4);
        for r in 0..R {
            for v in 0..N {
                if plain {
                    *c.wrapping_add(r * g.c_row + v * g.c_col) = sums[r * N + v];
                } else {
                    finish(g, i + r, j + v, sums[r * N + v]);
                }
            }
        }
    }
}

/// The vectors whose lanes are the sums of R rows from `a` on and N columns from `b` on: each C chains of multiply-adds, which take a vector in turn and are summed
/// pairwise; the vectors after the last whole turn continue the first.
///
/// # Safety
/// The rows and columns are valid, k elements each.
#[inline(always)]
unsafe fn sums<V: Vector, const R: usize, const N: usize, const C: usize>(
    k: usize,
    a: *const V::Elem,
    a_row: usize,
    b: *const V::Elem,
    b_col: usize,
) -> [[V; N]; R] {
    // SAFETY: promised by the caller.
    unsafe {
        let zero = V::splat(V::Elem::ZERO);
        let mut a = [a; R];
        for r in 1..R {
            a[r] = a[r - 1].add(a_row);
        }
        let mut b = [b; N];
        for c in 1..N {
            b[c] = b[c - 1].add(b_col);
        }
        let mut acc = [[zero; N]; R];
        let mut p = 0;
        if const { C > 1 } {
            const { assert!(C.is_power_of_two()) };
            let mut chains = [[[zero; N]; R]; C];
            while k - p >= C * V::LANES {
                for chain in 0..C {
                    let at = p + chain * V::LANES;
                    for r in 0..R {
                        let x = V::load(a[r].add(at));
                        for c in 0..N {
                            let y = V::load(b[c].add(at));
                            chains[chain][r][c] = x.mul_add(y, chains[chain][r][c]);
                        }
                    }
                }
                p += C * V::LANES;
            }
            let mut half = C / 2;
            while half > 0 {
                for chain in 0..half {
                    for r in 0..R {
                        for c in 0..N {
                            chains[chain][r][c] =
                                chains[chain][r][c].add(chains[chain + half][r][c]);
                        }
                    }
                }
                half /= 2;
            }
            acc = chains[0];
        }
        while k - p >= V::LANES {
            let mut y = [zero; N];
            for c in 0..N {
                y[c] = V::load(b[c].add(p));
            }
            for r in 0..R {
                let x = V::load(a[r].add(p));
                for c in 0..N {
                    acc[r][c] = x.mul_add(y[c], acc[r][c]);
                }
            }
            p += V::LANES;
        }
        if p < k {
            let rest = k - p;
            let mut y = [zero; N];
            for c in 0..N {
                y[c] = V::load_part(b[c].add(p), rest);
            }
            for r in 0..R {
                let x = V::load_part(a[r].add(p), rest);
                for c in 0..N {
                    acc[r][c] = x.mul_add(y[c], acc[r][c]);
                }
            }
        }
        acc
    }
}

/// Bytes of a row from which it is read line by line though it does not begin at one.
const SHIFTED: usize = 1024;

/// Whether rows are long, and each begins at the same place within a line.
#[inline(always)]
fn is_shifted<T>(k: usize, a: *const T, a_row: usize) -> bool {
    k.saturating_mul(size_of::<T>()) >= SHIFTED
        && !(a as usize).is_multiple_of(LINE)
        && a_row.wrapping_mul(size_of::<T>()).is_multiple_of(LINE)
}

/// Vectors of a row that are read before the next row is.
const TURN: usize = 8;

/// [`sums`] of R rows and one column, each in one chain, for rows that do not begin at lines of the cache: lines are read whole, and the lanes of each vector picked from two of them, since
/// a vector that lies across two takes as long as both. (Measured on Zen 5 with 100 to 1,000 rows: 1.0 to 1.25 times as fast; (200,384,1) of f64 1.26 by reading [`TURN`] vectors of a row at a time. With rows that begin at
/// lines 0.85 to 1.06.)
///
/// # Safety
/// As [`sums`]; the rows [are shifted](is_shifted), and a vector is as long as a line.
#[inline(always)]
unsafe fn shifted<V: Vector, const R: usize>(
    k: usize,
    a: *const V::Elem,
    a_row: usize,
    b: *const V::Elem,
) -> [V; R] {
    let shift = (a as usize % LINE) / size_of::<V::Elem>();
    // From the begin of a row to that of its first whole line.
    let line = V::LANES - shift;
    const { assert!(SHIFTED >= 2 * LINE) };
    // SAFETY: promised by the caller. Rows are two lines long or more, as SHIFTED says, and so have a vector and the first whole line; those that are read later end with the row at the latest.
    unsafe {
        let at = PLACES.as_ptr().add(shift);
        let mut a = [a; R];
        for r in 1..R {
            a[r] = a[r - 1].add(a_row);
        }
        let mut acc = [V::splat(V::Elem::ZERO); R];
        // The line in which the next vector begins.
        let mut begun = acc;
        let y = V::load(b);
        for r in 0..R {
            acc[r] = V::load(a[r]).mul_add(y, acc[r]);
            begun[r] = V::load(a[r].add(line));
        }
        let mut p = V::LANES;
        while k - p >= TURN * V::LANES + line {
            for r in 0..R {
                for q in 0..TURN {
                    let p = p + q * V::LANES;
                    let next = V::load(a[r].add(p + line));
                    acc[r] = V::pick([begun[r], next], at).mul_add(V::load(b.add(p)), acc[r]);
                    begun[r] = next;
                }
            }
            p += TURN * V::LANES;
        }
        while k - p >= V::LANES + line {
            let y = V::load(b.add(p));
            for r in 0..R {
                let next = V::load(a[r].add(p + line));
                acc[r] = V::pick([begun[r], next], at).mul_add(y, acc[r]);
                begun[r] = next;
            }
            p += V::LANES;
        }
        while p < k {
            let y = first(b.add(p), k - p);
            for r in 0..R {
                acc[r] = first::<V>(a[r].add(p), k - p).mul_add(y, acc[r]);
            }
            p += V::LANES;
        }
        acc
    }
}

/// From a shift on, the places of a vector's lanes in two lines.
static PLACES: [u32; 2 * MOST_LANES] = {
    let mut places = [0; 2 * MOST_LANES];
    let mut l = 0;
    while l < places.len() {
        places[l] = l as u32;
        l += 1;
    }
    places
};

/// Writes the sums of lanes, row after row and four at a time, in one order wherever in a group they are; from one four to the next `step` elements.
///
/// # Safety
/// `to` is valid for the writes of all fours.
#[inline(always)]
unsafe fn write<V: Vector, const R: usize, const N: usize>(
    acc: [[V; N]; R],
    to: *mut V::Elem,
    step: usize,
) {
    // Larger ones are compiled, for N > 2, and never run.
    debug_assert!(R * N <= 12 || R * N == 16);
    // SAFETY: promised by the caller.
    unsafe {
        // Not a loop, so that sums stay in registers.
        if R * N == 16 {
            let all = [four(&acc, 0), four(&acc, 4), four(&acc, 8), four(&acc, 12)];
            return V::sum16(all, to, step);
        }
        V::sum4(four(&acc, 0), to);
        if R * N > 4 {
            V::sum4(four(&acc, 4), to.wrapping_add(step));
        }
        if R * N > 8 {
            V::sum4(four(&acc, 8), to.wrapping_add(2 * step));
        }
    }
}

/// Vectors `q..q + 4`, row after row; zeros where there are none.
///
/// # Safety
/// The processor has the instruction set.
#[inline(always)]
unsafe fn four<V: Vector, const R: usize, const N: usize>(acc: &[[V; N]; R], q: usize) -> [V; 4] {
    // SAFETY: promised by the caller.
    let mut four = [unsafe { V::splat(V::Elem::ZERO) }; 4];
    for l in 0..4 {
        if q + l < R * N {
            four[l] = acc[(q + l) / N][(q + l) % N];
        }
    }
    four
}
