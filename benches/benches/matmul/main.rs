//! Matrix products by tiegrad and by other libraries on the same operands, interleaved in one process.
//!
//! `just bench-matmul [threads=1] [f32] [f64] [plain] [abt] [atb] [random[=200]] [ms=4] [rounds=5] [peers=gemm,faer] [offset=BYTES] [MxKxN ...]`: without shapes,
//! the list below; with `random`, that many shapes with sizes from 1 to 2,048 (every second one with uniform logarithms).
//! Operands begin where the allocator puts them, mostly 16 bytes into a line of the cache; with `offset`, so many bytes into a line. (tiegrad's own buffers begin at lines: `offset=0`.)
//! Without a type or form, all of them. `packed` compares, instead of libraries, products with a weight
//! that is copied once for several with ordinary ones, `epilogue` fused activations with passes of their own.
//!
//! A round runs every library once on a problem, for `ms` milliseconds and at least twice; a round's time is the median
//! of its calls, in processor time on one thread; with several threads an idle time and the calls of 20 ms come before it. Printed are GFLOP/s by the median round (and the best), the median over rounds of the ratio to the best
//! other library, and the fraction of the peak of fused multiply-adds that the same process measured.
#![allow(missing_docs, reason = "a program")]

mod epilogue;
mod packed;
mod peak;
mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

use peers::{Float, Form, Problem, Run};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// (batch, m, k, n)
const SHAPES: &[[usize; 4]] = &[
    [1, 1, 512, 512],
    [1, 2, 4, 8],
    [1, 2, 8, 1],
    [1, 16, 64, 64],
    [1, 32, 128, 128],
    [1, 64, 64, 64],
    [1, 128, 784, 512],
    [1, 128, 512, 512],
    [1, 128, 512, 10],
    [1, 768, 128, 384],
    [1, 768, 128, 512],
    [1, 768, 512, 128],
    [1, 768, 128, 65],
    [1, 2048, 384, 1536],
    [1, 512, 512, 512],
    [1, 1024, 1024, 1024],
    [1, 2048, 2048, 2048],
    [1, 784, 128, 512],
    [1, 128, 768, 512],
    [1, 128, 32, 128],
    [48, 64, 32, 64],
    [48, 64, 64, 32],
];

struct Options {
    threads: usize,
    milliseconds: f64,
    rounds: usize,
    types: Vec<String>,
    forms: Vec<Form>,
    shapes: Vec<[usize; 4]>,
    /// What to compare instead of libraries: `packed` or `epilogue`.
    other: Option<String>,
    /// The libraries to compare with; empty: all.
    peers: Vec<String>,
    /// Bytes from a line of the cache to where each operand begins; as it comes if there is none.
    offset: Option<usize>,
}

fn options() -> Options {
    let mut o = Options {
        threads: 1,
        milliseconds: 4.0,
        rounds: 5,
        types: Vec::new(),
        forms: Vec::new(),
        shapes: Vec::new(),
        other: None,
        peers: Vec::new(),
        offset: None,
    };
    for arg in std::env::args().skip(1) {
        let (name, value) = arg.split_once('=').unwrap_or((&arg, ""));
        match name {
            // What cargo adds.
            "--bench" => {}
            "threads" => o.threads = value.parse().unwrap_or(1).max(1),
            "ms" => o.milliseconds = value.parse().unwrap_or(4.0),
            "peers" => o.peers.extend(value.split(',').map(str::to_owned)),
            "offset" => match value.parse() {
                // A whole number of either type, within a line.
                Ok(bytes) if bytes < 64 && bytes % 8 == 0 => o.offset = Some(bytes),
                _ => eprintln!("an offset is a multiple of 8 below 64: {arg}"),
            },
            "rounds" => o.rounds = value.parse().unwrap_or(5).max(1),
            "f32" | "f64" => o.types.push(name.to_owned()),
            "plain" => o.forms.push(Form::Plain),
            "abt" => o.forms.push(Form::RightTransposed),
            "atb" => o.forms.push(Form::LeftTransposed),
            "packed" | "epilogue" => o.other = Some(name.to_owned()),
            "random" => o.shapes.extend(random(value.parse().unwrap_or(200))),
            _ => {
                let sizes: Vec<usize> = arg.split('x').map_while(|s| s.parse().ok()).collect();
                match sizes[..] {
                    [m, k, n] => o.shapes.push([1, m, k, n]),
                    [batch, m, k, n] => o.shapes.push([batch, m, k, n]),
                    _ => eprintln!("not understood: {arg}"),
                }
            }
        }
    }
    if o.types.is_empty() {
        o.types = vec!["f32".into(), "f64".into()];
    }
    if o.forms.is_empty() {
        o.forms = vec![Form::Plain, Form::RightTransposed, Form::LeftTransposed];
    }
    if o.shapes.is_empty() {
        o.shapes = SHAPES.to_vec();
    }
    o
}

