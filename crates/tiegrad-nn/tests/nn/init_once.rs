//! Each parameter is initialized on purpose once: marks, conflicts, all or nothing; and values that depend on (seed, path) alone.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::init::{InitError, Target};
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(5)
}

type Net = (Linear, ReLU, Linear);

fn net() -> (Params<f32>, Net) {
    let mut params = Params::new();
    let first = Linear::new(&mut params, 4, 8, &mut rng());
    let last = Linear::new(&mut params, 8, 1, &mut rng());
    (params, (first, ReLU, last))
}

/// Two layers that are one, and a third.
fn tied() -> (Params<f32>, (Linear, Linear, Linear)) {
    let mut params = Params::new();
    let shared = Linear::new(&mut params, 4, 4, &mut rng());
    let other = Linear::new(&mut params, 4, 4, &mut rng());
    (params, (shared.clone(), shared, other))
}

/// All values and marks.
fn state(params: &Params<f32>) -> Vec<(Vec<f32>, Option<String>)> {
    let of = |id| {
        let mark = params.initialized(id).unwrap();
        let values = params.as_slice(id).unwrap().to_vec();
        (values, mark.map(|mark| format!("{mark:?}")))
    };
    params.ids().map(of).collect()
}

#[test]
fn a_second_time_is_an_error_unless_forced() {
    let (mut params, net) = net();
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng())
        .unwrap();
    let (line, before) = (line!() - 2, state(&params));
    let error = net
        .init(&mut params, init::constant(1.0), &mut rng())
        .unwrap_err();
    assert_eq!(state(&params), before);
    let file = file!().rsplit('/').next().unwrap();
    let text = error.to_string();
    assert!(
        text.starts_with("0.weight is initialized already, by normal(mean=0, std=0.01) (")
            && text.contains(&format!("{file}:{line}:"))
            && text.ends_with("): reinit lets ones do it again, init_rest leaves it as it is"),
        "{text}"
    );
    // The biases have been set to 0 on purpose, too.
    let error = net.init_at(&mut params, "2.bias", init::ones(), &mut rng());
    assert!(matches!(
        error,
        Err(InitError::AlreadyInitialized { path, by, earlier })
            if (path.as_str(), by.as_str(), earlier.by.as_str()) == ("2.bias", "ones", "zeros")
    ));

    net.reinit_at(&mut params, "2", init::constant(42.0), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [42.0; 8]);
    net.reinit(&mut params, init::ones(), &mut rng()).unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [1.0; 8]);
    let mark = params.initialized(net.2.weight).unwrap().unwrap();
    assert_eq!((&*mark.path, &*mark.by), ("2.weight", "ones"));
}

#[test]
fn only_what_a_user_has_said_counts() {
    let mut params = Params::<f32>::new();
    let config = GptConfig {
        n_layer: 1,
        n_head: 2,
        n_embd: 8,
        block_size: 4,
        tied: false,
        bias: true,
        ..GptConfig::default()
    };
    let gpt = GPT::new(&mut params, &config, &mut rng()).unwrap();
    let plain = Embedding::new(&mut params, 3, 2, &mut rng());
    assert!(params.ids().all(|id| params.initialized(id) == Ok(None)));
    gpt.init(&mut params, init::normal(0.0, 0.1), &mut rng())
        .unwrap();
    plain.init(&mut params, init::ones(), &mut rng()).unwrap();

    let given = Linear::with(2, 3).weight_init(init::ones());
    let given = given.build(&mut params, &mut rng()).unwrap();
    let mark = params.initialized(given.weight).unwrap().unwrap();
    assert_eq!((&*mark.path, &*mark.by), ("weight", "ones"));
    assert_eq!(params.initialized(given.bias.unwrap()), Ok(None));
    let error = (given,).init(&mut params, init::zeros(), &mut rng());
    let text = error.unwrap_err().to_string();
    assert!(
        text.starts_with("0.weight is initialized already, by ones as weight ("),
        "{text}"
    );

    let biased = Linear::with(2, 3).bias_init(init::ones());
    let biased = biased.build(&mut params, &mut rng()).unwrap();
    assert_eq!(params.initialized(biased.weight), Ok(None));
    assert!(params.initialized(biased.bias.unwrap()).unwrap().is_some());
    let table = Embedding::with_init(&mut params, 3, 2, init::ones(), &mut rng()).unwrap();
    assert!(table.init(&mut params, init::ones(), &mut rng()).is_err());
}

