//! What can go wrong, each as one line that a user can act on.

use std::fmt;
use std::io;
use std::path::Path;

/// The result of everything in this program that can fail.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why the program ends early.
#[derive(Debug)]
pub(crate) enum Error {
    /// The command line asks for something impossible. Exit code 2.
    Usage(String),
    /// The command was understood and failed. Exit code 1.
    Failed(String),
    /// A signal asked the program to leave and everything worth keeping was kept. The exit code is
    /// the shell's 128 + signal number.
    Interrupted {
        /// The number of the signal.
        signal: i32,
    },
}

impl Error {
    /// An impossible command line.
    pub(crate) fn usage(message: impl Into<String>) -> Error {
        Error::Usage(message.into())
    }

    /// A failure while doing what was asked.
    pub(crate) fn failed(message: impl Into<String>) -> Error {
        Error::Failed(message.into())
    }

    /// A failed access to a file or folder: `PATH: cannot ACTION (why)`.
    pub(crate) fn io(path: &Path, action: &str, source: &io::Error) -> Error {
        Error::Failed(format!(
            "{}: cannot {action} ({})",
            path.display(),
            reason(source)
        ))
    }

    /// The same failure, said of a file or folder.
    pub(crate) fn of(self, path: &Path) -> Error {
        match self {
            Error::Failed(message) => Error::Failed(format!("{}: {message}", path.display())),
            other => other,
        }
    }

    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) => 1,
            Error::Interrupted { signal } => u8::try_from(128 + signal).unwrap_or(1),
        }
    }

    /// The line for stderr; nothing for an interruption, which has said its piece already.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Error::Interrupted { .. } => None,
            Error::Usage(_) | Error::Failed(_) => Some(format!(
                "error: {}",
                without_numbers(&one_line(&self.to_string()))
            )),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(message) | Error::Failed(message) => f.write_str(message),
            Error::Interrupted { signal } => write!(f, "stopped by signal {signal}"),
        }
    }
}

impl std::error::Error for Error {}

/// The first paragraph of clap's message on one line, since the rest is the usage that `--help` shows.
pub(crate) fn usage_from_clap(error: &clap::Error) -> Error {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    Error::Usage(format!("{} (see --help)", one_line(first)))
}

/// The system's words without Rust's `(os error 2)`.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(_) => without_numbers(&text).to_lowercase(),
        None => text,
    }
}

/// A message without its `(os error 2)`, if it has one.
fn without_numbers(message: &str) -> String {
    match message.split_once(" (os error ") {
        Some((before, after)) => {
            let after = after.split_once(')').map_or("", |(_, after)| after);
            format!("{before}{after}")
        }
        None => message.into(),
    }
}

/// Line breaks and the blanks around them become one blank.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_lines() {
        assert_eq!(Error::usage("x").exit_code(), 2);
        assert_eq!(Error::failed("x").exit_code(), 1);
        assert_eq!(Error::Interrupted { signal: 2 }.exit_code(), 130);
        assert_eq!(Error::Interrupted { signal: 15 }.exit_code(), 143);
        assert_eq!(Error::Interrupted { signal: 2 }.line(), None);
        assert_eq!(
            Error::failed("a\n  b\n\nc").line().as_deref(),
            Some("error: a b c")
        );
        assert_eq!(
            Error::failed("reading f: gone (os error 2); bad")
                .line()
                .as_deref(),
            Some("error: reading f: gone; bad")
        );
    }

    #[test]
    fn io_errors_have_no_numbers() {
        let source = std::fs::read("/no/such/file").unwrap_err();
        let line = Error::io(Path::new("/no/such/file"), "read it", &source).to_string();
        assert!(
            line.starts_with("/no/such/file: cannot read it ("),
            "{line}"
        );
        assert!(!line.contains("os error"), "{line}");
    }
}
