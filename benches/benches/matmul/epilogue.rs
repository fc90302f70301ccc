//! What an epilogue saves against an activation in a pass of its own, and what the bias's gradient costs beside the weight's.

use std::hint::black_box;

use tiegrad_kernels::elementwise::{Unary, map_with};
use tiegrad_kernels::matmul::{Activation, Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::{Arithmetic, Scalar, Write, reduce};

use crate::peers::Float;
use crate::{Options, median, time};

/// (m, k, n): rows, in_features, out_features.
const SHAPES: [[usize; 3]; 7] = [
    [2, 4, 8],
    [32, 128, 128],
    [128, 784, 512],
    [768, 128, 512],
    [768, 512, 128],
    [4096, 64, 64],
    [2048, 512, 2048],
];

/// Prints a table for one type.
pub(crate) fn compare<T: Float + Scalar>(o: &Options) {
    println!(
        "\n{}: x wT + b and an activation, µs in two passes and in one, and the ratio; then the weight's gradient, the bias's, and their ratio",
        <T as Float>::NAME
    );
    for shape in SHAPES {
        let [m, k, n] = shape;
        print!("{:18}", format!("({m},{k},{n})"));
        for activation in [
            Activation::Relu,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Gelu,
        ] {
            let [apart, fused] = forward::<T>(o, shape, activation);
            print!(
                "  {activation:?} {:8.2} {:8.2} {:4.2}",
                apart / 1e3,
                fused / 1e3,
                apart / fused
            );
        }
        let [dw, db] = gradients::<T>(o, shape);
        println!("  dW {:8.2} db {:8.2} {:6.3}", dw / 1e3, db / 1e3, db / dw);
    }
}

fn numbers<T: Float>(len: usize) -> Vec<T> {
    (0..len)
        .map(|i| T::of((i * 7919 % 2003) as f64 / 1001.5 - 1.0))
        .collect()
}

/// Activations as the loops of ops have them: inlined, and with fused multiply-add, which a closure has not.
macro_rules! apart {
    ($($name:ident),*) => {$(
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Arithmetic> Unary<T> for $name {
            #[inline(always)]
            fn call(self, x: T) -> T {
                Activation::$name.call(x)
            }
        }
    )*};
}
apart!(Relu, Sigmoid, Tanh, Gelu);

/// Interleaved rounds of two functions: the median times.
fn both(o: &Options, mut f: impl FnMut(), mut g: impl FnMut()) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..o.rounds {
        times[0].push(time(o, &mut f));
        times[1].push(time(o, &mut g));
    }
    times.map(|mut t| median(&mut t))
}

fn forward<T: Float + Scalar>(
    o: &Options,
    [m, k, n]: [usize; 3],
    activation: Activation,
) -> [f64; 2] {
    let (x, w, b) = (numbers::<T>(m * k), numbers::<T>(n * k), numbers::<T>(n));
    let (mut z, mut y, mut fused) = (x.clone(), x.clone(), x.clone());
    for v in [&mut z, &mut y, &mut fused] {
        v.resize(m * n, <T as Arithmetic>::ZERO);
    }
    let product = |epilogue, y: &mut [T]| {
        let s = black_box(MatmulShape::new(m, n, k));
        let (x, w) = (Mat::new(&x, k), Mat::new(&w, k).t());
        matmul(s, T::ONE, x, w, T::ZERO, epilogue, MatMut::new(y, n));
    };
    let bias = Epilogue::NONE.bias_per_column(&b);
    both(
        o,
        || {
            product(bias, &mut z);
            let w = Write::Overwrite;
            match activation {
                Activation::Relu => map_with(w, &mut y, &z, Relu),
                Activation::Sigmoid => map_with(w, &mut y, &z, Sigmoid),
                Activation::Tanh => map_with(w, &mut y, &z, Tanh),
                _ => map_with(w, &mut y, &z, Gelu),
            }
        },
        || product(bias.activation(activation), &mut fused),
    )
}

fn gradients<T: Float + Scalar>(o: &Options, [m, k, n]: [usize; 3]) -> [f64; 2] {
    let (x, dy) = (numbers::<T>(m * k), numbers::<T>(m * n));
    let (mut dw, mut db) = (numbers::<T>(n * k), numbers::<T>(n));
    both(
        o,
        || {
            let s = black_box(MatmulShape::new(n, k, m));
            let (dy, x) = (Mat::new(&dy, n).t(), Mat::new(&x, k));
            matmul(
                s,
                T::ONE,
                dy,
                x,
                T::ZERO,
                Epilogue::NONE,
                MatMut::new(&mut dw, k),
            );
        },
        || {
            let (rows, strides) = ([m, n], [n, 1]);
            reduce::sum_to(
                Write::Overwrite,
                &mut db,
                &[0, 1],
                &rows,
                &dy,
                &strides,
                &[],
                &strides,
                &[],
                &strides,
                |dy, _, _| dy,
            );
        },
    )
}
