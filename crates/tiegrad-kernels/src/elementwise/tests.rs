use super::*;
use crate::reference;
use crate::scalar::{Dual, Fused};
use crate::simd::{BASELINE_FUSES, Level, level};
use crate::testing::{Number, Numbers, assert_close, bits, same_for_all_threads};
use proptest::prelude::*;

const SIZES: [usize; 12] = [
    0,
    1,
    3,
    7,
    8,
    9,
    31,
    64,
    1000,
    2 * RUN - 1,
    2 * RUN,
    5 * RUN + 13,
];
const MODES: [Write; 2] = [Write::Overwrite, Write::Accumulate];

/// What `w` makes of old and new values; with `Overwrite` the old ones are NaN, which must not show.
fn expected<N: Number>(w: Write, old: &[N], new: impl Iterator<Item = N>) -> Vec<N> {
    let put = |(o, n): (&N, N)| if w == Write::Accumulate { *o + n } else { n };
    old.iter().zip(new).map(put).collect()
}

fn old<N: Number>(w: Write, numbers: &mut Numbers, n: usize) -> Vec<N> {
    if w == Write::Accumulate {
        numbers.vec(n)
    } else {
        vec![N::from_f64(f64::NAN); n]
    }
}

fn loops<N: Number>() {
    let mut numbers = Numbers::new(1);
    for n in SIZES {
        for w in MODES {
            let (x, y, z): (Vec<N>, Vec<N>, Vec<N>) =
                (numbers.vec(n), numbers.vec(n), numbers.vec(n));
            let old = old::<N>(w, &mut numbers, n);
            let run = |f: &dyn Fn(&mut [N])| {
                same_for_all_threads(|| {
                    let mut out = old.clone();
                    f(&mut out);
                    out
                })
            };
            let r = run(&|out| map(w, out, &x, |x| x * x - N::ONE));
            assert!(bits(&r) == bits(&expected(w, &old, x.iter().map(|&x| x * x - N::ONE))));
            let r = run(&|out| zip(w, out, &x, &y, |x, y| x / (y * y + N::ONE)));
            let e = x.iter().zip(&y).map(|(&x, &y)| x / (y * y + N::ONE));
            assert!(bits(&r) == bits(&expected(w, &old, e)));
            let r = run(&|out| zip3(w, out, &x, &y, &z, |x, y, z| x * y + z));
            let e = (0..n).map(|i| x[i] * y[i] + z[i]);
            assert!(bits(&r) == bits(&expected(w, &old, e)));
            let r = run(&|out| {
                map_indexed(
                    w,
                    out,
                    &x,
                    |i, x| if i % 3 == 0 { x } else { N::from_usize(i) },
                )
            });
            let e = (0..n).map(|i| if i % 3 == 0 { x[i] } else { N::from_usize(i) });
            assert!(bits(&r) == bits(&expected(w, &old, e)));
        }
    }
}

#[test]
fn loops_are_what_they_say() {
    loops::<f32>();
    loops::<f64>();
    loops::<Dual<f32>>();
    loops::<Dual<f64>>();
}

/// A shape, and for each of two operands which dimensions are repeated and in which order the others lie.
fn layouts() -> impl Strategy<Value = (Vec<usize>, [Vec<usize>; 2])> {
    let dims = prop::collection::vec(
        prop_oneof![8 => 1..5_usize, 1 => Just(0), 1 => 200..400_usize],
        0..5,
    );
    dims.prop_flat_map(|mut shape| {
        // Two long dimensions at most: three of them would be gigabytes.
        for d in shape.iter_mut().filter(|d| **d > 4).skip(2) {
            *d = *d % 4 + 1;
        }
        let s = shape.clone();
        let strides = (
            prop::collection::vec(any::<bool>(), shape.len()),
            Just((0..shape.len()).collect::<Vec<_>>()).prop_shuffle(),
        );
        let strides = strides.prop_map(move |(repeat, order)| {
            let (mut strides, mut next) = (vec![0; s.len()], 1);
            for d in order {
                if !repeat[d] {
                    strides[d] = next;
                    next *= s[d].max(1);
                }
            }
            strides
        });
        let strides = [strides.clone(), strides];
        (Just(shape), strides)
    })
}

