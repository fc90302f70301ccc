//! `#[derive(Module)]`: every kind of type and every attribute. What it refuses stands in `tests/compile_fail/cases/attributes.rs`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::prelude::*;
use tiegrad_nn::{Field, Role};

fn id(params: &mut Params<f32>) -> ParamId {
    params.insert_with(Shape::SCALAR, |_| {})
}

fn names(net: &impl Module) -> Vec<String> {
    net.named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Everything<A: Module, const N: usize> {
    weight: ParamId,
    absent: Option<ParamId>,
    r#type: Option<ParamId>,
    inner: A,
    list: Vec<A>,
    array: [ParamId; N],
    pair: (ParamId, A),
    map: BTreeMap<String, ParamId>,
    tied: Tied,
    boxed: Box<A>,
    size: usize,
    rate: f64,
    flag: bool,
    text: String,
    marker: PhantomData<A>,
    #[module(skip)]
    skipped: Option<std::cell::Cell<ParamId>>,
    #[module(name = "block 0")]
    named: ParamId,
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Leaf(ParamId);

#[test]
fn fields_of_all_kinds_are_visited_in_order() {
    let mut params = Params::new();
    let mut leaf = || Leaf(id(&mut params));
    let (a, b, c, d) = (leaf(), leaf(), leaf(), leaf());
    let mut net = Everything {
        weight: leaf().0,
        absent: None,
        r#type: Some(leaf().0),
        inner: a,
        list: vec![b],
        array: [leaf().0, leaf().0],
        pair: (leaf().0, c),
        map: [("z".to_owned(), leaf().0), ("y".to_owned(), leaf().0)].into(),
        tied: Tied::transposed(leaf().0),
        boxed: Box::new(d),
        size: 1,
        rate: 1.0,
        flag: true,
        text: "text".into(),
        marker: PhantomData,
        skipped: Some(std::cell::Cell::new(leaf().0)),
        named: leaf().0,
    };
    let expected = "weight type inner.0 list.0.0 array.0 array.1 pair.0 pair.1.0 map.y map.z tied boxed.0 block 0";
    assert_eq!(names(&net).join(" "), expected);
    assert!(net.all_uses()[10].transposed);
    assert_eq!(
        (net.size, net.rate, net.flag, &*net.text),
        (1, 1.0, true, "text")
    );
    assert!(net.skipped.is_some() && net.absent.is_none());

    // `visit_mut` walks the same way: a duplicate differs in every id, by name.
    let copy = net.duplicate(&mut params).unwrap();
    assert_eq!(names(&copy), names(&net));
    for ((_, old), (_, new)) in net
        .named_parameters()
        .into_iter()
        .zip(copy.named_parameters())
    {
        assert_ne!(old, new);
    }
    net.absent = Some(id(&mut params));
    assert_eq!(names(&net)[1], "absent");
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Unit;

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn", kind = "Renamed", extra_repr = "Named::extra")]
struct Named {
    width: usize,
}

impl Named {
    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "width={}\nsecond line", self.width)
    }
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
enum Choice {
    None,
    One(Linear, ReLU),
    Named { gate: Linear },
}

#[test]
fn prints_follow_the_attributes() {
    assert_eq!(Unit.to_string(), "Unit()");
    assert_eq!(
        Named { width: 3 }.to_string(),
        "Renamed(\n  width=3\n  second line\n)"
    );
    insta::assert_snapshot!((Named { width: 3 }, (Unit,)).repr(), @r"
    Sequential(
      (0): Renamed(
        width=3
        second line
      )
      (1): Sequential(
        (0): Unit()
      )
    )
    ");
}

#[test]
fn an_enum_is_its_variant() {
    let mut params = Params::<f32>::new();
    let mut rng = SmallRng::seed_from_u64(0);
    let linear = Linear::new(&mut params, 1, 1, &mut rng);
    assert_eq!(names(&Choice::None).len(), 0);
    let one = Choice::One(linear.clone(), ReLU);
    assert_eq!(names(&one), ["0.weight", "0.bias"]);
    assert!(one.to_string().starts_with("Choice(\n  (0): Linear("));
    let named = Choice::Named { gate: linear };
    assert_eq!(names(&named), ["gate.weight", "gate.bias"]);
    assert_ne!(
        named.duplicate(&mut params).unwrap().find("gate.weight"),
        named.find("gate.weight")
    );
}

#[derive(Module)]
#[module(crate = "tiegrad_nn")]
struct Roles {
    #[module(role = "gain")]
    scale: ParamId,
    #[module(role = "bias")]
    shift: Option<ParamId>,
    #[module(role = "weight")]
    bias: ParamId,
    hidden_bias: ParamId,
    other: ParamId,
}

#[test]
fn roles_come_from_names_and_attributes() {
    let mut params = Params::new();
    let mut new = || id(&mut params);
    let net = Roles {
        scale: new(),
        shift: Some(new()),
        bias: new(),
        hidden_bias: new(),
        other: new(),
    };
    let roles: Vec<_> = net.all_uses().into_iter().map(|each| each.role).collect();
    assert_eq!(
        roles,
        [
            Role::Gain,
            Role::Bias,
            Role::Weight,
            Role::Bias,
            Role::Weight
        ]
    );
    net.init(
        &mut params,
        init::constant(7.0),
        &mut SmallRng::seed_from_u64(0),
    )
    .unwrap();
    let values: Vec<_> = net
        .all_uses()
        .iter()
        .map(|each| params.as_slice(each.id).unwrap()[0])
        .collect();
    assert_eq!(values, [1.0, 0.0, 7.0, 0.0, 7.0]);
}

/// Bounds go on the parameters that visited fields mention, and on no others.
#[derive(Module)]
#[module(crate = "tiegrad_nn", no_display)]
struct Bounds<A, B> {
    inner: A,
    #[module(skip)]
    marker: PhantomData<B>,
}

struct NotAModule;

impl<A: Field, B: 'static> fmt::Display for Bounds<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

#[test]
fn skipped_parameters_need_no_bounds() {
    let net = Bounds {
        inner: ReLU,
        marker: PhantomData::<NotAModule>,
    };
    assert_eq!(net.to_string(), "mine");
    assert_eq!(net.find_module("inner").unwrap().kind(), "ReLU");
    let _ = net.marker;
}
