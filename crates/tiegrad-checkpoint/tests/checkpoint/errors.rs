//! One test for each way in which a file, a save or a load can be wrong.

use std::error::Error as _;

use crate::common::{entries, fault, file, foreign, param, problems, zeros};
use tiegrad_arena::{Params, State};
use tiegrad_checkpoint::{Checkpoint, Dtype, Entry, Error, Fault, Loaded, Policy, Problem};
use tiegrad_kernels::scalar::Dual;

const A: &str = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

#[test]
fn files_that_end_too_early() {
    assert!(matches!(fault(b""), Fault::TooShort { len: 0, .. }));
    assert!(matches!(fault(b"1234567"), Fault::TooShort { len: 7, .. }));
    let whole = file(format!("{{{A}}}"), &[0; 8]);
    let header = whole.len() - 16;
    assert!(Loaded::from_bytes(whole.clone()).is_ok());
    for len in 8..8 + header {
        let found = fault(&whole[..len]);
        assert!(
            matches!(found, Fault::HeaderCut { found, .. } if found == len - 8),
            "{found:?}"
        );
    }
    for len in 8 + header..whole.len() {
        assert!(matches!(
            fault(&whole[..len]),
            Fault::Truncated { expected: 8, .. }
        ));
    }
    let mut longer = whole;
    longer.extend([0; 3]);
    assert!(matches!(fault(longer), Fault::Trailing { extra: 3, .. }));
}

#[test]
fn headers_that_are_too_long() {
    for len in [100_000_001, u64::MAX] {
        let found = fault(len.to_le_bytes());
        assert!(matches!(found, Fault::HeaderTooLong { header, .. } if header == len));
    }
    // What a text file looks like.
    let text = fault(b"Lorem ipsum dolor sit amet");
    assert!(text.to_string().contains("probably not a safetensors file"));
}

