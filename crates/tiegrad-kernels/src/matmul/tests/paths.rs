//! The kernels of every instruction set that the machine has, whichever is in use.

use super::{Layout, PLAIN, T, factor, layout};
use crate::cache::with_second_level;
use crate::matmul::{Gemm, Vectorized, gemm_at};
use crate::scalar::DType;
use crate::simd::Level;
use crate::testing::{Number, Numbers};
use proptest::prelude::*;

/// A float whose kernel can be run at any level that the machine has.
pub(super) trait Leveled: Number + Vectorized {}
impl Leveled for f32 {}
impl Leveled for f64 {}

/// Every level that this machine has, whatever level is in use.
pub(super) fn levels() -> impl Iterator<Item = Level> {
    crate::simd::best().and_below()
}

/// How a product is asked for: layouts, elements before the first of each matrix (so how it is aligned), factors, a bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    a: Layout,
    b: Layout,
    c: Layout,
    start: [usize; 3],
    pub(super) alpha: f64,
    pub(super) beta: f64,
    pub(super) bias: bool,
    /// Whether the bias has an element per row.
    by_row: bool,
}

pub(super) const FORM: Form = Form {
    a: PLAIN,
    b: PLAIN,
    c: Layout {
        row_gap: 3,
        ..PLAIN
    },
    start: [0, 0, 17],
    alpha: 1.0,
    beta: 0.0,
    bias: false,
    by_row: false,
};

/// With factors that are not exact to multiply by, and a bias.
pub(super) const ALL: Form = Form {
    alpha: -0.6,
    beta: 0.7,
    bias: true,
    ..FORM
};

/// An operand of at most `rows` x `cols`. What lies before, between and after its elements is NaN.
pub(super) struct Operand<N> {
    pub(super) data: Vec<N>,
    start: usize,
    pub(super) strides: [usize; 2],
}

