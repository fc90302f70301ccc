//! A product with an epilogue has the bits of the product with the bias, followed by the elementwise kernel.

use super::paths::{Leveled, levels};
use super::*;
use crate::cache::with_second_level;
use crate::elementwise::{Gelu, GeluTanh, Unary, map_with};
use crate::testing::bits;
use crate::{Arithmetic, Write};

const ACTIVATIONS: [Activation; 7] = [
    Activation::None,
    Activation::Relu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Sigmoid,
    Activation::Tanh,
];

const GAP: Layout = Layout {
    row_gap: 3,
    ..PLAIN
};
const STEP: Layout = Layout { step: 2, ..PLAIN };

/// An activation as a function of the elementwise kernels.
#[derive(Clone, Copy)]
struct Apart(Activation);

impl<T: Arithmetic> Unary<T> for Apart {
    #[inline(always)]
    fn call(self, x: T) -> T {
        match self.0 {
            Activation::None => x,
            Activation::Relu => {
                if x < T::ZERO {
                    T::ZERO
                } else {
                    x
                }
            }
            Activation::Gelu => Gelu.call(x),
            Activation::GeluTanh => GeluTanh.call(x),
            Activation::Silu => x * x.sigmoid(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Tanh => x.tanh(),
        }
    }
}

/// The elementwise kernel of an activation, over all of `x`.
fn apart<N: Number>(activation: Activation, x: &[N]) -> Vec<N> {
    let mut y = vec![N::ZERO; x.len()];
    map_with(Write::Overwrite, &mut y, x, Apart(activation));
    y
}

/// Operands with a row and a column of what is not usual.
fn operands<N: Number>(s: MatmulShape, layouts: [Layout; 3]) -> [(Vec<N>, usize, usize); 3] {
    let mut numbers = Numbers::new((s.m * 41 + s.n * 7 + s.k) as u64);
    let sizes = [[s.m, s.k], [s.k, s.n], [s.m, s.n]];
    let count = s.batch[0] * s.batch[1];
    let mut all = [0, 1, 2].map(|i| {
        let (row, col, len) = layouts[i].strides(sizes[i][0], sizes[i][1]);
        (numbers.vec::<N>(len * count + 1), row, col)
    });
    if s.m > 2 && s.k > 0 && s.n > 1 {
        // A row without a product is -0 or 0 before the bias; then NaN and infinity.
        let (a, row, col) = &mut all[0];
        for p in 0..s.k {
            a[p * *col] = N::from_f64(-0.0);
        }
        a[*row] = N::from_f64(f64::NAN);
        a[2 * *row] = N::INFINITY;
    }
    all
}

/// Checks all activations and biases: `product` fills the result it is given.
fn check_all_of<N: Number>(
    what: &str,
    (s, [_, row, col]): (MatmulShape, [usize; 3]),
    c: &[N],
    product: impl Fn(Epilogue<'_, N>, &mut [N]),
) {
    let mut numbers = Numbers::new(5);
    let values: Vec<N> = numbers.vec(s.m.max(s.n));
    for bias in [Bias::None, Bias::PerRow, Bias::PerColumn] {
        let epilogue = bias.epilogue(&values);
        let mut plain = c.to_vec();
        product(epilogue, &mut plain);
        for activation in ACTIVATIONS {
            // Between the elements of the result nothing changes.
            let mut expected = c.to_vec();
            let count = s.batch[0] * s.batch[1];
            let all = apart(activation, &plain);
            for b in 0..count {
                for i in 0..s.m {
                    for j in 0..s.n {
                        let at = b * (c.len() / count) + i * row + j * col;
                        expected[at] = all[at];
                    }
                }
            }
            let mut found = c.to_vec();
            product(epilogue.activation(activation), &mut found);
            assert!(
                bits(&found) == bits(&expected),
                "{what} {s:?} {bias:?} {activation:?}: the bits differ"
            );
        }
    }
}

/// One product on every level.
fn on_every_level<N: Leveled>(s: MatmulShape, layouts: [Layout; 3], [alpha, beta]: [f64; 2]) {
    let [(a, ar, ac), (b, br, bc), (c, cr, cc)] = operands::<N>(s, layouts);
    for level in levels() {
        let what = format!("{level:?} {layouts:?} {alpha} {beta}");
        check_all_of(&what, (s, [0, cr, cc]), &c, |epilogue, c| {
            let mut g = Gemm::new(s.m, s.n, s.k);
            (g.alpha, g.beta) = (N::from_f64(alpha), N::from_f64(beta));
            (g.a, g.a_row, g.a_col) = (a.as_ptr(), ar, ac);
            (g.b, g.b_row, g.b_col) = (b.as_ptr(), br, bc);
            (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), cr, cc);
            g.bias = epilogue.bias_ptr(s.m, s.n);
            (g.bias_by_row, g.activation) = (epilogue.by_row, epilogue.activation);
            g.orient(|| level);
            // SAFETY: the vectors hold matrices of these sizes and strides.
            unsafe { gemm_at(level, &g) };
        });
    }
}

/// The function that users call, which splits work over threads and runs batches.
fn as_called<N: Number>(s: MatmulShape, layouts: [Layout; 3]) {
    let all = operands::<N>(s, layouts);
    let count = s.batch[0] * s.batch[1];
    let of = |v: &[N]| [s.batch[1] * (v.len() / count), v.len() / count];
    let mat = |(v, row, col): &(Vec<N>, usize, usize)| (of(v), *row, *col);
    let (a, b) = (mat(&all[0]), mat(&all[1]));
    let (c_batch, cr, cc) = mat(&all[2]);
    check_all_of("matmul", (s, [0, cr, cc]), &all[2].0, |epilogue, c| {
        matmul(
            s,
            N::ONE,
            Mat {
                data: &all[0].0,
                row: a.1,
                col: a.2,
                batch: a.0,
            },
            Mat {
                data: &all[1].0,
                row: b.1,
                col: b.2,
                batch: b.0,
            },
            N::ONE,
            epilogue,
            MatMut {
                data: c,
                row: cr,
                col: cc,
                batch: c_batch,
            },
        );
    });
}

#[test]
fn the_bits_are_those_of_the_separate_kernel_on_every_path() {
    let small = [
        // Dot products, one row, few rows, one column, tails, nothing to sum.
        (1, 1, 9),
        (2, 4, 8),
        (3, 11, 40),
        (1, 100, 9),
        (1, 1500, 33),
        (3, 150, 20),
        (40, 1, 17),
        (7, 33, 5),
        (13, 65, 12),
        // A short inner dimension.
        (9, 70, 3),
        (9, 520, 7),
        (10, 520, 7),
        (25, 70, 0),
        // Rows that share vectors, and a right operand that stays in registers.
        (90, 5, 4),
        (90, 7, 9),
        (70, 3, 14),
        (20, 50, 6),
        // A row of dot products, computed as a column.
        (1, 30, 24),
        // Dot products in chains.
        (1, 3, 200),
        (4, 1, 300),
        // Few rows in chains.
        (1, 10, 50),
        (2, 30, 35),
        (3, 14, 600),
        // Few columns, which become rows.
        (35, 10, 20),
    ];
    for (m, n, k) in small {
        let s = MatmulShape::new(m, n, k);
        for operands in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN]] {
            for c in [PLAIN, GAP, T, STEP] {
                let layouts = [operands[0], operands[1], c];
                on_every_level::<f32>(s, layouts, [1.0, 0.0]);
                on_every_level::<f64>(s, layouts, [-0.6, 0.7]);
            }
        }
    }
    // Several blocks of the inner dimension, of rows and of columns, for a small cache and a large one; last columns as rows of the transposed product.
    for (m, n, k) in [
        (50, 70, 520),
        (130, 260, 400),
        (2, 40, 900),
        (130, 20, 40),
        (85, 131, 5),
        // A near right operand, where it lies.
        (40, 130, 124),
    ] {
        let s = MatmulShape::new(m, n, k);
        for layouts in [[PLAIN, PLAIN, PLAIN], [T, T, PLAIN], [PLAIN, T, T]] {
            for second_level in [1 << 20, 3 << 19] {
                with_second_level(second_level, || {
                    on_every_level::<f32>(s, layouts, [1.0, 1.0]);
                    on_every_level::<f64>(s, layouts, [1.0, 0.0]);
                });
            }
        }
    }
}

