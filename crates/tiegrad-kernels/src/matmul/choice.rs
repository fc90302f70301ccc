//! The vectors of each level: the one place where an instance of the kernels is chosen.

use super::Gemm;
use super::gemm::gemm;
#[cfg(target_arch = "x86_64")]
use super::narrow::together;
use super::packed::{self, Job};
use super::portable::Portable;
use super::tile::many_registers;
use super::vector::Vector;
#[cfg(target_arch = "x86_64")]
use crate::cache::whole_vectors_gain;
use crate::scalar::Scalar;
use crate::simd::Level;
#[cfg(target_arch = "aarch64")]
use std::arch::aarch64::{float32x4_t, float64x2_t};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256d, __m512, __m512d};

/// A float with vectors, one for each level.
pub(crate) trait Vectorized: Scalar {
    #[cfg(target_arch = "x86_64")]
    type Avx512: Vector<Elem = Self>;
    #[cfg(target_arch = "x86_64")]
    type Avx2: Vector<Elem = Self>;
    #[cfg(target_arch = "aarch64")]
    type Neon: Vector<Elem = Self>;
    type Portable: Vector<Elem = Self>;
}

impl Vectorized for f32 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = __m512;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = __m256;
    #[cfg(target_arch = "aarch64")]
    type Neon = float32x4_t;
    type Portable = Portable<f32, 4>;
}

impl Vectorized for f64 {
    #[cfg(target_arch = "x86_64")]
    type Avx512 = __m512d;
    #[cfg(target_arch = "x86_64")]
    type Avx2 = __m256d;
    #[cfg(target_arch = "aarch64")]
    type Neon = float64x2_t;
    type Portable = Portable<f64, 2>;
}

/// [`Level::has_many_registers`], by which an order is chosen, is [`many_registers`], by which kernels are compiled.
const _: () = {
    #[cfg(target_arch = "x86_64")]
    assert!(many_registers::<__m512>() && many_registers::<__m512d>());
    #[cfg(target_arch = "x86_64")]
    assert!(!many_registers::<__m256>() && !many_registers::<__m256d>());
    #[cfg(target_arch = "aarch64")]
    assert!(many_registers::<float32x4_t>() && many_registers::<float64x2_t>());
};

/// The product, by the vectors of a level.
///
/// # Safety
/// As [`Scalar::gemm`]; the machine has the level.
#[inline(always)]
pub(crate) unsafe fn gemm_at<T: Vectorized>(level: Level, g: &Gemm<T>) {
    #[cfg(target_arch = "x86_64")]
    let level = if level == Level::Avx512 && half_is_enough(g) {
        Level::Avx2
    } else {
        level
    };
    // SAFETY: promised by the caller; AVX-512 contains AVX2.
    unsafe { choose(level, Product(g)) }
}

/// The longest inner dimension for which [`half_is_enough`].
const HALF_DEPTH: usize = 512;

/// Rows of a tile of one vector for which AVX2 has registers: more are several tiles there, and one of AVX-512.
#[cfg(target_arch = "x86_64")]
const MOST_ROWS: usize = 6;

/// Whether rows of a result of `n` columns fit into half a vector of AVX-512, of `lanes`, and the sums are no longer than that is measured for.
#[inline(always)]
pub(super) fn fits_half(k: usize, n: usize, lanes: usize) -> bool {
    k <= HALF_DEPTH && 2 * n <= lanes
}

/// Whether half a vector of AVX-512 costs less: in short sums of dot products, where their lanes are summed sooner, and where a row of the result fits
/// into it, since a processor that computes a vector of AVX-512 in two halves, as Zen 4 does, takes twice the time for it. Where a whole vector takes no longer, it is better for more rows than fit
/// into a tile of AVX2. The order of dot products follows from the width of
/// a vector, so here from k alone, which no split changes; the others are the same chains of multiply-adds in both.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn half_is_enough<T: Vectorized>(g: &Gemm<T>) -> bool {
    const { assert!(HALF_DEPTH <= T::Avx2::KC && HALF_DEPTH <= T::Avx512::KC) };
    const { assert!(MOST_ROWS == T::Avx2::MR) };
    let lanes = T::Avx512::LANES;
    if g.tiny {
        return 2 * g.n <= lanes;
    }
    if g.dots != 0 {
        return g.k <= 16;
    }
    // Chains of several rows take more registers than AVX2 has.
    fits_half(g.k, g.n, lanes)
        && (g.m == 1 || g.chains == 1)
        && together(g, lanes) == 0
        && !(g.m > MOST_ROWS && g.b_col == 1 && whole_vectors_gain())
}

/// What is to be done with copied operands, by the vectors of a level.
///
/// # Safety
/// As [`Scalar::packed`]; the machine has the level.
pub(crate) unsafe fn packed_at<T: Vectorized>(level: Level, job: Job<'_, T>) -> usize {
    // SAFETY: promised by the caller.
    unsafe { choose(level, job) }
}

/// Runs a task with the vectors of a level.
///
/// # Safety
/// As the task's `run`; the machine has the level.
#[inline(always)]
unsafe fn choose<T: Vectorized, W: Task<T>>(level: Level, task: W) -> W::Out {
    // SAFETY: a level is what its name says, and the machine has it; the rest is promised by the caller.
    unsafe {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => task.run::<T::Avx512>(),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => task.run::<T::Avx2>(),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => task.run::<T::Neon>(),
            _ => task.run::<T::Portable>(),
        }
    }
}

/// Something that is done with vectors, whichever they are.
trait Task<T> {
    type Out;
    /// # Safety
    /// The processor has the vector's instruction set, and what the task is made of says what else must hold.
    unsafe fn run<V: Vector<Elem = T>>(self) -> Self::Out;
}

/// As [`Scalar::gemm`].
struct Product<'a, T>(&'a Gemm<T>);

impl<T> Task<T> for Product<'_, T> {
    type Out = ();
    #[inline(always)]
    unsafe fn run<V: Vector<Elem = T>>(self) {
        // SAFETY: promised by the caller.
        unsafe { gemm::<V>(self.0) };
    }
}

/// As [`Scalar::packed`].
impl<T> Task<T> for Job<'_, T> {
    type Out = usize;
    #[inline(always)]
    unsafe fn run<V: Vector<Elem = T>>(self) -> usize {
        // SAFETY: promised by the caller.
        unsafe { packed::run::<V>(self) }
    }
}
