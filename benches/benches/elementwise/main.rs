//! Elementwise and row-wise kernels. What is bound by memory is compared with copies of the same bytes on the same threads, what is
//! bound by arithmetic with glibc's vector mathematics (libmvec), with ndarray's loop over std's functions and with the AVX2 copy
//! of our own code, and AdamW with a C loop. Everything that one line compares runs interleaved.
//!
//! `cargo bench -p tiegrad-benches --bench elementwise [-- memory|compute|adamw|rows]`; threads: `TIEGRAD_NUM_THREADS`.

mod foreign;
mod near;

use foreign::Vectors;
use ndarray::{ArrayView1, ArrayViewMut1, Zip};
use std::hint::black_box;
use std::time::Instant;
use tiegrad::kernels::elementwise::{
    Cos, Gelu, GeluTanh, Sin, Softplus, Unary, copy_strided, map, map_with, zip,
};
use tiegrad::kernels::step::{AdamStep, SgdStep, adam, sgd};
use tiegrad::kernels::{
    AlignedBuf, Arithmetic, Scalar, Write, instruction_set, reduce, rows, threads,
    use_instruction_set,
};

/// Median and least seconds of each function over `rounds` rounds, in each of which every one runs `inner` times.
fn interleaved(rounds: usize, inner: usize, work: &mut [&mut dyn FnMut()]) -> Vec<(f64, f64)> {
    let mut times = vec![Vec::new(); work.len()];
    for round in 0..=rounds {
        for (f, times) in work.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..inner {
                f();
            }
            // The first round finds cold caches and sleeping threads.
            if round > 0 {
                times.push(start.elapsed().as_secs_f64() / inner as f64);
            }
        }
    }
    let sorted = |mut t: Vec<f64>| {
        t.sort_by(f64::total_cmp);
        (t[t.len() / 2], t[0])
    };
    times.into_iter().map(sorted).collect()
}

/// Numbers in -3..3.
fn numbers<T: Scalar>(n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64(number(i))).collect()
}

fn number(i: usize) -> f64 {
    ((i * 7919 % 2003) as f64 / 1001.5 - 1.0) * 3.0
}

/// The same where tensors are: their memory begins with a line of the cache.
fn aligned(n: usize, number: impl Fn(usize) -> f32) -> AlignedBuf<f32> {
    let mut x = AlignedBuf::zeroed(n);
    for (i, x) in x.iter_mut().enumerate() {
        *x = number(i);
    }
    x
}

/// A slice of which chunks are written by different threads.
struct Parts<'a>(Vec<std::sync::Mutex<&'a mut [f32]>>);

/// A copy: one call of memcpy for each thread, or one for each chunk of `size` elements.
fn copy(to: &Parts<'_>, from: &[f32], size: usize) {
    threads::parallel_for(to.0.len(), &|i| {
        if let Ok(mut to) = to.0[i].lock() {
            let n = to.len();
            to.copy_from_slice(&from[i * size..][..n]);
        }
    });
}

/// Floats in 64 MB.
const LARGE: usize = 16 << 20;
const COLS: usize = 512;

