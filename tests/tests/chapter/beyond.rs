//! What none of the three systems does.

use tiegrad::checkpoint::{Error, Problem};
use tiegrad::prelude::*;

use crate::nets::{mlp, rng, run, tied_mlp, x};

#[test]
fn x2_a_stale_or_foreign_id_says_what_it_was() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    params.remove(net.2.weight).unwrap();
    let stale = params.value(net.2.weight).unwrap_err().to_string();
    assert!(
        stale.contains("was removed: it had the shape [1, 8]"),
        "{stale}"
    );
    // In a forward pass: the op, the line here, and the path in the net.
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let error = net.forward(g.input(&x::<f32>())).value().unwrap_err();
    assert_eq!(error.params(), [net.2.weight]);
    let said = net.explain(&error);
    for part in ["beyond.rs", "2.weight", "[1, 8]"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // The slot's next tenant is not taken for the parameter that was.
    params.insert(&array![[1.0_f32]]).unwrap();
    let reused = params.value(net.2.weight).unwrap_err().to_string();
    assert!(
        reused.contains("[1, 8]") && reused.contains("now holds"),
        "{reused}"
    );

    // Another arena's id.
    let other = Params::<f32>::new();
    let foreign = other.value(net.0.weight).unwrap_err().to_string();
    assert!(foreign.contains("belongs to the arena"), "{foreign}");
    let g = tape.eval(&other);
    assert!(net.0.forward(g.input(&x::<f32>())).value().is_err());
}

/// One network object at f32, f64 and dual numbers; the derivative along a direction is the gradient's product with it.
#[test]
fn x6_one_network_at_every_scalar() {
    let mut single = Params::<f32>::new();
    let net = tied_mlp(&mut single, 4, 1);
    let mut double = single.cast::<f64>();
    let mut dual = double.cast::<Dual<f64>>();
    let mut rng = rng(5);
    for id in single.ids() {
        for value in dual.as_mut_slice(id).unwrap() {
            value.eps = rng.random_range(-1.0..1.0);
        }
    }
    let out32 = run(&net, &single, &x());
    let out64 = run(&net, &double, &x());
    let out_dual = run(&net, &dual, &x());
    for ((a, b), c) in out32.iter().zip(&out64).zip(&out_dual) {
        assert!((f64::from(*a) - b).abs() < 1e-6, "{a} and {b}");
        assert!((c.re - b).abs() < 1e-14, "{} and {b}", c.re);
    }
    let mut tape = Tape::new();
    let g = tape.record(&mut double);
    net.forward(g.input(&x::<f64>())).sum().backward().unwrap();
    let along: f64 = double
        .ids()
        .flat_map(|id| {
            let gradient = double.grad_slice(id).unwrap().unwrap().iter();
            gradient.zip(dual.as_slice(id).unwrap())
        })
        .map(|(gradient, direction)| gradient * direction.eps)
        .sum();
    let found: f64 = out_dual.iter().map(|y| y.eps).sum();
    assert!((found - along).abs() < 1e-12, "{found} and {along}");
    assert!(along.abs() > 1e-3, "a direction that says nothing: {along}");
}

#[test]
fn x8_ties_of_a_file_change_only_with_a_stated_policy() {
    let mut params = Params::<f32>::new();
    let tied = tied_mlp(&mut params, 4, 1);
    let mut untied = tied.clone();
    untied.4 = untied.4.duplicate(&mut params).unwrap();
    let file = |net: &crate::nets::TiedMlp, params: &Params<f32>| {
        let names = checkpoint_names(net);
        Loaded::from_bytes(Checkpoint::new(params, &names).to_bytes().unwrap()).unwrap()
    };
    let load = |from: &Loaded, into: &crate::nets::TiedMlp, params: &mut Params<f32>, policy| {
        from.load_into(params, &checkpoint_names(into), policy)
    };
    let both = |problems: &[Problem]| {
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let said = said.join("\n");
        assert!(
            said.contains("2.weight") && said.contains("4.weight"),
            "{said}"
        );
    };

    // Tied file, untied net: refused, nothing written; with the policy the copies are independent.
    let tied_file = file(&tied, &params);
    params.value_mut(tied.2.weight).unwrap().fill(7.0);
    match load(&tied_file, &untied, &mut params, Policy::strict()) {
        Err(Error::Mismatch { problems, .. }) => both(&problems),
        other => panic!("{other:?}"),
    }
    assert_eq!(params.as_slice(untied.2.weight).unwrap()[0], 7.0);
    let policy = Policy::strict().allow_untie(true);
    let report = load(&tied_file, &untied, &mut params, policy).unwrap();
    assert_eq!(
        report.untied,
        [["2.weight", "4.weight"], ["2.bias", "4.bias"]]
    );
    assert_eq!(params.value(untied.2.weight), params.value(untied.4.weight));

    // Untied file with equal values, tied net: only with the policy.
    let untied_file = file(&untied, &params);
    assert!(load(&untied_file, &tied, &mut params, Policy::strict()).is_err());
    let policy = Policy::strict().allow_tie(true);
    let report = load(&untied_file, &tied, &mut params, policy).unwrap();
    assert_eq!(
        report.tied,
        [["2.weight", "4.weight"], ["2.bias", "4.bias"]]
    );

    // With different values there is nothing that a tie could mean: an error under every policy.
    params.value_mut(untied.4.weight).unwrap()[[0, 0]] += 1.0;
    let conflicting = file(&untied, &params);
    match load(&conflicting, &tied, &mut params, policy) {
        Err(Error::Mismatch { problems, .. }) => both(&problems),
        other => panic!("{other:?}"),
    }
    // The same ties on both sides need no policy.
    load(&conflicting, &untied, &mut params, Policy::strict()).unwrap();
    load(&tied_file, &tied, &mut params, Policy::strict()).unwrap();
}