#[test]
fn fill_counts_and_refill_forces() {
    let (mut params, net) = net();
    init::fill(&mut params, net.0.weight, init::ones(), &mut rng()).unwrap();
    let before = state(&params);
    let again = init::fill(&mut params, net.0.weight, init::zeros(), &mut rng());
    let text = again.unwrap_err().to_string();
    assert!(text.starts_with("the parameter is initialized already, by ones ("));
    assert!(text.ends_with("): init::refill lets zeros do it again"));
    assert!(net.init(&mut params, init::zeros(), &mut rng()).is_err());
    assert_eq!(state(&params), before);
    init::refill(&mut params, net.0.weight, init::zeros(), &mut rng()).unwrap();
    assert_eq!(params.as_slice(net.0.weight).unwrap(), [0.0; 32]);
    net.init_rest(&mut params, init::ones(), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(net.0.weight).unwrap(), [0.0; 32]);
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [1.0; 8]);
}

#[test]
fn a_tied_parameter_is_initialized_once_and_a_conflict_names_both_paths() {
    let (mut params, net) = tied();
    net.init_at(&mut params, "0", init::constant(0.5), &mut rng())
        .unwrap();
    let before = state(&params);
    // The same initializer through the other path: done already.
    net.init_at(&mut params, "1", init::constant(0.5), &mut rng())
        .unwrap();
    assert_eq!(state(&params), before);
    // Another: both paths, both initializers, and the line.
    let error = net
        .init_at(&mut params, "1", init::normal(0.0, 0.01), &mut rng())
        .unwrap_err();
    assert_eq!(state(&params), before);
    let text = error.to_string();
    assert!(
        text.starts_with("1.weight and 0.weight are one tied parameter: constant(0.5) has initialized 0.weight (")
            && text.contains("init_once.rs:")
            && text.ends_with("), and normal(mean=0, std=0.01) would initialize 1.weight: choose one of them, or reinit"),
        "{text}"
    );
    // The same path again is no matter of ties.
    let again = net.init_at(&mut params, "0", init::constant(0.5), &mut rng());
    assert!(matches!(again, Err(InitError::AlreadyInitialized { .. })));
    // Other settings are another initializer; a closure is equal to none, not even to itself.
    let other = net.init_at(&mut params, "1", init::constant(0.25), &mut rng());
    assert!(matches!(other, Err(InitError::Conflict { .. })));
    let twos = |_: &Target<'_>, values: &mut [f64], _: &mut dyn rand::Rng| values.fill(2.0);
    net.reinit_at(&mut params, "0", twos, &mut rng()).unwrap();
    let error = net
        .init_at(&mut params, "1.weight", twos, &mut rng())
        .unwrap_err();
    assert!(
        matches!(&error, InitError::Conflict { by, other_by, .. } if by == "a closure" && other_by == by)
    );
    // The whole net comes through the first path.
    let whole = net.init(&mut params, init::ones(), &mut rng());
    assert!(matches!(whole, Err(InitError::AlreadyInitialized { path, .. }) if path == "0.weight"));
    net.init_rest(&mut params, init::ones(), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(net.1.weight).unwrap(), [2.0; 16]);
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [1.0; 16]);
}

#[test]
fn a_whole_net_initializer_draws_a_tied_parameter_once() {
    let (mut params, net) = tied();
    let mut seen = Vec::new();
    let spy = |target: &Target<'_>, _: &mut [f64], _: &mut dyn rand::Rng| {
        seen.push(target.path.to_owned());
    };
    net.init(&mut params, spy, &mut rng()).unwrap();
    assert_eq!(seen, ["0.weight", "2.weight"]);
}

