//! Times the kernels on one machine: `cargo run --release -p tiegrad-benches --bin measure [threads]`.

use std::hint::black_box;
use std::time::Instant;
use tiegrad_kernels::attention::{
    AttentionShape, View4, View4Mut, attention, attention_backward_scores,
};
use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::step::{AdamStep, adam};
use tiegrad_kernels::{Arithmetic, Write, elementwise, reduce, rows, threads};

/// Median and least nanoseconds per call, over samples of at least 20 µs each.
fn time(mut f: impl FnMut()) -> (f64, f64) {
    // The first call finds cold caches and sleeping threads.
    f();
    let start = Instant::now();
    f();
    let once = start.elapsed().as_nanos().max(1) as usize;
    let inner = (20_000 / once).clamp(1, 2000);
    let mut samples = Vec::new();
    let begin = Instant::now();
    while samples.len() < 9 || (begin.elapsed().as_millis() < 150 && samples.len() < 4000) {
        let start = Instant::now();
        for _ in 0..inner {
            f();
        }
        samples.push(start.elapsed().as_nanos() as f64 / inner as f64);
    }
    samples.sort_by(f64::total_cmp);
    (samples[samples.len() / 2], samples[0])
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i * 7919 % 2003) as f32 / 1001.5 - 1.0) * 2.0)
        .collect()
}

fn product(batch: usize, m: usize, n: usize, k: usize, form: &str) {
    let (a, b, mut c) = (
        numbers(batch * m * k),
        numbers(batch * k * n),
        vec![0.0; batch * m * n],
    );
    let s = MatmulShape {
        batch: [1, batch],
        m,
        n,
        k,
    };
    let (ar, ac) = if form == "AtB" { (1, m) } else { (k, 1) };
    let (br, bc) = if form == "ABt" { (1, k) } else { (n, 1) };
    let ours = time(|| {
        matmul(
            s,
            black_box(1.0),
            Mat {
                data: &a,
                row: ar,
                col: ac,
                batch: [0, m * k],
            },
            Mat {
                data: &b,
                row: br,
                col: bc,
                batch: [0, k * n],
            },
            0.0,
            Epilogue::NONE,
            MatMut {
                data: &mut c,
                row: n,
                col: 1,
                batch: [0, m * n],
            },
        );
    });
    let theirs = time(|| {
        for i in 0..batch {
            // SAFETY: the slices hold `batch` matrices of these sizes and strides.
            unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.0,
                    a[i * m * k..].as_ptr(),
                    ar as isize,
                    ac as isize,
                    b[i * k * n..].as_ptr(),
                    br as isize,
                    bc as isize,
                    0.0,
                    c[i * m * n..].as_mut_ptr(),
                    n as isize,
                    1,
                );
            }
        }
    });
    let flops = 2.0 * (batch * m * n * k) as f64;
    let name = format!("{batch}x({m},{k},{n}) {form}");
    if flops < 1e4 {
        println!(
            "{name:28} {:8.1} ns ({:.1})   matrixmultiply {:8.1} ns",
            ours.0, ours.1, theirs.0
        );
    } else {
        println!(
            "{name:28} {:8.1} GFLOP/s ({:.1})   matrixmultiply {:8.1} ({:.1})",
            flops / ours.0,
            flops / ours.1,
            flops / theirs.0,
            flops / theirs.1
        );
    }
}

fn per_element(name: &str, n: usize, f: impl FnMut()) {
    let (median, least) = time(f);
    println!(
        "{name:28} {:8.3} ns/element ({:.3})",
        median / n as f64,
        least / n as f64
    );
}

