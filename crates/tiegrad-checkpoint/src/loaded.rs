//! A file that has been read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dtype::Dtype;
use tiegrad_kernels::scalar::Scalar;

use crate::bits;
use crate::error::{Error, Fault};
use crate::extras::{self, Extras};
use crate::header::{Header, Place};
use crate::near::near;

/// A checkpoint that has been read and found sound: any safetensors file, of tiegrad or of other software.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Dtype, Entry, Loaded};
///
/// let mut params = Params::<f64>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |w| w.copy_from_slice(&[1.5, -2.0]));
/// let names = [Entry::new("a", id), Entry::new("b", id)];
/// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
///
/// assert_eq!(loaded.names().collect::<Vec<_>>(), ["a"]);
/// assert_eq!(loaded.aliases().collect::<Vec<_>>(), [("b", "a")]);
/// let tensor = loaded.tensor("a")?;
/// assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F64, &[2][..]));
/// assert_eq!(tensor.to_vec::<f32>()?, [1.5, -2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Loaded {
    pub(crate) path: Option<PathBuf>,
    file: Vec<u8>,
    header: Header,
    pub(crate) extras: Extras,
}

impl Loaded {
    /// Reads a file into memory and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Broken`], with one [`Fault`] for each way in which a file can be unsound.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// # let run = tempfile::tempdir()?;
    /// let path = run.path().join("model.safetensors");
    /// Checkpoint::new(&params, &[Entry::new("weight", id)]).save(&path)?;
    /// assert_eq!(Loaded::open(&path)?.tensor("weight")?.shape(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = fs::read(path).map_err(|source| Error::Io {
            path: path.into(),
            action: "reading",
            source,
        })?;
        Self::new(Some(path.into()), file)
    }

    /// [`open`](Self::open) for a file's bytes.
    ///
    /// # Errors
    /// [`Error::Broken`].
    ///
    /// ```
    /// use tiegrad_checkpoint::{Error, Fault, Loaded};
    ///
    /// let error = Loaded::from_bytes(&b"abc"[..]).unwrap_err();
    /// assert!(matches!(error, Error::Broken { fault: Fault::TooShort { .. }, .. }));
    /// ```
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Self::new(None, bytes.into())
    }

    fn new(path: Option<PathBuf>, file: Vec<u8>) -> Result<Self, Error> {
        let read = || -> Result<_, Fault> {
            let header = Header::read(&file)?;
            let extras = Extras::read(&header.metadata)?;
            Ok((header, extras))
        };
        match read() {
            Ok((header, extras)) => Ok(Self {
                path,
                file,
                header,
                extras,
            }),
            Err(fault) => Err(Error::Broken { path, fault }),
        }
    }

    /// The names of all tensors, those of states and raw bytes included, in alphabetic order. Aliases are not among them.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("wte.weight", id), Entry::new("head.weight", id)];
    /// let file = Checkpoint::new(&params, &names).bytes("rng", &[1, 2]).to_bytes()?;
    /// assert_eq!(Loaded::from_bytes(file)?.names().collect::<Vec<_>>(), ["rng", "wte.weight"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.header.tensors.keys().map(String::as_str)
    }

    /// The aliases, each with the name under which its tensor is stored.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("wte.weight", id), Entry::new("head.weight", id)]; // a tie
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.aliases().collect::<Vec<_>>(), [("head.weight", "wte.weight")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aliases(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let entries = self.header.metadata.iter();
        entries
            .map(|(alias, name)| (alias.as_str(), name.as_str()))
            .filter(|&(alias, name)| {
                alias != name
                    && !extras::is_reserved(alias)
                    && self.header.tensors.contains_key(name)
                    && !self.extras.covers(name)
            })
    }

    /// The names of the optimizer states.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_arena::State;
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let (names, momentum) = ([Entry::new("weight", id)], State::new(["momentum_buffer"]));
    /// let file = Checkpoint::new(&params, &names).state("optimizer", &momentum).to_bytes()?;
    /// assert_eq!(Loaded::from_bytes(file)?.states().collect::<Vec<_>>(), ["optimizer"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn states(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.extras.states.keys().map(String::as_str)
    }

    /// All strings of the file, aliases and tiegrad's own entries included.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let file = Checkpoint::new(&params, &names).metadata("epoch", "3").to_bytes()?;
    /// assert_eq!(Loaded::from_bytes(file)?.metadata()["epoch"], "3");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// A tensor, under the name by which it is stored.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], which for an alias says what it is an alias of.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("wte.weight", id), Entry::new("head.weight", id)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.tensor("wte.weight")?.to_vec::<f32>()?, [0.5, 0.5]);
    /// let error = loaded.tensor("head.weight").unwrap_err(); // an alias
    /// assert!(error.to_string().ends_with("(did you mean \"wte.weight\"?)"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>, Error> {
        match self.header.tensors.get_key_value(name) {
            Some((name, place)) => Ok(self.at(name, place)),
            None => Err(self.unknown(name)),
        }
    }

    /// What [`Checkpoint::bytes`](crate::Checkpoint::bytes) has saved.
    ///
    /// # Errors
    /// [`Error::UnknownTensor`], and [`Error::Dtype`] where the tensor is not raw bytes.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let file = Checkpoint::new(&params, &names).bytes("rng", &[1, 2, 3]).to_bytes()?;
    /// let loaded = Loaded::from_bytes(file)?;
    /// assert_eq!(loaded.bytes("rng")?, [1, 2, 3]);
    /// assert!(loaded.bytes("weight").is_err()); // not raw bytes
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(&self, name: &str) -> Result<&[u8], Error> {
        let tensor = self.tensor(name)?;
        match tensor.dtype {
            Dtype::U8 => Ok(tensor.data),
            found => Err(Error::Dtype {
                name: name.into(),
                expected: "U8",
                found,
            }),
        }
    }

    /// The tensors whose names start with `prefix`, under the rest of their names.
    pub(crate) fn below<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, Tensor<'a>)> {
        let from = std::ops::Bound::Included(prefix);
        let tensors = self
            .header
            .tensors
            .range::<str, _>((from, std::ops::Bound::Unbounded));
        tensors.map_while(move |(name, place)| {
            Some((name.strip_prefix(prefix)?, self.at(name, place)))
        })
    }

    fn at<'a>(&'a self, name: &'a str, place: &'a Place) -> Tensor<'a> {
        Tensor {
            name,
            dtype: place.dtype,
            shape: &place.shape,
            // In range: the header was checked against the file.
            data: self.file.get(place.range.clone()).unwrap_or_default(),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let near = match self.aliases().find(|(alias, _)| *alias == name) {
            Some((_, stored)) => vec![stored.into()],
            None => near(name, self.names()),
        };
        Error::UnknownTensor {
            path: self.path.clone(),
            name: name.into(),
            near,
        }
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("path", &self.path)
            .field("tensors", &self.header.tensors.len())
            .field("bytes", &self.file.len())
            .finish_non_exhaustive()
    }
}

