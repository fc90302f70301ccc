//! Property 6: bad input never panics in an op. What fails poisons its Var, says what was wrong, and leaves other Vars alone.

use std::panic::AssertUnwindSafe;

use ndarray::{Array, ArrayD, IxDyn, array};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use tiegrad::autodiff::{ArgSpec, Op, Problem, ops};
use tiegrad::nn::GptConfig;
use tiegrad::prelude::*;

#[test]
fn the_first_error_is_the_one_reported() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let [a, b] = [[1.0, 2.0], [3.0, 4.0]].map(|row| g.input(&array![row]));
    let line = line!() + 1;
    let bad = a.matmul(b);
    let later = (bad.relu() + g.input(&[1.0])).sum().matmul(bad);
    let error = later.item().unwrap_err();
    assert_eq!(error.op(), "matmul");
    assert_eq!(error.location().line(), line);
    assert!(error.location().file().ends_with("bad_input.rs"));
    assert_eq!(
        error.shapes().iter().map(|s| s.dims()).collect::<Vec<_>>(),
        [[1, 2], [1, 2]]
    );
    assert!(error.to_string().contains("expected 2"), "{error}");
    // A healthy neighbour.
    assert_eq!(g.input(&[1.0, 2.0]).sum().item().unwrap(), 3.0);
}

#[test]
fn a_failed_backward_adds_nothing() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&array![1.0, 2.0]).unwrap();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let healthy = g.param(w).square().sum();
    let bad = g.param(w) + g.input(&[1.0, 2.0, 3.0]);
    assert!((healthy + bad.sum()).backward().is_err());
    assert!(params.grad(w).unwrap().is_none());
    let g = tape.record(&mut params);
    let healthy = g.param(w).square().sum();
    let _bad = g.param(w) + g.input(&[1.0, 2.0, 3.0]);
    assert_eq!(healthy.backward().unwrap(), 5.0);
    assert!(params.grad(w).unwrap().is_some());
}

#[test]
fn backward_says_why_not() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&array![1.0, 2.0]).unwrap();
    let mut tape = Tape::new();
    let problem = |result: Result<f32, tiegrad::autodiff::Error>| result.unwrap_err().problem();
    assert_eq!(
        problem(tape.record(&mut params).param(w).backward()),
        Problem::NotScalar
    );
    assert_eq!(
        problem(tape.record(&mut params).input(&[1.0]).backward()),
        Problem::NoGradient
    );
    assert_eq!(
        problem(tape.eval(&params).param(w).sum().backward()),
        Problem::NoGradient
    );
}

#[test]
fn stale_and_foreign_ids_say_what_they_were() {
    let mut params = Params::<f32>::new();
    let mut other = Params::<f32>::new();
    let keep = params.insert(&array![1.0]).unwrap();
    let gone = params.insert(&array![[1.0, 2.0, 3.0]]).unwrap();
    let foreign = other.insert(&array![1.0]).unwrap();
    params.remove(gone).unwrap();
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let stale = g.param(gone).sum().item().unwrap_err();
    assert_eq!(stale.params(), [gone]);
    assert!(
        stale.to_string().contains("[1, 3]") && stale.to_string().contains("bad_input.rs"),
        "{stale}"
    );
    let foreign_error = g.param(foreign).sum().item().unwrap_err();
    assert_eq!(foreign_error.problem(), Problem::Parameter);
    assert!(foreign_error.arena().is_some());
    assert_eq!(g.param(keep).sum().backward().unwrap(), 1.0);
}

#[test]
fn vars_of_two_graphs_do_not_mix() {
    let params = Params::<f32>::new();
    let (mut first, mut second) = (Tape::new(), Tape::new());
    let (a, b) = (
        first.eval(&params).input(&[1.0]),
        second.eval(&params).input(&[2.0]),
    );
    assert_eq!((a + b).item().unwrap_err().problem(), Problem::TwoGraphs);
    assert_eq!((a + a).item().unwrap(), 2.0);
}

