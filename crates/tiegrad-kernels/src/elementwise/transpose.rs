//! Transposes: squares as wide as a cache line, so that lines are read and written whole.

#[cfg(target_arch = "x86_64")]
mod x86;

use super::stream::{LINE, lead};
use crate::Write;
use crate::scalar::Scalar;
use crate::simd::{Level, array, stream_end};
use std::mem::MaybeUninit;

/// Most elements of a line.
const MOST: usize = LINE / size_of::<f32>();
/// Rows of a band that is written past the cache; it may have as many more as a square has. Of each column of the source, as many elements are
/// read one after the other: whole pages or large parts of them.
pub(super) const ROWS: usize = 512;

/// Elements on a side of a square.
pub(super) const fn side<T>() -> usize {
    LINE / size_of::<T>()
}

/// Part of a matrix that is written: `rows` by `cols` elements, rows dense and `to_row` apart; it is the transpose of what lies at `from`,
/// whose dense runs are `from_col` apart.
#[derive(Clone, Copy)]
pub(super) struct Band<T> {
    pub(super) w: Write,
    pub(super) to: *mut T,
    pub(super) to_row: usize,
    pub(super) from: *const T,
    pub(super) from_col: usize,
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl<T: Scalar> Band<T> {
    /// Writes it by the squares of a level; `past` the cache, where that can be done.
    ///
    /// # Safety
    /// The machine has the level, what the sizes and strides reach is valid, nothing else uses what is written, and past the cache there are at
    /// most `ROWS` rows and as many as a square has.
    pub(super) unsafe fn run(&self, level: Level, past: bool) {
        let past = past
            && T::VECTORIZED
            && self.w == Write::Overwrite
            && self.rows.min(self.cols) >= side::<T>();
        // SAFETY: promised by the caller.
        unsafe {
            if !past {
                self.choose::<false>(level, std::ptr::null_mut());
                return;
            }
            if (self.to_row * size_of::<T>()).is_multiple_of(LINE) {
                self.choose::<true>(level, std::ptr::null_mut());
            } else {
                self.shifted(level);
            }
            stream_end();
        }
    }

    /// Past the cache, with rows that begin at different places of lines. In a frame of its own, for the room.
    ///
    /// # Safety
    /// As [`run`](Band::run).
    #[inline(never)]
    unsafe fn shifted(&self, level: Level) {
        let mut kept = [const { MaybeUninit::<T>::uninit() }; (ROWS + MOST) * MOST];
        assert!(self.rows <= ROWS + side::<T>(), "a band of too many rows");
        // SAFETY: promised by the caller, and there is room for a line of each row, as was just asserted.
        unsafe { self.choose::<true>(level, kept.as_mut_ptr().cast()) };
    }

    /// # Safety
    /// As for [`write`], and [`run`](Band::run) for the level.
    unsafe fn choose<const PAST: bool>(&self, level: Level, kept: *mut T) {
        // SAFETY: promised by the caller.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if T::VECTORIZED {
                match level {
                    Level::Avx512 => return x86::avx512::<T, PAST>(self, kept),
                    Level::Avx2 => return x86::avx2::<T, PAST>(self, kept),
                    _ => {}
                }
            }
            let _ = level;
            write::<T, Portable, PAST>(self, kept);
        }
    }
}

/// How squares of as many elements as a line has, on both sides, are transposed.
trait Square<T: Scalar> {
    /// Whether `carry` may be followed by that of the same rows at once: one by way of memory would wait for what was just stored.
    const AT_ONCE: bool = false;

    /// Row i of `to` = elements i of the runs of `from`; if `PAST`, past the cache.
    ///
    /// # Safety
    /// The processor has the instruction set; as many rows as a line has elements are valid on both sides, each with as many elements, `from`'s
    /// for reads and `to`'s for writes. If `PAST`, each of `to` is a line of the cache.
    unsafe fn put<const PAST: bool>(from: *const T, from_row: usize, to: *mut T, to_row: usize);

    /// Copies as many bytes as a line has, past the cache.
    ///
    /// # Safety
    /// The processor has the instruction set, `from` is valid for reads, and `to` is a line of the cache and valid for writes.
    unsafe fn line(to: *mut T, from: *const T);

