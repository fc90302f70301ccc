//! The selection language: each form, excludes, ties, and what is said where nothing is selected.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::Select;
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Block {
    attn: (Linear, LayerNorm),
    mlp: Linear,
}

/// Two blocks, `fc1` beside `fc10`, and a head that is tied to the embedding.
#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Net {
    wte: Embedding,
    blocks: Vec<Block>,
    fc1: Linear,
    fc10: Linear,
    lm_head: TiedLinear,
}

fn net(params: &mut Params<f32>) -> Net {
    let wte = Embedding::new(params, 5, 2, &mut rng());
    let mut linear = || Linear::new(params, 2, 2, &mut rng());
    let (fc1, fc10) = (linear(), linear());
    let blocks = (0..2).map(|_| Block {
        attn: (
            Linear::new(params, 2, 2, &mut rng()),
            LayerNorm::new(params, 2),
        ),
        mlp: Linear::with(2, 2)
            .bias(false)
            .build(params, &mut rng())
            .unwrap(),
    });
    Net {
        blocks: blocks.collect(),
        lm_head: TiedLinear::new(params, Tied::plain(wte.weight), false).unwrap(),
        fc1,
        fc10,
        wte,
    }
}

/// The canonical paths of what is selected, in tree order.
fn paths<'s>(net: &Net, params: &Params<f32>, select: impl Into<Select<'s>>) -> String {
    let selection = net.select(params, select).unwrap();
    let named = net.named_parameters().into_iter();
    let selected = named.filter(|(_, id)| selection.contains(*id));
    selected.map(|(path, _)| path).collect::<Vec<_>>().join(" ")
}

fn error<'s>(net: &Net, params: &Params<f32>, select: impl Into<Select<'s>>) -> String {
    net.select(params, select).unwrap_err().to_string()
}

const ALL: &str = "wte.weight blocks.0.attn.0.weight blocks.0.attn.0.bias blocks.0.attn.1.weight \
     blocks.0.attn.1.bias blocks.0.mlp.weight blocks.1.attn.0.weight blocks.1.attn.0.bias \
     blocks.1.attn.1.weight blocks.1.attn.1.bias blocks.1.mlp.weight fc1.weight fc1.bias \
     fc10.weight fc10.bias";

#[test]
fn each_form_selects() {
    let mut params = Params::new();
    let net = net(&mut params);
    let paths = |select: Select<'_>| paths(&net, &params, select);
    assert_eq!(paths(Select::all()), ALL);
    assert_eq!(paths("**".into()), ALL);
    assert_eq!(paths("/.*/".into()), ALL);
    assert_eq!(paths("fc1".into()), "fc1.weight fc1.bias");
    assert_eq!(paths("fc1.bias".into()), "fc1.bias");
    assert_eq!(
        paths("blocks.*.mlp".into()),
        "blocks.0.mlp.weight blocks.1.mlp.weight"
    );
    assert_eq!(
        paths("blocks.1.**.weight".into()),
        "blocks.1.attn.0.weight blocks.1.attn.1.weight blocks.1.mlp.weight"
    );
    assert_eq!(paths("fc?.*".into()), "fc1.weight fc1.bias");
    assert_eq!(
        paths(".*1[.]bias".into()),
        "blocks.0.attn.1.bias blocks.1.attn.1.bias fc1.bias"
    );
    assert_eq!(paths("^fc.*t$".into()), "fc1.weight fc10.weight");
    assert_eq!(paths("/fc[0-9]+.bias/".into()), "fc1.bias fc10.bias");
    assert_eq!(
        paths("type:LayerNorm".into()),
        "blocks.0.attn.1.weight blocks.0.attn.1.bias blocks.1.attn.1.weight blocks.1.attn.1.bias"
    );
    assert_eq!(paths("type:Net".into()), ALL);
    assert_eq!(
        paths(Select::by(
            |path, info| path.starts_with("fc") && info.shape.rank() == 1
        )),
        "fc1.bias fc10.bias"
    );
    assert_eq!(paths(net.fc10.weight.into()), "fc10.weight");
    let both = Selection::from_ids([net.fc1.weight, net.wte.weight]);
    assert_eq!(paths((&both).into()), "wte.weight fc1.weight");
    assert_eq!(paths(both.into()), "wte.weight fc1.weight");
    assert_eq!(paths(String::from("fc1.bias").into()), "fc1.bias");
    assert_eq!(paths((&String::from("fc1.bias")).into()), "fc1.bias");
    assert_eq!(
        paths(vec!["fc1.bias", "fc10.bias"].into()),
        "fc1.bias fc10.bias"
    );
}