#[test]
fn indices_out_of_range() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let table = g.full([3, 2], 1.0);
    assert_eq!(
        table
            .embedding(g.indices(&[0_u32, 3]))
            .sum()
            .item()
            .unwrap_err()
            .problem(),
        Problem::Index { index: 3, size: 3 }
    );
    assert!(
        table
            .cross_entropy(g.indices(&[0_i64, -1, 1]))
            .item()
            .is_err()
    );
    assert!(
        table
            .cross_entropy(g.indices(&[0_u32, 5, 1]))
            .item()
            .is_err()
    );
    assert!(table.embedding(table).item().is_err());
    assert!((g.indices(&[1_u32]) + g.input(&[1.0])).item().is_err());
    assert!(g.indices(&[1_u32]).value().is_err());
}

#[test]
fn nan_and_infinity_pass_through() {
    let mut params = Params::<f32>::new();
    let w = params
        .insert(&array![f32::NAN, f32::INFINITY, 0.0])
        .unwrap();
    let mut tape = Tape::new();
    let loss = tape
        .record(&mut params)
        .param(w)
        .relu()
        .square()
        .sum()
        .backward()
        .unwrap();
    assert!(loss.is_nan());
    let g = tape.eval(&params);
    let nan = g.input(&[f32::NAN]);
    for y in [
        nan.relu(),
        nan.gelu(),
        nan.tanh(),
        nan.sigmoid(),
        nan.exp(),
        nan.log(),
        nan.maximum(g.scalar(1.0)),
        nan.max(),
    ] {
        assert!(y.sum().item().unwrap().is_nan(), "{y:?}");
    }
    // 0 · ∞ is NaN in a product too: nothing is skipped.
    let product = g
        .input(&array![[0.0, 1.0]])
        .matmul(g.input(&array![[f32::INFINITY], [1.0]]));
    assert!(product.item().unwrap().is_nan());
}

/// A layer's own parameters are gone, or are another arena's: the error says what they were and where in the net.
#[test]
fn a_model_says_where_its_input_or_its_parameters_are_wrong() {
    let (mut params, mut other) = (Params::<f32>::new(), Params::<f32>::new());
    let config = GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 8,
        block_size: 4,
        vocab_size: 5,
        ..GptConfig::default()
    };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let gpt = GPT::new(&mut params, &config, &mut rng).unwrap();
    Linear::new(&mut other, 3, 3, &mut rng);
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let explain = |var: Var<'_, f32>| gpt.explain(&var.sum().item().unwrap_err());

    let text = explain(gpt.forward(g.indices(&array![[0_u32, 1, 2, 3, 4]])));
    assert!(
        text.contains("slice") && text.contains("wpe.weight"),
        "{text}"
    );
    let text = explain(gpt.forward(g.indices(&array![[0_u32, 5]])));
    assert!(
        text.contains("embedding") && text.contains("wte.weight"),
        "{text}"
    );
    assert!(explain(gpt.forward(g.input(&array![[0.0, 1.0]]))).contains("embedding"));
    assert!(explain(gpt.h[0].forward(g.full([1, 2, 9], 1.0))).contains("h.0.ln_1.weight"));
    // Shapes at the rim, and then again what is right.
    for shape in [
        vec![],
        vec![0],
        vec![2],
        vec![0, 3],
        vec![3, 0],
        vec![1, 2, 2],
    ] {
        let tokens = ArrayD::<u32>::zeros(shape);
        let _ = gpt.loss(g.indices(&tokens), g.indices(&tokens)).item();
        let _ = gpt.last_logits(g.indices(&tokens)).item();
    }
    assert!(gpt.forward(g.indices(&array![[0_u32, 1]])).value().is_ok());

    let foreign = gpt.forward(tape.record(&mut other).indices(&array![[0_u32, 1]]));
    let error = foreign.sum().backward().unwrap_err();
    assert!(
        gpt.explain(&error).contains("is wte.weight"),
        "{}",
        gpt.explain(&error)
    );

    params.remove(gpt.h[0].mlp.c_fc.weight).unwrap();
    let g = tape.record(&mut params);
    let x = g.indices(&array![[0_u32, 1]]);
    let text = gpt.explain(&gpt.loss(x, x).backward().unwrap_err());
    assert!(
        text.contains("h.0.mlp.c_fc.weight") && text.contains("[32, 8]"),
        "{text}"
    );
}

