//! Property 1, the way back: a tie that is undone in the middle of a training leaves two parameters that go on as the one would have.

use tiegrad::prelude::*;

use crate::common::{all_bits, bits, rng};

type Net = (Linear, Linear, Linear);

/// A layer that is used twice, and one of its own.
fn net(params: &mut Params<f32>) -> Net {
    let shared = Linear::new(params, 4, 4, &mut rng(1));
    (
        shared.clone(),
        Linear::new(params, 4, 4, &mut rng(2)),
        shared,
    )
}

fn optimizers() -> [Box<dyn Optimizer<f32>>; 5] {
    [
        Box::new(SGD::new(0.1).momentum(0.9)),
        Box::new(SGD::new(0.1).momentum(0.9).nesterov(true)),
        Box::new(Adam::new(0.05)),
        Box::new(AdamW::new(0.05).amsgrad(true)),
        Box::new(RMSprop::new(0.01).momentum(0.9)),
    ]
}

fn train(net: &Net, params: &mut Params<f32>, opt: &mut dyn Optimizer<f32>, steps: usize) {
    let mut tape = Tape::new();
    for _ in 0..steps {
        let g = tape.record(params);
        let y = net.forward(g.full([3, 4], 0.5)).tanh();
        y.mse_loss(g.full([3, 4], 1.0)).backward().unwrap();
        opt.step(params).unwrap();
        params.zero_grad();
    }
}

/// Steps in which each of these gets the same gradient.
fn pull_alike(
    ids: &[ParamId],
    params: &mut Params<f32>,
    opt: &mut dyn Optimizer<f32>,
    steps: usize,
) {
    let mut tape = Tape::new();
    for _ in 0..steps {
        let g = tape.record(params);
        let pull = |id: ParamId| {
            let w = g.param(id);
            (w * w).sum()
        };
        let sum = ids[1..]
            .iter()
            .fold(pull(ids[0]), |sum, &id| sum + pull(id));
        sum.backward().unwrap();
        opt.step(params).unwrap();
        params.zero_grad();
    }
}

fn state_of(opt: &dyn Optimizer<f32>, id: ParamId) -> (u64, Vec<Vec<u32>>) {
    let state = opt.state();
    let tensors = state.names().map(|name| {
        let tensor = state.tensor(id, name).unwrap();
        bits(&tensor.iter().copied().collect::<Vec<_>>())
    });
    (state.step(id).unwrap(), tensors.collect())
}

#[test]
fn both_go_on_with_the_state_that_the_one_had() {
    for mut opt in optimizers() {
        let mut params = Params::new();
        let mut net = net(&mut params);
        train(&net, &mut params, &mut *opt, 5);
        let shared = net.0.weight;
        let before = state_of(&*opt, shared);
        assert_eq!(before.0, 5, "{}", opt.name());

        let own = net.untie(&mut params, "2.weight").unwrap();
        // A copy that nobody knows to be one, to see that this test can fail.
        let value = params.value(shared).unwrap().to_owned();
        let stranger = params.insert(&value).unwrap();
        opt.state_mut().sync(params.values());
        assert_eq!(state_of(&*opt, own), before, "{}", opt.name());
        assert_eq!(state_of(&*opt, shared), before, "{}", opt.name());

        pull_alike(&[shared, own, stranger], &mut params, &mut *opt, 3);
        let bits = |id| bits(params.as_slice(id).unwrap());
        assert_eq!(bits(own), bits(shared), "{}", opt.name());
        assert_eq!(state_of(&*opt, own), state_of(&*opt, shared));
        assert_eq!(state_of(&*opt, own).0, 8, "{}", opt.name());
        assert_ne!(bits(stranger), bits(shared), "{}", opt.name());
        assert_eq!(state_of(&*opt, stranger).0, 3, "{}", opt.name());

        // They are two now: what one learns the other does not.
        let before = params.value(own).unwrap().to_owned();
        pull_alike(&[shared], &mut params, &mut *opt, 1);
        assert_eq!(params.value(own).unwrap(), before);
    }
}

