//! Property 6: bad input never panics in an op. What fails poisons its Var, says what was wrong, and leaves other Vars alone.

use ndarray::{Array, ArrayD, IxDyn, array};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tiegrad::autodiff::Problem;
use tiegrad::prelude::*;

#[test]
fn the_first_error_is_the_one_reported() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let line = line!() + 1;
    let bad = g
        .input(&array![[1.0, 2.0]])
        .matmul(g.input(&array![[1.0, 2.0]]));
    let later = (bad.relu() + g.input(&[1.0])).sum().matmul(bad);
    let error = later.item().unwrap_err();
    assert_eq!(error.op(), "matmul");
    assert_eq!(error.location().line(), line);
    assert!(error.location().file().ends_with("bad_input.rs"));
    assert_eq!(
        error
            .shapes()
            .iter()
            .map(|s| s.to_string())
            .collect::<Vec<_>>(),
        ["[1, 2]", "[1, 2]"]
    );
    assert!(error.to_string().contains("expected 2"), "{error}");
    // A healthy neighbour.
    assert_eq!(g.input(&[1.0, 2.0]).sum().item().unwrap(), 3.0);
}

#[test]
fn a_failed_backward_adds_nothing() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&array![1.0, 2.0]).unwrap();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let healthy = g.param(w).square().sum();
    let bad = g.param(w) + g.input(&[1.0, 2.0, 3.0]);
    assert!((healthy + bad.sum()).backward().is_err());
    assert!(params.grad(w).unwrap().is_none());
    let g = tape.record(&mut params);
    let healthy = g.param(w).square().sum();
    let _bad = g.param(w) + g.input(&[1.0, 2.0, 3.0]);
    assert_eq!(healthy.backward().unwrap(), 5.0);
    assert!(params.grad(w).unwrap().is_some());
}

#[test]
fn backward_says_why_not() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&array![1.0, 2.0]).unwrap();
    let mut tape = Tape::new();
    let problem = |result: Result<f32, tiegrad::autodiff::Error>| result.unwrap_err().problem();
    assert_eq!(
        problem(tape.record(&mut params).param(w).backward()),
        Problem::NotScalar
    );
    assert_eq!(
        problem(tape.record(&mut params).input(&[1.0]).backward()),
        Problem::NoGradient
    );
    assert_eq!(
        problem(tape.eval(&params).param(w).sum().backward()),
        Problem::NoGradient
    );
}

#[test]
fn stale_and_foreign_ids_say_what_they_were() {
    let mut params = Params::<f32>::new();
    let mut other = Params::<f32>::new();
    let keep = params.insert(&array![1.0]).unwrap();
    let gone = params.insert(&array![[1.0, 2.0, 3.0]]).unwrap();
    let foreign = other.insert(&array![1.0]).unwrap();
    params.remove(gone).unwrap();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let stale = g.param(gone).sum().item().unwrap_err();
    assert_eq!(stale.params(), [gone]);
    assert!(
        stale.to_string().contains("[1, 3]") && stale.to_string().contains("bad_input.rs"),
        "{stale}"
    );
    let foreign_error = g.param(foreign).sum().item().unwrap_err();
    assert_eq!(foreign_error.problem(), Problem::Parameter);
    assert!(foreign_error.arena().is_some());
    assert_eq!(g.param(keep).sum().backward().unwrap(), 1.0);
}

#[test]
fn vars_of_two_graphs_do_not_mix() {
    let params = Params::<f32>::new();
    let (mut first, mut second) = (Tape::new(), Tape::new());
    let (a, b) = (
        first.eval(&params).input(&[1.0]),
        second.eval(&params).input(&[2.0]),
    );
    assert_eq!((a + b).item().unwrap_err().problem(), Problem::TwoGraphs);
    assert_eq!((a + a).item().unwrap(), 2.0);
}

#[test]
fn indices_out_of_range() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let table = g.full([3, 2], 1.0);
    assert_eq!(
        table
            .embedding(g.indices(&[0_u32, 3]))
            .sum()
            .item()
            .unwrap_err()
            .problem(),
        Problem::Index { index: 3, size: 3 }
    );
    assert!(
        table
            .cross_entropy(g.indices(&[0_i64, -1, 1]))
            .item()
            .is_err()
    );
    assert!(
        table
            .cross_entropy(g.indices(&[0_u32, 5, 1]))
            .item()
            .is_err()
    );
    assert!(table.embedding(table).item().is_err());
    assert!((g.indices(&[1_u32]) + g.input(&[1.0])).item().is_err());
    assert!(g.indices(&[1_u32]).value().is_err());
}

