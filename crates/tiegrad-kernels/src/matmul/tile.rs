//! Tiles of the result that are held in registers.

use super::few::{self, has_small_rows, rows, small_rows};
use super::vector::{Kernel, NV, Vector};
use super::{Activation, Gemm};
use crate::cache::{LINE, asking_rows_gains};
use crate::scalar::Arithmetic;
use std::ops::Range;

/// Vectors in a row of a wide tile, which has half the rows: it reads twice as long a piece of each row of `b`.
pub(super) const WIDE: usize = 2 * NV;

/// Whether there are registers for wide tiles of more than three rows.
pub(super) const fn many_registers<V: Vector>() -> bool {
    V::MR > 6
}

/// Whether `b` is read where it lies by wide tiles: where there are registers for them, they make it unnecessary to copy it.
#[inline(always)]
pub(super) fn wide_tiles<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    many_registers::<V>() || g.m <= V::MR / 2
}

/// Bytes of a wide strip of `b` that does not stay in the first-level cache from tile to tile.
const LONG: usize = 64 << 10;
/// Bytes of a `b` that copies would not find near either.
const LARGE: usize = 1 << 20;

/// Whether `b` is better read where it lies by tiles as high as there are: strips of it do not stay in the first-level cache, and wide tiles would read each twice as often. For a few
/// rows of tiles; past that for a `b` that copies would not find near either, unless its rows are whole pages apart, so that a strip falls on few sets of the cache. (Measured on Emerald Rapids:
/// 1.0 to 1.6 times as fast for up to 24 rows, 1.0 to 1.27 for more.)
#[inline(always)]
pub(super) fn high_tiles<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let size = size_of::<V::Elem>();
    if const { !many_registers::<V>() || !whole_lines::<V>() }
        || g.b_col != 1
        || g.m <= V::MR / 2
        || g.n < WIDE * V::LANES
        || g.k.saturating_mul(WIDE * V::LANES * size) <= LONG
    {
        return false;
    }
    let most = if g.a_col == 1 { 6 } else { 4 };
    g.m <= 2 * V::MR
        || g.m <= most * V::MR
            && g.k.saturating_mul(g.n).saturating_mul(size) > LARGE
            && !(g.b_row * size).is_multiple_of(4096)
}

/// Whether a vector is as long as a line of the cache, so that one that does not begin at a line lies across two.
pub(super) const fn whole_lines<V: Vector>() -> bool {
    V::LANES * size_of::<V::Elem>() == LINE
}

/// Runs the product in strips of columns, with `b` read where it is.
pub(super) struct Strips<'a, V: Vector>(pub(super) &'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Strips<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let none = std::ptr::null_mut();
        let mut j = 0;
        // SAFETY: strips stay within the columns; the caller promises that such elements are valid, and that k <= KC.
        unsafe {
            if has_small_rows::<V>(g) {
                return small_rows::<V>(g);
            }
            let bytes = g.k.saturating_mul(g.n).saturating_mul(size_of::<V::Elem>());
            if g.m == 1 && g.n >= 4 * V::LANES && g.k >= 8
                || g.m == 2 && g.n >= 4 * V::LANES && bytes >= few::NEAR
            {
                return rows::<V>(g);
            }
            let wide = !high_tiles::<V>(g);
            if wide && wide_tiles::<V>(g) {
                while g.n - j >= WIDE * V::LANES {
                    V::call(Strip::<V, WIDE, false>::new(g, j, V::LANES, none));
                    j += WIDE * V::LANES;
                }
            }
            // Three or four vectors as one strip, and not as one of two and a rest that would read `a` once more.
            let rest = g.n - j;
            if const { many_registers::<V>() } && wide && rest > 3 * V::LANES {
                let last = rest - 3 * V::LANES;
                return V::call(Strip::<V, WIDE, true>::new(g, j, last, none));
            }
            if const { many_registers::<V>() } && wide && rest > NV * V::LANES {
                let last = rest - NV * V::LANES;
                return V::call(Strip::<V, 3, true>::new(g, j, last, none));
            }
            while g.n - j >= NV * V::LANES {
                V::call(Strip::<V, NV, false>::new(g, j, V::LANES, none));
                j += NV * V::LANES;
            }
            let rest = g.n - j;
            if rest > V::LANES {
                V::call(Strip::<V, NV, true>::new(g, j, rest - V::LANES, none));
            } else if rest > 0 {
                V::call(Strip::<V, 1, true>::new(g, j, rest, none));
            }
        }
    }
}

