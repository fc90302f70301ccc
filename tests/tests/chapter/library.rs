//! The library of preset initializers, against PyTorch's distributions and structures, and what Keras and Gluon add.

use std::cell::RefCell;

use tiegrad::arena::Shape;
use tiegrad::nn::init::{Distribution, Fan, Nonlinearity};
use tiegrad::prelude::*;

use crate::data::{json, names, tensor};
use crate::nets::rng;
use crate::statistics::{Law, assert_law, values_of};

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
