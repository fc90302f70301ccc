//! Layers: one network object under every scalar, equal results however a net is put together, errors with their places.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_autodiff::{Problem, ops::FusedActivation};
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(3)
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Mlp {
    hidden: Linear,
    act: ReLU,
    out: Linear,
}

impl Layer for Mlp {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.out.forward(self.act.forward(self.hidden.forward(x)))
    }
}

fn mlp<T: Scalar>(params: &mut Params<T>) -> Mlp {
    Mlp {
        hidden: Linear::new(params, 4, 8, &mut rng()),
        act: ReLU,
        out: Linear::new(params, 8, 1, &mut rng()),
    }
}

const X: [f64; 8] = [0.1, -0.2, 0.3, 0.4, -0.5, 0.6, 0.7, 0.8];

fn run<T: Scalar>(net: &impl Layer, params: &mut Params<T>) -> (T, Vec<T>) {
    run_on(X.map(T::from_f64), net, params)
}

fn run_on<T: Scalar>(x: [T; 8], net: &impl Layer, params: &mut Params<T>) -> (T, Vec<T>) {
    params.zero_grad();
    let mut tape = Tape::new();
    let g = tape.record(params);
    let loss = net
        .forward(g.input((&x[..], [2, 4])))
        .square()
        .mean()
        .backward()
        .unwrap();
    let grads = net
        .named_parameters()
        .into_iter()
        .flat_map(|(_, id)| params.grad_slice(id).unwrap().unwrap().to_vec());
    (loss, grads.collect())
}

#[test]
fn tuple_struct_and_sequential_agree() {
    let mut params = Params::<f64>::new();
    let net = mlp(&mut params);
    let tuple = (net.hidden.clone(), ReLU, net.out.clone());
    let sequential = sequential![net.hidden.clone(), ReLU, net.out.clone()];
    let boxes: Vec<Box<dyn DynLayer>> = vec![
        Box::new(net.hidden.clone()),
        Box::new((ReLU,)),
        Box::new(sequential![Box::new(net.out.clone())]),
    ];
    let expected = run(&net, &mut params);
    assert_eq!(run(&tuple, &mut params), expected);
    assert_eq!(run(&sequential, &mut params), expected);
    assert_eq!(run(&boxes, &mut params), expected);
    assert_eq!(
        run(
            &(net.hidden.clone(), [ReLU, ReLU], Identity, net.out.clone()),
            &mut params
        ),
        expected
    );
    assert_eq!(params.len(), 4, "nothing was copied");
}

#[test]
fn one_network_object_runs_under_every_scalar() {
    let mut single = Params::<f32>::new();
    let net = mlp(&mut single);
    let net = (
        net.clone(),
        sequential![Identity],
        net.hidden.clone().into_unit(),
    );
    let (loss, grads) = run(&net, &mut single);

    let mut double = single.cast::<f64>();
    let (precise, precise_grads) = run(&net, &mut double);
    assert!((f64::from(loss) - precise).abs() < 1e-6 * precise.abs().max(1.0));
    for (a, b) in grads.iter().zip(&precise_grads) {
        assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
    }

    // The derivative along one weight, carried by dual numbers through forward and backward.
    let mut dual = double.cast::<Dual<f64>>();
    let weight = net.0.hidden.weight;
    dual.as_mut_slice(weight).unwrap()[5].eps = 1.0;
    let (loss, _) = run(&net, &mut dual);
    assert!((loss.re - precise).abs() < 1e-12);
    assert!((loss.eps - precise_grads[5]).abs() < 1e-12);

    let mut dual = double.cast::<Dual<f32>>();
    assert!((f64::from(run(&net, &mut dual).0.re) - precise).abs() < 1e-5);
}

/// A layer from outside, with a data field and no parameters.
trait IntoUnit {
    fn into_unit(self) -> Times;
}

#[derive(Module, Clone)]
#[module(crate = "tiegrad_nn")]
struct Times {
    factor: f64,
}

