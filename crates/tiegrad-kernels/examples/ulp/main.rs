//! The largest error of a function, in units of the last place: over all 2³² `f32`, or over millions of `f64`.
//!
//! `cargo run --release -p tiegrad-kernels --example ulp -- <function>... [--step N | --f64 [--count N]]`; `all` stands for every function,
//! `--step N` for every Nth `f32`, and `--count N` is how many `f64` are tried, four million unless told.
//! The compiled loops are tested, on the instruction set in use (`TIEGRAD_SIMD`), on all cores. The reference of `f32` is `f64`
//! arithmetic over libm; that of `f64` is computed in pairs of `f64` (`pair.rs`), good to at least 90 bits.

mod pair;

use pair::Pair;
use std::hint::black_box;
use std::ops::Range;
use tiegrad_kernels::elementwise::{Cos, Gelu, GeluTanh, Sin, Softplus, Unary, map_with};
use tiegrad_kernels::{Arithmetic, Write, threads};

/// A function: its name, the loops tested, their references, and where arguments of `f64` are drawn from most densely.
struct Function {
    name: &'static str,
    single: fn(&mut [f32], &[f32]),
    double: fn(&mut [f64], &[f64]),
    exact: fn(f64) -> f64,
    exact_pair: fn(f64) -> Pair,
    dense: Range<f64>,
}

unsafe extern "C" {
    safe fn erf(x: f64) -> f64;
    safe fn erfc(x: f64) -> f64;
}

macro_rules! plain {
    ($($name:ident |$x:ident| $body:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Arithmetic> Unary<T> for $name {
            #[inline(always)]
            fn call(self, $x: T) -> T {
                $body
            }
        }
    )*};
}
plain! {
    Exp |x| x.exp();
    ExpTerm |x| (-x.abs()).maximum(T::from_f64(-20.0)).add_exp(T::ZERO);
    Ln |x| x.ln();
    Ln1p |x| x.ln_1p();
    ExpM1 |x| x.exp_m1();
    Tanh |x| x.tanh();
    Sigmoid |x| x.sigmoid();
    Silu |x| x * x.sigmoid();
    Erf |x| x.erf();
    Normal |x| x.normal().0;
    Density |x| x.normal().1;
    Sqrt |x| x.sqrt();
    Recip |x| x.recip();
}

macro_rules! function {
    ($name:literal, $f:expr, $exact:expr, $pair:expr, $dense:expr) => {
        Function {
            name: $name,
            single: |y, x| map_with(Write::Overwrite, y, x, $f),
            double: |y, x| map_with(Write::Overwrite, y, x, $f),
            exact: $exact,
            exact_pair: $pair,
            dense: $dense,
        }
    };
}

const C: f64 = 1.595_769_121_605_730_7; // 2 sqrt(2/π)