#[test]
fn several_initializers_in_one_call() {
    let (mut params, plain) = net();
    let each = [
        ("**.bias", init::constant(0.1).boxed()),
        ("0", init::constant(1.0).boxed()),
        ("**", init::constant(42.0).boxed()), // what is left
    ];
    plain.init_each(&mut params, each, &mut rng()).unwrap();
    let values = |path: &str| params.as_slice(plain.find(path).unwrap()).unwrap()[0];
    let found = ["0.weight", "0.bias", "2.weight", "2.bias"].map(values);
    assert_eq!(found, [1.0, 0.1, 42.0, 0.1]);

    let (mut params, net) = tied();
    let before = state(&params);
    let conflict = [
        ("2", init::ones().boxed()),
        ("0", init::xavier_uniform().boxed()),
        ("1", init::xavier_normal().boxed()),
    ];
    let error = net
        .init_each(&mut params, conflict, &mut rng())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "1.weight and 0.weight are one tied parameter: xavier_uniform(gain=1) has initialized 0.weight, and xavier_normal(gain=1) would initialize 1.weight: choose one of them, or reinit"
    );
    assert_eq!(state(&params), before);
    let same = [
        ("0", init::xavier_uniform().boxed()),
        ("1", init::xavier_uniform().boxed()),
    ];
    net.init_each(&mut params, same, &mut rng()).unwrap();
    let nothing = net.init_each(&mut params, [("3", init::ones().boxed())], &mut rng());
    assert!(matches!(nothing, Err(InitError::Name(_))));
}

#[test]
fn an_initializer_that_fails_changes_nothing() {
    let (mut params, net) = net();
    let before = state(&params);
    // It fits 0.weight and not 2.weight, which comes later.
    struct Square;
    impl Initializer for Square {
        fn fill(
            &mut self,
            target: &Target<'_>,
            values: &mut [f64],
            _: &mut dyn rand::Rng,
        ) -> Result<(), InitError> {
            values.fill(7.0);
            match target.path {
                "0.weight" => Ok(()),
                _ => Err(target.unsuitable("too late")),
            }
        }
    }
    assert!(net.init(&mut params, Square, &mut rng()).is_err());
    assert!(net.reinit(&mut params, Square, &mut rng()).is_err());
    let each = [("0", init::ones().boxed()), ("2", Square.boxed())];
    assert!(net.init_each(&mut params, each, &mut rng()).is_err());
    assert!(init::fill(&mut params, net.2.weight, Square, &mut rng()).is_err());
    assert_eq!(state(&params), before);

    // A mark on the last parameter stops the first.
    net.init_at(&mut params, "2.bias", init::ones(), &mut rng())
        .unwrap();
    let before = state(&params);
    assert!(net.init(&mut params, init::ones(), &mut rng()).is_err());
    assert_eq!(state(&params), before);
    // So does a parameter that is gone.
    params.remove(net.2.bias.unwrap()).unwrap();
    let before = state(&params);
    let gone = net.reinit(&mut params, init::ones(), &mut rng());
    assert!(matches!(gone, Err(InitError::Arena { path, .. }) if path == "2.bias"));
    assert_eq!(state(&params), before);
}

#[test]
fn copies_keep_the_mark() {
    let (mut params, net) = net();
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng())
        .unwrap();
    let mark = params.initialized(net.0.weight).unwrap().cloned();
    assert!(mark.is_some());
    let copy = params.clone();
    assert_eq!(copy.initialized(net.0.weight).unwrap(), mark.as_ref());
    let double = params.cast::<f64>();
    assert_eq!(double.initialized(net.0.weight).unwrap(), mark.as_ref());
    let twin = net.duplicate(&mut params).unwrap();
    assert_eq!(params.initialized(twin.0.weight).unwrap(), mark.as_ref());
    assert!(twin.init(&mut params, init::ones(), &mut rng()).is_err());
    // What comes into the slot afterwards is another parameter.
    params.remove(net.0.weight).unwrap();
    let next = Linear::new(&mut params, 4, 8, &mut rng());
    assert_eq!(next.weight.index(), net.0.weight.index());
    assert_eq!(params.initialized(next.weight), Ok(None));
}

