//! The shape-only pass: the shapes of a pass with numbers, and no numbers.

use tiegrad::autodiff::Problem;
use tiegrad::nn::spec::Reason;
use tiegrad::prelude::*;

use crate::common::{gpt, rng, tokens as batch};

#[test]
fn shapes_are_those_of_a_pass_with_numbers() {
    for tied in [true, false] {
        let mut params = Params::<f32>::new();
        let net = gpt(tied, &mut params);
        let (x, _) = batch();
        let mut tape = Tape::new();
        let g = tape.eval(&params);
        let real = *net.forward(g.indices(&x)).shape();
        assert_eq!(net.output_shape(&params, tokens([3, 5])).unwrap(), real);
        assert_eq!(real, [3, 5, 7]);
    }
}

#[test]
fn a_net_as_large_as_no_memory_is_summed_up_at_once() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 100, 200, &mut rng(1)),
        ReLU,
        Linear::new(&mut params, 200, 10, &mut rng(1)),
    );
    // 2³⁰ rows: 800 GB of activations.
    let summary = net.summary(&params, [1 << 30, 100]).unwrap();
    assert_eq!(
        summary.multiply_adds,
        Some((1 << 30) * (100 * 200 + 200 * 10))
    );
    assert_eq!(&*summary.rows[1].outputs[0].0, [1 << 30, 200]);
}

#[test]
fn there_are_no_values_and_no_gradients() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.shapes(&params, &());
    let x = g.placeholder([2, 3]);
    let y = (x + g.full([3], 1.0)).sum();
    for error in [
        y.item().unwrap_err(),
        y.value().unwrap_err(),
        y.as_slice().unwrap_err(),
        y.backward().unwrap_err(),
        y.grad().unwrap_err(),
        x.backward_with(&[0.0]).unwrap_err(),
        g.placeholder([2]).item().unwrap_err(),
    ] {
        assert_eq!(error.problem(), Problem::NoValues, "{error}");
    }
    assert!(!y.requires_grad());
    assert_eq!(format!("{x:?}"), "Var(shape=[2, 3], shape only)");
    assert!(g.placeholder([1; 9]).error().is_some());
}

#[test]
fn errors_are_those_of_a_pass_with_numbers() {
    let params = Params::<f32>::new();
    let mut tape = Tape::new();
    let g = tape.shapes(&params, &());
    let (x, i) = (g.placeholder([2, 3]), g.placeholder_indices([4]));
    let problem = |var: Var<'_, f32>| var.error().map(|error| error.problem());
    assert_eq!(problem(x + g.placeholder([4])), Some(Problem::Broadcast));
    assert_eq!(problem(x + i), Some(Problem::ExpectedValues { operand: 1 }));
    assert_eq!(
        problem(x.embedding(x)),
        Some(Problem::ExpectedIndices { operand: 1 })
    );
    assert_eq!(problem(x.embedding(i)), None);
    assert_eq!(
        problem(x.reshape([7])),
        Some(Problem::Numel { from: 6, to: 7 })
    );
    // The first error goes on.
    assert_eq!(
        problem((x.reshape([7]) + x).relu()),
        Some(Problem::Numel { from: 6, to: 7 })
    );
    let mut other = Tape::new();
    let foreign = other.shapes(&params, &()).placeholder([2, 3]);
    assert_eq!(problem(x + foreign), Some(Problem::TwoGraphs));
}

/// x (batch, 4): a block of the user's own, which tells of itself, and one that does not.
#[derive(Module, Clone)]
struct Residual {
    fc: Linear,
    again: Linear,
    scale: ParamId,
    act: Tanh,
    quiet: Quiet,
}

#[derive(Module, Clone)]
struct Quiet {
    inner: Linear,
}

impl Layer for Quiet {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.inner.forward(x)
    }
}

impl Layer for Residual {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.within(
            || Part::of(self),
            |x| {
                let h = self.act.forward(self.fc.forward(x));
                let h = self.again.forward(h) * x.graph().param(self.scale);
                x + self.quiet.forward(h.matmul(h.t()).matmul(h))
            },
        )
    }
}

#[test]
fn a_users_own_layers_are_seen() {
    let mut params = Params::<f32>::new();
    let fc = Linear::new(&mut params, 4, 4, &mut rng(1));
    let net = (
        Residual {
            again: fc.clone(),
            scale: params.insert(&array![1.0]).unwrap(),
            act: Tanh,
            quiet: Quiet {
                inner: Linear::new(&mut params, 4, 4, &mut rng(1)),
            },
            fc,
        },
        ReLU,
        ReLU,
    );
    let summary = net.summary(&params, [3, 4]).unwrap();
    let seen: Vec<_> = summary
        .rows
        .iter()
        .map(|row| {
            let outputs = row
                .outputs
                .iter()
                .map(|(shape, count)| (shape.to_vec(), *count));
            (&*row.path, outputs.collect::<Vec<_>>(), row.multiply_adds)
        })
        .collect();
    let once = || vec![(vec![3, 4], 1)];
    assert_eq!(
        seen,
        [
            ("", once(), 0),
            // Its own: the parameter-free products, 3·3·4 each.
            ("0", once(), 72),
            ("0.fc", once(), 48),
            ("0.again", once(), 48),
            ("0.act", once(), 0),
            // Made of others, in no container, and says nothing.
            ("0.quiet", vec![], 0),
            ("0.quiet.inner", once(), 48),
            ("1", once(), 0),
            ("2", once(), 0),
        ]
    );
    assert_eq!(summary.multiply_adds, Some(72 + 3 * 48));
}

