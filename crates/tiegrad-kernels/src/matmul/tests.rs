mod paths;

use super::*;
use crate::reference;
use crate::scalar::Dual;
use crate::testing::{Number, Numbers, assert_close, same_for_all_threads};
use proptest::prelude::*;

/// How a matrix is laid out: transposed, and how far apart rows and elements are beyond the least.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    t: bool,
    row_gap: usize,
    step: usize,
}

const PLAIN: Layout = Layout {
    t: false,
    row_gap: 0,
    step: 1,
};
const T: Layout = Layout {
    t: true,
    row_gap: 0,
    step: 1,
};

impl Layout {
    /// Strides of rows and columns, and the length.
    fn strides(self, rows: usize, cols: usize) -> (usize, usize, usize) {
        let (outer, inner) = if self.t { (cols, rows) } else { (rows, cols) };
        let step = self.step.max(1);
        let row = inner * step + self.row_gap;
        let (r, c) = if self.t { (step, row) } else { (row, step) };
        (r, c, outer * row)
    }
}

#[derive(Clone, Copy, Debug)]
enum Bias {
    None,
    PerRow,
    PerColumn,
}

impl Bias {
    fn epilogue<N: Number>(self, bias: &[N]) -> Epilogue<'_, N> {
        match self {
            Bias::None => Epilogue::NONE,
            Bias::PerRow => Epilogue::NONE.bias_per_row(bias),
            Bias::PerColumn => Epilogue::NONE.bias_per_column(bias),
        }
    }
}

type Matmul<N> = fn(MatmulShape, N, Mat<'_, N>, Mat<'_, N>, N, Epilogue<'_, N>, MatMut<'_, N>);

#[derive(Clone, Copy, Debug)]
struct Case {
    s: MatmulShape,
    a: Layout,
    b: Layout,
    c: Layout,
    alpha: f64,
    beta: f64,
    bias: Bias,
    share: bool,
    /// Elements between the matrices of a batch.
    gap: usize,
    /// Whether the first of the batch's dimensions is the inner one in memory.
    swap: bool,
}

fn case(m: usize, n: usize, k: usize) -> Case {
    let s = MatmulShape::new(m, n, k);
    Case {
        s,
        a: PLAIN,
        b: PLAIN,
        c: PLAIN,
        alpha: 1.0,
        beta: 0.0,
        bias: Bias::None,
        share: false,
        gap: 0,
        swap: false,
    }
}

/// Runs a case and its reference, compares them, and the guard around and between elements too.
fn check<N: Number>(case: Case, seed: u64) {
    let Case { s, a, b, c, .. } = case;
    let mut numbers = Numbers::new(seed);
    let count = s.batch[0] * s.batch[1];
    let (ar, ac, al) = a.strides(s.m, s.k);
    let (br, bc, bl) = b.strides(s.k, s.n);
    let (cr, cc, cl) = c.strides(s.m, s.n);
    let [al, bl, cl] = [al, bl, cl].map(|l| l + case.gap);
    let of = |l: usize| {
        if case.swap {
            [l, s.batch[0] * l]
        } else {
            [s.batch[1] * l, l]
        }
    };
    let guard = 17;
    let ad: Vec<N> = numbers.vec(al * count + 1);
    let bd: Vec<N> = numbers.vec(if case.share { bl } else { bl * count } + 1);
    let bias: Vec<N> = numbers.vec(s.m.max(s.n));
    let epilogue = case.bias.epilogue(&bias);
    let mut old: Vec<N> = numbers.vec(cl * count + 2 * guard);
    if case.beta == 0.0 {
        // Not read: what is there must not matter.
        old.fill(N::from_f64(f64::NAN));
    }
    let (alpha, beta) = (N::make(case.alpha, 0.0), N::make(case.beta, 0.0));
    let run = |f: Matmul<N>| {
        let mut cd = old.clone();
        f(
            s,
            alpha,
            Mat {
                data: &ad,
                row: ar,
                col: ac,
                batch: of(al),
            },
            Mat {
                data: &bd,
                row: br,
                col: bc,
                batch: if case.share { [0, 0] } else { of(bl) },
            },
            beta,
            epilogue,
            MatMut {
                data: &mut cd[guard..],
                row: cr,
                col: cc,
                batch: of(cl),
            },
        );
        cd
    };
    // A sum of k terms below one: the bound on the error of any order of summation is k roundoffs.
    let bound = 4.0 * (s.k as f64 + 4.0);
    assert_close(&run(matmul), &run(reference::matmul), bound);
}

