//! The chapter's exercises. Each is an example that runs by itself; here it runs too.

use tiegrad::prelude::*;

use crate::examples;
use crate::nets::{block1, rng, tied_mlp, x};

/// "Use the NestMLP model and access the parameters of the various layers."
#[test]
fn e1_access_the_parameters_of_a_nested_mlp() {
    #[derive(Module, Clone)]
    struct NestMlp {
        net: (Linear, ReLU, Linear, ReLU),
        linear: Linear,
    }
    impl Layer for NestMlp {
        fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
            self.linear.forward(self.net.forward(x))
        }
    }
    let mut params = Params::<f32>::new();
    let rng = &mut rng(1);
    let nested = NestMlp {
        net: block1(&mut params, rng),
        linear: Linear::new(&mut params, 4, 16, rng),
    };
    let chimera = (nested.clone(), Linear::new(&mut params, 16, 20, rng), ReLU);
    let names: Vec<String> = chimera
        .named_parameters()
        .into_iter()
        .map(|p| p.0)
        .collect();
    assert_eq!(
        names,
        [
            "0.net.0.weight",
            "0.net.0.bias",
            "0.net.2.weight",
            "0.net.2.bias",
            "0.linear.weight",
            "0.linear.bias",
            "1.weight",
            "1.bias"
        ]
    );
    assert_eq!(chimera.find("0.net.2.weight"), Ok(nested.net.2.weight));
    assert_eq!(chimera.0.net.2.weight, nested.net.2.weight);
    assert_eq!(
        chimera.summary(&params, [2, 4]).unwrap().unique,
        40 + 36 + 80 + 340
    );

    examples::chapter_mlp::main().unwrap();
    examples::nested_blocks::main().unwrap();
}

/// "Look at the initialization module document to explore different initializers": a picture of each distribution.
#[test]
fn e2_explore_the_initializers() {
    let name = format!("tiegrad_initializers_{}.svg", std::process::id());
    let path = std::env::temp_dir().join(name);
    examples::initializers::explore(&path).unwrap();
    let picture = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(picture.trim_end().ends_with("</svg>") && !picture.contains("NaN"));
    // Each of them by its name: PyTorch's, and what Keras and Gluon add.
    let functions = [
        "zeros",
        "constant",
        "uniform",
        "normal",
        "trunc_normal",
        "xavier_uniform",
        "xavier_normal",
        "kaiming_uniform",
        "kaiming_normal",
        "lecun_uniform",
        "lecun_normal",
        "variance_scaling",
        "gluon_xavier",
        "msra_prelu",
        "orthogonal",
        "eye",
        "sparse",
        "dirac",
        "bilinear",
        "lstm_bias",
        "pytorch_default",
        "keras_default",
        "gluon_default",
        "chapter",
    ];
    for function in functions {
        assert!(
            picture.contains(function),
            "{function} is not in the picture"
        );
    }
}

/// "Construct an MLP containing a shared parameter layer and train it; observe the parameters and gradients of each layer."
#[test]
fn e3_train_with_a_shared_layer_and_watch() {
    // What the example prints is there to be printed: norms of every parameter and gradient, two uses of the shared one, a cosine.
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    let (mut tape, mut uses, mut opt) = (Tape::new(), UseGrads::new(), SGD::new(0.05));
    let mut losses = Vec::new();
    for _ in 0..50 {
        let g = tape.record(&mut params).per_use(&mut uses);
        let y = net.forward(g.input(x::<f32>()));
        losses.push(y.mse_loss(g.full([2, 1], 1.0)).backward().unwrap());
        let report = net.report(&params);
        assert_eq!(report.rows.len(), 6);
        assert!(report.rows.iter().all(|row| row.norm > 0.0));
        let shared = report
            .rows
            .iter()
            .find(|row| row.path == "2.weight")
            .unwrap();
        assert_eq!(shared.aliases, [("4.weight".to_owned(), false)]);
        let used = net.use_report(&uses);
        let used = used.parameters.iter().find(|used| used.path == "2.weight");
        let (used, of_slot) = (used.unwrap(), shared.grad.as_ref().unwrap().norm);
        assert_eq!(used.uses.len(), 2);
        assert!((used.norm - of_slot).abs() < 1e-5 * (1.0 + of_slot));
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    assert!(losses[49] < losses[0] / 2.0, "{losses:?}");

    examples::shared_layer::main().unwrap();
}

/// "Why is sharing parameters a good idea?" The example's experiment, small: fewer parameters; and where what is like the last token is likely to come next, a better
/// held-out loss from the same data.
#[test]
fn e4_why_share() {
    let experiments = examples::tied_vs_untied::experiments(120, 2, 2).unwrap();
    for experiment in &experiments {
        let [tied, untied] = &experiment.curves;
        assert!(tied.tied && !untied.tied);
        assert!(
            tied.parameters * 10 < untied.parameters * 6,
            "{}",
            experiment.title
        );
        for (i, (amount, losses)) in tied.points.iter().enumerate() {
            assert!(losses.iter().all(|loss| loss.is_finite()) && *amount > 0);
            assert!(tied.mean(i) > 0.0 && untied.mean(i) > 0.0);
        }
    }
    let [_, walk, _] = &experiments;
    let last = walk.curves[0].points.len() - 1;
    let (tied, untied) = (walk.curves[0].mean(last), walk.curves[1].mean(last));
    assert!(tied < untied, "{tied} and {untied}");
    let figure = examples::tied_vs_untied::figure(&experiments).unwrap();
    for part in [
        "<svg",
        "language model, a walk",
        "autoencoder",
        "held-out loss",
        "</svg>",
    ] {
        assert!(figure.contains(part), "{part}");
    }
    assert!(!figure.contains("NaN"));
}
