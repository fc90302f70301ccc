//! Parameter initialization: defaults, presets, which parameters, initializers of one's own.

use tiegrad::nn::init::{InitError, Target};
use tiegrad::prelude::*;

use crate::data::json;
use crate::nets::{mlp, rgnet, rng, tied_mlp};
use crate::statistics::{Law, assert_law, values_of};

/// 4-8-1, wide enough for statistics: 20-400-40.
fn wide(params: &mut Params<f64>) -> (Linear, ReLU, Linear) {
    let rng = &mut rng(1);
    (
        Linear::new(params, 20, 400, rng),
        ReLU,
        Linear::new(params, 400, 40, rng),
    )
}

fn bias(layer: &Linear) -> ParamId {
    layer.bias.unwrap()
}

#[test]
fn r09_a_whole_net_in_one_call() {
    let mut params = Params::<f64>::new();
    let net = wide(&mut params);
    // Gluon's `net.initialize()`.
    net.init(&mut params, init::gluon_default(), &mut rng(2))
        .unwrap();
    for layer in [&net.0, &net.2] {
        let weight = values_of(&params, layer.weight);
        assert_law(&weight, Law::Uniform(-0.07, 0.07), "weight");
        assert!(values_of(&params, bias(layer)).iter().all(|x| *x == 0.0));
    }
}

#[test]
fn r31_the_defaults_of_three_systems() {
    // By name or by function: the same.
    let defaults = [
        ("gluon_default", init::gluon_default()),
        ("pytorch_default", init::pytorch_default()),
        ("keras_default", init::keras_default()),
    ];
    for (name, default) in defaults {
        let mut one = Params::<f64>::new();
        let net = wide(&mut one);
        let mut other = one.clone();
        net.init(&mut one, default, &mut rng(3)).unwrap();
        let by_name = init::by_name(name).unwrap();
        net.init(&mut other, by_name, &mut rng(3)).unwrap();
        for id in one.ids() {
            assert_eq!(one.value(id), other.value(id), "{name}");
        }
        // Glorot: ±√(6 / (20 + 400)), and zero biases; U(±0.07) is r09's.
        let weight = values_of(&one, net.0.weight);
        let glorot = (6.0_f64 / 420.0).sqrt();
        match name {
            "keras_default" => assert_law(&weight, Law::Uniform(-glorot, glorot), name),
            "gluon_default" => assert_law(&weight, Law::Uniform(-0.07, 0.07), name),
            _ => continue,
        }
        assert!(values_of(&one, bias(&net.0)).iter().all(|b| *b == 0.0));
    }

    // PyTorch's: what its layers draw from, for several sizes. A constructor does the same as the default by name.
    for case in json()["init"]["defaults"].as_array().unwrap() {
        let sizes: Vec<usize> = serde_json::from_value(case["sizes"].clone()).unwrap();
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        let rng = &mut rng(4);
        let copies = 6000usize.div_ceil(*sizes.last().unwrap());
        for copy in 0..copies {
            let mut params = Params::<f64>::new();
            let net: Box<dyn DynLayer> = match case["layer"].as_str().unwrap() {
                "Linear" => Box::new(Linear::new(&mut params, sizes[0], sizes[1], rng)),
                "Embedding" => Box::new(Embedding::new(&mut params, sizes[0], sizes[1], rng)),
                "LayerNorm" => Box::new(LayerNorm::new(&mut params, sizes[0])),
                other => panic!("{other}"),
            };
            if copy % 2 == 1 {
                net.init(&mut params, init::pytorch_default(), &mut *rng)
                    .unwrap();
            }
            weights.extend(values_of(&params, net.find("weight").unwrap()));
            if let Ok(id) = net.find("bias") {
                biases.extend(values_of(&params, id));
            }
        }
        for (values, theirs) in [(weights, &case["weight"]), (biases, &case["bias"])] {
            match theirs["constant"].as_f64() {
                Some(constant) => assert!(values.iter().all(|x| *x == constant), "{case}"),
                None if theirs.is_null() => assert!(values.is_empty(), "{case}"),
                None => assert_law(&values, Law::of(theirs), &case.to_string()),
            }
        }
    }
}