impl IntoUnit for Linear {
    fn into_unit(self) -> Times {
        Times {
            factor: self.in_features as f64,
        }
    }
}

impl Layer for Times {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.affine(self.factor, 0.0)
    }
}

#[test]
fn networks_are_send_and_sync() {
    fn check<M: Send + Sync + 'static>() {}
    check::<Sequential>();
    check::<GPT>();
    check::<(Mlp, Vec<Box<dyn DynLayer>>)>();
    check::<NameError>();
    check::<init::InitError>();
}

#[test]
fn errors_name_the_users_line_and_the_layer() {
    let mut params = Params::<f32>::new();
    let mut bad = mlp(&mut params);
    bad.out = Linear::new(&mut params, 9, 1, &mut rng());
    let tuple = (bad.hidden.clone(), ReLU, bad.out.clone());
    let mut tape = Tape::new();
    let g = tape.eval(&params);

    let line = line!() + 1;
    let error = tuple.forward(g.full([2, 4], 1.0)).item().unwrap_err();
    assert_eq!(
        (error.location().file(), error.location().line()),
        (file!(), line)
    );
    assert_eq!(error.op(), "linear");
    let weight = bad.out.weight;
    let explained = tuple.explain(&error);
    assert!(
        explained.contains(&format!("\n  {weight} is 2.weight (Linear)")),
        "{explained}"
    );

    // In a user's layer: the line within that layer.
    let error = bad.forward(g.full([2, 4], 1.0)).item().unwrap_err();
    assert_eq!(error.location().file(), file!());
    assert!(bad.explain(&error).contains("is out.weight (Linear)"));

    // A net that does not hold the parameter says so.
    assert!(
        bad.hidden
            .explain(&error)
            .contains("is no parameter of this net")
    );
    let error = bad.hidden.forward(g.full([2, 3], 1.0)).item().unwrap_err();
    assert!(bad.explain(&error).contains("is hidden.weight (Linear)"));
}

#[test]
fn stale_and_foreign_parameters_are_errors() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    params.remove(net.out.weight).unwrap();
    let mut tape = Tape::new();
    let error = net
        .forward(tape.eval(&params).full([2, 4], 1.0))
        .item()
        .unwrap_err();
    let text = net.explain(&error);
    assert!(
        text.contains("was removed") && text.contains("is out.weight (Linear)"),
        "{text}"
    );
    assert!(
        net.init(&mut params, init::zeros(), &mut rng())
            .unwrap_err()
            .to_string()
            .starts_with("out.weight: ")
    );
    assert!(net.duplicate(&mut params).is_err());
    assert!(Linear::from_ids(&params, net.out.weight, None).is_err());

    let other = Params::<f32>::new();
    assert!(
        net.forward(tape.eval(&other).full([2, 4], 1.0))
            .item()
            .is_err()
    );
}

#[test]
fn linears_from_ids_are_checked() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    let (weight, bias) = (net.hidden.weight, net.hidden.bias);
    assert_eq!(Linear::from_ids(&params, weight, bias).unwrap(), net.hidden);
    let error = Linear::from_ids(&params, weight, net.out.bias)
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("the bias has the shape [8], "), "{error}");
    let error = Linear::from_ids(&params, bias.unwrap(), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the weight of a Linear has two dimensions, "),
        "{error}"
    );
}