/// Columns from `j` on of the result, `N` vectors wide, all rows; rows of `b` are contiguous. In a strip with
/// `TAIL` the last vector has `last` elements.
pub(super) struct Strip<'a, V: Vector, const N: usize, const TAIL: bool> {
    g: &'a Gemm<V::Elem>,
    j: usize,
    last: usize,
    /// Where a tile that copies the strip of `b`, the first of one without tail, copies it to, for the others to read; null: nowhere.
    to: *mut V::Elem,
    /// Where `a` is copied tile by tile: from one tile to the next; 0: rows are `a_row` apart throughout.
    a_tile: usize,
    /// From this strip of `b` to the next; 0: none is asked for.
    next: usize,
}

/// Not inlined into the kernels that run strips, so that they share the tiles.
///
/// `to` has room for the strip, N vectors a row, and is null unless `copies` says yes.
impl<V: Vector, const N: usize, const TAIL: bool> Kernel for Strip<'_, V, N, TAIL> {
    #[inline(always)]
    unsafe fn run(self) {
        let m = self.g.m;
        // SAFETY: tiles cover the rows once; the rest is promised by the caller.
        unsafe {
            let (mut rows, mut taller) = heights(m, most_rows::<V, N>());
            let mut t = 0;
            let mut i = 0;
            let mut g = self.g;
            let copied;
            if const { !TAIL && V::MR >= COPIES && (N <= NV || many_registers::<V>()) }
                && !self.to.is_null()
            {
                // `copies` knows that no other heights occur.
                match most_rows::<V, N>() - rows {
                    0 if const { V::MR > 6 && N > NV } => self.tile::<6, true>(0, 0, g),
                    _ if const { V::MR > 6 && N > NV } => self.tile::<5, true>(0, 0, g),
                    0 if const { V::MR > 6 } => self.tile::<12, true>(0, 0, g),
                    1 if const { V::MR > 6 } => self.tile::<11, true>(0, 0, g),
                    2 if const { V::MR > 6 } => self.tile::<10, true>(0, 0, g),
                    _ if const { V::MR > 6 } => self.tile::<9, true>(0, 0, g),
                    0 => self.tile::<6, true>(0, 0, g),
                    _ => self.tile::<5, true>(0, 0, g),
                }
                self.activate(0, rows);
                i = rows;
                t = 1;
                let mut rest = *g;
                rest.b = self.to.wrapping_sub(self.j);
                rest.b_row = N * V::LANES;
                copied = rest;
                g = &copied;
            }
            while i < m {
                if t == taller {
                    rows -= 1;
                    taller = 0;
                }
                // The last arm is that of the highest tile, which thus takes no comparison.
                match rows {
                    1 => self.tile::<1, false>(i, t, g),
                    _ if const { most_rows::<V, N>() == 2 } => self.tile::<2, false>(i, t, g),
                    2 => self.tile::<2, false>(i, t, g),
                    _ if const { most_rows::<V, N>() == 3 } => self.tile::<3, false>(i, t, g),
                    3 => self.tile::<3, false>(i, t, g),
                    _ if const { most_rows::<V, N>() == 4 } => self.tile::<4, false>(i, t, g),
                    4 => self.tile::<4, false>(i, t, g),
                    5 => self.tile::<5, false>(i, t, g),
                    _ if const { most_rows::<V, N>() == 6 } => self.tile::<6, false>(i, t, g),
                    6 => self.tile::<6, false>(i, t, g),
                    7 => self.tile::<7, false>(i, t, g),
                    8 => self.tile::<8, false>(i, t, g),
                    9 => self.tile::<9, false>(i, t, g),
                    10 => self.tile::<10, false>(i, t, g),
                    11 => self.tile::<11, false>(i, t, g),
                    _ => self.tile::<12, false>(i, t, g),
                }
                self.activate(i, rows);
                i += rows;
                t += 1;
            }
        }
    }
}

/// Most rows of a tile `n` vectors wide.
pub(super) const fn most_rows<V: Vector, const N: usize>() -> usize {
    if N > NV { V::MR / 2 } else { V::MR }
}