fn memory() {
    println!(
        "\nbound by memory: f32, 64 MB an array, {} thread(s), {}\n\
         GB/s counts what is read and written once; the ratios are to a copy in chunks of 64 KB and to one memcpy a thread\n\
         | kernel | GB/s median (best) | of chunked copy | of memcpy |\n|---|---|---|---|",
        threads::num_threads(),
        instruction_set()
    );
    let some = || aligned(LARGE, |i| number(i) as f32);
    let (x, y) = (some(), some());
    let (mut out, mut m, mut v) = (some(), aligned(LARGE, |_| 0.0), aligned(LARGE, |_| 1.0));
    let (mut a, mut b) = (aligned(LARGE, |_| 0.0), aligned(LARGE, |_| 0.0));
    let chunk = 16 * 1024;
    let half = LARGE.div_ceil(threads::num_threads());
    let chunks = Parts(a.chunks_mut(chunk).map(std::sync::Mutex::new).collect());
    let halves = Parts(b.chunks_mut(half).map(std::sync::Mutex::new).collect());
    let w = Write::Overwrite;
    let mut stats = vec![0.0; 2 * LARGE / COLS];
    let adam_step = AdamStep::new(1e-3, 0.9, 0.999, 1e-8, 3);
    let momentum = SgdStep {
        lr: 1e-3,
        momentum: 0.9,
        ..SgdStep::default()
    };
    let plain = SgdStep {
        lr: 1e-3,
        ..SgdStep::default()
    };
    let side = 4096;
    let line = |name: &str, arrays: f64, f: &mut dyn FnMut()| {
        let times = interleaved(
            9,
            1,
            &mut [
                &mut || copy(&chunks, &x, chunk),
                &mut || copy(&halves, &x, half),
                f,
            ],
        );
        let bytes = (LARGE * 4) as f64;
        let speed = |(t, _): (f64, f64), arrays: f64| arrays * bytes / t / 1e9;
        let ours = speed(times[2], arrays);
        println!(
            "| {name} | {ours:.1} ({:.1}) | {:.2} | {:.2} |",
            arrays * bytes / times[2].1 / 1e9,
            ours / speed(times[0], 2.0),
            ours / speed(times[1], 2.0)
        );
    };
    line("copy", 2.0, &mut || map(w, &mut out, &x, |x| x));
    line("relu", 2.0, &mut || {
        map(w, &mut out, &x, |x| if x < 0.0 { 0.0 } else { x })
    });
    line("sqrt", 2.0, &mut || {
        map(w, &mut out, &x, |x| x.abs().sqrt())
    });
    line("add", 3.0, &mut || zip(w, &mut out, &x, &y, |x, y| x + y));
    line("divide", 3.0, &mut || {
        zip(w, &mut out, &x, &y, |x, y| x / y)
    });
    line("accumulate", 3.0, &mut || {
        map(Write::Accumulate, &mut out, &x, |x| x)
    });
    line("scale in place", 2.0, &mut || {
        tiegrad::kernels::step::scale(&mut out, 0.999)
    });
    line("transpose 4096x4096", 2.0, &mut || {
        copy_strided(w, &mut out, &[side, 1], &x, &[1, side], &[side, side]);
    });
    let (half_row, shape) = (side / 2, [side, 2, side / 2]);
    line("halves of rows apart, 4096x4096", 2.0, &mut || {
        let to = [half_row, side * half_row, 1];
        copy_strided(w, &mut out, &to, &x, &[side, half_row, 1], &shape);
    });
    line("one row to 4096x4096", 1.0, &mut || {
        copy_strided(w, &mut out, &[side, 1], &x, &[0, 1], &[side, side]);
    });
    line("one column to 4096x4096", 1.0, &mut || {
        copy_strided(w, &mut out, &[side, 1], &x, &[1, 0], &[side, side]);
    });
    line("sum", 1.0, &mut || {
        black_box(reduce::sum(black_box(&x)));
    });
    line("sum of squares", 1.0, &mut || {
        black_box(reduce::sum_squares(black_box(&x)));
    });
    line("softmax, rows of 512", 2.0, &mut || {
        rows::softmax(&mut out, &x, COLS)
    });
    line("softmax backward", 3.0, &mut || {
        rows::softmax_backward(w, &mut out, &x, &y, COLS)
    });
    line("log-softmax", 2.0, &mut || {
        rows::log_softmax(&mut out, &x, COLS)
    });
    line("log-softmax backward", 3.0, &mut || {
        rows::log_softmax_backward(w, &mut out, &x, &y, COLS)
    });
    let targets: Vec<u32> = (0..LARGE / COLS).map(|r| (r % COLS) as u32).collect();
    let (losses, lse) = stats.split_at_mut(LARGE / COLS);
    line("cross-entropy", 1.0, &mut || {
        rows::cross_entropy(losses, lse, &x, &targets, COLS)
    });
    line("cross-entropy backward", 2.0, &mut || {
        rows::cross_entropy_backward(w, &mut out, &x, lse, &targets, COLS, |_| 0.5)
    });
    line("layer norm", 2.0, &mut || {
        rows::layer_norm(
            &mut out,
            &mut stats,
            &x,
            Some(&y[..COLS]),
            Some(&y[..COLS]),
            1e-5,
            COLS,
        );
    });
    line("layer norm backward", 3.0, &mut || {
        rows::layer_norm_backward_input(w, &mut out, &y, &x, &stats, Some(&y[..COLS]), COLS);
    });
    let (mut dgamma, mut dbeta) = (vec![0.0; COLS], vec![0.0; COLS]);
    line("layer norm's parameters' gradients", 2.0, &mut || {
        let (dgamma, dbeta) = (Some((w, &mut dgamma[..])), Some((w, &mut dbeta[..])));
        rows::layer_norm_backward_params(dgamma, dbeta, &y, &x, &stats, COLS);
    });
    line("RMS norm", 2.0, &mut || {
        rows::rms_norm(&mut out, &mut stats, &x, Some(&y[..COLS]), 1e-5, COLS);
    });
    line("RMS norm backward", 3.0, &mut || {
        rows::rms_norm_backward_input(w, &mut out, &y, &x, &stats, Some(&y[..COLS]), COLS);
    });
    line("SGD", 3.0, &mut || sgd(&mut out, &x, None, plain));
    line("SGD with momentum", 5.0, &mut || {
        sgd(&mut out, &x, Some(&mut m), momentum)
    });
    line("Adam", 7.0, &mut || {
        adam(&mut out, &x, &mut m, &mut v, None, adam_step)
    });
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
    Ln |x| x.abs().ln();
    Ln1p |x| x.abs().ln_1p();
    ExpM1 |x| x.exp_m1();
    Tanh |x| x.tanh();
    Sigmoid |x| x.sigmoid();
    Silu |x| x * x.sigmoid();
    Erf |x| x.erf();
}

