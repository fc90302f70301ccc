//! What optimizers remember: one state per id, wherever it lies.

use crate::common::{set_grad, vector};
use tiegrad_arena::{ArenaError, ParamId, Params, State};
use tiegrad_optim::{Adam, AdamW, Group, OptimError, Optimizer, RMSprop, SGD};

fn get(opt: &dyn Optimizer<f64>, id: ParamId, name: &str) -> Vec<f64> {
    opt.state()
        .tensor(id, name)
        .unwrap()
        .iter()
        .copied()
        .collect()
}

#[test]
fn a_tied_parameter_has_one_state_and_one_update() {
    // Two layers hold one id: two contributions to its gradient, one step.
    let mut params = Params::<f64>::new();
    let shared = vector(&mut params, &[1.0, 2.0]);
    let (layer, tied) = (shared, shared);
    let mut opt = Adam::new(0.1);
    set_grad(&mut params, layer, &[0.5, 0.5]);
    let (values, grads) = params.split_mut();
    grads.prepare(values);
    assert!(grads.touch(tied.index()), "the second use accumulates");
    grads
        .slice_mut(tied)
        .unwrap()
        .iter_mut()
        .for_each(|g| *g += 1.5);
    opt.step(&mut params).unwrap();
    assert_eq!(opt.state().ids().count(), 1);
    assert_eq!(opt.state().step(shared), Ok(1));
    let exp_avg = get(&opt, shared, "exp_avg");
    assert!((exp_avg[0] - 0.2).abs() < 1e-15, "{exp_avg:?}");
}

#[test]
fn names_are_those_of_pytorch_and_there_is_no_slab_that_is_not_used() {
    let names =
        |opt: &dyn Optimizer<f32>| opt.state().names().map(String::from).collect::<Vec<_>>();
    assert_eq!(names(&SGD::new(0.1)), [""; 0]);
    assert_eq!(names(&SGD::new(0.1).momentum(0.9)), ["momentum_buffer"]);
    assert_eq!(names(&Adam::new(0.1)), ["exp_avg", "exp_avg_sq"]);
    assert_eq!(
        names(&AdamW::new(0.1).amsgrad(true)),
        ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]
    );
    assert_eq!(names(&RMSprop::new(0.1)), ["square_avg"]);
    assert_eq!(
        names(&RMSprop::new(0.1).centered(true).momentum(0.5)),
        ["square_avg", "momentum_buffer", "grad_avg"]
    );
    let group = Group::new(Default::default()).momentum(0.5);
    assert_eq!(names(&SGD::new(0.1).group(group)), ["momentum_buffer"]);
}

#[test]
fn untouched_and_frozen_parameters_are_skipped() {
    let mut params = Params::<f64>::new();
    let [used, unused, frozen] = [(); 3].map(|()| vector(&mut params, &[1.0; 20]));
    let mut opt = AdamW::new(0.1);
    opt.step(&mut params).unwrap(); // no gradient anywhere, not even a slab for them
    for _ in 0..3 {
        params.zero_grad();
        set_grad(&mut params, used, &[1.0; 20]);
        set_grad(&mut params, frozen, &[1.0; 20]);
        params.set_requires_grad(frozen, false).unwrap();
        opt.step(&mut params).unwrap();
    }
    for id in [unused, frozen] {
        assert_eq!(params.as_slice(id).unwrap(), [1.0; 20]);
        assert_eq!(opt.state().step(id), Ok(0));
        assert_eq!(get(&opt, id, "exp_avg"), [0.0; 20]);
    }
    assert_eq!(opt.state().step(used), Ok(3));

    // Later the step count of each is its own: the bias corrections of a first step.
    params.set_requires_grad(frozen, true).unwrap();
    let before = params.as_slice(used).unwrap()[0];
    set_grad(&mut params, unused, &[1.0; 20]);
    opt.step(&mut params).unwrap();
    for id in [unused, frozen] {
        assert_eq!(opt.state().step(id), Ok(1));
        let first_step = 1.0 * (1.0 - 0.1 * 0.01) - 0.1;
        assert!((params.as_slice(id).unwrap()[0] - first_step).abs() < 1e-8);
    }
    assert_eq!(opt.state().step(used), Ok(4));
    assert!(params.as_slice(used).unwrap()[0] < before);
}