#[test]
fn nan_and_infinity_pass_through() {
    let mut params = Params::<f32>::new();
    let w = params
        .insert(&array![f32::NAN, f32::INFINITY, 0.0])
        .unwrap();
    let mut tape = Tape::new();
    let loss = tape
        .record(&mut params)
        .param(w)
        .relu()
        .square()
        .sum()
        .backward()
        .unwrap();
    assert!(loss.is_nan());
    let g = tape.eval(&params);
    let nan = g.input(&[f32::NAN]);
    for y in [
        nan.relu(),
        nan.gelu(),
        nan.tanh(),
        nan.sigmoid(),
        nan.exp(),
        nan.log(),
        nan.maximum(g.scalar(1.0)),
        nan.max(),
    ] {
        assert!(y.sum().item().unwrap().is_nan(), "{y:?}");
    }
    // 0 · ∞ is NaN in a product too: nothing is skipped.
    let product = g
        .input(&array![[0.0, 1.0]])
        .matmul(g.input(&array![[f32::INFINITY], [1.0]]));
    assert!(product.item().unwrap().is_nan());
}

/// Every method of Var over operands of all kinds of shapes, indices where values belong and the reverse, NaN inside: an answer or an error.
#[test]
fn no_op_panics_whatever_it_is_given() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut params = Params::<f64>::new();
    let gone = params.insert(&array![1.0]).unwrap();
    params.remove(gone).unwrap();
    let mut tape = Tape::new();
    let (mut answers, mut errors) = (0, 0);
    for _ in 0..3000 {
        let g = tape.record(&mut params);
        let mut draw = |g: Graph<'_, f64>| -> (u32, ArrayD<f64>) {
            let _ = g;
            let rank = rng.random_range(0..5);
            let shape: Vec<usize> = (0..rank).map(|_| rng.random_range(0..4)).collect();
            let x = Array::from_shape_simple_fn(IxDyn(&shape), || {
                if rng.random_range(0..40) == 0 {
                    f64::NAN
                } else {
                    rng.random_range(-2.0..2.0)
                }
            });
            (rng.random_range(0..12), x)
        };
        let mut var = || {
            let (kind, x) = draw(g);
            match kind {
                0 => g.indices(&x.mapv(|x| if x.is_nan() { 0 } else { x.abs() as u32 })),
                1 => g.param(gone),
                2 if x.ndim() >= 2 => g.leaf(&x).t(),
                3 if x.ndim() >= 1 => g.leaf(&x).transpose(0, -1),
                _ => g.leaf(&x),
            }
        };
        let (a, b, c) = (var(), var(), var());
        let axis = rng.random_range(-6..6_i64) as isize;
        let (i, j) = (rng.random_range(0..5), rng.random_range(0..5));
        let y = match rng.random_range(0..36) {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a / b,
            4 => a.matmul(b),
            5 => a.linear(b, Some(c)),
            6 => a.linear(b, None),
            7 => a.t(),
            8 => a.transpose(axis, 1),
            9 => a.permute(&[1, 0]),
            10 => a.permute(&[0, 2, axis]),
            11 => a.reshape([i, j]),
            12 => a.slice(axis, i..j),
            13 => a.select(axis, i),
            14 => a.unsqueeze(axis),
            15 => a.squeeze(axis),
            16 => a.chunk::<2>(axis)[1],
            17 => g.concat(&[a, b, c], axis),
            18 => g.stack(&[a, b], axis),
            19 => g.concat(&[], axis),
            20 => a.sum_dim(&[axis], true),
            21 => a.amax(&[axis, 0], false),
            22 => a.max(),
            23 => a.mean(),
            24 => a.softmax(axis),
            25 => a.log_softmax(axis),
            26 => a.layer_norm(Some(b), Some(c), 1e-5),
            27 => a.layer_norm(None, None, 1e-5),
            28 => a.dropout(rng.random_range(-0.5..1.5)),
            29 => a.embedding(b),
            30 => a.cross_entropy(b),
            31 => a.mse_loss(b),
            32 => a.attention(b, c, true),
            33 => a.scaled_dot_product_attention(b, c, false),
            34 => a.broadcast_to([i, j, 2]),
            _ => a.maximum(b).gelu(),
        };
        match y.sum().backward() {
            Ok(_) => answers += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                errors += 1;
            }
        }
        let _ = format!("{y:?}");
    }
    assert!(
        answers > 300 && errors > 300,
        "{answers} answers, {errors} errors: the draw is lopsided"
    );
}
