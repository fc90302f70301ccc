//! The optimizers against PyTorch's formulas written down naively, one element at a time over hash maps, while parameters
//! come, go, move, freeze and miss gradients.

use std::collections::HashMap;

use crate::common::{set_grad, vector};
use proptest::prelude::*;
use tiegrad_arena::{ParamId, Params, Selection};
use tiegrad_optim::{Adam, AdamW, Group, Optimizer, RMSprop, SGD};

/// All settings of all optimizers.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    lr: f64,
    weight_decay: f64,
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    betas: (f64, f64),
    eps: f64,
    alpha: f64,
    amsgrad: bool,
    centered: bool,
    decoupled: bool,
    maximize: bool,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sgd,
    Adam,
    AdamW,
    RmsProp,
}

/// What the naive optimizer knows about an element: its value, and what PyTorch would remember.
#[derive(Clone, Copy, Debug, Default)]
struct Element {
    p: f64,
    momentum_buffer: Option<f64>,
    exp_avg: f64,
    exp_avg_sq: f64,
    max_exp_avg_sq: f64,
    square_avg: f64,
    grad_avg: f64,
    step: i32,
}

/// torch.optim's single-tensor code, transcribed.
fn update(kind: Kind, s: &Settings, e: &mut Element, grad: f64) {
    let mut g = if s.maximize { -grad } else { grad };
    let decoupled = matches!(kind, Kind::AdamW) || (matches!(kind, Kind::Adam) && s.decoupled);
    if s.weight_decay != 0.0 {
        if decoupled {
            e.p *= 1.0 - s.lr * s.weight_decay;
        } else {
            g += s.weight_decay * e.p;
        }
    }
    match kind {
        Kind::Sgd => {
            if s.momentum != 0.0 {
                let buf = match e.momentum_buffer {
                    None => g,
                    Some(buf) => s.momentum * buf + (1.0 - s.dampening) * g,
                };
                e.momentum_buffer = Some(buf);
                g = if s.nesterov {
                    g + s.momentum * buf
                } else {
                    buf
                };
            }
            e.p -= s.lr * g;
        }
        Kind::Adam | Kind::AdamW => {
            e.step += 1;
            let (beta1, beta2) = s.betas;
            e.exp_avg = beta1 * e.exp_avg + (1.0 - beta1) * g;
            e.exp_avg_sq = beta2 * e.exp_avg_sq + (1.0 - beta2) * g * g;
            let square = if s.amsgrad {
                e.max_exp_avg_sq = e.max_exp_avg_sq.max(e.exp_avg_sq);
                e.max_exp_avg_sq
            } else {
                e.exp_avg_sq
            };
            let (correction1, correction2) = (1.0 - beta1.powi(e.step), 1.0 - beta2.powi(e.step));
            let denominator = square.sqrt() / correction2.sqrt() + s.eps;
            e.p -= s.lr / correction1 * (e.exp_avg / denominator);
        }
        Kind::RmsProp => {
            e.square_avg = s.alpha * e.square_avg + (1.0 - s.alpha) * g * g;
            let mut square = e.square_avg;
            if s.centered {
                e.grad_avg += (1.0 - s.alpha) * (g - e.grad_avg);
                square -= e.grad_avg * e.grad_avg;
            }
            let step = g / (square.sqrt() + s.eps);
            if s.momentum > 0.0 {
                let buf = s.momentum * e.momentum_buffer.unwrap_or(0.0) + step;
                e.momentum_buffer = Some(buf);
                e.p -= s.lr * buf;
            } else {
                e.p -= s.lr * step;
            }
        }
    }
}

fn build(kind: Kind, s: &Settings) -> Box<dyn Optimizer<f64>> {
    build_with(kind, s, None)
}

fn build_with(kind: Kind, s: &Settings, group: Option<Group>) -> Box<dyn Optimizer<f64>> {
    macro_rules! boxed {
        ($opt:expr) => {{
            let opt = $opt.weight_decay(s.weight_decay).maximize(s.maximize);
            match group {
                Some(group) => Box::new(opt.group(group)),
                None => Box::new(opt),
            }
        }};
    }
    match kind {
        Kind::Sgd => boxed!(
            SGD::new(s.lr)
                .momentum(s.momentum)
                .dampening(s.dampening)
                .nesterov(s.nesterov)
        ),
        Kind::Adam => boxed!(
            Adam::new(s.lr)
                .betas(s.betas.0, s.betas.1)
                .eps(s.eps)
                .amsgrad(s.amsgrad)
                .decoupled_weight_decay(s.decoupled)
        ),
        Kind::AdamW => {
            boxed!(
                AdamW::new(s.lr)
                    .betas(s.betas.0, s.betas.1)
                    .eps(s.eps)
                    .amsgrad(s.amsgrad)
            )
        }
        Kind::RmsProp => boxed!(
            RMSprop::new(s.lr)
                .alpha(s.alpha)
                .eps(s.eps)
                .momentum(s.momentum)
                .centered(s.centered)
        ),
    }
}

/// Something that happens to an arena under training.
#[derive(Clone, Debug)]
enum Event {
    /// A step; bit `i` of the mask says whether the i-th parameter gets a gradient.
    Step {
        mask: u64,
        seed: u64,
    },
    Insert {
        len: usize,
    },
    Remove {
        which: usize,
    },
    Compact,
    Freeze {
        which: usize,
    },
    Lr {
        lr: f64,
    },
}

