//! The gradients of tied parameters.

use tiegrad::prelude::*;

use crate::data::{assert_gradients, load_state, tensor};
use crate::nets::{TiedMlp, rng, run, tied_mlp};

/// The net with a layer of its own at each use, with equal values.
fn taken_apart<T: Scalar>(net: &TiedMlp, params: &mut Params<T>) -> TiedMlp {
    let mut apart = net.clone();
    apart.4 = net.4.duplicate(params).unwrap();
    apart
}

fn backward<T: Scalar>(
    net: &impl Layer,
    params: &mut Params<T>,
    x: &ArrayD<T>,
    target: &ArrayD<T>,
) -> T {
    let mut tape = Tape::new();
    let g = tape.record(params);
    let loss = net.forward(g.input(x)).mse_loss(g.input(target));
    loss.backward().unwrap()
}

#[test]
fn r50_the_gradients_of_tied_uses_are_added() {
    // PyTorch's net: its loss, its gradients.
    let mut params = Params::<f64>::new();
    let net = tied_mlp(&mut params, 4, 1);
    load_state("tied", &net, &mut params);
    let (x, target) = (tensor("tied/x"), tensor("tied/target"));
    let loss = backward(&net, &mut params, &x, &target);
    assert!((loss - tensor("tied/loss").sum()).abs() < 1e-12);
    assert_gradients("tied", &net, &params, 1e-12);
    let tied = params.grad(net.2.weight).unwrap().unwrap().to_owned();

    // The untied net's two gradients, and PyTorch's of the same net, add up to it.
    let mut params = params.clone();
    let apart = taken_apart(&net, &mut params);
    assert_eq!(backward(&apart, &mut params, &x, &target), loss);
    let [first, second] =
        [apart.2.weight, apart.4.weight].map(|id| params.grad(id).unwrap().unwrap().to_owned());
    let theirs = tensor("tied/use/2.weight") + tensor("tied/use/4.weight");
    for (sum, what) in [(&first + &second, "the untied net"), (theirs, "PyTorch")] {
        // Two terms of size 1 are added: an error of one rounding.
        let error = (&tied - &sum).mapv(f64::abs);
        assert!(error.iter().all(|&e| e < 1e-15 * 4.0), "{what}: {error}");
    }
    assert_ne!(first, second);
    assert_ne!(tied, first);
}

/// Small integers leave nothing to round: the sum is exact, and the same in every order.
#[test]
fn r50_exactly_where_nothing_is_rounded() {
    for seed in 0..10 {
        let mut params = Params::<f32>::new();
        let net = tied_mlp(&mut params, 4, 1);
        let rng = &mut rng(seed);
        for id in params.ids().collect::<Vec<_>>() {
            let mut value = params.value_mut(id).unwrap();
            value.mapv_inplace(|_| rng.random_range(-2..=2) as f32);
        }
        let x = ArrayD::from_shape_simple_fn(vec![2, 4], || rng.random_range(-2..=2) as f32);
        // The mean over two values halves: no rounding either.
        let target = ArrayD::zeros(vec![2, 1]);
        let mut apart_params = params.clone();
        let apart = taken_apart(&net, &mut apart_params);
        let loss = backward(&net, &mut params, &x, &target);
        assert_eq!(backward(&apart, &mut apart_params, &x, &target), loss);
        for leaf in ["weight", "bias"] {
            let of = |params: &Params<f32>, net: &TiedMlp, at: usize| {
                let id = net.find(&format!("{at}.{leaf}")).unwrap();
                params.grad(id).unwrap().unwrap().to_owned()
            };
            let sum = of(&apart_params, &apart, 2) + of(&apart_params, &apart, 4);
            assert_eq!(of(&params, &net, 2), sum, "seed {seed}");
            assert!(
                sum.iter().all(|x| x.abs() < (1 << 24) as f32),
                "exact in f32"
            );
        }
    }
}

#[test]
fn r50_the_same_bits_on_every_run() {
    let bits = || {
        let mut params = Params::<f32>::new();
        let net = tied_mlp(&mut params, 4, 1);
        let x = Array2::from_shape_fn((16, 4), |(i, j)| ((i + 5 * j) as f32).sin()).into_dyn();
        backward(&net, &mut params, &x, &ArrayD::zeros(vec![16, 1]));
        let grads = params
            .ids()
            .map(|id| params.grad_slice(id).unwrap().unwrap());
        let bits = grads.flatten().map(|x| x.to_bits());
        bits.collect::<Vec<u32>>()
    };
    let first = bits();
    for _ in 0..5 {
        assert_eq!(bits(), first);
    }
}

/// The decoder is the encoder's matrix, transposed: `tanh(x wᵀ + be) w + bd`.
#[derive(Module, Clone)]
struct Autoencoder {
    w: ParamId,
    be: ParamId,
    bd: ParamId,
}

impl Layer for Autoencoder {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let [w, be, bd] = [self.w, self.be, self.bd].map(|id| x.graph().param(id));
        let hidden = x.linear(w, Some(be)).tanh();
        hidden.linear(w.t(), Some(bd))
    }
}

