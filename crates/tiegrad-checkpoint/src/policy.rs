//! What a load may do beyond the plain case, and what it did.

/// What [`Loaded::load_into`](crate::Loaded::load_into) may do beyond loading a file that fits exactly. Everything not
/// allowed is an error; what was allowed and done stands in the [`Report`].
///
/// ```
/// use tiegrad_checkpoint::Policy;
///
/// let policy = Policy::strict().allow_untie(true).cast(true);
/// assert_ne!(policy, Policy::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub(crate) tie: bool,
    pub(crate) untie: bool,
    pub(crate) missing: bool,
    pub(crate) unexpected: bool,
    pub(crate) cast: bool,
}

impl Policy {
    /// Nothing is allowed: the same names, ties, shapes and data type. This is the default.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let file = Checkpoint::new(&params, &[Entry::new("a", a)]).to_bytes()?;
    /// let loaded = Loaded::from_bytes(file)?;
    /// assert_eq!(loaded.load_into(&mut params, &[Entry::new("a", a)], Policy::strict())?.loaded, 1);
    /// assert!(loaded.load_into(&mut params, &[Entry::new("b", a)], Policy::strict()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn strict() -> Self {
        Self::default()
    }

    /// A tensor that the file ties under several names may be copied into several parameters. They are independent from
    /// then on.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let tied = [Entry::new("x", a), Entry::new("y", a)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &tied).to_bytes()?)?;
    /// let separate = [Entry::new("x", a), Entry::new("y", b)];
    /// assert!(loaded.load_into(&mut params, &separate, Policy::strict()).is_err());
    /// let report = loaded.load_into(&mut params, &separate, Policy::strict().allow_untie(true))?;
    /// assert_eq!(report.untied, [["x", "y"]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_untie(self, allow: bool) -> Self {
        Self {
            untie: allow,
            ..self
        }
    }

    /// Parameters that are separate in the file may become one, provided they are equal bit for bit.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let separate = [Entry::new("x", a), Entry::new("y", b)]; // both are 0.5
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &separate).to_bytes()?)?;
    /// let tied = [Entry::new("x", a), Entry::new("y", a)];
    /// assert!(loaded.load_into(&mut params, &tied, Policy::strict()).is_err());
    /// let report = loaded.load_into(&mut params, &tied, Policy::strict().allow_tie(true))?;
    /// assert_eq!(report.tied, [["x", "y"]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_tie(self, allow: bool) -> Self {
        Self { tie: allow, ..self }
    }

    /// Parameters that the file does not have may keep their values.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &[Entry::new("a", a)]).to_bytes()?)?;
    /// let names = [Entry::new("a", a), Entry::new("new_head", b)];
    /// let report = loaded.load_into(&mut params, &names, Policy::strict().allow_missing(true))?;
    /// assert_eq!(report.missing, ["new_head"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_missing(self, allow: bool) -> Self {
        Self {
            missing: allow,
            ..self
        }
    }

    /// Tensors of the file that the network does not have may be left out.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let names = [Entry::new("a", a), Entry::new("old_head", b)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
    /// let report = loaded.load_into(&mut params, &names[..1], Policy::strict().allow_unexpected(true))?;
    /// assert_eq!(report.unexpected, ["old_head"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn allow_unexpected(self, allow: bool) -> Self {
        Self {
            unexpected: allow,
            ..self
        }
    }

    /// Values of another floating-point type (`f16` and `bf16` included) may be converted, rounding to nearest where the
    /// new type is narrower.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
    ///
    /// # let mut params = Params::<f32>::new();
    /// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
    /// let names = [Entry::new("a", a)];
    /// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?; // f32
    /// let mut double = params.cast::<f64>();
    /// assert!(loaded.load_into(&mut double, &names, Policy::strict()).is_err());
    /// assert_eq!(loaded.load_into(&mut double, &names, Policy::strict().cast(true))?.cast, ["a"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cast(self, allow: bool) -> Self {
        Self {
            cast: allow,
            ..self
        }
    }
}

/// What a load did. Under [`Policy::strict`] all lists are empty.
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
///
/// # let mut params = Params::<f32>::new();
/// # let [a, b] = [(); 2].map(|()| params.insert_with(Shape::SCALAR, |w| w[0] = 0.5));
/// let names = [Entry::new("a", a), Entry::new("b", b)];
/// let loaded = Loaded::from_bytes(Checkpoint::new(&params, &names).to_bytes()?)?;
/// let report = loaded.load_into(&mut params, &names, Policy::strict())?;
/// assert_eq!(report.loaded, 2);
/// assert!(report.missing.is_empty() && report.unexpected.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many tensors were written (each tie counts once).
    pub loaded: usize,
    /// Names that the file does not have; what they name was left as it was.
    pub missing: Vec<String>,
    /// Names of the file that the network does not have.
    pub unexpected: Vec<String>,
    /// Separate tensors of the file that are one parameter in the network.
    pub tied: Vec<Vec<String>>,
    /// Names that are one tensor in the file and separate parameters in the network.
    pub untied: Vec<Vec<String>>,
    /// Names of the tensors whose values were converted.
    pub cast: Vec<String>,
}

impl Report {
    pub(crate) fn extend(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.missing.extend(other.missing);
        self.unexpected.extend(other.unexpected);
        self.tied.extend(other.tied);
        self.untied.extend(other.untied);
        self.cast.extend(other.cast);
    }
}
