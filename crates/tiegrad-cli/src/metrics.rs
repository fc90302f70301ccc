//! The metrics of a run: one JSON object a line, appended while it trains.
//!
//! The checkpoint says how far a run has come. What the file holds beyond that, from steps that a kill has undone, is
//! cut off when the run goes on, and so is a last line that is not complete. So the file after any number of stops equals that of a
//! run without stops, but for the fields in [`TIME_FIELDS`].

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::run_dir::replace_file;

/// The fields that depend on the clock.
#[cfg_attr(
    not(test),
    allow(
        dead_code,
        reason = "what readers of the file may rely on, held by a test"
    )
)]
pub(crate) const TIME_FIELDS: [&str; 2] = ["elapsed_s", "tokens_per_s"];

/// A line of the metrics. `iter` is the number of steps done when it was written; losses are in nats per character.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Row {
    /// One training step.
    Step {
        /// Steps done, this one included.
        iter: u64,
        /// The loss on its batch, before the step.
        loss: f64,
        /// Its learning rate.
        lr: f64,
        /// The norm of its gradient, before clipping.
        grad_norm: f64,
        /// Training speed since the program was started.
        tokens_per_s: f64,
        /// Seconds spent on the run, earlier sessions included.
        elapsed_s: f64,
    },
    /// An evaluation on random batches.
    Eval {
        /// Steps done.
        iter: u64,
        /// Mean loss on batches of the training part.
        train_loss: f64,
        /// Mean loss on batches of the validation part.
        val_loss: f64,
        /// The learning rate of the next step.
        lr: f64,
        /// Training speed since the program was started.
        tokens_per_s: f64,
        /// Seconds spent on the run, earlier sessions included.
        elapsed_s: f64,
    },
    /// The end of the run.
    Final {
        /// Steps done.
        iter: u64,
        /// Loss on the whole validation part.
        val_loss: f64,
        /// Characters of the validation part that were predicted.
        val_tokens: u64,
        /// Entropy of single characters of the training part.
        unigram_entropy: f64,
        /// Entropy of its characters given the one before.
        bigram_entropy: f64,
        /// Seconds spent on the run, earlier sessions included.
        elapsed_s: f64,
    },
}

impl Row {
    /// Steps done when the line was written.
    pub(crate) fn iter(&self) -> u64 {
        match self {
            Row::Step { iter, .. } | Row::Eval { iter, .. } | Row::Final { iter, .. } => *iter,
        }
    }

    /// Seconds spent on the run when the line was written.
    pub(crate) fn elapsed_s(&self) -> f64 {
        match self {
            Row::Step { elapsed_s, .. }
            | Row::Eval { elapsed_s, .. }
            | Row::Final { elapsed_s, .. } => *elapsed_s,
        }
    }
}

/// The metrics file of a run, open for appending, and all its lines.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    rows: Vec<Row>,
}

impl Log {
    /// Opens the metrics, made if need be, and drops from them what `keep` refuses and what is not a complete line. What
    /// follows a line that cannot be read goes with it.
    pub(crate) fn open(path: &Path, keep: impl Fn(&Row) -> bool) -> Result<Log> {
        let old = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io(path, "read the metrics", &e)),
        };
        let mut rows = Vec::new();
        let mut kept = Vec::with_capacity(old.len());
        for line in old.split_inclusive(|&byte| byte == b'\n') {
            let Ok(row) = serde_json::from_slice::<Row>(line) else {
                break;
            };
            if line.ends_with(b"\n") && keep(&row) {
                kept.extend_from_slice(line);
                rows.push(row);
            }
        }
        if kept != old {
            replace_file(path, |out| out.write_all(&kept))?;
        }
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|e| Error::io(path, "write the metrics", &e))?;
        Ok(Log {
            path: path.into(),
            file,
            rows,
        })
    }

    /// All lines.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Appends a line, with one write.
    pub(crate) fn append(&mut self, row: Row) -> Result<()> {
        let mut line = serde_json::to_vec(&row)
            .map_err(|e| Error::failed(format!("cannot write metrics ({e})")))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(|e| Error::io(&self.path, "write the metrics", &e))?;
        self.rows.push(row);
        Ok(())
    }

    /// Waits until all lines are on the disk: before a checkpoint that counts on them.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file
            .sync_data()
            .map_err(|e| Error::io(&self.path, "write the metrics", &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(iter: u64) -> Row {
        Row::Step {
            iter,
            loss: 0.1 + 0.2,
            lr: 1e-3,
            grad_norm: 1.5,
            tokens_per_s: 10.0,
            elapsed_s: 0.25,
        }
    }

    fn eval(iter: u64) -> Row {
        Row::Eval {
            iter,
            train_loss: 2.0,
            val_loss: 2.5,
            lr: 1e-3,
            tokens_per_s: 10.0,
            elapsed_s: 0.5,
        }
    }

    #[test]
    fn what_is_appended_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let mut log = Log::open(&path, |_| true).unwrap();
        let end = Row::Final {
            iter: 2,
            val_loss: 2.0,
            val_tokens: 9,
            unigram_entropy: 3.0,
            bigram_entropy: 2.0,
            elapsed_s: 1.0,
        };
        for row in [step(1), eval(2), end] {
            log.append(row).unwrap();
        }
        log.sync().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("{\"event\":\"step\",\"iter\":1,\"loss\":0.30000000000000004,"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
        assert_eq!(Log::open(&path, |_| true).unwrap().rows(), log.rows());
        assert_eq!(
            log.rows().iter().map(Row::iter).collect::<Vec<_>>(),
            [1, 2, 2]
        );
        assert_eq!(log.rows().last().unwrap().elapsed_s(), 1.0);
    }

    #[test]
    fn a_resume_at_any_byte_gives_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let rows = [
            eval(0),
            step(1),
            step(2),
            eval(2),
            step(3),
            step(4),
            eval(4),
        ];
        let mut log = Log::open(&path, |_| true).unwrap();
        let mut ends = vec![0];
        for row in &rows {
            log.append(row.clone()).unwrap();
            ends.push(fs::metadata(&path).unwrap().len() as usize);
        }
        let whole = fs::read(&path).unwrap();
        // the checkpoint of step 2 was written after the fourth line, so the file was cut anywhere behind that
        for cut in ends[4]..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let mut log = Log::open(&path, |row| row.iter() <= 2).unwrap();
            assert_eq!(log.rows(), &rows[..4]);
            for row in &rows[4..] {
                log.append(row.clone()).unwrap();
            }
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn nothing_behind_an_unreadable_line_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        let line = serde_json::to_string(&step(1)).unwrap();
        fs::write(&path, format!("{line}\n\0\0\0\n{line}\n")).unwrap();
        assert_eq!(Log::open(&path, |_| true).unwrap().rows(), [step(1)]);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{line}\n"));
    }

    #[test]
    fn only_the_named_fields_hold_times() {
        let value = serde_json::to_value(eval(3)).unwrap();
        let names: Vec<&str> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            names,
            [
                "elapsed_s",
                "event",
                "iter",
                "lr",
                "tokens_per_s",
                "train_loss",
                "val_loss"
            ]
        );
        assert!(TIME_FIELDS.iter().all(|field| names.contains(field)));
    }
}
