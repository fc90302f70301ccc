//! Copies between strided arrays, transposes among them.

use super::{RUN, run_size};
use crate::Write;
use crate::scalar::Scalar;
use crate::simd::{stream, stream_end};
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
    if disjoint && walk.len() >= TILE * TILE / 4 && is_transpose(&walk) {
        let tasks = walk.len() / walk.row_len() / walk.dims[walk.rank - 2]
            * walk.dims[walk.rank - 2].div_ceil(TILE);
        if walk.len() < 2 * RUN {
            (0..tasks).for_each(|task| copy_tiles(w, dst, &walk, task, src));
        } else {
            parallel_for(tasks, &|task| copy_tiles(w, dst, &walk, task, src));
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

/// The side of the blocks in which a transpose goes: the pages that one touches are as many as the processor remembers.
const TILE: usize = 64;
/// Bytes of a result that is written past the cache.
const STREAMED: usize = 16 << 20;

/// Whether the walk's last dimension is dense in the destination and the one before it in the source.
fn is_transpose(walk: &Walk<2>) -> bool {
    walk.rank >= 2
        && walk.row_stride(0) == 1
        && walk.row_stride(1) != 1
        && walk.strides[1][walk.rank - 2] == 1
}

/// One block of rows of one matrix of a transpose, in parallel with others.
fn copy_tiles<T: Scalar>(w: Write, dst: Shared<T>, walk: &Walk<2>, task: usize, src: &[T]) {
    let (rows, cols) = (walk.dims[walk.rank - 2], walk.row_len());
    let (dst_row, src_col) = (walk.strides[0][walk.rank - 2], walk.row_stride(1));
    let blocks = rows.div_ceil(TILE);
    let [d, s] = walk.cursor(task / blocks * rows).at;
    let first = task % blocks * TILE;
    let height = TILE.min(rows - first);
    // Past the cache where the result would not stay in it anyway.
    let streams = w == Write::Overwrite && walk.len() * size_of::<T>() >= STREAMED;
    let mut room = [[T::ZERO; TILE]; TILE];
    for col in (0..cols).step_by(TILE) {
        let width = TILE.min(cols - col);
        for (j, room) in room[..width].iter_mut().enumerate() {
            let at = s + first + (col + j) * src_col;
            room[..height].copy_from_slice(&src[at..at + height]);
        }
        for i in 0..height {
            let at = d + (first + i) * dst_row + col;
            // SAFETY: the caller has found that all elements of the walk are at places of their own, and each
            // is written by one task.
            let out = unsafe { dst.range(at, at + width) };
            if streams {
                let mut line = [T::ZERO; TILE];
                for (x, room) in line.iter_mut().zip(&room[..width]) {
                    *x = room[i];
                }
                stream(out, &line[..width]);
                continue;
            }
            for (o, room) in out.iter_mut().zip(&room) {
                *o = if w == Write::Accumulate {
                    *o + room[i]
                } else {
                    room[i]
                };
            }
        }
    }
    if streams {
        stream_end();
    }
}

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
