//! The tree: prints in PyTorch's layout, pictures, names, look-up, selection.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

type Flat = (Linear, ReLU, Linear);

fn flat(params: &mut Params<f32>) -> Flat {
    (
        Linear::new(params, 4, 8, &mut rng()),
        ReLU,
        Linear::new(params, 8, 1, &mut rng()),
    )
}

/// The chapter's `block1`, `block2` and `rgnet`: a factory of blocks, names with a space.
fn rgnet(params: &mut Params<f32>) -> (Sequential, Linear) {
    let mut blocks = Sequential::new();
    for i in 0..4 {
        let block = (
            Linear::new(params, 4, 8, &mut rng()),
            ReLU,
            Linear::new(params, 8, 4, &mut rng()),
            ReLU,
        );
        blocks.push_named(format!("block {i}"), block).unwrap();
    }
    (blocks, Linear::new(params, 4, 1, &mut rng()))
}

#[test]
fn prints_are_pytorchs() {
    let mut params = Params::new();
    insta::assert_snapshot!(flat(&mut params).repr(), @r"
    Sequential(
      (0): Linear(in_features=4, out_features=8, bias=True)
      (1): ReLU()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    ");
    // The text of the chapter, line for line.
    insta::assert_snapshot!(rgnet(&mut params).repr(), @r"
    Sequential(
      (0): Sequential(
        (block 0): Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=4, bias=True)
          (3): ReLU()
        )
        (block 1): Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=4, bias=True)
          (3): ReLU()
        )
        (block 2): Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=4, bias=True)
          (3): ReLU()
        )
        (block 3): Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
          (2): Linear(in_features=8, out_features=4, bias=True)
          (3): ReLU()
        )
      )
      (1): Linear(in_features=4, out_features=1, bias=True)
    )
    ");
    assert_eq!(Sequential::new().to_string(), "Sequential()");
    let lists: (Vec<ReLU>, Vec<Softmax>) = (
        vec![],
        vec![Softmax { dim: 0 }, Softmax { dim: 1 }, Softmax { dim: 1 }],
    );
    insta::assert_snapshot!(lists.repr(), @r"
    Sequential(
      (0): ModuleList()
      (1): ModuleList(
        (0): Softmax(dim=0)
        (1-2): 2 x Softmax(dim=1)
      )
    )
    ");
}

#[test]
fn nested_tree_and_summary() {
    let mut params = Params::new();
    let net = rgnet(&mut params);
    insta::assert_snapshot!("nested_tree", net.tree(&params));
    insta::assert_snapshot!("nested_summary", net.summary(&params, [2, 4]).unwrap());
}

#[test]
fn ties_show_in_tree_and_summary() {
    #[derive(Module, Clone)]
    #[module(crate = "tiegrad_nn")]
    struct Net {
        scale: ParamId,
        encoder: Linear,
        again: Linear,
        decoder: TiedLinear,
        frozen: Linear,
    }
    let mut params = Params::<f32>::new();
    let encoder = Linear::new(&mut params, 6, 3, &mut rng());
    let net = Net {
        scale: params.insert_with(Shape::SCALAR, |x| x[0] = 1.0),
        again: encoder.clone(),
        decoder: TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true).unwrap(),
        encoder,
        frozen: Linear::with(3, 3)
            .bias(false)
            .build(&mut params, &mut rng())
            .unwrap(),
    };
    net.frozen.requires_grad(&mut params, false).unwrap();
    insta::assert_snapshot!("ties_tree", net.tree(&params));
    insta::assert_snapshot!("ties_summary", net.counts(&params));
    // Another arena's parameters count nowhere, and say so.
    let elsewhere = net.encoder.counts(&Params::<f32>::new());
    assert_eq!((elsewhere.missing, elsewhere.unique), (2, 0));
    assert!(
        net.encoder
            .tree(&Params::<f32>::new())
            .to_string()
            .contains("2 are not in this arena")
    );
}

#[test]
fn names_and_shapes_are_those_of_the_chapter() {
    let mut params = Params::new();
    let net = flat(&mut params);
    let shape = |(name, id): (String, ParamId)| (name, params.info(id).unwrap().shape.to_string());
    let list = |named: Vec<(String, ParamId)>| {
        format!("{:?}", named.into_iter().map(shape).collect::<Vec<_>>())
    };
    assert_eq!(
        list(net.0.named_parameters()),
        r#"[("weight", "[8, 4]"), ("bias", "[8]")]"#
    );
    assert_eq!(
        list(net.named_parameters()),
        r#"[("0.weight", "[8, 4]"), ("0.bias", "[8]"), ("2.weight", "[1, 8]"), ("2.bias", "[1]")]"#
    );
    assert_eq!(rgnet(&mut Params::new()).named_parameters().len(), 18);
}