fn settings() -> impl Strategy<Value = Settings> {
    let numbers = (
        1e-4..0.5_f64,
        prop_oneof![Just(0.0), 0.0..0.3_f64],
        prop_oneof![Just(0.0), 0.1..0.95_f64],
        prop_oneof![Just(0.0), 0.0..0.5_f64],
        (0.0..0.95_f64, 0.5..0.999_f64),
        1e-8..0.1_f64,
        0.5..0.99_f64,
    );
    (numbers, any::<[bool; 5]>()).prop_map(|(numbers, switches)| {
        let (lr, weight_decay, momentum, dampening, betas, eps, alpha) = numbers;
        let [nesterov, amsgrad, centered, decoupled, maximize] = switches;
        let nesterov = nesterov && momentum != 0.0;
        Settings {
            lr,
            weight_decay,
            momentum,
            dampening: if nesterov { 0.0 } else { dampening },
            nesterov,
            betas,
            // A centered variance can be 0 up to rounding: a larger eps keeps that from deciding.
            eps: if centered { eps + 1e-2 } else { eps },
            alpha,
            amsgrad,
            centered,
            decoupled,
            maximize,
        }
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (any::<u64>(), any::<u64>()).prop_map(|(mask, seed)| Event::Step { mask, seed }),
        2 => (0..40_usize).prop_map(|len| Event::Insert { len }),
        1 => (0..8_usize).prop_map(|which| Event::Remove { which }),
        1 => Just(Event::Compact),
        1 => (0..8_usize).prop_map(|which| Event::Freeze { which }),
        1 => (1e-3..0.3_f64).prop_map(|lr| Event::Lr { lr }),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Sgd),
        Just(Kind::Adam),
        Just(Kind::AdamW),
        Just(Kind::RmsProp)
    ]
}

/// Numbers in -1..1 that a seed stands for, none of them tiny.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let number = |i: usize| {
        let mixed = (seed ^ (i as u64))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
        let unit = (mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1_u64 << 53) as f64;
        (unit * 2.0 - 1.0) * 0.9 + if unit < 0.5 { -0.1 } else { 0.1 }
    };
    (0..len).map(number).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn steps_are_those_of_the_formulas(
        kind in kind(),
        own in settings(),
        events in prop::collection::vec(event(), 1..25),
        grouped in any::<u8>(),
        (group_lr, group_decay) in (1e-3..0.3_f64, 0.0..0.3_f64),
    ) {
        let mut params = Params::<f64>::new();
        let mut model: HashMap<ParamId, Vec<Element>> = HashMap::new();
        let insert = |params: &mut Params<f64>, model: &mut HashMap<_, _>, len: usize| {
            let values = numbers(len as u64 + 77, len);
            let id = vector(params, &values);
            let elements = values.iter().map(|&p| Element { p, ..Element::default() });
            model.insert(id, elements.collect::<Vec<_>>());
            id
        };
        let first: Vec<_> = [3, 16, 1, 33, 0, 8].map(|len| insert(&mut params, &mut model, len)).into();
        let members = first.iter().enumerate().filter(|(i, _)| grouped >> i & 1 == 1);
        let members: Selection = members.map(|(_, &id)| id).collect();
        let group = Group::new(members.clone()).lr(group_lr).weight_decay(group_decay);
        let mut opt = if members.is_empty() { build(kind, &own) } else { build_with(kind, &own, Some(group)) };
        let mut own = own;

        for event in events {
            let nth = |which: usize| params.ids().nth(which);
            match event {
                Event::Step { mask, seed } => {
                    params.zero_grad();
                    let ids: Vec<_> = params.ids().collect();
                    for (i, &id) in ids.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1) {
                        let elements = model.get_mut(&id).unwrap();
                        let grad = numbers(seed.wrapping_add(i as u64), elements.len());
                        set_grad(&mut params, id, &grad);
                        if params.requires_grad(id).unwrap() {
                            let mut settings = own;
                            if members.contains(id) {
                                (settings.lr, settings.weight_decay) = (group_lr, group_decay);
                            }
                            for (element, g) in elements.iter_mut().zip(grad) {
                                update(kind, &settings, element, g);
                            }
                        }
                    }
                    opt.step(&mut params).unwrap();
                }
                Event::Insert { len } => {
                    insert(&mut params, &mut model, len);
                }
                Event::Remove { which } => if let Some(id) = nth(which) {
                    params.remove(id).unwrap();
                    model.remove(&id);
                },
                Event::Compact => params.compact(),
                Event::Freeze { which } => if let Some(id) = nth(which) {
                    let frozen = params.requires_grad(id).unwrap();
                    params.set_requires_grad(id, !frozen).unwrap();
                },
                Event::Lr { lr } => {
                    own.lr = lr;
                    opt.set_lr(lr);
                }
            }
            for (&id, elements) in &model {
                for (found, element) in params.as_slice(id).unwrap().iter().zip(elements) {
                    let close = (found - element.p).abs() <= 1e-9 * element.p.abs().max(1.0);
                    prop_assert!(close, "{id}: {found} and not {}", element.p);
                }
            }
        }
    }
}
