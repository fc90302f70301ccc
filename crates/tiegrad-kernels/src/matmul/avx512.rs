//! Vectors of AVX-512: 32 registers of 64 bytes, and parts of vectors by mask.

use super::vector::{Kernel, Vector, compiled_here};
use std::arch::x86_64::*;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn call<K: Kernel>(k: K) {
    // SAFETY: promised by the caller.
    unsafe { k.run() }
}

/// The mask of the first `n` lanes.
#[inline(always)]
fn first(n: usize) -> u32 {
    !(u32::MAX << (n as u32 & 31))
}

impl Vector for __m512 {
    type Elem = f32;
    const LANES: usize = 16;
    const MR: usize = 12;
    const KC: usize = 512;
    const MC: usize = 96;
    const HALF: usize = 4;

    compiled_here!();
    #[inline(always)]
    unsafe fn call<K: Kernel>(k: K) {
        // SAFETY: promised by the caller.
        unsafe { call(k) }
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }
    #[inline(always)]
    fn prefetch_near(p: *const f32) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller has AVX-512; so in all methods.
        unsafe { _mm512_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { _mm512_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: promised by the caller; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_ps(first(n) as __mmask16, p) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        // SAFETY: promised by the caller; masked lanes are not written.
        unsafe { _mm512_mask_storeu_ps(p, first(n) as __mmask16, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_fmadd_ps(self, b, c) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_mul_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_add_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is what comes out where one is NaN or both are 0.
        // SAFETY: promised by the caller.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f32, to: *mut f32, to_stride: usize) {
        // SAFETY: runs of 4 elements are read and rows of 16 written, as the caller promises.
        unsafe {
            // Runs l, l + 4, l + 8 and l + 12 in the quarters of one vector, then 4 x 4 transposes in each. The quarters
            // are filled by masked broadcasts from memory, which take no shuffle.
            let runs = |l: usize| {
                let run = |l: usize| _mm_loadu_ps(from(l));
                let v = _mm512_castps128_ps512(run(l));
                let v = _mm512_mask_broadcast_f32x4(v, 0x00f0, run(l + 4));
                let v = _mm512_mask_broadcast_f32x4(v, 0x0f00, run(l + 8));
                _mm512_mask_broadcast_f32x4(v, 0xf000, run(l + 12))
            };
            let (r0, r1, r2, r3) = (runs(0), runs(1), runs(2), runs(3));
            let (a, b) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
            let (c, d) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
            _mm512_storeu_ps(to, _mm512_shuffle_ps::<0x44>(a, c));
            _mm512_storeu_ps(to.add(to_stride), _mm512_shuffle_ps::<0xee>(a, c));
            _mm512_storeu_ps(to.add(2 * to_stride), _mm512_shuffle_ps::<0x44>(b, d));
            _mm512_storeu_ps(to.add(3 * to_stride), _mm512_shuffle_ps::<0xee>(b, d));
        }
    }
    const LONG: usize = 8;
    #[inline(always)]
    unsafe fn transpose_long(from: impl Fn(usize) -> *const f32, to: *mut f32, to_stride: usize) {
        // SAFETY: runs of 8 elements are read and rows of 16 written, as the caller promises.
        unsafe {
            // Runs l and l + 8 in the halves of one vector, so that a quarter has elements 0 to 3 or 4 to 7 of a run; 4 x 4 transposes in each quarter, of runs 0 to 3 with
            // 8 to 11 and of 4 to 7 with 12 to 15; then quarters with the same elements side by side.
            let mut runs = [_mm512_setzero_ps(); 8];
            for l in 0..8 {
                let low = _mm512_castps256_ps512(_mm256_loadu_ps(from(l)));
                runs[l] = _mm512_insertf32x8::<1>(low, _mm256_loadu_ps(from(l + 8)));
            }
            let mut quarters = [_mm512_setzero_pd(); 8];
            for q in 0..2 {
                let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|l| runs[4 * q + l]);
                let (a, b) = (_mm512_unpacklo_ps(r0, r1), _mm512_unpackhi_ps(r0, r1));
                let (c, d) = (_mm512_unpacklo_ps(r2, r3), _mm512_unpackhi_ps(r2, r3));
                let [a, b, c, d] = [a, b, c, d].map(|v| _mm512_castps_pd(v));
                quarters[4 * q] = _mm512_unpacklo_pd(a, c);
                quarters[4 * q + 1] = _mm512_unpackhi_pd(a, c);
                quarters[4 * q + 2] = _mm512_unpacklo_pd(b, d);
                quarters[4 * q + 3] = _mm512_unpackhi_pd(b, d);
            }
            let even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
            let odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
            for p in 0..4 {
                let (x, y) = (quarters[p], quarters[p + 4]);
                let first = _mm512_permutex2var_pd(x, even, y);
                let second = _mm512_permutex2var_pd(x, odd, y);
                _mm512_storeu_pd(to.add(p * to_stride).cast(), first);
                _mm512_storeu_pd(to.add((p + 4) * to_stride).cast(), second);
            }
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_permutex2var_ps(from[0], _mm512_loadu_si512(at.cast()), from[1]) }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe {
            let half =
                |v: Self| _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps::<1>(v));
            Vector::sum4([half(v[0]), half(v[1]), half(v[2]), half(v[3])], to);
        }
    }
    #[inline(always)]
    unsafe fn sum16(v: [[Self; 4]; 4], to: *mut f32, step: usize) {
        // SAFETY: promised by the caller.
        unsafe {
            // In the order of `sum4`: halves, halves of these, and then of the four that are left the first and third, the second and fourth. All pieces
            // of 16 bytes at once: of one place of each four in one vector, so that the four are side by side in the end.
            let halves = |a: Self, b: Self| {
                let low = _mm512_shuffle_f32x4::<0x44>(a, b);
                _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xee>(a, b))
            };
            let place = |q: usize| {
                let (a, b) = (halves(v[0][q], v[1][q]), halves(v[2][q], v[3][q]));
                let low = _mm512_shuffle_f32x4::<0x88>(a, b);
                _mm512_add_ps(low, _mm512_shuffle_f32x4::<0xdd>(a, b))
            };
            let two = |a: Self, b: Self| {
                _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b))
            };
            let (a, b) = (two(place(0), place(1)), two(place(2), place(3)));
            let low = _mm512_shuffle_ps::<0x44>(a, b);
            let y = _mm512_add_ps(low, _mm512_shuffle_ps::<0xee>(a, b));
            _mm_storeu_ps(to, _mm512_castps512_ps128(y));
            _mm_storeu_ps(to.add(step), _mm512_extractf32x4_ps::<1>(y));
            _mm_storeu_ps(to.add(2 * step), _mm512_extractf32x4_ps::<2>(y));
            _mm_storeu_ps(to.add(3 * step), _mm512_extractf32x4_ps::<3>(y));
        }
    }
}