#[test]
fn r52_an_autoencoder_with_the_transposed_encoder() {
    let mut params = Params::<f64>::new();
    let mut zeros = |shape: &[usize]| params.insert(&ArrayD::<f64>::zeros(shape)).unwrap();
    let net = Autoencoder {
        w: zeros(&[3, 6]),
        be: zeros(&[3]),
        bd: zeros(&[6]),
    };
    load_state("autoencoder", &net, &mut params);
    let x = tensor("autoencoder/x");
    let loss = backward(&net, &mut params, &x, &x);
    assert!((loss - tensor("autoencoder/loss").sum()).abs() < 1e-12);
    assert_gradients("autoencoder", &net, &params, 1e-12);

    // From layers: the same numbers, and the tree says which use is transposed.
    let layers = (
        Linear::from_ids(&params, net.w, Some(net.be)).unwrap(),
        Tanh,
        TiedLinear {
            weight: Tied::transposed(net.w),
            bias: Some(net.bd),
            in_features: 3,
            out_features: 6,
        },
    );
    let x2: Array2<f64> = x.clone().into_dimensionality().unwrap();
    assert_eq!(run(&layers, &params, &x2), run(&net, &params, &x2));
    let picture = layers.tree(&params).to_string();
    assert!(picture.contains("2.weight ↔ 0.weightᵀ"), "{picture}");
    assert_eq!(layers.num_parameters(&params), 18 + 3 + 6);

    // It trains: data of rank 3 is learned by 3 hidden units.
    let mut params = Params::<f32>::new();
    let rng = &mut rng(1);
    let encoder = Linear::new(&mut params, 6, 3, rng);
    let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true).unwrap();
    let net = (encoder, decoder);
    let factors = Array2::from_shape_simple_fn((32, 2), || rng.random_range(-1.0..1.0_f32));
    let mixing = Array2::from_shape_simple_fn((2, 6), || rng.random_range(-1.0..1.0_f32));
    let data = factors.dot(&mixing);
    let (mut tape, mut opt) = (Tape::new(), Adam::new(0.02));
    let mut losses = Vec::new();
    for _ in 0..300 {
        let g = tape.record(&mut params);
        let x = g.input(&data);
        losses.push(net.forward(x).mse_loss(x).backward().unwrap());
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    assert!(
        losses[299] < losses[0] / 100.0,
        "{} → {}",
        losses[0],
        losses[299]
    );
}

/// `h = tanh(ih(x_t) + hh(h))`: the same kernel at every step.
#[derive(Module, Clone)]
struct Rnn {
    ih: Linear,
    hh: Linear,
    out: Linear,
}

impl Rnn {
    fn new(params: &mut Params<f64>) -> Self {
        let rng = &mut rng(1);
        let hh = Linear::with(5, 5).bias(false).build(params, rng).unwrap();
        Self {
            ih: Linear::new(params, 3, 5, rng),
            hh,
            out: Linear::new(params, 5, 2, rng),
        }
    }

    /// `cells`: the layer of each step.
    fn run<'t>(&self, x: Var<'t, f64>, cells: &[Linear]) -> Var<'t, f64> {
        let mut h = x.graph().full([x.shape()[0], 5], 0.0);
        for (step, cell) in cells.iter().enumerate() {
            h = (self.ih.forward(x.select(1, step)) + cell.forward(h)).tanh();
        }
        self.out.forward(h)
    }
}

#[test]
fn r53_the_same_kernel_at_every_step() {
    const STEPS: usize = 5;
    let mut params = Params::<f64>::new();
    let net = Rnn::new(&mut params);
    load_state("rnn", &net, &mut params);
    let backward = |params: &mut Params<f64>, cells: &[Linear]| {
        let mut tape = Tape::new();
        let g = tape.record(params);
        let y = net.run(g.input(tensor("rnn/x")), cells);
        y.mse_loss(g.input(tensor("rnn/target")))
            .backward()
            .unwrap()
    };
    let tied: [Linear; STEPS] = std::array::from_fn(|_| net.hh.clone());
    let loss = backward(&mut params, &tied);
    assert!((loss - tensor("rnn/loss").sum()).abs() < 1e-12);
    assert_gradients("rnn", &net, &params, 1e-12);
    let slot = params.grad(net.hh.weight).unwrap().unwrap().to_owned();

    // Asked for one by one, there are as many contributions as steps. (The last step's comes first.)
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    params.zero_grad();
    let g = tape.record(&mut params).per_use(&mut uses);
    let y = net.run(g.input(tensor("rnn/x")), &tied);
    let loss = y.mse_loss(g.input(tensor("rnn/target")));
    loss.backward().unwrap();
    assert_eq!(uses.of(net.hh.weight).count(), STEPS);
    for (contribution, step) in uses.of(net.hh.weight).zip((0..STEPS).rev()) {
        let expected = tensor(&format!("rnn/use/{step}.hh.weight"));
        let what = format!("use at step {step}");
        crate::data::assert_near(&contribution.grad(), &expected, 1e-12, &what);
    }

    // One slot, whatever the number of steps; each step's contribution is in it, and is PyTorch's.
    assert_eq!(params.len(), 5);
    let mut params = params.clone();
    let apart: [Linear; STEPS] = std::array::from_fn(|_| net.hh.duplicate(&mut params).unwrap());
    backward(&mut params, &apart);
    let mut sum = ArrayD::zeros(vec![5, 5]);
    for (step, cell) in apart.iter().enumerate() {
        let found = params.grad(cell.weight).unwrap().unwrap();
        let expected = tensor(&format!("rnn/use/{step}.hh.weight"));
        crate::data::assert_near(&found, &expected, 1e-12, &format!("step {step}"));
        sum += &found;
    }
    let error = (&slot - &sum).mapv(f64::abs);
    assert!(error.iter().all(|&e| e < 1e-14), "{error}");
}
