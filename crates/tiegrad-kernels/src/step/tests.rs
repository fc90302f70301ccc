use super::*;
use crate::testing::{Number, Numbers, assert_close, same_for_all_threads};

const SIZES: [usize; 6] = [0, 1, 7, 100, 2 * crate::elementwise::RUN - 1, 70_001];

/// Two steps of an update on (p, g, three states), for all thread counts, against one element at a time.
fn check<N: Number>(
    update: impl Fn(u64, &mut [N], &[N], &mut [N], &mut [N], &mut [N]),
    naive: impl Fn(u64, &mut [f64; 4], f64),
) {
    for n in SIZES {
        let (p, g, h): (Vec<N>, Vec<N>, Vec<N>) = (
            Numbers::new(1).vec(n),
            Numbers::new(2).vec(n),
            Numbers::new(3).vec(n),
        );
        let actual = same_for_all_threads(|| {
            let (mut p, mut s) = (p.clone(), vec![N::ZERO; 3 * n]);
            let (a, rest) = s.split_at_mut(n);
            let (b, c) = rest.split_at_mut(n);
            update(1, &mut p, &g, a, b, c);
            update(2, &mut p, &h, a, b, c);
            p.extend_from_slice(&s);
            p
        });
        let mut expected = vec![N::ZERO; 4 * n];
        for i in 0..n {
            let mut x = [p[i].to_f64(), 0.0, 0.0, 0.0];
            naive(1, &mut x, g[i].to_f64());
            naive(2, &mut x, h[i].to_f64());
            for (k, x) in x.into_iter().enumerate() {
                expected[k * n + i] = N::from_f64(x);
            }
        }
        assert_close(&actual, &expected, 64.0);
    }
}

fn sgd_case<N: Number>(s: SgdStep) {
    check::<N>(
        |t, p, g, buf, _, _| sgd(p, g, Some(buf), SgdStep { first: t == 1, ..s }),
        |t, [p, buf, _, _], g| {
            let mut g = if s.maximize { -g } else { g } + s.weight_decay * *p;
            if s.momentum != 0.0 {
                *buf = if t == 1 {
                    g
                } else {
                    s.momentum * *buf + (1.0 - s.dampening) * g
                };
                g = if s.nesterov {
                    g + s.momentum * *buf
                } else {
                    *buf
                };
            }
            *p -= s.lr * g;
        },
    );
}

#[test]
fn sgd_is_pytorchs() {
    let plain = SgdStep {
        lr: 0.1,
        ..SgdStep::default()
    };
    for s in [
        plain,
        SgdStep {
            weight_decay: 0.3,
            ..plain
        },
        SgdStep {
            maximize: true,
            weight_decay: 0.3,
            ..plain
        },
        SgdStep {
            maximize: true,
            ..plain
        },
        SgdStep {
            momentum: 0.9,
            dampening: 0.2,
            weight_decay: 0.1,
            ..plain
        },
        SgdStep {
            momentum: 0.9,
            nesterov: true,
            ..plain
        },
    ] {
        sgd_case::<f32>(s);
        sgd_case::<f64>(s);
    }
}

fn adam_case<N: Number>(base: AdamStep, amsgrad: bool) {
    let at = |t: u64| AdamStep {
        bias_correction1: 1.0 - base.beta1.powf(t as f64),
        bias_correction2: 1.0 - base.beta2.powf(t as f64),
        ..base
    };
    check::<N>(
        |t, p, g, m, v, x| adam(p, g, m, v, amsgrad.then_some(x), at(t)),
        |t, [p, m, v, max], g| {
            let s = at(t);
            let mut g = if s.maximize { -g } else { g };
            if s.decoupled {
                *p *= 1.0 - s.lr * s.weight_decay;
            } else {
                g += s.weight_decay * *p;
            }
            *m = s.beta1 * *m + (1.0 - s.beta1) * g;
            *v = s.beta2 * *v + (1.0 - s.beta2) * g * g;
            if amsgrad {
                *max = max.max(*v);
            }
            let v = if amsgrad { *max } else { *v };
            let denominator = v.sqrt() / s.bias_correction2.sqrt() + s.eps;
            *p -= s.lr / s.bias_correction1 * *m / denominator;
        },
    );
}

#[test]
fn adam_is_pytorchs() {
    let plain = AdamStep::new(0.01, 0.9, 0.99, 1e-3, 1);
    for s in [
        plain,
        AdamStep {
            weight_decay: 0.3,
            ..plain
        },
        AdamStep {
            weight_decay: 0.3,
            decoupled: true,
            ..plain
        },
        AdamStep {
            maximize: true,
            ..plain
        },
    ] {
        for amsgrad in [false, true] {
            adam_case::<f32>(s, amsgrad);
            adam_case::<f64>(s, amsgrad);
        }
    }
}

fn rmsprop_case<N: Number>(s: RmspropStep, centered: bool) {
    check::<N>(
        |_, p, g, sq, avg, buf| rmsprop(p, g, sq, centered.then_some(avg), Some(buf), s),
        |_, [p, sq, avg, buf], g| {
            let g = if s.maximize { -g } else { g } + s.weight_decay * *p;
            *sq = s.alpha * *sq + (1.0 - s.alpha) * g * g;
            let mut square = *sq;
            if centered {
                *avg = s.alpha * *avg + (1.0 - s.alpha) * g;
                square -= *avg * *avg;
            }
            let step = g / (square.sqrt() + s.eps);
            if s.momentum == 0.0 {
                *p -= s.lr * step;
            } else {
                *buf = s.momentum * *buf + step;
                *p -= s.lr * *buf;
            }
        },
    );
}

#[test]
fn rmsprop_is_pytorchs() {
    let plain = RmspropStep {
        lr: 0.01,
        alpha: 0.9,
        eps: 0.1,
        ..RmspropStep::default()
    };
    for s in [
        plain,
        RmspropStep {
            weight_decay: 0.1,
            momentum: 0.9,
            ..plain
        },
        RmspropStep {
            maximize: true,
            ..plain
        },
    ] {
        for centered in [false, true] {
            rmsprop_case::<f32>(s, centered);
            rmsprop_case::<f64>(s, centered);
        }
    }
}

#[test]
fn scale_scales() {
    for n in SIZES {
        let x: Vec<f32> = Numbers::new(1).vec(n);
        let actual = same_for_all_threads(|| {
            let mut y = x.clone();
            scale(&mut y, 0.25);
            y
        });
        assert_close(
            &actual,
            &x.iter().map(|x| x * 0.25).collect::<Vec<_>>(),
            0.0,
        );
    }
}