macro_rules! compute {
    ($float:ident, $(($name:literal, $f:expr, $c:expr $(, $std:expr)?);)*) => {
        println!(
            "\nbound by arithmetic: {}, 4,096 numbers, one thread, ns a number, median (least)\n\
             libmvec has no GELU: there its erf or tanh alone; std has no erf, and so no GELU but the tanh form\n\
             | function | tiegrad, {} | its AVX2 copy | libmvec | ndarray over std |\n|---|---|---|---|---|",
            stringify!($float),
            instruction_set()
        );
        let set = instruction_set();
        let n = 4096;
        let x = numbers::<$float>(n);
        let (mut a, mut b, mut c, mut d) = (x.clone(), x.clone(), x.clone(), x.clone());
        let absolute: Vec<$float> = x.iter().map(|x| x.abs() + 0.01).collect();
        $({
            let c_name: Option<&str> = $c;
            let vectors = c_name.and_then(Vectors::find);
            type Loop = fn(ArrayViewMut1<'_, $float>, ArrayView1<'_, $float>);
            let over_std: Option<Loop> = None$(.or(Some(|y, x| {
                Zip::from(y).and(x).for_each(|y, &x| *y = $std(x));
            })))?;
            let from = if $name.starts_with("ln") { &absolute } else { &x };
            let times = interleaved(60, 8, &mut [
                &mut || {
                    use_instruction_set(set);
                    map_with(Write::Overwrite, black_box(&mut a), from, $f);
                },
                &mut || {
                    use_instruction_set("avx2");
                    map_with(Write::Overwrite, black_box(&mut b), from, $f);
                },
                &mut || {
                    if let Some(f) = &vectors {
                        f.run(black_box(&mut c), from);
                    }
                },
                &mut || {
                    if let Some(f) = over_std {
                        f((&mut d[..]).into(), black_box(&from[..]).into());
                    }
                },
            ]);
            use_instruction_set(set);
            let show = |i: usize| {
                let (median, least): (f64, f64) = times[i];
                format!("{:.2} ({:.2})", median * 1e9 / n as f64, least * 1e9 / n as f64)
            };
            let other = |there: bool, i: usize| if there { show(i) } else { "–".into() };
            let alone = match ($name, c_name) {
                ("gelu" | "gelu_tanh", Some(c)) => format!(", {c} alone"),
                _ => String::new(),
            };
            let (theirs, std) = (other(vectors.is_some(), 2), other(over_std.is_some(), 3));
            println!("| {} | {} | {} | {theirs}{alone} | {std} |", $name, show(0), show(1));
        })*
    };
}