#[test]
fn batches_threads_and_scalars_without_vectors_have_them_too() {
    for (batch, m, n, k) in [
        ([1, 1], 9, 20, 7),
        ([2, 3], 5, 18, 9),
        ([2, 2], 40, 5, 16),
        ([2, 2], 6, 1, 8),
        ([2, 3], 20, 1, 24),
        ([2, 3], 4, 1, 300),
        ([2, 3], 1, 20, 24),
        ([1, 1], 70, 200, 50),
        ([1, 3], 90, 70, 60),
    ] {
        let s = MatmulShape { batch, m, n, k };
        for layouts in [[PLAIN; 3], [PLAIN, T, PLAIN], [T, PLAIN, T]] {
            as_called::<f32>(s, layouts);
            as_called::<f64>(s, layouts);
            if m < 50 {
                as_called::<Dual<f32>>(s, layouts);
                as_called::<Dual<f64>>(s, layouts);
            }
        }
    }
}

#[test]
fn relu_keeps_nan_and_minus_zero() {
    let relu = Epilogue::NONE.activation(Activation::Relu);
    for n in [1, 3, 16, 70] {
        for value in [f64::NAN, -0.0, -1.0, f64::NEG_INFINITY, 2.0] {
            let b = vec![value as f32; n];
            let mut c = vec![0.0; n];
            matmul(
                MatmulShape::new(1, n, 1),
                1.0,
                Mat::new(&[1.0], 1),
                Mat::new(&b, n),
                0.0,
                relu.bias_per_row(&[-0.0]),
                MatMut::new(&mut c, n),
            );
            for y in c {
                match value {
                    v if v.is_nan() => assert!(y.is_nan()),
                    v if v < 0.0 => assert!(y.to_bits() == 0, "{v} becomes {y}"),
                    v => assert!(y.to_bits() == (v as f32).to_bits() || v == 0.0 && y == 0.0),
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "the bias is shorter than a column")]
fn a_short_bias_panics() {
    let (a, b, mut c) = ([0.0_f32; 4], [0.0; 4], [0.0; 4]);
    matmul(
        MatmulShape::new(2, 2, 2),
        1.0,
        Mat::new(&a, 2),
        Mat::new(&b, 2),
        0.0,
        Epilogue::NONE.bias_per_row(&[0.0]),
        MatMut::new(&mut c, 2),
    );
}
