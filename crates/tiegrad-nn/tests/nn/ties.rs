//! Ties: equal ids, everywhere.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(5)
}

/// The chapter's net: 4-8, ReLU, shared 8-8, ReLU, the same, ReLU, 8-1.
fn shared_net(params: &mut Params<f64>) -> Sequential {
    let shared = Linear::new(params, 8, 8, &mut rng());
    let (first, last) = (
        Linear::new(params, 4, 8, &mut rng()),
        Linear::new(params, 8, 1, &mut rng()),
    );
    sequential![first, ReLU, shared.clone(), ReLU, shared, ReLU, last]
}

#[test]
fn a_layer_used_twice_is_kept_twice_and_counted_once() {
    let mut params = Params::new();
    let net = shared_net(&mut params);
    let at = |i| net.get::<Linear>(i).unwrap();
    assert_eq!(at(2).weight, at(4).weight);
    assert_eq!(net.len(), 7);
    assert_eq!(net.named_parameters().len(), 6);
    assert_eq!(net.num_parameters(&params), 4 * 8 + 8 + 8 * 8 + 8 + 8 + 1);
    assert_eq!(
        net.num_parameters_with_duplicates(&params),
        net.num_parameters(&params) + 72
    );
    assert_eq!(
        params.num_elements(),
        net.num_parameters(&params),
        "one buffer in memory"
    );

    params.value_mut(at(2).weight).unwrap()[[0, 0]] = 100.0;
    assert_eq!(params.value(at(4).weight).unwrap()[[0, 0]], 100.0);

    let uses = net.all_uses();
    let aliases: Vec<_> = uses
        .iter()
        .filter_map(|each| Some((&*each.path, &*uses[each.alias_of?].path)))
        .collect();
    assert_eq!(aliases, [("4.weight", "2.weight"), ("4.bias", "2.bias")]);
}

#[test]
fn a_clone_is_tied_and_a_duplicate_is_not() {
    let mut params = Params::new();
    let net = shared_net(&mut params);
    let before = params.len();
    let clone = net.clone();
    assert_eq!(clone.named_parameters(), net.named_parameters());
    assert_eq!(params.len(), before);

    let frozen = net.find("0.weight").unwrap();
    params.set_requires_grad(frozen, false).unwrap();
    let copy = net.duplicate(&mut params).unwrap();
    assert_eq!(params.len(), 2 * before);
    for ((name, old), (copied_name, new)) in net
        .named_parameters()
        .into_iter()
        .zip(copy.named_parameters())
    {
        assert_eq!(name, copied_name);
        assert_ne!(old, new);
        assert_eq!(params.value(old), params.value(new));
        assert_eq!(params.requires_grad(old), params.requires_grad(new));
    }
    assert_eq!(
        copy.find("2.weight"),
        copy.find("4.weight"),
        "the tie inside is kept"
    );
    assert_eq!(copy.num_parameters(&params), net.num_parameters(&params));
    // The clone is still tied to the original: ids were changed in the copy alone.
    assert_eq!(clone.find("2.weight"), net.find("2.weight"));
}

#[test]
fn duplicates_keep_transposed_ties() {
    let mut params = Params::<f64>::new();
    let encoder = Linear::new(&mut params, 6, 3, &mut rng());
    let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true).unwrap();
    let copy = (encoder, decoder).duplicate(&mut params).unwrap();
    assert_eq!(copy.0.weight, copy.1.weight.id);
    assert!(copy.1.weight.transposed);
}

#[test]
fn gradients_of_tied_uses_are_added() {
    let mut params = Params::new();
    let net = shared_net(&mut params);
    // Integer weights: sums are exact in any order.
    net.init(
        &mut params,
        init::from_fn(|_, values, rng| {
            values
                .iter_mut()
                .for_each(|x| *x = init::uniform_draw(rng, -2.0, 3.0).floor());
        }),
        &mut rng(),
    )
    .unwrap();
    let untied = {
        let at = |i| net.get::<Linear>(i).unwrap().clone();
        let other = at(4).duplicate(&mut params).unwrap();
        sequential![at(0), ReLU, at(2), ReLU, other, ReLU, at(6)]
    };
    let mut grads = |net: &Sequential| {
        params.zero_grad();
        let mut tape = Tape::new();
        let g = tape.record(&mut params);
        net.forward(g.input((&[1.0, -2.0, 3.0, 1.0, 2.0, 2.0, -1.0, 3.0][..], [2, 4])))
            .sum()
            .backward()
            .unwrap();
        let grad = |path: &str| {
            params
                .grad_slice(net.find(path).unwrap())
                .unwrap()
                .unwrap()
                .to_vec()
        };
        (grad("2.weight"), grad("4.weight"))
    };
    let (tied, _) = grads(&net);
    let (first, second) = grads(&untied);
    assert!(first.iter().any(|&x| x != 0.0) && second.iter().any(|&x| x != 0.0));
    let sum: Vec<f64> = first.iter().zip(&second).map(|(a, b)| a + b).collect();
    assert_eq!(tied, sum);
}

#[test]
fn the_autoencoder_uses_its_weight_transposed() {
    let mut params = Params::<f64>::new();
    let encoder = Linear::new(&mut params, 6, 3, &mut rng());
    let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true).unwrap();
    let net = (encoder.clone(), Tanh, decoder);
    let mut loss = |net: &(Linear, Tanh, TiedLinear), nudge: f64| {
        params.zero_grad();
        params.value_mut(encoder.weight).unwrap()[[1, 4]] += nudge;
        let mut tape = Tape::new();
        let g = tape.record(&mut params);
        let x = g.input((&[0.3, -0.1, 0.8, 0.2, 0.9, -0.7][..], [1, 6]));
        let loss = net.forward(x).mse_loss(x).backward().unwrap();
        assert_eq!(g_copies(&mut tape, &params, net), 0);
        params.value_mut(encoder.weight).unwrap()[[1, 4]] -= nudge;
        (loss, params.grad(encoder.weight).unwrap().unwrap()[[1, 4]])
    };
    let h = 1e-5;
    let numeric = (loss(&net, h).0 - loss(&net, -h).0) / (2.0 * h);
    let (_, analytic) = loss(&net, 0.0);
    assert!((numeric - analytic).abs() < 1e-8, "{numeric} {analytic}");
}

/// How many operands a forward pass copies: the transposed weight is a view.
fn g_copies(tape: &mut Tape, params: &Params<f64>, net: &impl Layer) -> usize {
    let g = tape.eval(params);
    net.forward(g.full([1, 6], 1.0));
    g.copies()
}

#[test]
fn initializers_run_once_per_parameter() {
    let mut params = Params::new();
    let net = shared_net(&mut params);
    let mut seen = Vec::new();
    let spy = init::from_fn(|target, values, _| {
        seen.push(target.path.to_owned());
        values.fill(seen.len() as f64);
    });
    net.init(&mut params, spy, &mut rng()).unwrap();
    assert_eq!(seen, ["0.weight", "2.weight", "6.weight"]);
}