#[test]
fn r33_small_normal_weights_and_zero_biases() {
    let mut params = Params::<f64>::new();
    let net = wide(&mut params);
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng(7))
        .unwrap();
    for layer in [&net.0, &net.2] {
        let weight = values_of(&params, layer.weight);
        assert_law(&weight, Law::Normal(0.0, 0.01), "weight");
        assert!(values_of(&params, bias(layer)).iter().all(|x| *x == 0.0));
    }
    // A bias that is named is not only cleared.
    net.reinit_at(&mut params, "**.bias", init::constant(0.5), &mut rng(7))
        .unwrap();
    assert!(values_of(&params, bias(&net.0)).iter().all(|x| *x == 0.5));
}

#[test]
fn r34_a_second_initialization_must_be_forced() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    // A constructor's default does not count as a first one.
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng(1))
        .unwrap();
    let before: Vec<_> = params.ids().map(|id| values_of(&params, id)).collect();
    let error = net.init(&mut params, init::constant(1.0), &mut rng(1));
    match &error {
        Err(InitError::AlreadyInitialized { path, .. }) => assert_eq!(path, "0.weight"),
        other => panic!("{other:?}"),
    }
    let said = error.unwrap_err().to_string();
    for part in [
        "0.weight",
        "normal(mean=0, std=0.01)",
        "initialization.rs",
        "reinit",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    let after: Vec<_> = params.ids().map(|id| values_of(&params, id)).collect();
    assert_eq!(before, after, "an error changes nothing");
    // Forced.
    net.reinit(&mut params, init::constant(1.0), &mut rng(1))
        .unwrap();
    assert!(values_of(&params, net.0.weight).iter().all(|w| *w == 1.0));
    // Gluon's way without force: what has been initialized stays, the rest is filled.
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    net.init_at(&mut params, "0", init::constant(2.0), &mut rng(1))
        .unwrap();
    net.init_rest(&mut params, init::constant(3.0), &mut rng(1))
        .unwrap();
    assert!(values_of(&params, net.0.weight).iter().all(|w| *w == 2.0));
    assert!(values_of(&params, net.2.weight).iter().all(|w| *w == 3.0));
}

#[test]
fn r35_a_function_over_all_modules_of_a_type() {
    let mut params = Params::<f32>::new();
    let net = rgnet(&mut params);
    // The chapter's `if type(m) == nn.Linear`.
    for (_, linear) in net.modules::<Linear>() {
        params.value_mut(linear.weight).unwrap().fill(1.0);
        params.value_mut(bias(linear)).unwrap().fill(0.0);
    }
    for (path, id) in net.named_parameters() {
        let expected = f64::from(u8::from(path.ends_with("weight")));
        assert!(values_of(&params, id).iter().all(|x| *x == expected));
    }
    let paths: Vec<String> = net.modules::<Linear>().into_iter().map(|m| m.0).collect();
    assert_eq!((paths.len(), &*paths[3]), (9, "0.block 1.2"));
    // `apply` meets every module, in PyTorch's names and types.
    let mut met = Vec::new();
    net.apply(|path, module| met.push((path.to_owned(), module.kind().to_owned())));
    let theirs = json()["nets"]["nested"]["modules"].clone();
    let mut theirs: Vec<(String, String)> = serde_json::from_value(theirs).unwrap();
    met.sort();
    theirs.sort();
    assert_eq!(met, theirs);
    // The type as a selection.
    net.init_at(
        &mut params,
        Select::of_type::<Linear>(),
        init::constant(2.0),
        &mut rng(1),
    )
    .unwrap();
    assert_eq!(params.as_slice(net.1.weight).unwrap(), [2.0; 4]);
}