/// A training that has blown up goes on without a panic, and says so in its numbers.
#[test]
fn nan_goes_through_a_whole_step() {
    let optimizers: [Box<dyn Optimizer<f32>>; 4] = [
        Box::new(SGD::new(0.1)),
        Box::new(Adam::new(0.1)),
        Box::new(AdamW::new(0.1)),
        Box::new(RMSprop::new(0.1)),
    ];
    for mut opt in optimizers {
        let mut params = Params::<f32>::new();
        let layer = Linear::new(&mut params, 2, 2, &mut Xoshiro256PlusPlus::seed_from_u64(1));
        let mut tape = Tape::new();
        for _ in 0..2 {
            let g = tape.record(&mut params);
            let loss = layer
                .forward(g.input(&array![[f32::NAN, 1.0]]))
                .square()
                .sum();
            assert!(loss.backward().unwrap().is_nan());
            assert!(clip_grad_norm(&mut params, 1.0).is_ok_and(f64::is_nan));
            opt.step(&mut params).unwrap();
            params.zero_grad();
        }
        assert!(
            params.as_slice(layer.weight).unwrap()[0].is_nan(),
            "{}",
            opt.name()
        );
    }
}

/// Each op of the list, applied by itself to its own samples with operands left out, doubled, of the wrong kind and of other shapes.
#[test]
fn no_op_panics_whatever_number_of_operands_it_is_given() {
    struct Each {
        wrong: Vec<String>,
    }
    impl ops::Visitor for Each {
        fn op<O: Op>(&mut self) {
            for sample in O::samples() {
                let mut run = |specs: &[ArgSpec], what: &str| {
                    // To keep count of all, not of the first alone.
                    let run = AssertUnwindSafe(|| apply(sample.op, specs).err());
                    let error = match std::panic::catch_unwind(run) {
                        Ok(error) => error,
                        Err(_) => return self.wrong.push(format!("{} panics: {what}", O::NAME)),
                    };
                    let too = sample.op.arity().is_some_and(|n| n != specs.len());
                    let said = matches!(error, Some(Problem::Operands { .. }));
                    if too != said {
                        let said = format!("{} says {error:?}: {what}", O::NAME);
                        self.wrong.push(said);
                    }
                };
                let args = &sample.args;
                run(&[], "no operand");
                run(&args[1..], "the first left out");
                run(&args[..args.len() - 1], "the last left out");
                run(&[&args[..], args].concat(), "all twice");
                for i in 0..args.len() {
                    for other in [
                        ArgSpec::values([]),
                        ArgSpec::values([1, 2, 3, 1, 2]),
                        ArgSpec::indices([2], 1),
                    ] {
                        let mut args = args.clone();
                        args[i] = other;
                        run(&args, &format!("operand {i} another"));
                    }
                }
            }
        }
    }
    fn apply<O: Op>(op: O, specs: &[ArgSpec]) -> Result<f64, Problem> {
        let mut params = Params::<f64>::new();
        let mut tape = Tape::new();
        let g = tape.record(&mut params);
        let var = |spec: &ArgSpec| match spec {
            ArgSpec::Values { shape, .. } => g.leaf(ArrayD::from_elem(&shape[..], 0.5)),
            ArgSpec::Indices { shape, .. } => g.indices(ArrayD::<u32>::zeros(&shape[..])),
        };
        let vars: Vec<_> = specs.iter().map(var).collect();
        let result = g.apply(op, &vars).sum().backward();
        result.map_err(|error| error.problem())
    }
    let mut each = Each { wrong: Vec::new() };
    ops::visit(&mut each);
    each.wrong.dedup();
    assert!(each.wrong.is_empty(), "{:#?}", each.wrong);
}