#[test]
fn declared_where_the_user_wrote_it() {
    let config = GptConfig {
        n_layer: 1,
        ..GptConfig::default()
    };
    let mut params = Params::<f32>::new();
    let line = line!() + 1;
    let layer = Linear::new(&mut params, 2, 2, &mut rng());
    let built = Linear::with(2, 2).build(&mut params, &mut rng()).unwrap();
    let norm = LayerNorm::new(&mut params, 2);
    let table = Embedding::new(&mut params, 2, 2, &mut rng());
    let gpt = GPT::new(&mut params, &config, &mut rng()).unwrap();
    let copy = layer.duplicate(&mut params).unwrap();
    let ids = [
        layer.weight,
        built.weight,
        norm.weight.unwrap(),
        table.weight,
        gpt.h[0].mlp.c_fc.weight,
        copy.weight,
    ];
    let lines = ids.map(|id| params.info(id).unwrap().declared_at);
    assert!(lines.iter().all(|at| at.file() == file!()), "{lines:?}");
    assert_eq!(lines.map(|at| at.line() - line), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn layer_norm_without_parameters_keeps_its_shape() {
    let mut params = Params::<f64>::new();
    let plain = LayerNorm::with(&mut params, [2, 3], 1e-5, false, false).unwrap();
    let affine = LayerNorm::new(&mut params, [2, 3]);
    assert_eq!(
        plain.to_string(),
        "LayerNorm((2, 3), eps=1e-05, elementwise_affine=False)"
    );
    assert!(plain.named_parameters().is_empty());
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let x = g.input((&[1.0, 2.0, 4.0, -8.0, 16.0, 3.0][..], [1, 2, 3]));
    assert_eq!(
        plain.forward(x).value().unwrap(),
        affine.forward(x).value().unwrap()
    );
    assert!(plain.forward(g.full([3, 3], 1.0)).value().is_err());
}

/// Against the formula, over two dimensions, and PyTorch's machine epsilon where none is given.
#[test]
fn rms_norm_computes_the_formula() {
    let mut params = Params::<f64>::new();
    let plain = RMSNorm::with(&mut params, [2, 3], Some(0.5), false).unwrap();
    let affine = RMSNorm::with(&mut params, [2, 3], Some(0.5), true).unwrap();
    params.value_mut(affine.weight.unwrap()).unwrap().fill(2.0);
    let last = RMSNorm::new(&mut params, 3);
    assert!(plain.named_parameters().is_empty());
    assert_eq!(affine.named_parameters()[0].0, "weight");
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let x = [1.0, 2.0, 4.0, -8.0, 16.0, 3.0];
    let input = g.input((&x[..], [1, 2, 3]));
    let scale = |x: &[f64], eps: f64| {
        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        1.0 / (square + eps).sqrt()
    };
    let close = |y: Var<'_, f64>, expected: Vec<f64>| {
        for (y, e) in y.value().unwrap().iter().zip(expected) {
            // Six roundings at most on the way.
            assert!((y - e).abs() <= 1e-15 * (1.0 + e.abs()), "{y} is not {e}");
        }
    };
    let s = scale(&x, 0.5);
    close(plain.forward(input), x.map(|x| x * s).to_vec());
    close(affine.forward(input), x.map(|x| 2.0 * x * s).to_vec());
    let rows = [&x[..3], &x[3..]].map(|row| (row, scale(row, f64::EPSILON)));
    let each = rows.map(|(row, s)| row.iter().map(|x| x * s).collect::<Vec<_>>());
    close(last.forward(input), each.concat());
    // Beside these squares there is only eps under the root.
    let tiny = last.forward(g.input(&[1e-20, -1e-20, 0.0]));
    let scale = 1e-20 / f64::EPSILON.sqrt();
    close(tiny, [scale, -scale, 0.0].to_vec());
    assert!(plain.forward(g.full([3, 3], 1.0)).value().is_err());

    // A row has a dimension at least: without one, every number would be a row.
    let zero_dim = RMSNorm::with(&mut params, [], None, true).unwrap();
    let g = tape.eval(&params);
    let (one, x) = (Some(g.scalar(1.0)), g.input(&[3.0, 4.0]));
    for y in [
        x.rms_norm(one, Some(0.0)),
        x.layer_norm(one, None, 0.0),
        x.layer_norm(None, one, 0.0),
        g.scalar(2.0).layer_norm(None, None, 0.0),
        zero_dim.forward(x),
    ] {
        let problem = y.value().unwrap_err().problem();
        assert!(
            matches!(problem, Problem::Rank { found: 0, .. }),
            "{problem}"
        );
    }

    // In f32 it is the epsilon of f32.
    let mut params = Params::<f32>::new();
    let last = RMSNorm::new(&mut params, 3);
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let y = last
        .forward(g.input(&[1e-10, -1e-10, 0.0]))
        .value()
        .unwrap();
    let scale = 1e-10 / f32::EPSILON.sqrt();
    for (y, e) in y.iter().zip([scale, -scale, 0.0]) {
        assert!(
            (y - e).abs() <= 4.0 * f32::EPSILON * scale,
            "{y} is not {e}"
        );
    }
}

#[test]
fn activations_print_and_compute() {
    let params = Params::<f64>::new();
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let x = g.input(&[-1.0, 2.0]);
    let value = |y: Var<'_, f64>| y.value().unwrap().iter().copied().collect::<Vec<_>>();
    let net = (
        ReLU,
        LeakyReLU::default(),
        Tanh,
        Sigmoid,
        SiLU,
        GELU,
        GELUTanh,
        Softmax { dim: 0 },
        LogSoftmax { dim: -1 },
        Flatten,
    );
    insta::assert_snapshot!(net.repr(), @r"
    Sequential(
      (0): ReLU()
      (1): LeakyReLU(negative_slope=0.01)
      (2): Tanh()
      (3): Sigmoid()
      (4): SiLU()
      (5): GELU(approximate='none')
      (6): GELU(approximate='tanh')
      (7): Softmax(dim=0)
      (8): LogSoftmax(dim=-1)
      (9): Flatten(start_dim=1, end_dim=-1)
    )
    ");
    let near = |y: Var<'_, f64>, expected: [f64; 2]| {
        let got = value(y);
        assert!(
            got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{got:?} {expected:?}"
        );
    };
    near(net.0.forward(x), [0.0, 2.0]);
    near(net.1.forward(x), [-0.01, 2.0]);
    near(net.2.forward(x), [(-1.0_f64).tanh(), 2.0_f64.tanh()]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    near(net.3.forward(x), [sigmoid(-1.0), sigmoid(2.0)]);
    near(net.4.forward(x), [-sigmoid(-1.0), 2.0 * sigmoid(2.0)]);
    near(
        net.5.forward(x),
        [-0.158_655_253_931_457, 1.954_499_736_103_642],
    );
    near(net.6.forward(x), [-0.158_808_009_392, 1.954_597_694_087]);
    near(net.7.forward(x), [sigmoid(-3.0), sigmoid(3.0)]);
    near(net.8.forward(x), [sigmoid(-3.0).ln(), sigmoid(3.0).ln()]);
    near(net.9.forward(x), [-1.0, 2.0]);
    assert!(Dropout::new(1.5).forward(x).value().is_err());
}

/// The row r14: PyTorch and Gluon keep (out, in), Keras (in, out).
#[test]
fn a_linear_is_made_from_arrays_of_either_layout() {
    use ndarray::{array, s};
    let mut params = Params::<f64>::new();
    let weight = array![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
    let bias = array![0.5, -0.5];
    let plain = Linear::from_weight(&mut params, &weight, Some(&bias)).unwrap();
    let kernel = Linear::from_kernel(&mut params, &weight.t().to_owned(), Some(&bias)).unwrap();
    // Views of any strides do too.
    let wide = ndarray::Array2::from_shape_fn((4, 3), |(i, j)| weight[[i / 2, j]]);
    let view = Linear::from_weight(&mut params, &wide.slice(s![..;2, ..]), None).unwrap();
    for layer in [&plain, &kernel, &view] {
        assert_eq!((layer.in_features, layer.out_features), (3, 2));
        let value = params.value(layer.weight).unwrap();
        assert_eq!(value, weight.clone().into_dyn());
        let by = params.initialized(layer.weight).unwrap().unwrap();
        assert_eq!(by.by, "Linear::from_weight");
    }
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let x = g.input(&array![1.0, 10.0, 100.0]);
    for layer in [plain, kernel] {
        assert_eq!(
            layer.forward(x).value().unwrap(),
            array![321.5, 653.5].into_dyn()
        );
    }
    assert_eq!(
        view.forward(x).value().unwrap(),
        array![321.0, 654.0].into_dyn()
    );

    // A bias of another size is an error that leaves nothing behind.
    let before = params.len();
    let error = Linear::from_kernel(&mut params, &weight, Some(&bias)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a bias for 3 outputs has the shape [3], and this one [2]"
    );
    assert_eq!(params.len(), before);
}

/// The fused layer's numbers and gradients are those of the two layers, to the bit, whether its op is fused or not.
#[test]
fn a_dense_layer_is_a_linear_layer_and_its_activation() {
    fn same_bits<T: Scalar>(make: fn(f64) -> T) {
        for activation in [
            Activation::Linear,
            Activation::ReLU,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::GELU,
            Activation::SiLU,
        ] {
            for bias in [true, false] {
                let mut params = Params::<T>::new();
                let linear = Linear::with(4, 70)
                    .bias(bias)
                    .build(&mut params, &mut rng())
                    .unwrap();
                let last = Linear::new(&mut params, 70, 3, &mut rng());
                let fused = (linear.clone().activated(activation), last.clone());
                let apart = (linear, Apart(activation), last);
                for (_, id) in fused.named_parameters() {
                    let mut value = params.value_mut(id).unwrap();
                    value.mapv_inplace(|x| make(x.to_f64()));
                }
                // Printed, both parts of dual numbers count, and so does the sign of zero.
                let fused = format!("{:?}", run_on(X.map(make), &fused, &mut params));
                let apart = format!("{:?}", run_on(X.map(make), &apart, &mut params));
                assert_eq!(fused, apart, "{activation:?} {bias}");
            }
        }
    }
    same_bits(|x| x as f32);
    same_bits(|x| x);
    same_bits(|x| Dual {
        re: x,
        eps: 0.7 - x * x,
    });
}

/// PyTorch's `threshold_backward`: zero where the result is at most 0, whatever the gradient, which passes elsewhere, at NaN too. Its
/// `clamp` is zero outside, and at NaN.
#[test]
fn relu_and_clamp_select_what_passes_back() {
    fn grad<T: Scalar>(f: impl Fn(Var<'_, T>) -> Var<'_, T>) -> Vec<f64> {
        let (nan, inf) = (T::from_f64(f64::NAN), T::INFINITY);
        let [one, two] = [1.0, 2.0].map(T::from_f64);
        // Several of each, for vectors and what is left over.
        let x = [-one, nan, T::ZERO, two, -inf, -one].repeat(7);
        let dy = [inf, two, nan, two, nan, nan].repeat(7);
        let mut params = Params::<T>::new();
        let mut tape = Tape::new();
        let g = tape.record(&mut params);
        let x = g.leaf((&x[..], [42, 1]));
        let dy = g.input((&dy[..], [42, 1]));
        (f(x) * dy).sum().backward().unwrap();
        let dx = x.grad().unwrap().unwrap();
        dx.iter().map(|dx| dx.to_f64()).collect()
    }
    fn check<T: Scalar>() {
        let expected = [0.0, 2.0, 0.0, 2.0, 0.0, 0.0].repeat(7);
        assert_eq!(grad::<T>(|x| x.relu()), expected);
        let fused = grad::<T>(|x| {
            let identity = x.graph().input((&[T::ONE][..], [1, 1]));
            x.linear_activation(identity, None, FusedActivation::Relu)
        });
        assert_eq!(fused, expected);
        let expected = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0].repeat(7);
        assert_eq!(grad::<T>(|x| x.clamp(0.5, 1e9)), expected);
    }
    check::<f32>();
    check::<f64>();
    check::<Dual<f64>>();
}

/// An activation as a layer of its own.
#[derive(Module, Clone, Copy)]
#[module(crate = "tiegrad_nn")]
struct Apart(#[module(skip)] Activation);

impl Layer for Apart {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        self.0.forward(x)
    }
}
