//! Shape inference, fused activations, the summary table.

use tiegrad::prelude::*;

use crate::data::{load_state, tensor};
use crate::nets::{mlp, rgnet, rng, run, tied_mlp, x};

/// No input size is given; one input shape says them all.
#[test]
fn r07_input_sizes_are_inferred() {
    let mut params = Params::<f32>::new();
    // Gluon: add(Dense(8, activation='relu')), add(Dense(1)). Keras: Flatten(), Dense(8, activation=relu), Dense(1).
    let spec = || [flatten(), dense(8).relu(), dense(1)];
    let net = Sequential::build(spec(), &mut params, [2, 4], &mut rng(1)).unwrap();
    assert_eq!(net.get::<Dense>(1).unwrap().linear.in_features, 4);
    assert_eq!(net.get::<Linear>(2).unwrap().in_features, 8);
    assert_eq!(run(&net, &params, &x()).shape(), [2, 1]);
    // The batch's size is no part of a parameter's.
    let five = Array2::<f32>::zeros((5, 4));
    assert_eq!(run(&net, &params, &five).shape(), [5, 1]);
    // Another input shape, other parameters.
    let wide = Sequential::build(spec(), &mut params, [2, 3, 5], &mut rng(1)).unwrap();
    let weight = wide.find("1.weight").unwrap();
    assert_eq!(params.value(weight).unwrap().shape(), [8, 15]);

    // Parameters before a shape is known: an error that says what to do.
    let error = dense(8).relu().find("weight").unwrap_err().to_string();
    assert!(
        error.contains("dense(8).relu() has no parameters yet"),
        "{error}"
    );
    assert!(error.contains("Sequential::build"), "{error}");

    // Shapes that do not fit: the layer and both shapes, and nothing stays behind.
    let before = params.len();
    let own = Linear::new(&mut params, 9, 1, &mut rng(1));
    let specs = [dense(8).relu(), layer(own)];
    let error = Sequential::build(specs, &mut params, [2, 4], &mut rng(1)).unwrap_err();
    let error = error.to_string();
    assert!(error.starts_with("1 (Linear)"), "{error}");
    assert!(
        error.contains("[2, 8]") && error.contains("[1, 9]"),
        "{error}"
    );
    assert_eq!(params.len(), before + 2, "only the layer made by hand");
}

/// An activation as a child of its own, or fused: the tree shows which, the numbers are equal.
#[test]
fn r08_an_activation_of_its_own_or_fused() {
    let mut params = Params::<f64>::new();
    let own = mlp(&mut params);
    load_state("flat", &own, &mut params);
    let fused = (own.0.clone().activated(Activation::ReLU), own.2.clone());
    let flat: Array2<f64> = tensor("flat/x").into_dimensionality().unwrap();
    assert_eq!(run(&own, &params, &flat), run(&fused, &params, &flat));

    let (own_tree, fused_tree) = (
        own.tree(&params).to_string(),
        fused.tree(&params).to_string(),
    );
    assert!(
        own_tree.contains("├─ 1: ReLU         (no params)"),
        "{own_tree}"
    );
    assert!(fused_tree.contains("├─ 0: Dense"), "{fused_tree}");
    assert!(!fused_tree.contains("ReLU"), "{fused_tree}");
    assert_eq!(
        fused.repr().to_string(),
        "Sequential(
  (0): Dense(in_features=4, out_features=8, bias=True, activation=relu)
  (1): Linear(in_features=8, out_features=1, bias=True)
)"
    );
    // The same parameters under the same kind of names, gradients included.
    assert_eq!(fused.find("0.weight"), Ok(own.0.weight));
    let gradient = |net: &dyn Fn(Var<'_, f64>) -> f64, params: &mut Params<f64>| {
        params.zero_grad();
        let mut tape = Tape::new();
        let g = tape.record(params);
        net(g.input(&flat));
        params.grad(own.0.weight).unwrap().unwrap().to_owned()
    };
    let one = gradient(&|x| own.forward(x).sum().backward().unwrap(), &mut params);
    let other = gradient(&|x| fused.forward(x).sum().backward().unwrap(), &mut params);
    assert_eq!(one, other);
    // From specs: both notations.
    let specs = [dense(8), relu(), dense(1)];
    let apart = Sequential::build(specs, &mut params, [2, 4], &mut rng(1)).unwrap();
    assert_eq!((apart.len(), apart[1].kind()), (3, "ReLU"));
    let specs = [dense(8).relu(), dense(1)];
    let fused = Sequential::build(specs, &mut params, [2, 4], &mut rng(1)).unwrap();
    assert_eq!((fused.len(), fused[0].kind()), (2, "Dense"));
}

/// Type, output shape, counts, totals; each row its own count.
#[test]
fn r29_the_summary_table() {
    let mut params = Params::<f32>::new();
    let net = rgnet(&mut params);
    let summary = net.summary(&params, [2, 4]).unwrap();
    assert_eq!((summary.unique, summary.duplicates_included), (309, 309));
    let row = |path: &str| summary.rows.iter().find(|row| row.path == path).unwrap();
    let block = row("0.block 2.0");
    assert_eq!(
        (block.kind.as_str(), block.own, block.multiply_adds),
        ("Linear", 40, 64)
    );
    assert_eq!(*block.outputs[0].0, [2, 8]);
    assert_eq!(*row("").outputs[0].0, [2, 1]);
    assert_eq!(row("0.block 2").own, 0, "what its children have is theirs");
    let rows: usize = summary.rows.iter().map(|row| row.own).sum();
    assert_eq!(rows, 309);
    // 4 blocks of 2 · (4 · 8 + 8 · 4), and 2 · 4.
    assert_eq!(summary.multiply_adds, Some(4 * 2 * 64 + 8));
    let text = summary.to_string();
    assert!(text.contains("    block 2 (Sequential)   (2, 4)"), "{text}");

    // Ties: three totals, multiply-adds for each use, frozen apart.
    let tied = tied_mlp(&mut params, 4, 1);
    tied.0.requires_grad(&mut params, false).unwrap();
    let summary = tied.summary(&params, [2, 4]).unwrap();
    assert_eq!(
        (summary.duplicates_included, summary.shared, summary.unique),
        (193, 72, 121)
    );
    assert_eq!((summary.trainable, summary.frozen), (81, 40));
    assert_eq!(summary.multiply_adds, Some(2 * (32 + 64 + 64 + 8)));
    let text = summary.to_string();
    for part in [
        "4.weight ↔ 2.weight",
        "shared (counted more than once)",
        "72 ↔",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
    // A shape that does not fit is an error with the layer and both shapes.
    let error = tied.summary(&params, [2, 5]).unwrap_err().to_string();
    assert!(
        error.starts_with("0 (Linear)") && error.contains("[2, 5]"),
        "{error}"
    );
    assert!(error.contains("[8, 4]"), "{error}");
}