/// The same shapes on every run.
fn random(count: usize) -> Vec<[usize; 4]> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(4);
    let mut shape = |i: usize| {
        let mut size = || {
            if i.is_multiple_of(2) {
                rng.random_range(1..=2048)
            } else {
                (2048_f64.powf(rng.random_range(0.0..1.0))).round() as usize
            }
        };
        [1, size(), size(), size()]
    };
    (0..count).map(&mut shape).collect()
}

fn main() {
    let o = options();
    peers::set_threads(o.threads);
    println!(
        "{} thread(s), tiegrad on {}{}, {} rounds of {} ms{}",
        o.threads,
        tiegrad_kernels::instruction_set(),
        peers::kernels(),
        o.rounds,
        o.milliseconds,
        o.offset
            .filter(|_| o.other.is_none())
            .map_or(String::new(), |at| format!(
                ", operands {at} bytes into a line"
            ))
    );
    for name in &o.types {
        match (&name[..], o.other.as_deref()) {
            ("f32", None) => compare::<f32>(&o, peak::f32()),
            (_, None) => compare::<f64>(&o, peak::f64()),
            ("f32", Some("packed")) => packed::compare::<f32>(&o),
            (_, Some("packed")) => packed::compare::<f64>(&o),
            ("f32", _) => epilogue::compare::<f32>(&o),
            _ => epilogue::compare::<f64>(&o),
        }
    }
}

/// Nanoseconds of processor time of this thread, which other processes on the core do not lengthen; where there is no such
/// clock, or other threads work too, of the wall clock.
fn now(threads: usize) -> f64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    if threads == 1 {
        unsafe extern "C" {
            fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
        }
        const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
        let mut t = [0; 2];
        // SAFETY: a timespec of 64-bit Linux is two 64-bit integers.
        if unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &raw mut t) } == 0 {
            return t[0] as f64 * 1e9 + t[1] as f64;
        }
    }
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed().as_nanos() as f64
}

/// Nanoseconds of one call: the median of the calls that fit into the time, of which there are at least two.
fn time(o: &Options, mut f: impl FnMut()) -> f64 {
    if o.threads > 1 {
        // Threads of the library before spin on after its last call (OpenBLAS's for 2^26 cycles) and would hold a
        // processor that is this one's now.
        std::thread::sleep(Duration::from_millis(40));
    }
    f();
    if o.threads > 1 {
        // Those of this one have to wake up and find a processor.
        let start = Instant::now();
        while start.elapsed().as_millis() < 20 {
            f();
        }
    }
    let some = |f: &mut dyn FnMut(), count: usize| {
        let start = now(o.threads);
        for _ in 0..count {
            f();
        }
        ((now(o.threads) - start) / count as f64).max(1.0)
    };
    let mut once = some(&mut f, 1);
    if once < 20_000.0 {
        once = some(&mut f, 64);
    }
    let inner = (50_000.0 / once).clamp(1.0, 10_000.0) as usize;
    let count = ((o.milliseconds * 1e6 / (once * inner as f64)) as usize).clamp(2, 400);
    let mut samples: Vec<f64> = (0..count)
        .map(|_| {
            let start = now(o.threads);
            for _ in 0..inner {
                f();
            }
            (now(o.threads) - start) / inner as f64
        })
        .collect();
    median(&mut samples)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len();
    (samples[(n - 1) / 2] + samples[n / 2]) / 2.0
}

fn compare<T: Float>(o: &Options, peak: f64) {
    let mut peers = T::peers();
    let known: Vec<_> = peers[1..].iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = o.peers.iter().find(|p| !known.contains(&&p[..])) {
        eprintln!("{unknown} is not one of {}", known.join(", "));
        std::process::exit(2);
    }
    peers.retain(|(name, _)| {
        *name == "tiegrad" || o.peers.is_empty() || o.peers.iter().any(|p| p == name)
    });
    println!(
        "\n{}: peak of one core {peak:.1} GFLOP/s; GFLOP/s, median (best); calls under 200 flops in ns",
        T::NAME
    );
    print!("{:22}", "(m,k,n)");
    for (name, _) in &peers {
        print!(" {name:>14}");
    }
    println!("  ratio  to        of peak");
    let mut all = Vec::new();
    for &form in &o.forms {
        let mut ratios = Vec::new();
        for &[batch, m, k, n] in &o.shapes {
            let p = Problem {
                batch,
                m,
                k,
                n,
                form,
            };
            let name = format!(
                "{}({m},{k},{n}){}",
                if batch == 1 {
                    String::new()
                } else {
                    format!("{batch}x")
                },
                match form {
                    Form::Plain => "",
                    Form::LeftTransposed => " AtB",
                    Form::RightTransposed => " ABt",
                }
            );
            ratios.push((run::<T>(o, &p, &name, &peers, peak), name));
        }
        summary(&format!("{} {form:?}", T::NAME), &mut ratios);
        all.append(&mut ratios);
    }
    summary(&format!("{} all", T::NAME), &mut all);
}

