//! Products with an operand that was copied before have the bits of those without.

use super::paths::{Leveled, Operand, levels};
use super::*;
use crate::testing::bits;

const GAP: Layout = Layout {
    row_gap: 3,
    ..PLAIN
};

/// The epilogue, alpha and beta of these tests: all that a block of the inner dimension could add twice, and nothing that is exact to multiply by.
fn everything<N: Number>(bias: &[N]) -> (Epilogue<'_, N>, N, N) {
    let epilogue = Epilogue::NONE
        .bias_per_column(bias)
        .activation(Activation::Tanh);
    (epilogue, N::from_f64(-0.6), N::from_f64(0.7))
}

/// By the copy and without it, on every level, however many rows.
fn on_every_level<N: Leveled>(m: usize, n: usize, k: usize, [la, lb]: [Layout; 2]) {
    let mut numbers = Numbers::new((m + n * 3 + k) as u64);
    let a = Operand::<N>::new(&mut numbers, m, k, la, 0);
    let b = Operand::<N>::new(&mut numbers, k, n, lb, 0);
    let bias: Vec<N> = numbers.vec(n);
    let old: Vec<N> = numbers.vec(m * (n + 3));
    let (epilogue, alpha, beta) = everything(&bias);
    for level in levels() {
        let mut g = Gemm::new(m, n, k);
        (g.alpha, g.beta, g.bias) = (alpha, beta, epilogue.bias_ptr(m, n));
        g.activation = epilogue.activation;
        (g.a, g.a_row, g.a_col) = (a.data.as_ptr(), a.strides[0], a.strides[1]);
        (g.b, g.b_row, g.b_col) = (b.data.as_ptr(), b.strides[0], b.strides[1]);
        let mut expected = old.clone();
        (g.c, g.c_row, g.c_col) = (expected.as_mut_ptr(), n + 3, 1);
        let mut direct = g;
        direct.orient(|| level);
        if !g.takes_strips(level) {
            // Computed without the copy.
            continue;
        }
        let mut found = old.clone();
        // SAFETY: the vectors hold matrices of these sizes and strides; the copy has the length asked for, and two numbers to guard it.
        let guard = unsafe {
            gemm_at(level, &direct);
            let len = packed_at(level, Job::Size(&g));
            let mut copy = vec![N::INFINITY; len + 2];
            packed_at(level, Job::Pack(&g, copy[1..].as_mut_ptr()));
            g.b = std::ptr::null();
            g.c = found.as_mut_ptr();
            for first in (0..n).step_by(64) {
                let part = g.part(0, m, first, 64.min(n - first));
                packed_at(level, Job::Multiply(&part, copy[1..].as_ptr(), first, n));
            }
            [copy[0], copy[len + 1]]
        };
        assert!(
            guard == [N::INFINITY; 2],
            "{level:?} writes beyond the copy"
        );
        assert!(
            bits(&found) == bits(&expected),
            "{level:?} ({m},{k},{n}) {la:?} {lb:?}: the bits differ"
        );
    }
}

#[test]
fn a_copied_operand_gives_the_same_bits_on_every_path() {
    for (n, k) in [
        (1, 1),
        (5, 9),
        (32, 8),
        (33, 40),
        (150, 17),
        (70, 390),
        (200, 900),
    ] {
        let all = [4, 100, 5, 11, 13, 40, 130];
        for &m in &all[..if n * k > 10_000 { 2 } else { 7 }] {
            for layouts in [[PLAIN, PLAIN], [PLAIN, T], [T, GAP], [GAP, T]] {
                on_every_level::<f32>(m, n, k, layouts);
                on_every_level::<f64>(m, n, k, layouts);
            }
        }
    }
}

/// Whether transposed weights are not copied: portable vectors compute as dot products what others compute by tiles.
fn prefers_dots() -> bool {
    crate::instruction_set() == "portable"
}

