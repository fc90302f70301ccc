//! The portable vector.

use super::epilogue::relu;
use super::vector::{Kernel, Vector, compiled_here};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128, __m128d, _mm_add_pd, _mm_add_ps, _mm_mul_pd, _mm_mul_ps};
#[cfg(target_arch = "x86_64")]
use std::mem::transmute;

/// The portable vector: 16 bytes, multiply and add apart unless the target has them as one.
#[derive(Copy, Clone)]
pub(crate) struct Portable<T, const N: usize>([T; N]);

// Lanes are written out: a loop over them would be one within each of a tile's loops, which costs the compiler more than all else.
macro_rules! portable {
    ($float:ident, $lanes:literal: $($lane:literal)*; $vector:ident, $add:ident, $mul:ident) => {
        impl Vector for Portable<$float, $lanes> {
            type Elem = $float;
            const LANES: usize = $lanes;
            // Not the six that there are registers for: few processors run this, and every user compiles its tiles.
            const MR: usize = 4;
            const KC: usize = 256;
            const MC: usize = 120;
            const HALF: usize = $lanes;

            compiled_here!();
            #[inline(never)]
            unsafe fn call<K: Kernel>(k: K) {
                // SAFETY: promised by the caller.
                unsafe { k.run() }
            }
            #[inline(always)]
            unsafe fn splat(x: $float) -> Self {
                Portable([x; $lanes])
            }
            #[inline(always)]
            unsafe fn load(p: *const $float) -> Self {
                // SAFETY: promised by the caller; an array of floats needs no more alignment than a float.
                Portable(unsafe { p.cast::<[$float; $lanes]>().read() })
            }
            #[inline(always)]
            unsafe fn store(self, p: *mut $float) {
                // SAFETY: as for `load`.
                unsafe { p.cast::<[$float; $lanes]>().write(self.0) }
            }
            #[inline(always)]
            unsafe fn load_part(p: *const $float, n: usize) -> Self {
                // Not by way of an array: a vector read from what was just written in parts waits for it.
                // SAFETY: promised by the caller.
                Portable([$(if $lane < n { unsafe { *p.add($lane) } } else { 0.0 }),*])
            }
            #[inline(always)]
            unsafe fn store_part(self, p: *mut $float, n: usize) {
                for i in 0..n.min($lanes) {
                    // SAFETY: promised by the caller.
                    unsafe { *p.add(i) = self.0[i] };
                }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                #[cfg(target_arch = "aarch64")]
                return Portable([$(self.0[$lane].mul_add(b.0[$lane], c.0[$lane])),*]);
                // The compiler takes lanes apart and multiplies some of them one by one, unless it is told: 1.5 to 2 times as fast.
                #[cfg(target_arch = "x86_64")]
                // SAFETY: x86-64 has SSE2; the types are as many floats.
                return unsafe {
                    let [a, b, c] = [self, b, c].map(|v| transmute::<Self, $vector>(v));
                    transmute::<$vector, Self>($add(c, $mul(a, b)))
                };
                #[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
                Portable([$(c.0[$lane] + self.0[$lane] * b.0[$lane]),*])
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                Portable([$(self.0[$lane] * b.0[$lane]),*])
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                Portable([$(self.0[$lane] + b.0[$lane]),*])
            }
            #[inline(always)]
            unsafe fn relu(self) -> Self {
                Portable([$(relu(self.0[$lane])),*])
            }
            #[inline(always)]
            unsafe fn transpose(
                from: impl Fn(usize) -> *const $float,
                to: *mut $float,
                to_stride: usize,
            ) {
                for p in 0..$lanes {
                    for l in 0..$lanes {
                        // SAFETY: promised by the caller.
                        unsafe { *to.add(p * to_stride + l) = *from(l).add(p) };
                    }
                }
            }
            #[inline(always)]
            unsafe fn pick(from: [Self; 2], at: *const u32) -> Self {
                let mut v = from[0];
                for (l, x) in v.0.iter_mut().enumerate() {
                    // SAFETY: promised by the caller.
                    let at = unsafe { *at.add(l) } as usize;
                    *x = from[at / $lanes].0[at % $lanes];
                }
                v
            }
            #[inline(always)]
            unsafe fn sum4(v: [Self; 4], to: *mut $float) {
                for (i, v) in v.iter().enumerate() {
                    // -0, as in std's sum: what is added to it stays as it is.
                    let sum = -0.0 $(+ v.0[$lane])*;
                    // SAFETY: promised by the caller.
                    unsafe { *to.add(i) = sum };
                }
            }
        }
    };
}
portable!(f32, 4: 0 1 2 3; __m128, _mm_add_ps, _mm_mul_ps);
portable!(f64, 2: 0 1; __m128d, _mm_add_pd, _mm_mul_pd);
