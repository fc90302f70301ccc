//! Results to stdout. A reader that goes away, as in `tiegrad sample | head`, is no error.

use std::io::{self, Write};

use crate::error::{Error, Result, reason};

/// Where results go.
pub(crate) struct Output {
    sink: Box<dyn Write>,
    closed: bool,
}

impl Output {
    /// The process's stdout.
    pub(crate) fn stdout() -> Output {
        Output {
            sink: Box::new(io::stdout()),
            closed: false,
        }
    }

    /// Any other place.
    #[cfg(test)]
    pub(crate) fn to(sink: impl Write + 'static) -> Output {
        Output {
            sink: Box::new(sink),
            closed: false,
        }
    }

    /// Whether the reader has gone away: nothing that is printed reaches anyone.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Prints `text` as it is and passes it on at once.
    pub(crate) fn print(&mut self, text: &str) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        match self
            .sink
            .write_all(text.as_bytes())
            .and_then(|()| self.sink.flush())
        {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => {
                other.map_err(|e| Error::failed(format!("cannot write to stdout ({})", reason(&e))))
            }
        }
    }

    /// Prints `text` and a line break.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.print(&format!("{text}\n"))
    }
}

/// Prints one line to stderr. Nobody can be told if that fails.
pub(crate) fn note(text: &str) {
    #[cfg(test)]
    eprintln!("{text}"); // shown by the test harness when a test fails
    #[cfg(not(test))]
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(io::ErrorKind);
    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_other_failures_are_not() {
        let mut output = Output::to(Failing(io::ErrorKind::BrokenPipe));
        assert!(output.line("x").is_ok());
        assert!(output.is_closed());
        let mut output = Output::to(Failing(io::ErrorKind::StorageFull));
        assert!(output.line("x").is_err());
    }
}
