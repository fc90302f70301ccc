//! Whole runs with the fake engine.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::args::{InspectArgs, SampleArgs, Settings, TrainArgs};
use crate::error::{Error, Result};
use crate::fake::{EVENT, Event, Fake};
use crate::metrics::{Row, TIME_FIELDS};
use crate::output::Output;
use crate::run_dir::{CHECKPOINT, METRICS, PLOT};
use crate::sample;
use crate::signals::Signals;
use crate::train;

/// A stdout to look at afterwards.
#[derive(Clone, Default)]
struct Screen(Rc<RefCell<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

fn args() -> TrainArgs {
    let settings = Settings {
        block_size: Some(8),
        batch_size: Some(4),
        max_iters: Some(24),
        eval_interval: Some(10),
        eval_iters: Some(3),
        log_interval: Some(3),
        warmup_iters: Some(4),
        ..Settings::default()
    };
    TrainArgs {
        settings,
        ..TrainArgs::default()
    }
}

fn train_with(args: TrainArgs, event: Event) -> (Result<()>, String) {
    let signals = match &event {
        Event::Interrupt { signals, .. } => signals.clone(),
        _ => Signals::default(),
    };
    EVENT.set(event);
    let screen = Screen::default();
    let result = train::train::<Fake>(&args, &signals, &mut Output::to(screen.clone()));
    EVENT.set(Event::Nothing);
    (result, screen.text())
}

fn start(out: &Path, event: Event) -> (Result<()>, String) {
    train_with(
        TrainArgs {
            out: Some(out.into()),
            ..args()
        },
        event,
    )
}

fn resume(run: &Path, event: Event) -> Result<()> {
    train_with(
        TrainArgs {
            resume: Some(run.into()),
            ..TrainArgs::default()
        },
        event,
    )
    .0
}

/// The metrics without what depends on the clock.
fn timeless(run: &Path) -> Vec<serde_json::Value> {
    let strip = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        TIME_FIELDS
            .iter()
            .for_each(|field| drop(value.as_object_mut().unwrap().remove(*field)));
        value
    };
    fs::read_to_string(run.join(METRICS))
        .unwrap()
        .lines()
        .map(strip)
        .collect()
}

#[track_caller]
fn assert_same(run: &Path, other: &Path, what: &str) {
    assert_eq!(timeless(run), timeless(other), "{what}");
    assert!(
        fs::read(run.join(CHECKPOINT)).unwrap() == fs::read(other.join(CHECKPOINT)).unwrap(),
        "{what}"
    );
}

fn rows(run: &Path) -> Vec<Row> {
    let text = fs::read_to_string(run.join(METRICS)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A folder with a complete run in it.
fn complete() -> (tempfile::TempDir, PathBuf, String) {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("whole");
    let (result, screen) = start(&run, Event::Nothing);
    result.unwrap();
    (dir, run, screen)
}

#[test]
fn a_run_learns_and_reports() {
    let (_dir, run, screen) = complete();
    let rows = rows(&run);
    let evaluations: Vec<(u64, f64)> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Eval { iter, val_loss, .. } => Some((*iter, *val_loss)),
            _ => None,
        })
        .collect();
    assert_eq!(
        evaluations.iter().map(|e| e.0).collect::<Vec<_>>(),
        [0, 10, 20, 24]
    );
    assert!(
        (evaluations[0].1 - 57_f64.ln()).abs() < 0.05,
        "{evaluations:?}"
    );
    let Some(Row::Final {
        iter: 24,
        val_loss,
        val_tokens: 4906,
        ..
    }) = rows.last()
    else {
        panic!("{rows:?}")
    };
    assert!(*val_loss < evaluations[0].1 - 0.3, "{val_loss}");
    let steps: Vec<u64> = rows
        .iter()
        .filter(|r| matches!(r, Row::Step { .. }))
        .map(Row::iter)
        .collect();
    assert_eq!(steps, [3, 6, 9, 12, 15, 18, 21, 24]);
    let shown =
        format!("validation loss  {val_loss:.4}  (on the whole validation part, 4,906 characters)");
    for part in [
        "Fake(57 x 57)",
        "44,161 train, 4,907 validate",
        &shown,
        "entropy  2.94",
        "entropy   2.37",
        "sample:\n",
    ] {
        assert!(screen.contains(part), "{part}\n{screen}");
    }
    assert!(screen.split("sample:\n").nth(1).unwrap().chars().count() > 500);
    assert!(
        fs::read_to_string(run.join(PLOT))
            .unwrap()
            .contains("whole")
    );
}

#[test]
fn stopped_anywhere_and_resumed_is_the_same_run() {
    let (dir, whole, _) = complete();
    for step in 0..24 {
        let run = dir.path().join(format!("stopped-{step}"));
        let stop = Event::Interrupt {
            step,
            signals: Signals::default(),
        };
        assert!(
            matches!(start(&run, stop).0, Err(Error::Interrupted { .. })),
            "{step}"
        );
        resume(&run, Event::Nothing).unwrap();
        assert_same(&run, &whole, &format!("stopped in step {step}"));
    }
}

#[test]
fn killed_anywhere_and_resumed_is_the_same_run() {
    let (dir, whole, _) = complete();
    for step in 0..24 {
        let run = dir.path().join(format!("killed-{step}"));
        assert!(start(&run, Event::Fail { step }).0.is_err());
        // a line that was being written; the picture lost; and killed again two steps later
        fs::File::options()
            .append(true)
            .open(run.join(METRICS))
            .unwrap()
            .write_all(b"{\"event\":\"st")
            .unwrap();
        fs::remove_file(run.join(PLOT)).unwrap();
        assert_eq!(
            resume(&run, Event::Fail { step: step + 2 }).is_err(),
            step + 2 < 24
        );
        resume(&run, Event::Nothing).unwrap();
        assert_same(&run, &whole, &format!("killed in step {step}"));
        assert!(run.join(PLOT).exists());
    }
}

