use super::*;
use crate::Write;
use crate::cache::{with_second_level, with_stores_past};
use crate::elementwise::{map, zip, zip3};
use crate::reference;
use crate::scalar::Dual;
use crate::testing::{Number, Numbers, assert_close, same_for_all_threads};

const SHAPES: [(usize, usize); 15] = [
    (0, 4),
    (1, 1),
    (3, 2),
    (5, 7),
    (4, 8),
    (3, 33),
    (2, 256),
    (2, 257),
    // Around the chunks and the blocks of sums.
    (3, 47),
    (3, 48),
    (2, 513),
    (2, 1025),
    (1, 1000),
    (300, 128),
    (1000, 65),
];
const MODES: [Write; 2] = [Write::Overwrite, Write::Accumulate];

/// Compares a kernel with its reference, both writing to a copy of the same old values.
#[track_caller]
fn compare<N: Number>(bound: f64, old: &[N], f: impl Fn(&mut [N]), reference: impl Fn(&mut [N])) {
    let mut expected = old.to_vec();
    reference(&mut expected);
    let actual = same_for_all_threads(|| {
        let mut out = old.to_vec();
        f(&mut out);
        out
    });
    assert_close(&actual, &expected, bound);
}

fn softmaxes<N: Number>() {
    let mut numbers = Numbers::new(1);
    for (rows, cols) in SHAPES {
        let n = rows * cols;
        let x: Vec<N> = numbers
            .vec::<N>(n)
            .into_iter()
            .map(|x| x * N::from_f64(5.0))
            .collect();
        let (old, dy): (Vec<N>, Vec<N>) = (numbers.vec(n), numbers.vec(n));
        let bound = 20.0 + cols as f64;
        compare(
            bound,
            &old,
            |o| softmax(o, &x, cols),
            |o| reference::softmax(o, &x, cols),
        );
        compare(
            bound,
            &old,
            |o| log_softmax(o, &x, cols),
            |o| reference::log_softmax(o, &x, cols),
        );
        let (mut y, mut z) = (old.clone(), old.clone());
        softmax(&mut y, &x, cols);
        log_softmax(&mut z, &x, cols);
        for w in MODES {
            compare(
                bound,
                &old,
                |o| softmax_backward(w, o, &y, &dy, cols),
                |o| reference::softmax_backward(w, o, &y, &dy, cols),
            );
            compare(
                bound,
                &old,
                |o| log_softmax_backward(w, o, &z, &dy, cols),
                |o| reference::log_softmax_backward(w, o, &z, &dy, cols),
            );
        }
    }
}

#[test]
fn softmax_agrees_with_the_reference() {
    softmaxes::<f32>();
    softmaxes::<f64>();
    softmaxes::<Dual<f64>>();
}

#[test]
fn softmax_of_extreme_rows() {
    let inf = f32::INFINITY;
    let mut y = [0.0; 3];
    softmax(&mut y, &[1000.0, 1000.0, -inf], 3);
    assert_eq!(y, [0.5, 0.5, 0.0]);
    softmax(&mut y, &[f32::NAN, 0.0, 0.0], 3);
    assert!(y.iter().all(|y| y.is_nan()));
    let (mut loss, mut lse) = ([0.0; 1], [0.0; 1]);
    cross_entropy(&mut loss, &mut lse, &[1000.0, 0.0, -inf], &[1], 3);
    assert_eq!((loss, lse), ([1000.0], [1000.0]));
    cross_entropy(&mut loss, &mut lse, &[0.0, 0.0, -inf], &[2], 3);
    assert_eq!(loss, [inf]);
    cross_entropy(&mut loss, &mut lse, &[-inf; 3], &[1], 3);
    assert_eq!(lse, [-inf]);
    cross_entropy(&mut loss, &mut lse, &[inf, 5.0, -inf], &[1], 3);
    assert_eq!((loss, lse), ([inf], [inf]));
    cross_entropy(&mut loss, &mut lse, &[inf, f32::NAN, -inf], &[1], 3);
    assert!(lse[0].is_nan());
    // A row of -∞ alone, a NaN anywhere, and +∞ make NaN of a whole row, and of no other.
    for cols in [3, 16, 33, 70, 600] {
        for at in [0, 1, cols / 2, cols - 1] {
            for bad in [f32::NAN, -inf, inf, 1e30] {
                let mut x = vec![if bad == -inf { -inf } else { -2.0 }; cols];
                x[at] = bad;
                x.resize(2 * cols, 1.0);
                let (mut p, mut l) = (x.clone(), x.clone());
                softmax(&mut p, &x, cols);
                log_softmax(&mut l, &x, cols);
                for y in [p, l] {
                    assert!(
                        y[..cols].iter().all(|y| y.is_nan() == (bad != 1e30)),
                        "{bad} {cols}"
                    );
                    assert!(y[cols..].iter().all(|y| y.is_finite()));
                }
                let (mut loss, mut lse) = ([0.0; 2], [0.0; 2]);
                cross_entropy(&mut loss, &mut lse, &x, &[0, 0], cols);
                let agrees = lse[0] == bad || bad.is_nan() && lse[0].is_nan();
                assert!(agrees, "{bad} {cols}: {}", lse[0]);
                assert!(loss[1].is_finite() && lse[1].is_finite(), "{bad} {cols}");
            }
        }
    }
}