#[test]
fn closures_and_lists_stand_where_a_select_is_asked_for() {
    let mut params = Params::new();
    let net = net(&mut params);
    let wanted = String::from("fc1.bias");
    let named = |path: &str, _: &ParamInfo| path == wanted;
    assert_eq!(paths(&net, &params, named), "fc1.bias");
    assert_eq!(
        paths(&net, &params, |_: &str, info: &ParamInfo| info.id
            == net.fc1.weight),
        "fc1.weight"
    );
    assert_eq!(
        paths(&net, &params, [net.fc1.weight, net.fc10.weight]),
        "fc1.weight fc10.weight"
    );
    assert_eq!(
        paths(
            &net,
            &params,
            [
                Select::of_type::<Linear>().and("fc1"),
                Select::by(|_, _| false)
            ]
        ),
        "fc1.weight fc1.bias"
    );
}

#[test]
fn a_type_selects_what_is_in_it_at_any_depth() {
    let mut params = Params::new();
    let net = net(&mut params);
    assert_eq!(
        paths(&net, &params, Select::of_type::<Block>().and("**.bias")),
        "blocks.0.attn.0.bias blocks.0.attn.1.bias blocks.1.attn.0.bias blocks.1.attn.1.bias"
    );
    assert_eq!(
        paths(&net, &params, ["type:Block", "!type:Sequential"]),
        "blocks.0.mlp.weight blocks.1.mlp.weight"
    );
    assert_eq!(
        paths(&net, &params, Select::of_type::<(Linear, LayerNorm)>()),
        paths(&net, &params, "blocks.*.attn")
    );
    // By type it is what the type is, whatever it is called.
    assert_eq!(
        paths(&net, &params, Select::of_type::<Vec<Block>>()),
        paths(&net, &params, "blocks")
    );
    let nested = sequential![
        sequential![Linear::new(&mut params, 1, 1, &mut rng())],
        ReLU
    ];
    assert_eq!(nested.select(&params, "type:Sequential").unwrap().len(), 2);
    assert_eq!(nested.select(&params, "type:Linear").unwrap().len(), 2);
}

#[test]
fn a_regular_expression_is_anchored_at_both_ends() {
    let mut params = Params::new();
    let net = net(&mut params);
    assert_eq!(
        paths(&net, &params, Select::regex("fc1.(weight|bias)")),
        "fc1.weight fc1.bias"
    );
    assert!(
        net.select(&params, Select::regex("fc1|weight|fc10"))
            .is_err()
    );
    // The alternatives are anchored together, and the longer one is found behind the shorter.
    assert_eq!(
        paths(&net, &params, Select::regex("fc1|fc1.bias")),
        "fc1.bias"
    );
    assert_eq!(paths(&net, &params, "^fc1.bias"), "fc1.bias");
    assert!(net.select(&params, "^fc1.bia").is_err());
    assert!(net.select(&params, ".*weigh").is_err());
}

#[test]
fn an_exclude_wins_wherever_it_stands() {
    let mut params = Params::new();
    let net = net(&mut params);
    let expected = "fc1.weight fc10.weight";
    for list in [
        ["fc*", "!**.bias", "fc1"],
        ["!**.bias", "fc1", "fc*"],
        ["fc1", "fc10", "!.*bias"],
        ["^fc.*", "!/.*bias/", "!type:LayerNorm"],
    ] {
        assert_eq!(paths(&net, &params, list), expected, "{list:?}");
    }
    let everything_else = "wte.weight fc1.weight fc1.bias fc10.weight fc10.bias";
    assert_eq!(paths(&net, &params, "!blocks"), everything_else);
    assert_eq!(paths(&net, &params, ["!blocks"]), everything_else);
    assert_eq!(
        paths(&net, &params, ["!blocks", "!fc10"]),
        "wte.weight fc1.weight fc1.bias"
    );
    assert_eq!(
        paths(&net, &params, Select::all().except("blocks").except("fc*")),
        "wte.weight"
    );
    // Beside another one by `or` it is a set like any other.
    assert_eq!(
        paths(&net, &params, Select::glob("blocks").or("!blocks")),
        ALL
    );
}

#[test]
fn any_path_of_a_tied_parameter_selects_and_excludes_it() {
    let mut params = Params::new();
    let net = net(&mut params);
    for select in [
        "lm_head",
        "lm_head.weight",
        "type:TiedLinear",
        "lm_*.*",
        ".*head.*",
    ] {
        assert_eq!(paths(&net, &params, select), "wte.weight", "{select}");
    }
    let by = |path: &str, _: &ParamInfo| path == "lm_head.weight";
    assert_eq!(paths(&net, &params, by), "wte.weight");
    assert_eq!(
        paths(&net, &params, ["wte", "fc1", "!lm_head"]),
        "fc1.weight fc1.bias"
    );
    assert_eq!(
        paths(&net, &params, Select::path("wte").and("lm_head")),
        "wte.weight"
    );
}

