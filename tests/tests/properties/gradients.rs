//! Property 4: a gradient is `None` until a backward pass reaches it, and `zero_grad` writes no gradient memory.

use std::time::{Duration, Instant};

use tiegrad::arena::Shape;
use tiegrad::prelude::*;

use crate::common::{bits, rng};

#[test]
fn a_gradient_is_none_until_it_is_reached() {
    let mut params = Params::<f32>::new();
    let used = params.insert(&array![1.0, 2.0]).unwrap();
    let unused = params.insert(&array![3.0]).unwrap();
    let frozen = params.insert(&array![4.0, 5.0]).unwrap();
    params.set_requires_grad(frozen, false).unwrap();
    let gradient = |params: &Params<f32>, id| params.grad_slice(id).unwrap().map(<[f32]>::to_vec);

    assert_eq!(gradient(&params, used), None);
    let mut tape = Tape::new();
    // A forward pass alone reaches nothing.
    let g = tape.record(&mut params);
    assert_eq!(g.param(unused).sum().item().unwrap(), 3.0);
    assert_eq!(
        (g.param(used) * g.param(frozen)).sum().backward().unwrap(),
        14.0
    );
    assert_eq!(gradient(&params, used), Some(vec![4.0, 5.0]));
    assert_eq!(gradient(&params, unused), None);
    assert_eq!(gradient(&params, frozen), None);
    // A gradient of zeros is one.
    let g = tape.record(&mut params);
    (g.param(unused) * 0.0).sum().backward().unwrap();
    assert_eq!(gradient(&params, unused), Some(vec![0.0]));
    // It adds up until it is cleared, and the first one after overwrites.
    let g = tape.record(&mut params);
    g.param(used).sum().backward().unwrap();
    assert_eq!(gradient(&params, used), Some(vec![5.0, 6.0]));
    params.zero_grad();
    assert_eq!(
        [used, unused, frozen].map(|id| gradient(&params, id)),
        [None, None, None]
    );
    let g = tape.record(&mut params);
    g.param(used).sum().backward().unwrap();
    assert_eq!(gradient(&params, used), Some(vec![1.0, 1.0]));
}

/// What an optimizer is for: a parameter that was not reached keeps its value, its momentum and its weight decay to itself.
#[test]
fn a_step_leaves_alone_what_has_no_gradient() {
    let mut params = Params::<f32>::new();
    let used = params.insert(&array![1.0]).unwrap();
    let unused = params.insert(&array![1.0]).unwrap();
    let mut opt = AdamW::new(0.1).weight_decay(0.5);
    let mut tape = Tape::new();
    for reached in [used, unused, used] {
        let g = tape.record(&mut params);
        g.param(reached).sum().backward().unwrap();
        let other = if reached == used { unused } else { used };
        let before = params.as_slice(other).unwrap()[0];
        opt.step(&mut params).unwrap();
        assert_eq!(params.as_slice(other).unwrap()[0], before);
        params.zero_grad();
    }
    assert_eq!(
        (
            opt.state().step(used).unwrap(),
            opt.state().step(unused).unwrap()
        ),
        (2, 1)
    );
}

#[test]
fn zero_grad_leaves_every_gradient_byte_as_it_was() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 9, 33, &mut rng(1)),
        ReLU,
        Linear::new(&mut params, 33, 2, &mut rng(2)),
    );
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    net.forward(g.full([4, 9], 1.0))
        .square()
        .sum()
        .backward()
        .unwrap();
    let slab = |params: &Params<f32>| bits(params.grads().slab());
    let before = slab(&params);
    assert!(before.iter().filter(|&&x| x != 0).count() > 100);
    params.zero_grad();
    assert_eq!(slab(&params), before);
    assert_eq!(params.grad_slice(net.0.weight).unwrap(), None);
}

/// O(1): what 100,000 calls take over 50,000 parameters would be a second if each only looked at one byte of a mark.
#[test]
fn zero_grad_does_not_go_through_the_parameters() {
    let mut params = Params::<f32>::new();
    for _ in 0..50_000 {
        params.insert_with(Shape::SCALAR, |_| {});
    }
    let mut tape = Tape::new();
    let id = params.ids().last().unwrap();
    tape.record(&mut params).param(id).sum().backward().unwrap();
    let time = || {
        let start = Instant::now();
        for _ in 0..100_000 {
            std::hint::black_box(&mut params).zero_grad();
        }
        start.elapsed()
    };
    // The best of three: the machine may be doing something else.
    let best = std::iter::repeat_with(time).take(3).min().unwrap();
    assert!(best < Duration::from_millis(100), "{best:?}");
}