#[test]
fn headers_that_are_no_json() {
    assert!(matches!(
        fault(file([b'{', 0xff, b'}'], b"")),
        Fault::NotUtf8 { valid: 1, .. }
    ));
    for text in ["", "{", "{\"a\":}", "{} {}", "\u{1}"] {
        let found = fault(file(text, b""));
        assert!(matches!(found, Fault::NotJson { .. }), "{text}: {found:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        fault(file(format!(r#"{{"a":{deep}"#), b"")),
        Fault::NotJson { .. } | Fault::NotAHeader { .. }
    ));
}

#[test]
fn headers_that_are_not_of_safetensors() {
    for text in [
        "[]",
        "3",
        "null",
        r#"{"a":1}"#,
        r#"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","data_offsets":[0,8]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999999999]}}"#,
        r#"{"__metadata__":{"a":1}}"#,
        r#"{"__metadata__":"a"}"#,
    ] {
        let found = fault(file(text, &[0; 8]));
        assert!(
            matches!(found, Fault::NotAHeader { .. }),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn names_that_are_there_twice() {
    for text in [
        format!("{{{A},{A}}}"),
        format!(r#"{{{A},"\u0061":{{"dtype":"F32","shape":[0],"data_offsets":[8,8]}}}}"#),
        r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(),
        r#"{"__metadata__":{},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":3}"#.into(),
    ] {
        let found = fault(file(&text, &[0; 8]));
        assert!(
            matches!(&found, Fault::DuplicateName { name, .. } if name == "a"),
            "{text}: {found:?}"
        );
    }
    let found = fault(file(r#"{"__metadata__":{},"__metadata__":{}}"#, b""));
    assert!(matches!(&found, Fault::DuplicateName { name, .. } if name == "__metadata__"));
}

#[test]
fn tensors_that_do_not_lie_one_behind_the_other() {
    for (shape, offsets) in [("[2]", "4,12"), ("[2]", "8,0"), ("[0]", "8,8")] {
        let text =
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{offsets}]}}}}"#);
        let found = fault(file(&text, &[0; 12]));
        assert!(
            matches!(&found, Fault::Offsets { name, .. } if name == "a"),
            "{text}: {found:?}"
        );
    }
    let overlap = format!(r#"{{{A},"b":{{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}}}"#);
    assert!(matches!(fault(file(overlap, &[0; 12])), Fault::Offsets { name, .. } if name == "b"));
}

#[test]
fn tensors_of_another_size_than_their_shape_says() {
    for (dtype, shape) in [
        ("F32", "[3]"),
        ("F64", "[2]"),
        ("F4", "[1]"),
        ("F32", "[4294967296,4294967296]"),
        ("F32", "[9223372036854775807]"),
    ] {
        let text = format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,8]}}}}"#);
        let found = fault(file(&text, &[0; 8]));
        assert!(
            matches!(&found, Fault::Size { name, .. } if name == "a"),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn tensors_as_large_as_the_address_space() {
    let max = usize::MAX / 8;
    let text = format!(r#"{{"a":{{"dtype":"U8","shape":[{max}],"data_offsets":[0,{max}]}}}}"#);
    assert!(
        matches!(fault(file(text, &[0; 8])), Fault::Truncated { expected, .. } if expected == max)
    );
}

#[test]
fn metadata_of_tiegrads_own_in_another_form() {
    for key in ["tiegrad.states", "tiegrad.bytes", "tiegrad.transposed"] {
        let text = format!(r#"{{"__metadata__":{{"{key}":"7"}}}}"#);
        assert!(matches!(fault(file(text, b"")), Fault::Metadata { key: k, .. } if k == key));
    }
}

#[test]
fn files_of_a_later_version() {
    let text = r#"{"__metadata__":{"tiegrad.version":"2"}}"#;
    assert!(matches!(fault(file(text, b"")), Fault::Version { version, .. } if version == "2"));
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("there.safetensors");
    std::fs::write(&path, "no").unwrap();
    let shown = path.display().to_string();
    let error = Loaded::open(&path).unwrap_err();
    assert!(matches!(&error, Error::Broken { path: Some(p), .. } if *p == path));
    assert!(error.to_string().starts_with(&shown), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = Loaded::open(&path).unwrap_err();
    assert!(
        error.to_string().contains(&shown) && error.source().is_some(),
        "{error}"
    );
    let params = Params::<f32>::new();
    Checkpoint::new(&params, &[]).save(&path).unwrap();
    let loaded = Loaded::open(&path).unwrap();
    for error in [
        loaded.tensor("w").unwrap_err(),
        loaded
            .restore_state(
                "opt",
                &mut State::<f32>::new([""; 0]),
                &params,
                &[],
                Policy::strict(),
            )
            .unwrap_err(),
    ] {
        assert!(error.to_string().contains(&shown), "{error}");
    }
    let mut params = params;
    let names = entries(&[("w", zeros(&mut params, &[1]))]);
    let error = loaded
        .load_into(&mut params, &names, Policy::strict())
        .unwrap_err();
    assert!(
        error.to_string().starts_with(&shown) && !error.to_string().contains('\n'),
        "{error}"
    );
}

#[test]
fn saving_into_no_folder_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let params = Params::<f32>::new();
    let error = Checkpoint::new(&params, &[])
        .save(directory.path().join("no/model"))
        .unwrap_err();
    assert!(
        matches!(&error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    );
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let mut params = Params::new();
    let [a, b, c, d] = [0; 4].map(|_| zeros(&mut params, &[2, 3]));
    let names = entries(&[("h.0.weight", a), ("h.0.bias", b), ("c", c), ("d", d)]);
    let values = [0.0; 6];
    let file = foreign(
        r#"{"gone":"c"}"#,
        &[
            ("h.0.wieght", &[2, 3], &values),
            ("net.h.0.bias", &[2, 3], &values),
            ("c", &[3, 2], &values),
            ("d", &[6], &values),
        ],
    );
    let found = problems(&file, &mut params, &names, Policy::strict());
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            r#""c" has the shape [3, 2] in the file and [2, 3] in the network"#,
            r#""d" has the shape [6] in the file and [2, 3] in the network"#,
            r#""h.0.weight" is missing from the file (did you mean "h.0.wieght"?)"#,
            r#""h.0.bias" is missing from the file (did you mean "net.h.0.bias"?)"#,
            r#"the network has no "gone""#,
            r#"the network has no "h.0.wieght" (did you mean "h.0.weight"?)"#,
            r#"the network has no "net.h.0.bias" (did you mean "h.0.bias"?)"#,
        ]
    );
}

#[test]
fn missing_and_unexpected_names_may_be_allowed() {
    let mut params = Params::new();
    let [a, b] = [1.0, 2.0].map(|x| param(&mut params, &[1], &[x]));
    let names = entries(&[("a", a), ("b", b)]);
    let file = foreign("{}", &[("a", &[1], &[7.0]), ("c", &[1], &[9.0])]);
    let found = problems(
        &file,
        &mut params,
        &names,
        Policy::strict().allow_missing(true),
    );
    assert!(matches!(&found[..], [Problem::Unexpected { name, .. }] if name == "c"));
    let found = problems(
        &file,
        &mut params,
        &names,
        Policy::strict().allow_unexpected(true),
    );
    assert!(matches!(&found[..], [Problem::Missing { name, .. }] if name == "b"));
    let both = Policy::strict().allow_missing(true).allow_unexpected(true);
    let report = file.load_into(&mut params, &names, both).unwrap();
    assert_eq!(
        (report.loaded, report.missing, report.unexpected),
        (1, vec!["b".into()], vec!["c".into()])
    );
    assert_eq!([a, b].map(|id| params.as_slice(id).unwrap()[0]), [7.0, 2.0]);
}

#[test]
fn another_data_type_is_an_error_or_a_conversion() {
    let third = 1.0 / 3.0;
    let mut wide = Params::<f64>::new();
    let id = wide.insert_with(tiegrad_arena::Shape::SCALAR, |w| w[0] = third);
    let names = entries(&[("a", id)]);
    let file = Loaded::from_bytes(Checkpoint::new(&wide, &names).to_bytes().unwrap()).unwrap();
    let mut narrow = wide.cast::<f32>();
    narrow.as_mut_slice(id).unwrap()[0] = 0.0;
    let found = problems(&file, &mut narrow, &names, Policy::strict());
    assert!(matches!(
        &found[..],
        [Problem::Dtype {
            expected: "F32",
            found: Dtype::F64,
            ..
        }]
    ));
    let cast = Policy::strict().cast(true);
    assert_eq!(
        file.load_into(&mut narrow, &names, cast).unwrap().cast,
        ["a"]
    );
    assert_eq!(narrow.as_slice(id).unwrap(), [third as f32]);
    let mut dual = wide.cast::<Dual<f64>>();
    let error = file
        .load_into(&mut dual, &names, Policy::strict())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("F64 in the file and dual float64 in the network"),
        "{error}"
    );
    file.load_into(&mut dual, &names, cast).unwrap();
    assert_eq!(
        (
            dual.as_slice(id).unwrap()[0].re,
            dual.as_slice(id).unwrap()[0].eps
        ),
        (third, 0.0)
    );

    let text = r#"{"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}"#;
    let file = Loaded::from_bytes(crate::common::file(text, &[0; 4])).unwrap();
    let found = problems(&file, &mut narrow, &names, cast);
    assert!(matches!(
        &found[..],
        [Problem::Dtype {
            found: Dtype::I32,
            ..
        }]
    ));
    assert!(matches!(
        file.tensor("a").unwrap().to_vec::<f32>(),
        Err(Error::Dtype { .. })
    ));
    assert!(matches!(file.bytes("a"), Err(Error::Dtype { .. })));
}

#[test]
fn dual_numbers_are_not_saved() {
    let params = Params::<Dual<f32>>::new();
    let error = Checkpoint::new(&params, &[]).to_bytes().unwrap_err();
    assert!(matches!(error, Error::Dual { .. }));
    assert!(
        error
            .to_string()
            .starts_with("dual float32 parameters cannot be saved"),
        "{error}"
    );
}

#[test]
fn ids_of_no_parameter_are_errors_that_name_the_path() {
    let mut params = Params::<f32>::new();
    let [a, b] = [0; 2].map(|_| zeros(&mut params, &[1]));
    let names = entries(&[("a", a), ("b", b)]);
    let file = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes().unwrap()).unwrap();
    params.remove(b).unwrap();
    let mut state = State::<f32>::new(["m"]);
    for error in [
        Checkpoint::new(&params, &names).to_bytes().unwrap_err(),
        file.load_into(&mut params, &names, Policy::strict())
            .unwrap_err(),
        file.restore_state("opt", &mut state, &params, &names, Policy::strict())
            .unwrap_err(),
    ] {
        assert!(
            matches!(&error, Error::Arena { name, .. } if name == "b"),
            "{error}"
        );
        assert!(error.to_string().contains("was removed") && error.source().is_some());
    }
}

#[test]
fn names_that_clash_are_errors() {
    let mut params = Params::<f32>::new();
    let [a, b] = [0; 2].map(|_| zeros(&mut params, &[1]));
    let state = State::<f32>::new(["m"]);
    let twice = |names: &[Entry]| match Checkpoint::new(&params, names)
        .state("opt", &state)
        .bytes("rng", b"")
        .metadata("seed", "1")
        .to_bytes()
        .unwrap_err()
    {
        Error::DuplicateName { name, .. } => format!("twice {name}"),
        Error::ReservedName { name, .. } => format!("reserved {name}"),
        other => panic!("{other}"),
    };
    for (names, expected) in [
        ([("a", a), ("a", b)], "twice a"),
        ([("a", a), ("a", a)], "twice a"),
        ([("opt", a), ("b", b)], "twice opt"),
        ([("b", b), ("rng", a)], "twice rng"),
        ([("b", b), ("rng", b)], "twice rng"),
        ([("opt.m.b", a), ("b", b)], "twice opt.m.b"),
        ([("opt.x", a), ("b", b)], "reserved opt.x"),
        ([("b", b), ("opt.x", b)], "reserved opt.x"),
        ([("__metadata__", a), ("b", b)], "reserved __metadata__"),
        ([("b", b), ("format", b)], "reserved format"),
        ([("b", b), ("tiegrad.states", b)], "reserved tiegrad.states"),
        ([("b", b), ("seed", b)], "twice seed"),
    ] {
        assert_eq!(twice(&entries(&names)), expected);
    }
    let names = entries(&[("a", a), ("b", b)]);
    let save = || Checkpoint::new(&params, &names);
    for (checkpoint, expected) in [
        (save().metadata("k", "1").metadata("k", "1"), "k"),
        (save().metadata("format", "tf"), "format"),
        (save().metadata("tiegrad.version", "2"), "tiegrad.version"),
        (save().metadata("best", "a"), "best"),
        (save().bytes("x", b"").bytes("x", b""), "x"),
        (save().state("opt", &state).state("opt", &state), "opt.m.a"),
        (save().state("opt", &state).bytes("opt.rng", b""), "opt.rng"),
    ] {
        match checkpoint.to_bytes().unwrap_err() {
            Error::DuplicateName { name, .. } | Error::ReservedName { name, .. } => {
                assert_eq!(name, expected)
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_header_longer_than_readers_accept_is_not_written() {
    let params = Params::<f32>::new();
    let long = Checkpoint::new(&params, &[]).metadata("text", "x".repeat(100_000_000));
    assert!(matches!(long.to_bytes(), Err(Error::HeaderTooLong { .. })));
}

#[test]
fn unknown_tensors_are_errors_that_suggest() {
    let file = foreign(r#"{"b.weight":"a.weight"}"#, &[("a.weight", &[1], &[1.0])]);
    for (name, suggested) in [("a.wieght", true), ("b.weight", true), ("unlike", false)] {
        let error = file.tensor(name).unwrap_err();
        let Error::UnknownTensor { near, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(near.contains(&"a.weight".to_string()), suggested);
        assert_eq!(error.to_string().contains("did you mean"), suggested);
    }
}

#[test]
fn a_state_of_another_optimizer_is_an_error() {
    let mut params = Params::<f32>::new();
    let names = entries(&[("a", zeros(&mut params, &[1]))]);
    let adam = State::new(["exp_avg", "exp_avg_sq"]);
    let bytes = Checkpoint::new(&params, &names)
        .state("opt", &adam)
        .to_bytes()
        .unwrap();
    let file = Loaded::from_bytes(bytes).unwrap();
    assert_eq!(file.states().collect::<Vec<_>>(), ["opt"]);
    let mut sgd = State::new(["momentum_buffer"]);
    let mut restore = |name: &str| {
        file.restore_state(name, &mut sgd, &params, &names, Policy::strict())
            .unwrap_err()
    };
    assert!(matches!(
        restore("opt"),
        Error::State { found: Some(_), .. }
    ));
    assert!(
        restore("opt")
            .to_string()
            .contains("another kind of optimizer")
    );
    assert!(matches!(restore("other"), Error::State { found: None, .. }));
    let mut swapped = State::new(["exp_avg_sq", "exp_avg"]);
    file.restore_state("opt", &mut swapped, &params, &names, Policy::strict())
        .unwrap();
}

#[test]
fn a_state_that_does_not_fit_is_not_touched() {
    let mut params = Params::<f32>::new();
    let [a, b] = [0; 2].map(|_| zeros(&mut params, &[2]));
    let mut state = State::new(["m"]);
    let small = entries(&[("a", a)]);
    let bytes = Checkpoint::new(&params, &small)
        .state("opt", &state)
        .to_bytes()
        .unwrap();
    let file = Loaded::from_bytes(bytes).unwrap();
    state.sync(params.values());
    state.slabs_mut::<1>()[0].fill(5.0);
    state.set_step(a, 3).unwrap();
    let names = entries(&[("a", a), ("b", b)]);
    let error = file
        .restore_state("opt", &mut state, &params, &names, Policy::strict())
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(r#""opt.m.b" is missing"#) && text.contains(r#""opt.step.b" is missing"#),
        "{text}"
    );
    assert!(state.slab(0).unwrap().iter().all(|&x| x == 5.0));
    assert_eq!(state.step(a).unwrap(), 3);
    let report = file
        .restore_state(
            "opt",
            &mut state,
            &params,
            &names,
            Policy::strict().allow_missing(true),
        )
        .unwrap();
    assert_eq!(report.missing, ["opt.m.b", "opt.step.b"]);
    assert_eq!(
        (state.step(a).unwrap(), state.tensor(b, "m").unwrap()[0]),
        (0, 5.0)
    );
}
