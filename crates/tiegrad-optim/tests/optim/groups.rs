//! Parameter groups, and the settings of optimizers.

use crate::common::{set_grad, vector};
use tiegrad_arena::{ParamId, Params, Selection, Shape};
use tiegrad_optim::{Adam, AdamW, Group, OptimError, Optimizer, RMSprop, SGD, matrices};

fn one(id: ParamId) -> Selection {
    Selection::from_ids([id])
}

/// Gives each parameter a gradient of ones, steps, and returns the first elements.
fn step_all(opt: &mut dyn Optimizer<f64>, params: &mut Params<f64>, ids: &[ParamId]) -> Vec<f64> {
    for &id in ids {
        let len = params.info(id).unwrap().shape.len();
        set_grad(params, id, &vec![1.0; len]);
    }
    opt.step(params).unwrap();
    ids.iter()
        .map(|&id| params.as_slice(id).unwrap()[0])
        .collect()
}

#[test]
fn what_a_group_does_not_set_it_has_from_the_optimizer() {
    let mut params = Params::new();
    let ids = [(); 4].map(|()| vector(&mut params, &[0.0; 3]));
    let mut opt = SGD::new(1.0)
        .group(Group::new(one(ids[1])).lr(10.0))
        .group(Group::new(one(ids[2])).lr_scale(0.5))
        .group(Group::new(one(ids[3])).maximize(true));
    assert_eq!(
        step_all(&mut opt, &mut params, &ids),
        [-1.0, -10.0, -0.5, 1.0]
    );
    opt.set_lr(2.0);
    assert_eq!(
        step_all(&mut opt, &mut params, &ids),
        [-3.0, -20.0, -1.5, 3.0]
    );
}

#[test]
fn one_parameter_in_two_groups_is_an_error_that_names_all_three() {
    let mut params = Params::new();
    let [a, b] = [(); 2].map(|()| vector(&mut params, &[1.0]));
    let mut opt = AdamW::new(0.1)
        .group(Group::new(Selection::from_ids([a, b])))
        .group(Group::new(one(b)).label("head"));
    set_grad(&mut params, b, &[1.0]);
    let error = opt.step(&mut params).unwrap_err();
    let OptimError::InTwoGroups {
        id, first, second, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*id, &**first, &**second), (b, "group 0", "head"));
    let text = error.to_string();
    assert!(!text.contains("(as "), "{text}");
    for part in [&b.to_string(), "group 0", "head"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(params.as_slice(b), Ok(&[1.0][..]), "nothing has changed");
    // It stays an error.
    assert_eq!(opt.step(&mut params).unwrap_err(), error);
    // It is none in an arena where `b` is no more.
    params.remove(b).unwrap();
    assert_eq!(opt.step(&mut params), Ok(()));
}

/// The row x5: the paths are those by which the two selections came to the one parameter.
#[test]
fn one_parameter_in_two_groups_by_two_paths_is_an_error_that_names_both() {
    let mut params = Params::new();
    let [a, b] = [(); 2].map(|()| vector(&mut params, &[1.0]));
    let encoder = Selection::from_named([("encoder.weight", b), ("encoder.bias", a)]);
    let head = Selection::from_named([("decoder.weight", b)]);
    let text = |first: &Selection, second: &Selection, params: &mut Params<f64>| {
        let mut opt = SGD::new(0.1)
            .group(Group::new(first.clone()).label("decayed"))
            .group(Group::new(second.clone()).label("head"));
        opt.step(params).unwrap_err().to_string()
    };
    let start = format!("the parameter {b} is in two parameter groups: ");
    let both = text(&encoder, &head, &mut params);
    assert!(
        both.starts_with(&format!(
            r#"{start}"decayed" (as encoder.weight) and "head" (as decoder.weight); "#
        )),
        "{both}"
    );
    let second = text(&one(b), &head, &mut params);
    assert!(
        second.starts_with(&format!(
            r#"{start}"decayed" and "head" (as decoder.weight); "#
        )),
        "{second}"
    );
}

