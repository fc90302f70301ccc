//! What the tests of several modules use.

use crate::scalar::{Dual, Scalar};
use std::sync::{Mutex, MutexGuard};

/// Numbers for tests: a fixed sequence per seed (xorshift), in -1..1.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.bits() >> 16) as usize % n
    }

    pub(crate) fn one(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    pub(crate) fn vec<T: Number>(&mut self, n: usize) -> Vec<T> {
        (0..n).map(|_| T::make(self.one(), self.one())).collect()
    }
}

/// Scalars as tests see them: made of up to two numbers, compared in both parts.
pub(crate) trait Number: Scalar {
    /// The unit roundoff.
    const EPS: f64;
    fn make(re: f64, eps: f64) -> Self;
    fn parts(self) -> [f64; 2];
}

macro_rules! number {
    ($($float:ident),*) => {$(
        impl Number for $float {
            const EPS: f64 = $float::EPSILON as f64;
            fn make(re: f64, _: f64) -> Self {
                re as $float
            }
            fn parts(self) -> [f64; 2] {
                [self as f64, 0.0]
            }
        }
        impl Number for Dual<$float> {
            const EPS: f64 = $float::EPSILON as f64;
            fn make(re: f64, eps: f64) -> Self {
                Dual { re: re as $float, eps: eps as $float }
            }
            fn parts(self) -> [f64; 2] {
                [self.re as f64, self.eps as f64]
            }
        }
    )*};
}
number!(f32, f64);

/// Panics unless two slices agree within `bound` roundoffs of `1 + |expected|`, in all parts; NaN agrees with NaN.
#[track_caller]
pub(crate) fn assert_close<T: Number>(actual: &[T], expected: &[T], bound: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        for (x, y) in a.parts().into_iter().zip(e.parts()) {
            let ok = x == y
                || (x.is_nan() && y.is_nan())
                || y.is_finite() && (x - y).abs() <= bound * T::EPS * (1.0 + y.abs());
            assert!(ok, "element {i}: {a}, expected {e}");
        }
    }
}

/// The bits of both parts: equal exactly if the numbers are the same ones. NaN is one number: which sign and payload come
/// out of an operation, Rust leaves open.
pub(crate) fn bits<T: Number>(x: &[T]) -> Vec<[u64; 2]> {
    let of = |x: f64| if x.is_nan() { f64::NAN } else { x }.to_bits();
    x.iter().map(|x| x.parts().map(of)).collect()
}

/// What a test holds while it sets the number of threads: no other sets it then. Jobs of others may still have the pool, so that
/// some of this test's run on one thread.
pub(crate) fn number_of_threads() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(|e| e.into_inner())
}

/// Runs `f` with 1, 2 and 4 threads and panics unless the results are the same bits; gives one back.
pub(crate) fn same_for_all_threads<T: Number>(mut f: impl FnMut() -> Vec<T>) -> Vec<T> {
    let _lock = number_of_threads();
    let mut results = [1, 2, 4].map(|n| {
        crate::threads::set_num_threads(n);
        f()
    });
    assert!(
        bits(&results[0]) == bits(&results[1]),
        "2 threads give other bits than 1"
    );
    assert!(
        bits(&results[0]) == bits(&results[2]),
        "4 threads give other bits than 1"
    );
    std::mem::take(&mut results[0])
}