impl Vector for __m512d {
    type Elem = f64;
    const LANES: usize = 8;
    const MR: usize = 12;
    const KC: usize = 512;
    const MC: usize = 96;
    const HALF: usize = 2;

    compiled_here!();
    #[inline(always)]
    unsafe fn call<K: Kernel>(k: K) {
        // SAFETY: promised by the caller.
        unsafe { call(k) }
    }
    #[inline(always)]
    fn prefetch(p: *const f64) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast()) };
    }
    #[inline(always)]
    fn prefetch_near(p: *const f64) {
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) };
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the caller has AVX-512; so in all methods.
        unsafe { _mm512_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_loadu_pd(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe { _mm512_storeu_pd(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f64, n: usize) -> Self {
        // SAFETY: promised by the caller; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_pd(first(n) as __mmask8, p) }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f64, n: usize) {
        // SAFETY: promised by the caller; masked lanes are not written.
        unsafe { _mm512_mask_storeu_pd(p, first(n) as __mmask8, self) }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_fmadd_pd(self, b, c) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_mul_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm512_add_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is what comes out where one is NaN or both are 0.
        // SAFETY: promised by the caller.
        unsafe { _mm512_max_pd(_mm512_setzero_pd(), self) }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f64, to: *mut f64, to_stride: usize) {
        // SAFETY: runs of 2 elements are read and rows of 8 written, as the caller promises.
        unsafe {
            let runs = |l: usize| {
                let run = |l: usize| _mm_loadu_pd(from(l));
                let v = _mm512_castpd128_pd512(run(l));
                let v = _mm512_mask_broadcast_f64x2(v, 0x0c, run(l + 2));
                let v = _mm512_mask_broadcast_f64x2(v, 0x30, run(l + 4));
                _mm512_mask_broadcast_f64x2(v, 0xc0, run(l + 6))
            };
            let (r0, r1) = (runs(0), runs(1));
            _mm512_storeu_pd(to, _mm512_unpacklo_pd(r0, r1));
            _mm512_storeu_pd(to.add(to_stride), _mm512_unpackhi_pd(r0, r1));
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            let at = _mm512_cvtepu32_epi64(_mm256_loadu_si256(at.cast()));
            _mm512_permutex2var_pd(from[0], at, from[1])
        }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe {
            let half =
                |v: Self| _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd::<1>(v));
            Vector::sum4([half(v[0]), half(v[1]), half(v[2]), half(v[3])], to);
        }
    }
    #[inline(always)]
    unsafe fn sum16(v: [[Self; 4]; 4], to: *mut f64, step: usize) {
        // SAFETY: promised by the caller.
        unsafe {
            // As for f32, two fours at a time.
            let halves = |a: Self, b: Self| {
                let low = _mm512_shuffle_f64x2::<0x44>(a, b);
                _mm512_add_pd(low, _mm512_shuffle_f64x2::<0xee>(a, b))
            };
            let place = |v: [[Self; 4]; 2], q: usize| {
                let (a, b) = (halves(v[0][q], v[0][q + 2]), halves(v[1][q], v[1][q + 2]));
                let low = _mm512_shuffle_f64x2::<0x88>(a, b);
                _mm512_add_pd(low, _mm512_shuffle_f64x2::<0xdd>(a, b))
            };
            let eight = |v: [[Self; 4]; 2]| {
                let (a, b) = (place(v, 0), place(v, 1));
                _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b))
            };
            let [a, b, c, d] = v;
            let y = eight([a, b]);
            _mm256_storeu_pd(to, _mm512_castpd512_pd256(y));
            _mm256_storeu_pd(to.add(step), _mm512_extractf64x4_pd::<1>(y));
            let y = eight([c, d]);
            _mm256_storeu_pd(to.add(2 * step), _mm512_castpd512_pd256(y));
            _mm256_storeu_pd(to.add(3 * step), _mm512_extractf64x4_pd::<1>(y));
        }
    }
}
