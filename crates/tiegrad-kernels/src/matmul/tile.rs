//! Tiles of the result that are held in registers.

use super::Gemm;
use super::vector::{Kernel, NV, Vector};
use crate::scalar::Scalar;

/// Runs the product in strips of columns, with `b` read where it is.
pub(super) struct Strips<'a, V: Vector>(pub(super) &'a Gemm<V::Elem>);

impl<V: Vector> Kernel for Strips<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        let none = std::ptr::null_mut();
        let mut j = 0;
        // SAFETY: strips stay within the columns; the caller promises that such elements are valid.
        unsafe {
            if g.m <= 3 {
                while g.n - j >= 4 * V::LANES {
                    Strip::<V, 4, false>::new(g, j, V::LANES, none).run();
                    j += 4 * V::LANES;
                }
            }
            while g.n - j >= NV * V::LANES {
                Strip::<V, NV, false>::new(g, j, V::LANES, none).run();
                j += NV * V::LANES;
            }
            let rest = g.n - j;
            if rest > V::LANES {
                Strip::<V, NV, true>::new(g, j, rest - V::LANES, none).run();
            } else if rest > 0 {
                Strip::<V, 1, true>::new(g, j, rest, none).run();
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
    /// Where the first tile copies the strip of `b` to, for the others to read; null: nowhere.
    to: *mut V::Elem,
}

/// Tiles of at least this many rows can copy what they read of `b`; others are too short to be the first of many.
const COPIES: usize = 5;

impl<'a, V: Vector, const N: usize, const TAIL: bool> Strip<'a, V, N, TAIL> {
    pub(super) fn new(g: &'a Gemm<V::Elem>, j: usize, last: usize, to: *mut V::Elem) -> Self {
        Strip { g, j, last, to }
    }

    /// Whether the first of the tiles that `m` rows are cut into copies `b`.
    #[inline(always)]
    pub(super) fn copies(m: usize) -> bool {
        m > V::MR && m.div_ceil(m.div_ceil(V::MR)) >= COPIES.max(V::MR - 4)
    }

    /// # Safety
    /// As [`Kernel::run`], for these columns; `to` has room for the strip, N vectors a row, and is null unless
    /// [`copies`](Self::copies) says yes.
    #[inline(always)]
    pub(super) unsafe fn run(self) {
        let m = self.g.m;
        // SAFETY: tiles cover the rows once; the rest is promised by the caller.
        unsafe {
            if N > NV {
                match m {
                    1 => self.tile::<1, false>(0, self.g),
                    2 => self.tile::<2, false>(0, self.g),
                    _ => self.tile::<3, false>(0, self.g),
                }
                return;
            }
            // As few tiles as possible, of about equal height: a tile of one or two rows runs at a fraction of
            // the speed.
            let (height, mut taller) = if m <= V::MR {
                (m, 0)
            } else {
                let tiles = m.div_ceil(V::MR);
                (m / tiles, m % tiles)
            };
            let mut i = 0;
            let mut g = *self.g;
            if !self.to.is_null() {
                let rows = height + usize::from(taller > 0);
                taller = taller.saturating_sub(1);
                // `copies` knows that no other heights occur.
                match V::MR - rows {
                    0 if V::MR > 6 => self.tile::<14, true>(0, &g),
                    1 if V::MR > 6 => self.tile::<13, true>(0, &g),
                    2 if V::MR > 6 => self.tile::<12, true>(0, &g),
                    3 if V::MR > 6 => self.tile::<11, true>(0, &g),
                    _ if V::MR > 6 => self.tile::<10, true>(0, &g),
                    0 => self.tile::<6, true>(0, &g),
                    _ => self.tile::<5, true>(0, &g),
                }
                i = rows;
                g.b = self.to.wrapping_sub(self.j);
                g.b_row = NV * V::LANES;
            }
            while i < m {
                let rows = height + usize::from(taller > 0);
                taller = taller.saturating_sub(1);
                match rows {
                    1 => self.tile::<1, false>(i, &g),
                    2 => self.tile::<2, false>(i, &g),
                    3 => self.tile::<3, false>(i, &g),
                    4 => self.tile::<4, false>(i, &g),
                    5 => self.tile::<5, false>(i, &g),
                    6 => self.tile::<6, false>(i, &g),
                    7 if V::MR > 6 => self.tile::<7, false>(i, &g),
                    8 if V::MR > 6 => self.tile::<8, false>(i, &g),
                    9 if V::MR > 6 => self.tile::<9, false>(i, &g),
                    10 if V::MR > 6 => self.tile::<10, false>(i, &g),
                    11 if V::MR > 6 => self.tile::<11, false>(i, &g),
                    12 if V::MR > 6 => self.tile::<12, false>(i, &g),
                    13 if V::MR > 6 => self.tile::<13, false>(i, &g),
                    _ if V::MR > 6 => self.tile::<14, false>(i, &g),
                    _ => self.tile::<6, false>(i, &g),
                }
                i += rows;
            }
        }
    }

    /// Rows `i..i + M` of the strip.
    ///
    /// # Safety
    /// As [`Scalar::gemm`]; the rows are within the result. With `COPY`, as `run`.
    #[inline(always)]
    unsafe fn tile<const M: usize, const COPY: bool>(&self, i: usize, g: &Gemm<V::Elem>) {
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
            // Rows in groups of three, each group with a pointer, so that few registers reach all.
            let step = g.a_row;
            let mut a = [g.a.wrapping_add(i * step); 5];
            for q in 1..M.div_ceil(3) {
                a[q] = a[q - 1].wrapping_add(3 * step);
            }
            let mut b = g.b.wrapping_add(self.j);
            let mut to = self.to;
            for _ in 0..g.k {
                let mut bv = [zero; N];
                for v in 0..N {
                    let from = b.wrapping_add(v * V::LANES);
                    bv[v] = if TAIL && v == N - 1 {
                        V::load_part(from, self.last)
                    } else {
                        V::load(from)
                    };
                    if COPY {
                        bv[v].store(to.add(v * V::LANES));
                    }
                }
                if COPY {
                    to = to.add(NV * V::LANES);
                }
                for r in 0..M {
                    let x = V::splat(*a[r / 3].wrapping_add(r % 3 * step));
                    for v in 0..N {
                        acc[r][v] = x.mul_add(bv[v], acc[r][v]);
                    }
                }
                for q in 0..M.div_ceil(3) {
                    a[q] = a[q].wrapping_add(g.a_col);
                }
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