fn reach(shape: &[usize], strides: &[usize]) -> usize {
    1 + shape
        .iter()
        .zip(strides)
        .map(|(n, s)| n.saturating_sub(1) * s)
        .sum::<usize>()
}

proptest! {
    #[test]
    fn zip_broadcast_agrees((shape, [xs, ys]) in layouts(), seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        let x: Vec<f32> = numbers.vec(reach(&shape, &xs));
        let y: Vec<f32> = numbers.vec(reach(&shape, &ys));
        let n = shape.iter().product();
        let (mut a, mut b) = (vec![0.0; n], vec![0.0; n]);
        zip_broadcast(&mut a, &shape, &x, &xs, &y, &ys, |x, y| x - y * y);
        reference::zip_broadcast(&mut b, &shape, &x, &xs, &y, &ys, |x, y| x - y * y);
        prop_assert_eq!(a, b);
    }

    #[test]
    fn copy_strided_agrees((shape, [ss, _]) in layouts(), order in any::<[u8; 5]>(), gap in 0..3_usize, seed in any::<u64>()) {
        let mut numbers = Numbers::new(seed);
        // The destination has all dimensions at places of their own, in some order.
        let mut dims: Vec<usize> = (0..shape.len()).collect();
        dims.sort_by_key(|&d| order[d]);
        let (mut ds, mut next) = (vec![0; shape.len()], 1 + gap);
        for d in dims {
            ds[d] = next;
            next *= shape[d].max(1) + gap;
        }
        let src: Vec<f64> = numbers.vec(reach(&shape, &ss));
        for w in MODES {
            let old: Vec<f64> = numbers.vec(reach(&shape, &ds) + 3);
            let (mut a, mut b) = (old.clone(), old);
            copy_strided(w, &mut a, &ds, &src, &ss, &shape);
            reference::copy_strided(w, &mut b, &ds, &src, &ss, &shape);
            prop_assert_eq!(a, b);
        }
    }
}

/// Copies of all kinds that are cut for threads, and what lies between the places written.
#[test]
fn large_copies_agree_for_all_threads() {
    let (n, m) = (517, 203);
    let long = 3 * RUN + 7;
    let cases: [(&[usize], &[usize], &[usize]); 14] = [
        // Shape, strides of the destination, of the source: one row in all, transposes,
        (&[n, m], &[m, 1], &[m, 1]),
        (&[n, m], &[1, n], &[m, 1]),
        (&[n, m], &[m, 1], &[1, n]),
        // into and out of wider arrays,
        (&[n, m], &[2 * m, 1], &[m, 1]),
        (&[n, m], &[m, 1], &[m + 77, 1]),
        (&[5, n, 31], &[32 * n, 31, 1], &[40 * n, 40, 1]),
        // rows and columns repeated,
        (&[n, m], &[m, 1], &[0, 1]),
        (&[n, m], &[m, 1], &[1, 0]),
        // other steps,
        (&[n, m], &[3 * m, 3], &[m, 1]),
        (&[m, n], &[2, 2 * m], &[2 * n, 2]),
        // and long rows.
        (&[3, long], &[long + 1, 1], &[long, 1]),
        (&[2, long], &[2 * long, 2], &[0, 1]),
        (&[long], &[1], &[0]),
        (&[long], &[2], &[3]),
    ];
    for (shape, ds, ss) in cases {
        let mut numbers = Numbers::new(5);
        let src: Vec<f32> = numbers.vec(reach(shape, ss));
        for w in MODES {
            let old: Vec<f32> = numbers.vec(reach(shape, ds) + 3);
            let mut expected = old.clone();
            reference::copy_strided(w, &mut expected, ds, &src, ss, shape);
            let actual = same_for_all_threads(|| {
                let mut out = old.clone();
                copy_strided(w, &mut out, ds, &src, ss, shape);
                out
            });
            assert!(bits(&actual) == bits(&expected), "{shape:?} {ds:?} {ss:?}");
        }
    }
}