/// How `m` rows are cut into tiles of at most `most` rows: as few as possible, so many of the first height and then the rest of one less. A tile
/// of one or two rows runs at a fraction of the speed.
#[inline(always)]
fn heights(m: usize, most: usize) -> (usize, usize) {
    if m <= most {
        return (m, 1);
    }
    let tiles = m.div_ceil(most);
    match m % tiles {
        0 => (m / tiles, tiles),
        taller => (m / tiles + 1, taller),
    }
}

/// The tiles of [`heights`]: the first row and the number of rows of each.
#[inline(always)]
pub(super) fn tiles(m: usize, most: usize) -> impl Iterator<Item = [usize; 2]> + Clone {
    some_tiles(m, most, 0..m.div_ceil(most))
}

/// Those of [`tiles`] with these numbers.
#[inline(always)]
pub(super) fn some_tiles(
    m: usize,
    most: usize,
    which: Range<usize>,
) -> impl Iterator<Item = [usize; 2]> + Clone {
    let (rows, taller) = heights(m, most);
    which.map(move |t| {
        let lower = t.saturating_sub(taller);
        [t * rows - lower, rows - usize::from(t >= taller)]
    })
}

/// Steps of the inner dimension before the end of a tile from which on the lines of the result are asked for, the first rows first.
const AHEAD: usize = 32;

/// Bytes of a result whose lines are worth asking for in sums of 8 to 15 steps too: it does not stay in the second-level cache beside what is read. (Measured on Emerald Rapids:
/// f32 1.1 to 1.4 times as fast, and smaller ones 0.9 to 1.05.)
const FAR: usize = 1 << 20;

/// Whether rows of the result are spread over more than that. (The stride of a single row may be any.)
#[inline(always)]
pub(super) fn writes_far<T>(g: &Gemm<T>) -> bool {
    g.m.saturating_mul(g.c_row).saturating_mul(size_of::<T>()) > FAR
}

/// Rows of the result that are asked for together.
const ROWS_ASKED: usize = 3;

/// Rows of `b` ahead of those that a tile reads, which it asks for: as long as the second-level cache takes.
const NEXT_ROWS: usize = 4;

/// Columns of `a` ahead of the one that a wide tile reads, whose first row it asks for: where columns are contiguous, all of its rows are in that line or the next, and the next column
/// may be on another page. (Measured on Emerald Rapids: 1.05 to 1.25 times as fast for contiguous columns, for contiguous rows the same. Narrow tiles, which read more rows of `a` for a step,
/// would lose up to 1.05 with the latter.)
const NEXT_COLUMNS: usize = 6;

/// Tiles of at least this many rows, and of at most three less than the most, can copy what they read of `b`.
const COPIES: usize = 5;

impl<'a, V: Vector, const N: usize, const TAIL: bool> Strip<'a, V, N, TAIL> {
    /// Whether tiles ask for what they will read and write: not the narrow ones at the right end, whose columns may be few.
    const ASKS: bool = N > NV || N == NV && !TAIL;

    pub(super) fn new(g: &'a Gemm<V::Elem>, j: usize, last: usize, to: *mut V::Elem) -> Self {
        Strip {
            g,
            j,
            last,
            to,
            a_tile: 0,
            next: N * V::LANES,
        }
    }

    /// With `a` copied tile by tile.
    pub(super) fn with_tiles(mut self, a_tile: usize) -> Self {
        self.a_tile = a_tile;
        self
    }

    /// With the next strip of `b` that far, or 0: see [`Strip::next`].
    pub(super) fn with_next(mut self, next: usize) -> Self {
        self.next = next;
        self
    }

    /// Whether the first of the tiles that `m` rows are cut into copies `b`.
    #[inline(always)]
    pub(super) fn copies(m: usize) -> bool {
        let most = most_rows::<V, N>();
        let first = m.div_ceil(m.div_ceil(most));
        if N > NV {
            m > 4 * most && first + 1 >= most
        } else {
            m > most && first >= COPIES.max(most - 3)
        }
    }

