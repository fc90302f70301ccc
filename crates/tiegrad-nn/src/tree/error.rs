//! [`NameError`]: a name that leads nowhere.

use std::fmt;

use tiegrad_arena::ArenaError;

/// A path, pattern or child name that the tree cannot take.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
/// assert_eq!(
///     net.find("2.wieght").unwrap_err().to_string(),
///     r#"there is no parameter "2.wieght"; near it: "2.weight", "0.weight""#
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing has this path.
    NotFound {
        /// The path asked for.
        path: String,
        /// What was asked for: `"parameter"` or `"module"`.
        what: &'static str,
        /// Paths much like it.
        near: Vec<String>,
    },
    /// A parameter was asked for, and the path is that of a module.
    IsModule {
        /// The path asked for.
        path: String,
        /// The module's type.
        kind: String,
        /// The parameters under it.
        parameters: Vec<String>,
    },
    /// A module was asked for, and the path is that of a parameter.
    IsParameter {
        /// The path asked for.
        path: String,
    },
    /// A part of a [`Select`](crate::Select) that selects no parameter, or all of it where each part selects some and none are left.
    #[non_exhaustive]
    NothingSelected {
        /// What was to be selected; with a `!` before it, excluded.
        pattern: String,
        /// Paths, or types, much like it.
        near: Vec<String>,
    },
    /// A text that is to be a regular expression and is none.
    #[non_exhaustive]
    BadRegex {
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        message: String,
    },
    /// A parameter that the arena does not have, or has no room for a copy of.
    #[non_exhaustive]
    Arena {
        /// The path by which it was asked for.
        path: String,
        /// What the arena says.
        source: ArenaError,
    },
    /// A tie was to be undone, and the parameter has no other path.
    #[non_exhaustive]
    OnlyUse {
        /// The path.
        path: String,
    },
    /// A child name that another child has.
    Taken {
        /// The name.
        name: String,
    },
    /// A child name that is a number other than the child's position.
    NotThePosition {
        /// The name.
        name: String,
        /// The child's position.
        position: usize,
    },
    /// An empty child name.
    Empty,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path, what, near } => {
                write!(f, "there is no {what} {path:?}")?;
                list(f, "; near it", near)
            }
            Self::IsModule {
                path,
                kind,
                parameters,
            } => {
                write!(f, "{path:?} is a module ({kind}), not a parameter")?;
                list(f, "; under it", parameters)
            }
            Self::IsParameter { path } => write!(f, "{path:?} is a parameter, not a module"),
            Self::NothingSelected { pattern, near } => {
                match pattern.strip_prefix('!') {
                    None => write!(f, "{pattern:?} selects no parameter")?,
                    Some(_) => write!(f, "{pattern:?} excludes no parameter")?,
                }
                list(f, "; near it", near)
            }
            Self::BadRegex { pattern, message } => {
                write!(f, "{pattern:?} is no regular expression: {message}")
            }
            Self::Arena { path, source } => write!(f, "{path:?}: {source}"),
            Self::OnlyUse { path } => {
                write!(
                    f,
                    "{path:?} is the only use of its parameter: there is no tie to undo"
                )
            }
            Self::Taken { name } => write!(f, "another child has the name {name:?}"),
            Self::NotThePosition { name, position } => {
                write!(
                    f,
                    "a name of digits alone is the child's position: {name:?} cannot name the child at {position}"
                )
            }
            Self::Empty => f.write_str("a child's name may not be empty"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, lead: &str, paths: &[String]) -> fmt::Result {
    const SHOWN: usize = 8;
    for (i, path) in paths.iter().take(SHOWN).enumerate() {
        write!(
            f,
            "{}{path:?}",
            if i == 0 {
                format!("{lead}: ")
            } else {
                ", ".to_owned()
            }
        )?;
    }
    if paths.len() > SHOWN {
        write!(f, " and {} more", paths.len() - SHOWN)?;
    }
    Ok(())
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arena { source, .. } => Some(source),
            _ => None,
        }
    }
}
