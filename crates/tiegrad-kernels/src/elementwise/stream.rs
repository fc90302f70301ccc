//! Copies past the cache: a line that is written whole need not be read first, and what would not stay in the cache drives nothing out of it.

use crate::Write;
use crate::cache;
use crate::scalar::Scalar;
use crate::simd::{Level, level, stream_end};
use crate::threads::for_each_run;
use std::ptr;

/// Bytes of a result that is written past the cache.
pub(super) const STREAMED: usize = 16 << 20;
/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Most elements of a piece of a result that is computed in the first-level cache and then copied past all of them.
const PIECE: usize = 2048;
/// Elements of a piece, if units are not longer: few, so that the next is computed while the stores of the last are under way.
const STEP: usize = 512;

/// As [`for_each_run`], for an `f` that overwrites the result without reading it, or adds to it. A large one that is overwritten goes past the cache where the processor gains by that:
/// then `f` gets pieces of it, of whole units of so many elements.
pub(crate) fn for_each_run_past<T: Scalar>(
    w: Write,
    out: &mut [T],
    run: usize,
    unit: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    for_each_run_past_if(cache::stores_gain_past, w, out, run, unit, f);
}

/// The same where the caller says whether the processor `gains`: asked only for large results.
pub(crate) fn for_each_run_past_if<T: Scalar>(
    gains: impl FnOnce() -> bool,
    w: Write,
    out: &mut [T],
    run: usize,
    unit: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let past = w == Write::Overwrite && may_go_past::<T>(out.len(), unit) && gains();
    for_each_run(out, run, |at, out| {
        pieces(past, out, unit, |i, out| f(at + i, out));
    });
}

/// Whether a result of `len` elements goes past the cache, in units of so many.
#[inline]
pub(crate) fn goes_past<T: Scalar>(len: usize, unit: usize) -> bool {
    may_go_past::<T>(len, unit) && cache::stores_gain_past()
}

/// The same wherever the processor gains by it.
#[inline(always)]
fn may_go_past<T: Scalar>(len: usize, unit: usize) -> bool {
    T::VECTORIZED && len >= STREAMED / size_of::<T>() && (1..=PIECE).contains(&unit)
}

/// A run of a result: `f` gets it as it is or, where it goes past the cache, where each piece of whole units begins and room for it.
#[inline(always)]
pub(crate) fn pieces<T: Scalar>(
    past: bool,
    out: &mut [T],
    unit: usize,
    mut f: impl FnMut(usize, &mut [T]),
) {
    if past {
        each_piece(out, unit, &mut f);
    } else {
        f(0, out);
    }
}

/// Not inlined: the room would be everybody's.
#[inline(never)]
fn each_piece<T: Scalar>(out: &mut [T], unit: usize, f: &mut dyn FnMut(usize, &mut [T])) {
    /// Ends what is written past the cache, also if `f` panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            stream_end();
        }
    }
    let _end = End;
    let level = level();
    /// Begins at a line.
    #[repr(align(64))]
    struct Room<T>([T; PIECE]);
    let mut room = Room([T::ZERO; PIECE]);
    let step = (STEP / unit).max(1) * unit;
    for (i, out) in out.chunks_mut(step).enumerate() {
        let room = &mut room.0[..out.len()];
        f(i * step, room);
        // SAFETY: the machine has the level, and the end follows before the run does.
        unsafe { copy(level, out, room, ptr::null()) };
    }
}

/// `to = from`, past the cache but for the lines that `to` has only parts of. What lies [`ASKED`] lines ahead, or as many as there are, is asked for, at the end what is at `next`, which is read next; nothing if that is null.
///
/// # Safety
/// The machine has the level; `next` is not read and may be anything. Before `to` is used again, [`stream_end`](crate::simd::stream_end) must follow on this thread.
///
/// # Panics
/// If lengths differ.
pub(super) unsafe fn copy<T: Scalar>(level: Level, to: &mut [T], from: &[T], next: *const T) {
    assert_eq!(to.len(), from.len(), "stream::copy: lengths differ");
    if !T::VECTORIZED {
        to.copy_from_slice(from);
        return;
    }
    let line = LINE / size_of::<T>();
    let lead = lead(to.as_ptr()).min(to.len());
    let end = to.len() - (to.len() - lead) % line;
    to[..lead].copy_from_slice(&from[..lead]);
    to[end..].copy_from_slice(&from[end..]);
    let (to, from) = (&mut to[lead..end], &from[lead..end]);
    let n = to.len() / line;
    // SAFETY: both slices have n lines, and those of `to` are lines of the cache; the rest is promised by the caller.
    unsafe {
        lines(
            level,
            to.as_mut_ptr().cast(),
            from.as_ptr().cast(),
            n,
            next.cast(),
        );
    }
}

/// Lines between what a copy reads and what it asks for: a page, beyond which processors do not read ahead by themselves.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
const ASKED: usize = 64;

/// `to = x`, past the cache as by [`copy`].
///
/// # Safety
/// As for [`copy`].
pub(super) unsafe fn fill<T: Scalar>(level: Level, to: &mut [T], x: T) {
    let room = [x; STEP];
    // Pieces of whole lines: of a line that two have parts of, neither part would go past the cache.
    let (head, rest) = to.split_at_mut(lead(to.as_ptr()).min(to.len()));
    head.fill(x);
    for to in rest.chunks_mut(STEP) {
        // SAFETY: promised by the caller.
        unsafe { copy(level, to, &room[..to.len()], ptr::null()) };
    }
}

/// Elements from here to the next line of the cache.
#[inline(always)]
pub(super) fn lead<T>(p: *const T) -> usize {
    (p as usize).wrapping_neg() % LINE / size_of::<T>()
}

