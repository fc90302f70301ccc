//! Parameter initialization: defaults, presets, which parameters, initializers of one's own.

use std::cell::RefCell;

use tiegrad::arena::Shape;
use tiegrad::nn::init::{Distribution, Fan, InitError, Nonlinearity, Target};
use tiegrad::prelude::*;

use crate::data::{json, names, tensor};
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

/// Many parameters of one shape, initialized.
fn drawn(initializer: &dyn Fn() -> Box<dyn Initializer>, shape: &[usize]) -> Vec<f64> {
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(shape).unwrap(), |_| {});
    let (rng, mut values) = (&mut rng(5), Vec::new());
    while values.len() < 8000 {
        init::refill(&mut params, id, initializer(), &mut *rng).unwrap();
        values.extend(values_of(&params, id));
    }
    values
}

/// Every distribution of `torch.nn.init`, for several shapes and settings: what PyTorch asks its generator for, ours is drawn from.
#[test]
fn r32_distributions_are_pytorchs() {
    let json = json();
    for case in json["init"]["drawn"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let settings = &case["settings"];
        let text: Vec<String> = settings
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key}={}", value.to_string().replace('"', "")))
            .collect();
        let text = format!("{name}({})", text.join(", "));
        let by_name = || init::by_name(&text).unwrap();
        let law = Law::of(case);
        let values = drawn(&by_name, &shape);
        assert_law(&values, law, &format!("{text} of {shape:?}"));

        // The function with the same settings gives the same values.
        let number = |key: &str| settings[key].as_f64().unwrap();
        let fan = |mode: &str| match mode {
            "fan_in" => Fan::In,
            _ => Fan::Out,
        };
        let kaiming = |scaling: init::VarianceScaling| {
            let nonlinearity = match settings["nonlinearity"].as_str().unwrap() {
                "relu" => Nonlinearity::ReLU,
                "leaky_relu" => Nonlinearity::LeakyReLU(number("a")),
                "tanh" => Nonlinearity::Tanh,
                "selu" => Nonlinearity::SELU,
                _ => Nonlinearity::Linear,
            };
            let mode = fan(settings["mode"].as_str().unwrap());
            scaling.nonlinearity(nonlinearity).fan(mode).boxed()
        };
        let function = || match name {
            "xavier_uniform" => init::xavier_uniform().gain(number("gain")).boxed(),
            "xavier_normal" => init::xavier_normal().gain(number("gain")).boxed(),
            "kaiming_uniform" => kaiming(init::kaiming_uniform()),
            "kaiming_normal" => kaiming(init::kaiming_normal()),
            "uniform" => init::uniform(number("low"), number("high")).boxed(),
            "normal" => init::normal(number("mean"), number("std")).boxed(),
            other => panic!("{other}"),
        };
        assert_eq!(drawn(&function, &shape), values, "{text} of {shape:?}");
    }
    for entry in json["init"]["gain"].as_array().unwrap() {
        let (name, slope) = (entry[0].as_str().unwrap(), entry[1].as_f64());
        let found = init::calculate_gain(name, slope).unwrap();
        let expected = entry[2].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-15, "{entry}: {found}");
    }
    // The fans are what an initializer of one's own is told.
    for entry in json["init"]["fans"].as_array().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(entry[0].clone()).unwrap();
        let mut params = Params::<f64>::new();
        let id = params.insert_with(Shape::new(&shape).unwrap(), |_| {});
        let seen = RefCell::new((0, 0));
        let look = init::from_fn(|target, _, _| {
            *seen.borrow_mut() = (target.fan_in as u64, target.fan_out as u64);
        });
        init::fill(&mut params, id, look, &mut rng(1)).unwrap();
        let expected = (entry[1].as_u64().unwrap(), entry[2].as_u64().unwrap());
        assert_eq!(seen.into_inner(), expected, "{shape:?}");
    }
}

#[test]
fn r32_initializers_that_draw_nothing_are_pytorchs() {
    let size = |text: &str| -> Vec<usize> { text.split('x').map(|n| n.parse().unwrap()).collect() };
    let check = |initializer: Box<dyn Initializer>, name: &str, shape: Vec<usize>| {
        let mut params = Params::<f64>::new();
        let id = params.insert_with(Shape::new(&shape).unwrap(), |w| w.fill(9.0));
        init::fill(&mut params, id, initializer, &mut rng(1)).unwrap();
        assert_eq!(params.value(id).unwrap(), tensor(name), "{name}");
    };
    for name in names("init/eye/") {
        check(
            init::eye().boxed(),
            &format!("init/eye/{name}"),
            size(&name),
        );
    }
    for name in names("init/dirac/") {
        let (shape, groups) = name.split_once('/').unwrap();
        let dirac = init::dirac(groups.parse().unwrap()).boxed();
        check(dirac, &format!("init/dirac/{name}"), size(shape));
    }
    check(
        init::constant(42.0).boxed(),
        "init/constant/2x3",
        vec![2, 3],
    );
}

