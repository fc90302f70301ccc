//! What can go wrong with a checkpoint, and the sentences that say so.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::dtype::Dtype;
use tiegrad_arena::ArenaError;
use tiegrad_kernels::scalar::DType;

/// Why a checkpoint could not be written or read. Nothing has been changed then: not the file, not the arena.
///
/// ```
/// use tiegrad_checkpoint::{Error, Loaded};
///
/// let error = Loaded::open("no/such.safetensors").unwrap_err();
/// assert!(matches!(error, Error::Io { .. }));
/// assert!(error.to_string().starts_with("reading no/such.safetensors: "));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system said no.
    #[non_exhaustive]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done to it.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a sound safetensors file.
    #[non_exhaustive]
    Broken {
        /// The file, unless it came as bytes.
        path: Option<PathBuf>,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The file is sound, and does not fit the network.
    #[non_exhaustive]
    Mismatch {
        /// The file, unless it came as bytes.
        path: Option<PathBuf>,
        /// Everything that does not fit.
        problems: Vec<Problem>,
    },
    /// The file has no tensor of this name.
    #[non_exhaustive]
    UnknownTensor {
        /// The file, unless it came as bytes.
        path: Option<PathBuf>,
        /// The name that was asked for.
        name: String,
        /// Names that it may have been meant to be; that of the tensor itself, where the name is an alias.
        near: Vec<String>,
    },
    /// The tensor has another data type than asked for.
    #[non_exhaustive]
    Dtype {
        /// The tensor.
        name: String,
        /// What was asked for.
        expected: &'static str,
        /// What the file has.
        found: Dtype,
    },
    /// The file has no state of this name, or one with other tensors.
    #[non_exhaustive]
    State {
        /// The file, unless it came as bytes.
        path: Option<PathBuf>,
        /// The state.
        name: String,
        /// The tensors per parameter that were expected.
        expected: Vec<String>,
        /// Those that the file has; `None` where it has no such state.
        found: Option<Vec<String>>,
    },
    /// Two things to be saved, or two entries of a list of names, have one name.
    #[non_exhaustive]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The name or metadata key means something else in a checkpoint.
    #[non_exhaustive]
    ReservedName {
        /// The name or key.
        name: String,
        /// What stands against it.
        reason: &'static str,
    },
    /// The header would be larger than readers accept (100 MB).
    #[non_exhaustive]
    HeaderTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Dual numbers are not saved: a derivative belongs to one evaluation.
    #[non_exhaustive]
    Dual {
        /// The scalar type.
        dtype: DType,
    },
    /// A name's id is of no parameter of this arena.
    #[non_exhaustive]
    Arena {
        /// The name.
        name: String,
        /// What the arena said.
        source: ArenaError,
    },
}

/// What is wrong with a file.
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Entry, Error, Fault, Loaded};
///
/// # let mut params = Params::<f32>::new();
/// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
/// let mut file = Checkpoint::new(&params, &[Entry::new("weight", id)]).to_bytes()?;
/// file.pop();
/// let error = Loaded::from_bytes(file).unwrap_err();
/// assert!(matches!(error, Error::Broken { fault: Fault::Truncated { expected: 8, found: 7, .. }, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Shorter than the 8 bytes that hold the header's length.
    #[non_exhaustive]
    TooShort {
        /// The file's length.
        len: usize,
    },
    /// The header claims to be longer than any that is accepted (100 MB): most likely not a safetensors file.
    #[non_exhaustive]
    HeaderTooLong {
        /// What it claims.
        header: u64,
    },
    /// The file ends within the header.
    #[non_exhaustive]
    HeaderCut {
        /// The header's length.
        header: u64,
        /// How much of it there is.
        found: usize,
    },
    /// The header is not UTF-8.
    #[non_exhaustive]
    NotUtf8 {
        /// How much of it is.
        valid: usize,
    },
    /// The header is not JSON.
    #[non_exhaustive]
    NotJson {
        /// What the parser said.
        message: String,
    },
    /// The header is JSON, and not that of a safetensors file.
    #[non_exhaustive]
    NotAHeader {
        /// What the parser said.
        message: String,
    },
    /// A name stands in the header twice.
    #[non_exhaustive]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A tensor does not begin where the one before it ends.
    #[non_exhaustive]
    Offsets {
        /// The tensor.
        name: String,
    },
    /// A tensor's bytes are not as many as its shape and data type need.
    #[non_exhaustive]
    Size {
        /// The tensor.
        name: String,
    },
    /// The file ends before its tensors do.
    #[non_exhaustive]
    Truncated {
        /// The length of all tensors together.
        expected: usize,
        /// How much of it there is.
        found: usize,
    },
    /// The file goes on behind its tensors.
    #[non_exhaustive]
    Trailing {
        /// How many bytes there are too many.
        extra: usize,
    },
    /// Written by a later version of tiegrad, in a layout that this one does not know.
    #[non_exhaustive]
    Version {
        /// The layout's version.
        version: String,
    },
    /// A metadata entry of tiegrad's own does not have its form.
    #[non_exhaustive]
    Metadata {
        /// Its key.
        key: String,
    },
}