fn norms<N: Number>() {
    let mut numbers = Numbers::new(2);
    for (rows, cols) in SHAPES {
        let n = rows * cols;
        let (x, dy, old): (Vec<N>, Vec<N>, Vec<N>) =
            (numbers.vec(n), numbers.vec(n), numbers.vec(n));
        let (g, b): (Vec<N>, Vec<N>) = (numbers.vec(cols), numbers.vec(cols));
        let eps = N::from_f64(0.1);
        let bound = 100.0 + 2.0 * cols as f64;
        let mut stats = vec![N::ZERO; 2 * rows];
        for (gamma, beta) in [
            (None, None),
            (Some(&g[..]), None),
            (Some(&g[..]), Some(&b[..])),
            (None, Some(&b[..])),
        ] {
            let mut expected = vec![N::ZERO; n + 2 * rows];
            let (out, s) = expected.split_at_mut(n);
            reference::layer_norm(out, s, &x, gamma, beta, eps, cols);
            let actual = same_for_all_threads(|| {
                let mut all = vec![N::from_f64(f64::NAN); n + 2 * rows];
                let (out, s) = all.split_at_mut(n);
                layer_norm(out, s, &x, gamma, beta, eps, cols);
                stats.copy_from_slice(s);
                all
            });
            assert_close(&actual, &expected, bound);
            for w in MODES {
                compare(
                    bound,
                    &old,
                    |o| layer_norm_backward_input(w, o, &dy, &x, &stats, gamma, cols),
                    |o| reference::layer_norm_backward_input(w, o, &dy, &x, &stats, gamma, cols),
                );
            }
        }
        let bound = 10.0 + 10.0 * rows as f64;
        let old: Vec<N> = numbers.vec(cols);
        for w in MODES {
            compare(
                bound,
                &old,
                |o| layer_norm_backward_params(Some((w, o)), None, &dy, &x, &stats, cols),
                |o| {
                    reference::layer_norm_backward_params(Some((w, o)), None, &dy, &x, &stats, cols)
                },
            );
            compare(
                bound,
                &old,
                |o| layer_norm_backward_params(None, Some((w, o)), &dy, &x, &stats, cols),
                |o| {
                    reference::layer_norm_backward_params(None, Some((w, o)), &dy, &x, &stats, cols)
                },
            );
        }
    }
}