/// Every method of Var over operands of all kinds of shapes, indices where values belong and the reverse, NaN inside: an answer or an error.
#[test]
fn no_op_panics_whatever_it_is_given() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
    let mut params = Params::<f64>::new();
    let gone = params.insert(&array![1.0]).unwrap();
    params.remove(gone).unwrap();
    let mut tape = Tape::new();
    let (mut answers, mut errors) = (0, 0);
    for _ in 0..40_000 {
        let g = tape.record(&mut params);
        let mut draw = |g: Graph<'_, f64>| -> (u32, ArrayD<f64>) {
            let _ = g;
            let rank = rng.random_range(0..5);
            let shape: Vec<usize> = (0..rank).map(|_| rng.random_range(0..4)).collect();
            let x = Array::from_shape_simple_fn(IxDyn(&shape), || {
                if rng.random_range(0..40) == 0 {
                    f64::NAN
                } else {
                    rng.random_range(-2.0..2.0)
                }
            });
            (rng.random_range(0..12), x)
        };
        let mut var = || {
            let (kind, x) = draw(g);
            match kind {
                0 => g.indices(x.mapv(|x| if x.is_nan() { 0 } else { x.abs() as u32 })),
                1 => g.param(gone),
                2 if x.ndim() >= 2 => g.leaf(&x).t(),
                3 if x.ndim() >= 1 => g.leaf(&x).transpose(0, -1),
                _ => g.leaf(&x),
            }
        };
        let (a, b, c) = (var(), var(), var());
        let axis = rng.random_range(-6..6_i64) as isize;
        let (i, j) = (rng.random_range(0..5), rng.random_range(0..5));
        let y = match rng.random_range(0..48) {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a / b,
            4 => a.matmul(b),
            5 => a.linear(b, Some(c)),
            6 => a.linear(b, None),
            7 => a.t(),
            8 => a.transpose(axis, 1),
            9 => a.permute(&[1, 0]),
            10 => a.permute(&[0, 2, axis]),
            11 => a.reshape([i, j]),
            12 => a.slice(axis, i..j),
            13 => a.select(axis, i),
            14 => a.unsqueeze(axis),
            15 => a.squeeze(axis),
            16 => a.chunk::<2>(axis)[1],
            17 => g.concat(&[a, b, c], axis),
            18 => g.stack(&[a, b], axis),
            19 => g.concat(&[], axis),
            20 => a.sum_dim(&[axis], true),
            21 => a.amax(&[axis, 0], false),
            22 => a.max(),
            23 => a.mean(),
            24 => a.softmax(axis),
            25 => a.log_softmax(axis),
            26 => a.layer_norm(Some(b), Some(c), 1e-5),
            27 => a.layer_norm(None, None, 1e-5),
            28 => a.dropout(rng.random_range(-0.5..1.5)),
            29 => a.embedding(b),
            30 => a.cross_entropy(b),
            31 => a.mse_loss(b),
            32 => a.attention(b, c, true),
            33 => a.scaled_dot_product_attention(b, c, false),
            34 => a.broadcast_to([i, j, 2]),
            35 => a.leaky_relu(0.1) + a.elu(1.0) + a.softplus(),
            36 => a.pow(-0.5).sqrt().log(),
            37 => a.clamp(1.0, -1.0),
            38 => a.mean_dim(&[axis, axis], true),
            39 => a.amin(&[axis], true).minimum(b),
            40 => a.flatten().slice(0, j..i),
            41 => a.t().contiguous().permute(&[axis, 0, 1, 2]),
            42 => a.embedding(b).cross_entropy(c),
            43 => a.t().layer_norm(Some(b), None, 0.0).t().sum_dim(&[], false),
            44 => a.rms_norm(Some(b), None),
            45 => a.rms_norm(None, Some(0.0)),
            46 => a.linear_activation(b, Some(c), ops::FusedActivation::Tanh),
            _ => a.maximum(b).gelu(),
        };
        match y.sum().backward() {
            Ok(_) => answers += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                errors += 1;
            }
        }
        let _ = format!("{y:?}");
    }
    assert!(
        answers > 5_000 && errors > 5_000,
        "{answers} answers, {errors} errors: the draw is lopsided"
    );
}
