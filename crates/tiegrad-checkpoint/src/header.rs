//! The header of a safetensors file: its length in 8 bytes, then JSON, then the tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::dtype::Dtype;
use crate::error::Fault;
use crate::json::{Reader, quoted};

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

/// What the JSON says, unchecked. A name that is there twice is a fault: JSON parsers commonly let the last one win.
#[derive(Default)]
struct Parsed {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

impl Parsed {
    fn read(json: &str) -> Result<Self, Fault> {
        let mut parsed = Self::default();
        let mut seen = BTreeSet::new();
        let mut json = Reader::new(json);
        json.object("an object of tensors", |json, name| {
            if !seen.insert(name.clone()) {
                return Err(Fault::DuplicateName { name });
            }
            if name == METADATA {
                parsed.read_metadata(json)
            } else {
                parsed.tensors.push((name, TensorInfo::read(json)?));
                Ok(())
            }
        })?;
        json.end()?;
        Ok(parsed)
    }

    /// An object of strings, or null.
    fn read_metadata(&mut self, json: &mut Reader<'_>) -> Result<(), Fault> {
        if json.null() {
            return Ok(());
        }
        json.object("an object of strings", |json, key| {
            if self.metadata.contains_key(&key) {
                return Err(Fault::DuplicateName { name: key });
            }
            self.metadata.insert(key, json.string()?);
            Ok(())
        })
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

impl TensorInfo {
    fn read(json: &mut Reader<'_>) -> Result<Self, Fault> {
        let not_a_header = |message| Fault::NotAHeader { message };
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        let what = "an object with dtype, shape and data_offsets";
        json.object(what, |json, field| {
            let twice = match field.as_str() {
                "dtype" => {
                    let name = json.string()?;
                    let known = Dtype::of(&name);
                    let known =
                        known.ok_or_else(|| not_a_header(format!("unknown dtype {name:?}")))?;
                    dtype.replace(known).is_some()
                }
                "shape" => {
                    let sizes = json.list("a list of sizes", Reader::size)?;
                    shape.replace(sizes).is_some()
                }
                "data_offsets" => {
                    let offsets = json.list("a list of two offsets", Reader::size)?;
                    let &[from, to] = offsets.as_slice() else {
                        let message = format!("{} data_offsets and not two", offsets.len());
                        return Err(not_a_header(message));
                    };
                    data_offsets.replace((from, to)).is_some()
                }
                _ => {
                    json.skip()?;
                    false
                }
            };
            if twice {
                return Err(not_a_header(format!("{field} twice")));
            }
            Ok(())
        })?;
        let missing = |field| not_a_header(format!("a tensor without {field}"));
        Ok(TensorInfo {
            dtype: dtype.ok_or_else(|| missing("dtype"))?,
            shape: shape.ok_or_else(|| missing("shape"))?,
            data_offsets: data_offsets.ok_or_else(|| missing("data_offsets"))?,
        })
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
