use super::*;
use crate::cache::with_second_level;
use crate::reference;
use crate::scalar::Dual;
use crate::testing::{Number, Numbers, assert_close, same_for_all_threads};
use proptest::prelude::*;

/// Dense strides over the dimensions that `kept` says, in the order of the shape; 0 for the others.
fn dense(shape: &[usize], kept: &[bool]) -> Vec<usize> {
    let (mut strides, mut next) = (vec![0; shape.len()], 1);
    for d in (0..shape.len()).rev() {
        if kept[d] {
            strides[d] = next;
            next *= shape[d];
        }
    }
    strides
}

fn len(shape: &[usize], kept: &[bool]) -> usize {
    shape
        .iter()
        .zip(kept)
        .map(|(&n, &k)| if k { n } else { 1 })
        .product()
}

fn check<N: Number>(shape: &[usize], kept: &[bool], repeated: &[bool], seed: u64) {
    let mut numbers = Numbers::new(seed);
    let all = vec![true; shape.len()];
    let rest: Vec<bool> = repeated.iter().map(|r| !r).collect();
    let ds = dense(shape, kept);
    let (a_s, b_s) = (dense(shape, &all), dense(shape, &rest));
    let a: Vec<N> = numbers.vec(len(shape, &all));
    let b: Vec<N> = numbers.vec(len(shape, &rest).max(1));
    let terms = shape.iter().product::<usize>() as f64;
    for w in [Write::Overwrite, Write::Accumulate] {
        let old: Vec<N> = numbers.vec(len(shape, kept));
        let mut expected = old.clone();
        let f = |a: N, b: N, c: N| a * b + c;
        if !a.is_empty() {
            reference::sum_to(
                w,
                &mut expected,
                &ds,
                shape,
                &a,
                &a_s,
                &b,
                &b_s,
                &a,
                &a_s,
                f,
            );
        } else if w == Write::Overwrite {
            expected.fill(N::ZERO);
        }
        let actual = same_for_all_threads(|| {
            let mut out = old.clone();
            sum_to(w, &mut out, &ds, shape, &a, &a_s, &b, &b_s, &a, &a_s, f);
            out
        });
        assert_close(&actual, &expected, 4.0 + 2.0 * terms);
    }
    let mut expected = vec![N::ZERO; len(shape, kept)];
    reference::max_to(&mut expected, &ds, shape, &a, &a_s);
    let actual = same_for_all_threads(|| {
        let mut out = vec![N::ZERO; expected.len()];
        max_to(&mut out, &ds, shape, &a, &a_s);
        out
    });
    let real = |x: &[N]| x.iter().map(|x| x.to_f64()).collect::<Vec<_>>();
    if !a.is_empty() {
        assert_eq!(real(&actual), real(&expected));
    }
}

proptest! {
    #[test]
    fn agrees_with_the_reference(
        dims in prop::collection::vec((prop_oneof![8 => 1..6_usize, 1 => Just(0), 1 => 60..300_usize], any::<[bool; 2]>()), 0..4),
        seed in any::<u64>(),
    ) {
        let shape: Vec<usize> = dims.iter().map(|d| d.0).collect();
        let kept: Vec<bool> = dims.iter().map(|d| d.1[0]).collect();
        let repeated: Vec<bool> = dims.iter().map(|d| d.1[1]).collect();
        check::<f32>(&shape, &kept, &repeated, seed);
        check::<f64>(&shape, &kept, &repeated, seed);
        check::<Dual<f64>>(&shape, &kept, &repeated, seed);
    }
}

#[test]
fn large_ones_agree_for_all_threads() {
    for (shape, kept) in [
        (vec![100_003], vec![false]),
        (vec![700, 130], vec![false, true]),
        (vec![700, 130], vec![true, false]),
        (vec![12, 70, 130], vec![false, true, false]),
        (vec![12, 70, 130], vec![true, false, true]),
        (vec![3, 40_000], vec![true, false]),
        (vec![40_000, 3], vec![false, true]),
    ] {
        let repeated = vec![false; shape.len()];
        check::<f32>(&shape, &kept, &repeated, 7);
        check::<f64>(&shape, &kept, &repeated, 8);
    }
}

#[test]
fn sums_are_accurate_and_the_same_for_all_threads() {
    for n in [0, 1, 15, 16, 17, 255, 257, 4000, 2 * RUN + 1, 1_000_003] {
        let x: Vec<f32> = Numbers::new(9)
            .vec::<f32>(n)
            .iter()
            .map(|x| x.abs())
            .collect();
        let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
        let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let actual = same_for_all_threads(|| vec![sum(&x), sum_squares(&x)]);
        // 16 terms per lane, then a tree: some 40 roundings at most on any path.
        assert!((f64::from(actual[0]) - exact).abs() <= 3e-6 * exact, "{n}");
        assert!(
            (f64::from(actual[1]) - squares).abs() <= 3e-6 * squares,
            "{n}"
        );
    }
}

