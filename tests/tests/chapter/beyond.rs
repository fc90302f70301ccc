//! What none of the three systems does.

use tiegrad::checkpoint::{Error, Problem};
use tiegrad::nn::init::InitError;
use tiegrad::prelude::*;

use crate::data::{assert_near, load_state, tensor};
use crate::nets::{Mlp, TiedMlp, mlp, rng, run, tied_mlp, train, x};

#[test]
fn x2_a_stale_or_foreign_id_says_what_it_was() {
    let mut params = Params::<f32>::new();
    let net = mlp(&mut params);
    params.remove(net.2.weight).unwrap();
    let stale = params.value(net.2.weight).unwrap_err().to_string();
    assert!(stale.contains("it had the shape [1, 8]"), "{stale}");
    // In a forward pass: the op, the line here, and the path in the net.
    let mut tape = Tape::new();
    let g = tape.eval(&params);
    let error = net.forward(g.input(x::<f32>())).value().unwrap_err();
    assert_eq!(error.params(), [net.2.weight]);
    let said = net.explain(&error);
    for part in ["beyond.rs", "2.weight", "[1, 8]"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    // Where it was removed, and all paths by which a tied parameter was known.
    assert!(
        said.contains("was removed at") && said.contains("beyond.rs"),
        "{said}"
    );
    let mut tied_params = Params::<f32>::new();
    let tied = tied_mlp(&mut tied_params, 4, 1);
    tied_params.remove(tied.2.weight).unwrap();
    let g = tape.eval(&tied_params);
    let error = tied.forward(g.input(x::<f32>())).value().unwrap_err();
    let said = tied.explain(&error);
    assert!(
        said.contains("2.weight") && said.contains("4.weight"),
        "{said}"
    );
    // The slot's next tenant is not taken for the parameter that was.
    params.insert(&array![[1.0_f32]]).unwrap();
    let reused = params.value(net.2.weight).unwrap_err().to_string();
    assert!(
        reused.contains("[1, 8]") && reused.contains("now holds"),
        "{reused}"
    );

    // Another arena's id.
    let other = Params::<f32>::new();
    let foreign = other.value(net.0.weight).unwrap_err().to_string();
    assert!(foreign.contains("belongs to the arena"), "{foreign}");
    let g = tape.eval(&other);
    assert!(net.0.forward(g.input(x::<f32>())).value().is_err());
}

/// One network object at f32, f64 and dual numbers; the derivative along a direction is the gradient's product with it.
#[test]
fn x6_one_network_at_every_scalar() {
    let mut single = Params::<f32>::new();
    let net = tied_mlp(&mut single, 4, 1);
    let mut double = single.cast::<f64>();
    let mut dual = double.cast::<Dual<f64>>();
    let mut rng = rng(5);
    for id in single.ids() {
        for value in dual.as_mut_slice(id).unwrap() {
            value.eps = rng.random_range(-1.0..1.0);
        }
    }
    let out32 = run(&net, &single, &x());
    let out64 = run(&net, &double, &x());
    let out_dual = run(&net, &dual, &x());
    for ((a, b), c) in out32.iter().zip(&out64).zip(&out_dual) {
        assert!((f64::from(*a) - b).abs() < 1e-6, "{a} and {b}");
        assert!((c.re - b).abs() < 1e-14, "{} and {b}", c.re);
    }
    let mut tape = Tape::new();
    let g = tape.record(&mut double);
    net.forward(g.input(x::<f64>())).sum().backward().unwrap();
    let along: f64 = double
        .ids()
        .flat_map(|id| {
            let gradient = double.grad_slice(id).unwrap().unwrap().iter();
            gradient.zip(dual.as_slice(id).unwrap())
        })
        .map(|(gradient, direction)| gradient * direction.eps)
        .sum();
    let found: f64 = out_dual.iter().map(|y| y.eps).sum();
    assert!((found - along).abs() < 1e-12, "{found} and {along}");
    assert!(along.abs() > 1e-3, "a direction that says nothing: {along}");
}

#[test]
fn x8_ties_of_a_file_change_only_with_a_stated_policy() {
    let mut params = Params::<f32>::new();
    let tied = tied_mlp(&mut params, 4, 1);
    let mut untied = tied.clone();
    untied.4 = untied.4.duplicate(&mut params).unwrap();
    let file = |net: &TiedMlp, params: &Params<f32>| {
        let names = checkpoint_names(net);
        Loaded::from_bytes(Checkpoint::new(params, &names).to_bytes().unwrap()).unwrap()
    };
    let load = |from: &Loaded, into: &TiedMlp, params: &mut Params<f32>, policy| {
        from.load_into(params, &checkpoint_names(into), policy)
    };
    let both = |problems: &[Problem]| {
        let said: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let said = said.join("\n");
        assert!(
            said.contains("2.weight") && said.contains("4.weight"),
            "{said}"
        );
    };

    // Tied file, untied net: refused, nothing written; with the policy the copies are independent.
    let tied_file = file(&tied, &params);
    params.value_mut(tied.2.weight).unwrap().fill(7.0);
    match load(&tied_file, &untied, &mut params, Policy::strict()) {
        Err(Error::Mismatch { problems, .. }) => both(&problems),
        other => panic!("{other:?}"),
    }
    assert_eq!(params.as_slice(untied.2.weight).unwrap()[0], 7.0);
    let policy = Policy::strict().allow_untie(true);
    let report = load(&tied_file, &untied, &mut params, policy).unwrap();
    assert_eq!(
        report.untied,
        [["2.weight", "4.weight"], ["2.bias", "4.bias"]]
    );
    assert_eq!(params.value(untied.2.weight), params.value(untied.4.weight));

    // Untied file with equal values, tied net: only with the policy.
    let untied_file = file(&untied, &params);
    assert!(load(&untied_file, &tied, &mut params, Policy::strict()).is_err());
    let policy = Policy::strict().allow_tie(true);
    let report = load(&untied_file, &tied, &mut params, policy).unwrap();
    assert_eq!(
        report.tied,
        [["2.weight", "4.weight"], ["2.bias", "4.bias"]]
    );

    // With different values there is nothing that a tie could mean: an error under every policy.
    params.value_mut(untied.4.weight).unwrap()[[0, 0]] += 1.0;
    let conflicting = file(&untied, &params);
    match load(&conflicting, &tied, &mut params, policy) {
        Err(Error::Mismatch { problems, .. }) => both(&problems),
        other => panic!("{other:?}"),
    }
    // The same ties on both sides need no policy.
    load(&conflicting, &untied, &mut params, Policy::strict()).unwrap();
    load(&tied_file, &tied, &mut params, Policy::strict()).unwrap();
}

/// `untie(path)` copies the value and the optimizer's state: the next step is the one that both would have taken.
#[test]
fn x3_untie_copies_value_and_optimizer_state() {
    let mut params = Params::<f64>::new();
    let mut net = tied_mlp(&mut params, 4, 1);
    let mut opt = AdamW::new(0.01);
    train(&net, &mut params, &mut opt, &x(), 5);
    let old = net.2.weight;
    let new = net.untie(&mut params, "4.weight").unwrap();
    assert_eq!((net.2.weight, net.4.weight), (old, new));
    assert_ne!(old, new);
    assert_eq!(net.2.bias, net.4.bias, "the other tie stays");
    assert_eq!(params.value(old), params.value(new));
    // The optimizer learns of it when it next looks at the arena.
    opt.state_mut().sync(params.values());
    let state = opt.state();
    for name in ["exp_avg", "exp_avg_sq"] {
        let (a, b) = (
            state.tensor(old, name).unwrap(),
            state.tensor(new, name).unwrap(),
        );
        assert_eq!(a, b, "{name}");
        assert!(a.iter().any(|x| *x != 0.0), "{name}");
    }
    assert_eq!((state.step(old), state.step(new)), (Ok(5), Ok(5)));
    // From there each goes its own way.
    train(&net, &mut params, &mut opt, &x(), 1);
    assert_eq!(
        (opt.state().step(old), opt.state().step(new)),
        (Ok(6), Ok(6))
    );
    assert_ne!(params.value(old), params.value(new));
    // Nothing is left to untie.
    let error = net.untie(&mut params, "4.weight").unwrap_err().to_string();
    assert!(error.contains("only use"), "{error}");
}

/// What each use contributed is what PyTorch's untied net has as gradients, and the contributions sum to the slot.
#[test]
fn x1_the_gradient_of_each_use() {
    let mut params = Params::<f64>::new();
    let net = tied_mlp(&mut params, 4, 1);
    load_state("tied", &net, &mut params);
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    let y = net.forward(g.input(tensor("tied/x")));
    y.mse_loss(g.input(tensor("tied/target")))
        .backward()
        .unwrap();
    for (leaf, id) in [("weight", net.2.weight), ("bias", net.2.bias.unwrap())] {
        // The last use in the forward pass is the first in the backward pass.
        let of: Vec<_> = uses.of(id).collect();
        assert_eq!(of.len(), 2);
        for (contribution, layer) in of.iter().zip([4, 2]) {
            let expected = tensor(&format!("tied/use/{layer}.{leaf}"));
            assert_near(&contribution.grad(), &expected, 1e-12, leaf);
            let norm = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((contribution.norm() - norm).abs() < 1e-12);
            assert_eq!(contribution.op(), "linear");
            assert!(contribution.location().file().ends_with("beyond.rs"));
        }
        let [a, b] = [4, 2].map(|layer| tensor(&format!("tied/use/{layer}.{leaf}")));
        let cosine = (&a * &b).sum() / (of[0].norm() * of[1].norm());
        assert!((of[0].cosine(of[1]).unwrap() - cosine).abs() < 1e-12);
        let sum = &of[0].grad() + &of[1].grad();
        let slot = params.grad(id).unwrap().unwrap();
        // One addition of numbers of size 1.
        assert!((&slot - &sum).iter().all(|e| e.abs() < 1e-15 * 4.0));
    }
    // Opt in: a recording that does not ask leaves it empty.
    assert_eq!(uses.of(net.0.weight).count(), 1);
    let g = tape.record(&mut params);
    net.forward(g.input(tensor("tied/x")))
        .sum()
        .backward()
        .unwrap();
    assert_eq!(UseGrads::<f64>::new().iter().count(), 0);
}

/// The report names each use by its path in the net.
#[test]
fn x1_the_report_names_the_uses() {
    let mut params = Params::<f64>::new();
    let net = tied_mlp(&mut params, 4, 1);
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    net.forward(g.input(x::<f64>())).sum().backward().unwrap();
    let report = net.use_report(&uses);
    let shared = &report.parameters[2];
    let paths: Vec<&str> = shared.uses.iter().map(|each| &*each.path).collect();
    assert_eq!(
        (&*shared.path, &*paths),
        ("2.weight", &["2.weight", "4.weight"][..])
    );
    let slot = params.grad(net.2.weight).unwrap().unwrap();
    let norm = slot.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((shared.norm - norm).abs() < 1e-12);
    assert!(
        shared
            .cosine(0, 1)
            .is_some_and(|cosine| cosine.abs() <= 1.0)
    );
    let text = report.to_string();
    assert!(
        text.contains("2 uses\n  2.weight") && text.contains("  4.weight"),
        "{text}"
    );
    assert!(text.contains("cosine"), "{text}");

    // A transposed use is marked.
    let w = Linear::with(4, 2)
        .bias(false)
        .build(&mut params, &mut rng(1))
        .unwrap();
    let decoder = TiedLinear::new(&mut params, Tied::transposed(w.weight), false).unwrap();
    let net = (w, decoder);
    let g = tape.record(&mut params).per_use(&mut uses);
    net.forward(g.input(x::<f64>())).sum().backward().unwrap();
    let text = net.use_report(&uses).to_string();
    assert!(text.contains("1.weightᵀ"), "{text}");
}

/// Exactly, where nothing is rounded: with integers, over 20 uses.
#[test]
fn x1_contributions_sum_exactly_on_integers() {
    let mut params = Params::<f32>::new();
    let w = params.insert(&array![[1.0_f32, 0.0], [-1.0, 1.0]]).unwrap();
    let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    let g = tape.record(&mut params).per_use(&mut uses);
    let mut h = g.input(&array![[1.0_f32, 2.0]]);
    for step in 0..20 {
        let w = g.param(w);
        h = h.matmul(if step % 2 == 0 { w } else { w.t() });
        h = h.clamp(-3.0, 3.0);
    }
    h.sum().backward().unwrap();
    let mut sum = ArrayD::zeros(vec![2, 2]);
    for contribution in uses.of(w) {
        sum += &contribution.grad();
    }
    assert_eq!(uses.of(w).count(), 20);
    assert_eq!(params.grad(w).unwrap().unwrap(), sum);
    assert!(sum.iter().any(|x| *x != 0.0), "{sum}");
}

#[test]
fn x4_a_second_initializer_through_another_path_names_both() {
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    net.init_at(&mut params, "2", init::constant(1.0), &mut rng(1))
        .unwrap();
    let before: Vec<f32> = params.as_slice(net.2.weight).unwrap().to_vec();
    let error = net.init_at(&mut params, "4", init::constant(2.0), &mut rng(1));
    assert!(
        matches!(error, Err(InitError::Conflict { .. })),
        "{error:?}"
    );
    let said = error.unwrap_err().to_string();
    for part in ["4.weight", "2.weight", "ones", "constant(2)", "beyond.rs"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert_eq!(params.as_slice(net.2.weight).unwrap(), before);
    // The same one through the other path is done already.
    net.init_at(&mut params, "4", init::constant(1.0), &mut rng(1))
        .unwrap();
    // Forced, whichever path is named.
    net.reinit_at(&mut params, "4", init::constant(2.0), &mut rng(1))
        .unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [2.0; 64]);
    // A whole net draws a tied parameter once.
    let mut calls = 0;
    let count = init::from_fn(|_, _, _| calls += 1);
    net.reinit(&mut params, count, &mut rng(1)).unwrap();
    assert_eq!(calls, 3);
}

#[test]
fn x5_a_tied_parameter_in_two_optimizer_groups() {
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    let group = |path: &str, label: &str| {
        let selection = net.select(&params, path).unwrap();
        Group::new(selection).label(label).lr(0.1)
    };
    let (first, second) = (group("2.weight", "decayed"), group("4.weight", "head"));
    let mut opt = AdamW::new(1e-3).group(first).group(second);
    let before = params.value(net.2.weight).unwrap().to_owned();
    let said = opt.step(&mut params).unwrap_err().to_string();
    for part in ["\"decayed\" (as 2.weight)", "\"head\" (as 4.weight)"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    assert_eq!(params.value(net.2.weight).unwrap(), before);
    // One group, by whichever path, is fine.
    let selection = net.select(&params, "4.weight").unwrap();
    let mut opt = AdamW::new(1e-3).group(Group::new(selection).lr(0.0));
    train(&net, &mut params, &mut opt, &x(), 2);
    assert_eq!(params.value(net.2.weight).unwrap(), before);
}

#[test]
fn x7_initial_values_depend_on_seed_and_path() {
    let values = |build: &dyn Fn(&mut Params<f32>) -> Mlp, seed: u64| {
        let mut params = Params::<f32>::new();
        let net = build(&mut params);
        let source = init::path_seeded(seed);
        net.init(&mut params, init::pytorch_default(), source)
            .unwrap();
        let named = net.named_parameters().into_iter();
        let values = named.map(|(name, id)| (name, params.as_slice(id).unwrap().to_vec()));
        values.collect::<Vec<_>>()
    };
    let forwards = |params: &mut Params<f32>| mlp(params);
    let backwards = |params: &mut Params<f32>| {
        Linear::new(params, 3, 3, &mut rng(9)); // something else first
        let last = Linear::new(params, 8, 1, &mut rng(8));
        (Linear::new(params, 4, 8, &mut rng(7)), ReLU, last)
    };
    assert_eq!(values(&forwards, 7), values(&backwards, 7));
    assert_ne!(values(&forwards, 7), values(&forwards, 8));
    // Another path is another stream; a layer in front changes nothing that keeps its path.
    let mut params = Params::<f32>::new();
    let pair = [0; 2].map(|_| Linear::new(&mut params, 4, 4, &mut rng(1)));
    pair.init(&mut params, init::normal(0.0, 1.0), init::path_seeded(7))
        .unwrap();
    assert_ne!(params.value(pair[0].weight), params.value(pair[1].weight));
}

/// What a tie goes through unharmed. (Saving and loading: `r48` and `x8`; selection: `r22b`; initialization: `x4`.)
#[test]
fn x3_ties_survive_everything() {
    let pattern = |net: &TiedMlp| {
        let uses = net.all_uses();
        let aliases = uses.iter().filter(|each| each.alias_of.is_some());
        aliases.map(|each| each.path.clone()).collect::<Vec<_>>()
    };
    let tied = ["4.weight", "4.bias"];
    let mut params = Params::<f32>::new();
    let net = tied_mlp(&mut params, 4, 1);
    assert_eq!(pattern(&net), tied);
    // Clone of the net, duplicate of the net.
    assert_eq!(pattern(&net.clone()), tied);
    let copy = net.duplicate(&mut params).unwrap();
    assert_eq!(pattern(&copy), tied);
    assert_ne!(copy.2.weight, net.2.weight);
    // Clone and cast of the arena: the ids stay, so do the ties.
    for out in [
        run(&net, &params.clone(), &x()).mapv(f64::from),
        run(&net, &params.cast::<f64>(), &x()),
    ] {
        let expected = run(&net, &params, &x());
        assert!(
            (out - expected.mapv(f64::from))
                .iter()
                .all(|e| e.abs() < 1e-6)
        );
    }
    // Freezing by one path freezes the parameter; thawing by the other thaws it.
    net.freeze(&mut params, "4").unwrap();
    assert_eq!(params.requires_grad(net.2.weight), Ok(false));
    let before = params.value(net.2.weight).unwrap().to_owned();
    train(&net, &mut params, &mut SGD::new(0.1), &x(), 2);
    assert_eq!(params.value(net.2.weight).unwrap(), before);
    net.thaw(&mut params, "2").unwrap();
    assert_eq!(params.requires_grad(net.4.weight), Ok(true));
    // A checkpoint of a part has all paths of what is tied.
    let names = checkpoint_names_of(&net, &params, "4.weight").unwrap();
    let paths: Vec<&str> = names.iter().map(|entry| &*entry.path).collect();
    assert_eq!(paths, ["2.weight", "4.weight"]);
    // Training, re-initialization, compaction.
    train(&net, &mut params, &mut AdamW::new(0.1), &x(), 3);
    net.reinit(&mut params, init::xavier_uniform(), &mut rng(1))
        .unwrap();
    copy.named_parameters()
        .into_iter()
        .for_each(|(_, id)| drop(params.remove(id).unwrap()));
    params.compact();
    assert_eq!(
        (pattern(&net), params.len()),
        (tied.map(String::from).to_vec(), 6)
    );
    params.value_mut(net.2.weight).unwrap()[[0, 0]] = 100.0;
    assert_eq!(params.value(net.4.weight).unwrap()[[0, 0]], 100.0);
}