/// A tensor of a file, not copied. See [`Loaded`] for an example.
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Tensor};
///
/// # let mut params = Params::<f32>::new();
/// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
/// let names = [Entry::new("weight", id)];
/// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
/// let tensor: Tensor<'_> = loaded.tensor("weight")?;
/// assert_eq!((tensor.shape(), tensor.data().len()), (&[2][..], 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    pub(crate) name: &'a str,
    dtype: Dtype,
    shape: &'a [usize],
    data: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// Its data type.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Dtype, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.tensor("weight")?.dtype(), Dtype::F32);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its shape.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.tensor("weight")?.shape(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Its bytes: row-major, little-endian.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.tensor("weight")?.data()[..4], 0.5_f32.to_le_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Its values as another scalar, rounded to nearest where that is narrower.
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the tensor is F16, BF16, F32 or F64.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// assert_eq!(loaded.tensor("weight")?.to_vec::<f64>()?, [0.5, 0.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_vec<T: Scalar>(&self) -> Result<Vec<T>, Error> {
        if !bits::is_float(self.dtype) {
            return Err(Error::Dtype {
                name: self.name.into(),
                expected: bits::type_name::<T>(),
                found: self.dtype,
            });
        }
        let mut values = vec![T::ZERO; self.data.len() / (self.dtype.bitsize() / 8)];
        bits::decode(self.dtype, self.data, &mut values);
        Ok(values)
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name)
            .field("dtype", &self.dtype)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
