//! An optimizer of a user's own, in a few lines, and a program that takes any optimizer.

use crate::common::{set_grad, vector};
use tiegrad_arena::{ParamId, Params, State};
use tiegrad_kernels::Scalar;
use tiegrad_optim::{OptimError, Optimizer, SGD};

/// Lion (Chen et al., 2023): the sign of an interpolated momentum.
struct Lion<T> {
    lr: f64,
    state: State<T>,
}

impl<T: Scalar> Lion<T> {
    fn new(lr: f64) -> Self {
        let state = State::new(["exp_avg"]);
        Self { lr, state }
    }
}

impl<T: Scalar> Optimizer<T> for Lion<T> {
    fn name(&self) -> &str {
        "Lion"
    }

    fn step(&mut self, params: &mut Params<T>) -> Result<(), OptimError> {
        if self.lr < 0.0 {
            return Err(OptimError::other("Lion: lr has to be positive"));
        }
        let [lr, beta1, beta2] = [self.lr, 0.9, 0.99].map(T::from_f64);
        let (values, grads) = params.split_mut();
        self.state.sync(values);
        let ([exp_avg], steps) = self.state.parts_mut();
        for run in grads.runs(values, |_| true)? {
            let range = run.range.clone();
            let parameters = values.slab_mut()[range.clone()].iter_mut();
            let gradients = grads.slab()[range.clone()].iter();
            for ((p, &g), m) in parameters.zip(gradients).zip(&mut exp_avg[range]) {
                let direction = *m * beta1 + g * (T::ONE - beta1);
                if direction != T::ZERO {
                    *p -= lr * direction / direction.abs();
                }
                *m = *m * beta2 + g * (T::ONE - beta2);
            }
            steps[run.slots].iter_mut().for_each(|step| *step += 1);
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
        vec![("lr".into(), self.lr)]
    }

    fn state(&self) -> &State<T> {
        &self.state
    }

    fn state_mut(&mut self) -> &mut State<T> {
        &mut self.state
    }

    fn load_state(&mut self, state: State<T>) -> Result<(), OptimError> {
        self.state = state;
        Ok(())
    }
}

/// Minimizes the sum of squares with whatever optimizer.
fn minimize<T: Scalar>(opt: &mut impl Optimizer<T>, params: &mut Params<T>, ids: &[ParamId]) {
    for step in 0..100 {
        opt.set_lr(0.05 * (1.0 - f64::from(step) / 100.0));
        params.zero_grad();
        for &id in ids {
            let grad: Vec<T> = params
                .as_slice(id)
                .unwrap()
                .iter()
                .map(|&w| w + w)
                .collect();
            set_grad(params, id, &grad);
        }
        opt.step(params).unwrap();
    }
}

fn solves<T: Scalar>(opt: &mut impl Optimizer<T>) {
    let mut params = Params::new();
    let ids = [[1.0, -1.0].map(T::from_f64), [0.5, 0.0].map(T::from_f64)]
        .map(|values| vector(&mut params, &values));
    minimize(opt, &mut params, &ids);
    for id in ids {
        for w in params.as_slice(id).unwrap() {
            assert!(w.to_f64().abs() < 0.02, "{}: {w}", opt.name());
        }
    }
}

#[test]
fn a_program_takes_any_optimizer_at_any_scalar() {
    solves::<f32>(&mut Lion::new(0.1));
    solves::<f64>(&mut Lion::new(0.1));
    solves::<f32>(&mut SGD::new(0.1).momentum(0.5));
    solves::<f64>(&mut SGD::new(0.1));
    assert_eq!(
        Lion::new(-1.0)
            .step(&mut Params::<f32>::new())
            .unwrap_err()
            .to_string(),
        "Lion: lr has to be positive"
    );
}
