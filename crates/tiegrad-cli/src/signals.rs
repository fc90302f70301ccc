//! Ctrl-C and SIGTERM: the first asks the training to write a checkpoint and leave, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// What the signals have asked for so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    received: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes over Ctrl-C and SIGTERM for the rest of the process.
    pub(crate) fn install() -> Result<Signals> {
        let signals = Signals::default();
        let second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the handler that leaves must see what the one that notes set the time before.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&second))
                .and_then(|_| flag::register(signal, Arc::clone(&second)))
                .and_then(|_| {
                    flag::register_usize(signal, Arc::clone(&signals.received), signal as usize)
                })
                .map_err(|e| Error::failed(format!("cannot watch for Ctrl-C ({e})")))?;
        }
        Ok(signals)
    }

    /// The error to leave with, once a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        match self.received.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(Error::Interrupted {
                signal: i32::try_from(signal).unwrap_or(SIGINT),
            }),
        }
    }

    /// Acts as if Ctrl-C had been pressed.
    #[cfg(test)]
    pub(crate) fn raise(&self) {
        self.received.store(SIGINT as usize, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_signal() {
        let signals = Signals::default();
        assert!(signals.check().is_ok());
        signals.raise();
        assert_eq!(signals.clone().check().unwrap_err().exit_code(), 130);
    }
}