#[test]
fn paths_round_trip_whatever_the_names() {
    let mut params = Params::<f32>::new();
    let names = [
        "block 2",
        "a.b",
        r"a\.b",
        "a",
        "ümläut ↔",
        ".",
        r"\",
        "..",
        " ",
        "*",
    ];
    let mut net = Sequential::new();
    for name in names {
        let mut inner = Sequential::new();
        inner
            .push_named(name, Linear::new(&mut params, 1, 1, &mut rng()))
            .unwrap();
        inner
            .push_named("b", Linear::new(&mut params, 1, 1, &mut rng()))
            .unwrap();
        net.push_named(name, inner).unwrap();
    }
    let named = net.named_parameters();
    assert_eq!(named.len(), names.len() * 4);
    let paths: std::collections::HashSet<_> = named.iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), named.len(), "no two parameters have one path");
    for (path, id) in &named {
        assert_eq!(net.find(path).as_ref(), Ok(id), "{path}");
        let pattern = path.replace('*', r"\*");
        assert_eq!(
            net.select(&params, &pattern)
                .unwrap()
                .iter()
                .collect::<Vec<_>>(),
            [*id],
            "{path}"
        );
    }
    assert_eq!(named[0].0, "block 2.block 2.weight");
    assert_eq!(net.find_module("block 2.b").unwrap().kind(), "Linear");
}

#[test]
fn a_thousand_nested_layers_have_a_thousand_names() {
    let mut params = Params::<f32>::new();
    let mut net = sequential![
        Linear::with(1, 1)
            .bias(false)
            .build(&mut params, &mut rng())
            .unwrap()
    ];
    for _ in 1..1000 {
        net = sequential![
            Linear::with(1, 1)
                .bias(false)
                .build(&mut params, &mut rng())
                .unwrap(),
            net
        ];
    }
    let named = net.named_parameters();
    let names: std::collections::HashSet<_> = named.iter().map(|(name, _)| name).collect();
    assert_eq!((named.len(), names.len()), (1000, 1000));
    assert_eq!(named[3].0, "1.1.1.0.weight");
}

