//! Tied parameters: what is one, and stays one.

use tiegrad::prelude::*;

use crate::data::{list_of, load_state, print_of};
use crate::nets::{TiedMlp, rng, run, shapes, tied_mlp, train, x};

#[test]
fn r45_a_tie_by_reuse_or_from_ids() {
    let mut params = Params::<f32>::new();
    // The layer itself, twice: a clone copies ids.
    let shared = Linear::new(&mut params, 8, 8, &mut rng(1));
    let reused = (shared.clone(), ReLU, shared.clone());
    assert_eq!(
        (reused.0.weight, reused.0.bias),
        (reused.2.weight, reused.2.bias)
    );
    // A second layer that is given the first one's parameters, as in Gluon's `params=shared.params`.
    let second = Linear::from_ids(&params, shared.weight, shared.bias).unwrap();
    assert_eq!(second, shared);
    // Only the weight.
    let own_bias = params.insert(&Array1::<f32>::zeros(8)).unwrap();
    let third = Linear::from_ids(&params, shared.weight, Some(own_bias)).unwrap();
    assert_eq!((third.weight, third.bias), (shared.weight, Some(own_bias)));
    // One that does not fit is refused, with both shapes.
    let short = params.insert(&Array1::<f32>::zeros(5)).unwrap();
    let error = Linear::from_ids(&params, shared.weight, Some(short)).unwrap_err();
    assert!(
        error.to_string().contains("[8]") && error.to_string().contains("[5]"),
        "{error}"
    );
    // One call of one field twice is a tie without any copy.
    let mut tape = Tape::new();
    let g = tape.record(&mut params);
    let h = shared.forward(shared.forward(g.full([2, 8], 0.1)).relu());
    h.sum().backward().unwrap();
    assert!(params.grad(shared.weight).unwrap().is_some());
}

/// The chapter's two nets: PyTorch's 4-8-8-8-1 and Gluon's, with 20 inputs and 10 outputs.
#[test]
fn r46_what_is_set_in_one_is_set_in_the_other() {
    for (inputs, outputs) in [(4, 1), (20, 10)] {
        let mut params = Params::<f32>::new();
        let net = tied_mlp(&mut params, inputs, outputs);
        let row = |params: &Params<f32>, id| params.value(id).unwrap().row_of(0);
        assert_eq!(row(&params, net.2.weight), row(&params, net.4.weight));
        params.value_mut(net.2.weight).unwrap()[[0, 0]] = 100.0;
        assert_eq!(params.value(net.4.weight).unwrap()[[0, 0]], 100.0);
        assert_eq!(row(&params, net.2.weight), row(&params, net.4.weight));
        assert_ne!(row(&params, net.0.weight)[0], 100.0);
        let batch = Array2::from_elem((2, inputs), 0.5);
        assert_eq!(run(&net, &params, &batch).shape(), [2, outputs]);
    }
}

trait RowOf {
    fn row_of(&self, index: usize) -> Vec<f32>;
}

impl RowOf for ndarray::ArrayViewD<'_, f32> {
    fn row_of(&self, index: usize) -> Vec<f32> {
        self.index_axis(Axis(0), index).iter().copied().collect()
    }
}

#[test]
fn r47_identity_and_not_equality() {
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    assert!(net.2.weight == net.4.weight);
    // Equal values alone are no tie.
    let copy = net.2.duplicate(&mut params).unwrap();
    assert_eq!(params.value(copy.weight), params.value(net.2.weight));
    assert!(copy.weight != net.2.weight);
    params.value_mut(net.2.weight).unwrap()[[0, 0]] = 100.0;
    assert_ne!(params.value(copy.weight), params.value(net.2.weight));
}