#[test]
fn transposes_of_a_batch_agree() {
    // Sizes that are no multiples of the tiles; fewer and more elements than are worth a second thread.
    for (b, n, m) in [(2, 70, 50), (3, 200, 67)] {
        let src: Vec<f64> = Numbers::new(8).vec(b * n * m);
        for w in MODES {
            let old: Vec<f64> = Numbers::new(9).vec(b * n * m);
            let (shape, ds, ss) = ([b, n, m], [n * m, m, 1], [n * m, 1, n]);
            let mut expected = old.clone();
            reference::copy_strided(w, &mut expected, &ds, &src, &ss, &shape);
            let actual = same_for_all_threads(|| {
                let mut out = old.clone();
                copy_strided(w, &mut out, &ds, &src, &ss, &shape);
                out
            });
            assert!(actual == expected);
        }
    }
}

/// One that is written past the cache, with rows that begin on and beside boundaries of vectors.
#[test]
fn large_transposes_agree() {
    let (m, n) = (2003, 2101);
    let src: Vec<f32> = (0..m * n).map(|i| i as f32).collect();
    let out = same_for_all_threads(|| {
        let mut out = vec![f32::NAN; m * n];
        copy_strided(Write::Overwrite, &mut out, &[n, 1], &src, &[1, m], &[m, n]);
        out
    });
    // Every number of these is an f32.
    assert!((0..m * n).all(|at| out[at] == (at % n * m + at / n) as f32));
}

/// Rows that go past the cache, apart and repeated, to places where lines do not begin.
#[test]
fn large_copies_of_rows_agree() {
    let (n, m) = (2003, 2101);
    let src: Vec<f32> = (0..n * m).map(|i| i as f32).collect();
    // Strides of the source; then the number at (r, c) is r times the one and c times the other.
    for strides in [[m, 1], [0, 1], [1, 0]] {
        let out = same_for_all_threads(|| {
            let mut out = vec![f32::NAN; n * (m + 1)];
            copy_strided(
                Write::Overwrite,
                &mut out[1..],
                &[m + 1, 1],
                &src,
                &strides,
                &[n, m],
            );
            out
        });
        for (r, row) in out.chunks_exact(m + 1).enumerate() {
            assert!(row[0].is_nan(), "written before row {r}");
            let agrees = (0..m).all(|c| row[c + 1] == (r * strides[0] + c * strides[1]) as f32);
            assert!(agrees, "row {r}, strides {strides:?}");
        }
    }
    // One long row, which several tasks share.
    let out = same_for_all_threads(|| {
        let mut out = vec![f64::NAN; n * m + 2];
        let numbers: Vec<f64> = (0..n * m).map(|i| i as f64).collect();
        copy_strided(
            Write::Overwrite,
            &mut out[1..],
            &[1],
            &numbers,
            &[1],
            &[n * m],
        );
        out
    });
    assert!(out[0].is_nan() && out[n * m + 1].is_nan());
    assert!((0..n * m).all(|i| out[i + 1] == i as f64));
}

/// Arrays so large that their parallel runs are longer.
#[test]
fn long_runs_agree() {
    let n = 100 * RUN + 13;
    assert!(run_size(n) > RUN && run_size(n) < 4 * RUN);
    let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let mut y = vec![f32::NAN; n];
    map(Write::Overwrite, &mut y, &x, |x| x + 1.0);
    assert!((0..n).all(|i| y[i] == i as f32 + 1.0));
    zip(Write::Accumulate, &mut y, &x, &x[..], |x, z| x + 2.0 * z);
    assert!((0..n).all(|i| y[i] == 4.0 * i as f32 + 1.0));
}

/// The derivative of each activation, by dual numbers; and the values in `f32` and `f64` agree.
#[test]
fn activations_agree_with_their_derivatives() {
    type D = Dual<f64>;
    for i in -600..=600 {
        let x = f64::from(i) / 100.0;
        let seed = D { re: x, eps: 1.0 };
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-14, "{a} and {b} at {x}");
        close(GeluBackward.call(x, 2.0), 2.0 * Gelu.call(seed).eps);
        close(GeluTanhBackward.call(x, 2.0), 2.0 * GeluTanh.call(seed).eps);
        close(Arithmetic::sigmoid(x), Softplus.call(seed).eps);
        close(
            Gelu.call(x),
            x * (1.0 + Arithmetic::erf(x / 2.0_f64.sqrt())) / 2.0,
        );
        close(Softplus.call(x), x.exp().ln_1p());
        let y = x as f32;
        let near = |a: f32, b: f64| {
            assert!(
                (f64::from(a) - b).abs() < 1e-6 * (1.0 + b.abs()),
                "{a} and {b} at {x}"
            )
        };
        near(Gelu.call(y), Gelu.call(f64::from(y)));
        near(
            GeluBackward.call(y, 1.0),
            GeluBackward.call(f64::from(y), 1.0),
        );
        near(GeluTanh.call(y), GeluTanh.call(f64::from(y)));
        near(
            GeluTanhBackward.call(y, 1.0),
            GeluTanhBackward.call(f64::from(y), 1.0),
        );
        near(Softplus.call(y), Softplus.call(f64::from(y)));
    }
}

