//! Whole training steps. `cargo bench -p tiegrad-benches --bench steps`; one thread: `TIEGRAD_NUM_THREADS=1` before it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tiegrad_benches::{Error, W1, W2, W3, Work};

fn bench(c: &mut Criterion, name: &str, work: Result<impl Work, Error>, tokens: u64) {
    let mut work = match work {
        Ok(work) => work,
        Err(error) => return eprintln!("{name}: {error}"),
    };
    let mut group = c.benchmark_group("step");
    group
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .throughput(Throughput::Elements(tokens));
    group.bench_function(name, |b| {
        b.iter(|| work.step().map_err(|error| error.to_string()))
    });
    group.finish();
}

fn steps(c: &mut Criterion) {
    bench(c, "W1", Ok(W1::default()), 2);
    bench(c, "W2", Ok(W2::default()), 128);
    bench(c, "W3", W3::new(), 12 * 64);
}

criterion_group!(benches, steps);
criterion_main!(benches);