/// Kept twice, counted once, saved and loaded.
#[test]
fn r48_a_layer_that_is_listed_twice() {
    let mut params = Params::<f32>::new();
    let shared = Linear::new(&mut params, 8, 8, &mut rng(1));
    let rng = &mut rng(2);
    let build = |shared: &Linear, params: &mut Params<f32>, rng: &mut _| {
        sequential![
            Flatten,
            Linear::new(params, 4, 8, rng),
            ReLU,
            shared.clone(),
            ReLU,
            shared.clone(),
            ReLU,
            Linear::new(params, 8, 1, rng)
        ]
    };
    let net = build(&shared, &mut params, rng);
    assert_eq!((net.len(), net.modules::<Linear>().len()), (8, 4));
    assert!(net.to_string().contains("(3): Linear") && net.to_string().contains("(5): Linear"));
    // Counted once.
    assert_eq!(net.num_parameters(&params), 40 + 72 + 9);
    assert_eq!(net.num_parameters_with_duplicates(&params), 40 + 2 * 72 + 9);
    assert_eq!((net.named_parameters().len(), net.all_uses().len()), (6, 8));
    // Saved once, and loaded into a net made anew.
    let names = checkpoint_names(&net);
    let file = Checkpoint::new(&params, &names).to_bytes().unwrap();
    let loaded = Loaded::from_bytes(file).unwrap();
    assert_eq!(loaded.names().len(), 6);
    let aliases: Vec<_> = loaded.aliases().collect();
    assert_eq!(aliases, [("5.bias", "3.bias"), ("5.weight", "3.weight")]);
    let mut fresh = Params::<f32>::new();
    let shared = Linear::new(&mut fresh, 8, 8, rng);
    let other = build(&shared, &mut fresh, rng);
    assert_ne!(run(&other, &fresh, &x()), run(&net, &params, &x()));
    loaded
        .load_into(&mut fresh, &checkpoint_names(&other), Policy::strict())
        .unwrap();
    assert_eq!(run(&other, &fresh, &x()), run(&net, &params, &x()));
    assert_eq!(other.find("3.weight"), other.find("5.weight"));
}

#[test]
fn r49_one_buffer_in_memory() {
    let length = |tie: bool| {
        let mut params = Params::<f32>::new();
        let shared = Linear::new(&mut params, 8, 8, &mut rng(1));
        let second = match tie {
            true => shared.clone(),
            false => Linear::new(&mut params, 8, 8, &mut rng(1)),
        };
        let net = (shared, ReLU, second);
        let values = |at| params.value(net.find(at).unwrap()).unwrap().as_ptr();
        assert_eq!(values("0.weight") == values("2.weight"), tie);
        params.values().slab().len()
    };
    let mut params = Params::<f32>::new();
    Linear::new(&mut params, 8, 8, &mut rng(1));
    let one = params.values().slab().len();
    assert_eq!((length(true), length(false)), (one, 2 * one));
}

/// A vocabulary of V = 65 tokens, d = 16 features: a tied model has V · d = 1,040 parameters fewer.
#[test]
fn r51_a_tied_embedding_saves_its_size() {
    use tiegrad::nn::GptConfig;
    let summary = |tied: bool| {
        let mut params = Params::<f32>::new();
        let config = GptConfig {
            n_layer: 1,
            n_head: 2,
            n_embd: 16,
            block_size: 8,
            vocab_size: 65,
            dropout: 0.0,
            bias: true,
            tied,
            init_std: None,
        };
        let net = GPT::new(&mut params, &config, &mut rng(1)).unwrap();
        let summary = net.counts(&params);
        assert_eq!(summary.unique, params.num_elements());
        summary
    };
    let (tied, untied) = (summary(true), summary(false));
    assert_eq!(untied.unique - tied.unique, 65 * 16);
    assert_eq!((tied.shared, untied.shared), (65 * 16, 0));
    assert_eq!(tied.duplicates_included, untied.duplicates_included);
    // The print says which is which.
    let (tied, untied) = (tied.to_string(), untied.to_string());
    assert!(tied.contains("lm_head.weight ↔ wte.weight"), "{tied}");
    assert!(!untied.contains('↔'), "{untied}");
}

/// The tied net prints as PyTorch prints it, lists each parameter once, and lists the aliases where PyTorch's state has them.
#[test]
fn r20_names_and_shapes_of_a_tied_net() {
    let mut params = Params::<f64>::new();
    let net: TiedMlp = tied_mlp(&mut params, 4, 1);
    load_state("tied", &net, &mut params);
    assert_eq!(net.repr().to_string(), print_of("tied"));
    assert_eq!(shapes(&net, &params), list_of("tied", "parameters"));
    let all: Vec<(String, Vec<usize>)> = net
        .all_uses()
        .into_iter()
        .map(|each| (each.path, params.info(each.id).unwrap().shape.to_vec()))
        .collect();
    assert_eq!(all, list_of("tied", "state_dict"));
    let losses = train(&net, &mut params, &mut SGD::new(0.01), &x(), 10);
    assert!(losses[9] < losses[0]);
}
