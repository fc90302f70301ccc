//! What a caller gains who keeps the copy of a weight that is used several times in one pass: recurrent steps, ties.

use std::hint::black_box;

use tiegrad_kernels::Scalar;
use tiegrad_kernels::matmul::{
    Epilogue, Mat, MatMut, MatmulShape, PackRoom, matmul, matmul_packed,
};

use crate::peers::{Float, Form};
use crate::{Options, median, time};

/// How often a weight is used in a pass.
const USES: usize = 16;
const ROWS: [usize; 7] = [1, 4, 8, 16, 32, 64, 128];
const SIZES: [[usize; 2]; 6] = [
    [128, 128],
    [256, 256],
    [128, 512],
    [512, 512],
    [512, 128],
    [1024, 1024],
];

/// Prints a table for one type: the time of a pass with the copy, its making included, against without.
pub(crate) fn compare<T: Float + Scalar>(o: &Options) {
    println!(
        "\n{}: {USES} products with one weight, µs without and with one copy of it for all (its making included), and the ratio",
        <T as Float>::NAME
    );
    for form in [Form::Plain, Form::RightTransposed] {
        if !o.forms.contains(&form) {
            continue;
        }
        for [k, n] in SIZES {
            print!(
                "k={k:<4} n={n:<4} {}",
                if form == Form::Plain { "A B " } else { "A Bt" }
            );
            for m in ROWS {
                let [without, with, ratio] = one::<T>(o, form, m, k, n);
                print!(
                    "  m={m:<2} {:7.1} {:7.1} {ratio:5.2}",
                    without / 1e3,
                    with / 1e3
                );
            }
            println!();
        }
    }
}

/// Nanoseconds without and with, and the median ratio of the rounds.
fn one<T: Float + Scalar>(o: &Options, form: Form, m: usize, k: usize, n: usize) -> [f64; 3] {
    let numbers = |len: usize| -> Vec<T> {
        (0..len)
            .map(|i| T::of((i * 7919 % 2003) as f64 / 1001.5 - 1.0))
            .collect()
    };
    let (x, w) = (numbers(m * k), numbers(k * n));
    let mut y = vec![<T as Default>::default(); m * n];
    let w = match form {
        Form::RightTransposed => Mat::new(&w, k).t(),
        _ => Mat::new(&w, n),
    };
    let mut room = PackRoom::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..o.rounds {
        without.push(time(o, || {
            for _ in 0..USES {
                let s = black_box(MatmulShape::new(m, n, k));
                let (x, y) = (Mat::new(&x, k), MatMut::new(&mut y, n));
                matmul(s, T::ONE, x, w, T::ZERO, Epilogue::NONE, y);
            }
        }));
        with.push(time(o, || {
            let packed = room.pack(m, k, n, w);
            for _ in 0..USES {
                let (x, y) = (Mat::new(&x, k), MatMut::new(&mut y, n));
                matmul_packed(black_box(m), T::ONE, x, packed, T::ZERO, Epilogue::NONE, y);
            }
        }));
    }
    let mut ratios: Vec<f64> = without.iter().zip(&with).map(|(a, b)| a / b).collect();
    [median(&mut without), median(&mut with), median(&mut ratios)]
}
