//! The header of a safetensors file: its length in 8 bytes, then JSON, then the tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use crate::dtype::Dtype;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;

use crate::error::Fault;

/// The longest header that readers accept, as in safetensors itself.
pub(crate) const MAX_LEN: usize = 100_000_000;
const LEN_BYTES: usize = 8;
const METADATA: &str = "__metadata__";

/// A tensor's place in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Within the whole file.
    pub(crate) range: Range<usize>,
}

/// A header that has been checked against the file it came with: every range lies within the file.
#[derive(Debug, Default)]
pub(crate) struct Header {
    pub(crate) tensors: BTreeMap<String, Place>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Header {
    pub(crate) fn read(file: &[u8]) -> Result<Self, Fault> {
        let Some((len, rest)) = file.split_first_chunk::<LEN_BYTES>() else {
            return Err(Fault::TooShort { len: file.len() });
        };
        let header = u64::from_le_bytes(*len);
        let len = usize::try_from(header)
            .ok()
            .filter(|&len| len <= MAX_LEN)
            .ok_or(Fault::HeaderTooLong { header })?;
        let Some((json, data)) = rest.split_at_checked(len) else {
            return Err(Fault::HeaderCut {
                header,
                found: rest.len(),
            });
        };
        let json = str::from_utf8(json).map_err(|error| Fault::NotUtf8 {
            valid: error.valid_up_to(),
        })?;
        Parsed::read(json)?.check(LEN_BYTES + len, data.len())
    }
}

/// What the JSON says, unchecked.
#[derive(Default)]
struct Parsed {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
    /// A name that was there twice: JSON parsers commonly let the last one win.
    twice: Option<String>,
}

impl Parsed {
    fn read(json: &str) -> Result<Self, Fault> {
        let mut parsed = Self::default();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let outcome = Top(&mut parsed)
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        match outcome {
            Ok(()) => Ok(parsed),
            Err(error) => Err(match (parsed.twice, error.classify()) {
                (Some(name), _) => Fault::DuplicateName { name },
                (None, Category::Data) => Fault::NotAHeader {
                    message: error.to_string(),
                },
                (None, _) => Fault::NotJson {
                    message: error.to_string(),
                },
            }),
        }
    }

    /// The checks that safetensors makes: the tensors lie one behind the other, each as long as its shape and type say,
    /// and fill the file.
    fn check(mut self, start: usize, data: usize) -> Result<Header, Fault> {
        self.tensors.sort_by_key(|(_, info)| info.data_offsets);
        let mut tensors = BTreeMap::new();
        let mut end = 0;
        for (name, info) in self.tensors {
            let (from, to) = info.data_offsets;
            if from != end || to < from {
                return Err(Fault::Offsets { name });
            }
            if size(&info) != Some(to - from) {
                return Err(Fault::Size { name });
            }
            end = to;
            // Ends beyond the file are found below, before anyone sees a range.
            let range = start.saturating_add(from)..start.saturating_add(to);
            let place = Place {
                dtype: info.dtype,
                shape: info.shape,
                range,
            };
            tensors.insert(name, place);
        }
        if end > data {
            return Err(Fault::Truncated {
                expected: end,
                found: data,
            });
        }
        if end < data {
            return Err(Fault::Trailing { extra: data - end });
        }
        Ok(Header {
            tensors,
            metadata: self.metadata,
        })
    }
}

fn size(info: &TensorInfo) -> Option<usize> {
    let elements = info
        .shape
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    let bits = elements.checked_mul(info.dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}

/// One tensor, as the JSON says.
struct TensorInfo {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl<'de> Deserialize<'de> for TensorInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = TensorInfo;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TensorInfo, A::Error> {
                let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
                while let Some(name) = map.next_key::<String>()? {
                    let twice = match name.as_str() {
                        "dtype" => {
                            let name = map.next_value::<String>()?;
                            let known = Dtype::of(&name);
                            let known = known.ok_or_else(|| {
                                A::Error::custom(format!("unknown dtype {name:?}"))
                            })?;
                            dtype.replace(known).is_some()
                        }
                        "shape" => shape.replace(map.next_value()?).is_some(),
                        "data_offsets" => data_offsets.replace(map.next_value()?).is_some(),
                        _ => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                            false
                        }
                    };
                    if twice {
                        return Err(A::Error::custom(format!("{name} twice")));
                    }
                }
                let missing = |field| A::Error::custom(format!("a tensor without {field}"));
                Ok(TensorInfo {
                    dtype: dtype.ok_or_else(|| missing("dtype"))?,
                    shape: shape.ok_or_else(|| missing("shape"))?,
                    data_offsets: data_offsets.ok_or_else(|| missing("data_offsets"))?,
                })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Reads the outer object.
struct Top<'a>(&'a mut Parsed);

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if seen.contains(&name) {
                self.0.twice = Some(name);
                return Err(A::Error::custom("a name twice"));
            }
            seen.insert(name.clone());
            if name == METADATA {
                map.next_value_seed(Strings(self.0))?;
            } else {
                self.0.tensors.push((name, map.next_value()?));
            }
        }
        Ok(())
    }
}

/// Reads the metadata: an object of strings, or null.
struct Strings<'a>(&'a mut Parsed);

impl<'de> DeserializeSeed<'de> for Strings<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            if self.0.metadata.contains_key(&key) {
                self.0.twice = Some(key);
                return Err(A::Error::custom("a key twice"));
            }
            self.0.metadata.insert(key, value);
        }
        Ok(())
    }
}

/// A header being written.
pub(crate) struct Writer {
    json: String,
    end: usize,
}

impl Writer {
    /// Starts with the metadata. A `BTreeMap`, so that equal content gives equal bytes (safetensors writes a `HashMap`).
    pub(crate) fn new(metadata: &BTreeMap<String, String>) -> Self {
        let mut json = format!("{{{}:{{", quoted(METADATA));
        for (index, (key, value)) in metadata.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            json += &format!("{comma}{}:{}", quoted(key), quoted(value));
        }
        json.push('}');
        Self { json, end: 0 }
    }

    /// Adds a tensor of `len` bytes behind the last one.
    pub(crate) fn tensor(&mut self, name: &str, dtype: Dtype, shape: &[usize], len: usize) {
        let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
        let (start, end) = (self.end, self.end + len);
        self.json += &format!(
            r#",{}:{{"dtype":"{dtype}","shape":[{}],"data_offsets":[{start},{end}]}}"#,
            quoted(name),
            dims.join(",")
        );
        self.end = end;
    }

    /// The length and the JSON, padded with spaces so that the tensors start on a multiple of 8.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.json.push('}');
        let len = self.json.len().next_multiple_of(LEN_BYTES);
        let mut bytes = (len as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(self.json.as_bytes());
        bytes.resize(LEN_BYTES + len, b' ');
        bytes
    }
}

/// Whether a tensor can have this name.
pub(crate) fn is_metadata(name: &str) -> bool {
    name == METADATA
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