#[test]
fn a_fork_is_treated_as_the_group_of_the_original_says() {
    let mut params = Params::new();
    let [a, b] = [(); 2].map(|()| vector(&mut params, &[0.0]));
    let mut opt = SGD::new(1.0).group(Group::new(one(a)).lr(10.0));
    let fork = params.fork(a).unwrap();
    let fork_of_fork = params.fork(fork).unwrap();
    let ids = [a, b, fork, fork_of_fork];
    assert_eq!(
        step_all(&mut opt, &mut params, &ids),
        [-10.0, -1.0, -10.0, -10.0]
    );
    // Also when the original is gone; and where a group names the fork, it is in that one.
    let mut opt = opt.group(Group::new(one(fork_of_fork)).lr(100.0));
    params.remove(a).unwrap();
    assert_eq!(
        step_all(&mut opt, &mut params, &ids[1..]),
        [-2.0, -20.0, -110.0]
    );
}

#[test]
fn removed_ids_leave_their_group_and_foreign_ones_are_errors() {
    let mut params = Params::new();
    let [a, b] = [(); 2].map(|()| vector(&mut params, &[1.0]));
    let group = Group::new(Selection::from_ids([a, b]))
        .label("both")
        .lr(1.0);
    let mut opt = SGD::new(0.0).group(group.clone());
    params.remove(a).unwrap();
    assert_eq!(step_all(&mut opt, &mut params, &[b]), [0.0]);
    // The slot of `a` has a new tenant, which is in no group.
    let c = vector(&mut params, &[1.0]);
    assert_eq!(c.index(), a.index());
    assert_eq!(step_all(&mut opt, &mut params, &[b, c]), [-1.0, 1.0]);

    let mut elsewhere = Params::<f64>::new();
    vector(&mut elsewhere, &[1.0]);
    let error = opt.step(&mut elsewhere).unwrap_err();
    assert!(matches!(&error, OptimError::Group { group, .. } if &**group == "both"));
    let dead = Group::new(one(ParamId::DEAD));
    assert!(matches!(
        SGD::new(0.1).group(dead).prepare(&params),
        Err(OptimError::Group { .. })
    ));
}

#[test]
fn weight_decay_can_be_for_matrices_only() {
    let mut params = Params::<f64>::new();
    let matrix = params.insert_with(Shape::new(&[2, 2]).unwrap(), |w| w.fill(1.0));
    let bias = vector(&mut params, &[1.0, 1.0]);
    let scalar = params.insert_with(Shape::SCALAR, |w| w.fill(1.0));
    let head = vector(&mut params, &[1.0]);
    assert_eq!(matrices(&params), one(matrix));

    let still = |params: &mut Params<f64>, opt: &mut dyn Optimizer<f64>| {
        let ids = [matrix, bias, scalar, head];
        let mut params = params.clone();
        for id in ids {
            let len = params.info(id).unwrap().shape.len();
            set_grad(&mut params, id, &vec![0.0; len]);
        }
        opt.step(&mut params).unwrap();
        ids.map(|id| params.as_slice(id).unwrap()[0])
    };
    let opt = || AdamW::new(0.5).weight_decay(0.5).decay_matrices_only();
    assert_eq!(still(&mut params, &mut opt()), [0.75, 1.0, 1.0, 1.0]);
    // A group that sets a weight decay means it.
    let group = Group::new(one(head)).weight_decay(1.0);
    assert_eq!(
        still(&mut params, &mut opt().group(group)),
        [0.75, 1.0, 1.0, 0.5]
    );
    // One that does not has the exemption too.
    let group = Group::new(Selection::from_ids([matrix, head])).lr(1.0);
    assert_eq!(
        still(&mut params, &mut opt().group(group)),
        [0.5, 1.0, 1.0, 1.0]
    );
    // The same with selections alone.
    let group = Group::new(matrices(&params)).weight_decay(0.5);
    let mut opt = AdamW::new(0.5).weight_decay(0.0).group(group);
    assert_eq!(still(&mut params, &mut opt), [0.75, 1.0, 1.0, 1.0]);
}