fn compute() {
    let threads = threads::num_threads();
    threads::set_num_threads(1);
    compute! {
        f32,
        ("exp", Exp, Some("expf"), f32::exp);
        ("ln", Ln, Some("logf"), f32::ln);
        ("ln_1p", Ln1p, Some("log1pf"), f32::ln_1p);
        ("exp_m1", ExpM1, Some("expm1f"), f32::exp_m1);
        ("tanh", Tanh, Some("tanhf"), f32::tanh);
        ("erf", Erf, Some("erff"));
        ("sin", Sin, Some("sinf"), f32::sin);
        ("cos", Cos, Some("cosf"), f32::cos);
        ("sigmoid", Sigmoid, None, |x: f32| 1.0 / (1.0 + (-x).exp()));
        ("silu", Silu, None, |x: f32| x / (1.0 + (-x).exp()));
        ("softplus", Softplus, None, |x: f32| x.max(0.0) + (-x.abs()).exp().ln_1p());
        ("gelu", Gelu, Some("erff"));
        ("gelu_tanh", GeluTanh, Some("tanhf"), |x: f32| {
            x * (0.5 + 0.5 * (0.797_884_6 * x * (1.0 + 0.044_715 * x * x)).tanh())
        });
    }
    compute! {
        f64,
        ("exp", Exp, Some("exp"), f64::exp);
        ("ln", Ln, Some("log"), f64::ln);
        ("ln_1p", Ln1p, Some("log1p"), f64::ln_1p);
        ("exp_m1", ExpM1, Some("expm1"), f64::exp_m1);
        ("tanh", Tanh, Some("tanh"), f64::tanh);
        ("erf", Erf, Some("erf"));
        ("sin", Sin, Some("sin"), f64::sin);
        ("cos", Cos, Some("cos"), f64::cos);
        ("sigmoid", Sigmoid, None, |x: f64| 1.0 / (1.0 + (-x).exp()));
        ("silu", Silu, None, |x: f64| x / (1.0 + (-x).exp()));
        ("softplus", Softplus, None, |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p());
        ("gelu", Gelu, Some("erf"));
        ("gelu_tanh", GeluTanh, Some("tanh"), |x: f64| {
            x * (0.5 + 0.5 * (0.797_884_560_802_865_4 * x * (1.0 + 0.044_715 * x * x)).tanh())
        });
    }
    threads::set_num_threads(threads);
}

fn adamw() {
    let n = 10_000_000;
    let threads = threads::num_threads();
    println!(
        "\nAdamW, 10 M parameters, f32, {threads} thread(s): ms, median (least)\n\
         | tiegrad | C loop | ratio of medians | of the least |\n|---|---|---|---|"
    );
    let Some(c) = foreign::adamw() else {
        println!("no C compiler");
        return;
    };
    let make = || {
        (
            vec![1.0_f32; n],
            vec![0.1_f32; n],
            vec![0.0_f32; n],
            vec![0.0_f32; n],
        )
    };
    let ((mut p, g, mut m, mut v), (mut cp, cg, mut cm, mut cv)) = (make(), make());
    let step = AdamStep {
        weight_decay: 0.1,
        decoupled: true,
        ..AdamStep::new(1e-3, 0.9, 0.999, 1e-8, 1000)
    };
    let t = interleaved(
        41,
        1,
        &mut [
            &mut || adam(&mut p, &g, &mut m, &mut v, None, step),
            &mut || {
                // SAFETY: all four arrays hold n numbers.
                unsafe {
                    c(
                        n as _,
                        cp.as_mut_ptr(),
                        cg.as_ptr(),
                        cm.as_mut_ptr(),
                        cv.as_mut_ptr(),
                        threads as _,
                    );
                }
            },
        ],
    );
    println!(
        "| {:.2} ({:.2}) | {:.2} ({:.2}) | {:.2} | {:.2} |",
        t[0].0 * 1e3,
        t[0].1 * 1e3,
        t[1].0 * 1e3,
        t[1].1 * 1e3,
        t[0].0 / t[1].0,
        t[0].1 / t[1].1
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    if wanted("compute") {
        compute();
    }
    if wanted("adamw") {
        adamw();
    }
    if wanted("rows") {
        near::near();
    }
    if wanted("memory") {
        memory();
    }
}