#[test]
fn each_use_of_a_tie_is_counted() {
    let mut params = Params::<f32>::new();
    let cell = Linear::new(&mut params, 8, 8, &mut rng(1));
    let net: Vec<Linear> = vec![cell; 9];
    let summary = net.summary(&params, [2, 8]).unwrap();
    assert_eq!(
        (summary.multiply_adds, summary.unique),
        (Some(9 * 2 * 64), 72)
    );

    // One module used nine times is one row.
    #[derive(Module, Clone)]
    struct Rnn {
        hh: Linear,
    }
    impl Layer for Rnn {
        fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
            (0..9).fold(x, |h, _| self.hh.forward(h).tanh())
        }
    }
    let net = Rnn {
        hh: Linear::new(&mut params, 8, 8, &mut rng(1)),
    };
    let summary = net.summary(&params, [2, 8]).unwrap();
    assert_eq!(summary.rows[1].multiply_adds, 9 * 2 * 64);
    assert_eq!(summary.rows[1].outputs, [(Shape::new(&[2, 8]).unwrap(), 9)]);
    assert!(summary.to_string().contains("(2, 8) ×9"), "{summary}");
}

#[test]
fn a_misfit_is_named_by_layer_and_both_shapes() {
    let mut params = Params::<f32>::new();
    let wrong = Linear::new(&mut params, 5, 4, &mut rng(1));
    let mut inner = Sequential::new();
    inner
        .push(Linear::new(&mut params, 4, 8, &mut rng(1)))
        .push(ReLU);
    inner.push_named("too narrow", wrong.clone()).unwrap();
    let net = (inner, wrong);
    let error = net.summary(&params, [2, 4]).unwrap_err();
    assert_eq!((error.path(), error.kind()), ("0.too narrow", "Linear"));
    let shapes: Vec<_> = error.error().shapes().iter().map(|s| s.to_vec()).collect();
    assert_eq!(shapes, [vec![2, 8], vec![4, 5], vec![4]]);
    assert!(error.to_string().contains("is 8, expected 5"), "{error}");
    assert!(
        error.error().location().file().ends_with("layer_ext.rs")
            || error.error().location().file().ends_with("shapes.rs")
    );

    // Without parameters: the innermost part that had no result.
    #[derive(Module, Clone)]
    struct Halve;
    impl Layer for Halve {
        fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
            x.reshape([2, x.shape().len() / 2])
        }
    }
    let net = ((ReLU, Halve), ReLU);
    assert_eq!(net.output_shape(&params, [3, 4]).unwrap(), [2, 6]);
    let error = net.output_shape(&params, [3, 3]).unwrap_err();
    assert_eq!((error.path(), error.kind()), ("0.1", "Halve"));

    let error = gpt(true, &mut params)
        .summary(&params, tokens([1, 7]))
        .unwrap_err();
    assert!(error.to_string().contains("0..7"), "{error}"); // six positions
}

#[test]
fn specs_are_built_from_one_input_shape() {
    let mut params = Params::<f32>::new();
    let specs = || {
        [
            flatten(),
            dense(8).relu(),
            sequential([dense(3).bias(false).tanh(), layer_norm(), dropout(0.5)]).named("block 1"),
            dense(1).weight_init(init::ones()),
        ]
    };
    let net = Sequential::build(specs(), &mut params, [2, 2, 5], &mut rng(1)).unwrap();
    let names: Vec<String> = net
        .named_parameters()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "1.weight",
            "1.bias",
            "block 1.0.weight",
            "block 1.1.weight",
            "block 1.1.bias",
            "3.weight",
            "3.bias"
        ]
    );
    assert_eq!(net.output_shape(&params, [7, 10]).unwrap(), [7, 1]); // any batch
    // The same values as by hand, in the same order of construction.
    let mut by_hand = Params::<f32>::new();
    let rng = &mut rng(1);
    let linear = Linear::new(&mut by_hand, 10, 8, rng);
    assert_eq!(
        by_hand.as_slice(linear.weight).unwrap(),
        params.as_slice(net.find("1.weight").unwrap()).unwrap()
    );
    // Fused or apart: the numbers are equal.
    let fused = net.get::<Dense>(1).unwrap();
    let apart = (fused.linear.clone(), ReLU);
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let x = g.full([2, 10], 0.3);
    assert_eq!(
        fused.forward(x).value().unwrap(),
        apart.forward(x).value().unwrap()
    );
}

#[test]
fn a_failed_build_leaves_nothing_behind() {
    let mut params = Params::<f32>::new();
    let own = Linear::new(&mut params, 9, 1, &mut rng(1));
    let before = (params.len(), params.num_elements());
    let tries = [
        (
            vec![dense(8), sequential([dense(3), layer(own.clone())])],
            "1.1",
            "Linear",
        ),
        (
            vec![dense(8).named("a"), dense(8).named("a")],
            "a",
            "Linear",
        ),
        (vec![embedding(5, 3)], "0", "Embedding"), // values where indices are wanted
        (vec![dense(usize::MAX)], "0", "Linear"),
    ];
    for (specs, path, kind) in tries {
        let error = Sequential::build(specs, &mut params, [2, 4], &mut rng(1)).unwrap_err();
        assert_eq!((&*error.path, &*error.kind), (path, kind), "{error}");
        assert_eq!((params.len(), params.num_elements()), before, "{error}");
        assert!(params.contains(own.weight));
    }
    let error = Sequential::build([dense(8)], &mut params, [], &mut rng(1)).unwrap_err();
    assert!(matches!(error.reason, Reason::NoDimension), "{error}");
    let text = "(Linear) cannot take an input of shape []";
    assert!(error.to_string().contains(text), "{error}");
}
