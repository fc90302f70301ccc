//! Run folders: made so that a folder under its final name always holds a checkpoint, and files in them replaced
//! so that a crash at any moment leaves the old one or the new one.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Error, Result};

/// The checkpoint in a run folder; what has none is not a run folder.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";
/// The metrics in a run folder.
pub(crate) const METRICS: &str = "metrics.jsonl";
/// The loss curve in a run folder.
pub(crate) const PLOT: &str = "loss.svg";
/// Locked by the process that writes the run.
const LOCK: &str = ".lock";
/// A start does not take as long as this: what is older and not locked is dead.
const START_TAKES: Duration = Duration::from_secs(60);

/// A run folder, locked against other writers as long as this lives if it was opened for writing.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    _lock: Option<File>,
}

impl RunDir {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// An existing run, to read from; another process may be writing it.
    pub(crate) fn open(path: &Path) -> Result<RunDir> {
        let wrong = |why: &str| Err(Error::failed(format!("{}: {why}", path.display())));
        match fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return wrong("there is no such run folder");
            }
            Err(e) => return Err(Error::io(path, "open the run folder", &e)),
            Ok(meta) if !meta.is_dir() => return wrong("not a run folder (it is a file)"),
            Ok(_) => {}
        }
        if !path.join(CHECKPOINT).is_file() {
            return wrong(&format!("not a run folder (it has no {CHECKPOINT})"));
        }
        Ok(RunDir {
            path: path.into(),
            _lock: None,
        })
    }

    /// An existing run, to go on with. Only one process at a time can do that.
    pub(crate) fn open_for_writing(path: &Path) -> Result<RunDir> {
        Ok(RunDir {
            _lock: lock(path)?,
            ..RunDir::open(path)?
        })
    }
}

/// Where a new run goes.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// `PARENT/NAME-N` with a number above all that are taken.
    Numbered {
        /// The folder of runs, made if need be.
        parent: PathBuf,
        /// What the run is called.
        name: String,
    },
    /// This folder, which must be new or empty.
    Named(PathBuf),
}

impl Place {
    /// Whether a run can be made here, without making anything.
    pub(crate) fn check(&self) -> Result<()> {
        let Place::Named(path) = self else {
            return Ok(());
        };
        let taken = |why: &str| Err(Error::failed(format!("{}: {why}", path.display())));
        match fs::read_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                taken("cannot make a run folder (a file is there)")
            }
            Err(e) => Err(Error::io(path, "make a run folder", &e)),
            Ok(_) if path.join(CHECKPOINT).exists() => taken(
                "there is a run already (go on with it by --resume, or choose another folder)",
            ),
            Ok(entries) => match entries.flatten().all(|entry| is_hidden(&entry.file_name())) {
                true => Ok(()),
                false => taken("cannot make a run folder (there is a folder that is not empty)"),
            },
        }
    }

    /// Makes a run folder. `fill` writes the first checkpoint into the folder it is given; only then the folder gets its
    /// name, in one step, so that whoever sees it sees a complete run.
    pub(crate) fn create(&self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<RunDir> {
        self.check()?;
        if let Place::Named(path) = self
            && path.is_dir()
        {
            let lock = lock(path)?;
            fill(path)?;
            return Ok(RunDir {
                path: path.clone(),
                _lock: lock,
            });
        }
        let (parent, name) = self.split()?;
        fs::create_dir_all(&parent).map_err(|e| Error::io(&parent, "make the folder", &e))?;
        let staging = Staging::new(&parent, &name)?;
        fill(&staging.path)?;
        self.rename(&parent, &name, staging)
    }

    /// The folder that the run's folder is in, made of nothing but the path, and the start of the run's name.
    fn split(&self) -> Result<(PathBuf, OsString)> {
        match self {
            Place::Numbered { parent, name } => Ok((parent.clone(), name.into())),
            Place::Named(path) => {
                let name = path.file_name().ok_or_else(|| {
                    Error::failed(format!(
                        "{}: cannot make a run folder of this name",
                        path.display()
                    ))
                })?;
                let parent = path
                    .parent()
                    .filter(|p| !p.as_os_str().is_empty())
                    .unwrap_or(Path::new("."));
                Ok((parent.into(), name.into()))
            }
        }
    }

    fn rename(&self, parent: &Path, name: &OsString, mut staging: Staging) -> Result<RunDir> {
        if cfg!(windows) {
            staging.lock = None; // a folder with an open file in it cannot be renamed there
        }
        let mut number = highest_number(parent, name) + 1;
        loop {
            let path = match self {
                Place::Named(path) => path.clone(),
                Place::Numbered { name, .. } => parent.join(format!("{name}-{number}")),
            };
            match fs::rename(&staging.path, &path) {
                Ok(()) => {
                    staging.named = true;
                    sync_dir(parent);
                    let lock = match staging.lock.take() {
                        Some(file) => Some(file),
                        None => lock(&path)?,
                    };
                    return Ok(RunDir { path, _lock: lock });
                }
                // another process was faster
                Err(_) if path.exists() && matches!(self, Place::Numbered { .. }) => number += 1,
                Err(e) => return Err(Error::io(&path, "make the run folder", &e)),
            }
        }
    }
}

