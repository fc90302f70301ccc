//! What several tests need: files made by hand, and arenas from a few words.
#![allow(dead_code)] // each test program uses its own part

use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_checkpoint::{Entry, Error, Fault, Loaded, Policy, Problem};

/// A file with this header (its length filled in) and these bytes behind it.
pub(crate) fn file(header: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    let header = header.as_ref();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(data);
    bytes
}

/// A file as other software writes it: F32 tensors of given values, and metadata as JSON.
pub(crate) fn foreign(metadata: &str, tensors: &[(&str, &[usize], &[f32])]) -> Loaded {
    let mut header = format!(r#"{{"__metadata__":{metadata}"#);
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        header += &format!(
            r#","{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{}]}}"#,
            data.len()
        );
    }
    header.push('}');
    Loaded::from_bytes(file(header, &data)).unwrap()
}

/// A parameter of these values.
pub(crate) fn param(params: &mut Params<f32>, shape: &[usize], values: &[f32]) -> ParamId {
    params.insert_with(Shape::new(shape).unwrap(), |w| w.copy_from_slice(values))
}

/// A parameter of zeros.
pub(crate) fn zeros(params: &mut Params<f32>, shape: &[usize]) -> ParamId {
    params.insert_with(Shape::new(shape).unwrap(), |_| {})
}

pub(crate) fn entries(names: &[(&str, ParamId)]) -> Vec<Entry> {
    names.iter().map(|&pair| pair.into()).collect()
}

/// What a load that must not go through says; checks that the arena has not been touched.
pub(crate) fn problems(
    loaded: &Loaded,
    params: &mut Params<f32>,
    names: &[Entry],
    policy: Policy,
) -> Vec<Problem> {
    let before: Vec<u32> = bits(params);
    let error = loaded.load_into(params, names, policy).unwrap_err();
    assert_eq!(bits(params), before, "a load that failed has written");
    match error {
        Error::Mismatch { problems, .. } => problems,
        other => panic!("{other}"),
    }
}

pub(crate) fn bits(params: &Params<f32>) -> Vec<u32> {
    let slab = params.values().slab();
    slab.iter().map(|x| x.to_bits()).collect()
}

/// The fault of bytes that are no sound file.
pub(crate) fn fault(bytes: impl Into<Vec<u8>>) -> Fault {
    match Loaded::from_bytes(bytes).unwrap_err() {
        Error::Broken {
            fault, path: None, ..
        } => fault,
        other => panic!("{other}"),
    }
}
