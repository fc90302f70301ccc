//! Matrix products of the shapes that training makes, against `matrixmultiply` on the same operands in the same process.
//! `TIEGRAD_NUM_THREADS=1 cargo bench -p tiegrad-benches --bench matmul`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tiegrad::kernels::matmul::{Mat, MatMut, MatmulShape, matmul};

/// (batch, m, k, n, form): which operand is stored transposed.
const SHAPES: &[(usize, usize, usize, usize, Form)] = &[
    (1, 2, 4, 8, Form::Plain),
    (1, 2, 8, 1, Form::Plain),
    (1, 1, 512, 512, Form::Plain),
    (1, 16, 64, 64, Form::Plain),
    (1, 64, 64, 64, Form::Plain),
    (1, 128, 784, 512, Form::Plain),
    (1, 128, 784, 512, Form::RightTransposed),
    (1, 128, 512, 10, Form::Plain),
    (1, 784, 128, 512, Form::LeftTransposed),
    (1, 768, 128, 384, Form::Plain),
    (1, 768, 128, 512, Form::RightTransposed),
    (1, 768, 512, 128, Form::Plain),
    (1, 128, 768, 512, Form::LeftTransposed),
    (1, 768, 128, 65, Form::RightTransposed),
    (48, 64, 32, 64, Form::RightTransposed),
    (48, 64, 64, 32, Form::Plain),
    (1, 512, 512, 512, Form::Plain),
    (1, 1024, 1024, 1024, Form::Plain),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Plain,
    LeftTransposed,
    RightTransposed,
}

fn products(c: &mut Criterion) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut group = c.benchmark_group("matmul");
    group
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    for &(batch, m, k, n, form) in SHAPES {
        let mut numbers =
            |len: usize| -> Vec<f32> { (0..len).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (a, b, mut y) = (
            numbers(batch * m * k),
            numbers(batch * k * n),
            numbers(batch * m * n),
        );
        let (ra, ca) = if form == Form::LeftTransposed {
            (1, m)
        } else {
            (k, 1)
        };
        let (rb, cb) = if form == Form::RightTransposed {
            (1, k)
        } else {
            (n, 1)
        };
        // A multiplication and an addition are two operations.
        group.throughput(Throughput::Elements(2 * (batch * m * k * n) as u64));
        let name = format!("{batch}x({m},{k},{n}) {form:?}");
        group.bench_function(BenchmarkId::new("tiegrad", &name), |bench| {
            let shape = MatmulShape {
                batch: [1, batch],
                m,
                n,
                k,
            };
            bench.iter(|| {
                let a = Mat {
                    data: &a[..],
                    row: ra,
                    col: ca,
                    batch: [0, m * k],
                };
                let b = Mat {
                    data: &b[..],
                    row: rb,
                    col: cb,
                    batch: [0, k * n],
                };
                matmul(
                    shape,
                    1.0,
                    a,
                    b,
                    0.0,
                    None,
                    MatMut {
                        data: &mut y[..],
                        row: n,
                        col: 1,
                        batch: [0, m * n],
                    },
                );
            });
        });
        group.bench_function(BenchmarkId::new("matrixmultiply", &name), |bench| {
            bench.iter(|| {
                for i in 0..batch {
                    let (a, b, y) = (&a[i * m * k..], &b[i * k * n..], &mut y[i * m * n..]);
                    let (ra, ca, rb, cb) = (ra as isize, ca as isize, rb as isize, cb as isize);
                    // SAFETY: the three slices hold m·k, k·n and m·n numbers from here on, and the strides stay within them.
                    unsafe {
                        matrixmultiply::sgemm(
                            m,
                            k,
                            n,
                            1.0,
                            a.as_ptr(),
                            ra,
                            ca,
                            b.as_ptr(),
                            rb,
                            cb,
                            0.0,
                            y.as_mut_ptr(),
                            n as isize,
                            1,
                        );
                    }
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
