//! The number of threads changes no bit.

#![allow(clippy::unwrap_used, clippy::panic)] // also in the helpers of tests

use common::{set_grad, vector};
use tiegrad_arena::Params;
use tiegrad_kernels::threads;
use tiegrad_optim::{AdamW, Optimizer, RMSprop, SGD, clip_grad_norm};

mod common;

#[test]
fn steps_and_norms_are_the_same_bits_for_every_number_of_threads() {
    let train = |threads: usize, mut opt: Box<dyn Optimizer<f32>>| {
        threads::set_num_threads(threads);
        let mut params = Params::<f32>::new();
        // One that is cut into many parts, and small ones around it.
        let ids = [7, 300_001, 5].map(|len| {
            let values: Vec<f32> = (0..len).map(|i| (i as f32 * 0.37).sin()).collect();
            vector(&mut params, &values)
        });
        let mut norms = Vec::new();
        for step in 0..3 {
            params.zero_grad();
            for id in ids {
                let len = params.info(id).unwrap().shape.len();
                let grad: Vec<f32> = (0..len).map(|i| ((i + step) as f32 * 1.7).cos()).collect();
                set_grad(&mut params, id, &grad);
            }
            norms.push(clip_grad_norm(&mut params, 1.0).unwrap().to_bits());
            opt.step(&mut params).unwrap();
        }
        let bits: Vec<_> = params.values().slab().iter().map(|w| w.to_bits()).collect();
        (norms, bits)
    };
    type Make = fn() -> Box<dyn Optimizer<f32>>;
    let optimizers: [Make; 4] = [
        || Box::new(SGD::new(0.1).weight_decay(0.1)),
        || Box::new(SGD::new(0.1).momentum(0.9).nesterov(true)),
        || Box::new(AdamW::new(0.1).amsgrad(true)),
        || Box::new(RMSprop::new(0.1).momentum(0.9).centered(true)),
    ];
    for opt in optimizers {
        let one = train(1, opt());
        for threads in [2, 4] {
            assert!(
                train(threads, opt()) == one,
                "{} with {threads} threads",
                opt().name()
            );
        }
    }
}
