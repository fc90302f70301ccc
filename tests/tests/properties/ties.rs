//! Property 1: a tie is an equal id. It comes from `clone`, and nothing that is done to a network takes it apart.

use tiegrad::prelude::*;

use crate::common::{all_bits, gpt, rng, tokens};

/// Two uses of one layer, between layers of their own.
#[derive(Module, Clone)]
struct Net {
    first: Linear,
    shared: [Linear; 2],
    decoder: Tied,
}

impl Net {
    fn new(params: &mut Params<f32>) -> Self {
        let rng = &mut rng(1);
        let first = Linear::new(params, 4, 6, rng);
        let shared = Linear::new(params, 6, 6, rng);
        Self {
            decoder: Tied::transposed(first.weight),
            shared: [shared.clone(), shared],
            first,
        }
    }
}

impl Layer for Net {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let h = self.shared.forward(self.first.forward(x).tanh());
        h.linear(self.decoder.var(x.graph()), None)
    }
}

fn train<T: Scalar>(net: &Net, params: &mut Params<T>, opt: &mut dyn Optimizer<T>, steps: usize) {
    let mut tape = Tape::new();
    for _ in 0..steps {
        let g = tape.record(params);
        let x = g.full([3, 4], T::from_f64(0.5));
        net.forward(x)
            .mse_loss(g.full([3, 4], T::ONE))
            .backward()
            .unwrap();
        opt.step(params).unwrap();
        params.zero_grad();
    }
}

/// The ids of all uses, in tree order, as numbers from 0: equal numbers are ties.
fn pattern(net: &impl Module) -> Vec<usize> {
    let ids: Vec<ParamId> = net.all_uses().iter().map(|used| used.id).collect();
    let first = |id| ids.iter().position(|x| x == id).unwrap();
    ids.iter().map(first).collect()
}

const TIED: [usize; 7] = [0, 1, 2, 3, 2, 3, 0];

#[test]
fn a_clone_is_tied_to_the_original() {
    let mut params = Params::new();
    let net = Net::new(&mut params);
    let copy = net.clone();
    assert_eq!(copy.all_uses(), net.all_uses());
    // A step of the copy is a step of the original.
    let before = params.value(net.first.weight).unwrap().to_owned();
    train(&copy, &mut params, &mut SGD::new(0.1), 1);
    assert_ne!(params.value(net.first.weight).unwrap(), before);
    assert_eq!(params.len(), 4);
}

#[test]
fn a_duplicate_is_independent_and_keeps_the_ties_within() {
    let mut params = Params::new();
    let net = Net::new(&mut params);
    let copy = net.duplicate(&mut params).unwrap();
    assert_eq!(
        (pattern(&net), pattern(&copy)),
        (TIED.to_vec(), TIED.to_vec())
    );
    assert_eq!(
        pattern(&(net.clone(), copy.clone()))[7..],
        [7, 8, 9, 10, 9, 10, 7]
    );
    assert_eq!(params.len(), 8);
    assert!(copy.decoder.transposed);

    let values = |net: &Net, params: &Params<f32>| -> Vec<ArrayD<f32>> {
        let named = net.named_parameters().into_iter();
        named
            .map(|(_, id)| params.value(id).unwrap().to_owned())
            .collect()
    };
    assert_eq!(values(&net, &params), values(&copy, &params));
    let before = values(&net, &params);
    train(&copy, &mut params, &mut SGD::new(0.1), 3);
    assert_eq!(values(&net, &params), before);
    assert_ne!(values(&copy, &params), before);
}

#[test]
fn ids_stay_valid_under_a_clone_and_a_cast_of_the_arena() {
    let mut params = Params::new();
    let net = Net::new(&mut params);
    let before = all_bits(&params);
    let mut average = params.clone();
    let mut precise = params.cast::<f64>();
    train(&net, &mut average, &mut SGD::new(0.1), 2);
    train(&net, &mut precise, &mut SGD::new(0.1), 2);
    // The arenas have gone separate ways, the net has not.
    assert_eq!(all_bits(&params), before);
    for (_, id) in net.named_parameters() {
        let (a, p) = (average.as_slice(id).unwrap(), precise.as_slice(id).unwrap());
        assert_ne!(a, params.as_slice(id).unwrap());
        assert!(
            a.iter()
                .zip(p)
                .all(|(a, p)| (f64::from(*a) - p).abs() < 1e-5),
            "{a:?}, {p:?}"
        );
    }
}