fn main() {
    let count = std::env::args()
        .nth(1)
        .and_then(|a| a.parse().ok())
        .unwrap_or(1);
    threads::set_num_threads(count);
    println!("{} thread(s)", threads::num_threads());
    for form in ["AB", "ABt", "AtB"] {
        product(1, 2, 8, 4, form);
        product(1, 2, 1, 8, form);
        product(1, 8, 4, 2, form);
    }
    for (batch, m, k, n) in [
        (1, 1, 512, 512),
        (1, 16, 64, 64),
        (1, 32, 128, 128),
        (1, 64, 64, 64),
        (1, 128, 784, 512),
        (1, 128, 512, 512),
        (1, 128, 512, 10),
        (1, 768, 128, 384),
        (1, 768, 128, 512),
        (1, 768, 512, 128),
        (1, 768, 128, 65),
        (1, 128, 768, 384),
        (1, 512, 512, 512),
        (1, 1024, 1024, 1024),
        (48, 64, 32, 64),
        (48, 64, 64, 32),
    ] {
        for form in ["AB", "ABt", "AtB"] {
            product(batch, m, n, k, form);
        }
    }

    let n = 400_000;
    let (x, y, mut out) = (numbers(n), numbers(n), vec![0.0_f32; n]);
    let half = 0.5_f32;
    let c = std::f32::consts::FRAC_1_SQRT_2;
    let w = Write::Overwrite;
    per_element("add", n, || {
        elementwise::zip(w, &mut out, &x, &y, |x, y| x + y)
    });
    per_element("exp", n, || {
        elementwise::map(w, &mut out, &x, Arithmetic::exp)
    });
    per_element("ln", n, || {
        elementwise::map(w, &mut out, &x, Arithmetic::ln)
    });
    per_element("tanh", n, || {
        elementwise::map(w, &mut out, &x, Arithmetic::tanh)
    });
    per_element("sigmoid", n, || {
        elementwise::map(w, &mut out, &x, |x| x.sigmoid())
    });
    per_element("erf", n, || {
        elementwise::map(w, &mut out, &x, Arithmetic::erf)
    });
    per_element("gelu, closure", n, || {
        elementwise::map(w, &mut out, &x, |x| {
            x * half * (1.0 + Arithmetic::erf(x * c))
        })
    });
    per_element("gelu", n, || {
        elementwise::map_with(w, &mut out, &x, elementwise::Gelu)
    });
    per_element("gelu backward", n, || {
        elementwise::zip_with(w, &mut out, &x, &y, elementwise::GeluBackward)
    });
    per_element("gelu tanh", n, || {
        elementwise::map_with(w, &mut out, &x, elementwise::GeluTanh)
    });
    per_element("softplus", n, || {
        elementwise::map_with(w, &mut out, &x, elementwise::Softplus)
    });
    per_element("broadcast bias", n, || {
        elementwise::zip_broadcast(
            &mut out,
            &[n / 400, 400],
            &x,
            &[400, 1],
            &y[..400],
            &[0, 1],
            |x, y| x + y,
        );
    });
    let mut bias = vec![0.0; 400];
    per_element("sum_to columns", n, || {
        reduce::sum_to(
            w,
            &mut bias,
            &[0, 1],
            &[n / 400, 400],
            &x,
            &[400, 1],
            &[],
            &[0, 0],
            &[],
            &[0, 0],
            |a, _, _| a,
        );
    });
    per_element("sum", n, || {
        black_box(reduce::sum(&x));
    });
    let n = 768 * 128;
    let (x, y, out) = (&x[..n], &y[..n], &mut out[..n]);
    let (g, mut stats) = (numbers(128), vec![0.0; 2 * 768]);
    per_element("layer_norm", n, || {
        rows::layer_norm(out, &mut stats, x, Some(&g), None, 1e-5, 128)
    });
    per_element("layer_norm input", n, || {
        rows::layer_norm_backward_input(w, out, y, x, &stats, Some(&g), 128)
    });
    let mut dg = vec![0.0; 128];
    per_element("layer_norm params", n, || {
        rows::layer_norm_backward_params(Some((w, &mut dg)), None, y, x, &stats, 128);
    });
    per_element("softmax", n, || rows::softmax(out, x, 128));
    let s = AttentionShape {
        batch: 12,
        heads: 4,
        tq: 64,
        tk: 64,
        d: 32,
        dv: 32,
        causal: true,
        scale: 0.17,
    };
    let mut probs = vec![0.0; s.probs_len()];
    let qkv = numbers(768 * 384);
    let strides = [64 * 384, 384, 32, 1];
    let (q, k, v) = (&qkv[..], &qkv[128..], &qkv[256..]);
    let view = |data| View4 { data, strides };
    let own = [64 * 128, 128, 32, 1];
    per_element("attention", probs.len(), || {
        attention(
            s,
            View4Mut {
                data: out,
                strides: own,
            },
            &mut probs,
            view(q),
            view(k),
            view(v),
        );
    });
    let mut ds = vec![0.0; s.probs_len()];
    per_element("attention backward scores", probs.len(), || {
        attention_backward_scores(
            s,
            &mut ds,
            &probs,
            View4 {
                data: x,
                strides: own,
            },
            view(v),
        );
    });
    let n = 10_000_000;
    let (mut p, g, mut m, mut v) = (vec![0.1_f32; n], vec![0.1; n], vec![0.1; n], vec![0.1; n]);
    per_element("adam, 10 M", n, || {
        adam(
            &mut p,
            &g,
            &mut m,
            &mut v,
            None,
            AdamStep::new(1e-3, 0.9, 0.999, 1e-8, 3),
        )
    });
    let (median, least) = time(|| {
        threads::parallel_for(2, &|i| {
            black_box(i);
        })
    });
    println!("{:28} {median:8.0} ns ({least:.0})", "fork and join");
}
