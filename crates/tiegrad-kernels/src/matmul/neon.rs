//! Vectors of NEON: 32 registers of 16 bytes.

use super::vector::{Kernel, Vector, compiled_here};
use std::arch::aarch64::*;
use std::arch::asm;

#[target_feature(enable = "neon")]
unsafe fn call<K: Kernel>(k: K) {
    // SAFETY: promised by the caller.
    unsafe { k.run() }
}

/// Asks for the line at `p`. The intrinsic is not stable yet.
#[inline(always)]
fn prefetch<T>(p: *const T) {
    // SAFETY: a prefetch of any address is allowed; it changes neither registers nor flags nor what memory holds.
    unsafe {
        asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(nomem, nostack, preserves_flags))
    };
}

// A tile of 12 rows and 2 vectors takes 24 registers, 2 for `b`, and leaves 6 for elements of `a`, one of which a
// multiply-add takes from any lane.
impl Vector for float32x4_t {
    type Elem = f32;
    const LANES: usize = 4;
    const MR: usize = 12;
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
        prefetch(p);
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the caller has NEON; so in all methods.
        unsafe { vdupq_n_f32(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe { vst1q_f32(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        let zero = 0.0;
        // SAFETY: elements before the n-th are read, which the caller promises to be valid.
        unsafe {
            let zeros = vdup_n_f32(zero);
            match n {
                0 => vdupq_n_f32(zero),
                1 => vcombine_f32(vld1_lane_f32::<0>(p, zeros), zeros),
                2 => vcombine_f32(vld1_f32(p), zeros),
                3 => vcombine_f32(vld1_f32(p), vld1_lane_f32::<0>(p.add(2), zeros)),
                _ => vld1q_f32(p),
            }
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, mut p: *mut f32, n: usize) {
        // SAFETY: pieces add up to n < 4 elements.
        unsafe {
            let mut v = vget_low_f32(self);
            if n & 2 != 0 {
                vst1_f32(p, v);
                p = p.add(2);
                v = vget_high_f32(self);
            }
            if n & 1 != 0 {
                vst1_lane_f32::<0>(p, v);
            }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vfmaq_f32(c, self, b) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vmulq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vaddq_f32(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // Not the larger of two, which makes +0 of -0.
        // SAFETY: promised by the caller.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            vbslq_f32(vcltq_f32(self, zero), zero, self)
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f32, to: *mut f32, to_stride: usize) {
        // SAFETY: runs of 4 elements are read and rows of 4 written, as the caller promises.
        unsafe {
            let run = |l: usize| vld1q_f32(from(l));
            // Elements 0 and 2 of two runs, side by side, and their elements 1 and 3; then pairs of those.
            let even = |r, s| vreinterpretq_f64_f32(vtrn1q_f32(r, s));
            let odd = |r, s| vreinterpretq_f64_f32(vtrn2q_f32(r, s));
            let (r0, r1, r2, r3) = (run(0), run(1), run(2), run(3));
            let (a, b) = (even(r0, r1), odd(r0, r1));
            let (c, d) = (even(r2, r3), odd(r2, r3));
            let put = |p: usize, v| vst1q_f32(to.add(p * to_stride), vreinterpretq_f32_f64(v));
            put(0, vzip1q_f64(a, c));
            put(1, vzip1q_f64(b, d));
            put(2, vzip2q_f64(a, c));
            put(3, vzip2q_f64(b, d));
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            // The numbers of an element's four bytes.
            let bytes = vmlaq_n_u32(vdupq_n_u32(0x0302_0100), vld1q_u32(at), 0x0404_0404);
            let [a, b] = from;
            let from = uint8x16x2_t(vreinterpretq_u8_f32(a), vreinterpretq_u8_f32(b));
            vreinterpretq_f32_u8(vqtbl2q_u8(from, vreinterpretq_u8_u32(bytes)))
        }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f32) {
        // SAFETY: promised by the caller.
        unsafe {
            let (a, b) = (vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
            vst1q_f32(to, vpaddq_f32(a, b));
        }
    }
}

impl Vector for float64x2_t {
    type Elem = f64;
    const LANES: usize = 2;
    const MR: usize = 12;
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
        prefetch(p);
    }
    #[inline(always)]
    unsafe fn splat(x: f64) -> Self {
        // SAFETY: the caller has NEON; so in all methods.
        unsafe { vdupq_n_f64(x) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f64) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vld1q_f64(p) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe { vst1q_f64(p, self) }
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f64, n: usize) -> Self {
        // SAFETY: elements before the n-th are read, which the caller promises to be valid.
        unsafe {
            match n {
                0 => vdupq_n_f64(0.0),
                1 => vcombine_f64(vld1_f64(p), vdup_n_f64(0.0)),
                _ => vld1q_f64(p),
            }
        }
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f64, n: usize) {
        // SAFETY: n < 2 elements are written.
        unsafe {
            if n != 0 {
                vst1_f64(p, vget_low_f64(self));
            }
        }
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vfmaq_f64(c, self, b) }
    }
    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vmulq_f64(self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: promised by the caller.
        unsafe { vaddq_f64(self, b) }
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        // Not the larger of two, which makes +0 of -0.
        // SAFETY: promised by the caller.
        unsafe {
            let zero = vdupq_n_f64(0.0);
            vbslq_f64(vcltq_f64(self, zero), zero, self)
        }
    }
    #[inline(always)]
    unsafe fn transpose(from: impl Fn(usize) -> *const f64, to: *mut f64, to_stride: usize) {
        // SAFETY: runs of 2 elements are read and rows of 2 written, as the caller promises.
        unsafe {
            let (r0, r1) = (vld1q_f64(from(0)), vld1q_f64(from(1)));
            vst1q_f64(to, vzip1q_f64(r0, r1));
            vst1q_f64(to.add(to_stride), vzip2q_f64(r0, r1));
        }
    }
    #[inline(always)]
    unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
        // SAFETY: promised by the caller.
        unsafe {
            // The numbers of an element's eight bytes, four and four.
            let at = vld1_u32(at);
            let twice = vcombine_u32(vzip1_u32(at, at), vzip2_u32(at, at));
            let first = vreinterpretq_u32_u64(vdupq_n_u64(0x0706_0504_0302_0100));
            let bytes = vmlaq_n_u32(first, twice, 0x0808_0808);
            let [a, b] = from;
            let from = uint8x16x2_t(vreinterpretq_u8_f64(a), vreinterpretq_u8_f64(b));
            vreinterpretq_f64_u8(vqtbl2q_u8(from, vreinterpretq_u8_u32(bytes)))
        }
    }
    #[inline(always)]
    unsafe fn sum4(v: [Self; 4], to: *mut f64) {
        // SAFETY: promised by the caller.
        unsafe {
            vst1q_f64(to, vpaddq_f64(v[0], v[1]));
            vst1q_f64(to.add(2), vpaddq_f64(v[2], v[3]));
        }
    }
}