/// Copies `n` lines, and asks for those [`ASKED`] lines ahead, or as many as there are, at the end for those at `next`; for none if that is null.
///
/// # Safety
/// The machine has the level, `from` is valid for reads of n lines, and `to` is n lines of the cache and valid for writes; `next` is not read and may be anything.
unsafe fn lines(level: Level, to: *mut f32, from: *const f32, n: usize, next: *const f32) {
    // SAFETY: promised by the caller; SSE2 is in the baseline of x86-64.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        match level {
            Level::Avx512 => x86::avx512(to, from, n, next),
            Level::Avx2 => x86::avx2(to, from, n, next),
            _ => x86::sse2(to, from, n, next),
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = (level, next);
            to.copy_from_nonoverlapping(from, n * (LINE / size_of::<f32>()));
        }
    }
}

/// Lines by the widest registers of each level.
#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::ASKED;
    use crate::simd::prefetch;
    use std::arch::x86_64::*;

    macro_rules! lines {
        ($set:literal, $lines:ident, $line:ident, $lanes:literal, $load:ident, $stream:ident) => {
            /// Copies a line past the cache.
            ///
            /// # Safety
            /// The processor has the instruction set, `from` is valid for reads of a line, and `to` is a line of the cache and valid for writes.
            #[inline(always)]
            pub(in super::super) unsafe fn $line(to: *mut f32, from: *const f32) {
                for i in (0..16).step_by($lanes) {
                    // SAFETY: promised by the caller.
                    unsafe { $stream(to.add(i), $load(from.add(i))) };
                }
            }

            /// # Safety
            /// As for one line, of each of `n`; `next` is not read and may be anything.
            #[target_feature(enable = $set)]
            pub(super) unsafe fn $lines(
                to: *mut f32,
                from: *const f32,
                n: usize,
                next: *const f32,
            ) {
                let last = if next.is_null() { 0 } else { ASKED.min(n) };
                for i in 0..n {
                    if last > 0 {
                        let (first, left) = if i + last < n {
                            (from, i + last)
                        } else {
                            (next, i + last - n)
                        };
                        prefetch(first.wrapping_add(16 * left), 1);
                    }
                    // SAFETY: promised by the caller.
                    unsafe { $line(to.add(16 * i), from.add(16 * i)) };
                }
            }
        };
    }
    lines!(
        "avx512f",
        avx512,
        line_avx512,
        16,
        _mm512_loadu_ps,
        _mm512_stream_ps
    );
    lines!(
        "avx2",
        avx2,
        line_avx2,
        8,
        _mm256_loadu_ps,
        _mm256_stream_ps
    );
    lines!("sse2", sse2, line_sse2, 4, _mm_loadu_ps, _mm_stream_ps);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dual;
    use crate::simd::{best, stream_end};

    fn copies<T: Scalar>(number: impl Fn(usize) -> T, same: impl Fn(T, T) -> bool) {
        const ROOM: usize = 120;
        let from: Vec<T> = (0..ROOM).map(number).collect();
        for level in best().and_below() {
            for (at, source) in (0..20).flat_map(|at| (0..3).map(move |source| (at, source))) {
                for n in 0..ROOM - 20 {
                    let mut to = [T::ONE; ROOM];
                    // SAFETY: the machine has the level, and the end follows.
                    unsafe {
                        copy(
                            level,
                            &mut to[at..at + n],
                            &from[source..source + n],
                            ptr::null(),
                        )
                    };
                    stream_end();
                    for (i, &x) in to.iter().enumerate() {
                        let inside = (at..at + n).contains(&i);
                        let expected = if inside {
                            from[source + i - at]
                        } else {
                            T::ONE
                        };
                        assert!(
                            same(x, expected),
                            "{n} elements to {at}, element {i}, {level:?}"
                        );
                    }
                    // SAFETY: as for the copy.
                    unsafe { fill(level, &mut to[at..at + n], from[ROOM - 1]) };
                    stream_end();
                    for (i, &x) in to.iter().enumerate() {
                        let inside = (at..at + n).contains(&i);
                        let expected = if inside { from[ROOM - 1] } else { T::ONE };
                        assert!(
                            same(x, expected),
                            "{n} times one to {at}, element {i}, {level:?}"
                        );
                    }
                }
            }
        }
    }

    /// With lines asked for: fewer than are asked for ahead, as many, and more.
    #[test]
    fn copies_that_ask_agree_on_every_level() {
        let line = LINE / size_of::<f32>();
        let from: Vec<f32> = (0..150 * line).map(|i| i as f32 + 2.0).collect();
        for level in best().and_below() {
            for lines in [0, 1, 63, 64, 65, 66, 100, 128, 129, 148] {
                for at in [0, 5] {
                    let n = lines * line + 7;
                    let mut to = vec![1.0; from.len()];
                    // SAFETY: the machine has the level, and the end follows.
                    unsafe { copy(level, &mut to[at..at + n], &from[3..3 + n], from.as_ptr()) };
                    stream_end();
                    assert_eq!(to[at..at + n], from[3..3 + n], "{lines} lines, {level:?}");
                    let others = to[..at].iter().chain(&to[at + n..]);
                    assert!(
                        others.into_iter().all(|&x| x == 1.0),
                        "{lines} lines, {level:?}"
                    );
                }
            }
        }
    }

    /// Wherever lines begin, all is copied or filled and nothing else is written.
    #[test]
    fn copies_agree_at_all_places_on_every_level() {
        copies(|i| i as f32 + 2.0, |x, y| x == y);
        copies(|i| i as f64 + 2.0, |x, y| x == y);
        let dual = |i| Dual {
            re: i as f64 + 2.0,
            eps: i as f64 + 3.0,
        };
        copies(dual, |x, y| x.re == y.re && x.eps == y.eps);
    }
}
