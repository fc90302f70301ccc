//! The program as a user meets it: what it prints where, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn tiegrad(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiegrad"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    tiegrad(dir, args).output().unwrap()
}

/// Runs what must fail: nothing on stdout, one line on stderr, and that line.
#[track_caller]
fn refused(dir: &Path, args: &[&str], code: i32) -> String {
    let output = run(dir, args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {line}");
    assert_eq!(output.stdout, b"", "{args:?}");
    assert_eq!(line.lines().count(), 1, "{args:?}: {line}");
    assert!(
        line.starts_with("error: ") && line.ends_with('\n'),
        "{args:?}: {line}"
    );
    line
}

#[test]
fn version_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let version = run(dir.path(), &["--version"]);
    assert!(version.status.success());
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("tiegrad {}\n", env!("CARGO_PKG_VERSION"))
    );

    let all = [
        "--n-layer",
        "--weight-decay",
        "--lr-decay-iters",
        "--untied",
        "--resume",
        "--threads",
        "--text",
    ];
    let sampling = [
        "--num-samples",
        "--max-new-tokens",
        "--temperature",
        "--top-k",
        "--start",
        "--seed",
    ];
    for (args, parts) in [
        (
            &["--help"][..],
            &[&all[..], &["train", "sample", "inspect", "Examples:"]].concat()[..],
        ),
        (
            &["train", "--help"],
            &[
                &all[..],
                &["Examples:", "loss.svg", "Model:", "Optimizer (AdamW):"],
            ]
            .concat()[..],
        ),
        (
            &["sample", "--help"],
            &[&sampling[..], &["Examples:", "<RUN>"]].concat()[..],
        ),
        (&["inspect", "--help"], &["Example:", "<RUN>"][..]),
    ] {
        let output = run(dir.path(), args);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(!text.contains('\u{1b}'), "colours in a pipe");
        for part in parts {
            assert!(text.contains(part), "{args:?} lacks {part}:\n{text}");
        }
    }
}

#[test]
fn impossible_command_lines_exit_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for (args, part) in [
        (&["train", "--no-such-flag"][..], "--no-such-flag"),
        (&["nonsense"], "nonsense"),
        (&["sample"], "<RUN>"),
        (&["train", "--n-layer", "four"], "four"),
        (&["train", "--n-layer", "-1"], "-1"),
        (
            &["train", "--n-head", "5"],
            "--n-embd 128 must be a multiple of --n-head 5",
        ),
        (
            &["train", "--block-size", "0"],
            "--block-size must be at least 1",
        ),
        (
            &["train", "--learning-rate", "-1e-3"],
            "--learning-rate -0.001 must be a positive number",
        ),
        (&["train", "--dropout", "1"], "--dropout 1"),
        (&["train", "--threads", "0"], "--threads"),
        (&["train", "--out", "a", "--resume", "b"], "--resume"),
        (&["--max-iters", "x"], "--max-iters"),
        (&["sample", ".", "--temperature", "-1"], "--temperature -1"),
    ] {
        let line = refused(dir.path(), args, 2);
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn bad_texts_exit_with_1_and_make_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("short"), "a text shorter than a block").unwrap();
    fs::write(dir.path().join("latin1"), b"caf\xE9".repeat(1000)).unwrap();
    for (text, part) in [
        (
            "nowhere",
            "nowhere: cannot read the text (no such file or directory)",
        ),
        ("empty", "empty: the text is empty"),
        (
            "short",
            "of its 27 characters 3 validate, and a block of 64 needs 65",
        ),
        ("latin1", "not valid UTF-8 (first bad byte at offset 3)"),
        (".", "cannot read the text"),
    ] {
        let line = refused(dir.path(), &["train", "--text", text], 1);
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn sizes_beyond_all_memory_exit_with_1_and_make_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["--n-embd", "100000000000", "--n-head", "1"][..],
        &["--batch-size", "100000000000000"],
        &["--n-layer", "100000000000000"],
    ] {
        let line = refused(dir.path(), args, 1);
        assert!(line.contains("more than can be had"), "{line}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_run_folder_exits_with_1_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    fs::write(dir.path().join("folder/notes"), "mine").unwrap();
    for command in [&["train", "--resume"][..], &["sample"], &["inspect"]] {
        for (path, part) in [
            ("nowhere", "nowhere: there is no such run folder"),
            (
                "folder",
                "folder: not a run folder (it has no checkpoint.safetensors)",
            ),
            (
                "folder/notes",
                "folder/notes: not a run folder (it is a file)",
            ),
        ] {
            let line = refused(dir.path(), &[command, &[path]].concat(), 1);
            assert!(line.contains(part), "{line}");
        }
    }
    let line = refused(dir.path(), &["train", "--out", "folder"], 1);
    assert!(line.contains("not empty"), "{line}");
    assert_eq!(fs::read(dir.path().join("folder/notes")).unwrap(), b"mine");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = tiegrad(dir.path(), &["train", "--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stderr, "");
}
