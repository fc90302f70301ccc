//! Choosing parameters.

use tiegrad::prelude::*;

use crate::nets::{mlp, rng, tied_mlp};

fn names(net: &impl ModuleExt, selection: &Selection) -> Vec<String> {
    let named = net.named_parameters().into_iter();
    named
        .filter(|(_, id)| selection.contains(*id))
        .map(|(name, _)| name)
        .collect()
}

/// Gluon's `collect_params('.*weight')`, and what else a selection can be.
#[test]
fn r22b_selection() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let weights = ["0.weight", "2.weight"];
    let select = |select: Select<'_>| names(&net, &net.select(&params, select).unwrap());
    // By regular expression, by component, by predicate, by id, by type.
    assert_eq!(select(".*weight".into()), weights);
    assert_eq!(select("/[02]\\.weight/".into()), weights);
    assert_eq!(select("*.weight".into()), weights);
    assert_eq!(
        select(Select::by(|_, info| info.shape.rank() == 2)),
        weights
    );
    assert_eq!(select(net.2.weight.into()), ["2.weight"]);
    assert_eq!(select("type:Linear".into()).len(), 4);
    assert_eq!(select(Select::of_type::<Linear>()).len(), 4);
    let chosen = net.select(&params, "0").unwrap();
    assert_eq!(select(Select::ids(&chosen)), ["0.weight", "0.bias"]);
    // A module's path is all that it holds.
    assert_eq!(select("0".into()), ["0.weight", "0.bias"]);
    // Includes and excludes.
    assert_eq!(select(["**.weight", "!2"].into()), ["0.weight"]);
    assert_eq!(
        select(Select::all().except("**.bias").except("0")),
        ["2.weight"]
    );
    assert_eq!(select(Select::path("0").and("**.bias")), ["0.bias"]);
    // A closure where a text may stand.
    let of_bias = |path: &str, _: &ParamInfo| path.ends_with("bias");
    let biases = net.select(&params, of_bias).unwrap();
    assert_eq!(names(&net, &biases), ["0.bias", "2.bias"]);
}

#[test]
fn r22b_names_match_whole() {
    #[derive(Module, Clone)]
    struct Net {
        fc1: Linear,
        fc10: Linear,
    }
    let mut params = Params::<f32>::new();
    let net = Net {
        fc1: Linear::new(&mut params, 2, 2, &mut rng(1)),
        fc10: Linear::new(&mut params, 2, 2, &mut rng(1)),
    };
    for text in ["fc1", "fc1.*", "/fc1\\..*/", "^fc1\\..*"] {
        let found = net.select(&params, text).unwrap();
        assert_eq!(names(&net, &found), ["fc1.weight", "fc1.bias"], "{text}");
    }
    let error = net.select(&params, "fc").unwrap_err().to_string();
    assert!(error.contains("selects no parameter"), "{error}");
    // Near names are suggested, for an exclude that excludes nothing too.
    let error = net.select(&params, "fc1.wieght").unwrap_err().to_string();
    assert!(error.contains("fc1.weight"), "{error}");
    let error = net.select(&params, ["**", "!fc2"]).unwrap_err().to_string();
    assert!(error.contains("fc2") && error.contains("fc1"), "{error}");
}

/// One selection for initialization, optimizer groups, recordings.
#[test]
fn r22b_one_selection_serves_all() {
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    let shared = net.select(&params, "4").unwrap();
    assert_eq!(
        shared,
        net.select(&params, "2").unwrap(),
        "a tie has all of its paths"
    );
    // Initialization.
    net.init_at(&mut params, &shared, init::constant(0.5), &mut rng(1))
        .unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [0.5; 64]);
    // A group with a learning rate of 0.
    let mut opt = SGD::new(0.1).group(Group::new(shared.clone()).lr(0.0));
    let before = params.value(net.0.weight).unwrap().to_owned();
    crate::nets::train(&net, &mut params, &mut opt, &crate::nets::x(), 3);
    assert_eq!(params.as_slice(net.4.weight).unwrap(), [0.5; 64]);
    assert_ne!(params.value(net.0.weight).unwrap(), before);
    // Gradients for these only.
    let mut tape = Tape::new();
    let g = tape.record(&mut params).only(&shared);
    net.forward(g.input(crate::nets::x::<f32>()))
        .sum()
        .backward()
        .unwrap();
    assert!(params.grad(net.2.weight).unwrap().is_some());
    assert!(params.grad(net.0.weight).unwrap().is_none());
}