#[test]
fn column_sums_are_accurate() {
    let n = 100_000;
    let x: Vec<f32> = Numbers::new(9)
        .vec::<f32>(n)
        .iter()
        .map(|x| x.abs())
        .collect();
    let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
    let mut out = [0.0_f32];
    let none: [f32; 0] = [];
    sum_to(
        Write::Overwrite,
        &mut out,
        &[0, 1],
        &[n, 1],
        &x,
        &[1, 1],
        &none,
        &[0, 0],
        &none,
        &[0, 0],
        |a, _, _| a,
    );
    assert!((f64::from(out[0]) - exact).abs() <= 1e-5 * exact);
}

#[test]
fn max_to_propagates_nan() {
    let mut x = vec![1.0_f32; 40];
    x[17] = f32::NAN;
    let mut m = [0.0; 2];
    max_to(&mut m, &[1, 0], &[2, 20], &x, &[20, 1]);
    assert!(m[0].is_nan() && m[1] == 1.0);
    let mut m = [0.0; 20];
    max_to(&mut m, &[0, 1], &[2, 20], &x, &[20, 1]);
    assert_eq!(m.iter().filter(|m| m.is_nan()).count(), 1);
}

/// An operand that is missing is zeros to a sum, and an error here.
#[test]
#[should_panic(expected = "beyond an empty slice")]
fn max_to_refuses_an_empty_operand() {
    max_to(&mut [9.0_f32; 2], &[1, 0], &[2, 2], &[], &[2, 1]);
}

#[test]
fn all_finite_finds_any() {
    for n in [0, 1, 100, 10_000] {
        let mut x = vec![1.0_f32; n];
        assert!(all_finite(&x));
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY] {
            for at in [0, n / 2, n.saturating_sub(1)] {
                if n > 0 {
                    x[at] = bad;
                    assert!(!all_finite(&x));
                    x[at] = 1.0;
                }
            }
        }
    }
}

#[test]
fn sums_over_nothing_are_zero() {
    for (shape, kept) in [
        ([0, 3], [false, true]),
        ([3, 0], [true, false]),
        ([0, 0], [false, false]),
    ] {
        check::<f32>(&shape, &kept, &[false, true], 1);
    }
    let mut m = [0.0_f32; 3];
    max_to(&mut m, &[1, 0], &[3, 0], &[], &[0, 1]);
    assert_eq!(m, [f32::NEG_INFINITY; 3]);
}

/// Sums of columns, whose rows are added several at a time where the other operands are the same for all of them.
#[test]
fn columns_of_one_moving_operand_agree_with_the_reference() {
    fn check<N: Number>() {
        let mut numbers = Numbers::new(7);
        for cols in [3, 40, 256, 300] {
            for rows in [2, 3, 4, 5, 63, 64, 65, 130] {
                let a: Vec<N> = numbers.vec(rows * cols);
                let b: Vec<N> = numbers.vec(cols);
                let c: Vec<N> = numbers.vec(rows);
                let (shape, ds, a_s) = ([rows, cols], [0, 1], [cols, 1]);
                // Nothing, a number for each column, one for all, one for each row (which moves).
                let others: [(&[N], [usize; 2]); 4] =
                    [(&[], [0, 0]), (&b, [0, 1]), (&c[..1], [0, 0]), (&c, [1, 0])];
                for (b, b_s) in others {
                    for (c, c_s) in others {
                        let f = |x: N, y: N, z: N| x * (y + N::ONE) - z;
                        let old: Vec<N> = numbers.vec(cols);
                        let mut expected = old.clone();
                        for (i, &x) in a.iter().enumerate() {
                            let (row, col) = (i / cols, i % cols);
                            let of = |x: &[N], s: [usize; 2]| match x {
                                [] => N::ZERO,
                                _ => x[row * s[0] + col * s[1]],
                            };
                            expected[col] += f(x, of(b, b_s), of(c, c_s));
                        }
                        let actual = same_for_all_threads(|| {
                            let mut out = old.clone();
                            let w = Write::Accumulate;
                            sum_to(w, &mut out, &ds, &shape, &a, &a_s, b, &b_s, c, &c_s, f);
                            out
                        });
                        assert_close(&actual, &expected, 8.0 + 4.0 * rows as f64);
                    }
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

/// Sums have the same bits by AVX-512, which near ones use where the machine has it, and by AVX2.
#[test]
fn near_and_far_sums_have_the_same_bits() {
    fn check<N: Number>(bits: impl Fn(N) -> u64) {
        for n in [2048, 4001, 40_000] {
            let x: Vec<N> = Numbers::new(8).vec(n);
            let mut results = Vec::new();
            for (bytes, is_near) in [(0, false), (1 << 20, true)] {
                with_second_level(bytes, || {
                    assert_eq!(gains_by_avx512::<N>(n), is_near);
                    results.push((bits(sum(&x)), bits(sum_squares(&x))));
                });
            }
            assert_eq!(results[0], results[1], "{n} numbers");
        }
    }
    check::<f32>(|x| x.to_bits().into());
    check::<f64>(f64::to_bits);
}