#[test]
fn settings_out_of_range_are_errors_and_change_nothing() {
    let mut params = Params::<f64>::new();
    let id = vector(&mut params, &[1.0]);
    let copy = params.clone();
    let mut setting = |mut opt: Box<dyn Optimizer<f64>>| {
        set_grad(&mut params, id, &[1.0]);
        let error = opt.step(&mut params).unwrap_err();
        assert_eq!(params.as_slice(id), Ok(&[1.0][..]));
        match error {
            OptimError::Setting { setting, group, .. } => (setting, group),
            other => panic!("{other}"),
        }
    };
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(setting(Box::new(SGD::new(bad))).0, "lr");
        assert_eq!(
            setting(Box::new(SGD::new(0.1).weight_decay(bad))).0,
            "weight_decay"
        );
        assert_eq!(setting(Box::new(SGD::new(0.1).momentum(bad))).0, "momentum");
        assert_eq!(setting(Box::new(Adam::new(0.1).eps(bad))).0, "eps");
        assert_eq!(setting(Box::new(Adam::new(0.1).betas(bad, 0.9))).0, "beta1");
        assert_eq!(
            setting(Box::new(AdamW::new(0.1).betas(0.9, bad))).0,
            "beta2"
        );
        assert_eq!(setting(Box::new(RMSprop::new(0.1).alpha(bad))).0, "alpha");
    }
    assert_eq!(
        setting(Box::new(AdamW::new(0.1).betas(0.9, 1.0))).0,
        "beta2"
    );
    assert_eq!(
        setting(Box::new(SGD::new(0.1).dampening(f64::NAN))).0,
        "dampening"
    );
    assert_eq!(
        setting(Box::new(SGD::new(0.1).nesterov(true))).0,
        "nesterov"
    );
    let dampened = SGD::new(0.1).momentum(0.9).dampening(0.1).nesterov(true);
    assert_eq!(setting(Box::new(dampened)).0, "nesterov");
    let grouped = SGD::new(0.1).group(Group::new(one(id)).label("it").momentum(-1.0));
    assert_eq!(setting(Box::new(grouped)), ("momentum", Some("it".into())));
    let mut late = SGD::new(0.1);
    late.set_lr(f64::NAN);
    assert_eq!(setting(Box::new(late)).0, "lr");
    let mut later = SGD::new(0.1).group(Group::new(one(id)).label("it").lr_scale(1e300));
    later.prepare(&copy).unwrap();
    later.set_lr(1e300);
    assert_eq!(setting(Box::new(later)), ("lr", Some("it".into())));
}

#[test]
fn a_setting_that_an_optimizer_does_not_have_is_an_error() {
    let mut params = Params::<f32>::new();
    let group = || Group::new(Selection::default()).label("g");
    let error = SGD::new(0.1)
        .group(group().betas(0.9, 0.9))
        .step(&mut params)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "SGD: the parameter group \"g\" sets beta1, which SGD does not have; a group can set lr, momentum, dampening, \
         weight_decay, nesterov, maximize"
    );
    assert!(
        RMSprop::new(0.1)
            .group(group().nesterov(true))
            .step(&mut params)
            .is_err()
    );
    assert!(
        Adam::new(0.1)
            .group(group().alpha(0.5))
            .step(&mut params)
            .is_err()
    );
    let all = group()
        .momentum(0.5)
        .alpha(0.5)
        .eps(0.1)
        .weight_decay(0.1)
        .lr(0.1)
        .maximize(true);
    assert!(RMSprop::new(0.1).group(all).step(&mut params).is_ok());
}

#[test]
fn settings_can_be_listed() {
    let group = Group::new(Selection::default())
        .label("head")
        .lr_scale(0.1)
        .weight_decay(0.0);
    let opt = AdamW::<f32>::new(1e-2).betas(0.9, 0.99).group(group);
    let settings = opt.settings();
    let get = |name: &str| {
        settings
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| *value)
    };
    for (name, value) in [
        ("lr", 1e-2),
        ("beta1", 0.9),
        ("beta2", 0.99),
        ("eps", 1e-8),
        ("weight_decay", 1e-2),
        ("amsgrad", 0.0),
        ("maximize", 0.0),
        ("head.lr", 1e-3),
        ("head.weight_decay", 0.0),
    ] {
        assert_eq!(get(name), Some(value), "{name}");
    }
    assert_eq!(get("head.eps"), None, "it does not differ");
    assert!(format!("{opt:?}").starts_with("AdamW { lr: 0.01, beta1: 0.9, "));
}
