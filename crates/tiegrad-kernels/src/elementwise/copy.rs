//! Copies between strided arrays, transposes among them.

use super::stream::{self, LINE, STREAMED};
use super::transpose::{self, Band};
use super::{RUN, run_size};
use crate::Write;
use crate::cache::asking_copies_gains;
use crate::scalar::Scalar;
use crate::simd::{level, stream_end};
use crate::strided::{Walk, disjoint};
use crate::threads::{Shared, parallel_for};
use std::ops::Range;
use std::ptr;

/// Copies (or adds) `src` to `dst`, both strided over `shape`. No two elements of `dst` may be at one place. O(n) for n elements of the shape.
///
/// # Panics
/// If strides and shape differ in length, or reach beyond a slice.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::copy_strided};
/// let mut t = [0.0_f64; 6];
/// copy_strided(Write::Overwrite, &mut t, &[2, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 3], &[3, 2]);
/// assert_eq!(t, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// ```
pub fn copy_strided<T: Scalar>(
    w: Write,
    dst: &mut [T],
    ds: &[usize],
    src: &[T],
    ss: &[usize],
    shape: &[usize],
) {
    // From the largest stride of the destination to the smallest: rows are then runs of it.
    let mut order = [0; crate::MAX_RANK];
    let rank = shape.len().min(crate::MAX_RANK);
    let whole = Walk::new(shape, [ds, ss]);
    whole.check(0, dst.len());
    whole.check(1, src.len());
    if whole.len() == 0 {
        return;
    }
    for d in 0..rank {
        order[d] = d;
    }
    order[..rank].sort_unstable_by_key(|&d| std::cmp::Reverse((ds[d], d)));
    let sorted = |s: &[usize]| {
        let mut r = [0; crate::MAX_RANK];
        for d in 0..rank {
            r[d] = s[order[d]];
        }
        r
    };
    let (shape, ds, ss) = (sorted(shape), sorted(ds), sorted(ss));
    let walk = Walk::new(&shape[..rank], [&ds[..rank], &ss[..rank]]);
    let (rows, row) = (walk.rows(), walk.row_len());
    let disjoint = disjoint(&walk.dims[..walk.rank], &walk.strides[0][..walk.rank]);
    if disjoint && walk.len() >= TRANSPOSE && is_transpose(&walk) {
        let bands = Bands::new(w, &walk, src);
        let dst = Shared::new(dst);
        let copy = |band| {
            // SAFETY: both slices were checked, all elements of the walk are at places of their own, and each band is copied once.
            unsafe { bands.copy(band, dst, src) }
        };
        if walk.len() < 2 * RUN {
            (0..bands.count()).for_each(copy);
        } else {
            parallel_for(bands.count(), &copy);
        }
        return;
    }
    if walk.len() < 2 * RUN || !disjoint {
        copy_rows(w, false, dst, &walk, 0..rows, 0..row, src);
        return;
    }
    // Each task has some whole rows or a part of a long one.
    let run = run_size(walk.len());
    let (height, width) = if row < 2 * run {
        ((run / row).max(1), row)
    } else {
        (1, run)
    };
    let past = goes_past::<T>(&walk, w);
    let across = row.div_ceil(width);
    let dst = Shared::new(dst);
    parallel_for(rows.div_ceil(height) * across, &|task| {
        let (first, left) = (task / across * height, task % across * width);
        let (end, right) = (rows.min(first + height), row.min(left + width));
        let place = |row, col| walk.cursor(row).at[0] + col * walk.row_stride(0);
        // SAFETY: the dimensions are sorted and `disjoint`: each stride is beyond all that the later dimensions reach, so places grow in the
        // order of the walk, and so do tasks, which have parts of the walk that do not overlap. `dst` is borrowed until all are done.
        let dst = unsafe { dst.range(place(first, left), place(end - 1, right - 1) + 1) };
        copy_rows(w, past, dst, &walk, first..end, left..right, src);
    });
}