#[test]
fn a_tie_goes_through_a_checkpoint() {
    let mut params = Params::new();
    let net = Net::new(&mut params);
    train(&net, &mut params, &mut SGD::new(0.1), 2);
    let names = checkpoint_names(&net);
    let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes().unwrap()).unwrap();
    assert_eq!(loaded.names().len(), 4, "one tensor for each parameter");
    let aliases: Vec<(&str, &str)> = loaded.aliases().collect();
    assert_eq!(
        aliases,
        [
            ("decoder", "first.weight"),
            ("shared.1.bias", "shared.0.bias"),
            ("shared.1.weight", "shared.0.weight")
        ]
    );

    // Into a net of its own arena, made anew.
    let mut fresh = Params::new();
    let other = Net::new(&mut fresh);
    other
        .init(&mut fresh, init::constant(0.0), &mut rng(2))
        .unwrap();
    loaded
        .load_into(&mut fresh, &checkpoint_names(&other), Policy::strict())
        .unwrap();
    assert_eq!(all_bits(&fresh), all_bits(&params));
    train(&net, &mut params, &mut SGD::new(0.1), 2);
    train(&other, &mut fresh, &mut SGD::new(0.1), 2);
    assert_eq!(all_bits(&fresh), all_bits(&params));
    assert_eq!(pattern(&other), TIED);
}

#[test]
fn an_optimizer_keeps_one_state_for_an_id_and_steps_it_once() {
    let optimizers: [Box<dyn Optimizer<f32>>; 5] = [
        Box::new(SGD::new(0.1).momentum(0.9)),
        Box::new(SGD::new(0.1).momentum(0.9).nesterov(true)),
        Box::new(Adam::new(0.1)),
        Box::new(AdamW::new(0.1)),
        Box::new(RMSprop::new(0.1).momentum(0.9)),
    ];
    for mut opt in optimizers {
        let mut params = Params::new();
        let net = Net::new(&mut params);
        train(&net, &mut params, &mut *opt, 5);
        let state = opt.state();
        let mut with_state: Vec<ParamId> = state.ids().collect();
        with_state.sort();
        let mut ids: Vec<ParamId> = params.ids().collect();
        ids.sort();
        assert_eq!(with_state, ids, "{}", opt.name());
        for id in ids {
            assert_eq!(state.step(id).unwrap(), 5, "{}", opt.name());
            for name in state.names() {
                let shape = params.info(id).unwrap().shape;
                assert_eq!(state.tensor(id, name).unwrap().shape(), &*shape);
            }
        }
    }
}

#[test]
fn a_group_that_names_a_tied_weight_by_an_alias_has_it() {
    let mut params = Params::new();
    let net = Net::new(&mut params);
    let decoder = net.select(&params, "decoder").unwrap();
    let mut opt = SGD::new(0.1).group(Group::new(decoder).lr(0.0));
    let before = params.value(net.first.weight).unwrap().to_owned();
    train(&net, &mut params, &mut opt, 1);
    assert_eq!(params.value(net.first.weight).unwrap(), before);
}

#[test]
fn the_head_of_a_gpt_is_its_embedding_after_training() {
    let mut params = Params::<f32>::new();
    let gpt = gpt(true, &mut params);
    let (x, y) = tokens();
    let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
    for _ in 0..5 {
        let g = tape.record(&mut params);
        gpt.loss(g.indices(&x), g.indices(&y)).backward().unwrap();
        opt.step(&mut params).unwrap();
        params.zero_grad();
    }
    assert_eq!(
        gpt.find("lm_head.weight").unwrap(),
        gpt.find("wte.weight").unwrap()
    );
    let picture = gpt.tree(&params).to_string();
    assert!(picture.contains("↔ wte.weight"), "{picture}");
    let apart = gpt.num_parameters_with_duplicates(&params);
    assert_eq!(apart - gpt.num_parameters(&params), 7 * 8);
}