#[test]
fn wrong_names_say_what_is_near() {
    let mut params = Params::new();
    let net = rgnet(&mut params);
    let text = |path: &str| net.find(path).unwrap_err().to_string();
    assert_eq!(
        text("0.block2.0.weight"),
        r#"there is no parameter "0.block2.0.weight"; near it: "0.block 2.0.weight", "0.block 0.0.weight", "0.block 1.0.weight""#
    );
    assert_eq!(
        text("1"),
        r#""1" is a module (Linear), not a parameter; under it: "1.weight", "1.bias""#
    );
    assert_eq!(
        text("somewhere else altogether"),
        r#"there is no parameter "somewhere else altogether""#
    );
    assert!(text("").starts_with(
        r#""" is a module (Sequential), not a parameter; under it: "0.block 0.0.weight", "#
    ));
    assert!(
        net.find("01.weight").is_err()
            && net.find("1.weight.").is_err()
            && net.find(".1.weight").is_err()
    );
    let module = |path: &str| net.find_module(path).err().unwrap().to_string();
    assert_eq!(
        module("1.weight"),
        r#""1.weight" is a parameter, not a module"#
    );
    assert_eq!(module("2"), r#"there is no module "2"; near it: "1", "0""#);
    assert_eq!(
        net.select(&params, "1.wight").unwrap_err().to_string(),
        r#""1.wight" selects no parameter; near it: "1.weight""#
    );
}

#[test]
fn selections_match_components_whole() {
    #[derive(Module)]
    #[module(crate = "tiegrad_nn")]
    struct Net {
        fc1: Linear,
        fc10: Linear,
        blocks: Vec<(Linear, Option<Linear>)>,
    }
    let mut params = Params::<f32>::new();
    let mut linear = || Linear::new(&mut params, 2, 2, &mut rng());
    let fc1 = linear();
    let net = Net {
        fc10: fc1.clone(),
        blocks: vec![(linear(), None), (linear(), Some(linear()))],
        fc1: linear(),
    };
    let count = |pattern: &str| {
        net.select(&params, pattern)
            .map_or(0, |selection| selection.len())
    };
    assert_eq!(count("fc1"), 2);
    assert!(
        !net.select(&params, "fc1")
            .unwrap()
            .contains(net.fc10.weight)
    );
    assert_eq!(count("fc*"), 4);
    assert_eq!(count("blocks.*.0.weight"), 2);
    assert_eq!(count("blocks.*.weight"), 0);
    assert_eq!(count("blocks.**.weight"), 3);
    assert_eq!(count("blocks.1"), 4);
    assert_eq!(count("**"), 10);
    let biases = |path: &str, info: &ParamInfo| path.ends_with(".bias") && info.shape.rank() == 1;
    assert_eq!(net.select(&params, biases).unwrap().len(), 5);
}

#[test]
fn an_alias_selects_too() {
    let mut params = Params::<f32>::new();
    let wte = Embedding::new(&mut params, 5, 2, &mut rng());
    let net = (
        wte.clone(),
        Linear::from_ids(&params, wte.weight, None).unwrap(),
    );
    assert_eq!(
        net.select(&params, "1.weight").unwrap(),
        net.select(&params, "0.weight").unwrap()
    );
    assert_eq!(net.find("1.weight"), Ok(wte.weight));
}

#[test]
fn a_sequential_refuses_names_that_clash() {
    let mut net = sequential![ReLU];
    assert_eq!(net.push_named("", ReLU).err(), Some(NameError::Empty));
    net.push_named("a", ReLU).unwrap();
    assert!(matches!(
        net.push_named("a", ReLU),
        Err(NameError::Taken { .. })
    ));
    assert!(matches!(
        net.push_named("0", ReLU),
        Err(NameError::NotThePosition { .. })
    ));
    assert!(matches!(
        net.push_named("7", ReLU),
        Err(NameError::NotThePosition { .. })
    ));
    net.push_named("2", ReLU).unwrap();
    assert_eq!(net.iter().len(), 3);
    assert_eq!(net.by_name("2").map(|layer| layer.kind()), Some("ReLU"));
    assert_eq!(net.name(1), Some(tiegrad_nn::Name::Field("a")));
}

#[test]
fn boxes_are_seen_through() {
    let boxed: Vec<Box<dyn DynLayer>> = vec![Box::new(ReLU), Box::new(Box::new(Tanh))];
    let net = (Box::new(ReLU), boxed);
    assert_eq!(net.modules::<ReLU>().len(), 2);
    assert_eq!(net.modules::<Tanh>()[0].0, "1.1");
    assert_eq!(net.1[1].downcast_ref::<Tanh>(), Some(&Tanh));
    assert_eq!(net.1[0].repr().to_string(), "ReLU()");
    let nested = sequential![sequential![ReLU]];
    assert!(
        nested
            .get::<Sequential>(0)
            .unwrap()
            .get::<ReLU>(0)
            .is_some()
    );
    assert!(nested.get::<ReLU>(0).is_none() && nested.get::<ReLU>(9).is_none());
}

/// How long this takes: `cargo run --release -p tiegrad-benches --bin tree`.
#[test]
fn ten_thousand_layers() {
    let mut params = Params::<f32>::new();
    let mut leaf = || Linear {
        weight: params.insert_with(Shape::new(&[1, 1]).unwrap(), |_| {}),
        bias: Some(params.insert_with(Shape::new(&[1]).unwrap(), |_| {})),
        in_features: 1,
        out_features: 1,
    };
    // Ten levels, each of 1,000 layers and the next level.
    let mut net = Sequential::new();
    for _ in 0..10 {
        let mut level: Sequential = (0..1000).map(|_| leaf()).collect();
        level.push(net);
        net = level;
    }
    let summary = net.summary(&params, [1, 1]).unwrap();
    assert_eq!(summary.rows.len(), 10_011);
    assert_eq!(summary.multiply_adds, Some(10_000));
    assert!(summary.rows.iter().all(|row| row.outputs.len() == 1));
    assert_eq!(net.named_parameters().len(), 20_000);

    let last = net.named_parameters().pop().unwrap();
    assert_eq!(
        last.0,
        "1000.1000.1000.1000.1000.1000.1000.1000.1000.999.bias"
    );
    assert_eq!(net.find(&last.0), Ok(last.1));
}
