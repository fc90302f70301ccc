use super::*;
use crate::reference;
use crate::scalar::{DType, Dual};
use crate::simd::Level;
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
    let of = |l: usize| [s.batch[1] * l, l];
    let guard = 9;
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
        any::<bool>(),
    )
        .prop_map(
            |([m, n, k], batch, [a, b, c], [alpha, beta], bias, share)| Case {
                s: MatmulShape { batch, m, n, k },
                a,
                b,
                c,
                alpha,
                beta,
                bias,
                share,
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

/// A float whose kernel can be run at any level that the machine has.
trait Leveled: Number {
    /// # Safety
    /// As [`Scalar::gemm`]; the machine has the level.
    unsafe fn gemm_at(level: Level, g: &Gemm<Self>);
    /// # Safety
    /// As [`Scalar::packed`]; the machine has the level.
    unsafe fn packed_at(level: Level, job: Job<'_, Self>) -> usize;
}

impl Leveled for f32 {
    unsafe fn gemm_at(level: Level, g: &Gemm<Self>) {
        // SAFETY: promised by the caller.
        unsafe { gemm_vector::f32(level, g) };
    }
    unsafe fn packed_at(level: Level, job: Job<'_, Self>) -> usize {
        // SAFETY: promised by the caller.
        unsafe { gemm_vector::packed_f32(level, job) }
    }
}

impl Leveled for f64 {
    unsafe fn gemm_at(level: Level, g: &Gemm<Self>) {
        // SAFETY: promised by the caller.
        unsafe { gemm_vector::f64(level, g) };
    }
    unsafe fn packed_at(level: Level, job: Job<'_, Self>) -> usize {
        // SAFETY: promised by the caller.
        unsafe { gemm_vector::packed_f64(level, job) }
    }
}

/// Every level that this machine has, whatever level is in use.
fn levels() -> impl Iterator<Item = Level> {
    [Level::Portable, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|&l| l <= crate::simd::best())
}

/// An operand of at most `rows` x `cols`, stored transposed or not, with a gap between what is contiguous.
struct Operand<N> {
    data: Vec<N>,
    strides: [usize; 2],
}

impl<N: Number> Operand<N> {
    fn new(numbers: &mut Numbers, rows: usize, cols: usize, layout: Layout) -> Self {
        let (row, col, len) = layout.strides(rows, cols);
        Operand {
            data: numbers.vec(len + 1),
            strides: [row, col],
        }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.strides[0] + j * self.strides[1]].to_f64()
    }
}

/// The products of the first m rows of one `a`, for each m asked for, on every level, against sums in f64: within the
/// bound for a sum of k terms in any order, and nothing but the result is written.
fn prefixes<N: Leveled>(
    ms: impl Iterator<Item = usize> + Clone,
    n: usize,
    k: usize,
    [la, lb]: [Layout; 2],
    [alpha, beta]: [f64; 2],
) {
    const GUARD: usize = 17;
    let most = ms.clone().max().unwrap_or(0);
    let mut numbers = Numbers::new((n * 41 + k) as u64);
    let a = Operand::<N>::new(&mut numbers, most, k, la);
    let b = Operand::<N>::new(&mut numbers, k, n, lb);
    let old: Vec<N> = numbers.vec(most * n);
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
    // In units of the last place of one: k additions, and the roundings of alpha, beta and the result; f64 is compared
    // with a sum that has roundings of its own.
    let unit = if N::DTYPE == DType::F32 {
        f64::from(f32::EPSILON)
    } else {
        2.0 * f64::EPSILON
    };
    let row = n + 3;
    let nan = N::from_f64(f64::NAN);
    let mut c = vec![nan; 2 * GUARD + most * row];
    for level in levels() {
        for m in ms.clone() {
            c.fill(nan);
            if beta != 0.0 {
                for i in 0..m {
                    c[GUARD + i * row..][..n].copy_from_slice(&old[i * n..][..n]);
                }
            }
            let mut g = Gemm::new(m, n, k);
            (g.alpha, g.beta) = (N::from_f64(alpha), N::from_f64(beta));
            (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
            (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
            (g.c, g.c_row, g.c_col) = (c[GUARD..].as_mut_ptr(), row, 1);
            g.orient();
            // SAFETY: the vectors hold matrices of these sizes and strides.
            unsafe { N::gemm_at(level, &g) };
            let mut wrong = None;
            for i in 0..m {
                for j in 0..n {
                    let y = &mut c[GUARD + i * row + j];
                    let (sum, size) = (alpha * sums[i * n + j], alpha.abs() * sizes[i * n + j]);
                    let before = beta * old[i * n + j].to_f64();
                    let bound = unit * ((k + 2) as f64 * size + 2.0 * before.abs());
                    let error = (y.to_f64() - sum - before).abs();
                    if error > bound || error.is_nan() {
                        wrong = Some((i, j, y.to_f64(), sum + before));
                    }
                    *y = nan;
                }
            }
            assert!(
                wrong.is_none(),
                "{level:?} ({m},{k},{n}) {la:?} {lb:?}: {wrong:?}"
            );
            assert!(
                c.iter().all(|x| x.is_nan()),
                "{level:?} ({m},{k},{n}) {la:?} {lb:?} writes outside of the result"
            );
        }
    }
}

#[test]
fn every_small_size_on_every_path() {
    for n in 0..=40 {
        for k in 0..=40 {
            prefixes::<f32>(0..=40, n, k, [PLAIN, PLAIN], [1.0, 0.0]);
            prefixes::<f64>(0..=40, n, k, [PLAIN, PLAIN], [1.0, 0.0]);
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
    for n in (0..=40).step_by(3) {
        for k in [0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 31] {
            for layouts in [[PLAIN, T], [T, PLAIN], [T, T], [gap, step], [step, gap]] {
                for factors in [[1.0, 0.0], [-0.5, 1.0], [2.0, 0.25]] {
                    prefixes::<f32>((0..=40).step_by(4), n, k, layouts, factors);
                    prefixes::<f64>((0..=40).step_by(4), n, k, layouts, factors);
                }
            }
        }
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
        // One row, few rows, few columns.
        ([1, 2, 3], 1500, 600),
        ([32, 128, 47], 10, 130),
        ([200, 64, 12], 1, 90),
        // Rows whole pages apart.
        ([100, 13, 25], 300, 1024),
    ];
    for (ms, n, k) in shapes {
        for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, PLAIN], [T, T]] {
            prefixes::<f32>(ms.into_iter(), n, k, layouts, [1.0, 0.0]);
            prefixes::<f64>(ms.into_iter(), n, k, layouts, [-0.5, 2.0]);
        }
    }
}

/// The product with plain layouts, as a vector.
fn product<N: Number>(case: Case, a: &[N], b: &[N]) -> Vec<N> {
    let s = case.s;
    let (ar, ac, al) = case.a.strides(s.m, s.k);
    let (br, bc, bl) = case.b.strides(s.k, s.n);
    let of = |l: usize| [s.batch[1] * l, l];
    let mut c = vec![N::ZERO; s.batch[0] * s.batch[1] * s.m * s.n];
    matmul(
        s,
        N::ONE,
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
        N::ZERO,
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
    ];
    for (b0, b1, m, n, k) in shapes {
        for (a, b) in [(PLAIN, PLAIN), (PLAIN, T), (T, PLAIN)] {
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
                let (a, b) = (
                    numbers.vec::<N>(count * s.m * s.k),
                    numbers.vec::<N>(count * s.k * s.n),
                );
                same_for_all_threads(|| product(case, &a, &b));
            }
            run::<f32>(case);
            run::<f64>(case);
        }
    }
}

#[test]
fn nan_and_infinity_propagate() {
    for k in [1, 5, 40] {
        let mut a = vec![0.0_f32; 3 * k];
        let b = vec![0.0_f32; k * 20];
        a[k] = f32::NAN;
        a[2 * k] = f32::INFINITY;
        let c = product(case(3, 20, k), &a, &b);
        assert!(c[..20].iter().all(|&x| x == 0.0));
        assert!(
            c[20..].iter().all(|x| x.is_nan()),
            "0 * NaN and 0 * inf are NaN"
        );
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
fn products_that_copy_both_operands_agree() {
    for (m, n, k) in [(600, 150, 300), (97, 131, 520), (130, 260, 1024)] {
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

mod epilogue;
mod packed;