#[test]
fn selections_of_every_kind() {
    let (mut params, net) = net();
    net.init_at(&mut params, ".*weight", init::ones(), &mut rng())
        .unwrap();
    net.init_at(
        &mut params,
        net.2.bias.unwrap(),
        init::constant(3.0),
        &mut rng(),
    )
    .unwrap();
    net.init_rest_at(&mut params, "type:Linear", init::constant(9.0), &mut rng())
        .unwrap();
    let value = |path: &str| params.as_slice(net.find(path).unwrap()).unwrap()[0];
    let found = ["0.weight", "0.bias", "2.weight", "2.bias"].map(value);
    assert_eq!(found, [1.0, 0.0, 1.0, 3.0]);
    net.reinit_at(&mut params, ["**", "!0"], init::constant(5.0), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(net.2.weight).unwrap(), [5.0; 8]);
    assert_eq!(params.as_slice(net.0.weight).unwrap(), [1.0; 32]);
}

#[test]
fn values_depend_on_seed_and_path_alone() {
    let (mut params, plain) = net();
    let law = || init::normal(0.0, 1.0);
    plain
        .init(&mut params, law(), init::path_seeded(7))
        .unwrap();

    // Built in another order, in an arena with other things in it, among other layers, initialized in parts.
    let mut others = Params::<f32>::new();
    let last = Linear::new(&mut others, 8, 1, &mut rng());
    let _unused = Linear::new(&mut others, 3, 3, &mut rng());
    let first = Linear::new(&mut others, 4, 8, &mut rng());
    let other = (first, LayerNorm::new(&mut others, 8), last);
    other
        .init_at(&mut others, "2", law(), init::path_seeded(7))
        .unwrap();
    other
        .init_rest(&mut others, law(), init::path_seeded(7))
        .unwrap();
    let pairs = [
        (plain.0.weight, other.0.weight),
        (plain.2.weight, other.2.weight),
    ];
    for (a, b) in pairs {
        assert_eq!(params.as_slice(a).unwrap(), others.as_slice(b).unwrap());
    }
    // Another path or seed: other values.
    let [first, last] = [plain.0.weight, plain.2.weight];
    assert_ne!(
        params.as_slice(first).unwrap()[..8],
        *params.as_slice(last).unwrap()
    );
    let before = params.as_slice(first).unwrap().to_vec();
    plain
        .reinit(&mut params, law(), init::path_seeded(8))
        .unwrap();
    assert_ne!(params.as_slice(first).unwrap(), before);
    // A tied parameter has the values of its first path, whichever selects it.
    let (mut params, net) = tied();
    net.init_at(&mut params, "1", law(), init::path_seeded(7))
        .unwrap();
    let through_alias = params.as_slice(net.0.weight).unwrap().to_vec();
    net.reinit(&mut params, law(), init::path_seeded(7))
        .unwrap();
    assert_eq!(params.as_slice(net.0.weight).unwrap(), through_alias);
}

/// These numbers may never change: they are what a user's (seed, path) means. They were computed in Python, from the documentation of `path_seeded`.
#[test]
fn path_seeded_values_are_pinned() {
    use tiegrad_nn::init::Source;
    let mut source = init::path_seeded(42);
    let mut first = |path: &str| source.at(path).next_u64();
    let found = ["", "0.weight", "0.bias", "1.weight"].map(&mut first);
    assert_eq!(
        found,
        [
            10_688_547_069_314_329_244,
            10_386_300_239_312_465_668,
            97_009_633_343_355_711,
            7_997_836_584_437_856_185
        ]
    );
}

#[test]
fn roles_that_an_initializer_covers() {
    // lstm_bias sets biases and leaves weights as they are.
    let mut params = Params::<f32>::new();
    let gates = Linear::new(&mut params, 3, 8, &mut rng());
    let before = params.as_slice(gates.weight).unwrap().to_vec();
    gates
        .init(&mut params, init::lstm_bias(1.0), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(gates.weight).unwrap(), before);
    assert_eq!(params.initialized(gates.weight), Ok(None));
    let bias = params.as_slice(gates.bias.unwrap()).unwrap();
    assert_eq!(bias, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    // The rest is still to be had.
    gates
        .init_rest(&mut params, init::ones(), &mut rng())
        .unwrap();
    assert_eq!(params.as_slice(gates.weight).unwrap(), [1.0; 24]);
    assert_eq!(params.as_slice(gates.bias.unwrap()).unwrap()[2], 1.0);
}
