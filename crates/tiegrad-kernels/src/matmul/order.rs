//! What of a product is computed as rows and as columns, and in which order its sums are: chosen from the whole shape, so that no split changes a bit.

use super::Gemm;
use super::choice::fits_half;
use super::columns::{goes_apart, holds_columns};
use super::narrow::together;
use super::tiny::is_tiny;
use super::{dots, few};
use crate::cache::LINE;
use crate::scalar::Scalar;
use crate::simd::Level;

/// Bytes of a row from which a few dot products are chained.
const CHAINED: usize = 512;

/// The number of something, which is no more than there are addresses: one instruction, where all unsigned numbers would take five.
#[inline(always)]
fn real(n: usize) -> f64 {
    n as i64 as f64
}

/// The fewest dot products of one row that are computed as a column.
const COLUMN: usize = 5;

/// Whether rows with this stride are whole pages apart.
#[inline(always)]
fn pages_apart<T>(stride: usize) -> bool {
    (stride * size_of::<T>()).is_multiple_of(4096)
}

/// The shortest sums of a few rows and columns for which columns are copied.
const COPIED: usize = 96;
/// The most columns that are copied for dot products.
const COPIED_COLUMNS: usize = 24;

impl<T: Scalar> Gemm<T> {
    /// Chooses what is computed as rows and as columns, and the order of sums, for the whole shape, with the vectors of the level; the smallest products stay as
    /// they are.
    #[inline(never)]
    pub(super) fn orient(&mut self, level: impl Fn() -> Level) {
        let sizes = [self.m, self.n, self.k];
        self.tiny = self.c_col == 1 && is_tiny::<T>(sizes, self.b_col, || level().bytes());
        if !self.tiny {
            self.arrange(level);
        }
    }

    /// The same for a product that is not one of the smallest.
    #[inline(never)]
    pub(super) fn arrange(&mut self, level: impl Fn() -> Level) {
        // Short rows that share vectors stay rows.
        if self.n <= 4 && self.m >= 32 && T::VECTORIZED {
            let lanes = level().bytes() / size_of::<T>();
            if together(self, lanes) > 0 {
                return;
            }
        }
        // What is below would transpose a column of dot products, choose them by `dots` as for every single row, and transpose it back: here without that.
        if self.n == 1
            && self.m >= COLUMN
            && self.k >= 8
            && self.b_row == 1
            && self.a_col == 1
            && self.a_row != 1
            && !pages_apart::<T>(self.a_row)
        {
            return self.become_column();
        }
        // A column is a row of the transposed product, and a column-major result its transpose.
        if (self.c_col != 1 && self.c_row == 1 && self.n != 1) || (self.n == 1 && self.m != 1) {
            self.transpose();
        }
        // Few columns leave vectors along a row mostly empty; where columns of `a` are contiguous, they are the vectors. What is copied then repays itself in long sums, or in many rows of the
        // fewest columns.
        if self.n <= 12 && self.m >= 32 && self.a_row == 1 && self.a_col != 1 {
            let fewest = self.n <= 4 && self.n * size_of::<T>() <= 24 && self.m >= 64;
            if self.k >= if fewest { 2 } else { 16 } {
                self.transpose();
            }
        }
        if self.m == 1 {
            self.a_row = 0;
        }
        if self.k == 1 {
            self.a_col = 1;
            self.b_row = 0;
        }
        if self.n == 1 {
            self.b_col = 1;
            self.c_col = 1;
        }
        if self.k >= 8 && self.a_col == 1 {
            self.dots = self.dots(&level);
            // More rows than columns are computed together, but whole pages apart all of them would fall on one set of the cache. (Above for what is a column already.)
            if self.m == 1
                && self.n >= COLUMN
                && self.dots == self.n
                && !pages_apart::<T>(self.b_col)
            {
                self.transpose();
                self.become_column();
            }
            // Each chain waits for itself, and so few chains do not fill the time.
            if self.m == 1
                && self.n <= 4
                && self.dots == self.n
                && self.k.saturating_mul(size_of::<T>()) >= CHAINED
            {
                self.chains = dots::CHAINS;
            }
        }
        if few::may_be_chained(self) {
            self.chains = self.row_chains(level());
        }
    }

    /// In how many chains the sums of a few rows are; rows of `b` are contiguous.
    #[inline(never)]
    fn row_chains(&self, level: Level) -> usize {
        let size = size_of::<T>();
        let bytes = level.bytes();
        // More chains than registers would gain nothing.
        if !T::VECTORIZED || level == Level::Portable || self.m > 1 && !level.has_many_registers() {
            return 1;
        }
        // A power of two: no division, which would take as long as some of these products.
        let vectors = (self.n * size + bytes - 1) >> bytes.trailing_zeros();
        few::chains(self.m, vectors)
    }