fn check_all(case: Case, seed: u64) {
    check::<f32>(case, seed);
    check::<f64>(case, seed);
    check::<Dual<f32>>(case, seed);
    check::<Dual<f64>>(case, seed);
}

fn layout() -> impl Strategy<Value = Layout> {
    (
        any::<bool>(),
        prop_oneof![Just(0), 0..5_usize],
        prop_oneof![3 => Just(1), 1 => Just(2)],
    )
        .prop_map(|(t, row_gap, step)| Layout { t, row_gap, step })
}

fn factor() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), -2.0..2.0]
}

fn cases(size: usize) -> impl Strategy<Value = Case> {
    let size = prop_oneof![1 => 0..4_usize, 2 => 0..size];
    (
        [size.clone(), size.clone(), size],
        prop_oneof![3 => Just([1, 1]), 1 => [0..4_usize, 1..4_usize]],
        [layout(), layout(), layout()],
        [factor(), factor()],
        prop_oneof![Just(Bias::None), Just(Bias::PerRow), Just(Bias::PerColumn)],
        (any::<[bool; 2]>(), prop_oneof![Just(0), 0..5_usize]),
    )
        .prop_map(
            |([m, n, k], batch, [a, b, c], [alpha, beta], bias, ([share, swap], gap))| Case {
                s: MatmulShape { batch, m, n, k },
                a,
                b,
                c,
                alpha,
                beta,
                bias,
                share,
                gap,
                swap,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn agrees_with_the_reference(case in cases(40), seed in any::<u64>()) {
        check_all(case, seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn large_ones_agree_too(case in cases(300), seed in any::<u64>()) {
        check::<f32>(case, seed);
        check::<f64>(case, seed);
    }
}

/// The product added to what `c` holds, with contiguous rows of `c`; the factors are none that is exact to multiply by.
fn product<N: Number>(case: Case, a: &[N], b: &[N], c: &[N]) -> Vec<N> {
    let s = case.s;
    let (ar, ac, al) = case.a.strides(s.m, s.k);
    let (br, bc, bl) = case.b.strides(s.k, s.n);
    let of = |l: usize| [s.batch[1] * l, l];
    let mut c = c.to_vec();
    matmul(
        s,
        N::from_f64(-0.6),
        Mat {
            data: a,
            row: ar,
            col: ac,
            batch: of(al),
        },
        Mat {
            data: b,
            row: br,
            col: bc,
            batch: of(bl),
        },
        N::from_f64(0.7),
        Epilogue::NONE,
        MatMut {
            data: &mut c,
            row: s.n,
            col: 1,
            batch: of(s.m * s.n),
        },
    );
    c
}

#[test]
fn the_thread_count_changes_no_bit() {
    let shapes = [
        (1, 1, 768, 128, 384),
        (1, 1, 128, 384, 768),
        (1, 1, 67, 1031, 45),
        (1, 1, 1031, 33, 77),
        (1, 1, 3, 700, 600),
        (1, 1, 2000, 1, 601),
        (12, 4, 64, 32, 64),
        (3, 1, 130, 70, 300),
        (1, 1, 2, 4, 8),
        (1, 1, 600, 150, 300),
        (1, 1, 130, 260, 1024),
        // A `b` beyond the cache, of several blocks of columns.
        (1, 1, 9, 1100, 600),
        (1, 1, 100, 1500, 520),
        // Rows that share lines, with a near `b`.
        (1, 1, 100, 131, 60),
        (1, 1, 200, 210, 30),
        // A few high tiles.
        (1, 1, 20, 300, 310),
        (1, 1, 60, 900, 310),
        // Short sums.
        (1, 1, 700, 600, 3),
        (1, 1, 700, 600, 7),
        // Last columns as dot products, all of them, and those of the transposed product.
        (1, 1, 300, 67, 200),
        (1, 1, 700, 10, 200),
        (1, 1, 7, 900, 200),
        // A row as a column of dot products, alone and in batches, and a right operand in registers.
        (1, 1, 1, 1500, 601),
        (2, 3, 20, 1, 24),
        (2, 3, 1, 20, 24),
        (1, 1, 4000, 30, 5),
        // A few rows in chains.
        (1, 1, 2, 40, 7000),
        (1, 1, 1, 48, 14000),
    ];
    for (b0, b1, m, n, k) in shapes {
        for (a, b) in [(PLAIN, PLAIN), (PLAIN, T), (T, PLAIN), (T, T)] {
            let s = MatmulShape {
                batch: [b0, b1],
                m,
                n,
                k,
            };
            let case = Case {
                s,
                a,
                b,
                ..case(m, n, k)
            };
            fn run<N: Number>(case: Case) {
                let s = case.s;
                let count = s.batch[0] * s.batch[1];
                let mut numbers = Numbers::new(3);
                let [a, b, c] =
                    [s.m * s.k, s.k * s.n, s.m * s.n].map(|len| numbers.vec::<N>(count * len));
                same_for_all_threads(|| product(case, &a, &b, &c));
            }
            run::<f32>(case);
            run::<f64>(case);
        }
    }
}

/// The heads of an attention, each a few columns of rows that all share: scores q @ k^T, and scores @ v.
#[test]
fn batches_side_by_side_in_a_row_agree() {
    for (heads, rows, width) in [(3, 21, 5), (2, 40, 16), (12, 64, 32)] {
        let mut numbers = Numbers::new(7);
        let pitch = heads * width;
        let qkv: Vec<f32> = numbers.vec(3 * rows * pitch);
        let part = |i: usize| Mat {
            data: &qkv[i * rows * pitch..],
            row: pitch,
            col: 1,
            batch: [0, width],
        };
        let of_heads = |shape| MatmulShape {
            batch: [1, heads],
            ..shape
        };
        let both = |f: Matmul<f32>| {
            let mut scores = vec![f32::NAN; heads * rows * rows];
            let of_scores = [0, rows * rows];
            let c = MatMut {
                data: &mut scores,
                row: rows,
                col: 1,
                batch: of_scores,
            };
            let shape = of_heads(MatmulShape::new(rows, rows, width));
            f(shape, 0.5, part(0), part(1).t(), 0.0, Epilogue::NONE, c);
            let mut out = vec![f32::NAN; rows * pitch];
            let a = Mat {
                data: &scores,
                row: rows,
                col: 1,
                batch: of_scores,
            };
            let c = MatMut {
                data: &mut out,
                row: pitch,
                col: 1,
                batch: [0, width],
            };
            let shape = of_heads(MatmulShape::new(rows, width, rows));
            f(shape, 1.0, a, part(2), 0.0, Epilogue::NONE, c);
            out
        };
        let expected = both(reference::matmul);
        let actual = same_for_all_threads(|| both(matmul));
        // Entries of the scores are at most width / 2, and so are off by as many roundoffs times their number of terms.
        let bound = (width * rows * (width + rows)) as f64;
        assert_close(&actual, &expected, bound);
    }
}

#[test]
#[should_panic(expected = "a matrix reaches beyond its slice")]
fn a_short_slice_panics() {
    let (a, b, mut c) = ([0.0_f32; 4], [0.0; 3], [0.0; 4]);
    let s = MatmulShape::new(2, 2, 2);
    matmul(
        s,
        1.0,
        Mat::new(&a, 2),
        Mat::new(&b, 2),
        0.0,
        Epilogue::NONE,
        MatMut::new(&mut c, 2),
    );
}

#[test]
fn larger_products_of_short_slices_panic() {
    let full = [0.0_f32; 400];
    let panics = |lens: [usize; 3], row: usize| {
        let mut c = full;
        std::panic::catch_unwind(move || {
            let b = Mat {
                row,
                ..Mat::new(&full[..lens[1]], 20)
            };
            let c = MatMut::new(&mut c[..lens[2]], 20);
            let s = MatmulShape::new(20, 20, 20);
            matmul(
                s,
                1.0,
                Mat::new(&full[..lens[0]], 20),
                b,
                0.0,
                Epilogue::NONE,
                c,
            );
        })
        .is_err()
    };
    assert!(!panics([400, 400, 400], 20));
    for lens in [[399, 400, 400], [400, 399, 400], [400, 400, 399]] {
        assert!(panics(lens, 20), "{lens:?}");
    }
    // Beyond the strides whose products are in range, and beyond every product.
    for row in [1 << (usize::BITS / 2), usize::MAX / 2] {
        assert!(panics([400, 400, 400], row), "{row}");
    }
}

/// Operands without elements may have any strides.
#[test]
fn products_of_nothing_are_zero() {
    let nothing = Mat {
        row: usize::MAX,
        col: usize::MAX,
        ..Mat::new(&[], 0)
    };
    // The last ones are so large that they would not stay in the cache pretended here.
    for (m, n) in [
        (1, 1),
        (3, 70),
        (20, 32),
        (130, 300),
        (512, 512),
        (300, 2048),
    ] {
        crate::cache::with_second_level(5 << 18, || {
            let mut c = vec![f64::NAN; m * n];
            matmul(
                MatmulShape::new(m, n, 0),
                1.0,
                nothing,
                nothing,
                0.0,
                Epilogue::NONE,
                MatMut::new(&mut c, n),
            );
            assert!(c.iter().all(|&c| c == 0.0), "{m} {n}");
        });
    }
}

/// All ways into the smallest products, and what is next to them.
#[test]
fn small_ones_agree() {
    for (m, k) in (1..=18).flat_map(|m| (1..=34).map(move |k| (m, k))) {
        for n in [1, 2, 4, 5, 8, 9, 15, 16, 17] {
            for (b, bias) in [(PLAIN, Bias::None), (T, Bias::PerColumn)] {
                let case = Case {
                    b,
                    bias,
                    ..case(m, n, k)
                };
                check::<f32>(case, 1);
                check::<f64>(case, 2);
            }
        }
    }
}

#[test]
fn one_row_or_column_agrees() {
    for (batch, m, n, k) in [
        // Columns that are whole pages apart in f32, or in f64; they stay columns.
        ([1, 1], 1, 30, 1024),
        ([1, 1], 1, 30, 512),
        ([1, 1], 30, 1, 1024),
        ([1, 1], 30, 1, 512),
        ([1, 1], 1, 30, 100),
        // Up to six vectors of sums in registers, and more.
        ([1, 1], 1, 44, 17),
        ([1, 1], 1, 70, 17),
        ([1, 1], 1, 90, 17),
        ([1, 1], 1, 120, 20),
        ([1, 1], 2, 300, 103),
        ([2, 3], 20, 1, 24),
        ([2, 3], 1, 20, 24),
    ] {
        for (b, share) in [(PLAIN, false), (T, false), (T, true)] {
            for c in [PLAIN, T] {
                let s = MatmulShape { batch, m, n, k };
                let case = Case {
                    s,
                    b,
                    c,
                    alpha: -0.5,
                    beta: 2.0,
                    bias: Bias::PerColumn,
                    share,
                    ..case(m, n, k)
                };
                check::<f32>(case, 1);
                check::<f64>(case, 2);
            }
        }
    }
}

#[test]
fn products_that_copy_both_operands_agree() {
    for (m, n, k) in [
        (600, 150, 300),
        (97, 131, 520),
        (130, 260, 1024),
        // A `b` beyond the cache, with one block of rows, and several blocks of columns and of the inner dimension.
        (9, 1100, 600),
        (50, 1500, 520),
    ] {
        for (a, b) in [(PLAIN, PLAIN), (PLAIN, T), (T, PLAIN), (T, T)] {
            let case = Case {
                a,
                b,
                alpha: -0.5,
                beta: 2.0,
                bias: Bias::PerRow,
                ..case(m, n, k)
            };
            check::<f32>(case, 1);
            check::<f64>(case, 2);
        }
    }
}

/// A `b` with contiguous rows that several blocks of `a` read from afar, and columns of `a` that are whole pages apart, with both kinds of `b`.
#[test]
fn products_of_large_operands_agree() {
    for (m, n, k, a, b, single, double) in [
        (100, 810, 512, PLAIN, PLAIN, false, true),
        (100, 810, 512, T, PLAIN, false, true),
        (1024, 300, 43, T, PLAIN, true, true),
        (1024, 300, 43, T, T, true, true),
        // A `b` that several blocks of `a` read and whose rows are pages apart, though it is not from afar.
        (620, 520, 160, PLAIN, PLAIN, false, true),
        (820, 1030, 240, PLAIN, PLAIN, true, false),
    ] {
        let case = Case {
            a,
            b,
            alpha: -0.6,
            beta: 0.7,
            bias: Bias::PerColumn,
            ..case(m, n, k)
        };
        if single {
            check::<f32>(case, 1);
        }
        if double {
            check::<f64>(case, 2);
        }
    }
}

mod epilogue;
mod limits;
mod order;
mod packed;
