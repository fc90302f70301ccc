//! What is done to selected parameters: lists, pictures, freezing, reports, untying, and what a removal leaves behind.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

/// An encoder, the same once more, and a decoder with its weight transposed.
#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Net {
    encoder: Linear,
    again: Linear,
    blocks: Vec<(Linear, Option<LayerNorm>)>,
    decoder: TiedLinear,
}

fn net(params: &mut Params<f32>) -> Net {
    let encoder = Linear::new(params, 6, 3, &mut rng());
    Net {
        again: encoder.clone(),
        decoder: TiedLinear::new(params, Tied::transposed(encoder.weight), true).unwrap(),
        encoder,
        blocks: vec![
            (Linear::new(params, 3, 3, &mut rng()), None),
            (
                Linear::new(params, 3, 3, &mut rng()),
                Some(LayerNorm::new(params, 3)),
            ),
        ],
    }
}

#[test]
fn a_list_has_each_parameter_once_with_all_of_its_paths() {
    let mut params = Params::new();
    let net = net(&mut params);
    net.freeze(&mut params, ["again.weight", "blocks.1.0.bias"])
        .unwrap();
    insta::assert_snapshot!(net.list(&params, Select::all()).unwrap(), @r"
    encoder.weight     (3, 6)  float32  ↔ again.weight, decoder.weightᵀ  frozen
    encoder.bias       (3,)    float32  ↔ again.bias
    blocks.0.0.weight  (3, 3)  float32
    blocks.0.0.bias    (3,)    float32
    blocks.1.0.weight  (3, 3)  float32
    blocks.1.0.bias    (3,)    float32  frozen
    blocks.1.1.weight  (3,)    float32
    blocks.1.1.bias    (3,)    float32
    decoder.bias       (6,)    float32
    ");
    // By an alias it is the same parameter, under its canonical path.
    let list = net.list(&params.cast::<f64>(), ["decoder"]).unwrap();
    assert_eq!(
        list.to_string(),
        "encoder.weight  (3, 6)  float64  ↔ again.weight, decoder.weightᵀ  frozen\n\
         decoder.bias    (6,)    float64"
    );
    assert_eq!(
        list.rows[0].aliases,
        [
            ("again.weight".to_owned(), false),
            ("decoder.weight".to_owned(), true)
        ]
    );
    assert!(net.list(&params, "dekoder").is_err());
    let none = net.list(&params, Select::by(|_, _| false)).unwrap();
    assert_eq!(none.to_string(), "");
}

#[test]
fn the_picture_of_a_selection_shows_what_is_selected_and_the_modules_around_it() {
    let mut params = Params::new();
    let net = net(&mut params);
    insta::assert_snapshot!(net.tree_of(&params, ["type:LayerNorm", "decoder.weight"]).unwrap(), @r"
    net  (Net)
    ├─ encoder: Linear          └─ weight  (3, 6)
    ├─ again: Linear            └─ weight  (3, 6) ↔ encoder.weight
    ├─ blocks: ModuleList
    │  └─ 1: Sequential
    │     └─ 1: LayerNorm       ├─ weight  (3,)
    │                           └─ bias    (3,)
    └─ decoder: TiedLinear      └─ weight  (3, 6)ᵀ ↔ encoder.weight

    again.weight ↔ encoder.weight
    decoder.weight ↔ encoder.weightᵀ
    24 parameters (60 with every use of the tied ones counted)
    ");
    let all = net.tree_of(&params, Select::all()).unwrap();
    assert_eq!(all.to_string(), net.tree(&params).to_string());
}

#[test]
fn freezing_and_thawing_take_any_selection() {
    let mut params = Params::new();
    let net = net(&mut params);
    let frozen = |params: &Params<f32>| {
        let named = net.named_parameters().into_iter();
        let frozen = named.filter(|(_, id)| !params.requires_grad(*id).unwrap());
        frozen.map(|(path, _)| path).collect::<Vec<_>>().join(" ")
    };
    let trunk = net
        .freeze(&mut params, ["**", "!decoder", "!*.bias"])
        .unwrap();
    assert_eq!(
        frozen(&params),
        "blocks.0.0.weight blocks.0.0.bias blocks.1.0.weight blocks.1.0.bias blocks.1.1.weight blocks.1.1.bias"
    );
    assert_eq!(trunk.len(), 6);
    net.thaw(&mut params, "/.*0.bias/").unwrap();
    net.thaw(&mut params, "type:LayerNorm").unwrap();
    assert_eq!(frozen(&params), "blocks.0.0.weight blocks.1.0.weight");
    // A name that is wrong changes nothing, whatever stands beside it.
    assert!(net.freeze(&mut params, ["encoder", "decodre"]).is_err());
    assert_eq!(frozen(&params), "blocks.0.0.weight blocks.1.0.weight");
    net.thaw(&mut params, &trunk).unwrap();
    assert_eq!(frozen(&params), "");
    // By an alias, and from one of the tied modules on: it is one parameter.
    net.again.freeze(&mut params, "weight").unwrap();
    assert_eq!(frozen(&params), "encoder.weight");
}

#[test]
fn parameters_have_positions() {
    let mut params = Params::new();
    let net = net(&mut params);
    let named = net.named_parameters();
    for (i, each) in named.iter().enumerate() {
        assert_eq!(net.nth(i).as_ref(), Some(each));
    }
    assert_eq!(net.nth(named.len()), None);
    assert_eq!(net.nth(8).unwrap().0, "decoder.bias");
}

#[test]
fn a_report_names_dead_rows() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::with(2, 12)
            .weight_init(init::ones())
            .bias_init(init::constant(-1.0))
            .build(&mut params, &mut rng())
            .unwrap(),
        ReLU,
        Linear::with(12, 1)
            .weight_init(init::ones())
            .bias(false)
            .build(&mut params, &mut rng())
            .unwrap(),
    );
    let before = net.report(&params);
    assert!(before.rows.iter().all(|row| row.grad.is_none()));
    assert!((before.rows[0].norm - 24_f64.sqrt()).abs() < 1e-12);

    // The neurons 1 to 10 never fire.
    let bias = net.0.bias.unwrap();
    params.as_mut_slice(bias).unwrap()[1..11].fill(-9.0);
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    net.forward(g.full([2, 2], 1.0)).sum().backward().unwrap();
    let report = net.report(&params);
    let grad = report.rows[0].grad.clone().unwrap();
    assert_eq!((grad.rows, grad.dead), (12, 10));
    assert_eq!(grad.first_dead, [1, 2, 3, 4, 5, 6, 7, 8]);
    // Rows 0 and 11 have a gradient of 2 for each of two weights.
    assert_eq!(grad.norm, 4.0);
    // The one row of the last layer has a gradient: dead columns are not dead rows.
    let last = report.rows[2].grad.clone().unwrap();
    assert_eq!((last.rows, last.dead), (1, 0));
    insta::assert_snapshot!(report, @r"
    Parameter  Shape    |value|  |grad|  Dead rows
    0.weight   (12, 2)    4.899   4.000  10 of 12: 1, 2, 3, 4, 5, 6, 7, 8, …
    0.bias     (12,)     28.496   2.828  10 of 12: 1, 2, 3, 4, 5, 6, 7, 8, …
    2.weight   (1, 12)    3.464   2.828
    ");
}

#[test]
fn a_report_tells_what_has_no_rows_and_what_is_not_there() {
    let mut params = Params::<f64>::new();
    let scale = params.insert_with(Shape::SCALAR, |x| x[0] = -2e-5);
    let empty = params.insert_with(Shape::new(&[0, 3]).unwrap(), |_| {});
    let not_there = params.insert_with(Shape::SCALAR, |_| {});
    let net = [scale, empty, not_there, scale];
    params.remove(not_there).unwrap();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let x = g.param(scale);
    (x * x).backward().unwrap();
    let report = net.report(&params);
    insta::assert_snapshot!(report, @r"
    Parameter  Shape    |value|    |grad|  Dead rows
    0          ()      2.000e-5  4.000e-5             ↔ 3
    1          (0, 3)     0.000      None
    2 is not in this arena
    ");
    let grad = report.rows[0].grad.clone().unwrap();
    assert_eq!((grad.rows, grad.dead), (0, 0));
}

#[test]
fn untying_gives_one_use_a_parameter_of_its_own() {
    let mut params = Params::new();
    let mut net = net(&mut params);
    let shared = net.encoder.weight;
    params.set_requires_grad(shared, false).unwrap();

    // By an alias: that use goes, the others stay together.
    let line = line!() + 1;
    let own = net.untie(&mut params, "decoder.weight").unwrap();
    assert_eq!(
        (net.decoder.weight.id, net.decoder.weight.transposed),
        (own, true)
    );
    assert_eq!((net.encoder.weight, net.again.weight), (shared, shared));
    assert_eq!(params.value(own).unwrap(), params.value(shared).unwrap());
    assert!(!params.requires_grad(own).unwrap());
    assert_eq!(params.info(own).unwrap().declared_at.line(), line);

    // By the canonical path: what was an alias is canonical now.
    let own = net.untie(&mut params, "encoder.weight").unwrap();
    assert_eq!((net.encoder.weight, net.again.weight), (own, shared));
    let uses = net.all_uses();
    let aliases: Vec<_> = uses.iter().filter(|each| each.alias_of.is_some()).collect();
    assert_eq!(aliases.len(), 1);
    assert_eq!(aliases[0].path, "again.bias");

    // What is left is no tie.
    let before = params.len();
    for path in [
        "encoder.weight",
        "again.weight",
        "decoder.weight",
        "decoder.bias",
    ] {
        assert!(matches!(
            net.untie(&mut params, path),
            Err(NameError::OnlyUse { path: named, .. }) if named == path
        ));
    }
    assert!(matches!(
        net.untie(&mut params, "encoder"),
        Err(NameError::IsModule { .. })
    ));
    assert!(matches!(
        net.untie(&mut params, "encoder.wieght"),
        Err(NameError::NotFound { near, .. }) if near[0] == "encoder.weight"
    ));
    assert_eq!(params.len(), before);
}

#[test]
fn untying_goes_through_boxes_options_and_names_of_any_kind() {
    let mut params = Params::<f32>::new();
    let norm = LayerNorm::new(&mut params, 3);
    let mut inner = Sequential::new();
    inner.push_named("a.b", norm.clone()).unwrap();
    inner.push_named("a", norm.clone()).unwrap();
    let boxed: Vec<Box<dyn DynLayer>> = vec![Box::new(inner), Box::new(norm.clone())];
    let mut net = (boxed, Some(norm));
    for path in [r"0.0.a\.b.weight", "0.1.weight", "1.bias"] {
        let old = net.find(path).unwrap();
        let new = net.untie(&mut params, path).unwrap();
        assert_ne!(old, new);
        assert_eq!(net.find(path), Ok(new), "{path}");
    }
    let ids = |net: &(Vec<Box<dyn DynLayer>>, Option<LayerNorm>)| {
        net.all_uses()
            .iter()
            .map(|each| each.alias_of)
            .collect::<Vec<_>>()
    };
    // The weights of the first and third are their own now, and the last bias.
    assert_eq!(
        ids(&net),
        [None, None, None, Some(1), None, Some(1), Some(2), None]
    );
    // Through a pointer too.
    let layer: &mut dyn DynLayer = &mut *net.0[0];
    assert!(layer.untie(&mut params, "a.weight").is_err());
    assert!(layer.untie(&mut params, r"a\.b.bias").is_ok());
}

#[test]
fn a_tie_to_what_was_removed_cannot_be_undone() {
    let mut params = Params::new();
    let mut net = net(&mut params);
    params.remove(net.encoder.weight).unwrap();
    let before = net.clone();
    let error = net.untie(&mut params, "again.weight").unwrap_err();
    assert!(matches!(error, NameError::Arena { .. }), "{error}");
    assert_eq!(net.again, before.again);
}

/// The removal is where it was written, the error where the parameter is used, and both paths are named.
#[test]
fn a_removed_parameter_that_is_still_used_is_an_error_that_names_both() {
    let mut params = Params::new();
    let net = net(&mut params);
    let line = line!() + 1;
    params.remove(net.encoder.weight).unwrap();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let error = net.again.forward(g.full([1, 6], 1.0)).value().unwrap_err();
    assert_eq!(error.location().line(), line!() - 1);
    let text = net.explain(&error);
    let removed = format!(
        "was removed at {}:{line}:12: it had the shape [3, 6]",
        file!()
    );
    assert!(text.contains(&removed), "{text}");
    let paths = "is encoder.weight (Linear), also used as again.weight (Linear), decoder.weight (TiedLinear); all of these use what was removed";
    assert!(text.contains(paths), "{text}");
    // Asked of the layer alone, it names what it knows.
    let text = net.again.explain(&error);
    assert!(
        text.contains("is weight (Linear); it uses what was removed"),
        "{text}"
    );
    // What was not removed is not said to have been.
    let error = net.again.forward(g.full([1, 7], 1.0)).value().unwrap_err();
    let text = net.explain(&error);
    assert!(text.contains("was removed"), "the same id: {text}");
    let fine = net.blocks[0]
        .0
        .forward(g.full([1, 7], 1.0))
        .value()
        .unwrap_err();
    assert!(
        !net.explain(&fine).contains("removed"),
        "{}",
        net.explain(&fine)
    );
}