#[test]
fn state_follows_ids_through_insert_remove_and_compact() {
    let mut params = Params::<f64>::new();
    let [a, b] = [(); 2].map(|()| vector(&mut params, &[1.0; 5]));
    let mut opt = SGD::new(0.1).momentum(0.5);
    let step = |opt: &mut SGD<f64>, params: &mut Params<f64>, ids: &[ParamId]| {
        params.zero_grad();
        for &id in ids {
            set_grad(params, id, &[1.0; 5]);
        }
        opt.step(params).unwrap();
    };
    step(&mut opt, &mut params, &[a, b]);
    params.remove(a).unwrap();
    step(&mut opt, &mut params, &[b]);
    assert!(opt.state().step(a).is_err());
    assert_eq!(get(&opt, b, "momentum_buffer"), [1.5; 5]);

    params.compact();
    step(&mut opt, &mut params, &[b]);
    assert_eq!(get(&opt, b, "momentum_buffer"), [1.75; 5]);

    // A new parameter in the old slot has nothing of the old one.
    let c = vector(&mut params, &[1.0; 5]);
    assert_eq!(c.index(), a.index());
    step(&mut opt, &mut params, &[b, c]);
    assert_eq!(get(&opt, c, "momentum_buffer"), [1.0; 5]);
    assert_eq!(get(&opt, b, "momentum_buffer"), [1.875; 5]);
    assert_eq!((opt.state().step(b), opt.state().step(c)), (Ok(4), Ok(1)));
}

#[test]
fn an_eps_of_zero_does_no_harm_between_parameters() {
    for len in [1, 15, 17] {
        let mut params = Params::<f64>::new();
        let ids = [(); 3].map(|()| vector(&mut params, &vec![1.0; len]));
        let mut optimizers: [Box<dyn Optimizer<f64>>; 2] = [
            Box::new(Adam::new(0.1).eps(0.0)),
            Box::new(RMSprop::new(0.1).eps(0.0).centered(true)),
        ];
        for opt in &mut optimizers {
            for id in ids {
                set_grad(&mut params, id, &vec![2.0; len]);
            }
            opt.step(&mut params).unwrap();
            assert!(params.values().slab().iter().all(|w| w.is_finite()));
        }
    }
}

/// Trains a little with a state that was carried over to a new optimizer in the middle, and without.
fn resumes<O: Optimizer<f64> + Clone>(fresh: &O, reorder: bool) {
    let mut params = Params::<f64>::new();
    let ids = [(); 3].map(|()| vector(&mut params, &[1.0, -2.0, 0.5]));
    let train = |opt: &mut O, params: &mut Params<f64>, from: usize| {
        for step in from..from + 4 {
            params.zero_grad();
            for (index, &id) in ids.iter().enumerate() {
                if (step + index) % 3 != 0 {
                    let grad =
                        [0, 1, 2].map(|i| ((step * 7 + index * 5 + i * 3) % 11) as f64 - 5.0);
                    set_grad(params, id, &grad);
                }
            }
            opt.step(params).unwrap();
        }
    };
    let mut opt = fresh.clone();
    train(&mut opt, &mut params, 0);

    let mut names: Vec<_> = opt.state().names().map(String::from).collect();
    if reorder {
        names.reverse();
    }
    let mut state = State::new(&names);
    state.sync(params.values());
    for id in opt.state().ids() {
        state.set_step(id, opt.state().step(id).unwrap()).unwrap();
        for name in &names {
            state
                .set_tensor(id, name, &opt.state().tensor(id, name).unwrap())
                .unwrap();
        }
    }
    let (mut resumed, mut copy) = (fresh.clone(), params.clone());
    resumed.load_state(state).unwrap();
    train(&mut resumed, &mut copy, 4);
    train(&mut opt, &mut params, 4);
    assert_eq!(params.values().slab(), copy.values().slab());
    for id in ids {
        let steps = |opt: &O| opt.state().step(id).unwrap_or(0);
        assert_eq!(steps(&opt), steps(&resumed));
    }
}