/// A function's loop with closures and its loop with fused multiply-add give what it gives one by one.
macro_rules! loops_agree {
    ($T:ident: $($name:ident |$x:ident| $body:expr;)*) => {$({
        #[derive(Clone, Copy)]
        struct Function;
        impl<T: Arithmetic> Unary<T> for Function {
            #[inline(always)]
            fn call(self, $x: T) -> T {
                $body
            }
        }
        let x: Vec<$T> = (0..4001)
            .map(|i| (i - 2000) as $T / 150.0)
            .chain([$T::NAN, $T::INFINITY, $T::NEG_INFINITY, 0.0, -0.0, $T::MAX, 1e-40])
            .collect();
        let apart: Vec<$T> = x.iter().map(|&x| Function.call(x)).collect();
        // Calls into libm here, which round as the instruction does.
        let fused: Vec<$T> = x.iter().map(|&x| Function.call(Fused::from(x)).into()).collect();
        let mut y = vec![0.0; x.len()];
        map(Write::Overwrite, &mut y, &x, |x| Function.call(x));
        assert!(bits(&y) == bits(&apart), "{}, a closure", stringify!($name));
        map_with(Write::Overwrite, &mut y, &x, Function);
        let loops_fuse = BASELINE_FUSES || matches!(level(), Level::Avx2 | Level::Avx512);
        let expected = if loops_fuse { fused } else { apart };
        assert!(bits(&y) == bits(&expected), "{}", stringify!($name));
    })*};
    ($($T:ident),*) => {$(
        loops_agree! {
            $T:
            exp |x| x.exp();
            ln |x| x.ln();
            ln_1p |x| x.ln_1p();
            exp_m1 |x| x.exp_m1();
            tanh |x| x.tanh();
            sigmoid |x| x.sigmoid();
            softplus |x| x.softplus();
            erf |x| x.erf();
            gelu |x| Gelu.call(x);
            gelu_tanh |x| GeluTanh.call(x);
            sin |x| x.sin_moderate();
            cos |x| x.cos_moderate();
        }
    )*};
}

#[test]
fn vectors_compute_what_scalars_do() {
    loops_agree!(f32, f64);
}

/// Blocks with and without arguments that the vectorized sine is not made for.
fn waves<N: Number>() {
    let x: Vec<N> = (0..3000)
        .map(|i| match i {
            300 => 1e15,
            301 => f64::INFINITY,
            2999 => -3e7,
            _ => f64::from(i) * 0.37 - 500.0,
        })
        .map(N::from_f64)
        .collect();
    let dy = vec![N::from_f64(-2.0); x.len()];
    for w in MODES {
        let old: Vec<N> = vec![N::ONE; x.len()];
        let add = if w == Write::Accumulate {
            N::ONE
        } else {
            N::ZERO
        };
        type Case<N> = (fn(Write, &mut [N], &[N], &[N]), fn(N) -> N);
        let cases: [Case<N>; 4] = [
            (|w, out, x, _| map_with(w, out, x, Sin), |x| x.sin()),
            (|w, out, x, _| map_with(w, out, x, Cos), |x| x.cos()),
            (
                |w, out, x, dy| zip_with(w, out, x, dy, SinBackward),
                |x| x.cos() * N::from_f64(-2.0),
            ),
            (
                |w, out, x, dy| zip_with(w, out, x, dy, CosBackward),
                |x| x.sin() * N::from_f64(2.0),
            ),
        ];
        for (kernel, exact) in cases {
            let mut out = old.clone();
            kernel(w, &mut out, &x, &dy);
            let e: Vec<N> = x.iter().map(|&x| exact(x) + add).collect();
            assert_close(&out, &e, 4.0);
        }
    }
}

#[test]
fn waves_of_any_argument() {
    waves::<f32>();
    waves::<f64>();
}