/// Elements from which a transpose goes by squares.
const TRANSPOSE: usize = 1024;

/// Whether the walk's last dimension is dense in the destination and the one before it in the source.
fn is_transpose(walk: &Walk<2>) -> bool {
    walk.rank >= 2
        && walk.row_stride(0) == 1
        && walk.row_stride(1) > 1
        && walk.strides[1][walk.rank - 2] == 1
}

/// How `0..n` is cut: a first part, then parts of one size; the last is not shorter than `least` and so may be longer than that, but not by as much as
/// `least` if the first is not longer than the others or leaves as much.
#[derive(Clone, Copy)]
struct Cut {
    n: usize,
    first: usize,
    size: usize,
    least: usize,
}

impl Cut {
    fn count(&self) -> usize {
        match self.n.checked_sub(self.first + self.least) {
            None => 1,
            Some(rest) => rest / self.size + 2,
        }
    }

    /// Where a part begins, and how long it is.
    fn part(&self, i: usize) -> (usize, usize) {
        let start = match i {
            0 => 0,
            _ => self.first + (i - 1) * self.size,
        };
        let end = if i + 1 == self.count() {
            self.n
        } else {
            self.first + i * self.size
        };
        (start, end - start)
    }
}

/// The bands that the matrices of a transpose are cut into.
struct Bands<'a> {
    w: Write,
    walk: &'a Walk<2>,
    /// Whether they are written past the cache.
    past: bool,
    rows: Cut,
    cols: Cut,
}

impl<'a> Bands<'a> {
    fn new<T: Scalar>(w: Write, walk: &'a Walk<2>, src: &[T]) -> Self {
        let past = walk.len() * size_of::<T>() >= STREAMED;
        let (rows, cols) = (walk.dims[walk.rank - 2], walk.row_len());
        let (height, width) = if past {
            (transpose::ROWS, WIDTH)
        } else {
            (HEIGHT, cols)
        };
        let least = transpose::side::<T>();
        // What a band reads of each column of the source are then half pages or whole ones, where columns begin alike.
        let page = (src.as_ptr() as usize).wrapping_neg() / size_of::<T>() % height;
        let first = match page {
            _ if !past => height,
            p if p >= least => p,
            // Too few for a part of their own: with the next part, unless what that leaves would have to be with it as well.
            p if rows >= p + height + least => p + height,
            _ => height,
        };
        let cut = |n, first, size| Cut {
            n,
            first,
            size,
            least,
        };
        Bands {
            w,
            walk,
            past,
            rows: cut(rows, first, height),
            cols: cut(cols, width, width),
        }
    }

    fn count(&self) -> usize {
        let matrix = self.walk.row_len() * self.walk.dims[self.walk.rank - 2];
        self.walk.len() / matrix * self.rows.count() * self.cols.count()
    }

    /// Writes one band.
    ///
    /// # Safety
    /// All that the walk reaches is in the slices, no two of its elements are at one place of `dst`, and each band is written by one thread.
    unsafe fn copy<T: Scalar>(&self, band: usize, dst: Shared<T>, src: &[T]) {
        let walk = self.walk;
        let (to_row, from_col) = (walk.strides[0][walk.rank - 2], walk.row_stride(1));
        let (down, across) = (self.rows.count(), self.cols.count());
        let matrix = band / across / down;
        let [d, s] = walk.cursor(matrix * walk.dims[walk.rank - 2]).at;
        let (row, rows) = self.rows.part(band / across % down);
        let (col, cols) = self.cols.part(band % across);
        // SAFETY: a part of what the walk reaches, as the caller promises; no part of a cut is longer than its size and the least together.
        unsafe {
            let part = Band {
                w: self.w,
                to: dst.pointer().add(d + row * to_row + col),
                to_row,
                from: src.as_ptr().add(s + row + col * from_col),
                from_col,
                rows,
                cols,
            };
            part.run(level(), self.past);
        }
    }
}

