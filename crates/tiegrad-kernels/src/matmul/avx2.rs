//! Vectors of AVX2 with FMA: 16 registers of 32 bytes.

use super::vector::{Kernel, Vector, compiled_here};
use crate::simd::array;
use std::arch::x86_64::*;

#[target_feature(enable = "avx2,fma")]
unsafe fn call<K: Kernel>(k: K) {
    // SAFETY: promised by the caller.
    unsafe { k.run() }
}

/// Reading `LANES` entries from `LANES - n` on gives the mask of the first n lanes.
static MASK32: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
static MASK64: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];

impl Vector for __m256 {
    type Elem = f32;
    const LANES: usize = 8;
    const MR: usize = 6;
    const KC: usize = 512;
    const MC: usize = 120;
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
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller has AVX2 and FMA; so in all methods.
        unsafe { _mm256_set1_ps(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_loadu_ps(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { _mm256_storeu_ps(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        // SAFETY: promised by the caller; masked lanes are not read.
        unsafe {
            let mask = _mm256_loadu_si256(MASK32.as_ptr().add(8 - n.min(8)).cast());
            _mm256_maskload_ps(p, mask)
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, mut p: *mut f32, n: usize) {
        // Pieces instead of a masked store, which is slow on many processors.
        // SAFETY: pieces add up to n elements.
        unsafe {
            let mut v = _mm256_castps256_ps128(self);
            if n & 4 != 0 {
                _mm_storeu_ps(p, v);
                p = p.add(4);
                v = _mm256_extractf128_ps::<1>(self);
            }
            if n & 2 != 0 {
                _mm_storel_pd(p.cast(), _mm_castps_pd(v));
                p = p.add(2);
                v = _mm_movehl_ps(v, v);
            }
            if n & 1 != 0 {
                _mm_store_ss(p, v);
            }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_fmadd_ps(self, b, c) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_mul_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_add_ps(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is what comes out where one is NaN or both are 0.
        // SAFETY: promised by the caller.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), self) }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f32, to: *mut f32, to_stride: usize) {
        // SAFETY: runs of 4 elements are read and rows of 8 written, as the caller promises.
        unsafe {
            // Runs l and l + 4 in the halves of one vector, then 4 x 4 transposes in both halves.
            let pair = |l: usize| {
                let low = _mm256_castps128_ps256(_mm_loadu_ps(from(l)));
                _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(from(l + 4)))
            };
            let (r0, r1, r2, r3) = (pair(0), pair(1), pair(2), pair(3));
            let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
            let (c, d) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
            _mm256_storeu_ps(to, _mm256_shuffle_ps::<0x44>(a, c));
            _mm256_storeu_ps(to.add(to_stride), _mm256_shuffle_ps::<0xee>(a, c));
            _mm256_storeu_ps(to.add(2 * to_stride), _mm256_shuffle_ps::<0x44>(b, d));
            _mm256_storeu_ps(to.add(3 * to_stride), _mm256_shuffle_ps::<0xee>(b, d));
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            let at = _mm256_loadu_si256(at.cast());
            let [a, b] = array(|i| _mm256_permutevar8x32_ps(from[i], at));
            // Bit 3 says which vector, at the place where a blend looks for it.
            _mm256_blendv_ps(a, b, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(at)))
        }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe {
            let half =
                |v: Self| _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
            let two =
                |a: __m128, b: __m128| _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
            let (a, b) = (two(half(v[0]), half(v[1])), two(half(v[2]), half(v[3])));
            _mm_storeu_ps(to, _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a)));
        }
    }
}

impl Vector for __m256d {
    type Elem = f64;
    const LANES: usize = 4;
    const MR: usize = 6;
    const KC: usize = 512;
    const MC: usize = 120;
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
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the caller has AVX2 and FMA; so in all methods.
        unsafe { _mm256_set1_pd(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_loadu_pd(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe { _mm256_storeu_pd(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f64, n: usize) -> Self {
        // SAFETY: promised by the caller; masked lanes are not read.
        unsafe {
            let mask = _mm256_loadu_si256(MASK64.as_ptr().add(4 - n.min(4)).cast());
            _mm256_maskload_pd(p, mask)
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, mut p: *mut f64, n: usize) {
        // SAFETY: pieces add up to n elements.
        unsafe {
            let mut v = _mm256_castpd256_pd128(self);
            if n & 2 != 0 {
                _mm_storeu_pd(p, v);
                p = p.add(2);
                v = _mm256_extractf128_pd::<1>(self);
            }
            if n & 1 != 0 {
                _mm_store_sd(p, v);
            }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_fmadd_pd(self, b, c) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_mul_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { _mm256_add_pd(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // The second operand is what comes out where one is NaN or both are 0.
        // SAFETY: promised by the caller.
        unsafe { _mm256_max_pd(_mm256_setzero_pd(), self) }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f64, to: *mut f64, to_stride: usize) {
        // SAFETY: runs of 2 elements are read and rows of 4 written, as the caller promises.
        unsafe {
            let pair = |l: usize| {
                let low = _mm256_castpd128_pd256(_mm_loadu_pd(from(l)));
                _mm256_insertf128_pd::<1>(low, _mm_loadu_pd(from(l + 2)))
            };
            let (r0, r1) = (pair(0), pair(1));
            _mm256_storeu_pd(to, _mm256_unpacklo_pd(r0, r1));
            _mm256_storeu_pd(to.add(to_stride), _mm256_unpackhi_pd(r0, r1));
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            let at = _mm256_cvtepu32_epi64(_mm_loadu_si128(at.cast()));
            // An element is two halves, 2 * at and the next.
            let low = _mm256_slli_epi64::<1>(at);
            let high = _mm256_slli_epi64::<32>(_mm256_add_epi64(low, _mm256_set1_epi64x(1)));
            let halves = _mm256_or_si256(low, high);
            let [a, b] = array(|i| _mm256_permutevar8x32_ps(_mm256_castpd_ps(from[i]), halves));
            // Bit 2 says which vector, at the place where a blend looks for it.
            let which = _mm256_castsi256_pd(_mm256_slli_epi64::<61>(at));
            _mm256_blendv_pd(_mm256_castps_pd(a), _mm256_castps_pd(b), which)
        }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe {
            let half =
                |v: Self| _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd::<1>(v));
            let two =
                |a: __m128d, b: __m128d| _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b));
            _mm_storeu_pd(to, two(half(v[0]), half(v[1])));
            _mm_storeu_pd(to.add(2), two(half(v[2]), half(v[3])));
        }
    }
}
