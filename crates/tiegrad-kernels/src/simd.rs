//! How a kernel finds its instruction set: the level is found once, and [`multiversion!`] makes from one
//! body a baseline copy, a copy for AVX2 with FMA and, where asked, one for AVX-512.

use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets that kernels are compiled for. Public for the hidden methods of [`Scalar`](crate::Scalar) only; it has no name outside of the crate.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Level {
    /// What the compiler's target guarantees.
    Portable = 1,
    /// AVX2 and FMA (x86-64-v3 without the rest).
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx2 = 2,
    /// AVX-512 F, BW, DQ and VL, with AVX2 and FMA (x86-64-v4 without the rest).
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx512 = 3,
    /// NEON.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    Neon = 4,
}

impl Level {
    /// Those of this architecture; each contains those before it.
    #[cfg(target_arch = "x86_64")]
    const ALL: &[Level] = &[Level::Portable, Level::Avx2, Level::Avx512];
    #[cfg(target_arch = "aarch64")]
    const ALL: &[Level] = &[Level::Portable, Level::Neon];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    const ALL: &[Level] = &[Level::Portable];

    /// Those that a machine has whose best is this one.
    pub(crate) fn and_below(self) -> impl Iterator<Item = Level> {
        Level::ALL.iter().copied().filter(move |&l| l <= self)
    }

    /// Bytes of a vector of matrix products.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Level::Avx512 => 64,
            Level::Avx2 => 32,
            _ => 16,
        }
    }

    /// Whether vectors of matrix products have 32 registers.
    pub(crate) fn has_many_registers(self) -> bool {
        matches!(self, Level::Avx512 | Level::Neon)
    }
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The level in use: the best that the machine has, or a lesser one that `TIEGRAD_SIMD` names.
#[inline(always)]
pub(crate) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Avx2,
        3 => Level::Avx512,
        #[cfg(target_arch = "aarch64")]
        4 => Level::Neon,
        _ => detect(),
    }
}

/// [`level`] as its number, which kernels compare: two instructions, where the names would take twice as many.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
#[inline(always)]
pub(crate) fn level_number() -> u8 {
    match LEVEL.load(Ordering::Relaxed) {
        0 => detect() as u8,
        number => number,
    }
}

#[cold]
fn detect() -> Level {
    let best = best();
    let level = match std::env::var("TIEGRAD_SIMD") {
        Ok(name) => match forced(&name, best) {
            Ok(level) => level,
            Err(why) => {
                // Not an error to return: no product has a way to. The test below fails on it.
                eprintln!(
                    "tiegrad: TIEGRAD_SIMD={name} {why}; using {}",
                    name_of(best)
                );
                best
            }
        },
        Err(_) => best,
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

/// The level of that name, if the machine has it.
fn forced(name: &str, best: Level) -> Result<Level, &'static str> {
    let level = match name {
        "portable" => Level::Portable,
        "avx2" => Level::Avx2,
        "avx512" => Level::Avx512,
        "neon" => Level::Neon,
        _ => return Err("is none of portable, avx2, avx512, neon"),
    };
    if best.and_below().any(|l| l == level) {
        Ok(level)
    } else {
        Err("is not what this processor has")
    }
}

/// Uses the instruction set of that name from now on, if the machine has it: for benchmarks that compare two in one process.
#[doc(hidden)]
pub fn use_instruction_set(name: &str) -> bool {
    match forced(name, best()) {
        Ok(level) => {
            LEVEL.store(level as u8, Ordering::Relaxed);
            true
        }
        Err(_) => false,
    }
}

fn name_of(level: Level) -> &'static str {
    match level {
        Level::Portable => "portable",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
        Level::Neon => "neon",
    }
}

/// The name of the instruction set that kernels use on this machine: `portable`, `avx2`, `avx512` or `neon`. The
/// environment variable `TIEGRAD_SIMD` forces a lesser one than the best.
///
/// ```
/// assert!(["portable", "avx2", "avx512", "neon"].contains(&tiegrad_kernels::instruction_set()));
/// ```
pub fn instruction_set() -> &'static str {
    name_of(level())
}

/// The best level of this machine.
pub(crate) fn best() -> Level {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
        {
            return Level::Avx512;
        }
        return Level::Avx2;
    }
    // True of every aarch64 that has an operating system, so that nothing is asked at run time.
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("neon") {
        return Level::Neon;
    }
    Level::Portable
}

