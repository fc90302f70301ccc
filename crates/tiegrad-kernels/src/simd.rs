//! How a kernel finds its instruction set: the level is found once, and [`multiversion!`] makes from one
//! body a baseline copy and a copy for AVX2 with FMA.

use std::sync::atomic::{AtomicU8, Ordering};

/// The instruction sets that kernels are compiled for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Level {
    /// What the compiler's target guarantees.
    Portable = 1,
    /// AVX2 and FMA (x86-64-v3 without the rest).
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    Avx2 = 2,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The level in use: the best that the machine has, or a lesser one that `TIEGRAD_SIMD` names.
#[inline(always)]
pub(crate) fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Avx2,
        _ => detect(),
    }
}

#[cold]
fn detect() -> Level {
    let forced = std::env::var("TIEGRAD_SIMD").unwrap_or_default();
    let level = if forced == "portable" {
        Level::Portable
    } else {
        best()
    };
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

fn best() -> Level {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Level::Avx2;
    }
    Level::Portable
}

/// `multiversion! { [T: Scalar; F: [Fn(T) -> T]] fn name(args) -> R { body } }` defines `fn name<T, F>(args) -> R`,
/// which runs the copy of `body` that was compiled for the level in use.
///
/// The body must call only what is inlined into it (`#[inline(always)]` functions, loops, small closures):
/// what stays a call keeps the baseline instruction set.
macro_rules! multiversion {
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
                if $T::VECTORIZED && $crate::simd::level() == $crate::simd::Level::Avx2 {
                    // SAFETY: `level` says Avx2 only where the processor has AVX2 and FMA.
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
        match std::env::var("TIEGRAD_SIMD").as_deref() {
            Ok("portable") => assert_eq!(level(), Level::Portable),
            Ok("avx2") => assert_eq!(
                level(),
                Level::Avx2,
                "TIEGRAD_SIMD=avx2 on a machine without it"
            ),
            _ => assert_eq!(level(), best()),
        }
    }
}