    /// A square whose rows begin within lines, but the first `skip` rows: writes the lines that end in it, past the cache, with what `kept` has of the
    /// square before, and leaves its own rows there.
    ///
    /// # Safety
    /// The processor has the instruction set; `from` as for [`put`](Square::put); `kept` has a square of its own, and rows of `to` from `skip` on are
    /// valid for writes from the elements on that `kept` is for.
    #[inline(always)]
    unsafe fn carry(
        from: *const T,
        from_row: usize,
        to: *mut T,
        to_row: usize,
        kept: *mut T,
        skip: usize,
    ) {
        let l = side::<T>();
        let mut room = [const { MaybeUninit::<T>::uninit() }; 2 * MOST * MOST];
        let room: *mut T = room.as_mut_ptr().cast();
        // SAFETY: promised by the caller; the room has two squares side by side, the second is written at once and rows of the first before
        // they are read.
        unsafe {
            Self::put::<false>(from, from_row, room.add(l), 2 * l);
            for i in skip..l {
                let (two, kept, to) = (
                    room.add(2 * i * l),
                    kept.add(i * l),
                    to.add(i * to_row).sub(l),
                );
                let lead = lead(to);
                kept.copy_to_nonoverlapping(two, l);
                Self::line(to.add(lead), two.add(lead));
                two.add(l).copy_to_nonoverlapping(kept, l);
            }
        }
    }
}

/// Where squares of side `l` begin, and how large they are, that cover `0..n`: one that ends at `lead` or beyond, then one after the other.
/// The first and the last overlap their neighbours or, if they may not, are smaller.
#[derive(Clone)]
struct Cuts {
    n: usize,
    l: usize,
    lead: usize,
    overlap: bool,
    at: usize,
}

impl Iterator for Cuts {
    type Item = (usize, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, usize)> {
        let &mut Cuts {
            n,
            l,
            lead,
            overlap,
            at,
        } = self;
        if at >= n {
            return None;
        }
        let end = n.min(if at < lead { lead } else { at + l });
        self.at = end;
        Some(if overlap && n >= l {
            (at.min(n - l), l)
        } else {
            (at, end - at)
        })
    }
}

/// Writes a band. If `PAST`, what is whole lines of the cache goes past it: either lines begin at the same elements of all rows, or `kept` has room for
/// a line of each row, and they are put together from what two squares have of them.
///
/// # Safety
/// As [`Band::run`]; the processor has what the squares need. With `kept`, there are at least as many rows and columns as a line has elements,
/// and nothing is accumulated.
#[inline(always)]
unsafe fn write<T: Scalar, S: Square<T>, const PAST: bool>(b: &Band<T>, kept: *mut T) {
    let l = side::<T>();
    let overlap = b.w == Write::Overwrite;
    let cuts = |n, lead| Cuts {
        n,
        l,
        lead,
        overlap,
        at: 0,
    };
    // Lines of the source are read whole too, where they begin at the same elements of all its runs; elsewhere they are still in the cache when
    // the next square reads the rest of them.
    let row_lead = if PAST && (b.from_col * size_of::<T>()).is_multiple_of(LINE) {
        lead(b.from)
    } else {
        0
    };
    // SAFETY: squares and parts of them lie in the band, which is valid.
    unsafe {
        if PAST && !kept.is_null() {
            return across::<T, S>(b, kept, row_lead);
        }
        let mut columns = cuts(b.cols, if PAST { lead(b.to) } else { 0 });
        while columns.at < b.cols {
            for (r, height) in cuts(b.rows, row_lead) {
                for (c, width) in columns.clone().take(GROUP / l) {
                    let (from, to) = (b.from.add(c * b.from_col + r), b.to.add(r * b.to_row + c));
                    if PAST {
                        ahead(from, b.from_col);
                    }
                    if width < l || height < l {
                        for i in 0..height {
                            for j in 0..width {
                                let (to, x) =
                                    (to.add(i * b.to_row + j), *from.add(j * b.from_col + i));
                                *to = if overlap { x } else { *to + x };
                            }
                        }
                    } else if !overlap {
                        let mut room = [const { MaybeUninit::<T>::uninit() }; MOST * MOST];
                        let room: *mut T = room.as_mut_ptr().cast();
                        S::put::<false>(from, b.from_col, room, l);
                        for i in 0..l {
                            for j in 0..l {
                                *to.add(i * b.to_row + j) += *room.add(i * l + j);
                            }
                        }
                    } else if PAST && lead(to) == 0 {
                        S::put::<true>(from, b.from_col, to, b.to_row);
                    } else {
                        S::put::<false>(from, b.from_col, to, b.to_row);
                    }
                }
            }
            columns.nth(GROUP / l - 1);
        }
    }
}

/// Columns whose squares are written side by side before those below: several lines of each row one after the other.
const GROUP: usize = 64;