/// A folder under a hidden name in which a run comes into being; gone again if it does not.
struct Staging {
    path: PathBuf,
    lock: Option<File>,
    /// Whether the folder has got its name, so that what is at `path` now, if anything, is somebody else's.
    named: bool,
}

impl Staging {
    fn new(parent: &Path, name: &OsString) -> Result<Staging> {
        let mut prefix = OsString::from(".");
        prefix.push(name);
        prefix.push(".new-");
        sweep(parent, &prefix, START_TAKES);
        for attempt in 0..1000 {
            let mut folder = prefix.clone();
            folder.push(format!("{}-{attempt}", std::process::id()));
            let path = parent.join(folder);
            match fs::create_dir(&path) {
                Ok(()) => {
                    return Ok(Staging {
                        lock: lock(&path)?,
                        path,
                        named: false,
                    });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(parent, "make a run folder in it", &e)),
            }
        }
        Err(Error::failed(format!(
            "{}: cannot make a run folder in it",
            parent.display()
        )))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.named {
            self.lock = None;
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Removes what processes that were killed in [`Place::create`] left behind: who lives holds the lock or is young.
fn sweep(parent: &Path, prefix: &OsString, age: Duration) {
    let old = |entry: &fs::DirEntry| {
        let made = entry.metadata().and_then(|meta| meta.modified()).ok();
        made.and_then(|made| SystemTime::now().duration_since(made).ok())
            .is_some_and(|passed| passed >= age)
    };
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes());
        if is_ours
            && old(&entry)
            && let Ok(file) = File::options().write(true).open(entry.path().join(LOCK))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The largest N for which there is something called `NAME-N`.
fn highest_number(parent: &Path, name: &OsString) -> u64 {
    let number = |entry: fs::DirEntry| -> Option<u64> {
        entry
            .file_name()
            .to_str()?
            .strip_prefix(name.to_str()?)?
            .strip_prefix('-')?
            .parse()
            .ok()
    };
    fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(number)
        .max()
        .unwrap_or(0)
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Locks a run folder. The system drops the lock when the process ends, however it ends. A file system without locks
/// gives none, and no error.
fn lock(path: &Path) -> Result<Option<File>> {
    if !path.is_dir() {
        return Ok(None); // what is wrong with it is said by the caller
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK));
    let file = file.map_err(|e| Error::io(path, "write to the run folder", &e))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::failed(format!(
            "{}: another process is writing this run",
            path.display()
        ))),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Replaces a file: a crash at any moment leaves the old content or the new, never a mixture.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<()> {
    let mut temporary = OsString::from(".");
    temporary.push(path.file_name().unwrap_or_default());
    temporary.push(".tmp");
    let temporary = path.with_file_name(temporary);
    let attempt = || {
        let mut out = BufWriter::new(File::create(&temporary)?);
        write(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&temporary, path)
    };
    attempt().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::io(path, "write it", &e)
    })?;
    sync_dir(path.parent().unwrap_or(Path::new(".")));
    Ok(())
}

/// Makes a rename durable where the system has a way to ask for it.
fn sync_dir(path: &Path) {
    if cfg!(unix) {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let _ = File::open(path).and_then(|dir| dir.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(path: &Path) -> Result<()> {
        replace_file(&path.join(CHECKPOINT), |out| out.write_all(b"x"))
    }

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn numbers_go_up() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("deep/runs");
        let place = Place::Numbered {
            parent: parent.clone(),
            name: "a-b".into(),
        };
        for expected in ["a-b-1", "a-b-2"] {
            let run = place.create(fill).unwrap();
            assert_eq!(run.path(), parent.join(expected));
            assert!(RunDir::open(run.path()).is_ok());
        }
        fs::create_dir(parent.join("a-b-10")).unwrap();
        fs::write(parent.join("a-b-x"), "").unwrap();
        assert_eq!(place.create(fill).unwrap().path(), parent.join("a-b-11"));
    }

    #[test]
    fn eight_at_once_make_eight_folders() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::Numbered {
            parent: dir.path().into(),
            name: "n".into(),
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| place.create(fill).unwrap());
            }
        });
        assert_eq!(
            names(dir.path()),
            (1..=8).map(|n| format!("n-{n}")).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_failed_start_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for place in [
            Place::Numbered {
                parent: dir.path().into(),
                name: "n".into(),
            },
            Place::Named(dir.path().join("named")),
        ] {
            assert!(place.create(|_| Err(Error::failed("no"))).is_err());
            assert_eq!(names(dir.path()), Vec::<String>::new());
        }
    }

    #[test]
    fn leftovers_of_killed_starts_are_swept_and_live_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".n.new-1-0", ".n.new-2-0", "n-1"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join(LOCK), "").unwrap();
        }
        let _live = lock(&dir.path().join(".n.new-2-0")).unwrap().unwrap();
        sweep(dir.path(), &".n.new-".into(), START_TAKES);
        assert_eq!(names(dir.path()).len(), 3);
        sweep(dir.path(), &".n.new-".into(), Duration::ZERO);
        assert_eq!(names(dir.path()), [".n.new-2-0", "n-1"]);
    }

    #[test]
    fn a_named_folder_is_new_or_empty() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| Place::Named(dir.path().join(name));
        let refusal = |place: Place| place.create(fill).unwrap_err().to_string();
        assert_eq!(
            at("new").create(fill).unwrap().path(),
            dir.path().join("new")
        );
        assert!(refusal(at("new")).contains("there is a run already"));
        fs::create_dir(dir.path().join("empty")).unwrap();
        at("empty").create(fill).unwrap();
        fs::create_dir(dir.path().join("full")).unwrap();
        fs::write(dir.path().join("full/notes"), "").unwrap();
        assert!(refusal(at("full")).contains("not empty"));
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(refusal(at("file")).contains("a file is there"));
        assert!(refusal(at("no/..")).contains("of this name"));
        assert_eq!(names(dir.path()), ["empty", "file", "full", "new"]);
    }

    #[test]
    fn what_is_no_run_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| RunDir::open_for_writing(path).unwrap_err().to_string();
        assert!(refusal(&dir.path().join("no")).ends_with("there is no such run folder"));
        assert!(
            refusal(dir.path()).ends_with("not a run folder (it has no checkpoint.safetensors)")
        );
        fs::write(dir.path().join("f"), "").unwrap();
        assert!(refusal(&dir.path().join("f")).ends_with("not a run folder (it is a file)"));
    }

    #[test]
    fn one_writer_and_any_readers() {
        let dir = tempfile::tempdir().unwrap();
        let run = Place::Named(dir.path().join("r")).create(fill).unwrap();
        let path = run.path().to_owned();
        assert!(
            RunDir::open_for_writing(&path)
                .unwrap_err()
                .to_string()
                .ends_with("another process is writing this run")
        );
        assert!(RunDir::open(&path).is_ok());
        drop(run);
        assert!(RunDir::open_for_writing(&path).is_ok());
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace_file(&path, |out| out.write_all(b"old")).unwrap();
        let result = replace_file(&path, |out| {
            out.write_all(b"new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(result.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["f"]);
    }
}