#[test]
fn a_selection_remembers_the_path_it_was_chosen_by() {
    let mut params = Params::new();
    let net = net(&mut params);
    let path = |select: Select<'_>| {
        let selection = net.select(&params, select).unwrap();
        selection.path(net.wte.weight).map(str::to_owned)
    };
    let canonical = Some("wte.weight".to_owned());
    let alias = Some("lm_head.weight".to_owned());
    assert_eq!(path("**.weight".into()), canonical);
    assert_eq!(path(Select::all()), canonical);
    assert_eq!(path("lm_head".into()), alias);
    assert_eq!(path(["fc1", "type:TiedLinear"].into()), alias);
    // A name says more than a module around the parameter.
    assert_eq!(path(["wte", "lm_head.*"].into()), alias);
    assert_eq!(path("fc1".into()), None);
    let lm_head = net.select(&params, "lm_head").unwrap();
    let all = net.select(&params, Select::all()).unwrap();
    assert_eq!(lm_head.union(&all).path(net.wte.weight), alias.as_deref());
    assert_eq!(all.difference(&lm_head).path(net.wte.weight), None);
    assert_eq!(
        all.intersection(&lm_head).path(net.wte.weight),
        canonical.as_deref()
    );
    assert_eq!(
        all.intersection(&lm_head),
        Selection::from_ids([net.wte.weight])
    );
}

#[test]
fn however_much_is_said_the_tree_is_walked_once() {
    use std::cell::Cell;
    use std::rc::Rc;
    use tiegrad_nn::{Field, Visit, VisitMut};

    struct Counting(Linear, Rc<Cell<usize>>);
    impl Module for Counting {
        fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
            self.1.set(self.1.get() + 1);
            self.0.enter("inner".into(), v);
        }
        fn visit_mut(&mut self, v: &mut dyn VisitMut) {
            self.0.enter_mut("inner".into(), v);
        }
    }
    let mut params = Params::<f32>::new();
    let visits = Rc::new(Cell::new(0));
    let net = Counting(
        Linear::new(&mut params, 1, 1, &mut rng()),
        Rc::clone(&visits),
    );
    let select = Select::from(["inner", "/.*weight/", "type:Linear", "!**.bias"])
        .and(Select::by(|_, _| true))
        .except(Selection::default());
    assert_eq!(net.select(&params, select).unwrap().len(), 1);
    assert_eq!(visits.get(), 1);
}

#[test]
fn names_are_taken_as_they_are_printed() {
    let mut params = Params::<f32>::new();
    let names = [
        "block 2", "a.b", "a*b", "axb", r"c\d", "!x", "^y", "/z/", "type:w", "?",
    ];
    let mut net = Sequential::new();
    for name in names {
        net.push_named(name, Linear::new(&mut params, 1, 1, &mut rng()))
            .unwrap();
    }
    let named = net.named_parameters();
    for (path, id) in &named {
        let one = net.select(&params, Select::path(path)).unwrap();
        assert!(one.iter().eq([*id]), "{path}");
    }
    let count = |text: &str| net.select(&params, text).map_or(0, |ids| ids.len());
    assert_eq!(count("block 2"), 2);
    assert_eq!(count("block 2.weight"), 1);
    assert_eq!((count(r"a\.b"), count("a.b")), (2, 0));
    assert_eq!((count("a*b"), count(r"a\*b"), count("a?b.bias")), (6, 2, 3));
    assert_eq!(count(r"c\\d.weight"), 1);
    assert_eq!((count(r"\!x"), count(r"\^y"), count(r"\/z/")), (2, 2, 2));
    assert_eq!((count(r"\type:w"), count(r"\?")), (2, 2));
    // What they would say without the backslash.
    assert!(count("type:w") == 0 && count("/z/") == 0 && count("^y") == 0);
}

