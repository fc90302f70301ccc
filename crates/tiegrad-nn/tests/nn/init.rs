//! Initializers: what they are shown, what they touch, what they refuse. Their distributions are in `init_laws.rs`, what happens a second time in `init_once.rs`.

use rand::SeedableRng;
use rand::rngs::SmallRng;
use tiegrad_nn::init::{InitError, Target};
use tiegrad_nn::prelude::*;

fn rng() -> SmallRng {
    SmallRng::seed_from_u64(11)
}

#[test]
fn builders_take_initializers() {
    let mut params = Params::<f64>::new();
    let built = Linear::with(2, 3)
        .weight_init(init::constant(1.5))
        .bias_init(init::constant(-1.0));
    let built = built.build(&mut params, &mut rng()).unwrap();
    assert_eq!(params.as_slice(built.weight).unwrap(), [1.5; 6]);
    assert_eq!(params.as_slice(built.bias.unwrap()).unwrap(), [-1.0; 3]);
}

#[test]
fn one_seed_gives_the_same_net_under_every_scalar() {
    let (mut single, mut double) = (Params::<f32>::new(), Params::<f64>::new());
    let a = Linear::new(&mut single, 3, 5, &mut rng());
    let b = Linear::new(&mut double, 3, 5, &mut rng());
    let rounded: Vec<f32> = double
        .as_slice(b.weight)
        .unwrap()
        .iter()
        .map(|&x| x as f32)
        .collect();
    assert_eq!(single.as_slice(a.weight).unwrap(), rounded);
}

#[test]
fn a_whole_net_initializer_touches_weights() {
    let mut params = Params::<f64>::new();
    let net = (
        (
            Linear::new(&mut params, 4, 8, &mut rng()),
            LayerNorm::new(&mut params, 8),
        ),
        Linear::new(&mut params, 8, 1, &mut rng()),
    );
    net.init(&mut params, init::normal(0.0, 0.01), &mut rng())
        .unwrap();
    let all = |params: &Params<f64>, path: &str, f: &dyn Fn(f64) -> bool| {
        assert!(
            params
                .as_slice(net.find(path).unwrap())
                .unwrap()
                .iter()
                .all(|&x| f(x)),
            "{path}"
        );
    };
    all(&params, "0.0.weight", &|x| x != 0.0 && x.abs() < 0.06);
    all(&params, "0.0.bias", &|x| x == 0.0);
    all(&params, "0.1.weight", &|x| x == 1.0);
    all(&params, "0.1.bias", &|x| x == 0.0);

    // One block, then one parameter by name.
    net.reinit_at(&mut params, "1", init::constant(42.0), &mut rng())
        .unwrap();
    all(&params, "1.weight", &|x| x == 42.0);
    all(&params, "1.bias", &|x| x == 0.0);
    all(&params, "0.0.weight", &|x| x.abs() < 0.06);
    net.reinit_at(&mut params, "0.*.bias", init::constant(3.0), &mut rng())
        .unwrap();
    all(&params, "0.0.bias", &|x| x == 3.0);
    all(&params, "0.1.bias", &|x| x == 3.0);
    all(&params, "1.bias", &|x| x == 0.0);
    let error = net
        .reinit_at(&mut params, "2", init::zeros(), &mut rng())
        .unwrap_err();
    assert!(matches!(
        error,
        InitError::Name(NameError::NothingSelected { .. })
    ));

    // A sub-tree alone.
    net.0.reinit(&mut params, init::ones(), &mut rng()).unwrap();
    all(&params, "0.0.weight", &|x| x == 1.0);
    all(&params, "1.weight", &|x| x == 42.0);
}

#[test]
fn custom_initializers_see_where_they_are() {
    let mut params = Params::<f32>::new();
    let net = (
        Linear::new(&mut params, 4, 8, &mut rng()),
        ReLU,
        Linear::new(&mut params, 8, 1, &mut rng()),
    );
    let mut seen = Vec::new();
    let chapters = |target: &Target<'_>, values: &mut [f64], rng: &mut dyn rand::Rng| {
        seen.push(format!(
            "{} {} {} {}",
            target.path, target.shape, target.fan_in, target.fan_out
        ));
        for value in values {
            let x = init::uniform_draw(rng, -10.0, 10.0);
            *value = if x.abs() >= 5.0 { x } else { 0.0 };
        }
    };
    net.init(&mut params, chapters, &mut rng()).unwrap();
    assert_eq!(seen, ["0.weight [8, 4] 4 8", "2.weight [1, 8] 8 1"]);
}

#[test]
fn fans_are_pytorchs() {
    let fans = |dims: &[usize]| {
        let mut params = Params::<f32>::new();
        let id = params.insert_with(Shape::new(dims).unwrap(), |_| {});
        let mut fans = (0, 0);
        init::fill(
            &mut params,
            id,
            init::from_fn(|t, _, _| fans = (t.fan_in, t.fan_out)),
            &mut rng(),
        )
        .unwrap();
        fans
    };
    assert_eq!(fans(&[8, 4]), (4, 8));
    assert_eq!(fans(&[16, 3, 5, 5]), (75, 400));
    assert_eq!(fans(&[7]), (7, 7));
    assert_eq!(fans(&[]), (1, 1));
}

#[test]
fn what_cannot_be_is_an_error() {
    let mut params = Params::<f32>::new();
    let net = (Linear::new(&mut params, 4, 8, &mut rng()),);
    let mut error = |initializer: init::Preset| {
        net.init(&mut params, initializer, &mut rng())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(init::normal(0.0, -1.0)),
        "0.weight of shape [8, 4] cannot be initialized so: a standard deviation is at least 0 and finite, got -1"
    );
    assert_eq!(
        error(init::uniform(1.0, 0.0)),
        "0.weight of shape [8, 4] cannot be initialized so: the range from 1 to 0 is none"
    );
    assert!(error(init::uniform(f64::NAN, 0.0)).contains("none"));
    assert!(
        error(init::trunc_normal(0.0, f64::INFINITY, -1.0, 1.0)).contains("standard deviation")
    );
    assert!(
        net.init(
            &mut params,
            init::xavier_uniform().gain(f64::NAN),
            &mut rng()
        )
        .is_err()
    );

    // Sizes that no memory holds: a dead id from `new`, an error from `build`.
    let dead = Linear::new(&mut params, usize::MAX, 2, &mut rng());
    assert!(dead.weight.is_dead());
    assert!(
        Linear::with(usize::MAX, 2)
            .build(&mut params, &mut rng())
            .is_err()
    );
    let empty = Linear::new(&mut params, 0, 3, &mut rng());
    assert_eq!(params.as_slice(empty.weight).unwrap().len(), 0);
    (empty,)
        .init(&mut params, init::kaiming_normal(), &mut rng())
        .unwrap();
}