impl<N: Number> Operand<N> {
    pub(super) fn new(
        numbers: &mut Numbers,
        rows: usize,
        cols: usize,
        layout: Layout,
        start: usize,
    ) -> Self {
        let (row, col, len) = layout.strides(rows, cols);
        let mut data = vec![N::from_f64(f64::NAN); start + len + 1];
        for i in 0..rows {
            for j in 0..cols {
                data[start + i * row + j * col] = N::make(numbers.one(), 0.0);
            }
        }
        Operand {
            data,
            start,
            strides: [row, col],
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.data[self.start + i * self.strides[0] + j * self.strides[1]].to_f64()
    }
}

/// The products of the first m rows of one `a`, for each m asked for, on every level, against sums in f64: within the
/// bound for a sum of k terms in any order, and nothing but the result is written.
fn prefixes<N: Leveled>(ms: impl Iterator<Item = usize> + Clone, n: usize, k: usize, form: Form) {
    let Form { alpha, beta, .. } = form;
    let most = ms.clone().max().unwrap_or(0);
    let mut numbers = Numbers::new((n * 41 + k) as u64);
    let a = Operand::<N>::new(&mut numbers, most, k, form.a, form.start[0]);
    let b = Operand::<N>::new(&mut numbers, k, n, form.b, form.start[1]);
    let old: Vec<N> = numbers.vec(most * n);
    let bias: Vec<N> = numbers.vec(most.max(n));
    let (mut sums, mut sizes) = (vec![0.0; most * n], vec![0.0; most * n]);
    for i in 0..most {
        for p in 0..k {
            let x = a.at(i, p);
            for j in 0..n {
                let term = x * b.at(p, j);
                sums[i * n + j] += term;
                sizes[i * n + j] += term.abs();
            }
        }
    }
    // In units of the last place of one: k additions, and the roundings of alpha, beta, the bias and the result; f64 is
    // compared with a sum that has roundings of its own.
    let unit = if N::DTYPE == DType::F32 {
        f64::from(f32::EPSILON)
    } else {
        2.0 * f64::EPSILON
    };
    let (row, col, len) = form.c.strides(most, n);
    let start = form.start[2];
    let nan = N::from_f64(f64::NAN);
    let mut c = vec![nan; start + len + 17];
    for level in levels() {
        for m in ms.clone() {
            c.fill(nan);
            if beta != 0.0 {
                for i in 0..m {
                    for j in 0..n {
                        c[start + i * row + j * col] = old[i * n + j];
                    }
                }
            }
            let mut g = Gemm::new(m, n, k);
            (g.alpha, g.beta) = (N::from_f64(alpha), N::from_f64(beta));
            (g.a, g.a_row, g.a_col) = (a.data[a.start..].as_ptr(), a.strides[0], a.strides[1]);
            (g.b, g.b_row, g.b_col) = (b.data[b.start..].as_ptr(), b.strides[0], b.strides[1]);
            (g.c, g.c_row, g.c_col) = (c[start..].as_mut_ptr(), row, col);
            if form.bias {
                (g.bias, g.bias_by_row) = (bias.as_ptr(), form.by_row);
            }
            g.orient(|| level);
            // SAFETY: the vectors hold matrices of these sizes and strides.
            unsafe { gemm_at(level, &g) };
            let mut wrong = None;
            for i in 0..m {
                for j in 0..n {
                    let y = &mut c[start + i * row + j * col];
                    let (sum, size) = (alpha * sums[i * n + j], alpha.abs() * sizes[i * n + j]);
                    let before = beta * old[i * n + j].to_f64();
                    let bias = match form {
                        Form { bias: false, .. } => 0.0,
                        Form { by_row, .. } => bias[if by_row { i } else { j }].to_f64(),
                    };
                    let exact = sum + before + bias;
                    let bound =
                        unit * ((k + 3) as f64 * size + 3.0 * before.abs() + 2.0 * bias.abs());
                    let error = (y.to_f64() - exact).abs();
                    if error > bound || error.is_nan() {
                        wrong = Some((i, j, y.to_f64(), exact));
                    }
                    *y = nan;
                }
            }
            assert!(
                wrong.is_none(),
                "{level:?} ({m},{k},{n}) {form:?}: {wrong:?}"
            );
            assert!(
                c.iter().all(|x| x.is_nan()),
                "{level:?} ({m},{k},{n}) {form:?} writes outside of the result"
            );
        }
    }
}

#[test]
fn narrow_results_without_gaps_on_every_path() {
    for form in [FORM, ALL] {
        let form = Form { c: PLAIN, ..form };
        for n in 0..=8 {
            for k in 0..=18 {
                prefixes::<f32>((30..=50).chain(90..=110), n, k, form);
                prefixes::<f64>((30..=50).chain(90..=110), n, k, form);
            }
        }
    }
}

#[test]
fn outer_products_of_long_rows_on_every_path() {
    // Rows of 416 without a gap begin at one place of a line, all others at many.
    for n in [190, 207, 416, 4100] {
        for k in 0..=9 {
            for gap in [0, 3] {
                let c = Layout {
                    row_gap: gap,
                    ..PLAIN
                };
                prefixes::<f32>([3, 5, 7].into_iter(), n, k, Form { c, ..FORM });
                prefixes::<f64>([3, 5, 7].into_iter(), n, k, Form { c, ..FORM });
            }
        }
    }
    // Groups of rows of which each lies 1, 2, 4, 8 or 16 rows from the next, of all heights, and rows that are left over.
    let by_row = Form {
        by_row: true,
        ..ALL
    };
    for n in [131, 136, 144] {
        for k in 1..=8 {
            for gap in [0, 3] {
                for form in [FORM, ALL, by_row] {
                    let c = Layout {
                        row_gap: gap,
                        ..PLAIN
                    };
                    prefixes::<f32>([85, 101].into_iter(), n, k, Form { c, ..form });
                    prefixes::<f64>([85, 101].into_iter(), n, k, Form { c, ..form });
                }
            }
        }
    }
}

#[test]
fn right_operands_in_registers_on_every_path() {
    for form in [FORM, ALL] {
        for k in 1..=10 {
            for (single, double) in [(41, 17), (48, 24), (49, 25), (57, 31), (64, 32), (65, 33)] {
                prefixes::<f32>([6, 7, 8, 12, 20, 70].into_iter(), single, k, form);
                prefixes::<f64>([6, 7, 8, 12, 20, 70].into_iter(), double, k, form);
            }
        }
    }
}

/// A few dot products, of which the longer ones are chained, with columns that are copied first or not, and a few rows of many vectors.
#[test]
fn few_rows_and_columns_on_every_path() {
    let ms = [1, 2, 3, 4, 5, 6, 7, 14, 21].into_iter();
    for form in [FORM, ALL] {
        for k in [17, 63, 64, 127, 128, 130, 255, 257, 1000] {
            for (n, b) in (1..=5).flat_map(|n| [(n, PLAIN), (n, T)]) {
                prefixes::<f32>(ms.clone(), n, k, Form { b, ..form });
                prefixes::<f64>(ms.clone(), n, k, Form { b, ..form });
            }
        }
        // Sums in chains, of one block of the inner dimension or more, and with what is left after whole turns.
        for k in [16, 17, 18, 19, 40, 515] {
            for n in [5, 8, 13, 16, 17, 30, 32, 33, 47, 48] {
                for a in [PLAIN, T] {
                    prefixes::<f32>(1..=3, n, k, Form { a, ..form });
                    prefixes::<f64>(1..=3, n, k, Form { a, ..form });
                }
            }
        }
        for k in [3, 9, 40] {
            for n in (1..=13).flat_map(|vectors| [16 * vectors - 8, 16 * vectors, 16 * vectors + 1])
            {
                prefixes::<f32>(1..=4, n, k, form);
                prefixes::<f64>(1..=4, n, k, form);
            }
        }
    }
}

/// A million terms of one sign: sums of few rows are in blocks as those of tiles are, and so stay near; one running sum, or four, would be off by 0.2 % and more.
#[test]
fn long_sums_of_few_rows_are_summed_in_blocks() {
    let k = 1_000_000;
    let (a, b) = (0.1_f32, [1.0_f32; 48]);
    for level in levels() {
        for (m, n) in [(1, 8), (1, 48), (2, 16), (2, 40), (3, 7), (3, 30)] {
            let mut c = vec![0.0_f32; m * n];
            let mut g = Gemm::new(m, n, k);
            // One element, and one row, over and over.
            (g.a, g.a_row, g.a_col) = (&raw const a, 0, 0);
            (g.b, g.b_row, g.b_col) = (b.as_ptr(), 0, 1);
            (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), n, 1);
            g.orient(|| level);
            // SAFETY: all steps reach the element and the row, and the result has its size.
            unsafe { gemm_at(level, &g) };
            for y in c {
                let off = (f64::from(y) / (f64::from(a) * k as f64) - 1.0).abs();
                assert!(off < 3e-4, "{level:?} ({m},{k},{n}): {y}, {off:.1e} off");
            }
        }
    }
}