#[test]
fn r36_all_weights_one() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    net.init(&mut params, init::constant(1.0), &mut rng(1))
        .unwrap();
    // The chapter prints the first row of the first weight, and its bias.
    let weight = params.value(net.0.weight).unwrap();
    assert_eq!(weight.index_axis(Axis(0), 0).to_vec(), [1.0; 4]);
    assert_eq!(params.as_slice(bias(&net.0)).unwrap(), [0.0; 8]);
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [1.0; 8]);
}

trait ToVec {
    fn to_vec(&self) -> Vec<f32>;
}

impl ToVec for ndarray::ArrayViewD<'_, f32> {
    fn to_vec(&self) -> Vec<f32> {
        self.iter().copied().collect()
    }
}

#[test]
fn r37_another_initializer_for_each_block() {
    let mut params = Params::<f64>::new();
    let net = wide(&mut params);
    net.init_at(&mut params, "0", init::xavier_uniform(), &mut rng(1))
        .unwrap();
    net.init_at(&mut params, "2", init::constant(42.0), &mut rng(1))
        .unwrap();
    let bound = (6.0_f64 / 420.0).sqrt();
    let first = values_of(&params, net.0.weight);
    assert_law(&first, Law::Uniform(-bound, bound), "0.weight");
    assert!(values_of(&params, net.2.weight).iter().all(|w| *w == 42.0));
    // In one call (Gluon's `Mixed`): the same values from the same seed.
    let mut again = Params::<f64>::new();
    let net2 = wide(&mut again);
    net2.init_each(
        &mut again,
        [
            ("0", init::xavier_uniform().boxed()),
            ("2", init::constant(42.0).boxed()),
        ],
        &mut rng(1),
    )
    .unwrap();
    assert_eq!(values_of(&again, net2.0.weight), first);
    assert!(values_of(&again, net2.2.weight).iter().all(|w| *w == 42.0));
}

#[test]
fn r38_one_parameter_or_one_layer() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let others =
        |params: &Params<f32>| [bias(&net.0), net.2.weight].map(|id| values_of(params, id));
    let before = others(&params);
    // One parameter: by path, or by id.
    net.init_at(&mut params, "0.weight", init::constant(3.0), &mut rng(1))
        .unwrap();
    init::fill(&mut params, bias(&net.2), init::constant(4.0), &mut rng(1)).unwrap();
    assert_eq!(params.as_slice(net.0.weight).unwrap(), [3.0; 32]);
    assert_eq!(params.as_slice(bias(&net.2)).unwrap(), [4.0]);
    assert_eq!(others(&params), before);
    // One layer, which is a module like any other.
    net.2
        .reinit(&mut params, init::constant(5.0), &mut rng(1))
        .unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [5.0; 8]);
    assert_eq!(params.as_slice(bias(&net.2)).unwrap(), [0.0]);
    assert_eq!(params.as_slice(net.0.weight).unwrap(), [3.0; 32]);
}

#[test]
fn r39_an_initializer_at_construction() {
    let mut params = Params::<f64>::new();
    let layer = Linear::with(20, 400)
        .weight_init(init::normal(0.0, 0.01))
        .bias_init(init::constant(0.1))
        .build(&mut params, &mut rng(1))
        .unwrap();
    let weight = values_of(&params, layer.weight);
    assert_law(&weight, Law::Normal(0.0, 0.01), "weight");
    assert!(values_of(&params, bias(&layer)).iter().all(|b| *b == 0.1));
    // What was said at construction was said on purpose: a whole-net initializer does not silently undo it.
    let net = (layer, ReLU);
    assert!(net.init(&mut params, init::ones(), &mut rng(1)).is_err());
    net.init_rest(&mut params, init::ones(), &mut rng(1))
        .unwrap();
    assert_eq!(values_of(&params, net.0.weight), weight);
    // An embedding's too.
    let table = Embedding::with_init(&mut params, 5, 3, init::constant(7.0), &mut rng(1)).unwrap();
    assert_eq!(params.as_slice(table.weight).unwrap(), [7.0; 15]);
}

