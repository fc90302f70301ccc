//! The metadata entries of tiegrad's own: what beside parameters is in the file.

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::json::{self, Reader};

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
            states: parse(metadata, STATES, |json| {
                let mut states = BTreeMap::new();
                json.object("states", |json, name| {
                    states.insert(name, names(json)?);
                    Ok(())
                })?;
                Ok(states)
            })?,
            bytes: parse(metadata, BYTES, names)?,
            transposed: parse(metadata, TRANSPOSED, names)?,
        })
    }

    /// Adds the entries; those that would be empty are left out.
    pub(crate) fn write(&self, metadata: &mut BTreeMap<String, String>) {
        metadata.insert(FORMAT.0.into(), FORMAT.1.into());
        metadata.insert(VERSION.0.into(), VERSION.1.into());
        if !self.states.is_empty() {
            let states = self.states.iter();
            let states: Vec<String> = states
                .map(|(name, slabs)| format!("{}:{}", json::quoted(name), json::list(slabs)))
                .collect();
            metadata.insert(STATES.into(), format!("{{{}}}", states.join(",")));
        }
        if !self.bytes.is_empty() {
            metadata.insert(BYTES.into(), json::list(&self.bytes));
        }
        if !self.transposed.is_empty() {
            metadata.insert(TRANSPOSED.into(), json::list(&self.transposed));
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

/// The entry of that key, if it is there.
fn parse<T: Default>(
    metadata: &BTreeMap<String, String>,
    key: &str,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let Some(json) = metadata.get(key) else {
        return Ok(T::default());
    };
    let mut json = Reader::new(json);
    let whole = read(&mut json).and_then(|value| json.end().map(|()| value));
    whole.map_err(|_| Fault::Metadata { key: key.into() })
}

fn names(json: &mut Reader<'_>) -> Result<Vec<String>, Fault> {
    json.list("a list of names", Reader::string)
}