/// Few columns and contiguous columns of `a`: computed as columns, and copied or added to what the result is.
#[test]
fn few_columns_of_transposed_operands_on_every_path() {
    let added = Form { beta: 1.0, ..FORM };
    let step = Layout { step: 2, ..PLAIN };
    for form in [FORM, added, ALL] {
        for (n, k) in [(1, 2), (2, 4), (3, 9), (4, 15), (5, 40), (10, 33), (12, 16)] {
            prefixes::<f32>([63, 64, 100, 130].into_iter(), n, k, Form { a: T, ..form });
            prefixes::<f64>([63, 64, 100, 130].into_iter(), n, k, Form { a: T, ..form });
        }
        for n in [3, 63, 65, 130] {
            prefixes::<f32>((1..=5).chain([25]), n, 20, Form { c: step, ..form });
            prefixes::<f64>((1..=5).chain([25]), n, 20, Form { c: step, ..form });
        }
    }
}

#[test]
fn few_last_columns_of_transposed_operands_on_every_path() {
    for form in [FORM, ALL] {
        let form = Form { a: T, ..form };
        for (n, k) in [(17, 40), (18, 32), (20, 32), (33, 100), (66, 33), (68, 512)] {
            for b in [PLAIN, T] {
                prefixes::<f32>([64, 100, 130].into_iter(), n, k, Form { b, ..form });
                prefixes::<f64>([64, 100, 130].into_iter(), n, k, Form { b, ..form });
            }
        }
    }
}

