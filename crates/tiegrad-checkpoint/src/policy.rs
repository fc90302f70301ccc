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
    pub fn strict() -> Self {
        Self::default()
    }

    /// A tensor that the file ties under several names may be copied into several parameters. They are independent from
    /// then on.
    pub fn allow_untie(self, allow: bool) -> Self {
        Self {
            untie: allow,
            ..self
        }
    }

    /// Parameters that are separate in the file may become one, provided they are equal bit for bit.
    pub fn allow_tie(self, allow: bool) -> Self {
        Self { tie: allow, ..self }
    }

    /// Parameters that the file does not have may keep their values.
    pub fn allow_missing(self, allow: bool) -> Self {
        Self {
            missing: allow,
            ..self
        }
    }

    /// Tensors of the file that the network does not have may be left out.
    pub fn allow_unexpected(self, allow: bool) -> Self {
        Self {
            unexpected: allow,
            ..self
        }
    }

    /// Values of another floating-point type (`f16` and `bf16` included) may be converted, rounding to nearest where the
    /// new type is narrower.
    pub fn cast(self, allow: bool) -> Self {
        Self {
            cast: allow,
            ..self
        }
    }
}

/// What a load did. Under [`Policy::strict`] all lists are empty.
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