/// One thing about a file that does not fit the network.
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Entry, Error, Loaded, Policy, Problem};
///
/// # let mut params = Params::<f32>::new();
/// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
/// let file = Checkpoint::new(&params, &[Entry::new("weight", id)]).to_bytes()?;
/// let names = [Entry::new("weigth", id)]; // a slip
/// let error = Loaded::from_bytes(file)?.load_into(&mut params, &names, Policy::strict()).unwrap_err();
/// let Error::Mismatch { problems, .. } = error else { return Err(error.into()) };
/// assert!(matches!(&problems[..], [Problem::Missing { near, .. }, Problem::Unexpected { .. }] if near[0] == "weight"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The network has this name (and its aliases), the file has none of them. [`allow_missing`](crate::Policy::allow_missing)
    /// leaves such parameters alone.
    #[non_exhaustive]
    Missing {
        /// The canonical name.
        name: String,
        /// Names of the file that it may be.
        near: Vec<String>,
    },
    /// The file has this name, the network has not. [`allow_unexpected`](crate::Policy::allow_unexpected) leaves it out.
    #[non_exhaustive]
    Unexpected {
        /// The name.
        name: String,
        /// Names of the network that it may be.
        near: Vec<String>,
    },
    /// Another shape.
    #[non_exhaustive]
    Shape {
        /// The name.
        name: String,
        /// The network's.
        expected: Vec<usize>,
        /// The file's.
        found: Vec<usize>,
    },
    /// Another data type. [`cast`](crate::Policy::cast) converts between floating-point types.
    #[non_exhaustive]
    Dtype {
        /// The name.
        name: String,
        /// The network's.
        expected: &'static str,
        /// The file's.
        found: Dtype,
    },
    /// Two names of one parameter have different values in the file. No policy chooses between them.
    #[non_exhaustive]
    Conflict {
        /// The one.
        first: String,
        /// The other.
        second: String,
    },
    /// Names that are one tensor in the file and separate parameters in the network.
    /// [`allow_untie`](crate::Policy::allow_untie) copies it into each.
    #[non_exhaustive]
    TiedInFile {
        /// The names.
        names: Vec<String>,
    },
    /// Names that are one parameter in the network and separate ones in the file, equal for now.
    /// [`allow_tie`](crate::Policy::allow_tie) makes them one.
    #[non_exhaustive]
    UntiedInFile {
        /// The names.
        names: Vec<String>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                path,
                action,
                source,
            } => write!(f, "{action} {}: {source}", path.display()),
            Self::Broken { path, fault } => {
                write!(f, "{} is not a sound checkpoint: {fault}", File(path))
            }
            Self::Mismatch { path, problems } => {
                write!(f, "{} does not fit the network: ", File(path))?;
                joined(f, problems, "; ")
            }
            Self::UnknownTensor { path, name, near } => {
                write!(f, "{} has no tensor {name:?}", File(path))?;
                did_you_mean(f, near)
            }
            Self::Dtype {
                name,
                expected,
                found,
            } => {
                write!(f, "the tensor {name:?} is {found}, not {expected}")
            }
            Self::State {
                path,
                name,
                found: None,
                ..
            } => {
                write!(f, "{} has no state {name:?}", File(path))
            }
            Self::State {
                path,
                name,
                expected,
                found: Some(found),
            } => write!(
                f,
                "the state {name:?} of {} keeps {found:?} for each parameter, not {expected:?}: \
                 it is of another kind of optimizer",
                File(path)
            ),
            Self::DuplicateName { name } => write!(f, "the name {name:?} is there twice"),
            Self::ReservedName { name, reason } => {
                write!(f, "the name {name:?} cannot be used: {reason}")
            }
            Self::HeaderTooLong { len } => {
                write!(
                    f,
                    "the header would have {len} bytes, and readers accept 100 MB"
                )
            }
            Self::Dual { dtype } => {
                write!(
                    f,
                    "{dtype} parameters cannot be saved; save the real ones (`params.cast()`)"
                )
            }
            Self::Arena { name, source } => write!(f, "{name:?}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Arena { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { len } => {
                write!(f, "it has {len} bytes, too few for a header's length")
            }
            Self::HeaderTooLong { header } => {
                write!(
                    f,
                    "its header would have {header} bytes: probably not a safetensors file"
                )
            }
            Self::HeaderCut { header, found } => {
                write!(f, "it ends within its header ({found} of {header} bytes)")
            }
            Self::NotUtf8 { valid } => write!(f, "its header is not UTF-8 (from byte {valid} on)"),
            Self::NotJson { message } => write!(f, "its header is not JSON: {message}"),
            Self::NotAHeader { message } => {
                write!(f, "its header is not one of safetensors: {message}")
            }
            Self::DuplicateName { name } => write!(f, "its header has {name:?} twice"),
            Self::Offsets { name } => {
                write!(
                    f,
                    "the tensor {name:?} does not begin where the one before it ends"
                )
            }
            Self::Size { name } => {
                write!(
                    f,
                    "the bytes of the tensor {name:?} are not those of its shape and data type"
                )
            }
            Self::Truncated { expected, found } => {
                write!(
                    f,
                    "it is cut off: {found} of {expected} bytes of tensors are there"
                )
            }
            Self::Trailing { extra } => write!(f, "{extra} bytes follow its last tensor"),
            Self::Version { version } => {
                write!(
                    f,
                    "it has version {version:?} of tiegrad's layout, and this program knows version 1"
                )
            }
            Self::Metadata { key } => {
                write!(f, "its metadata {key:?} does not have the form it should")
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name, near } => {
                write!(f, "{name:?} is missing from the file")?;
                did_you_mean(f, near)
            }
            Self::Unexpected { name, near } => {
                write!(f, "the network has no {name:?}")?;
                did_you_mean(f, near)
            }
            Self::Shape {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{name:?} has the shape {found:?} in the file and {expected:?} in the network"
                )
            }
            Self::Dtype {
                name,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{name:?} is {found} in the file and {expected} in the network"
                )
            }
            Self::Conflict { first, second } => {
                write!(
                    f,
                    "{first:?} and {second:?} are one parameter and have different values in the file"
                )
            }
            Self::TiedInFile { names } => {
                joined(f, names.iter().map(Quoted), " and ")?;
                f.write_str(" are one parameter in the file and separate ones in the network (`allow_untie` copies)")
            }
            Self::UntiedInFile { names } => {
                joined(f, names.iter().map(Quoted), " and ")?;
                f.write_str(
                    " are separate parameters in the file, if equal ones, and one in the network (`allow_tie` joins)",
                )
            }
        }
    }
}

struct File<'a>(&'a Option<PathBuf>);

impl fmt::Display for File<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => path.display().fmt(f),
            None => f.write_str("the checkpoint"),
        }
    }
}

struct Quoted<'a>(&'a String);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn did_you_mean(f: &mut fmt::Formatter<'_>, near: &[String]) -> fmt::Result {
    if near.is_empty() {
        return Ok(());
    }
    f.write_str(" (did you mean ")?;
    joined(f, near.iter().map(Quoted), " or ")?;
    f.write_str("?)")
}

fn joined<D: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    items: impl IntoIterator<Item = D>,
    separator: &str,
) -> fmt::Result {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}