/// Parts of the rows and strips of columns: sizes around what one strip, one part and the room hold.
#[test]
fn parameters_of_long_and_wide_layers_agree_with_the_reference() {
    let mut numbers = Numbers::new(6);
    for (rows, cols) in [(700, 47), (129, 300), (9, 4096), (70, 4097), (3, 12_000)] {
        let (x, dy): (Vec<f32>, Vec<f32>) = (numbers.vec(rows * cols), numbers.vec(rows * cols));
        let stats: Vec<f32> = numbers.vec(2 * rows);
        for w in MODES {
            let old: Vec<f32> = numbers.vec(2 * cols);
            compare(
                // Roundings of as many terms as there are rows at most, of a few units each.
                10.0 + 10.0 * rows as f64,
                &old,
                |o| {
                    let (g, b) = o.split_at_mut(cols);
                    layer_norm_backward_params(Some((w, g)), Some((w, b)), &dy, &x, &stats, cols);
                },
                |o| {
                    let (g, b) = o.split_at_mut(cols);
                    let (g, b) = (Some((w, g)), Some((w, b)));
                    reference::layer_norm_backward_params(g, b, &dy, &x, &stats, cols);
                },
            );
        }
    }
}

#[test]
fn layer_norm_agrees_with_the_reference() {
    norms::<f32>();
    norms::<f64>();
    norms::<Dual<f64>>();
}

fn rms_norms<N: Number>() {
    let mut numbers = Numbers::new(4);
    for (rows, cols) in SHAPES {
        let n = rows * cols;
        let (x, dy, old): (Vec<N>, Vec<N>, Vec<N>) =
            (numbers.vec(n), numbers.vec(n), numbers.vec(n));
        let g: Vec<N> = numbers.vec(cols);
        let eps = N::from_f64(0.1);
        // A relative error of the sums of 2 cols roundings at most, on values of a few units.
        let bound = 100.0 + 2.0 * cols as f64;
        let mut stats = vec![N::ZERO; 2 * rows];
        for gamma in [None, Some(&g[..])] {
            compare(
                bound,
                &vec![N::from_f64(f64::NAN); n + 2 * rows],
                |o| {
                    let (out, s) = o.split_at_mut(n);
                    rms_norm(out, s, &x, gamma, eps, cols);
                },
                |o| {
                    let (out, s) = o.split_at_mut(n);
                    reference::rms_norm(out, s, &x, gamma, eps, cols);
                },
            );
            rms_norm(&mut old.clone(), &mut stats, &x, gamma, eps, cols);
            for w in MODES {
                compare(
                    bound,
                    &old,
                    |o| rms_norm_backward_input(w, o, &dy, &x, &stats, gamma, cols),
                    |o| reference::rms_norm_backward_input(w, o, &dy, &x, &stats, gamma, cols),
                );
            }
        }
    }
}

#[test]
fn rms_norm_agrees_with_the_reference() {
    rms_norms::<f32>();
    rms_norms::<f64>();
    rms_norms::<Dual<f64>>();
}

fn entropies<N: Number>() {
    let mut numbers = Numbers::new(3);
    for (rows, cols) in SHAPES {
        let n = rows * cols;
        let x: Vec<N> = numbers
            .vec::<N>(n)
            .into_iter()
            .map(|x| x * N::from_f64(5.0))
            .collect();
        let targets: Vec<u32> = (0..rows).map(|_| numbers.below(cols) as u32).collect();
        let (old, scale): (Vec<N>, Vec<N>) = (numbers.vec(n), numbers.vec(rows));
        let bound = 20.0 + cols as f64;
        let mut lse = vec![N::ZERO; rows];
        let both = vec![N::from_f64(f64::NAN); 2 * rows];
        compare(
            bound,
            &both,
            |o| {
                let (losses, lse) = o.split_at_mut(rows);
                cross_entropy(losses, lse, &x, &targets, cols);
            },
            |o| {
                let (losses, lse) = o.split_at_mut(rows);
                reference::cross_entropy(losses, lse, &x, &targets, cols);
            },
        );
        reference::cross_entropy(&mut vec![N::ZERO; rows], &mut lse, &x, &targets, cols);
        for w in MODES {
            compare(
                bound,
                &old,
                |o| cross_entropy_backward(w, o, &x, &lse, &targets, cols, |r| scale[r]),
                |o| reference::cross_entropy_backward(w, o, &x, &lse, &targets, cols, |r| scale[r]),
            );
        }
    }
}