    /// How many of the last columns are better computed as dot products; rows of `a` are contiguous.
    #[inline(never)]
    fn dots(&self, level: impl Fn() -> Level) -> usize {
        let contiguous = self.b_row == 1 && (self.b_col != 1 || self.n == 1);
        let size = size_of::<T>();
        let easily_copied =
            goes_apart(self) && T::VECTORIZED && holds_columns(self.n, self.k, size);
        if self.m <= 3 {
            let whole = if contiguous {
                self.m == 1 || self.n > 1
            } else {
                easily_copied && self.k >= COPIED
            };
            return if whole { self.n } else { 0 };
        }
        if self.k <= 16 || !T::VECTORIZED {
            return 0;
        }
        let level = level();
        let bytes = level.bytes();
        let lanes = bytes / size;
        // Powers of two: a division would take as long as the rest.
        let tail = self.n & (lanes - 1);
        // Whole vectors of more columns than are copied.
        if tail == 0 && !contiguous && self.n > COPIED_COLUMNS {
            return 0;
        }
        let vectors_of = |n: usize| (n + lanes - 1) >> lanes.trailing_zeros();
        let (m, k) = (real(self.m), real(self.k));
        let vectors = real(vectors_of(self.k));
        // Rows that are pages apart fall on one set of the cache, and a tile has more of them than that holds; whole tiles of the longest vectors lose nothing by it.
        let whole = bytes == 64 && self.n & (2 * lanes - 1) == 0;
        let apart = if pages_apart::<T>(self.a_row) && !whole {
            1.5
        } else {
            1.0
        };
        // What a vector of columns takes to be copied; the shortest are transposed in squares of their own length, or element by element. What is said of portable vectors here and below was fitted to 400 products with
        // SSE2 on Zen 5, which are as well served by 1 to 6 cycles a copy; NEON could not be measured.
        let copied = if bytes == 16 { 3.0 } else { 0.07 * real(bytes) };
        // Cycles, fitted to the times of 3,600 products of 4 to 1,500 rows on Emerald Rapids, half of which began at lines of the cache: of tiles, whose vectors at the
        // right end of a row are partly empty and which copy columns that are contiguous ...
        let tiles = |n: usize| {
            let row = if bytes == 64 && fits_half(self.k, n, lanes) {
                0.95
            } else {
                // One beside tiles of four, or alone, fills less of the time.
                let vectors = vectors_of(n);
                let alone = n >= lanes && vectors % 4 == 1;
                match level {
                    // Two vectors wide, and an instruction more for each element of `a`.
                    Level::Portable => 1.3 * real(vectors) + 0.5 * real(vectors % 2),
                    _ if alone => real(vectors) + 0.25,
                    _ => real(vectors),
                }
            };
            let products = m * (k + 2.0);
            if contiguous {
                row * (products + copied * k) + 220.0
            } else {
                row * (apart * products + 0.25 * k) + 110.0
            }
        };
        // ... and of dot products, whose lanes are summed at the end. Columns that are not contiguous are copied, and `a` is read once more for dot products beside
        // tiles and for every three groups of columns (`dots.rs`), or for each if rows are so long that those of a group are gone by then; where columns are contiguous,
        // what is near costs nothing. Sizes and not what the processor has, so that its caches change no bit.
        let row_bytes = self.k.saturating_mul(size);
        let group = if row_bytes > 7 << 10 { 4 } else { 12 };
        let bytes_of_a = self.m.saturating_mul(row_bytes);
        let reading = if bytes_of_a > 2 << 20 {
            // From beyond the second-level cache.
            0.1 * real(size)
        } else if !contiguous || bytes_of_a > 256 << 10 {
            0.25
        } else {
            0.0
        };
        // Rows and columns of whole lines of the cache mostly begin at lines (those of tiegrad's buffers do), and then no vector lies across two. Fitted to 1,200 products on Zen 5;
        // not where the shorter side is so long that it is read from the second-level cache again and again.
        let at_lines = (self.a_row | self.b_col)
            .wrapping_mul(size)
            .is_multiple_of(LINE);
        let near = self.m.min(self.n).saturating_mul(row_bytes) <= 96 << 10;
        let (vector, sum) = if contiguous && bytes == 64 && at_lines && near {
            (1.0, 1.8)
        } else {
            (1.2, 1.5)
        };
        let dots = |n: usize| {
            let columns = real(n);
            let again = n.div_ceil(group).saturating_sub(usize::from(n == self.n));
            let cost = columns * m * (vector * vectors + sum) + reading * real(again) * m * k;
            match n {
                _ if contiguous => cost + 210.0,
                // (Lanes are picked one by one where there are no instructions for it.)
                _ if easily_copied && n == self.n => {
                    let picked = if level == Level::Portable { 15.0 } else { 2.0 };
                    cost + picked * columns * vectors + 200.0
                }
                _ if n <= COPIED_COLUMNS && holds_columns(n, self.k, size) => {
                    cost + 7.0 * columns * vectors + 500.0
                }
                _ => f64::INFINITY,
            }
        };
        let all = dots(self.n);
        let both = if tail == 0 || tail == self.n {
            f64::INFINITY
        } else {
            tiles(self.n - tail) + dots(tail)
        };
        if all.min(both) >= tiles(self.n) {
            0
        } else if all <= both {
            self.n
        } else {
            tail
        }
    }

    /// What has one column is one of dot products, whose strides from column to column are none.
    #[inline(always)]
    fn become_column(&mut self) {
        (self.b_col, self.c_col, self.dots) = (1, 1, 1);
    }

    fn transpose(&mut self) {
        std::mem::swap(&mut self.m, &mut self.n);
        std::mem::swap(&mut self.a, &mut self.b);
        (self.a_row, self.a_col, self.b_row, self.b_col) =
            (self.b_col, self.b_row, self.a_col, self.a_row);
        std::mem::swap(&mut self.c_row, &mut self.c_col);
        self.bias_by_row = !self.bias_by_row;
    }
}
