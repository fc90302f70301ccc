//! The training steps that the benchmarks time. Each is the whole step: inputs copied in, forward, backward, optimizer, `zero_grad`.
//!
//! | work | exactly |
//! |---|---|
//! | W1 | Linear(4,8), ReLU, Linear(8,1), batch 2, mean squared error, SGD 0.01 |
//! | W2 | 784-512-512-10, ReLU, batch 128, cross-entropy, Adam 1e-5 |
//! | W3 | GPT: 4 layers, 4 heads, 128 wide, block 64, batch 12, vocabulary 65, erf GELU, no biases, tied, AdamW 1e-5: 804,096 parameters |
//!
//! The small learning rates keep the loss from reaching zero, where denormal numbers would slow everything.

use tiegrad::nn::{GPT, GptConfig};
use tiegrad::prelude::*;

/// An error of any of the rooms.
pub type Error = Box<dyn std::error::Error>;

/// A training step that can be repeated.
pub trait Work {
    /// One step; the loss before it.
    ///
    /// # Errors
    /// None, for the work in this crate.
    fn step(&mut self) -> Result<f32, Error>;
}

/// What the steps share: a network, its parameters, a tape and an optimizer.
struct Setup<N, O> {
    net: N,
    params: Params<f32>,
    tape: Tape,
    opt: O,
}

impl<N, O: Optimizer<f32>> Setup<N, O> {
    fn new(net: N, params: Params<f32>, opt: O) -> Self {
        Setup {
            net,
            params,
            tape: Tape::new(),
            opt,
        }
    }

    /// The whole step around a loss.
    #[inline(always)]
    fn step(
        &mut self,
        loss: impl for<'t> FnOnce(&N, Graph<'t, f32>) -> Var<'t, f32>,
    ) -> Result<f32, Error> {
        let loss = loss(&self.net, self.tape.record(&mut self.params)).backward()?;
        self.opt.step(&mut self.params)?;
        self.params.zero_grad();
        Ok(loss)
    }
}

fn rng() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(7)
}

fn data(rng: &mut impl Rng, shape: (usize, usize)) -> Array2<f32> {
    Array2::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// W1: the smallest net, where every nanosecond of overhead shows.
pub struct W1 {
    setup: Setup<(Linear, ReLU, Linear), SGD>,
    x: Array2<f32>,
    y: Array2<f32>,
}

impl Default for W1 {
    fn default() -> W1 {
        let (mut rng, mut params) = (rng(), Params::new());
        let net = (
            Linear::new(&mut params, 4, 8, &mut rng),
            ReLU,
            Linear::new(&mut params, 8, 1, &mut rng),
        );
        let (x, y) = (data(&mut rng, (2, 4)), data(&mut rng, (2, 1)));
        W1 {
            setup: Setup::new(net, params, SGD::new(0.01)),
            x,
            y,
        }
    }
}

impl Work for W1 {
    fn step(&mut self) -> Result<f32, Error> {
        let W1 { setup, x, y } = self;
        setup.step(|net, g| net.forward(g.input(&*x)).mse_loss(g.input(&*y)))
    }
}

/// W2: an MLP for images of digits.
pub struct W2 {
    setup: Setup<(Linear, ReLU, Linear, ReLU, Linear), Adam>,
    x: Array2<f32>,
    y: Vec<u32>,
}

impl Default for W2 {
    fn default() -> W2 {
        let (mut rng, mut params) = (rng(), Params::new());
        let mut linear = |from, to| Linear::new(&mut params, from, to, &mut rng);
        let net = (
            linear(784, 512),
            ReLU,
            linear(512, 512),
            ReLU,
            linear(512, 10),
        );
        let mut rng = self::rng();
        let x = data(&mut rng, (128, 784));
        let y = (0..128).map(|_| rng.random_range(0..10)).collect();
        W2 {
            setup: Setup::new(net, params, Adam::new(1e-5)),
            x,
            y,
        }
    }
}

impl Work for W2 {
    fn step(&mut self) -> Result<f32, Error> {
        let W2 { setup, x, y } = self;
        setup.step(|net, g| {
            let targets = g.indices((&y[..], [128]));
            net.forward(g.input(&*x)).cross_entropy(targets)
        })
    }
}

/// W3: the tied GPT.
pub struct W3 {
    setup: Setup<GPT, AdamW>,
    x: Vec<u32>,
    y: Vec<u32>,
}

impl W3 {
    const SHAPE: [usize; 2] = [12, 64];

    /// The net with random weights and one random batch.
    ///
    /// # Errors
    /// None.
    pub fn new() -> Result<W3, Error> {
        let (mut rng, mut params) = (rng(), Params::new());
        // nanoGPT's initialization, as in the other libraries' programs: the first loss shows that the work is the same.
        let config = GptConfig {
            init_std: Some(0.02),
            ..GptConfig::default()
        };
        let net = GPT::new(&mut params, &config, &mut rng)?;
        let mut tokens = || (0..12 * 64).map(|_| rng.random_range(0..65)).collect();
        let (x, y) = (tokens(), tokens());
        Ok(W3 {
            setup: Setup::new(net, params, AdamW::new(1e-5)),
            x,
            y,
        })
    }

    /// Parameters of the net, ties counted once.
    pub fn num_parameters(&self) -> usize {
        self.setup.net.num_parameters(&self.setup.params)
    }
}

impl Work for W3 {
    fn step(&mut self) -> Result<f32, Error> {
        let W3 { setup, x, y } = self;
        setup.step(|net, g| {
            let tokens = |tokens| g.indices((tokens, Self::SHAPE));
            net.loss(tokens(&x[..]), tokens(&y[..]))
        })
    }
}
