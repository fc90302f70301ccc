//! Ties: one tensor in the file for one parameter in the arena, under however many names; anything else only when asked for.

use crate::common::{entries, foreign, param, problems, zeros};
use tiegrad_arena::{Params, State};
use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy, Problem};

const W: &[f32] = &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
const W_T: &[f32] = &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0];

fn saved(params: &Params<f32>, names: &[Entry]) -> Loaded {
    Loaded::from_bytes(Checkpoint::new(params, names).to_bytes().unwrap()).unwrap()
}

#[test]
fn a_tied_parameter_is_stored_once_under_its_first_name() {
    let mut params = Params::new();
    let w = param(&mut params, &[3, 2], W);
    let file = saved(
        &params,
        &entries(&[("wte.weight", w), ("lm_head.weight", w), ("z", w)]),
    );
    assert_eq!(file.names().collect::<Vec<_>>(), ["wte.weight"]);
    assert_eq!(
        file.aliases().collect::<Vec<_>>(),
        [("lm_head.weight", "wte.weight"), ("z", "wte.weight")]
    );
}

#[test]
fn any_one_of_the_names_is_enough() {
    for name in ["wte.weight", "lm_head.weight"] {
        // As Hugging Face writes a tied model: one name, and not a word about the other.
        let file = foreign(r#"{"format":"pt"}"#, &[(name, &[3, 2], W)]);
        let mut params = Params::new();
        let w = zeros(&mut params, &[3, 2]);
        let names = entries(&[("wte.weight", w), ("lm_head.weight", w)]);
        file.load_into(&mut params, &names, Policy::strict())
            .unwrap();
        assert_eq!(params.as_slice(w).unwrap(), W);
    }
}

#[test]
fn names_in_another_order_find_their_tensor_through_the_aliases() {
    let mut params = Params::new();
    let w = param(&mut params, &[3, 2], W);
    let mut file = saved(&params, &entries(&[("b", w), ("a", w)]));
    for order in [["a", "b"], ["b", "a"]] {
        let mut other = Params::new();
        let w = zeros(&mut other, &[3, 2]);
        let names = entries(&order.map(|name| (name, w)));
        file.load_into(&mut other, &names, Policy::strict())
            .unwrap();
        assert_eq!(other.as_slice(w).unwrap(), W);
        file = saved(&other, &names);
        assert_eq!(file.names().next(), Some(order[0]));
    }
}

#[test]
fn an_untied_save_goes_into_a_tied_network_only_with_leave_and_equal_values() {
    let mut params = Params::new();
    let [a, b] = [W, W].map(|w| param(&mut params, &[3, 2], w));
    let untied = entries(&[("a", a), ("b", b)]);
    let file = saved(&params, &untied);

    let tied = entries(&[("a", a), ("b", a)]);
    let found = problems(&file, &mut params, &tied, Policy::strict());
    assert!(matches!(&found[..], [Problem::UntiedInFile { names, .. }] if *names == ["a", "b"]));
    let allow = Policy::strict().allow_tie(true);
    let report = file.load_into(&mut params, &tied, allow).unwrap();
    assert_eq!(
        (report.loaded, report.tied),
        (1, vec![vec!["a".to_string(), "b".into()]])
    );

    // One sign of one zero apart.
    params.as_mut_slice(a).unwrap()[0] = 0.0;
    params.as_mut_slice(b).unwrap()[0] = -0.0;
    let file = saved(&params, &untied);
    for policy in [Policy::strict(), allow] {
        let found = problems(&file, &mut params, &tied, policy);
        assert!(
            matches!(&found[..], [Problem::Conflict { first, second, .. }] if (&**first, &**second) == ("a", "b")),
            "{found:?}"
        );
    }
}

#[test]
fn equal_nans_are_equal_and_others_are_not() {
    let nan = |bits: u32| f32::from_bits(0x7fc0_0000 + bits);
    let mut params = Params::new();
    let w = zeros(&mut params, &[1]);
    let names = entries(&[("a", w), ("b", w)]);
    let file = |b| foreign("{}", &[("a", &[1], &[nan(1)]), ("b", &[1], &[nan(b)])]);
    file(1)
        .load_into(&mut params, &names, Policy::strict())
        .unwrap();
    assert_eq!(params.as_slice(w).unwrap()[0].to_bits(), nan(1).to_bits());
    assert_eq!(
        problems(&file(2), &mut params, &names, Policy::strict()).len(),
        1
    );
}

#[test]
fn an_alias_that_is_also_a_tensor_must_agree_with_it() {
    let mut params = Params::new();
    let w = zeros(&mut params, &[1]);
    let names = entries(&[("a", w)]);
    // The network knows one name; the metadata says that it is another tensor's alias too.
    let file = foreign(r#"{"a":"b"}"#, &[("a", &[1], &[1.0]), ("b", &[1], &[2.0])]);
    let found = problems(&file, &mut params, &names, Policy::strict());
    assert!(
        matches!(&found[..], [Problem::Conflict { .. }]),
        "{found:?}"
    );
}

#[test]
fn untying_copies_the_optimizers_memory_too() {
    let mut params = Params::new();
    let [a, b] = [W, &[0.0; 6]].map(|w| param(&mut params, &[3, 2], w));
    let mut state = State::new(["exp_avg"]);
    state.sync(params.values());
    state
        .set_tensor(a, "exp_avg", &params.value(a).unwrap())
        .unwrap();
    state.set_step(a, 9).unwrap();
    let tied = entries(&[("a", a), ("b", a)]);
    let bytes = Checkpoint::new(&params, &tied)
        .state("opt", &state)
        .to_bytes()
        .unwrap();
    let file = Loaded::from_bytes(bytes).unwrap();

    let untied = entries(&[("a", a), ("b", b)]);
    let mut state = State::new(["exp_avg"]);
    assert!(
        file.restore_state("opt", &mut state, &params, &untied, Policy::strict())
            .is_err()
    );
    let allow = Policy::strict().allow_untie(true);
    file.load_into(&mut params, &untied, allow).unwrap();
    let report = file
        .restore_state("opt", &mut state, &params, &untied, allow)
        .unwrap();
    assert_eq!(
        report.untied,
        [
            ["opt.exp_avg.a", "opt.exp_avg.b"],
            ["opt.step.a", "opt.step.b"]
        ]
    );
    for id in [a, b] {
        assert_eq!(params.as_slice(id).unwrap(), W);
        assert_eq!(
            state.tensor(id, "exp_avg").unwrap(),
            params.value(id).unwrap()
        );
        assert_eq!(state.step(id).unwrap(), 9);
    }
}

#[test]
fn a_transposed_use_is_compared_and_read_transposed() {
    let mut params = Params::new();
    let w = zeros(&mut params, &[2, 3]);
    let names = [
        Entry::new("enc.weight", w),
        Entry::transposed("dec.weight", w),
    ];
    let enc: (&str, &[usize], &[f32]) = ("enc.weight", &[2, 3], W);
    let dec: (&str, &[usize], &[f32]) = ("dec.weight", &[3, 2], W_T);
    for tensors in [&[enc, dec][..], &[enc], &[dec]] {
        params.as_mut_slice(w).unwrap().fill(0.0);
        foreign("{}", tensors)
            .load_into(&mut params, &names, Policy::strict())
            .unwrap();
        assert_eq!(params.as_slice(w).unwrap(), W);
    }
    let file = foreign("{}", &[enc, ("dec.weight", &[3, 2], W)]);
    let found = problems(&file, &mut params, &names, Policy::strict());
    assert!(matches!(&found[..], [Problem::Conflict { .. }]));
    // An output projection is stored as the embedding is, whatever the use does with it.
    let file = foreign("{}", &[enc, ("dec.weight", &[2, 3], W)]);
    file.load_into(&mut params, &names, Policy::strict())
        .unwrap();
}

#[test]
fn transposed_names_come_back_in_any_order_square_ones_too() {
    for shape in [[2, 3], [3, 2]] {
        round_trip(&shape, W);
    }
    round_trip(&[2, 2], &W[..4]);
}

fn round_trip(shape: &[usize], values: &[f32]) {
    let mut params = Params::new();
    let w = param(&mut params, shape, values);
    let mut state = State::new(["m"]);
    state.sync(params.values());
    state.set_tensor(w, "m", &params.value(w).unwrap()).unwrap();
    let plain = Entry::new("enc", w);
    let turned = Entry::transposed("dec", w);
    let lists = [
        vec![plain.clone(), turned.clone()],
        vec![turned.clone(), plain.clone()],
        vec![turned],
    ];
    for from in &lists {
        let bytes = Checkpoint::new(&params, from)
            .state("opt", &state)
            .to_bytes()
            .unwrap();
        let file = Loaded::from_bytes(bytes).unwrap();
        for to in lists.iter().filter(|to| to.len() == from.len()) {
            let mut other = params.clone();
            other.as_mut_slice(w).unwrap().fill(0.0);
            let mut memory = State::new(["m"]);
            file.load_into(&mut other, to, Policy::strict()).unwrap();
            file.restore_state("opt", &mut memory, &other, to, Policy::strict())
                .unwrap();
            assert_eq!(other.as_slice(w).unwrap(), values, "{from:?} {to:?}");
            assert_eq!(memory.tensor(w, "m").unwrap(), params.value(w).unwrap());
        }
    }
}

#[test]
fn a_tensor_stands_in_the_file_as_its_path_shows_it() {
    let mut params = Params::new();
    let w = param(&mut params, &[2, 3], W);
    let file = saved(&params, &[Entry::transposed("dec", w)]);
    let tensor = file.tensor("dec").unwrap();
    assert_eq!(
        (tensor.shape(), tensor.to_vec::<f32>().unwrap()),
        (&[3, 2][..], W_T.to_vec())
    );
}

#[test]
fn untying_a_transposed_use_copies_it_transposed() {
    let mut params = Params::new();
    let w = param(&mut params, &[2, 3], W);
    let file = saved(
        &params,
        &[Entry::new("enc", w), Entry::transposed("dec", w)],
    );
    let dec = zeros(&mut params, &[3, 2]);
    let names = entries(&[("enc", w), ("dec", dec)]);
    file.load_into(&mut params, &names, Policy::strict().allow_untie(true))
        .unwrap();
    assert_eq!(params.as_slice(dec).unwrap(), W_T);
    assert_eq!(params.as_slice(w).unwrap(), W);

    // Square, where no shape could tell: as the file says.
    let mut params = Params::new();
    let w = param(&mut params, &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let file = saved(
        &params,
        &[Entry::new("enc", w), Entry::transposed("dec", w)],
    );
    let dec = zeros(&mut params, &[2, 2]);
    let names = entries(&[("enc", w), ("dec", dec)]);
    file.load_into(&mut params, &names, Policy::strict().allow_untie(true))
        .unwrap();
    assert_eq!(params.as_slice(dec).unwrap(), [1.0, 3.0, 2.0, 4.0]);
}
