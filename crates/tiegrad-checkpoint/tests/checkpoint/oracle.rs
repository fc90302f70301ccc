//! Files that `safetensors.torch` has written: from `tests/data`, or from the folder that `TIEGRAD_ORACLE` names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::common::{bits, problems};
use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_checkpoint::{Checkpoint, Dtype, Entry, Loaded, Policy, Problem};

fn open(name: &str) -> Loaded {
    let folder = match std::env::var_os("TIEGRAD_ORACLE") {
        Some(folder) => PathBuf::from(folder).join("checkpoints/save-model"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data"),
    };
    Loaded::open(folder.join(format!("{name}.safetensors"))).unwrap()
}

/// A network of the names in `duplicated`; tied as `model` says, or not at all. The names that `model` dropped come first, so
/// that canonical names here are not the file's.
fn network(tied: bool) -> (Params<f32>, Vec<Entry>) {
    let (every, model) = (open("duplicated"), open("model"));
    let kept: BTreeMap<&str, &str> = model.aliases().collect();
    assert!(!kept.is_empty());
    let mut params = Params::new();
    let mut ids: BTreeMap<&str, ParamId> = BTreeMap::new();
    let mut names: Vec<&str> = every.names().collect();
    names.sort_by_key(|name| !kept.contains_key(name));
    let mut list = Vec::new();
    for name in names {
        let key = if tied {
            kept.get(name).copied().unwrap_or(name)
        } else {
            name
        };
        let shape = Shape::new(every.tensor(name).unwrap().shape()).unwrap();
        let id = *ids
            .entry(key)
            .or_insert_with(|| params.insert_with(shape, |_| {}));
        list.push(Entry::new(name, id));
    }
    (params, list)
}

/// Every name's value is that of `file`, bit for bit.
fn assert_holds(params: &Params<f32>, names: &[Entry], file: &Loaded) {
    let kept: BTreeMap<&str, &str> = file.aliases().collect();
    for entry in names {
        let name = kept.get(&*entry.path).copied().unwrap_or(&entry.path);
        let bytes = file.tensor(name).unwrap().data();
        let values = params.as_slice(entry.id).unwrap();
        let found: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(found, bytes, "{name}");
        assert!(values.iter().any(|&x| x != 0.0), "{name} is all zeros");
    }
}

#[test]
fn a_tied_file_loads_into_the_tied_network() {
    let file = open("model");
    let (mut params, names) = network(true);
    assert!(names.len() > params.len());
    let report = file
        .load_into(&mut params, &names, Policy::strict())
        .unwrap();
    assert_eq!(report.loaded, params.len());
    assert!(report.tied.is_empty() && report.untied.is_empty());
    assert_holds(&params, &names, &file);
}

#[test]
fn equal_duplicates_load_into_the_tied_network() {
    let file = open("duplicated");
    let (mut params, names) = network(true);
    let report = file
        .load_into(&mut params, &names, Policy::strict())
        .unwrap();
    assert_eq!(report.loaded, params.len());
    assert_holds(&params, &names, &file);
}

#[test]
fn conflicting_duplicates_are_an_error_that_names_both() {
    let file = open("conflicting");
    let (mut params, names) = network(true);
    let every_policy = Policy::strict()
        .allow_tie(true)
        .allow_untie(true)
        .allow_missing(true)
        .allow_unexpected(true)
        .cast(true);
    for policy in [Policy::strict(), every_policy] {
        let found = problems(&file, &mut params, &names, policy);
        let model = open("model");
        let kept: BTreeMap<&str, &str> = model.aliases().collect();
        assert!(!found.is_empty());
        for problem in &found {
            let Problem::Conflict { first, second, .. } = problem else {
                panic!("{problem}");
            };
            let keep = |name: &String| kept.get(&**name).copied().unwrap_or(name).to_owned();
            assert_eq!(keep(first), keep(second));
            let data = |name| file.tensor(name).unwrap().data();
            assert_ne!(data(first), data(second));
        }
    }
    let (mut params, names) = network(false);
    file.load_into(&mut params, &names, Policy::strict())
        .unwrap();
    assert_holds(&params, &names, &file);
}

#[test]
fn a_tied_file_needs_leave_to_go_into_an_untied_network() {
    let file = open("model");
    let (mut params, names) = network(false);
    let found = problems(&file, &mut params, &names, Policy::strict());
    assert!(!found.is_empty());
    for problem in &found {
        assert!(
            matches!(problem, Problem::TiedInFile { names, .. } if names.len() >= 2),
            "{problem}"
        );
    }
    let policy = Policy::strict().allow_untie(true);
    let report = file.load_into(&mut params, &names, policy).unwrap();
    assert_eq!(
        (report.loaded, report.untied.len()),
        (params.len(), found.len())
    );
    assert_holds(&params, &names, &file);
}

#[test]
fn half_precision_is_read_when_conversion_is_asked_for() {
    let exact = open("conflicting");
    for (name, dtype, epsilon) in [
        ("f16", Dtype::F16, 1.0 / 2048.0),
        ("bf16", Dtype::BF16, 1.0 / 256.0),
    ] {
        let file = open(name);
        let (mut params, names) = network(false);
        let found = problems(&file, &mut params, &names, Policy::strict());
        assert_eq!(found.len(), names.len());
        for problem in found {
            assert!(
                matches!(problem, Problem::Dtype { expected: "F32", found, .. } if found == dtype),
                "{problem}"
            );
        }
        let report = file
            .load_into(&mut params, &names, Policy::strict().cast(true))
            .unwrap();
        assert_eq!(report.cast.len(), names.len());
        for entry in &names {
            let exact: Vec<f64> = exact.tensor(&entry.path).unwrap().to_vec().unwrap();
            let read = params.as_slice(entry.id).unwrap();
            assert_eq!(exact.len(), read.len());
            for (x, &y) in exact.iter().zip(read) {
                let tolerance = x.abs() * epsilon + 3e-8; // half a step of a subnormal f16
                assert!(
                    (x - f64::from(y)).abs() <= tolerance,
                    "{}: {x} read as {y}",
                    entry.path
                );
            }
        }
    }
}

#[test]
fn a_file_saved_here_holds_what_save_model_writes() {
    let file = open("model");
    let (mut params, mut names) = network(true);
    file.load_into(&mut params, &names, Policy::strict())
        .unwrap();
    // In the order in which save_model keeps the same names.
    let stored: Vec<String> = file.names().map(String::from).collect();
    names.sort_by_key(|entry| !stored.contains(&entry.path));
    let saved = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes().unwrap()).unwrap();
    assert!(saved.names().eq(file.names()));
    assert!(saved.aliases().eq(file.aliases()));
    for name in file.names() {
        let (ours, theirs) = (saved.tensor(name).unwrap(), file.tensor(name).unwrap());
        assert_eq!(
            (ours.dtype(), ours.shape(), ours.data()),
            (theirs.dtype(), theirs.shape(), theirs.data())
        );
    }
    assert_eq!(saved.metadata()["format"], "pt");
    let (mut other, names) = network(true);
    saved
        .load_into(&mut other, &names, Policy::strict())
        .unwrap();
    assert_eq!(bits(&other), bits(&params));
}