fn functions() -> Vec<Function> {
    vec![
        function!("exp", Exp, f64::exp, |x| Pair::from(x).exp(), -745.0..709.0),
        function!(
            "exp_term",
            ExpTerm,
            |x| (-x.abs()).clamp(-20.0, 0.0).exp(),
            |x| Pair::from((-x.abs()).clamp(-20.0, 0.0)).exp(),
            -20.0..0.0
        ),
        function!("ln", Ln, f64::ln, |x| Pair::from(x).ln(), 0.5..2.0),
        function!(
            "ln_1p",
            Ln1p,
            f64::ln_1p,
            |x| Pair::from(x).ln_1p(),
            -0.9..2.0
        ),
        function!(
            "exp_m1",
            ExpM1,
            f64::exp_m1,
            |x| Pair::from(x).exp_m1(),
            -2.0..2.0
        ),
        function!("tanh", Tanh, f64::tanh, |x| Pair::from(x).tanh(), -3.0..3.0),
        function!(
            "sigmoid",
            Sigmoid,
            |x| 1.0 / (1.0 + (-x).exp()),
            |x| Pair::from(x).sigmoid(),
            -40.0..40.0
        ),
        function!(
            "silu",
            Silu,
            |x| x / (1.0 + (-x).exp()),
            |x| Pair::from(x).sigmoid() * Pair::from(x),
            -40.0..40.0
        ),
        function!(
            "softplus",
            Softplus,
            |x| x.max(0.0) + (-x.abs()).exp().ln_1p(),
            |x| Pair::from(x.max(0.0)) + Pair::from(-x.abs()).exp().ln_1p(),
            -40.0..40.0
        ),
        function!("erf", Erf, |x| erf(x), |x| Pair::from(x).erf(), -3.0..3.0),
        function!(
            "normal_cdf",
            Normal,
            |x| 0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            |x| Pair::from(x).normal(),
            -38.0..6.0
        ),
        function!(
            "normal_density",
            Density,
            |x| (-0.5 * x * x).exp() * 0.398_942_280_401_432_7,
            |x| (Pair::from(x) * Pair::from(x) * Pair::from(-0.5)).exp() * Pair::INV_SQRT_2PI,
            -38.0..38.0
        ),
        function!(
            "gelu",
            Gelu,
            |x| x * 0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            |x| Pair::from(x).normal() * Pair::from(x),
            -38.0..6.0
        ),
        function!(
            "gelu_tanh",
            GeluTanh,
            |x| x / (1.0 + (-C * x * (1.0 + 0.044_715 * x * x)).exp()),
            |x| {
                let p = Pair::from(x);
                (Pair::GELU_C * p * (Pair::ONE + Pair::from(0.044_715) * p * p)).sigmoid() * p
            },
            -6.0..6.0
        ),
        function!("sin", Sin, f64::sin, |x| Pair::sin(x), -1e6..1e6),
        function!("cos", Cos, f64::cos, |x| Pair::cos(x), -1e6..1e6),
        function!("sqrt", Sqrt, f64::sqrt, |x| Pair::from(x).sqrt(), 0.0..4.0),
        function!(
            "recip",
            Recip,
            |x| 1.0 / x,
            |x| Pair::ONE / Pair::from(x),
            1.0..2.0
        ),
    ]
}

/// Results below this are counted apart: what is computed as x times a subnormal number has the error of that, |x| times.
const LEAST: f32 = 128.0 * f32::MIN_POSITIVE;

/// The largest errors so far: where the exact value is large enough, and where it is smaller.
#[derive(Clone, Copy, Default)]
struct Worst {
    normal: (f64, f64),
    small: (f64, f64),
    /// An argument with a result of another kind than the exact one.
    wrong: Option<f64>,
}

impl Worst {
    fn see(&mut self, x: f64, error: f64, normal: bool) {
        let worst = if normal {
            &mut self.normal
        } else {
            &mut self.small
        };
        if error > worst.0 {
            *worst = (error, x);
        }
    }

    fn join(mut self, other: Worst) -> Worst {
        self.see(other.normal.1, other.normal.0, true);
        self.see(other.small.1, other.small.0, false);
        self.wrong = self.wrong.or(other.wrong);
        self
    }
}

/// Whether `y` is of another kind than the exact value: NaN, infinite, or zero or infinite of the other sign. Of exact values within two
/// `units` of the largest number, rounding decides whether they are infinite.
fn is_wrong(y: f64, exact: f64, largest: f64, unit: f64) -> bool {
    if y.is_nan() || exact.is_nan() {
        return y.is_nan() != exact.is_nan();
    }
    let (above, infinite) = (exact.abs() > largest, y.is_infinite());
    let close = (exact.abs() - largest).abs() <= 2.0 * unit;
    let signs_differ = y.signum() != exact.signum();
    (above || infinite || y == 0.0) && (signs_differ || above != infinite && !close)
}

/// One of `threads` shares of all `f32`, or of every `step`th.
fn singles(f: &Function, share: u64, shares: u64, step: u64) -> Worst {
    const BLOCK: u64 = 1 << 14;
    let mut worst = Worst::default();
    let (mut x, mut y) = (vec![0.0_f32; BLOCK as usize], vec![0.0_f32; BLOCK as usize]);
    let count = (1_u64 << 32).div_ceil(step);
    for block in (share..count.div_ceil(BLOCK)).step_by(shares as usize) {
        for (i, x) in x.iter_mut().enumerate() {
            *x = f32::from_bits(((block * BLOCK + i as u64) * step) as u32);
        }
        (f.single)(&mut y, black_box(&x));
        for (&x, &y) in x.iter().zip(&y) {
            let exact = (f.exact)(f64::from(x));
            let (y, x) = (f64::from(y), f64::from(x));
            if is_wrong(y, exact, f32::MAX.into(), 2.0_f64.powi(104)) {
                worst.wrong.get_or_insert(x);
            } else if y.is_finite() && exact.is_finite() {
                let normal = exact.abs() >= f64::from(LEAST);
                let exponent = (exact.abs().to_bits() >> 52) as i32 - 1023;
                // 2 to that power.
                let ulp = f64::from_bits(((exponent.max(-126) - 23 + 1023) as u64) << 52);
                worst.see(x, (y - exact).abs() / ulp, normal);
            }
        }
    }
    worst
}