/// Matrices so large that their parallel runs are longer: as their parts.
#[test]
fn long_runs_agree_with_their_parts() {
    let (rows, cols) = (4001, 300);
    assert!(rows_per_run(rows * cols, cols) > crate::elementwise::RUN / cols);
    let x: Vec<f32> = Numbers::new(4).vec(rows * cols);
    let run = |x: &[f32]| {
        let (mut y, mut z) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        let mut stats = vec![f32::NAN; 2 * x.len() / cols];
        softmax(&mut y, x, cols);
        layer_norm(&mut z, &mut stats, x, None, None, 1e-5, cols);
        [y, z, stats]
    };
    let whole = run(&x);
    let mut at = [0; 3];
    for part in x.chunks(7 * cols) {
        for ((whole, at), part) in whole.iter().zip(&mut at).zip(run(part)) {
            assert!(whole[*at..*at + part.len()] == part[..]);
            *at += part.len();
        }
    }
}

/// Norms have the same bits by AVX-512, which rows in the cache use where the machine has it, and by AVX2.
#[test]
fn norms_of_near_and_far_rows_have_the_same_bits() {
    fn check<N: Number>(bits: impl Fn(N) -> u64) {
        let mut numbers = Numbers::new(6);
        for cols in [1, 7, 33, 64, 100, 513] {
            let rows = 70;
            let [x, dy, old] = [(); 3].map(|()| numbers.vec::<N>(rows * cols));
            let gamma = Some(&dy[..cols]);
            let run = || {
                let [mut y, mut dx, mut z, mut dz] = [(); 4].map(|()| old.clone());
                let mut stats = [(); 2].map(|()| vec![N::ZERO; 2 * rows]);
                let [a, b] = &mut stats;
                layer_norm(&mut y, a, &x, gamma, None, N::ONE, cols);
                layer_norm_backward_input(Write::Accumulate, &mut dx, &dy, &x, a, gamma, cols);
                rms_norm(&mut z, b, &x, gamma, N::ONE, cols);
                rms_norm_backward_input(Write::Overwrite, &mut dz, &dy, &x, b, None, cols);
                let [a, b] = stats;
                [y, dx, z, dz, a, b].map(|x| x.into_iter().map(&bits).collect::<Vec<_>>())
            };
            let mut results = Vec::new();
            for (bytes, is_near) in [(0, false), (1 << 20, true)] {
                with_second_level(bytes, || {
                    assert_eq!(near::<N>(rows * cols), is_near);
                    results.push(run());
                });
            }
            assert!(results[0] == results[1], "rows of {cols}");
        }
    }
    check::<f32>(|x| x.to_bits().into());
    check::<f64>(f64::to_bits);
}

/// A row has the bits that it has alone, whatever the rows are that it is taken together with.
#[test]
fn rows_do_not_depend_on_others() {
    fn check<N: Number>(bits: impl Fn(N) -> u64) {
        let mut numbers = Numbers::new(5);
        for cols in [1, 2, 10, 33, 100, 300, 1000, 2049] {
            let rows = 2 * MOST_ROWS + 5;
            let mut x: Vec<N> = numbers.vec(rows * cols);
            for (r, x) in x.chunks_exact_mut(cols).enumerate() {
                let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 0.0];
                if let Some(&odd) = odd.get(r % 11) {
                    x[r % cols] = N::from_f64(odd);
                }
                if r % 13 == 0 {
                    x.fill(N::from_f64(f64::NEG_INFINITY));
                }
            }
            let targets: Vec<u32> = (0..rows).map(|r| (r % cols) as u32).collect();
            let run = |x: &[N], targets: &[u32]| {
                let mut out: [Vec<N>; 6] = [(); 6].map(|()| vec![N::ONE; x.len()]);
                let [y, z, normed, losses, lse, stats] = &mut out;
                losses.truncate(targets.len());
                lse.truncate(targets.len());
                stats.resize(2 * targets.len(), N::ONE);
                softmax(y, x, cols);
                log_softmax(z, x, cols);
                layer_norm(normed, stats, x, None, None, N::ONE, cols);
                cross_entropy(losses, lse, x, targets, cols);
                out.map(|out| out.into_iter().map(&bits).collect::<Vec<_>>())
            };
            let [y, z, normed, losses, lse, stats] = run(&x, &targets);
            for (r, (x, targets)) in x
                .chunks_exact(cols)
                .zip(targets.chunks_exact(1))
                .enumerate()
            {
                let [y1, z1, normed1, losses1, lse1, stats1] = run(x, targets);
                let row = r * cols..(r + 1) * cols;
                assert_eq!(y[row.clone()], y1, "{r} of {cols}");
                assert_eq!(z[row.clone()], z1, "{r} of {cols}");
                assert_eq!(normed[row], normed1, "{r} of {cols}");
                assert_eq!((losses[r], lse[r]), (losses1[0], lse1[0]), "{r} of {cols}");
                assert_eq!(stats[2 * r..][..2], stats1, "{r} of {cols}");
            }
        }
    }
    // Whichever of several NaN it is.
    check::<f32>(|x| if x.is_nan() { 0.5_f32 } else { x }.to_bits().into());
    check::<f64>(|x| if x.is_nan() { 0.5 } else { x }.to_bits());
}