/// Asks for what the second square below this one reads, into the second-level cache: runs that are a power of two apart would not stay in the first.
#[inline(always)]
fn ahead<T>(from: *const T, from_row: usize) {
    #[cfg(target_arch = "x86_64")]
    for j in 0..side::<T>() {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        let p = from.wrapping_add(j * from_row + 2 * side::<T>());
        // SAFETY: a prefetch of any address is allowed; SSE is in the baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, from_row);
}

/// [`write`] with lines that begin at different elements of the rows.
///
/// # Safety
/// As for [`write`].
#[inline(always)]
unsafe fn across<T: Scalar, S: Square<T>>(b: &Band<T>, kept: *mut T, row_lead: usize) {
    let l = side::<T>();
    let rows = || Cuts {
        n: b.rows,
        l,
        lead: row_lead,
        overlap: true,
        at: 0,
    };
    let whole = b.cols / l * l;
    let group = if S::AT_ONCE { GROUP } else { l };
    // SAFETY: squares lie in the band, which is valid. A row's line is kept in the turn of its first columns before it is read in those of others; rows that
    // the square before has had already are skipped.
    unsafe {
        for (r, _) in rows() {
            S::put::<false>(b.from.add(r), b.from_col, kept.add(r * l), l);
        }
        for r in 0..b.rows {
            let to = b.to.add(r * b.to_row);
            kept.add(r * l).copy_to_nonoverlapping(to, lead(to));
        }
        for first in (l..whole).step_by(group) {
            let mut done = 0;
            for (r, _) in rows() {
                for c in (first..whole.min(first + group)).step_by(l) {
                    let from = b.from.add(c * b.from_col + r);
                    ahead(from, b.from_col);
                    S::carry(
                        from,
                        b.from_col,
                        b.to.add(r * b.to_row + c),
                        b.to_row,
                        kept.add(r * l),
                        done - r,
                    );
                }
                done = r + l;
            }
        }
        for r in 0..b.rows {
            let to = b.to.add(r * b.to_row + whole - l);
            let lead = lead(to);
            kept.add(r * l + lead)
                .copy_to_nonoverlapping(to.add(lead), l - lead);
        }
        if whole < b.cols {
            let c = b.cols - l;
            for (r, _) in rows() {
                let (from, to) = (b.from.add(c * b.from_col + r), b.to.add(r * b.to_row + c));
                S::put::<false>(from, b.from_col, to, b.to_row);
            }
        }
    }
}

/// What the compiler's target guarantees.
struct Portable;

impl<T: Scalar> Square<T> for Portable {
    #[inline(always)]
    unsafe fn put<const PAST: bool>(from: *const T, from_row: usize, to: *mut T, to_row: usize) {
        // SAFETY: promised by the caller; SSE2 is in the baseline of x86-64.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            if T::VECTORIZED {
                return x86::sse2::<T, PAST>(from, from_row, to, to_row);
            }
            if T::VECTORIZED && size_of::<T>() == 4 {
                blocks::<u32, 4>(from.cast(), from_row, to.cast(), to_row);
            } else if T::VECTORIZED {
                blocks::<u64, 2>(from.cast(), from_row, to.cast(), to_row);
            } else {
                blocks::<T, 1>(from, from_row, to, to_row);
            }
        }
    }

    #[inline(always)]
    unsafe fn line(to: *mut T, from: *const T) {
        // SAFETY: promised by the caller; SSE2 is in the baseline of x86-64.
        unsafe {
            #[cfg(target_arch = "x86_64")]
            super::stream::x86::line_sse2(to.cast(), from.cast());
            #[cfg(not(target_arch = "x86_64"))]
            from.copy_to_nonoverlapping(to, side::<T>());
        }
    }
}

/// A square by blocks of `N` by `N`.
///
/// # Safety
/// As [`Square::put`].
#[inline(always)]
unsafe fn blocks<U: Copy, const N: usize>(
    from: *const U,
    from_row: usize,
    to: *mut U,
    to_row: usize,
) {
    let l = side::<U>();
    for i in (0..l).step_by(N) {
        for j in (0..l).step_by(N) {
            // SAFETY: a block of the square; an array needs no more alignment than its elements.
            unsafe {
                let x: [[U; N]; N] =
                    array(|k| from.add((j + k) * from_row + i).cast::<[U; N]>().read());
                for k in 0..N {
                    let row: [U; N] = array(|n| x[n][k]);
                    to.add((i + k) * to_row + j).cast::<[U; N]>().write(row);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