    /// One tile of a strip more than `NV` vectors wide, the `t`-th: `rows` from `i` on of the result, as many as fit or one less. With `COPY`, `b` is copied as `run` says.
    ///
    /// # Safety
    /// As [`Scalar::gemm`](crate::Scalar); the rows are within the result, as many as a wide tile has or one less; with `COPY`, `to` has room for the strip.
    #[inline(always)]
    pub(super) unsafe fn wide_tile<const COPY: bool>(&self, [i, rows]: [usize; 2], t: usize) {
        const { assert!(N > NV && !(TAIL && COPY) && (!many_registers::<V>() || V::MR == 12)) };
        debug_assert!(rows == 5 || rows == 6);
        if !TAIL {
            // What the next tile writes may be far away.
            let mut next = self.g.c.wrapping_add(i * self.g.c_row + self.j);
            for _ in 0..rows {
                for v in N..2 * N {
                    V::prefetch_near(next.wrapping_add(v * V::LANES));
                }
                next = next.wrapping_add(self.g.c_row);
            }
        }
        // SAFETY: promised by the caller.
        unsafe {
            if rows == 6 {
                self.tile::<6, COPY>(i, t, self.g);
            } else {
                self.tile::<5, COPY>(i, t, self.g);
            }
            self.activate(i, rows);
        }
    }

    /// Rows `i..i + M` of the strip, the `t`-th tile, or the `t`-th of a group of them.
    ///
    /// # Safety
    /// As [`Scalar::gemm`]; the rows are within the result. With `COPY`, as `run`.
    #[inline(always)]
    unsafe fn tile<const M: usize, const COPY: bool>(&self, i: usize, t: usize, g: &Gemm<V::Elem>) {
        // SAFETY: promised by the caller.
        unsafe {
            if const { cfg!(target_arch = "x86_64") && N > NV && !TAIL && !COPY && M >= 5 }
                && t > 0
                && !asking_rows_gains()
            {
                self.asking_tile::<M, COPY, false>(i, t, g);
            } else {
                self.asking_tile::<M, COPY, true>(i, t, g);
            }
        }
    }