#[test]
fn the_first_step_apart_is_that_of_each_gradient() {
    // SGD with momentum by hand: v ← 0.9 v + g, w ← w − 0.1 v, with the v of the tie for both.
    let mut params = Params::new();
    let mut net = net(&mut params);
    let mut opt = SGD::new(0.1).momentum(0.9);
    train(&net, &mut params, &mut opt, 4);
    let shared = net.0.weight;
    let momentum = opt
        .state()
        .tensor(shared, "momentum_buffer")
        .unwrap()
        .to_owned();
    let own = net.untie(&mut params, "2.weight").unwrap();

    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let y = net.forward(g.full([3, 4], 0.5)).tanh();
    y.mse_loss(g.full([3, 4], 1.0)).backward().unwrap();
    let mut expected = Vec::new();
    for id in [shared, own] {
        let (w, grad) = (params.value(id).unwrap(), params.grad(id).unwrap().unwrap());
        expected.push(&w - &(0.1 * (0.9 * &momentum + grad)));
    }
    assert_ne!(expected[0], expected[1]);
    opt.step(&mut params).unwrap();
    for (id, expected) in [shared, own].into_iter().zip(expected) {
        let value = params.value(id).unwrap();
        // Three roundings of numbers below 1.
        assert!(
            (&value - &expected)
                .iter()
                .all(|d| d.abs() < 3.0 * f32::EPSILON)
        );
    }
}

#[test]
fn the_group_goes_with_the_parameter() {
    let mut params = Params::new();
    let mut net = net(&mut params);
    let still = net.select(&params, "0").unwrap();
    let mut opt = SGD::new(0.1).group(Group::new(still).label("still").lr(0.0));
    train(&net, &mut params, &mut opt, 1);
    let own = net.untie(&mut params, "2.weight").unwrap();
    let before = params.value(own).unwrap().to_owned();
    train(&net, &mut params, &mut opt, 2);
    assert_eq!(params.value(own).unwrap(), before);
    // Unless a group of its own is made for it.
    let group = Group::new(net.select(&params, own).unwrap()).label("own");
    let mut opt = opt.group(group);
    train(&net, &mut params, &mut opt, 1);
    assert_ne!(params.value(own).unwrap(), before);
}

#[test]
fn a_training_that_was_untied_resumes_from_a_checkpoint() {
    // Saved before the optimizer has looked at the new parameter, and after a step with it.
    for steps in [0, 2] {
        for (mut opt, mut resumed) in optimizers().into_iter().zip(optimizers()) {
            let mut params = Params::new();
            let mut net = net(&mut params);
            train(&net, &mut params, &mut *opt, 3);
            net.untie(&mut params, "2.weight").unwrap();
            train(&net, &mut params, &mut *opt, steps);
            let names = checkpoint_names(&net);
            let bytes = Checkpoint::new(&params, &names)
                .state("optimizer", opt.state())
                .to_bytes()
                .unwrap();

            let mut fresh = Params::new();
            let mut other = self::net(&mut fresh);
            let loaded = Loaded::from_bytes(bytes).unwrap();
            // Into the net as it was built it does not go silently.
            let tied = checkpoint_names(&other);
            assert!(
                loaded
                    .load_into(&mut fresh, &tied, Policy::strict())
                    .is_err()
            );
            other.untie(&mut fresh, "2.weight").unwrap();
            let names = checkpoint_names(&other);
            loaded
                .load_into(&mut fresh, &names, Policy::strict())
                .unwrap();
            loaded
                .restore_state(
                    "optimizer",
                    resumed.state_mut(),
                    &fresh,
                    &names,
                    Policy::strict(),
                )
                .unwrap();
            let weight = other.2.weight;
            assert_eq!(resumed.state().step(weight), Ok(3 + steps as u64));

            train(&net, &mut params, &mut *opt, 3);
            train(&other, &mut fresh, &mut *resumed, 3);
            assert_eq!(all_bits(&fresh), all_bits(&params), "{}", opt.name());
        }
    }
}

#[test]
fn a_checkpoint_of_a_selection_is_a_checkpoint_of_these() {
    let mut params = Params::new();
    let net = net(&mut params);
    // By an alias, with all paths of what it leads to.
    let names = checkpoint_names_of(&net, &params, ["2", "!**.bias"]).unwrap();
    let paths: Vec<_> = names.iter().map(|name| &*name.path).collect();
    assert_eq!(paths, ["0.weight", "2.weight"]);
    let bytes = Checkpoint::new(&params, &names).to_bytes().unwrap();
    let loaded = Loaded::from_bytes(bytes).unwrap();
    assert_eq!(loaded.names().collect::<Vec<_>>(), ["0.weight"]);

    let mut copy = params.clone();
    for id in params.ids() {
        copy.as_mut_slice(id).unwrap().fill(7.0);
    }
    loaded
        .load_into(&mut copy, &names, Policy::strict())
        .unwrap();
    for id in params.ids() {
        let same = copy.value(id).unwrap() == params.value(id).unwrap();
        assert_eq!(same, id == net.0.weight);
    }
    assert!(checkpoint_names_of(&net, &params, "3").is_err());
}
