//! The metadata entries of tiegrad's own: what beside parameters is in the file.

use std::collections::BTreeMap;

use crate::error::Fault;

/// `format`: `pt`, without which `transformers` refuses a file.
pub(crate) const FORMAT: (&str, &str) = ("format", "pt");
/// The version of this layout; a file that has it was written by tiegrad, which stores each tie once.
pub(crate) const VERSION: (&str, &str) = ("tiegrad.version", "1");
/// The states, with the names of their tensors: `{"optimizer":["exp_avg","exp_avg_sq"]}`.
pub(crate) const STATES: &str = "tiegrad.states";
/// The names of raw byte tensors: `["rng"]`.
pub(crate) const BYTES: &str = "tiegrad.bytes";
/// The aliases that show their tensor transposed: `["decoder.weight"]`.
pub(crate) const TRANSPOSED: &str = "tiegrad.transposed";

/// Keys that a user's metadata may not have.
pub(crate) fn is_reserved(key: &str) -> bool {
    key == FORMAT.0 || key.starts_with("tiegrad.")
}

/// What those entries say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Extras {
    /// Whether tiegrad wrote the file.
    pub(crate) own: bool,
    pub(crate) states: BTreeMap<String, Vec<String>>,
    pub(crate) bytes: Vec<String>,
    pub(crate) transposed: Vec<String>,
}

impl Extras {
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Result<Self, Fault> {
        let version = metadata.get(VERSION.0);
        if let Some(version) = version.filter(|version| *version != VERSION.1) {
            return Err(Fault::Version {
                version: version.clone(),
            });
        }
        Ok(Self {
            own: version.is_some(),
            states: parse(metadata, STATES)?,
            bytes: parse(metadata, BYTES)?,
            transposed: parse(metadata, TRANSPOSED)?,
        })
    }

    /// Adds the entries; those that would be empty are left out.
    pub(crate) fn write(&self, metadata: &mut BTreeMap<String, String>) {
        let json = |names: &[String]| serde_json::Value::from(names).to_string();
        metadata.insert(FORMAT.0.into(), FORMAT.1.into());
        metadata.insert(VERSION.0.into(), VERSION.1.into());
        if !self.states.is_empty() {
            let states = self.states.iter();
            let states: serde_json::Map<String, serde_json::Value> = states
                .map(|(name, slabs)| (name.clone(), slabs.as_slice().into()))
                .collect();
            metadata.insert(STATES.into(), serde_json::Value::Object(states).to_string());
        }
        if !self.bytes.is_empty() {
            metadata.insert(BYTES.into(), json(&self.bytes));
        }
        if !self.transposed.is_empty() {
            metadata.insert(TRANSPOSED.into(), json(&self.transposed));
        }
    }

    /// Whether the tensor belongs to a state or is raw bytes, so that it is no parameter.
    pub(crate) fn covers(&self, tensor: &str) -> bool {
        let in_state = |name: &String| {
            let rest = tensor.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        self.bytes.iter().any(|name| name == tensor) || self.states.keys().any(in_state)
    }
}

fn parse<D>(metadata: &BTreeMap<String, String>, key: &str) -> Result<D, Fault>
where
    D: serde::de::DeserializeOwned + Default,
{
    match metadata.get(key) {
        Some(json) => serde_json::from_str(json).map_err(|_| Fault::Metadata { key: key.into() }),
        None => Ok(D::default()),
    }
}