#[test]
fn a_complete_run_stays_as_it_is_or_gets_longer() {
    let (dir, whole, _) = complete();
    let before = fs::read(whole.join(METRICS)).unwrap();
    resume(&whole, Event::Nothing).unwrap();
    assert!(fs::read(whole.join(METRICS)).unwrap() == before);

    let with = |max_iters, lr_decay_iters, resume: Option<&PathBuf>, out: Option<&PathBuf>| {
        let settings = match resume {
            Some(_) => Settings {
                max_iters: Some(max_iters),
                ..Settings::default()
            },
            None => Settings {
                max_iters: Some(max_iters),
                lr_decay_iters: Some(lr_decay_iters),
                ..args().settings
            },
        };
        train_with(
            TrainArgs {
                settings,
                resume: resume.cloned(),
                out: out.cloned(),
                ..args()
            },
            Event::Nothing,
        )
        .0
    };
    let (long, short) = (dir.path().join("long"), dir.path().join("short"));
    with(33, 33, None, Some(&long)).unwrap();
    with(17, 33, None, Some(&short)).unwrap();
    with(33, 33, Some(&short), None).unwrap();
    assert_same(&short, &long, "lengthened");
    let error = with(32, 0, Some(&short), None).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error
            .to_string()
            .contains("--max-iters 32 is less than the 33 steps"),
        "{error}"
    );
}

#[test]
fn divergence_keeps_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("r");
    let error = start(&run, Event::Diverge { step: 12 })
        .0
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("diverged (loss NaN") && error.contains("in step 13"),
        "{error}"
    );
    resume(&run, Event::Nothing).unwrap();
    let (_dir, whole, _) = complete();
    assert_same(&run, &whole, "diverged");
}

#[test]
fn a_run_goes_on_with_its_own_text_only() {
    let dir = tempfile::tempdir().unwrap();
    let (text, run) = (dir.path().join("t.txt"), dir.path().join("r"));
    fs::write(&text, "abcab".repeat(60)).unwrap();
    let fresh = TrainArgs {
        text: Some(text.clone()),
        out: Some(run.clone()),
        ..args()
    };
    assert!(
        train_with(
            fresh,
            Event::Interrupt {
                step: 11,
                signals: Signals::default()
            }
        )
        .0
        .is_err()
    );
    fs::write(&text, "abcba".repeat(60)).unwrap();
    let error = resume(&run, Event::Nothing).unwrap_err().to_string();
    assert!(
        error.contains("not the text that the run was trained on"),
        "{error}"
    );
    // moved: the flag says where it is now
    fs::remove_file(&text).unwrap();
    assert!(
        resume(&run, Event::Nothing)
            .unwrap_err()
            .to_string()
            .contains("no such file")
    );
    let moved = dir.path().join("moved.txt");
    fs::write(&moved, "abcab".repeat(60)).unwrap();
    train_with(
        TrainArgs {
            resume: Some(run),
            text: Some(moved),
            ..TrainArgs::default()
        },
        Event::Nothing,
    )
    .0
    .unwrap();
}

#[test]
fn nothing_is_made_when_the_input_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("r");
    let short = dir.path().join("short.txt");
    fs::write(&short, "abc").unwrap();
    for bad in [
        TrainArgs {
            text: Some("/no/such/file".into()),
            ..args()
        },
        TrainArgs {
            text: Some(short),
            ..args()
        },
        TrainArgs {
            threads: Some(0),
            ..args()
        },
        TrainArgs {
            settings: Settings {
                n_head: Some(7),
                ..args().settings
            },
            ..args()
        },
    ] {
        assert!(
            train_with(
                TrainArgs {
                    out: Some(out.clone()),
                    ..bad
                },
                Event::Nothing
            )
            .0
            .is_err()
        );
        assert!(!out.exists());
    }
}

#[test]
fn samples_and_inspection() {
    let (_dir, run, _) = complete();
    let sample_args = |start: Option<&str>, temperature| SampleArgs {
        run: run.clone(),
        start: start.map(Into::into),
        num_samples: 2,
        max_new_tokens: 30,
        temperature,
        top_k: 10,
        seed: 5,
        threads: None,
    };
    let sampled = |args| {
        let screen = Screen::default();
        sample::sample::<Fake>(&args, &mut Output::to(screen.clone())).map(|()| screen.text())
    };
    let text = sampled(sample_args(Some("Quis "), 0.8)).unwrap();
    let (one, two) = text.split_once("---------------\n").unwrap();
    assert!(
        one.starts_with("Quis ") && one.chars().count() == 36 && one != two,
        "{text}"
    );
    assert_eq!(text, sampled(sample_args(Some("Quis "), 0.8)).unwrap());
    assert!(
        sampled(sample_args(Some("日本"), 0.8))
            .unwrap_err()
            .to_string()
            .contains("'日'")
    );
    assert_eq!(sampled(sample_args(None, -1.0)).unwrap_err().exit_code(), 2);

    let screen = Screen::default();
    sample::inspect::<Fake>(&InspectArgs { run }, &mut Output::to(screen.clone())).unwrap();
    for part in [
        "Fake(57 x 57)",
        "\"iter\": 24",
        "\"block_size\": 8",
        "\"built_in\"",
    ] {
        assert!(screen.text().contains(part), "{part}\n{}", screen.text());
    }
}
