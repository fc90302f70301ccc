//! The vectors: cases from the JSON file, tensors from the safetensors file beside it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The two files.
pub(crate) struct Vectors {
    cases: Vec<Value>,
    bytes: Vec<u8>,
}

impl Vectors {
    pub(crate) fn read(folder: &Path) -> Self {
        let file = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        Self {
            cases: serde_json::from_slice(&file("train.json")).unwrap(),
            bytes: file("train.safetensors"),
        }
    }

    /// The cases of a kind that begins so.
    pub(crate) fn cases(&self, prefix: &str) -> Vec<Case<'_>> {
        let text = |case: &'_ Value, key: &str| match case[key].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("a case without {key:?}: {case}"),
        };
        let kinds = self.cases.iter().map(|case| (case, text(case, "kind")));
        kinds
            .filter(|(_, kind)| kind.starts_with(prefix))
            .map(|(case, kind)| Case {
                net: kind[prefix.len()..].to_owned(),
                id: text(case, "id"),
                optimizer: case["optimizer"].as_str().unwrap_or_default(),
                names: case["tensors"].as_array().map_or(&[], Vec::as_slice),
                tensors: SafeTensors::deserialize(&self.bytes).unwrap(),
                read: RefCell::default(),
            })
            .collect()
    }
}

/// One case.
pub(crate) struct Case<'a> {
    pub(crate) id: String,
    /// The kind without its prefix.
    pub(crate) net: String,
    pub(crate) optimizer: &'a str,
    names: &'a [Value],
    tensors: SafeTensors<'a>,
    /// The tensors that were looked at.
    read: RefCell<BTreeSet<String>>,
}

/// Floats or integers as f64.
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f64>,
}

impl Case<'_> {
    pub(crate) fn names(&self, prefix: &str) -> impl Iterator<Item = &str> {
        let names = self.names.iter().filter_map(Value::as_str);
        names.filter(move |name| name.starts_with(prefix))
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor, String> {
        self.read.borrow_mut().insert(name.to_owned());
        let tensor = self.tensors.tensor(&format!("{}/{name}", self.id));
        let tensor = tensor.map_err(|e| format!("{name}: {e}"))?;
        let eights = tensor.data().chunks_exact(8);
        let eights = eights.map(|bytes| bytes.try_into().unwrap_or_default());
        let data = match tensor.dtype() {
            Dtype::F64 => eights.map(f64::from_le_bytes).collect(),
            Dtype::I64 => eights.map(|b| i64::from_le_bytes(b) as f64).collect(),
            other => return Err(format!("{name} is of type {other:?}")),
        };
        Ok(Tensor {
            shape: tensor.shape().to_vec(),
            data,
        })
    }

    /// The sizes of a matrix of `state/`.
    pub(crate) fn matrix(&self, name: &str) -> Result<[usize; 2], String> {
        let shape = self.tensor(&format!("state/{name}"))?.shape;
        shape
            .try_into()
            .map_err(|shape| format!("state/{name} is no matrix: {shape:?}"))
    }

    /// A tensor that the case lists and the test did not look at would be a part of the net that was not tested.
    pub(crate) fn all_were_read(&self) -> Result<(), String> {
        let read = self.read.borrow();
        let unread: Vec<&str> = self
            .names("")
            .filter(|name| !read.contains(*name))
            .collect();
        match unread.is_empty() {
            true => Ok(()),
            false => Err(format!("nothing was made of {}", unread.join(", "))),
        }
    }
}
