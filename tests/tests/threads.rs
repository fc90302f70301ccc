//! Property 5, its second half: what a step computes does not depend on the number of threads, to the last bit.
//!
//! One test, since the number of threads is the process's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

use tiegrad::kernels::threads;
use tiegrad::nn::GptConfig;
use tiegrad::prelude::*;

/// Losses, norms, gradients and values of some steps, in bits.
type Trace = Vec<Vec<u32>>;

#[test]
fn results_are_bitwise_equal_for_one_two_and_four_threads() {
    for (what, run) in [("a GPT", gpt as fn() -> Trace), ("an MLP", mlp)] {
        threads::set_num_threads(1);
        let expected = run();
        for count in [2, 4] {
            threads::set_num_threads(count);
            let found = run();
            assert_eq!(found.len(), expected.len());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let differing = found.iter().zip(expected).filter(|(a, b)| a != b).count();
                assert!(
                    found == expected,
                    "{what}, {count} threads: {differing} numbers of entry {i} differ"
                );
            }
        }
    }
    // Helper threads are started by the first job of so many chunks: all four had something to do.
    #[cfg(target_os = "linux")]
    assert!(
        helpers().contains(&"tiegrad-3".to_owned()),
        "no work was split in four: {:?}",
        helpers()
    );
}

#[cfg(target_os = "linux")]
fn helpers() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm"))
    };
    tasks
        .filter_map(|task| Some(name(task).ok()?.trim().to_owned()))
        .collect()
}

/// What is to be compared after a backward pass and after the step that follows.
fn note(trace: &mut Trace, params: &mut Params<f32>, loss: f32, opt: &mut dyn Optimizer<f32>) {
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let norm = grad_norm(params).to_bits();
    trace.push(vec![loss.to_bits(), (norm >> 32) as u32, norm as u32]);
    trace.extend(
        params
            .ids()
            .map(|id| bits(params.grad_slice(id).unwrap().unwrap())),
    );
    clip_grad_norm(params, 0.5).unwrap();
    opt.step(params).unwrap();
    trace.extend(params.ids().map(|id| bits(params.as_slice(id).unwrap())));
    params.zero_grad();
}

/// The GPT of the README with two layers, dropout and biases: 768 rows, 128 wide.
fn gpt() -> Trace {
    let config = GptConfig {
        n_layer: 2,
        dropout: 0.1,
        bias: true,
        ..GptConfig::default()
    };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let net = GPT::new(&mut params, &config, &mut rng).unwrap();
    let mut draw = || Array2::from_shape_simple_fn((12, 64), || rng.random_range(0..65_u32));
    let (x, y) = (draw(), draw());
    let (mut tape, mut opt, mut trace) = (Tape::new(), AdamW::new(1e-3), Trace::new());
    for _ in 0..3 {
        let g = tape.record(&mut params);
        let loss = net.loss(g.indices(&x), g.indices(&y)).backward().unwrap();
        note(&mut trace, &mut params, loss, &mut opt);
    }
    trace
}

/// Rows and columns that no block size divides, and a tie.
fn mlp() -> Trace {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut params = Params::<f32>::new();
    let shared = Linear::new(&mut params, 509, 509, &mut rng);
    let net = (
        (
            Linear::new(&mut params, 787, 509, &mut rng).activated(Activation::Tanh),
            RMSNorm::new(&mut params, 509),
            shared.clone(),
        ),
        (ReLU, shared, LayerNorm::new(&mut params, 509), Sigmoid),
        Linear::new(&mut params, 509, 10, &mut rng),
    );
    let x = Array2::from_shape_simple_fn((131, 787), || rng.random_range(-1.0..1.0_f32));
    let y = Array1::from_shape_simple_fn(131, || rng.random_range(0..10_u32));
    let (mut tape, mut opt, mut trace) =
        (Tape::new(), RMSprop::new(1e-3).momentum(0.9), Trace::new());
    for _ in 0..3 {
        let g = tape.record(&mut params);
        let loss = net
            .forward(g.input(&x))
            .cross_entropy(g.indices(&y))
            .backward()
            .unwrap();
        note(&mut trace, &mut params, loss, &mut opt);
    }
    trace
}
