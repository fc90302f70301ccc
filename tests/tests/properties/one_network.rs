//! Property 3: a layer has no scalar type. One network object runs under f32, f64 and dual numbers, whose derivatives agree.

use tiegrad::prelude::*;

use crate::common::{gpt, rng, tokens};

fn loss<T: Scalar>(gpt: &GPT, params: &Params<T>) -> T {
    let (x, y) = tokens();
    let mut tape = Tape::new();
    let g = tape.eval(params);
    gpt.loss(g.indices(&x), g.indices(&y)).item().unwrap()
}

#[test]
fn a_gpt_runs_under_every_scalar() {
    let mut single = Params::<f32>::new();
    let gpt = gpt(true, &mut single);
    let double = single.cast::<f64>();
    let expected = loss(&gpt, &double);
    assert!((expected - 7.0_f64.ln()).abs() < 0.2, "{expected}");
    assert!((f64::from(loss(&gpt, &single)) - expected).abs() < 1e-6);
    assert!((loss(&gpt, &double.cast::<Dual<f64>>()).re - expected).abs() < 1e-14);
}

/// What the tape's rules give along a direction, forward differentiation gives without them.
#[test]
fn the_gradient_is_the_derivative_of_dual_numbers() {
    let mut single = Params::<f32>::new();
    let gpt = gpt(true, &mut single);
    let mut double = single.cast::<f64>();
    let mut dual = double.cast::<Dual<f64>>();
    let mut rng = rng(5);
    for id in double.ids() {
        for x in dual.as_mut_slice(id).unwrap() {
            x.eps = rng.random_range(-1.0..1.0);
        }
    }
    let (x, y) = tokens();
    let mut tape = Tape::new();
    let g = tape.record(&mut double);
    gpt.loss(g.indices(&x), g.indices(&y)).backward().unwrap();

    let along = |id| {
        let gradient = double.grad_slice(id).unwrap().unwrap().iter();
        let direction = dual.as_slice(id).unwrap();
        gradient.zip(direction).map(|(g, d)| g * d.eps).sum::<f64>()
    };
    let expected: f64 = double.ids().map(along).sum();
    let found = loss(&gpt, &dual).eps;
    assert!((found - expected).abs() < 1e-12, "{found:e}, {expected:e}");
    assert!(
        expected.abs() > 1e-3,
        "a direction that says nothing: {expected:e}"
    );
}

/// The same of a list of boxed layers, which picks the scalar at run time, and of dropout, whose masks are those of every scalar.
#[test]
fn boxed_layers_and_dropout_masks_are_the_same_for_all() {
    let mut single = Params::<f32>::new();
    let rng = &mut rng(3);
    let shared = Linear::new(&mut single, 5, 5, rng);
    let net = sequential![
        shared.clone(),
        Dropout::new(0.5),
        GELU,
        shared,
        Dropout::new(0.25),
        Linear::new(&mut single, 5, 1, rng)
    ];
    fn run<T: Scalar>(net: &Sequential, params: &Params<T>) -> f64 {
        let mut params = params.clone();
        let mut tape = Tape::new();
        tape.seed(9);
        let g = tape.record(&mut params);
        net.forward(g.full([40, 5], T::ONE))
            .sum()
            .backward()
            .unwrap()
            .to_f64()
    }
    let expected = run(&net, &single.cast::<f64>());
    for found in [
        run(&net, &single),
        run(&net, &single.cast::<Dual<f32>>()),
        run(&net, &single.cast::<Dual<f64>>()),
    ] {
        assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
    }
}
