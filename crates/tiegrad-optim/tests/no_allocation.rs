//! A step allocates nothing after the first, nor does clipping.

#![allow(clippy::unwrap_used, clippy::panic)] // also in the helpers of tests

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{set_grad, vector};
use tiegrad_arena::{Params, Selection};
use tiegrad_optim::{
    Adam, AdamW, ClipGradNorm, Group, Optimizer, RMSprop, SGD, clip_grad_norm, clip_grad_value,
};

mod common;

thread_local! {
    /// Allocations of this thread: a helper thread that just starts makes some of its own, whenever that is.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    // SAFETY: as the trait says.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
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
fn nothing_is_allocated_after_the_first_step() {
    let mut params = Params::<f32>::new();
    let ids = [3, 50_000, 17, 1].map(|len| vector(&mut params, &vec![0.5; len]));
    let group = || Group::new(Selection::from_ids([ids[1], ids[3]])).lr_scale(0.5);
    let head = Selection::from_ids([ids[3]]);
    let optimizers: [Box<dyn Optimizer<f32>>; 6] = [
        Box::new(SGD::new(0.1)),
        Box::new(SGD::new(0.1).momentum(0.9).nesterov(true).group(group())),
        Box::new(Adam::new(0.1).amsgrad(true).eps(0.0)),
        Box::new(AdamW::new(0.1).group(group()).decay_matrices_only()),
        Box::new(RMSprop::new(0.1).centered(true)),
        Box::new(RMSprop::new(0.1).momentum(0.9)),
    ];
    for mut opt in optimizers {
        let mut train = |step: usize| {
            params.zero_grad();
            let grad = [0.25; 50_000];
            for id in ids.into_iter().skip(step % 2) {
                let len = params.info(id).unwrap().shape.len();
                set_grad(&mut params, id, &grad[..len]);
            }
            opt.set_lr(0.1 / (step + 1) as f64);
            clip_grad_norm(&mut params, 1.0).unwrap();
            ClipGradNorm::new(1.0)
                .only(&head)
                .clip(&mut params)
                .unwrap();
            clip_grad_value(&mut params, 0.1).unwrap();
            opt.step(&mut params).unwrap();
        };
        train(0);
        let before = COUNT.get();
        (1..10).for_each(&mut train);
        let after = COUNT.get();
        assert_eq!(after - before, 0, "{}", opt.name());
    }
}
