//! Setting parameters directly.

use tiegrad::prelude::*;

use crate::nets::{mlp, x};

#[test]
fn r43_values_are_set_directly() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let id = net.0.weight;
    let before = params.value(id).unwrap().to_owned();
    {
        let mut weight = params.value_mut(id).unwrap();
        weight += 1.0;
        weight[[0, 0]] = 42.0;
    }
    let after = params.value(id).unwrap();
    assert_eq!(after[[0, 0]], 42.0);
    assert_eq!(after[[0, 1]], before[[0, 1]] + 1.0);
    assert_eq!(after[[7, 3]], before[[7, 3]] + 1.0);
    // What was set is what runs.
    let mut tape = Tape::new();
    let row = net
        .0
        .forward(tape.eval(&params).input(&array![[1.0, 0.0, 0.0, 0.0]]));
    let bias = params.as_slice(net.0.bias.unwrap()).unwrap()[0];
    assert_eq!(row.value().unwrap()[[0, 0]], 42.0 + bias);
}

/// While a graph is alive, setting a value does not compile: `compile_fail/cases/write_before_backward.rs` is that program and what the compiler says of it
/// (`compile_fail/main.rs` runs it). After the last use of the graph it does, without a block around it.
#[test]
fn r44_no_value_is_set_while_a_graph_is_alive() {
    let program = include_str!("../../compile_fail/cases/write_before_backward.rs");
    let words = include_str!("../../compile_fail/cases/write_before_backward.stderr");
    assert!(program.contains("value_mut") && program.contains("backward"));
    assert!(
        words.contains("E0499") && words.contains("tape.record(&mut params)"),
        "{words}"
    );
    let runner = include_str!("../../compile_fail/main.rs");
    assert!(runner.contains(r#"compile_fail("cases/write_before_backward.rs")"#));

    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let loss = net.forward(g.input(x::<f32>())).square().mean();
    loss.backward().unwrap();
    params.value_mut(net.0.weight).unwrap()[[0, 0]] = 42.0;
    assert_eq!(params.value(net.0.weight).unwrap()[[0, 0]], 42.0);
}