#[test]
fn r32_orthogonal_and_sparse_have_pytorchs_structure() {
    let filled = |initializer: Box<dyn Initializer>, shape: &[usize]| {
        let mut params = Params::<f64>::new();
        let id = params.insert_with(Shape::new(shape).unwrap(), |_| {});
        init::fill(&mut params, id, initializer, &mut rng(6)).unwrap();
        let rows = shape[0];
        let values = Array1::from(values_of(&params, id));
        let columns = values.len() / rows;
        values.into_shape_with_order((rows, columns)).unwrap()
    };
    let json = json();
    for case in json["init"]["orthogonal"].as_array().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let gain = case["gain"].as_f64().unwrap();
        let w = filled(init::orthogonal().gain(gain).boxed(), &shape);
        let product = match case["side"].as_str() {
            Some("rows") => w.dot(&w.t()),
            _ => w.t().dot(&w),
        };
        assert_eq!(product.nrows() as u64, case["size"].as_u64().unwrap());
        for ((i, j), found) in product.indexed_iter() {
            let expected = if i == j { gain * gain } else { 0.0 };
            assert!((found - expected).abs() < 1e-12, "{case}: {found}");
        }
    }
    for case in json["init"]["sparse"].as_array().unwrap() {
        let shape: Vec<usize> = serde_json::from_value(case["shape"].clone()).unwrap();
        let sparsity = case["sparsity"].as_f64().unwrap();
        let w = filled(init::sparse(sparsity, 0.01).boxed(), &shape);
        for column in w.columns() {
            let zeros = column.iter().filter(|x| **x == 0.0).count();
            assert_eq!(zeros as u64, case["zeros_per_column"].as_u64().unwrap());
        }
    }
}

/// What Keras and Gluon add. The numbers are those of their documentation.
#[test]
fn r32_keras_and_gluon_add() {
    let glorot = (6.0_f64 / (8.0 + 4.0)).sqrt();
    let he = (6.0_f64 / 4.0).sqrt();
    let lecun = (3.0_f64 / 4.0).sqrt();
    // (8, 4): fan in 4, fan out 8.
    for (name, law) in [
        ("keras.GlorotUniform", Law::Uniform(-glorot, glorot)),
        ("keras.HeUniform", Law::Uniform(-he, he)),
        ("keras.LecunUniform", Law::Uniform(-lecun, lecun)),
        ("keras.RandomNormal", Law::Normal(0.0, 0.05)),
        (
            "keras.VarianceScaling(scale=2, mode=fan_out, distribution=uniform)",
            Law::Uniform(-(6.0_f64 / 8.0).sqrt(), (6.0_f64 / 8.0).sqrt()),
        ),
        ("gluon.Uniform", Law::Uniform(-0.07, 0.07)),
        ("gluon.Normal", Law::Normal(0.0, 0.01)),
        (
            "gluon.Xavier",
            Law::Uniform(-(0.5_f64).sqrt(), 0.5_f64.sqrt()),
        ),
        (
            // √(2 / (1 + 0.25²) / 6): the mean of the fans is 6.
            "gluon.MSRAPrelu",
            Law::Normal(0.0, (2.0_f64 / (1.0 + 0.0625) / 6.0).sqrt()),
        ),
    ] {
        let values = drawn(&|| init::by_name(name).unwrap(), &[8, 4]);
        assert_law(&values, law, name);
    }
    // Truncated at two of its own deviations, and still of the deviation that was asked for.
    let values = drawn(&|| init::lecun_normal().boxed(), &[8, 4]);
    let (mean, std) = crate::statistics::moments(&values);
    assert!(
        mean.abs() < 0.02 && (std - 0.5).abs() < 0.02,
        "{mean}, {std}"
    );
    let widest = values.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    let cut = 2.0 * 0.5 / 0.879_625_661_034_239_8;
    assert!(widest <= cut && widest > 0.97 * cut, "{widest}");
    let truncated = init::variance_scaling(1.0, Fan::In, Distribution::TruncatedNormal);
    assert_eq!(drawn(&|| truncated.boxed(), &[8, 4]), values);
    let values = drawn(&|| init::trunc_normal(0.0, 1.0, -2.0, 2.0).boxed(), &[8, 4]);
    assert!(values.iter().all(|x| x.abs() <= 2.0));
    // MXNet's upsampling kernel of 4 × 4: (1 - |x/2 - 3/4|) (1 - |y/2 - 3/4|).
    let mut params = Params::<f64>::new();
    let id = params.insert_with(Shape::new(&[1, 1, 4, 4]).unwrap(), |_| {});
    init::fill(&mut params, id, init::bilinear(), &mut rng(1)).unwrap();
    let side = [0.25, 0.75, 0.75, 0.25];
    let kernel: Vec<f64> = side.iter().flat_map(|y| side.map(|x| x * y)).collect();
    assert_eq!(values_of(&params, id), kernel);
    // Keras's identity, with its gain.
    let layer = Linear::with(2, 2)
        .weight_init(init::identity(3.0))
        .build(&mut params, &mut rng(1))
        .unwrap();
    assert_eq!(values_of(&params, layer.weight), [3.0, 0.0, 0.0, 3.0]);
    // An unknown name suggests the near ones.
    let error = init::by_name("glorot_unifrom").err().unwrap().to_string();
    assert!(error.contains("glorot_uniform"), "{error}");
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