/// What users call, with one room for all.
fn as_called<N: Number>() {
    let mut room = PackRoom::new();
    let (mut place, mut copies) = (None, 0);
    // The largest first.
    for (n, k) in [
        (600, 500),
        (40, 300),
        (10, 20),
        (33, 5),
        (20, 6),
        (1, 40),
        (1, 5),
        (12, 0),
        (0, 3),
    ] {
        let mut numbers = Numbers::new(n as u64);
        let b: Vec<N> = numbers.vec(n * k);
        let bias: Vec<N> = numbers.vec(n);
        let (epilogue, alpha, beta) = everything(&bias);
        for transposed in [false, true] {
            let b = if transposed {
                Mat::new(&b, k).t()
            } else {
                Mat::new(&b, n)
            };
            let packed = room.pack(20, k, n, b);
            assert_eq!((packed.rows(), packed.columns()), (k, n));
            for (m, by_columns) in [0, 1, 2, 3, 4, 16, 70, 129]
                .map(|m| [(m, false), (m, true)])
                .concat()
            {
                let a: Vec<N> = numbers.vec(m * k);
                let a = if by_columns {
                    Mat::new(&a, m).t()
                } else {
                    Mat::new(&a, k)
                };
                let old: Vec<N> = numbers.vec(m * n);
                // Rows of the result contiguous, or its columns.
                for (row, col) in [(n, 1), (1, m.max(1))] {
                    let run = |f: &dyn Fn(MatMut<'_, N>)| {
                        let mut c = old.clone();
                        f(MatMut {
                            data: &mut c,
                            row,
                            col,
                            batch: [0, 0],
                        });
                        c
                    };
                    let expected =
                        run(&|c| matmul(MatmulShape::new(m, n, k), alpha, a, b, beta, epilogue, c));
                    let found = same_for_all_threads(|| {
                        run(&|c| matmul_packed(m, alpha, a, packed, beta, epilogue, c))
                    });
                    assert!(
                        bits(&found) == bits(&expected),
                        "({m},{k},{n}) a {by_columns} b {transposed}"
                    );
                }
            }
        }
        // Nothing is allocated for an operand that is not larger.
        let copy = room.pack(40, k, n, Mat::new(&b, k).t()).copy;
        if !copy.is_empty() {
            assert_eq!(*place.get_or_insert(copy.as_ptr()), copy.as_ptr());
            copies += 1;
        }
    }
    assert!(copies >= 2 || !N::VECTORIZED);
}

#[test]
fn a_copied_operand_gives_the_same_bits_as_called() {
    as_called::<f32>();
    as_called::<f64>();
    as_called::<Dual<f64>>();
}

#[test]
fn what_would_not_gain_is_not_copied() {
    let b = vec![1.0_f32; 1024 * 1024];
    let mut room = PackRoom::new();
    let mut copied = |m, n, b| !room.pack(m, 1024, n, b).copy.is_empty();
    let (plain, transposed) = (Mat::new(&b, 1024), Mat::new(&b, 1024).t());
    assert!(copied(4, 1024, plain) && !copied(4, 1023, plain));
    assert_ne!(copied(32, 1024, transposed), prefers_dots());
    assert!(copied(128, 1024, transposed) || prefers_dots());
    assert!(!copied(4, 1024, transposed) && !copied(8, 1024, transposed));
    assert!(!copied(3, 1024, transposed) && !copied(129, 1024, plain));
    let mut small = |n, k| !room.pack(4, k, n, Mat::new(&b, k).t()).copy.is_empty();
    assert!(small(17, 16) && !small(16, 16));
}

/// No element is reached by the stride of a side of one, not even to be asked for ahead.
#[test]
fn strides_of_an_inner_dimension_of_one_may_be_anything() {
    let b = [3.0_f32; 96];
    let mut room = PackRoom::new();
    let spread = Mat {
        row: 1,
        col: 5,
        ..Mat::new(&b, 1)
    };
    let packed = room.pack(20, 1, 20, spread);
    for far in [1 << 40, usize::MAX / 2] {
        let column = Mat {
            row: 1,
            col: far,
            ..Mat::new(&[2.0; 20], 1)
        };
        let mut c = [0.0; 400];
        let out = MatMut::new(&mut c, 20);
        matmul_packed(20, 1.0, column, packed, 0.0, Epilogue::NONE, out);
        assert_eq!(c, [6.0; 400], "{far}");
    }
}

#[test]
#[should_panic(expected = "a matrix reaches beyond its slice")]
fn a_short_operand_panics() {
    PackRoom::new().pack(8, 3, 2, Mat::new(&[1.0_f32; 5], 2));
}

#[test]
#[should_panic(expected = "a matrix reaches beyond its slice")]
fn a_short_result_panics() {
    let b = [1.0_f32; 6];
    let mut room = PackRoom::new();
    let packed = room.pack(5, 3, 2, Mat::new(&b, 3).t());
    let mut c = [0.0; 9];
    matmul_packed(
        5,
        1.0,
        Mat::new(&[1.0; 15], 3),
        packed,
        0.0,
        Epilogue::NONE,
        MatMut::new(&mut c, 2),
    );
}