#[test]
fn training_resumes_from_a_loaded_state() {
    for reorder in [false, true] {
        resumes(&SGD::new(0.1).momentum(0.9).nesterov(true), reorder);
        resumes(&SGD::new(0.1).momentum(0.9).dampening(0.5), reorder);
        resumes(&Adam::new(0.1).amsgrad(true), reorder);
        resumes(&AdamW::new(0.1), reorder);
        resumes(&RMSprop::new(0.1).momentum(0.5).centered(true), reorder);
    }
    resumes(&SGD::new(0.1), false);
}

#[test]
fn state_of_another_kind_is_an_error() {
    let mut params = Params::<f64>::new();
    let id = vector(&mut params, &[1.0]);
    let mut opt = AdamW::new(0.1);
    let error = opt
        .load_state(RMSprop::new(0.1).state().clone())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "AdamW with these settings keeps exp_avg, exp_avg_sq for each parameter, and the state that was given has square_avg"
    );
    assert!(
        opt.load_state(AdamW::new(0.1).amsgrad(true).state().clone())
            .is_err()
    );
    assert!(opt.load_state(Adam::new(0.1).state().clone()).is_ok());

    // Through `state_mut` it is found at the next step.
    *opt.state_mut() = State::new(["exp_avg"]);
    set_grad(&mut params, id, &[1.0]);
    assert!(matches!(
        opt.step(&mut params),
        Err(OptimError::State { .. })
    ));
    assert_eq!(params.as_slice(id), Ok(&[1.0][..]));
    opt.load_state(State::new(["exp_avg_sq", "exp_avg"]))
        .unwrap();
    assert_eq!(opt.step(&mut params), Ok(()));
    assert_eq!(opt.state().step(id), Ok(1));
}

#[test]
fn settings_that_need_another_slab_may_change_in_the_middle() {
    let mut params = Params::<f64>::new();
    let id = vector(&mut params, &[1.0]);
    let mut opt = Adam::new(0.1);
    set_grad(&mut params, id, &[1.0]);
    opt.step(&mut params).unwrap();
    let mut opt = opt.amsgrad(true);
    opt.step(&mut params).unwrap();
    assert_eq!(opt.state().step(id), Ok(2));
    assert_eq!(get(&opt, id, "max_exp_avg_sq"), get(&opt, id, "exp_avg_sq"));
    opt.state_mut().set_step(id, 7).unwrap();
    let mut opt = opt.amsgrad(false);
    opt.step(&mut params).unwrap();
    assert!(opt.state().names().eq(["exp_avg", "exp_avg_sq"]));
    assert_eq!(opt.state().step(id), Ok(8));
}

#[test]
fn sgd_without_momentum_keeps_nothing_and_starts_momentum_with_the_gradient() {
    let mut params = Params::<f64>::new();
    let id = vector(&mut params, &[0.0]);
    let mut opt = SGD::new(1.0).dampening(0.5);
    set_grad(&mut params, id, &[1.0]);
    opt.step(&mut params).unwrap();
    assert!(matches!(
        opt.state().step(id),
        Err(ArenaError::OutOfStep { .. })
    ));
    let mut opt = opt.momentum(0.5);
    opt.step(&mut params).unwrap(); // the buffer becomes the gradient, undampened
    assert_eq!(get(&opt, id, "momentum_buffer"), [1.0]);
    assert_eq!(params.as_slice(id), Ok(&[-2.0][..]));
    opt.step(&mut params).unwrap();
    assert_eq!(get(&opt, id, "momentum_buffer"), [1.0]); // 0.5 * 1 + 0.5 * 1
}

#[test]
fn copies_of_an_arena_are_stepped_by_the_same_ids() {
    let mut params = Params::<f64>::new();
    let id = vector(&mut params, &[1.0]);
    let mut copy = params.clone();
    let mut opt = SGD::new(0.1).momentum(0.5);
    for arena in [&mut params, &mut copy] {
        set_grad(arena, id, &[1.0]);
        opt.step(arena).unwrap();
    }
    assert_eq!(opt.state().step(id), Ok(2));
    assert_eq!(copy.as_slice(id), Ok(&[1.0 - 0.1 * 1.5][..]));
}

#[test]
fn optimizers_can_be_sent_and_shared() {
    fn both<T: Send + Sync + 'static>() {}
    both::<SGD>();
    both::<Adam<f64>>();
    both::<AdamW>();
    both::<RMSprop>();
    both::<Group>();
    both::<OptimError>();
}
