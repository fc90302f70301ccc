//! The most multiply-adds that one core does: independent chains in registers.

/// GFLOP/s in f32.
pub(crate) fn f32() -> f64 {
    2.0 * f64()
}

/// GFLOP/s in f64.
pub(crate) fn f64() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        const STEPS: usize = 20_000;
        let rate = |lanes: f64, f: unsafe fn(usize) -> f64| {
            (0..40)
                .map(|_| {
                    let start = std::time::Instant::now();
                    // SAFETY: the caller below has asked the processor.
                    std::hint::black_box(unsafe { f(STEPS) });
                    2.0 * 12.0 * lanes * STEPS as f64 / start.elapsed().as_nanos() as f64
                })
                .fold(0.0, f64::max)
        };
        let mut peak = 0.0;
        if is_x86_feature_detected!("fma") {
            peak = rate(4.0, x86::chains256);
        }
        if is_x86_feature_detected!("avx512f") {
            peak = peak.max(rate(8.0, x86::chains512));
        }
        if peak > 0.0 {
            return peak;
        }
    }
    f64::NAN
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor has AVX and FMA.
    #[target_feature(enable = "avx,fma")]
    pub(super) unsafe fn chains256(steps: usize) -> f64 {
        let x = _mm256_set1_pd(std::hint::black_box(0.5));
        let mut acc = [x; 12];
        for _ in 0..steps {
            for a in &mut acc {
                *a = _mm256_fmadd_pd(*a, x, x);
            }
        }
        acc.into_iter().map(|a| _mm256_cvtsd_f64(a)).sum()
    }

    /// # Safety
    /// The processor has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn chains512(steps: usize) -> f64 {
        let x = _mm512_set1_pd(std::hint::black_box(0.5));
        let mut acc = [x; 12];
        for _ in 0..steps {
            for a in &mut acc {
                *a = _mm512_fmadd_pd(*a, x, x);
            }
        }
        acc.into_iter().map(|a| _mm512_cvtsd_f64(a)).sum()
    }
}