    /// The same; without `ASK`, it asks for no rows of `b`.
    ///
    /// # Safety
    /// As [`tile`](Self::tile).
    #[inline(always)]
    unsafe fn asking_tile<const M: usize, const COPY: bool, const ASK: bool>(
        &self,
        i: usize,
        t: usize,
        g: &Gemm<V::Elem>,
    ) {
        // SAFETY: rows, columns and k are within the sizes, so the caller promises that the elements are valid.
        unsafe {
            let zero = V::splat(V::Elem::ZERO);
            let mut acc = [[zero; N]; M];
            // Rows in groups of three, each group with a pointer, so that few registers reach all.
            let step = g.a_row;
            let first = if self.a_tile == 0 {
                i * step
            } else {
                t * self.a_tile
            };
            let mut a = [g.a.wrapping_add(first); 4];
            for q in 1..M.div_ceil(3) {
                a[q] = a[q - 1].wrapping_add(3 * step);
            }
            let mut b = g.b.wrapping_add(self.j);
            let mut to = self.to;
            // What is written at the end is asked for shortly before, a few rows at a time, since a core waits for few lines; earlier it would be pushed out by
            // what passes. Tiles ask for the next rows of `b`, and the first of a strip for rows far ahead instead, where those of a large matrix are pages apart, and near
            // the end for the first rows of the next strip.
            let ahead = if const { Self::ASKS } && (g.k >= 16 || g.k >= 8 && writes_far(g)) {
                AHEAD.min(g.k)
            } else {
                0
            };
            let fetch = !TAIL && t == 0 && ahead > 0 && self.next != 0;
            // Where they lie beyond the operands, or the stride is that of a single row or column, they are nothing, and asked for in vain.
            let mut from_b = if fetch { ahead } else { NEXT_ROWS }.wrapping_mul(g.b_row);
            let from_a = NEXT_COLUMNS.wrapping_mul(g.a_col);
            let groups = const { M.div_ceil(ROWS_ASKED) };
            let mut asked = 0;
            let mut part = g.k - ahead;
            loop {
                for _ in 0..part {
                    let mut bv = [zero; N];
                    for v in 0..N {
                        let from = b.wrapping_add(v * V::LANES);
                        bv[v] = self.load(from, v);
                        if const { Self::ASKS && ASK } {
                            V::prefetch(from.wrapping_add(from_b));
                        }
                        if COPY {
                            bv[v].store(to.add(v * V::LANES));
                        }
                    }
                    if const { Self::ASKS && N <= NV && whole_lines::<V>() } {
                        // One more line, as below.
                        V::prefetch(b.wrapping_add(N * V::LANES - 1).wrapping_add(from_b));
                    }
                    if COPY {
                        to = to.add(N * V::LANES);
                    }
                    for r in 0..M {
                        let x = V::splat(*a[r / 3].wrapping_add(r % 3 * step));
                        for v in 0..N {
                            acc[r][v] = x.mul_add(bv[v], acc[r][v]);
                        }
                    }
                    if const { N > NV } {
                        V::prefetch(a[0].wrapping_add(from_a));
                    }
                    for q in 0..M.div_ceil(3) {
                        a[q] = a[q].wrapping_add(g.a_col);
                    }
                    b = b.wrapping_add(g.b_row);
                }
                if asked == groups || ahead == 0 {
                    break;
                }
                if asked == 0 && fetch {
                    from_b = self.next.wrapping_sub((g.k - ahead) * g.b_row);
                }
                for r in 0..ROWS_ASKED {
                    let row = i + (asked * ROWS_ASKED + r).min(M - 1);
                    let line = g.c.wrapping_add(row * g.c_row + self.j);
                    for v in 0..N {
                        V::prefetch(line.wrapping_add(v * V::LANES));
                    }
                    // One more line, where rows do not begin at one.
                    V::prefetch(line.wrapping_add(N * V::LANES - 1));
                }
                asked += 1;
                part = ahead / groups;
                if asked == groups {
                    part += ahead % groups;
                }
            }
            // One branch for all elements each, so that the usual product has none for every element.
            if g.alpha != V::Elem::ONE {
                let alpha = V::splat(g.alpha);
                for r in 0..M {
                    for v in 0..N {
                        acc[r][v] = alpha.mul(acc[r][v]);
                    }
                }
            }
            let step = g.c_row;
            let mut c = [g.c.wrapping_add(i * step + self.j); 4];
            for q in 1..M.div_ceil(3) {
                c[q] = c[q - 1].wrapping_add(3 * step);
            }
            let at = |r: usize, v: usize| c[r / 3].wrapping_add(r % 3 * step + v * V::LANES);
            if g.beta != V::Elem::ZERO {
                let beta = V::splat(g.beta);
                for r in 0..M {
                    for v in 0..N {
                        acc[r][v] = beta.mul_add(self.load(at(r, v), v), acc[r][v]);
                    }
                }
            }
            if !g.bias.is_null() {
                for r in 0..M {
                    for v in 0..N {
                        let bias = if g.bias_by_row {
                            V::splat(*g.bias.add(i + r))
                        } else {
                            self.load(g.bias.add(self.j + v * V::LANES), v)
                        };
                        acc[r][v] = acc[r][v].add(bias);
                    }
                }
            }
            if g.activation == Activation::Relu {
                for r in 0..M {
                    for v in 0..N {
                        acc[r][v] = acc[r][v].relu();
                    }
                }
            }
            let part = TAIL && self.last < V::LANES;
            for r in 0..M {
                for v in 0..N - usize::from(TAIL) {
                    acc[r][v].store(at(r, v));
                }
                if TAIL && part {
                    acc[r][N - 1].store_part(at(r, N - 1), self.last);
                } else if TAIL {
                    acc[r][N - 1].store(at(r, N - 1));
                }
            }
        }
    }

    /// Applies a long activation to rows `i..i + rows` of the strip, which have just been stored.
    ///
    /// # Safety
    /// As [`Scalar::gemm`]; the rows are within the result.
    #[inline(always)]
    unsafe fn activate(&self, i: usize, rows: usize) {
        let last = if TAIL { self.last } else { V::LANES };
        // SAFETY: promised by the caller.
        unsafe {
            self.g.activate(i, rows, self.j, (N - 1) * V::LANES + last);
        }
    }

    /// A vector of the strip, `v` from the left.
    ///
    /// # Safety
    /// The elements are valid for reads: `last` of them in the last vector of a tail.
    #[inline(always)]
    unsafe fn load(&self, from: *const V::Elem, v: usize) -> V {
        // SAFETY: promised by the caller.
        unsafe {
            if TAIL && v == N - 1 {
                V::load_part(from, self.last)
            } else {
                V::load(from)
            }
        }
    }
}
