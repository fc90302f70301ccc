//! Saving.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use crate::dtype::Dtype;
use tiegrad_arena::{ArenaError, Params, State};
use tiegrad_kernels::scalar::Scalar;

use crate::atomic;
use crate::bits;
use crate::error::Error;
use crate::extras::{self, Extras};
use crate::header;
use crate::names::{self, Entry, Group};

/// A checkpoint to be written: parameters by name, and what goes with them.
///
/// Nothing is copied before [`save`](Self::save) or [`to_bytes`](Self::to_bytes), which also report what cannot be written.
/// Equal content gives equal bytes. Parameters of the arena that no entry names are not saved.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Entry};
///
/// let mut params = Params::<f32>::new();
/// let weight = params.insert_with(Shape::new(&[5, 2])?, |_| {});
/// let names = [Entry::new("weight", weight)];
/// # let run = tempfile::tempdir()?;
/// # let run = run.path();
/// Checkpoint::new(&params, &names).metadata("epoch", "3").save(run.join("model.safetensors"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint<'a, T> {
    params: &'a Params<T>,
    names: &'a [Entry],
    metadata: Vec<(String, String)>,
    states: Vec<(String, &'a State<T>)>,
    bytes: Vec<(String, &'a [u8])>,
}

impl<'a, T: Scalar> Checkpoint<'a, T> {
    /// A checkpoint of the parameters that are named.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let _unnamed = params.insert_with(Shape::new(&[100])?, |_| {}); // is not saved
    /// let file = Checkpoint::new(&params, &[Entry::new("weight", id)]).to_bytes()?;
    /// assert_eq!(Loaded::from_bytes(file)?.names().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(params: &'a Params<T>, names: &'a [Entry]) -> Self {
        Self {
            params,
            names,
            metadata: Vec::new(),
            states: Vec::new(),
            bytes: Vec::new(),
        }
    }

    /// Adds a string. Keys of one's own with a dot in them (`run.seed`) keep clear of others'; `format` and keys that start
    /// with `tiegrad.` are taken, and so are the aliases of parameters.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// assert!(Checkpoint::new(&params, &names).metadata("run.seed", "42").to_bytes().is_ok());
    /// assert!(Checkpoint::new(&params, &names).metadata("format", "mine").to_bytes().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Adds an optimizer's state: a tensor `<name>.<tensor>.<canonical path>` for each of its tensors and parameters, and
    /// the step counters `<name>.step.<canonical path>`. What it does not know yet is as it would be after the next [`State::sync`]: zero, or a copy of
    /// what a fork was forked from.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_arena::State;
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let (names, momentum) = ([Entry::new("weight", id)], State::new(["momentum_buffer"]));
    /// let file = Checkpoint::new(&params, &names).state("sgd", &momentum).to_bytes()?;
    /// let loaded = Loaded::from_bytes(file)?;
    /// assert_eq!(loaded.tensor("sgd.momentum_buffer.weight")?.shape(), [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn state(mut self, name: impl Into<String>, state: &'a State<T>) -> Self {
        self.states.push((name.into(), state));
        self
    }

    /// Adds raw bytes (a random generator's state, say) as a tensor of type U8.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Dtype, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let file = Checkpoint::new(&params, &[Entry::new("weight", id)]).bytes("rng", &[1, 2, 3]).to_bytes()?;
    /// assert_eq!(Loaded::from_bytes(file)?.tensor("rng")?.dtype(), Dtype::U8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(mut self, name: impl Into<String>, bytes: &'a [u8]) -> Self {
        self.bytes.push((name.into(), bytes));
        self
    }

    /// Writes the file so that a crash at any moment leaves the old file or the new one, whole: into a new file in the same
    /// directory, which is brought to the disk and then renamed. (A link at `path` is replaced, not followed.) What a killed
    /// process has left of such a file is removed by the next save to the same path.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes), and [`Error::Io`]; the old file is still there then.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// # let run = tempfile::tempdir()?;
    /// let path = run.path().join("model.safetensors");
    /// let names = [Entry::new("weight", id)];
    /// Checkpoint::new(&params, &names).metadata("epoch", "1").save(&path)?;
    /// Checkpoint::new(&params, &names).metadata("epoch", "2").save(&path)?; // in its place
    /// assert_eq!(Loaded::open(&path)?.metadata()["epoch"], "2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let plan = self.plan()?;
        atomic::replace(path.as_ref(), |file| plan.write(file))
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Arena`] for a name whose id is of no parameter, [`Error::DuplicateName`], [`Error::ReservedName`],
    /// [`Error::HeaderTooLong`], and [`Error::Dual`] for dual numbers.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Error};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// let names = [Entry::new("weight", id)];
    /// assert_eq!(Checkpoint::new(&params, &names).to_bytes()?, Checkpoint::new(&params, &names).to_bytes()?);
    /// let twice = [Entry::new("weight", id), Entry::new("weight", id)];
    /// assert!(matches!(Checkpoint::new(&params, &twice).to_bytes(), Err(Error::DuplicateName { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let plan = self.plan()?;
        let len = plan.pieces.iter().map(Piece::len).sum::<usize>();
        let mut bytes = Vec::with_capacity(plan.header.len() + len);
        plan.write(&mut bytes).map_err(|source| Error::Io {
            path: "memory".into(),
            action: "writing to",
            source,
        })?;
        Ok(bytes)
    }

    fn plan(&self) -> Result<Plan<'a, T>, Error> {
        let dtype = bits::stored::<T>().ok_or(Error::Dual { dtype: T::DTYPE })?;
        let groups = names::group(self.names)?;
        let mut pieces = Vec::new();
        for group in &groups {
            let values =
                Source::Values(self.params.as_slice(group.id).map_err(named(group))?.into());
            pieces.push(self.piece(group, String::new(), dtype, values)?);
        }
        for (name, state) in &self.states {
            self.state_pieces(name, state, &groups, dtype, &mut pieces)?;
        }
        for (name, bytes) in &self.bytes {
            pieces.push(Piece {
                name: name.clone(),
                dtype: Dtype::U8,
                shape: vec![bytes.len()],
                source: Source::Bytes(bytes),
                transposed: false,
            });
        }
        let extras = self.extras(&groups);
        self.check_names(&pieces, &groups, &extras)?;
        let metadata = self.all_metadata(&groups, &extras)?;
        Plan::new(pieces, &metadata)
    }

    /// The parameter's tensor, or one of a state that has its shape, as its canonical path shows it.
    fn piece(
        &self,
        group: &Group<'_>,
        prefix: String,
        dtype: Dtype,
        source: Source<'a, T>,
    ) -> Result<Piece<'a, T>, Error> {
        let shape = self.params.info(group.id).map_err(named(group))?.shape;
        let transposed = group.canonical.transposed;
        Ok(Piece {
            name: prefix + &group.canonical.path,
            dtype,
            shape: if transposed {
                bits::swapped(&shape)
            } else {
                shape.to_vec()
            },
            source,
            transposed,
        })
    }

    fn state_pieces(
        &self,
        name: &str,
        state: &'a State<T>,
        groups: &[Group<'_>],
        dtype: Dtype,
        pieces: &mut Vec<Piece<'a, T>>,
    ) -> Result<(), Error> {
        for group in groups {
            let values = self.params.values();
            let id = state.source(group.id, values).unwrap_or(group.id);
            for slab in state.names() {
                let source = match state.tensor(id, slab) {
                    Ok(view) => Source::Values(match view.to_slice() {
                        Some(slice) => Cow::Borrowed(slice),
                        None => view.iter().copied().collect(),
                    }),
                    Err(ArenaError::OutOfStep { .. }) => {
                        let len = self.params.as_slice(group.id).map_err(named(group))?.len();
                        Source::Values(Cow::Owned(vec![T::ZERO; len]))
                    }
                    Err(error) => return Err(named(group)(error)),
                };
                pieces.push(self.piece(group, format!("{name}.{slab}."), dtype, source)?);
            }
            pieces.push(Piece {
                name: format!("{name}.step.{}", group.canonical.path),
                dtype: Dtype::U64,
                shape: Vec::new(),
                source: Source::Step(state.step(id).unwrap_or(0)),
                transposed: false,
            });
        }
        Ok(())
    }

    fn extras(&self, groups: &[Group<'_>]) -> Extras {
        let slabs = |state: &State<T>| state.names().map(String::from).collect();
        let states = self.states.iter();
        let mut extras = Extras {
            own: true,
            states: states
                .map(|(name, state)| (name.clone(), slabs(state)))
                .collect(),
            bytes: self.bytes.iter().map(|(name, _)| name.clone()).collect(),
            transposed: groups.iter().flat_map(turned_aliases).collect(),
        };
        extras.bytes.sort();
        extras.transposed.sort();
        extras
    }

    fn check_names(
        &self,
        pieces: &[Piece<'_, T>],
        groups: &[Group<'_>],
        extras: &Extras,
    ) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        let states = self.states.iter().map(|(name, _)| name.as_str());
        let tensors = pieces.iter().map(|piece| piece.name.as_str());
        let aliases = groups.iter().flat_map(|group| &group.aliases);
        let aliases = aliases.map(|entry| entry.path.as_str());
        for name in tensors.chain(aliases).chain(states) {
            if header::is_metadata(name) {
                return Err(reserved(name, "safetensors keeps strings there"));
            }
            if !seen.insert(name) {
                return Err(Error::DuplicateName { name: name.into() });
            }
        }
        for entry in self.names {
            if extras.covers(&entry.path) {
                return Err(reserved(
                    &entry.path,
                    "a state of this checkpoint has its tensors there",
                ));
            }
        }
        for (name, _) in &self.bytes {
            let states = self.states.iter();
            let mut states = states.filter_map(|(state, _)| name.strip_prefix(state.as_str()));
            if states.any(|rest| rest.starts_with('.')) {
                return Err(reserved(
                    name,
                    "a state of this checkpoint has its tensors there",
                ));
            }
        }
        Ok(())
    }

    fn all_metadata(
        &self,
        groups: &[Group<'_>],
        extras: &Extras,
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut metadata = BTreeMap::new();
        for group in groups {
            for alias in &group.aliases {
                metadata.insert(alias.path.clone(), group.canonical.path.clone());
            }
        }
        if let Some(key) = metadata.keys().find(|key| extras::is_reserved(key)) {
            return Err(reserved(key, "as a metadata key it means something else"));
        }
        let canonical: BTreeSet<&str> = groups.iter().map(|g| &*g.canonical.path).collect();
        for (key, value) in &self.metadata {
            if extras::is_reserved(key) {
                return Err(reserved(key, "tiegrad and PyTorch use this metadata key"));
            }
            if canonical.contains(&**value) {
                let reason = "its value is a parameter's name, so that it would read as an alias";
                return Err(reserved(key, reason));
            }
            if metadata.insert(key.clone(), value.clone()).is_some() {
                return Err(Error::DuplicateName { name: key.clone() });
            }
        }
        extras.write(&mut metadata);
        Ok(metadata)
    }
}

impl<T: Scalar> fmt::Debug for Checkpoint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = self.states.iter().map(|(name, _)| name);
        let bytes = self.bytes.iter().map(|(name, _)| name);
        f.debug_struct("Checkpoint")
            .field("params", self.params)
            .field("names", &self.names.len())
            .field("metadata", &self.metadata)
            .field("states", &states.collect::<Vec<_>>())
            .field("bytes", &bytes.collect::<Vec<_>>())
            .finish()
    }
}

/// The aliases that show their parameter the other way round than the canonical path.
fn turned_aliases(group: &Group<'_>) -> Vec<String> {
    let aliases = group.aliases.iter();
    let turned = aliases.filter(|alias| alias.transposed != group.canonical.transposed);
    turned.map(|alias| alias.path.clone()).collect()
}

fn named(group: &Group<'_>) -> impl Fn(ArenaError) -> Error + use<> {
    let name = group.canonical.path.clone();
    move |source| Error::Arena {
        name: name.clone(),
        source,
    }
}

fn reserved(name: &str, reason: &'static str) -> Error {
    Error::ReservedName {
        name: name.into(),
        reason,
    }
}

/// One tensor to be written.
struct Piece<'a, T: Clone> {
    name: String,
    dtype: Dtype,
    /// As it is stored.
    shape: Vec<usize>,
    source: Source<'a, T>,
    /// Whether the last two axes of `source` have to be swapped for that.
    transposed: bool,
}

enum Source<'a, T: Clone> {
    Values(Cow<'a, [T]>),
    Step(u64),
    Bytes(&'a [u8]),
}

impl<T: Scalar> Piece<'_, T> {
    fn len(&self) -> usize {
        let elements = match &self.source {
            Source::Values(values) => values.len(),
            Source::Step(_) => 1,
            Source::Bytes(bytes) => bytes.len(),
        };
        elements * (self.dtype.bitsize() / 8)
    }

    fn write(&self, out: &mut impl Write, buffer: &mut Vec<u8>) -> io::Result<()> {
        match &self.source {
            Source::Values(values) if self.transposed => {
                buffer.clear();
                bits::encode(values, buffer);
                let shape = bits::swapped(&self.shape); // that of the values
                out.write_all(&bits::oriented(buffer, &shape, self.dtype, true))
            }
            Source::Values(values) => values.chunks(1 << 16).try_for_each(|chunk| {
                buffer.clear();
                bits::encode(chunk, buffer);
                out.write_all(buffer)
            }),
            Source::Step(step) => out.write_all(&step.to_le_bytes()),
            Source::Bytes(bytes) => out.write_all(bytes),
        }
    }
}

struct Plan<'a, T: Clone> {
    header: Vec<u8>,
    pieces: Vec<Piece<'a, T>>,
}

impl<'a, T: Scalar> Plan<'a, T> {
    /// Lays the tensors out as safetensors does: the widest types first, so that each is aligned, then by name.
    fn new(
        mut pieces: Vec<Piece<'a, T>>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, Error> {
        pieces.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));
        let mut header = header::Writer::new(metadata);
        for piece in &pieces {
            header.tensor(&piece.name, piece.dtype, &piece.shape, piece.len());
        }
        let header = header.finish();
        if header.len() > header::MAX_LEN {
            return Err(Error::HeaderTooLong { len: header.len() });
        }
        Ok(Self { header, pieces })
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header)?;
        let mut buffer = Vec::new();
        let mut out = io::BufWriter::with_capacity(1 << 16, out);
        for piece in &self.pieces {
            piece.write(&mut out, &mut buffer)?;
        }
        out.flush()
    }
}
