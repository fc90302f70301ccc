//! What `tests/data/chapter.py` wrote.

use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tiegrad::prelude::*;

fn tensors() -> SafeTensors<'static> {
    SafeTensors::deserialize(include_bytes!("../../data/chapter.safetensors")).unwrap()
}

/// A tensor, such as `nested/state/0.block 2.0.weight`.
pub(crate) fn tensor(name: &str) -> ArrayD<f64> {
    let tensors = tensors();
    let tensor = tensors
        .tensor(name)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(tensor.dtype(), Dtype::F64);
    let eights = tensor.data().chunks_exact(8);
    let values = eights.map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap()));
    ArrayD::from_shape_vec(tensor.shape(), values.collect()).unwrap()
}

/// The names of the tensors that begin so, without that beginning.
pub(crate) fn names(prefix: &str) -> Vec<String> {
    let tensors = tensors();
    let names = tensors.names();
    let mut found: Vec<String> = names
        .iter()
        .filter_map(|name| Some(name.strip_prefix(prefix)?.to_owned()))
        .collect();
    assert!(!found.is_empty(), "no tensor {prefix}…");
    found.sort();
    found
}

/// The texts, lists and single numbers.
pub(crate) fn json() -> Value {
    serde_json::from_str(include_str!("../../data/chapter.json")).unwrap()
}

/// `print(net)` in PyTorch.
pub(crate) fn print_of(net: &str) -> String {
    json()["nets"][net]["print"].as_str().unwrap().to_owned()
}

/// A list of (name, shape): `parameters` (each once) or `state_dict` (aliases too).
pub(crate) fn list_of(net: &str, list: &str) -> Vec<(String, Vec<usize>)> {
    serde_json::from_value(json()["nets"][net][list].clone()).unwrap()
}

/// Gives every path of the net PyTorch's values of that name. The names must be the same, the aliases too, and tied ones equal.
pub(crate) fn load_state<T: Scalar>(name: &str, net: &impl Module, params: &mut Params<T>) {
    let uses = net.all_uses();
    let mut ours: Vec<&str> = uses.iter().map(|each| &*each.path).collect();
    ours.sort_unstable();
    assert_eq!(ours, names(&format!("{name}/state/")));
    for each in &uses {
        let theirs = tensor(&format!("{name}/state/{}", each.path));
        let theirs = theirs.mapv(T::from_f64);
        if each.alias_of.is_some() {
            assert_eq!(params.value(each.id).unwrap(), theirs, "{}", each.path);
        }
        params.value_mut(each.id).unwrap().assign(&theirs);
    }
}

/// That two arrays are equal within a tolerance, shapes included.
#[track_caller]
pub(crate) fn assert_near<T: Scalar>(
    found: &ndarray::ArrayViewD<'_, T>,
    expected: &ArrayD<f64>,
    tolerance: f64,
    what: &str,
) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (found.to_f64() - expected).abs();
        assert!(error <= tolerance, "{what}: {found:?}, PyTorch: {expected}");
    }
}

/// That the gradients of a net are PyTorch's: the same parameters, under their first names.
#[track_caller]
pub(crate) fn assert_gradients(
    name: &str,
    net: &impl Module,
    params: &Params<f64>,
    tolerance: f64,
) {
    let mut ours: Vec<String> = net.named_parameters().into_iter().map(|p| p.0).collect();
    ours.sort();
    let theirs = names(&format!("{name}/grad/"));
    assert_eq!(ours, theirs);
    for path in theirs {
        let expected = tensor(&format!("{name}/grad/{path}"));
        let found = params.grad(net.find(&path).unwrap()).unwrap();
        let found = found.unwrap_or_else(|| panic!("{path} has no gradient"));
        assert_near(&found, &expected, tolerance, &path);
    }
}