/// Makes what was written past the cache on this thread visible in order with what it writes afterwards. Must come before another thread may look.
#[inline(always)]
pub(crate) fn stream_end() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a fence has no preconditions; SSE is in the baseline.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

/// The same address, of which the compiler does not know where it comes from: it computes nothing from it before it is needed.
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "nothing is read or written"
)]
#[inline(always)]
pub(crate) fn opaque<T>(p: *const T) -> *const T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    {
        let mut p = p;
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {p} */", p = inout(reg) p, options(pure, nomem, nostack, preserves_flags));
        }
        p
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    p
}

/// Bytes between what a pass over much memory reads, or writes, and what it asks for: processors read ahead by themselves, but not across pages, and not while what was
/// read is computed with. Measured: rows of 512 are 1.1 to 1.5 times as fast as without, and sums 1.2 to 1.4 times; with half as much cross-entropy
/// takes 1.15 times as long, log-softmax and sums 1.05 times, and the others no less.
pub(crate) const AHEAD: usize = 8192;

/// Asks for the cache lines of `n` elements from `p` on, which will be read soon. They may lie anywhere, beyond the end of a slice too.
#[inline(always)]
pub(crate) fn prefetch<T>(p: *const T, n: usize) {
    #[cfg(target_arch = "x86_64")]
    for byte in (0..n * size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch of any address is allowed. SSE is in the baseline.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(p.cast::<i8>().wrapping_add(byte)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (p, n);
}

/// The array of what `f` gives for each place. `array::from_fn` and `map` are not always inlined, and would then be compiled for the baseline.
#[inline(always)]
pub(crate) fn array<V: Copy, const N: usize>(f: impl Fn(usize) -> V) -> [V; N] {
    let mut x = [f(0); N];
    for i in 1..N {
        x[i] = f(i);
    }
    x
}

/// How one copy of a body computes a·b + c.
pub(crate) trait MulAdd {
    /// Whether it is rounded once.
    const FUSED: bool;
    fn single(a: f32, b: f32, c: f32) -> f32;
    fn double(a: f64, b: f64, c: f64) -> f64;
}

/// A product and a sum: what every instruction set has.
pub(crate) struct Separate;

impl MulAdd for Separate {
    const FUSED: bool = false;
    #[inline(always)]
    fn single(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
    #[inline(always)]
    fn double(a: f64, b: f64, c: f64) -> f64 {
        a * b + c
    }
}

/// Fused, rounded once: one instruction in a copy compiled for FMA, and elsewhere a call into libm.
pub(crate) struct Together;

impl MulAdd for Together {
    const FUSED: bool = true;
    #[inline(always)]
    fn single(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    #[inline(always)]
    fn double(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }
}

/// Whether the target's baseline has fused multiply-add.
pub(crate) const BASELINE_FUSES: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// `multiversion! { [T: Scalar; F: [Fn(T) -> T]] fn name(args) -> R { body } }` defines `fn name<T, F>(args) -> R`,
/// which runs the copy of `body` that was compiled for the level in use.
///
/// The body must call only what is inlined into it (`#[inline(always)]` functions, loops, small closures):
/// what stays a call keeps the baseline instruction set.
///
/// `multiversion! { avx512 [...] fn ... }` makes a copy for AVX-512 too. It stands where that was measured to gain (`just
/// bench-elementwise`): functions with long bodies, and rows of exponentials, run 1.3 to 2 times as fast. Sums of rows and columns and what is bound
/// by memory gain nothing or lose; norms and sums of all elements gain while they are near. Each copy costs every user compile time.
///
/// `multiversion! { avx512 if near [...] fn ... }` uses that copy where `near`, a first parameter more that the body does not see, is true (not together with `as N`).
///
/// `multiversion! { avx512 [T: Scalar as N; F: Unary] fn ... }` is for bodies that call functions: they compute with numbers of the type N,
/// which is `T::Fused` in the copies that have fused multiply-add and T in the others, and make an N of a T and the other way round by
/// `from` and `into`. F is a `Unary` of N.
macro_rules! multiversion {
    (
        $(#[$meta:meta])*
        avx512 [$T:ident : $S:ident as $N:ident $(; $F:ident : $Bound:ident)*]
        $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) -> $R:ty $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$T: $S $(, $F: $Bound<$T> + $Bound<$T::Fused>)*>($($arg: $ty),*) -> $R {
            #[inline(always)]
            fn body<$T: $S, $N: $crate::Arithmetic + From<$T> + Into<$T> $(, $F: $Bound<$N>)*>($($arg: $ty),*) -> $R $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512<$T: $S $(, $F: $Bound<$T::Fused>)*>($($arg: $ty),*) -> $R {
                    body::<$T, $T::Fused $(, $F)*>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$T: $S $(, $F: $Bound<$T::Fused>)*>($($arg: $ty),*) -> $R {
                    body::<$T, $T::Fused $(, $F)*>($($arg),*)
                }
                if $T::VECTORIZED {
                    let level = $crate::simd::level_number();
                    if level >= $crate::simd::Level::Avx512 as u8 {
                        // SAFETY: the level is Avx512 only where the processor has these sets.
                        return unsafe { avx512::<$T $(, $F)*>($($arg),*) };
                    }
                    if level >= $crate::simd::Level::Avx2 as u8 {
                        // SAFETY: the level is Avx2 or more only where the processor has AVX2 and FMA.
                        return unsafe { avx2::<$T $(, $F)*>($($arg),*) };
                    }
                }
            }
            if $crate::simd::BASELINE_FUSES {
                body::<$T, $T::Fused $(, $F)*>($($arg),*)
            } else {
                body::<$T, $T $(, $F)*>($($arg),*)
            }
        }
    };
    (
        $(#[$meta:meta])*
        avx512 $(if $gains:ident)? [$T:ident : $S:ident $(; $F:ident : [$($bound:tt)+])*]
        $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) -> $R:ty $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$T: $S $(, $F: $($bound)+)*>($($gains: bool,)? $($arg: $ty),*) -> $R {
            $(#[cfg(not(target_arch = "x86_64"))]
            let _ = $gains;)?
            #[inline(always)]
            fn body<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R {
                    body::<$T $(, $F)*>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R {
                    body::<$T $(, $F)*>($($arg),*)
                }
                if $T::VECTORIZED {
                    let level = $crate::simd::level_number();
                    if level >= $crate::simd::Level::Avx512 as u8 $(&& $gains)? {
                        // SAFETY: the level is Avx512 only where the processor has these sets.
                        return unsafe { avx512::<$T $(, $F)*>($($arg),*) };
                    }
                    if level >= $crate::simd::Level::Avx2 as u8 {
                        // SAFETY: the level is Avx2 or more only where the processor has AVX2 and FMA.
                        return unsafe { avx2::<$T $(, $F)*>($($arg),*) };
                    }
                }
            }
            body::<$T $(, $F)*>($($arg),*)
        }
    };
    (
        $(#[$meta:meta])*
        [$T:ident : $S:ident $(; $F:ident : [$($bound:tt)+])*]
        $vis:vis fn $name:ident($($arg:ident : $ty:ty),* $(,)?) -> $R:ty $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R {
            #[inline(always)]
            fn body<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                fn avx2<$T: $S $(, $F: $($bound)+)*>($($arg: $ty),*) -> $R {
                    body::<$T $(, $F)*>($($arg),*)
                }
                if $T::VECTORIZED && $crate::simd::level_number() >= $crate::simd::Level::Avx2 as u8 {
                    // SAFETY: the level is Avx2 or more only where the processor has AVX2 and FMA.
                    return unsafe { avx2::<$T $(, $F)*>($($arg),*) };
                }
            }
            body::<$T $(, $F)*>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_the_one_asked_for() {
        match std::env::var("TIEGRAD_SIMD") {
            Ok(name) => assert_eq!(
                instruction_set(),
                name,
                "TIEGRAD_SIMD={name} asks for what this machine has not: the forced path was not run"
            ),
            Err(_) => assert_eq!(level(), best()),
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_forced() {
        for &best in Level::ALL {
            for &level in Level::ALL {
                let there = forced(name_of(level), best) == Ok(level);
                assert_eq!(there, level <= best, "{level:?} of {best:?}");
            }
            assert!(forced(&name_of(best).to_uppercase(), best).is_err());
        }
        let of_another_architecture = if cfg!(target_arch = "aarch64") {
            ["avx2", "avx512"]
        } else {
            ["neon", "sse"]
        };
        for name in of_another_architecture {
            assert!(forced(name, best()).is_err(), "{name}");
        }
    }
}