/// Rows of a band that stays in the cache.
const HEIGHT: usize = 64;
/// Columns of a band that is written past the cache.
const WIDTH: usize = 2048;

/// Columns `cols` of rows `rows` of the walk, neither empty; dense rows `past` the cache. `dst` begins where the first of these elements goes.
fn copy_rows<T: Scalar>(
    w: Write,
    past: bool,
    dst: &mut [T],
    walk: &Walk<2>,
    rows: Range<usize>,
    cols: Range<usize>,
    src: &[T],
) {
    let (n, sd, ss) = (cols.len(), walk.row_stride(0), walk.row_stride(1));
    let mut cursor = walk.cursor(rows.start);
    let begin = cursor.at[0];
    let asks = past && asking_copies_gains();
    let end = rows.end;
    for row in rows {
        let (d, s) = (cursor.at[0] - begin, cursor.at[1] + cols.start * ss);
        let dst = &mut dst[d..d + (n - 1) * sd + 1];
        cursor.next();
        // After the last of these rows nothing is read next: the same row again, which is near.
        let next = if row + 1 < end {
            cursor.at[1] + cols.start * ss
        } else {
            s
        };
        let next = if asks {
            src.as_ptr().wrapping_add(next)
        } else {
            ptr::null()
        };
        let src = &src[s..s + (n - 1) * ss + 1];
        match (sd, ss, w) {
            // SAFETY: the level is what the machine has, and the end follows below.
            (1, 1, Write::Overwrite) if past => unsafe { stream::copy(level(), dst, src, next) },
            (1, 1, Write::Overwrite) => dst.copy_from_slice(src),
            (1, 1, Write::Accumulate) => {
                for (o, &x) in dst.iter_mut().zip(src) {
                    *o += x;
                }
            }
            // SAFETY: as for a copy.
            (1, 0, Write::Overwrite) if past => unsafe { stream::fill(level(), dst, src[0]) },
            (1, 0, Write::Overwrite) => dst.fill(src[0]),
            (1, 0, Write::Accumulate) => {
                let x = src[0];
                for o in dst {
                    *o += x;
                }
            }
            _ => {
                for i in 0..n {
                    let (o, x) = (&mut dst[i * sd], src[i * ss]);
                    *o = if w == Write::Accumulate { *o + x } else { x };
                }
            }
        }
    }
    if past {
        stream_end();
    }
}

/// Whether rows are copied past the cache: the result is large, and they are long enough for the lines that they have parts of not to matter.
fn goes_past<T: Scalar>(walk: &Walk<2>, w: Write) -> bool {
    let row = walk.row_len() * size_of::<T>();
    w == Write::Overwrite && walk.len() * size_of::<T>() >= STREAMED && row >= 16 * LINE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strided::Walk;

    /// Wherever the source lies and however many rows there are, no band has more rows than there is room for.
    #[test]
    fn bands_fit_wherever_the_source_begins() {
        let side = transpose::side::<f32>();
        let source = vec![0.0_f32; 1024];
        for rows in (2..40).chain(480..600).chain(1000..1100) {
            let columns = (STREAMED / size_of::<f32>()).div_ceil(rows);
            let strides = [&[columns, 1][..], &[1, rows][..]];
            let walk = Walk::new(&[rows, columns], strides);
            for start in 0..512 {
                let bands = Bands::new(Write::Overwrite, &walk, &source[start..]);
                assert!(bands.past);
                let mut next = 0;
                for i in 0..bands.rows.count() {
                    let (start, len) = bands.rows.part(i);
                    assert_eq!(start, next);
                    assert!(len < transpose::ROWS + side, "{rows} rows, part {i}: {len}");
                    assert!(len >= side.min(rows), "{rows} rows, part {i}: {len}");
                    next += len;
                }
                assert_eq!(next, rows);
            }
        }
    }
}
