//! The chapter's networks.

use tiegrad::prelude::*;

/// A random source that gives the same on every run.
pub(crate) fn rng(seed: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

/// 4-8-1.
pub(crate) type Mlp = (Linear, ReLU, Linear);

pub(crate) fn mlp<T: Scalar>(params: &mut Params<T>) -> Mlp {
    let rng = &mut rng(1);
    (
        Linear::new(params, 4, 8, rng),
        ReLU,
        Linear::new(params, 8, 1, rng),
    )
}

/// The chapter's `block1`.
pub(crate) type Block1 = (Linear, ReLU, Linear, ReLU);

pub(crate) fn block1<T: Scalar>(params: &mut Params<T>, rng: &mut impl Rng) -> Block1 {
    (
        Linear::new(params, 4, 8, rng),
        ReLU,
        Linear::new(params, 8, 4, rng),
        ReLU,
    )
}

/// The chapter's `block2`: four of the former, under names with a space.
pub(crate) fn block2<T: Scalar>(params: &mut Params<T>, rng: &mut impl Rng) -> Sequential {
    let mut net = Sequential::new();
    for i in 0..4 {
        let block = block1(params, rng);
        net.push_named(format!("block {i}"), block).unwrap();
    }
    net
}

/// The chapter's `rgnet`.
pub(crate) fn rgnet<T: Scalar>(params: &mut Params<T>) -> (Sequential, Linear) {
    let rng = &mut rng(2);
    (block2(params, rng), Linear::new(params, 4, 1, rng))
}

/// The chapter's net with a shared layer, 4-8-8-8-1 (in Gluon 20-8-8-8-10).
pub(crate) type TiedMlp = (Linear, ReLU, Linear, ReLU, Linear, ReLU, Linear);

pub(crate) fn tied_mlp<T: Scalar>(
    params: &mut Params<T>,
    inputs: usize,
    outputs: usize,
) -> TiedMlp {
    let rng = &mut rng(3);
    let shared = Linear::new(params, 8, 8, rng);
    (
        Linear::new(params, inputs, 8, rng),
        ReLU,
        shared.clone(),
        ReLU,
        shared,
        ReLU,
        Linear::new(params, 8, outputs, rng),
    )
}

/// The chapter's `X`: two rows of four numbers.
pub(crate) fn x<T: Scalar>() -> Array2<T> {
    Array2::from_shape_fn((2, 4), |(i, j)| {
        T::from_f64(((3 * i + 2 * j) as f64).sin().abs())
    })
}

/// The output of a net.
pub(crate) fn run<T: Scalar>(net: &impl Layer, params: &Params<T>, x: &Array2<T>) -> ArrayD<T> {
    let mut tape = Tape::new();
    let y = net.forward(tape.eval(params).input(x)).value();
    y.unwrap().to_owned()
}

/// Steps of an optimizer towards a target of ones.
pub(crate) fn train<T: Scalar>(
    net: &impl Layer,
    params: &mut Params<T>,
    opt: &mut impl Optimizer<T>,
    x: &Array2<T>,
    steps: usize,
) -> Vec<f64> {
    let mut tape = Tape::new();
    (0..steps)
        .map(|_| {
            let g = tape.record(params);
            let y = net.forward(g.input(x));
            let target = g.full(y.shape(), T::ONE);
            let loss = y.mse_loss(target).backward().unwrap();
            opt.step(params).unwrap();
            params.zero_grad();
            loss.to_f64()
        })
        .collect()
}

/// (name, shape) of each parameter, as the chapter lists them.
pub(crate) fn shapes<T: Scalar>(
    net: &impl ModuleExt,
    params: &Params<T>,
) -> Vec<(String, Vec<usize>)> {
    let named = net.named_parameters().into_iter();
    named
        .map(|(name, id)| (name, params.info(id).unwrap().shape.to_vec()))
        .collect()
}
