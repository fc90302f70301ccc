//! Files that are replaced whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// Replaces the file at `path` with what `write` writes, so that whenever a crash comes, the old file or the new one is
/// there whole: a new file in the same directory is written, brought to the disk (fsync) and renamed to `path`, then the
/// directory is brought to the disk too. On any error the old file stays and the new one is removed.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let failed = |action| {
        move |source| Error::Io {
            path: path.into(),
            action,
            source,
        }
    };
    let name = path.file_name().ok_or_else(|| {
        failed("saving to")(io::Error::new(
            ErrorKind::InvalidInput,
            "the path names no file",
        ))
    })?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    sweep(directory, name);
    let mut temp = Temp::create(directory, name).map_err(failed("creating a file beside"))?;
    write(&mut temp.file).map_err(failed("writing"))?;
    temp.file.sync_all().map_err(failed("writing"))?;
    fs::rename(&temp.path, path).map_err(failed("replacing"))?;
    temp.renamed = true;
    sync_directory(directory).map_err(failed("bringing to the disk the name of"))
}

/// A file being written, removed when it is dropped before it has its final name.
///
/// It is locked for as long as it is being written, so that what a killed process has left can be told from what another
/// one is writing.
struct Temp {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl Temp {
    fn create(directory: &Path, name: &OsStr) -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let mut temp = start(name);
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            temp.push(format!("{}-{count}{END}", process::id()));
            let path = directory.join(temp);
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                // Of another machine on a shared disk, or of an earlier process of this number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            // Locked by another: a sweep that found it between its creation and its locking, and is about to remove it.
            if let Err(TryLockError::WouldBlock) = file.try_lock() {
                continue;
            }
            // Where files cannot be locked at all, nothing is swept either. Swept already? Now that it is locked, it will not be.
            if path.exists() {
                return Ok(Self {
                    file,
                    path,
                    renamed: false,
                });
            }
        }
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

const END: &str = ".tmp";

fn start(name: &OsStr) -> OsString {
    let mut start = OsString::from(".");
    start.push(name);
    start.push(".");
    start
}

/// Removes what killed processes have left of earlier attempts to write this file. What cannot be removed stays.
fn sweep(directory: &Path, name: &OsStr) {
    let start = start(name);
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if !is_temp(&entry.file_name(), &start) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = OpenOptions::new().write(true).open(&path)
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_temp(name: &OsStr, start: &OsStr) -> bool {
    let (name, start) = (name.as_encoded_bytes(), start.as_encoded_bytes());
    let number = name
        .strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(END.as_bytes()));
    number.is_some_and(|n| n.iter().all(|c| c.is_ascii_digit() || *c == b'-'))
}

/// A rename is on the disk when the directory is. Windows has no such call; its file systems keep renames in a journal.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn listing(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        for written in [0, 2, 100_000] {
            let error = replace(&path, |file| {
                file.write_all(&vec![1; written])?;
                Err(io::Error::new(ErrorKind::StorageFull, "full"))
            });
            let error = error.unwrap_err();
            assert!(
                matches!(&error, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
            );
            assert!(
                error.to_string().starts_with("writing ")
                    && error.to_string().ends_with("model: full")
            );
            assert_eq!(fs::read(&path).unwrap(), b"old");
            assert_eq!(listing(directory.path()), ["model"]);
        }
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_panic_while_writing_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        replace(&path, |file| file.write_all(b"old")).unwrap();
        let panicked = std::panic::catch_unwind(|| replace(&path, |_| panic!("in a test")));
        assert!(panicked.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(listing(directory.path()), ["model"]);
    }

    #[test]
    fn a_rename_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        fs::create_dir_all(path.join("child")).unwrap();
        let error = replace(&path, |file| file.write_all(b"new")).unwrap_err();
        assert!(error.to_string().starts_with("replacing "));
        assert_eq!(listing(directory.path()), ["model"]);
    }

    #[test]
    fn what_killed_writers_left_is_swept_and_what_others_write_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        let left = directory.path().join(".model.99-7.tmp");
        fs::write(&left, "left by a killed process").unwrap();
        let unrelated = [".model.best.tmp", ".model2.1-1.tmp"];
        for name in unrelated {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let writing = Temp::create(directory.path(), OsStr::new("model")).unwrap();
        replace(&path, |file| file.write_all(b"new")).unwrap();
        assert!(!left.exists() && writing.path.exists());
        let kept = writing.path.file_name().unwrap().to_owned();
        let mut expected = vec![OsString::from("model"), kept];
        expected.extend(unrelated.map(OsString::from));
        expected.sort();
        assert_eq!(listing(directory.path()), expected);
    }

    #[test]
    fn threads_that_save_to_one_path_do_not_meet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        std::thread::scope(|scope| {
            for byte in 1..=4u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..10 {
                        replace(path, |file| file.write_all(&[byte; 5000])).unwrap();
                        let found = fs::read(path).unwrap();
                        assert!(found.len() == 5000 && found.iter().all(|b| *b == found[0]));
                    }
                });
            }
        });
        assert_eq!(listing(directory.path()), ["model"]);
    }

    #[test]
    fn paths_without_a_file_name_are_errors() {
        for path in ["/", "..", ""] {
            assert!(
                matches!(replace(Path::new(path), |_| Ok(())), Err(Error::Io { .. })),
                "{path:?}"
            );
        }
    }
}
