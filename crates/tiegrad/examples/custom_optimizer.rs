//! An optimizer of one's own: Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675), with weight decay for the parameters that
//! a selection names. It implements the same trait as the engine's, keeps its memory in a `State`, and so goes wherever they go: schedules, checkpoints.
//!
//! `cargo run --release -p tiegrad --example custom_optimizer`

use tiegrad::arena::State;
use tiegrad::optim::OptimError;
use tiegrad::prelude::*;

/// For a gradient g of a parameter p with momentum m:
/// ```text
/// p = p - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)
/// m = beta2 * m + (1 - beta2) * g
/// ```
struct Lion<T> {
    lr: f64,
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
    /// Who is decayed.
    decayed: Selection,
    state: State<T>,
}

impl<T: Scalar> Lion<T> {
    fn new(lr: f64, weight_decay: f64, decayed: Selection) -> Self {
        Self {
            lr,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay,
            decayed,
            state: State::new(["exp_avg"]),
        }
    }
}

impl<T: Scalar> Optimizer<T> for Lion<T> {
    fn name(&self) -> &str {
        "Lion"
    }

    fn step(&mut self, params: &mut Params<T>) -> Result<(), OptimError> {
        // Rows of the state for parameters that are new, none for those that are gone.
        self.state.sync(params.values());
        let ids: Vec<ParamId> = params.ids().collect();
        let (values, grads) = params.split_mut();
        let ([momentum], steps) = self.state.parts_mut();
        let number = T::from_f64;
        let (lr, beta1, beta2) = (number(self.lr), number(self.beta1), number(self.beta2));
        // A tied parameter is one id here, however many uses it has: one gradient, one memory, one update.
        for id in ids {
            let slot = values.slot(id)?;
            let (range, frozen) = (slot.range(), !slot.requires_grad);
            let Some(grad) = grads.slice(id).filter(|_| !frozen) else {
                continue; // no backward pass has reached it
            };
            let decay = match self.decayed.contains(id) {
                true => number(self.weight_decay),
                false => T::ZERO,
            };
            let p = &mut values.slab_mut()[range.clone()];
            for ((p, m), &g) in p.iter_mut().zip(&mut momentum[range]).zip(grad) {
                let direction = beta1 * *m + (T::ONE - beta1) * g;
                *p = *p - lr * (sign(direction) + decay * *p);
                *m = beta2 * *m + (T::ONE - beta2) * g;
            }
            steps[id.index()] += 1;
        }
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn settings(&self) -> Vec<(String, f64)> {
        let settings = [
            ("lr", self.lr),
            ("beta1", self.beta1),
            ("beta2", self.beta2),
            ("weight_decay", self.weight_decay),
        ];
        settings.map(|(name, x)| (name.to_owned(), x)).to_vec()
    }

    fn state(&self) -> &State<T> {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State<T> {
        &mut self.state
    }

    fn load_state(&mut self, state: State<T>) -> Result<(), OptimError> {
        if !state.names().eq(self.state.names()) {
            return Err(OptimError::other("Lion keeps exp_avg and nothing else"));
        }
        self.state = state;
        Ok(())
    }
}

fn sign<T: Scalar>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        T::ZERO
    }
}

/// Any optimizer trains any network.
fn train(
    net: &impl Layer,
    params: &mut Params<f32>,
    opt: &mut dyn Optimizer<f32>,
) -> Result<f32, Box<dyn std::error::Error>> {
    let x = Array2::from_shape_fn((32, 4), |(i, j)| ((3 * i + 5 * j) as f32).sin());
    let y = x.map_axis(Axis(1), |row| row[0] * row[1] - row[2]);
    let y = y.insert_axis(Axis(1));
    let (mut tape, mut last) = (Tape::new(), 0.0);
    for step in 0..400 {
        opt.set_lr(1e-2 * (1.0 - step as f64 / 400.0));
        let g = tape.record(params);
        last = net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
        opt.step(params)?;
        params.zero_grad();
    }
    Ok(last)
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let shared = Linear::new(&mut params, 8, 8, &mut rng);
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng),
        ReLU,
        shared.clone(),
        ReLU,
        shared,
        ReLU,
        Linear::new(&mut params, 8, 1, &mut rng),
    );

    // Weights are decayed, biases are not.
    let weights = net.select(&params, "**.weight")?;
    println!("decayed: {} of {} parameters", weights.len(), params.len());
    let mut same_start = params.clone();
    let mut lion = Lion::new(1e-2, 1e-3, weights);
    let loss = train(&net, &mut params, &mut lion)?;
    println!("Lion:  loss {loss:.5} after 400 steps");
    let mut adamw = AdamW::new(1e-2).weight_decay(1e-3);
    let loss = train(&net, &mut same_start, &mut adamw)?;
    println!("AdamW: loss {loss:.5}");

    // The shared layer has one memory, and took one step at a time.
    let momentum = lion.state().tensor(net.2.weight, "exp_avg")?;
    println!(
        "the shared weight: exp_avg of shape {:?}, {} steps",
        momentum.shape(),
        lion.state().step(net.4.weight)?
    );

    // Its memory goes into a checkpoint like that of any other, and comes back.
    let names = checkpoint_names(&net);
    let file = Checkpoint::new(&params, &names)
        .state("Lion", lion.state())
        .to_bytes()?;
    let loaded = Loaded::from_bytes(file)?;
    let mut again = Lion::<f32>::new(1e-2, 1e-3, Selection::default());
    loaded.restore_state("Lion", again.state_mut(), &params, &names, Policy::strict())?;
    assert_eq!(again.state().tensor(net.2.weight, "exp_avg")?, momentum);
    println!("saved and restored: {} tensors", params.len());
    Ok(())
}
