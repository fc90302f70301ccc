//! The portable vector.

use super::epilogue::relu;
use super::vector::{Kernel, Vector, compiled_here};

/// The portable vector: 16 bytes, multiply and add apart unless the target has them as one.
#[derive(Copy, Clone)]
pub(crate) struct Portable<T, const N: usize>([T; N]);

macro_rules! portable {
    ($float:ident, $lanes:literal) => {
        impl Vector for Portable<$float, $lanes> {
            type Elem = $float;
            const LANES: usize = $lanes;
            const MR: usize = 6;
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
                let mut v = [0.0; $lanes];
                for i in 0..n.min($lanes) {
                    // SAFETY: promised by the caller.
                    v[i] = unsafe { *p.add(i) };
                }
                Portable(v)
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
                let mut v = c.0;
                for i in 0..$lanes {
                    #[cfg(target_arch = "aarch64")]
                    {
                        v[i] = self.0[i].mul_add(b.0[i], v[i]);
                    }
                    #[cfg(not(target_arch = "aarch64"))]
                    {
                        v[i] += self.0[i] * b.0[i];
                    }
                }
                Portable(v)
            }
            #[inline(always)]
            unsafe fn mul(self, b: Self) -> Self {
                let mut v = self.0;
                for i in 0..$lanes {
                    v[i] *= b.0[i];
                }
                Portable(v)
            }
            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                let mut v = self.0;
                for i in 0..$lanes {
                    v[i] += b.0[i];
                }
                Portable(v)
            }
            #[inline(always)]
            unsafe fn relu(self) -> Self {
                Portable(self.0.map(relu))
            }
            #[inline(always)]
            unsafe fn transpose(
                from: *const $float,
                stride: usize,
                to: *mut $float,
                to_stride: usize,
            ) {
                for p in 0..$lanes {
                    for l in 0..$lanes {
                        // SAFETY: promised by the caller.
                        unsafe { *to.add(p * to_stride + l) = *from.add(l * stride + p) };
                    }
                }
            }
            #[inline(always)]
            unsafe fn sum4(v: [Self; 4]) -> [$float; 4] {
                v.map(|v| v.0.iter().sum())
            }
        }
    };
}
portable!(f32, 4);
portable!(f64, 2);
