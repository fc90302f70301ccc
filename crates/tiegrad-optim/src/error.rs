//! What can go wrong in a step, and the sentences that say so.

use std::fmt;

use tiegrad_arena::{ArenaError, ParamId};

/// Why an optimizer or a clipping function did not do what it was asked. No parameter and no state has changed then.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_optim::{OptimError, SGD};
///
/// let error = SGD::new(-0.1).step(&mut Params::<f32>::new()).unwrap_err();
/// assert!(matches!(error, OptimError::Setting { setting: "lr", .. }));
/// assert_eq!(error.to_string(), "SGD: lr is -0.1; it has to be a finite number that is not negative");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OptimError {
    /// A setting is out of its range.
    #[non_exhaustive]
    Setting {
        /// The optimizer or function.
        optimizer: &'static str,
        /// The label of the group that set it; `None` for the optimizer's own.
        group: Option<Box<str>>,
        /// The setting.
        setting: &'static str,
        /// What it is.
        value: f64,
        /// What it has to be.
        expected: &'static str,
    },
    /// A group overrides a setting that this optimizer does not have.
    #[non_exhaustive]
    UnknownSetting {
        /// The optimizer.
        optimizer: &'static str,
        /// The group's label.
        group: Box<str>,
        /// The setting.
        setting: &'static str,
        /// The settings there are.
        known: Box<[&'static str]>,
    },
    /// A parameter is in two groups.
    #[non_exhaustive]
    InTwoGroups {
        /// The parameter.
        id: ParamId,
        /// The label of the first group that has it.
        first: Box<str>,
        /// The path by which it came into that group, where the group's [`Selection`](tiegrad_arena::Selection) knows it.
        first_path: Option<Box<str>>,
        /// The label of the other.
        second: Box<str>,
        /// The path by which it came into the other.
        second_path: Option<Box<str>>,
    },
    /// A group has an id that can be no parameter of this arena. (One that was removed is fine: the group then has one less.)
    #[non_exhaustive]
    Group {
        /// The group's label.
        group: Box<str>,
        /// What the arena says about the id.
        source: ArenaError,
    },
    /// State of another optimizer, or of this one with other settings.
    #[non_exhaustive]
    State {
        /// The optimizer.
        optimizer: &'static str,
        /// The tensors per parameter that it needs with its settings.
        expected: Box<[&'static str]>,
        /// The tensors that the state has.
        found: Box<[Box<str>]>,
    },
    /// The norm of the gradients is infinite or NaN.
    #[non_exhaustive]
    NonFiniteNorm {
        /// The norm.
        norm: f64,
        /// The first parameter whose gradient is not finite; `None` where all are and only their norm is too large.
        id: Option<ParamId>,
    },
    /// The arena has refused.
    #[non_exhaustive]
    Arena {
        /// Why.
        source: ArenaError,
    },
    /// For optimizers outside of this crate; see [`OptimError::other`].
    #[non_exhaustive]
    Other {
        /// What was wrong and what would be right.
        message: Box<str>,
    },
}

impl OptimError {
    /// An error of an optimizer of your own.
    ///
    /// ```
    /// use tiegrad_optim::OptimError;
    ///
    /// let error = OptimError::other("Lion: beta1 is 2; it has to be less than 1");
    /// assert_eq!(error.to_string(), "Lion: beta1 is 2; it has to be less than 1");
    /// ```
    pub fn other(message: impl Into<Box<str>>) -> Self {
        Self::Other {
            message: message.into(),
        }
    }
}

impl fmt::Display for OptimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting {
                optimizer,
                group,
                setting,
                value,
                expected,
            } => {
                write!(f, "{optimizer}: {setting}")?;
                if let Some(group) = group {
                    write!(f, " of the parameter group \"{group}\"")?;
                }
                write!(f, " is {value}; it has to be {expected}")
            }
            Self::UnknownSetting {
                optimizer,
                group,
                setting,
                known,
            } => {
                write!(
                    f,
                    "{optimizer}: the parameter group \"{group}\" sets {setting}, which {optimizer} does not have; a group can \
                     set {}",
                    Listed(known)
                )
            }
            Self::InTwoGroups {
                id,
                first,
                first_path,
                second,
                second_path,
            } => {
                let (first, second) = (Member(first, first_path), Member(second, second_path));
                write!(
                    f,
                    "the parameter {id} is in two parameter groups: {first} and {second}; it has one state and one update, so \
                     it can be in one group only (tied uses share the id)"
                )
            }
            Self::Group { group, source } => write!(f, "the parameter group \"{group}\": {source}"),
            Self::State {
                optimizer,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{optimizer} with these settings keeps {} for each parameter, and the state that was given has {}",
                    Listed(expected),
                    Listed(found)
                )
            }
            Self::NonFiniteNorm { norm, id } => {
                write!(
                    f,
                    "the norm of the gradients is {norm}, so they cannot be clipped; "
                )?;
                match id {
                    Some(id) => write!(
                        f,
                        "the first gradient that is not finite is that of the parameter {id}"
                    ),
                    None => f.write_str("each gradient is finite, but their norm is too large"),
                }
            }
            Self::Arena { source } => source.fmt(f),
            Self::Other { message } => f.write_str(message),
        }
    }
}

/// `"label" (as encoder.weight)`: a group, and the path by which a parameter came into it.
struct Member<'a>(&'a str, &'a Option<Box<str>>);

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)?;
        match self.1 {
            Some(path) => write!(f, " (as {path})"),
            None => Ok(()),
        }
    }
}

/// `a, b, c`, or `nothing`.
struct Listed<'a, S>(&'a [S]);

impl<S: AsRef<str>> fmt::Display for Listed<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, name) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}", name.as_ref())?;
        }
        Ok(())
    }
}

impl std::error::Error for OptimError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arena { source } | Self::Group { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<ArenaError> for OptimError {
    fn from(source: ArenaError) -> Self {
        Self::Arena { source }
    }
}