#[test]
fn what_selects_nothing_says_what_is_near() {
    let mut params = Params::new();
    let net = net(&mut params);
    let error = |select: Select<'_>| error(&net, &params, select);
    assert_eq!(
        error("fc2".into()),
        r#""fc2" selects no parameter; near it: "fc1", "fc10""#
    );
    assert_eq!(
        error("FC1.Weight".into()),
        r#""FC1.Weight" selects no parameter; near it: "fc1.weight", "fc10.weight""#
    );
    assert_eq!(
        error("blocks.1.attention.0.weight".into()),
        r#""blocks.1.attention.0.weight" selects no parameter; near it: "blocks.1.attn.0.weight", "blocks.0.attn.0.weight", "blocks.1.attn.1.weight""#
    );
    assert_eq!(
        error("blocks.*.mpl".into()),
        r#""blocks.*.mpl" selects no parameter; near it: "blocks.0.mlp", "blocks.1.mlp""#
    );
    assert_eq!(
        error(".*wieght".into()),
        r#""/.*wieght/" selects no parameter; near it: "wte.weight", "blocks.0.attn.0.weight", "blocks.0.attn.1.weight""#
    );
    assert_eq!(
        error("type:linear".into()),
        r#""type:linear" selects no parameter; near it: "Linear""#
    );
    assert_eq!(
        error(Select::of_type::<Dropout>()),
        r#""type:tiegrad_nn::layers::dropout::Dropout" selects no parameter"#
    );
    assert_eq!(
        error(["fc1", "decoder.norm.gamma"].into()),
        r#""decoder.norm.gamma" selects no parameter"#
    );
    assert_eq!(error("".into()), r#""" selects no parameter"#);
}

#[test]
fn an_exclude_that_excludes_nothing_is_an_error() {
    let mut params = Params::new();
    let net = net(&mut params);
    assert_eq!(
        error(&net, &params, ["**.weight", "!lm_haed"]),
        r#""!lm_haed" excludes no parameter; near it: "lm_head""#
    );
    assert_eq!(
        error(&net, &params, Select::all().except("type:Conv2d")),
        r#""!type:Conv2d" excludes no parameter"#
    );
    assert_eq!(
        error(&net, &params, ["fc1", "!fc*"]),
        r#""(fc1 except fc*)" selects no parameter"#
    );
    assert_eq!(
        error(&net, &params, Select::path("fc1").and("fc10")),
        r#""(fc1 and fc10)" selects no parameter"#
    );
}

#[test]
fn closures_and_ids_may_select_nothing() {
    let mut params = Params::new();
    let net = net(&mut params);
    let none = |select: Select<'_>| net.select(&params, select).unwrap().is_empty();
    assert!(none(Select::by(|_, _| false)));
    assert!(none(Selection::default().into()));
    assert!(none(Select::path("fc1").and(Select::by(|_, _| false))));
    assert!(none(Select::path("fc1").except(Select::by(|_, _| true))));
    assert!(none(Vec::<String>::new().into()));
    assert!(ReLU.select(&params, Select::all()).unwrap().is_empty());
    assert!(ReLU.select(&params, "**").is_err());
    // But a name beside them has to be one.
    let select = Select::by(|_, _| false).or("fc2");
    assert!(net.select(&params, select).is_err());
}

#[test]
fn a_bad_regular_expression_is_a_typed_error() {
    let mut params = Params::new();
    let net = net(&mut params);
    for pattern in ["/fc(/", "^(", "/a)(b/", "/a)|(?:b/", ".*["] {
        let error = net.select(&params, pattern).unwrap_err();
        assert!(
            matches!(error, NameError::BadRegex { .. }),
            "{pattern}: {error}"
        );
        assert!(error.to_string().contains("is no regular expression: "));
    }
    assert!(net.select(&params, ["fc1", "!/(/"]).is_err());
}

#[test]
fn a_selected_parameter_has_to_be_in_the_arena() {
    let mut params = Params::new();
    let net = net(&mut params);
    params.remove(net.fc1.weight).unwrap();
    let text = error(&net, &params, "fc*");
    assert!(
        text.starts_with(r#""fc1.weight": the parameter "#),
        "{text}"
    );
    assert!(text.contains("was removed"), "{text}");
    // A closure is not asked about it.
    assert_eq!(
        paths(&net, &params, |path: &str, _: &ParamInfo| path
            .starts_with("fc1.")),
        "fc1.bias"
    );
    assert!(matches!(
        net.select(&Params::<f32>::new(), "fc1"),
        Err(NameError::Arena { .. })
    ));
}

#[test]
fn a_name_initializes_biases_too_and_a_type_does_not() {
    let mut params = Params::<f32>::new();
    let net = net(&mut params);
    let bias = net.fc1.bias.unwrap();
    let mut init = |select: Select<'_>, value: f64| {
        net.reinit_at(&mut params, select, init::constant(value), &mut rng())
            .unwrap();
        [
            params.as_slice(net.fc1.weight).unwrap()[0],
            params.as_slice(bias).unwrap()[0],
        ]
    };
    assert_eq!(init("type:Linear".into(), 1.0), [1.0, 0.0]);
    assert_eq!(init("fc1.*".into(), 2.0), [2.0, 2.0]);
    assert_eq!(init("fc1".into(), 3.0), [3.0, 0.0]);
    assert_eq!(init(Select::kind("Linear").and("**.bias"), 4.0), [3.0, 4.0]);
    assert_eq!(init(["!fc10"].into(), 5.0), [5.0, 0.0]);
    assert_eq!(init(["fc1", "fc1.bias"].into(), 6.0), [6.0, 6.0]);
    assert_eq!(init(net.fc1.weight.into(), 7.0), [7.0, 6.0]);
}
