//! Squares in the registers of SSE2, AVX2 and AVX-512.

use super::super::stream::x86::{line_avx2, line_avx512};
use super::{Band, MOST, Scalar, Square, lead, side, write};
use crate::simd::array;
use std::arch::x86_64::*;

/// # Safety
/// As [`write`].
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn avx512<T: Scalar, const PAST: bool>(b: &Band<T>, kept: *mut T) {
    // SAFETY: promised by the caller.
    unsafe { write::<T, Avx512, PAST>(b, kept) }
}

/// # Safety
/// As [`write`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<T: Scalar, const PAST: bool>(b: &Band<T>, kept: *mut T) {
    // SAFETY: promised by the caller.
    unsafe { write::<T, Avx2, PAST>(b, kept) }
}

/// AVX-512: a line is a register. `T` has 4 or 8 bytes.
pub(super) struct Avx512;
/// AVX2: a line is two registers. `T` has 4 or 8 bytes.
pub(super) struct Avx2;

impl<T: Scalar> Square<T> for Avx512 {
    const AT_ONCE: bool = true;

    #[inline(always)]
    unsafe fn put<const PAST: bool>(from: *const T, from_row: usize, to: *mut T, to_row: usize) {
        // SAFETY: promised by the caller.
        unsafe {
            let store = |i: usize, x: __m512| {
                let to = to.add(i * to_row).cast();
                if PAST {
                    _mm512_stream_ps(to, x);
                } else {
                    _mm512_storeu_ps(to, x);
                }
            };
            let load = |j: usize| _mm512_loadu_ps(from.add(j * from_row).cast());
            if size_of::<T>() == 4 {
                let y = sixteen(array(load));
                for i in 0..16 {
                    store(i, y[i]);
                }
            } else {
                let y = eight(array(|j| _mm512_castps_pd(load(j))));
                for i in 0..8 {
                    store(i, _mm512_castpd_ps(y[i]));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn line(to: *mut T, from: *const T) {
        // SAFETY: promised by the caller.
        unsafe { line_avx512(to.cast(), from.cast()) }
    }

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
        // In registers: what was just stored could not be loaded in other pieces before it is in the cache, behind all that goes past it.
        // SAFETY: promised by the caller.
        unsafe {
            let load = |j: usize| _mm512_loadu_ps(from.add(j * from_row).cast());
            let mut y = [_mm512_setzero_ps(); MOST];
            if size_of::<T>() == 4 {
                y = sixteen(array(load));
            } else {
                let x = eight(array(|j| _mm512_castps_pd(load(j))));
                for i in 0..8 {
                    y[i] = _mm512_castpd_ps(x[i]);
                }
            }
            let first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            for i in 0..l {
                if i < skip {
                    continue;
                }
                let (kept, to) = (kept.add(i * l), to.add(i * to_row).sub(l));
                let lead = lead(to);
                // Of both one after the other, a line from the lead on.
                let from = _mm512_set1_epi32((lead * size_of::<T>() / 4) as i32);
                let from = _mm512_add_epi32(first, from);
                let line = _mm512_permutex2var_ps(_mm512_loadu_ps(kept.cast()), from, y[i]);
                _mm512_storeu_ps(kept.cast(), y[i]);
                _mm512_stream_ps(to.add(lead).cast(), line);
            }
        }
    }
}

impl<T: Scalar> Square<T> for Avx2 {
    #[inline(always)]
    unsafe fn put<const PAST: bool>(from: *const T, from_row: usize, to: *mut T, to_row: usize) {
        // SAFETY: promised by the caller.
        unsafe {
            // Both halves of a line one after the other.
            let store = |i: usize, x: __m256, y: __m256| {
                let to: *mut f32 = to.add(i * to_row).cast();
                if PAST {
                    _mm256_stream_ps(to, x);
                    _mm256_stream_ps(to.add(8), y);
                } else {
                    _mm256_storeu_ps(to, x);
                    _mm256_storeu_ps(to.add(8), y);
                }
            };
            let load = |i: usize, j: usize| _mm256_loadu_ps(from.add(j * from_row + i).cast());
            if size_of::<T>() == 4 {
                for i in (0..16).step_by(8) {
                    let x = eight_singles(array(|j| load(i, j)));
                    let y = eight_singles(array(|j| load(i, 8 + j)));
                    for k in 0..8 {
                        store(i + k, x[k], y[k]);
                    }
                }
            } else {
                for i in (0..8).step_by(4) {
                    let x = four(array(|j| _mm256_castps_pd(load(i, j))));
                    let y = four(array(|j| _mm256_castps_pd(load(i, 4 + j))));
                    for k in 0..4 {
                        store(i + k, _mm256_castpd_ps(x[k]), _mm256_castpd_ps(y[k]));
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn line(to: *mut T, from: *const T) {
        // SAFETY: promised by the caller.
        unsafe { line_avx2(to.cast(), from.cast()) }
    }
}

/// The transpose of 16 by 16 numbers of 4 bytes.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn sixteen(x: [__m512; 16]) -> [__m512; 16] {
    // SAFETY: promised by the caller.
    unsafe {
        // 4 by 4 in each quarter: quarter q of y[4 * i + k] holds elements 4 * q + k of rows 4 * i to 4 * i + 3.
        let mut y = x;
        for i in (0..16).step_by(4) {
            let (a, b) = (
                _mm512_unpacklo_ps(x[i], x[i + 1]),
                _mm512_unpackhi_ps(x[i], x[i + 1]),
            );
            let (c, d) = (
                _mm512_unpacklo_ps(x[i + 2], x[i + 3]),
                _mm512_unpackhi_ps(x[i + 2], x[i + 3]),
            );
            y[i] = _mm512_shuffle_ps::<0x44>(a, c);
            y[i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
            y[i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
            y[i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
        }
        // And the quarters: 0 and 2 of both operands, 1 and 3.
        let mut z = y;
        for k in 0..4 {
            let even = _mm512_shuffle_f32x4::<0x88>(y[k], y[4 + k]);
            let odd = _mm512_shuffle_f32x4::<0xdd>(y[k], y[4 + k]);
            let even2 = _mm512_shuffle_f32x4::<0x88>(y[8 + k], y[12 + k]);
            let odd2 = _mm512_shuffle_f32x4::<0xdd>(y[8 + k], y[12 + k]);
            z[k] = _mm512_shuffle_f32x4::<0x88>(even, even2);
            z[4 + k] = _mm512_shuffle_f32x4::<0x88>(odd, odd2);
            z[8 + k] = _mm512_shuffle_f32x4::<0xdd>(even, even2);
            z[12 + k] = _mm512_shuffle_f32x4::<0xdd>(odd, odd2);
        }
        z
    }
}

/// The transpose of 8 by 8 numbers of 8 bytes.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn eight(x: [__m512d; 8]) -> [__m512d; 8] {
    // SAFETY: promised by the caller.
    unsafe {
        // 2 by 2 in each quarter: quarter q of y[2 * i + k] holds elements 2 * q + k of rows 2 * i and 2 * i + 1.
        let mut y = x;
        for i in (0..8).step_by(2) {
            y[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
            y[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
        }
        let mut z = y;
        for k in 0..2 {
            let even = _mm512_shuffle_f64x2::<0x88>(y[k], y[2 + k]);
            let odd = _mm512_shuffle_f64x2::<0xdd>(y[k], y[2 + k]);
            let even2 = _mm512_shuffle_f64x2::<0x88>(y[4 + k], y[6 + k]);
            let odd2 = _mm512_shuffle_f64x2::<0xdd>(y[4 + k], y[6 + k]);
            z[k] = _mm512_shuffle_f64x2::<0x88>(even, even2);
            z[2 + k] = _mm512_shuffle_f64x2::<0x88>(odd, odd2);
            z[4 + k] = _mm512_shuffle_f64x2::<0xdd>(even, even2);
            z[6 + k] = _mm512_shuffle_f64x2::<0xdd>(odd, odd2);
        }
        z
    }
}

/// The transpose of 8 by 8 numbers of 4 bytes.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn eight_singles(x: [__m256; 8]) -> [__m256; 8] {
    // SAFETY: promised by the caller.
    unsafe {
        // 4 by 4 in each half, as in `sixteen`.
        let mut y = x;
        for i in (0..8).step_by(4) {
            let (a, b) = (
                _mm256_unpacklo_ps(x[i], x[i + 1]),
                _mm256_unpackhi_ps(x[i], x[i + 1]),
            );
            let (c, d) = (
                _mm256_unpacklo_ps(x[i + 2], x[i + 3]),
                _mm256_unpackhi_ps(x[i + 2], x[i + 3]),
            );
            y[i] = _mm256_shuffle_ps::<0x44>(a, c);
            y[i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            y[i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            y[i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
        }
        let mut z = y;
        for k in 0..4 {
            z[k] = _mm256_permute2f128_ps::<0x20>(y[k], y[4 + k]);
            z[4 + k] = _mm256_permute2f128_ps::<0x31>(y[k], y[4 + k]);
        }
        z
    }
}

/// The transpose of 4 by 4 numbers of 8 bytes.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn four(x: [__m256d; 4]) -> [__m256d; 4] {
    // SAFETY: promised by the caller.
    unsafe {
        let (a, b) = (
            _mm256_unpacklo_pd(x[0], x[1]),
            _mm256_unpackhi_pd(x[0], x[1]),
        );
        let (c, d) = (
            _mm256_unpacklo_pd(x[2], x[3]),
            _mm256_unpackhi_pd(x[2], x[3]),
        );
        [
            _mm256_permute2f128_pd::<0x20>(a, c),
            _mm256_permute2f128_pd::<0x20>(b, d),
            _mm256_permute2f128_pd::<0x31>(a, c),
            _mm256_permute2f128_pd::<0x31>(b, d),
        ]
    }
}

/// [`Square::put`] by blocks that are 16 bytes wide on both sides. `T` has 4 or 8 bytes.
///
/// # Safety
/// As for that; the processor has SSE2, which is in the baseline.
#[inline(always)]
pub(super) unsafe fn sse2<T: Scalar, const PAST: bool>(
    from: *const T,
    from_row: usize,
    to: *mut T,
    to_row: usize,
) {
    let l = side::<T>();
    let n = size_of::<__m128>() / size_of::<T>();
    for i in (0..l).step_by(n) {
        for j in (0..l).step_by(n) {
            // SAFETY: promised by the caller.
            unsafe {
                let load = |k: usize| _mm_loadu_ps(from.add((j + k) * from_row + i).cast());
                let store = |k: usize, x: __m128| {
                    let to = to.add((i + k) * to_row + j).cast();
                    if PAST {
                        _mm_stream_ps(to, x);
                    } else {
                        _mm_storeu_ps(to, x);
                    }
                };
                if size_of::<T>() == 4 {
                    let (a, b) = (
                        _mm_unpacklo_ps(load(0), load(1)),
                        _mm_unpackhi_ps(load(0), load(1)),
                    );
                    let (c, d) = (
                        _mm_unpacklo_ps(load(2), load(3)),
                        _mm_unpackhi_ps(load(2), load(3)),
                    );
                    store(0, _mm_movelh_ps(a, c));
                    store(1, _mm_movehl_ps(c, a));
                    store(2, _mm_movelh_ps(b, d));
                    store(3, _mm_movehl_ps(d, b));
                } else {
                    store(0, _mm_movelh_ps(load(0), load(1)));
                    store(1, _mm_movehl_ps(load(1), load(0)));
                }
            }
        }
    }
}
