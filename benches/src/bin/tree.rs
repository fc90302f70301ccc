//! `tree`: what names, selections and prints of 10,000 `Linear` layers nested ten deep cost.
//!
//! Two trees: a spine, ten levels that each hold a thousand layers and the next level; and a bush, in which every layer is ten deep.

use std::hint::black_box;
use std::time::Instant;

use tiegrad::nn::{At, ParamUse, Walker};
use tiegrad::prelude::*;

type Anything = Box<dyn std::error::Error>;

/// The best of as many as fit into a third of a second, in milliseconds: other programs take their share of most of them. Until the result is there: that it
/// is dropped again does not count.
fn timed<T>(mut f: impl FnMut() -> T) -> f64 {
    let (begin, mut best) = (Instant::now(), f64::INFINITY);
    while begin.elapsed().as_secs_f64() < 0.3 {
        let start = Instant::now();
        let result = black_box(f());
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        drop(result);
    }
    best
}

fn leaf(params: &mut Params<f32>) -> Linear {
    let [matrix, vector] =
        [&[1, 1][..], &[1]].map(|dims| Shape::new(dims).unwrap_or(Shape::SCALAR));
    Linear {
        weight: params.insert_with(matrix, |_| {}),
        bias: Some(params.insert_with(vector, |_| {})),
        in_features: 1,
        out_features: 1,
    }
}

fn spine(params: &mut Params<f32>) -> Sequential {
    let mut net = Sequential::new();
    for _ in 0..10 {
        let mut level: Sequential = (0..1000).map(|_| leaf(params)).collect();
        level.push(net);
        net = level;
    }
    net
}

/// Ten branches at every third level.
fn bush(params: &mut Params<f32>, depth: usize) -> Sequential {
    if depth == 9 {
        return (0..10).map(|_| leaf(params)).collect();
    }
    let branches = if depth.is_multiple_of(3) { 10 } else { 1 };
    (0..branches).map(|_| bush(params, depth + 1)).collect()
}

/// The walk and nothing else: what all of them cost at least.
struct Nothing(usize);

impl<'a> Walker<'a> for Nothing {
    fn param(&mut self, at: At<'_>, _: ParamUse) {
        self.0 += at.path.len();
    }
}

fn measure(name: &str, net: &Sequential, params: &mut Params<f32>) -> Result<(), Anything> {
    let named = net.named_parameters();
    let last = named
        .last()
        .map(|(path, _)| path.clone())
        .unwrap_or_default();
    println!("{name}: {} parameters, the last is {last}", named.len());
    let show = |what: &str, ms: f64| println!("  {what:34} {ms:8.3} ms");
    show(
        "the walk alone",
        timed(|| {
            let mut nothing = Nothing(0);
            net.walk(&mut nothing);
            nothing.0
        }),
    );
    show("named_parameters", timed(|| net.named_parameters()));
    show("all_uses", timed(|| net.all_uses()));
    show("find (the last)", timed(|| net.find(&last).is_ok()));
    show("find (an error)", timed(|| net.find("1.2.wieght").is_ok()));
    for text in [&*last, "**.bias", "0", "type:Linear", ".*bias", "/.*bias/"] {
        let what = format!("select {:?}", &text[text.len().saturating_sub(16)..]);
        show(&what, timed(|| net.select(params, text).is_ok()));
    }
    show(
        "select by",
        timed(|| {
            net.select(params, Select::by(|_, info| info.shape.rank() == 2))
                .is_ok()
        }),
    );
    show(
        "select [\"**\", \"!**.bias\"]",
        timed(|| net.select(params, ["**", "!**.bias"]).is_ok()),
    );
    show(
        "select (an error)",
        timed(|| net.select(params, "1.2.wieght").is_ok()),
    );
    show("list", timed(|| net.list(params, Select::all()).is_ok()));
    show("tree", timed(|| net.tree(params)));
    show("tree, printed", timed(|| net.tree(params).to_string()));
    show("counts", timed(|| net.counts(params)));
    show("summary", timed(|| net.summary(params, [1, 1]).is_ok()));
    let printed = || {
        net.summary(params, [1, 1])
            .map(|summary| summary.to_string())
    };
    show("summary, printed", timed(|| printed().is_ok()));
    show("print", timed(|| net.to_string()));
    show(
        "freeze and thaw",
        timed(|| {
            net.freeze(params, Select::all())
                .and_then(|all| net.thaw(params, &all))
                .is_ok()
        }),
    );
    show("report", timed(|| net.report(params)));
    show("checkpoint_names", timed(|| checkpoint_names(net)));
    Ok(())
}

fn main() -> Result<(), Anything> {
    let mut params = Params::new();
    let net = spine(&mut params);
    measure("spine", &net, &mut params)?;
    let mut params = Params::new();
    let net = bush(&mut params, 0);
    measure("bush", &net, &mut params)
}
