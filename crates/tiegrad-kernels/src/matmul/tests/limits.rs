//! Strides and lengths at the ends of what a product can have.

use super::*;
use crate::matmul::Gemm;

/// `c = a @ b`.
fn plain(s: MatmulShape, a: Mat<'_, f32>, b: Mat<'_, f32>, c: MatMut<'_, f32>) {
    matmul(s, 1.0, a, b, 0.0, Epilogue::NONE, c);
}

/// No element is reached by the stride of a side of one.
#[test]
fn strides_of_sides_of_one_may_be_anything() {
    for (n, k) in [(1, 1), (4, 3), (4, 1), (20, 24), (300, 1), (9000, 1)] {
        let (a, b) = (vec![2.0_f32; k], vec![3.0; k * n]);
        for far in [1 << 40, usize::MAX / 2] {
            let mut c = vec![f32::NAN; n];
            let a = Mat {
                row: far,
                ..Mat::new(&a, k)
            };
            let b = Mat {
                row: if k == 1 { far } else { n },
                ..Mat::new(&b, n)
            };
            let out = MatMut {
                row: far,
                ..MatMut::new(&mut c, n)
            };
            plain(MatmulShape::new(1, n, k), a, b, out);
            assert!(c.iter().all(|&c| c == 6.0 * k as f32), "{n} {k} {far}");
        }
    }
}

/// The same of a single column, alone and in a batch.
#[test]
fn strides_of_a_single_column_may_be_anything() {
    for (m, k) in [(4, 3), (5, 8), (20, 24), (40, 3)] {
        let (a, b) = (vec![2.0_f32; m * k], vec![3.0; k]);
        for (far, count) in [(1 << 40, 1), (usize::MAX / 2, 1), (usize::MAX / 2, 2)] {
            let mut c = vec![f32::NAN; m * count];
            let b = Mat {
                col: far,
                ..Mat::new(&b, 1)
            };
            let out = MatMut {
                col: far,
                batch: [0, m],
                ..MatMut::new(&mut c, 1)
            };
            let s = MatmulShape {
                batch: [1, count],
                ..MatmulShape::new(m, 1, k)
            };
            plain(s, Mat::new(&a, k), b, out);
            assert!(c.iter().all(|&c| c == 6.0 * k as f32), "{m} {k} {far}");
        }
    }
}

/// A column of dot products of one row again and again, and of rows that begin one element after each other.
#[test]
fn a_column_of_rows_that_share_elements() {
    for (m, k) in [(5, 8), (20, 24), (33, 100)] {
        for row in [0, 1] {
            let a: Vec<f32> = (0..m + k).map(|i| i as f32).collect();
            let mut c = vec![f32::NAN; m];
            let rows = Mat {
                row,
                ..Mat::new(&a, k)
            };
            let b = vec![1.0; k];
            plain(
                MatmulShape::new(m, 1, k),
                rows,
                Mat::new(&b, 1),
                MatMut::new(&mut c, 1),
            );
            // Sums of whole numbers, exact in any order.
            for (i, &c) in c.iter().enumerate() {
                let sum: usize = (i * row..i * row + k).sum();
                assert_eq!(c, sum as f32, "({m},{k}) {row} at {i}");
            }
        }
    }
}

/// The last block of the inner dimension is so short that whether the result is far is asked.
#[test]
fn the_stride_of_a_single_row_is_no_distance() {
    let (n, k) = (32, 32_264);
    let (a, b) = (vec![1.0_f32; 2 * k], vec![1.0; k * n]);
    let mut c = vec![f32::NAN; n];
    let a = Mat {
        col: 2,
        ..Mat::new(&a, 2 * k)
    };
    let out = MatMut {
        row: usize::MAX / 2,
        ..MatMut::new(&mut c, n)
    };
    let b = Mat::new(&b, k).t();
    plain(MatmulShape::new(1, n, k), a, b, out);
    assert!(c.iter().all(|&c| c == k as f32));
}

/// The strides of operands without elements, as attention has them where nothing is seen yet.
#[test]
fn strides_of_nothing_are_no_distances() {
    for (m, n) in [
        (32, 64),
        (40, 300),
        (8, 300),
        (3, 20),
        (20, 64),
        (1, 64),
        (64, 1),
    ] {
        for (row, col) in [(usize::MAX, 1), (1, usize::MAX), (usize::MAX, usize::MAX)] {
            let mut c = vec![f32::NAN; m * n];
            let mut g = Gemm::new(m, n, 0);
            (g.a_row, g.a_col, g.b_row, g.b_col) = (row, col, row, col);
            (g.c, g.c_row, g.c_col) = (c.as_mut_ptr(), n, 1);
            // SAFETY: the result has these sizes and strides; no element of an operand is read.
            unsafe { g.run() };
            assert!(c.iter().all(|&c| c == 0.0), "({m},0,{n}) {row} {col}");
        }
    }
}

/// Two to four columns so long that the room for copies does not hold them. The numbers are small integers, whose sums are exact in any order.
#[test]
fn columns_longer_than_the_room_are_not_copied() {
    let k = 400_000;
    let number = |i: usize| (i * 7 % 5) as f32 - 2.0;
    let a: Vec<f32> = (0..20 * k).map(number).collect();
    let b: Vec<f32> = (0..4 * k).map(|i| number(i / 3)).collect();
    for (m, n) in [(1, 2), (1, 4), (2, 3), (3, 4), (20, 2), (20, 4)] {
        let mut c = vec![f32::NAN; m * n];
        plain(
            MatmulShape::new(m, n, k),
            Mat::new(&a, k),
            Mat::new(&b, n),
            MatMut::new(&mut c, n),
        );
        for (at, &c) in c.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let sum: f64 = (0..k)
                .map(|p| f64::from(a[i * k + p]) * f64::from(b[p * n + j]))
                .sum();
            assert_eq!(f64::from(c), sum, "({m},{k},{n}) at {i}, {j}");
        }
    }
}