/// An initializer as a type: every row sums to one.
struct RowsSumToOne;

impl Initializer for RowsSumToOne {
    fn fill(
        &mut self,
        target: &Target<'_>,
        values: &mut [f64],
        rng: &mut dyn rand::Rng,
    ) -> Result<(), InitError> {
        let [_, columns] = *target.shape else {
            return Err(target.unsuitable("only a matrix has rows"));
        };
        for row in values.chunks_mut(columns) {
            row.fill_with(|| init::uniform_draw(rng, 0.0, 1.0));
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        Ok(())
    }
}

#[test]
fn r40_an_initializer_of_ones_own() {
    let mut params = Params::<f64>::new();
    let net = tied_mlp(&mut params, 4, 1);
    // A closure: it sees path, shape, fans, role, the layer's type, and the random source.
    let mut seen = Vec::new();
    let closure = init::from_fn(|target, values, rng| {
        seen.push((target.path.to_owned(), target.fan_in, target.fan_out));
        assert_eq!(target.owner, "Linear");
        values.fill_with(|| init::normal_draw(rng, 0.0, 1.0 / target.fan_in as f64));
    });
    net.init(&mut params, closure, &mut rng(1)).unwrap();
    // A tied parameter once, under its first path.
    let expected = [("0.weight", 4, 8), ("2.weight", 8, 8), ("6.weight", 8, 1)];
    assert_eq!(seen, expected.map(|(path, i, o)| (path.to_owned(), i, o)));
    // A type.
    net.reinit(&mut params, RowsSumToOne, &mut rng(1)).unwrap();
    for row in params.value(net.2.weight).unwrap().rows() {
        assert!((row.sum() - 1.0).abs() < 1e-12);
    }
    // One that does not fit says so, with the path, and nothing has changed.
    let before = values_of(&params, net.0.weight);
    let error = net
        .reinit_at(
            &mut params,
            ["**.weight", "0.bias"],
            RowsSumToOne,
            &mut rng(9),
        )
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("0.bias") && error.contains("only a matrix"),
        "{error}"
    );
    assert_eq!(values_of(&params, net.0.weight), before);

    crate::examples::custom_initializer::main().unwrap();
}

/// The chapter's `print("Init", name, shape)`.
#[test]
fn r41_an_initializer_reports_name_and_shape() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let mut lines = Vec::new();
    let report = init::from_fn(|target, _, _| {
        lines.push(format!("Init {} {}", target.path, target.shape));
    });
    net.init(&mut params, report, &mut rng(1)).unwrap();
    assert_eq!(lines, ["Init 0.weight [8, 4]", "Init 2.weight [1, 8]"]);
}

/// U(5, 10) with probability 1/4, 0 with 1/2, U(-10, -5) with 1/4.
#[test]
fn r42_the_chapters_own_distribution() {
    let mut params = Params::<f64>::new();
    let net = (Linear::new(&mut params, 200, 400, &mut rng(1)), ReLU);
    let strange = init::from_fn(|_, values, rng| {
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    });
    net.init(&mut params, strange, &mut rng(8)).unwrap();
    let values = values_of(&params, net.0.weight);
    let n = values.len() as f64;
    let part = |keep: &dyn Fn(f64) -> bool| -> Vec<f64> {
        values.iter().copied().filter(|x| keep(*x)).collect()
    };
    let (high, zero, low) = (part(&|x| x > 0.0), part(&|x| x == 0.0), part(&|x| x < 0.0));
    for (part, share) in [(&high, 0.25), (&zero, 0.5), (&low, 0.25)] {
        // Five standard deviations of a binomial distribution.
        let error = 5.0 * (share * (1.0 - share) / n).sqrt();
        assert!(
            (part.len() as f64 / n - share).abs() < error,
            "{}",
            part.len()
        );
    }
    assert_law(&high, Law::Uniform(5.0, 10.0), "high");
    assert_law(&low, Law::Uniform(-10.0, -5.0), "low");
}
