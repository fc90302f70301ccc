use super::*;
use crate::reference;
use crate::scalar::Dual;
use crate::testing::{Number, Numbers, assert_close, same_for_all_threads};

type Forward<N> =
    fn(AttentionShape, View4Mut<'_, N>, &mut [N], View4<'_, N>, View4<'_, N>, View4<'_, N>);
type Backward<N> = fn(AttentionShape, &mut [N], &[N], View4<'_, N>, View4<'_, N>);

/// Strides of a tensor (b, t, h, d): as (b, t, h, d) or as (b, h, t, d), with a gap behind each row.
fn strides(t: usize, h: usize, d: usize, heads_first: bool, gap: usize) -> [usize; 4] {
    let row = d + gap;
    if heads_first {
        [h * t * row, row, t * row, 1]
    } else {
        [t * h * row, h * row, row, 1]
    }
}

fn check<N: Number>(s: AttentionShape, heads_first: bool, gap: usize) {
    check_with::<N>(s, heads_first, gap, &[]);
}

/// With `special` numbers in place of one element each of the keys and values at these times.
fn check_with<N: Number>(
    s: AttentionShape,
    heads_first: bool,
    gap: usize,
    special: &[(usize, f64)],
) {
    let mut numbers = Numbers::new(1);
    let of = |t: usize, d: usize| strides(t, s.heads, d, heads_first, gap);
    let (qs, ks, vs, os) = (of(s.tq, s.d), of(s.tk, s.d), of(s.tk, s.dv), of(s.tq, s.dv));
    let q: Vec<N> = numbers.vec(s.batch * qs[0] + 1);
    let mut k: Vec<N> = numbers.vec(s.batch * ks[0] + 1);
    let mut v: Vec<N> = numbers.vec(s.batch * vs[0] + 1);
    let old: Vec<N> = numbers.vec(s.batch * os[0] + 1);
    for &(t, x) in special {
        // The last batch's first head; keys of another, so that NaN scores do not hide what values do.
        let head = |strides: [usize; 4], h: usize| {
            (s.batch - 1) * strides[0] + t * strides[1] + h * strides[2]
        };
        k[head(ks, 1)] = N::from_f64(x);
        v[head(vs, 0) + t % s.dv] = N::from_f64(x);
    }
    let view = |data, strides| View4 { data, strides };
    let n = old.len();
    let run = |f: Forward<N>| {
        let mut all = old.clone();
        all.resize(n + s.probs_len(), N::from_f64(f64::NAN));
        let (out, probs) = all.split_at_mut(n);
        f(
            s,
            View4Mut {
                data: out,
                strides: os,
            },
            probs,
            view(&q, qs),
            view(&k, ks),
            view(&v, vs),
        );
        all
    };
    let expected = run(reference::attention);
    let actual = same_for_all_threads(|| run(attention));
    let bound = 20.0 + 4.0 * (s.tk + s.d) as f64;
    assert_close(&actual, &expected, bound);

    let probs = &expected[n..];
    let dout = &old;
    let run = |f: Backward<N>| {
        let mut ds = vec![N::from_f64(f64::NAN); s.probs_len()];
        f(s, &mut ds, probs, view(dout, os), view(&v, vs));
        ds
    };
    let expected = run(reference::attention_backward_scores);
    assert_close(
        &same_for_all_threads(|| run(attention_backward_scores)),
        &expected,
        bound,
    );
}

#[test]
fn agrees_with_the_reference() {
    for (batch, heads, tq, tk, d, dv) in [
        (1, 1, 1, 1, 1, 1),
        (2, 3, 5, 5, 4, 3),
        (1, 2, 33, 33, 8, 16),
        (2, 2, 64, 64, 32, 32),
        (1, 1, 1, 40, 8, 8),
        (1, 2, 7, 40, 8, 8),
        (1, 1, 40, 7, 8, 8),
        (0, 2, 3, 3, 4, 4),
        (1, 1, 3, 0, 4, 4),
        (1, 1, 0, 3, 4, 4),
    ] {
        for causal in [false, true] {
            for (heads_first, gap) in [(false, 0), (true, 0), (false, 3)] {
                let s = AttentionShape {
                    batch,
                    heads,
                    tq,
                    tk,
                    d,
                    dv,
                    causal,
                    scale: 0.3,
                };
                check::<f32>(s, heads_first, gap);
                check::<f64>(s, heads_first, gap);
                if tq < 30 {
                    check::<Dual<f64>>(s, heads_first, gap);
                }
            }
        }
    }
}

#[test]
fn long_rows_and_many_heads_agree() {
    let s = AttentionShape {
        batch: 3,
        heads: 4,
        tq: 70,
        tk: 300,
        d: 16,
        dv: 24,
        causal: true,
        scale: 0.25,
    };
    check::<f32>(s, false, 0);
}

/// What a query does not see does not reach it, wherever the blocks end. (Not for dual numbers: whether the derivative of an infinite product is NaN
/// depends on how it is grouped.)
#[test]
fn values_that_are_not_finite_stay_hidden() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for (tq, tk) in [(3, 3), (40, 40), (33, 70), (70, 45)] {
        let s = AttentionShape {
            batch: 2,
            heads: 2,
            tq,
            tk,
            d: 4,
            dv: 3,
            causal: true,
            scale: 0.3,
        };
        for special in [
            &[(1, inf)][..],
            &[(tk - 1, nan)],
            &[(tk / 2, -inf), (tk - 1, inf)],
            &[(tk / 3, nan), (tk / 2, inf), (tk / 2 + 1, -inf)],
        ] {
            check_with::<f32>(s, false, 0, special);
            check_with::<f64>(s, true, 3, special);
        }
    }
    let s = AttentionShape {
        batch: 1,
        heads: 1,
        tq: 2,
        tk: 2,
        d: 1,
        dv: 1,
        causal: true,
        scale: 1.0,
    };
    let strides = [2, 1, 1, 1];
    let view = |data| View4 { data, strides };
    let (mut out, mut probs) = ([0.0_f64; 2], [0.0; 4]);
    let to = View4Mut {
        data: &mut out,
        strides,
    };
    attention(
        s,
        to,
        &mut probs,
        view(&[0.0; 2]),
        view(&[0.0; 2]),
        view(&[1.0, inf]),
    );
    assert_eq!(out, [1.0, inf]);
}