#[test]
fn every_small_size_on_every_path() {
    for n in 0..=40 {
        for k in 0..=40 {
            prefixes::<f32>(0..=40, n, k, FORM);
            prefixes::<f64>(0..=40, n, k, FORM);
        }
    }
}

#[test]
fn small_sizes_of_other_layouts_on_every_path() {
    let gap = Layout {
        row_gap: 3,
        ..PLAIN
    };
    let step = Layout { step: 2, ..PLAIN };
    for n in (0..=40).step_by(3).chain([1]) {
        for k in [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 31] {
            for [a, b] in [[PLAIN, T], [T, PLAIN], [T, T], [gap, step], [step, gap]] {
                for (alpha, beta) in [(1.0, 0.0), (-0.6, 1.0), (1.0, 0.7)] {
                    let form = Form {
                        a,
                        b,
                        alpha,
                        beta,
                        ..FORM
                    };
                    prefixes::<f32>((0..=40).step_by(4), n, k, form);
                    prefixes::<f64>((0..=40).step_by(4), n, k, form);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn sampled_layouts_alignments_and_factors_on_every_path(
        [m, n, k] in { let size = prop_oneof![1 => 0..4_usize, 3 => 0..40_usize, 1 => 0..130_usize]; [size.clone(), size.clone(), size] },
        [a, b, c] in [layout(), layout(), layout()],
        start in [0..17_usize, 0..17_usize, 1..17_usize],
        [alpha, beta] in [factor(), factor()],
        [bias, by_row] in any::<[bool; 2]>(),
    ) {
        let form = Form { a, b, c, start, alpha, beta, bias, by_row };
        prefixes::<f32>(std::iter::once(m), n, k, form);
        prefixes::<f64>(std::iter::once(m), n, k, form);
    }
}

#[test]
fn sampled_large_sizes_on_every_path() {
    let shapes = [
        // Several blocks of rows, of columns and of the inner dimension; tails of each.
        ([49, 64, 250], 150, 300),
        ([96, 97, 131], 97, 520),
        ([130, 128, 133], 260, 512),
        ([121, 145, 77], 1100, 70),
        // A `b` beyond the cache.
        ([9, 4, 50], 1100, 300),
        // One row, few rows, few columns.
        ([1, 2, 3], 1500, 600),
        ([32, 128, 47], 10, 130),
        ([200, 64, 12], 1, 90),
        // A short inner dimension, with few rows and with enough that begin at one place of a line.
        ([5, 3, 11], 1275, 8),
        ([8, 33, 16], 1070, 6),
        ([27, 1, 3], 2801, 6),
        // Rows whole pages apart.
        ([100, 13, 25], 300, 1024),
        ([40, 13, 25], 16, 1024),
        // Narrow results.
        ([25, 97, 130], 40, 450),
        ([25, 97, 130], 24, 600),
        // Last columns as wide as three vectors and a part of one more, or two and a part.
        ([25, 97, 130], 62, 300),
        ([130, 28, 25], 94, 300),
        ([25, 97, 130], 45, 450),
        ([25, 97, 130], 22, 600),
        // A few high tiles, with a near `b` and with one that is not.
        ([8, 24, 17], 150, 300),
        ([30, 72, 40], 900, 310),
        // Long dot products, of which the shorter side may be copied.
        ([40, 64, 33], 10, 300),
        ([5, 12, 4], 100, 270),
        // Long columns, more tiles of which than are copied at a time.
        ([600, 577, 25], 300, 300),
        ([577, 25, 30], 318, 300),
    ];
    for (ms, n, k) in shapes {
        for [a, b] in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
            let form = Form { a, b, ..FORM };
            let (alpha, beta) = (-0.6, 0.7);
            let other = |by_row| Form {
                alpha,
                beta,
                bias: true,
                by_row,
                ..form
            };
            // Blocks for a small cache and for a large one.
            for second_level in [1 << 20, 3 << 19] {
                with_second_level(second_level, || {
                    prefixes::<f32>(ms.into_iter(), n, k, form);
                    for other in [other(false), other(true)] {
                        prefixes::<f32>(ms.into_iter(), n, k, other);
                        prefixes::<f64>(ms.into_iter(), n, k, other);
                    }
                });
            }
        }
    }
}

/// NaN and infinity in one element of an operand reach the row or column that the triple loop takes them to, times zero
/// too, and no other.
#[test]
fn nan_and_infinity_propagate_on_every_path() {
    fn reach<N: Leveled>(m: usize, n: usize, k: usize, [la, lb]: [Layout; 2], bad: f64) {
        let (ar, ac, al) = la.strides(m, k);
        let (br, bc, bl) = lb.strides(k, n);
        for level in levels() {
            // In the last row of `a` or column of `b`, next to what is not there, and in the middle.
            for (in_a, line, p) in [
                (true, m - 1, k - 1),
                (true, m / 2, k / 2),
                (false, n - 1, k - 1),
                (false, n / 2, 0),
            ] {
                let (mut a, mut b) = (vec![N::ZERO; al], vec![N::ZERO; bl]);
                if in_a {
                    a[line * ar + p * ac] = N::from_f64(bad);
                } else {
                    b[p * br + line * bc] = N::from_f64(bad);
                }
                let mut c = vec![N::ONE; m * n];
                let mut g = Gemm::new(m, n, k);
                (g.a, g.a_row, g.a_col) = (a.as_ptr(), ar, ac);
                (g.b, g.b_row, g.b_col) = (b.as_ptr(), br, bc);
                (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), n, 1);
                g.orient(|| level);
                // SAFETY: the vectors hold matrices of these sizes and strides.
                unsafe { gemm_at(level, &g) };
                for i in 0..m {
                    for j in 0..n {
                        let y = c[i * n + j].to_f64();
                        let hit = line == if in_a { i } else { j };
                        assert!(
                            if hit { y.is_nan() } else { y == 0.0 },
                            "{level:?} ({m},{k},{n}) {la:?} {lb:?} {bad} in {in_a} {line} {p}: ({i},{j}) is {y}"
                        );
                    }
                }
            }
        }
    }
    for (m, n, k) in [
        (1, 1, 1),
        (1, 70, 20),
        (2, 33, 9),
        (3, 5, 40),
        (13, 21, 17),
        (40, 9, 33),
        (70, 50, 600),
        // Several rows in a vector, a right operand in registers, outer products.
        (40, 3, 4),
        (40, 30, 5),
        (9, 200, 3),
        // Dot products in chains, several rows in a vector with long sums, few columns.
        (1, 3, 200),
        (4, 1, 300),
        (70, 3, 14),
        // Few rows in chains.
        (1, 10, 50),
        (2, 30, 35),
        (3, 14, 31),
    ] {
        for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
            for bad in [f64::NAN, f64::INFINITY] {
                reach::<f32>(m, n, k, layouts, bad);
                reach::<f64>(m, n, k, layouts, bad);
            }
        }
    }
}