#[test]
fn cross_entropy_agrees_with_the_reference() {
    entropies::<f32>();
    entropies::<f64>();
    entropies::<Dual<f64>>();
}

#[test]
#[should_panic(expected = "a target is not a class")]
fn a_target_beyond_the_classes_panics() {
    cross_entropy(&mut [0.0_f32], &mut [0.0], &[0.0, 0.0], &[2], 2);
}

/// Large results have the same bits whether they go past the cache or not.
#[test]
fn stores_past_the_cache_change_no_bit() {
    // Several rows a piece, one, and rows longer than a piece, which stay in the cache.
    for (cols, goes) in [(7, true), (509, true), (1100, true), (2100, false)] {
        let rows = (17 << 20) / 8 / cols + 1;
        let n = rows * cols;
        let mut numbers = Numbers::new(cols as u64);
        let part: Vec<f64> = numbers.vec(30_011);
        let of =
            |shift: usize| -> Vec<f64> { (0..n).map(|i| part[(i + shift) % part.len()]).collect() };
        let (x, y) = (of(0), of(5));
        let stats = of(9)[..2 * rows].to_vec();
        let lse = of(11)[..rows].to_vec();
        let targets: Vec<u32> = (0..rows).map(|r| (r % cols) as u32).collect();
        let gamma = Some(&y[..cols]);
        let run = |w: Write, which: usize, out: &mut [f64]| {
            let mut new = stats.clone();
            match which {
                0 => softmax(out, &x, cols),
                1 => log_softmax(out, &x, cols),
                2 => layer_norm(out, &mut new, &x, gamma, None, 1e-5, cols),
                3 => rms_norm(out, &mut new, &x, None, 1e-5, cols),
                4 => softmax_backward(w, out, &x, &y, cols),
                5 => log_softmax_backward(w, out, &x, &y, cols),
                6 => cross_entropy_backward(w, out, &x, &lse, &targets, cols, |r| r as f64),
                7 => layer_norm_backward_input(w, out, &x, &y, &stats, None, cols),
                8 => rms_norm_backward_input(w, out, &x, &y, &stats, gamma, cols),
                9 => map(w, out, &x, |x| x + x),
                10 => zip(w, out, &x, &y, |x, y| x * y),
                _ => zip3(w, out, &x, &y, &x, |x, y, z| x * y - z),
            }
            (out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), new)
        };
        for which in 0..=11 {
            let ways = [Write::Overwrite, Write::Accumulate];
            // The first four always overwrite.
            for w in &ways[..if which < 4 { 1 } else { 2 }] {
                let mut results = Vec::new();
                for gain in [false, true] {
                    with_stores_past(gain, || {
                        assert_eq!(goes_past::<f64>(n, cols), gain && goes);
                        // Not at the begin of a line.
                        let mut out = vec![1.5; n + 3];
                        results.push(run(*w, which, &mut out[3..]));
                        assert_eq!(out[..3], [1.5; 3]);
                    });
                }
                let same = results[0] == results[1];
                assert!(same, "{which} {w:?}, rows of {cols}: the bits differ");
            }
        }
    }
}
