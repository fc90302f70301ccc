//! Property 5, its first half: after warm-up a whole training step (inputs, forward, backward, clipping, optimizer, `zero_grad`) makes no heap
//! allocation, on no thread.
//!
//! One test, so that nothing else of this process allocates meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tiegrad::kernels::threads;
use tiegrad::nn::GptConfig;
use tiegrad::prelude::*;

/// Allocations, of all threads.
static COUNT: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it is. What is not overridden (zeroed blocks, growth) comes through `alloc`.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the trait says.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: as the trait says.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_training_step_allocates_nothing_after_warm_up() {
    threads::set_num_threads(2);
    wake_the_helper();
    assert!(
        allocations(|| drop(std::hint::black_box(Box::new(1)))) == 1,
        "the count counts"
    );

    let small = GptConfig {
        n_layer: 2,
        n_head: 2,
        n_embd: 16,
        block_size: 8,
        vocab_size: 11,
        ..GptConfig::default()
    };
    gpt::<f32>("a small GPT", &small, 3, 20);
    gpt::<f64>("in f64", &small, 3, 20);
    let with = |dropout, bias, tied| GptConfig {
        dropout,
        bias,
        tied,
        ..small.clone()
    };
    gpt::<f32>("with dropout and biases", &with(0.1, true, true), 3, 20);
    gpt::<f32>("untied", &with(0.0, false, false), 3, 20);
    // W3 of the benchmarks.
    gpt::<f32>("the GPT of the README", &GptConfig::default(), 12, 4);

    mlp(SGD::new(0.01));
    mlp(SGD::new(0.01).momentum(0.9).nesterov(true));
    mlp(Adam::new(0.01));
    mlp(RMSprop::new(0.01));
}

/// Runs steps to warm up, then others that are counted.
fn check(what: &str, steps: usize, mut step: impl FnMut(usize)) {
    for i in 0..3 {
        step(i);
    }
    for i in 3..3 + steps {
        let count = allocations(|| step(i));
        assert_eq!(count, 0, "{what}: allocations in step {i}");
    }
}

fn allocations(f: impl FnOnce()) -> usize {
    let before = COUNT.load(Ordering::SeqCst);
    f();
    COUNT.load(Ordering::SeqCst) - before
}

/// The helper thread's start allocates. Two chunks that wait for each other make sure that it is over.
fn wake_the_helper() {
    let arrived = AtomicUsize::new(0);
    let patience = Instant::now() + Duration::from_secs(20);
    threads::parallel_for(2, &|_| {
        arrived.fetch_add(1, Ordering::SeqCst);
        while arrived.load(Ordering::SeqCst) < 2 && Instant::now() < patience {
            std::thread::yield_now();
        }
    });
    assert!(Instant::now() < patience, "there is no helper thread");
}

fn gpt<T: Scalar>(what: &str, config: &GptConfig, batch: usize, steps: usize) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<T>::new();
    let net = GPT::new(&mut params, config, &mut rng).unwrap();
    let decayed = net
        .select(&params, Select::by(|_, info| info.shape.rank() >= 2))
        .unwrap();
    let mut opt = AdamW::new(1e-3)
        .weight_decay(0.0)
        .group(Group::new(decayed).weight_decay(0.1));
    let schedule = WarmupCosine {
        warmup_iters: 2,
        lr_decay_iters: 100,
        learning_rate: 1e-3,
        min_lr: 1e-4,
    };
    let text: Vec<u32> = (0..2000)
        .map(|_| rng.random_range(0..config.vocab_size as u32))
        .collect();
    let time = config.block_size;
    let mut batch_of = [vec![0; batch * time], vec![0; batch * time]];
    let mut tape = Tape::new();
    check(what, steps, |step| {
        opt.set_lr(schedule.lr(step as u64));
        for row in 0..batch {
            let start = (step * 31 + row * 57) % (text.len() - time - 1);
            for (which, buffer) in batch_of.iter_mut().enumerate() {
                let window = &text[start + which..start + which + time];
                buffer[row * time..(row + 1) * time].copy_from_slice(window);
            }
        }
        let g = tape.record(&mut params);
        let [x, y] = batch_of
            .each_ref()
            .map(|b| g.indices((&b[..], [batch, time])));
        let loss = net.loss(x, y).backward().unwrap();
        assert!(loss.is_finite());
        clip_grad_norm(&mut params, 1.0).unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
        // Validation between steps.
        let g = tape.eval(&params);
        let [x, y] = batch_of
            .each_ref()
            .map(|b| g.indices((&b[..time], [1, time])));
        assert!(net.loss(x, y).item().unwrap().is_finite());
    });
}

/// The size of W1 of the benchmarks: a shared layer used twice, a fused activation, a norm, a batch of two.
fn mlp(mut opt: impl Optimizer<f32>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let shared = Linear::new(&mut params, 8, 8, &mut rng);
    let net = (
        (
            Linear::new(&mut params, 4, 8, &mut rng).activated(Activation::Tanh),
            RMSNorm::new(&mut params, 8),
        ),
        (shared.clone(), ReLU, shared, ReLU),
        Linear::new(&mut params, 8, 1, &mut rng),
    );
    let x = array![[0.5, -1.0, 0.25, 1.0], [1.0, 0.5, -0.5, 0.0]];
    let y = array![[1.0], [-1.0]];
    let mut tape = Tape::new();
    let name = opt.name().to_owned();
    check(&name, 50, |step| {
        let g = tape.record(&mut params);
        // Copied in, and used where it stands.
        let x = if step % 2 == 0 {
            g.input(&x)
        } else {
            g.input_ref(x.view())
        };
        net.forward(x).mse_loss(g.input(&y)).backward().unwrap();
        clip_grad_value(&mut params, 10.0).unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
    });
}