/// Arguments that chance would not draw.
const SPECIAL: [f64; 9] = [
    0.0,
    -0.0,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    f64::MAX,
    f64::MIN,
    1000.0,
    -1000.0,
];

/// `count` arguments of all magnitudes, and as many uniformly from the function's dense range.
fn doubles(f: &Function, share: u64, count: usize) -> Worst {
    let mut bits = (share + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = || {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        bits
    };
    let mut worst = Worst::default();
    let mut x = vec![0.0; 1024];
    let mut y = vec![0.0; 1024];
    for block in 0..count.div_ceil(512) {
        for (i, x) in x.iter_mut().enumerate() {
            let u = (random() >> 11) as f64 / (1_u64 << 53) as f64;
            *x = match i % 4 {
                // Magnitudes from 2^-1074 up, most of them where functions are neither constant nor linear.
                0 if block % 8 == 0 => f64::from_bits(random()),
                0 | 1 => (u * 60.0 - 50.0).exp2() * if random() & 1 == 0 { 1.0 } else { -1.0 },
                _ => f.dense.start + u * (f.dense.end - f.dense.start),
            };
        }
        if block == 0 {
            x[..SPECIAL.len()].copy_from_slice(&SPECIAL);
        }
        (f.double)(&mut y, black_box(&x));
        for (&x, &y) in x.iter().zip(&y) {
            let exact = (f.exact_pair)(x);
            let e = exact.to_f64();
            if !e.is_finite() || !y.is_finite() || y == 0.0 {
                // The pair's arithmetic is not made for what overflows or for signs of zero: libm decides, with fewer digits.
                let e = (f.exact)(x);
                let far = (y - e).abs() > 1e-10 * e.abs() + 1e-280;
                if is_wrong(y, e, f64::MAX, 2.0_f64.powi(971))
                    || e.is_finite() && y.is_finite() && far
                {
                    worst.wrong.get_or_insert(x);
                }
                continue;
            }
            // Below, pairs lose bits to underflow.
            if e.abs() < 1e-280 {
                continue;
            }
            let ulp = 2.0_f64.powi((e.abs().to_bits() >> 52) as i32 - 1023 - 52);
            worst.see(x, ((Pair::from(y) - exact).to_f64() / ulp).abs(), true);
        }
    }
    worst
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let double = arguments.iter().any(|a| a == "--f64");
    let step = after("--step").unwrap_or(1).max(1);
    let count = after("--count").unwrap_or(4_000_000) as usize;
    // Shares are threads of their own: the loops inside stay on theirs.
    threads::set_num_threads(1);
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    println!(
        "{}; largest errors in ulp, with the argument",
        tiegrad_kernels::instruction_set()
    );
    for f in &functions() {
        if !arguments.iter().any(|a| a == f.name || a == "all") {
            continue;
        }
        let worst = std::thread::scope(|scope| {
            let shares: Vec<_> = (0..cores)
                .map(|share| {
                    scope.spawn(move || {
                        if double {
                            doubles(f, share, count / cores as usize)
                        } else {
                            singles(f, share, cores, step)
                        }
                    })
                })
                .collect();
            shares
                .into_iter()
                .fold(Worst::default(), |worst, share| match share.join() {
                    Ok(w) => worst.join(w),
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        });
        let Worst {
            normal,
            small,
            wrong,
        } = worst;
        print!("{:15} {:8.3} at {:<24e}", f.name, normal.0, normal.1);
        if !double {
            print!("   below 1.5e-36 {:8.3} at {:<24e}", small.0, small.1);
        }
        println!(
            "{}",
            wrong.map_or(String::new(), |x| format!("   WRONG at {x:e}"))
        );
    }
}