/// Runs all libraries on one problem, prints the line, and returns the ratio.
fn run<T: Float>(
    o: &Options,
    p: &Problem,
    name: &str,
    peers: &[(&'static str, Run<T>)],
    peak: f64,
) -> f64 {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    // Not the same orders in every run.
    let mut orders = Xoshiro256PlusPlus::seed_from_u64(
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |t| t.as_nanos() as u64),
    );
    let mut numbers = |len: usize| {
        let mut operand = Operand::new(len, o.offset);
        operand.fill_with(|| T::of(rng.random_range(-1.0..1.0)));
        operand
    };
    let a = numbers(p.batch * p.m * p.k);
    let b = numbers(p.batch * p.k * p.n);
    let mut c = Operand::<T>::new(p.batch * p.m * p.n, o.offset);
    let mut times = vec![Vec::new(); peers.len()];
    let mut order: Vec<usize> = (0..peers.len()).collect();
    for _ in 0..o.rounds {
        // Another order every round, and not only another first one: a core's clock follows what ran before, so that none should always come after the same other.
        order.shuffle(&mut orders);
        for &i in &order {
            let f = peers[i].1;
            times[i].push(time(o, || {
                // SAFETY: the vectors hold the problem's matrices.
                unsafe { f(black_box(p), a.as_ptr(), b.as_ptr(), c.as_mut_ptr()) };
            }));
        }
    }
    let medians: Vec<f64> = times.iter().map(|t| median(&mut t.clone())).collect();
    let best_other = (1..peers.len())
        .min_by(|&i, &j| medians[i].total_cmp(&medians[j]))
        .unwrap_or(0);
    let mut ratios: Vec<f64> = times[best_other]
        .iter()
        .zip(&times[0])
        .map(|(other, ours)| other / ours)
        .collect();
    let ratio = median(&mut ratios);
    print!("{name:22}");
    for (median, times) in medians.iter().zip(&times) {
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        if p.flops() < 200.0 {
            print!(" {median:6.1} ({best:5.1})");
        } else {
            print!(" {:6.1} ({:5.1})", p.flops() / median, p.flops() / best);
        }
    }
    println!(
        "  {ratio:5.2}  {:8}  {:4.0} %",
        peers[best_other].0,
        100.0 * p.flops() / medians[0] / peak / o.threads as f64
    );
    ratio
}

/// The elements of a matrix, within what was allocated for them.
struct Operand<T> {
    room: Vec<T>,
    elements: std::ops::Range<usize>,
}

impl<T: Float> Operand<T> {
    fn new(len: usize, offset: Option<usize>) -> Self {
        const LINE: usize = 64;
        let size = size_of::<T>();
        let Some(offset) = offset else {
            let room = vec![T::default(); len];
            return Operand {
                room,
                elements: 0..len,
            };
        };
        let room = vec![T::default(); len + 2 * LINE / size];
        let begin = room.as_ptr().align_offset(LINE) + offset / size;
        Operand {
            room,
            elements: begin..begin + len,
        }
    }
}

impl<T> std::ops::Deref for Operand<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.room[self.elements.clone()]
    }
}

impl<T> std::ops::DerefMut for Operand<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.room[self.elements.clone()]
    }
}

fn summary(what: &str, ratios: &mut [(f64, String)]) {
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = ratios.len();
    let mean = (ratios.iter().map(|r| r.0.ln()).sum::<f64>() / n as f64).exp();
    let count = |least: f64| ratios.iter().filter(|r| r.0 >= least).count();
    println!(
        "== {what}: geometric mean of ratios {mean:.3}; of {n}: {} at 1.0 or above, {} at 0.97, {} at 0.9; worst: {}",
        count(1.0),
        count(0.97),
        count(0.9),
        ratios
            .iter()
            .take(5)
            .map(|(r, name)| format!("{name} {r:.2}"))
            .collect::<Vec<_>>()
            .join(", ")
    );
}
