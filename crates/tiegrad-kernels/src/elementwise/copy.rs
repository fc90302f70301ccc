//! Copies between strided arrays, transposes among them.

use super::transpose::{self, Band};
use super::{RUN, run_size};
use crate::Write;
use crate::scalar::Scalar;
use crate::simd::level;
use crate::strided::{Walk, disjoint};
use crate::threads::{Shared, parallel_for};

/// Copies (or adds) `src` to `dst`, both strided over `shape`. No two elements of `dst` may be at one place.
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
    let chunk = (run_size(rows * row) / row).max(1);
    let dst = Shared::new(dst);
    let disjoint = disjoint(&walk.dims[..walk.rank], &walk.strides[0][..walk.rank]);
    if disjoint && walk.len() >= TRANSPOSE && is_transpose(&walk) {
        let bands = Bands::new(w, &walk, src);
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
    if rows <= chunk || !disjoint {
        // SAFETY: the only user of `dst`, which is borrowed exclusively.
        copy_rows(w, unsafe { dst.range(0, usize::MAX) }, &walk, 0, rows, src);
        return;
    }
    parallel_for(rows.div_ceil(chunk), &|i| {
        let end = rows.min((i + 1) * chunk);
        copy_rows_shared(w, dst, &walk, i * chunk, end, src);
    });
}

/// Elements from which a transpose goes by squares.
const TRANSPOSE: usize = 1024;
/// Bytes of a result that is written past the cache, since it would not stay in it anyway.
const STREAMED: usize = 16 << 20;

/// Whether the walk's last dimension is dense in the destination and the one before it in the source.
fn is_transpose(walk: &Walk<2>) -> bool {
    walk.rank >= 2
        && walk.row_stride(0) == 1
        && walk.row_stride(1) != 1
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

/// Rows `first..end` of the walk, in parallel with others.
fn copy_rows_shared<T: Scalar>(
    w: Write,
    dst: Shared<T>,
    walk: &Walk<2>,
    first: usize,
    end: usize,
    src: &[T],
) {
    let (row, sd, ss) = (walk.row_len(), walk.row_stride(0), walk.row_stride(1));
    let mut cursor = walk.cursor(first);
    for _ in first..end {
        let [d, s] = cursor.at;
        for i in 0..row {
            // SAFETY: the caller has found that all elements of the walk are at places of their own, and each
            // is written by one thread.
            let o = unsafe { dst.range(d + i * sd, d + i * sd + 1) };
            for o in o {
                let x = src[s + i * ss];
                *o = if w == Write::Accumulate { *o + x } else { x };
            }
        }
        cursor.next();
    }
}

/// Rows `first..end` of the walk.
fn copy_rows<T: Scalar>(
    w: Write,
    dst: &mut [T],
    walk: &Walk<2>,
    first: usize,
    end: usize,
    src: &[T],
) {
    let (row, sd, ss) = (walk.row_len(), walk.row_stride(0), walk.row_stride(1));
    let mut cursor = walk.cursor(first);
    for _ in first..end {
        let [d, s] = cursor.at;
        if sd == 1 && ss == 1 {
            let (dst, src) = (&mut dst[d..d + row], &src[s..s + row]);
            if w == Write::Overwrite {
                dst.copy_from_slice(src);
            } else {
                for (o, &x) in dst.iter_mut().zip(src) {
                    *o += x;
                }
            }
        } else {
            for i in 0..row {
                let (o, x) = (&mut dst[d + i * sd], src[s + i * ss]);
                *o = if w == Write::Accumulate { *o + x } else { x };
            }
        }
        cursor.next();
    }
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
