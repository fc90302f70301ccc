//! Whole runs of the program: what they leave behind, and that stops and kills at any moment change nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A model so small that a run takes a moment.
const SMALL: &str = "--n-layer 1 --n-head 2 --n-embd 16 --block-size 16 --batch-size 4 --warmup-iters 5 \
                     --dropout 0.1 --log-interval 3 --eval-iters 2 --eval-interval 10";

fn tiegrad(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tiegrad"));
    command
        .current_dir(dir)
        .args(args.split_whitespace())
        .stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &str) -> Output {
    tiegrad(dir, args).output().unwrap()
}

#[track_caller]
fn succeeds(dir: &Path, args: &str) -> String {
    let output = run(dir, args);
    assert!(
        output.status.success(),
        "{args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The one line of a failure.
#[track_caller]
fn refused(dir: &Path, args: &str) -> String {
    let output = run(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        matches!(output.status.code(), Some(1 | 2)),
        "{args}: {stderr}"
    );
    assert!(
        stderr.starts_with("error: ") && stderr.lines().count() == 1,
        "{args}: {stderr}"
    );
    stderr
}

/// The metrics of a run without the fields that depend on the clock.
fn timeless(run: &Path) -> Vec<serde_json::Value> {
    let strip = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        for field in ["elapsed_s", "tokens_per_s"] {
            value.as_object_mut().unwrap().remove(field);
        }
        value
    };
    fs::read_to_string(run.join("metrics.jsonl"))
        .unwrap()
        .lines()
        .map(strip)
        .collect()
}

/// Equal metrics but for times, and equal checkpoints to the last byte: parameters, optimizer, settings, everything.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    assert_eq!(timeless(one), timeless(other));
    let checkpoint = |run: &Path| fs::read(run.join("checkpoint.safetensors")).unwrap();
    assert!(
        checkpoint(one) == checkpoint(other),
        "the checkpoints differ"
    );
}

fn spawn(dir: &Path, args: &str) -> Child {
    tiegrad(dir, args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The lines of metrics that a run has, complete or not.
fn lines(run: &Path) -> usize {
    fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count())
}

/// Waits until the metrics of a run hold at least so many lines, or its process has ended. Says whether it still runs.
fn wait_for_lines(child: &mut Child, run: &Path, lines: usize) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while self::lines(run) < lines && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.try_wait().unwrap().is_none()
}

#[test]
fn the_built_in_job_leaves_a_run_folder_and_a_second_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let args = format!("{SMALL} --max-iters 20");
    let output = run(dir.path(), &args);
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{stderr}");
    for part in [
        "lm_head.weight",
        "wte.weight",
        "↔",
        "unigram entropy  2.94",
        "bigram entropy   2.37",
        "sample:",
    ] {
        assert!(stdout.contains(part), "{part}\n{stdout}");
    }
    assert!(
        stdout.contains("validation loss  ") && stdout.contains("train loss       "),
        "{stdout}"
    );
    assert!(
        stderr.contains("step 20/20: train loss ") && !stderr.contains('\u{1b}'),
        "{stderr}"
    );
    let first = dir.path().join("runs/cicero-1");
    let before = fs::read(first.join("metrics.jsonl")).unwrap();
    for file in ["checkpoint.safetensors", "metrics.jsonl", "loss.svg"] {
        assert!(
            fs::metadata(first.join(file)).unwrap().len() > 100,
            "{file}"
        );
    }
    succeeds(dir.path(), &args);
    assert_same(&first, &dir.path().join("runs/cicero-2"));
    assert!(fs::read(first.join("metrics.jsonl")).unwrap() == before);
    assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 2);
}

#[test]
fn threads_and_seeds() {
    let dir = tempfile::tempdir().unwrap();
    // large enough that threads share the work
    let flags = "--n-layer 2 --n-embd 64 --block-size 32 --batch-size 8 --dropout 0.1 --eval-iters 1 --log-interval 1 --max-iters 6";
    for (out, extra) in [
        ("one", "--threads 1"),
        ("three", "--threads 3"),
        ("other", "--seed 5"),
    ] {
        succeeds(dir.path(), &format!("train {flags} --out {out} {extra}"));
    }
    assert_same(&dir.path().join("one"), &dir.path().join("three"));
    assert_ne!(
        timeless(&dir.path().join("one")),
        timeless(&dir.path().join("other"))
    );
}

#[cfg(unix)]
#[test]
fn killed_again_and_again_it_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let flags = format!("{SMALL} --max-iters 300");
    succeeds(dir.path(), &format!("train {flags} --out whole"));
    let mut kills_in_training = 0;
    for round in 0..30_u64 {
        let before = lines(&killed);
        let args = if killed.exists() {
            "train --resume killed".into()
        } else {
            format!("train {flags} --out killed")
        };
        let mut child = spawn(dir.path(), &args);
        // while the program starts, and while it trains: in a step, an evaluation, or the writing of a file
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_millis(1 + 2 * round));
        } else if killed.exists() {
            let running = wait_for_lines(&mut child, &killed, before + 1 + round as usize % 5);
            std::thread::sleep(Duration::from_micros(150 * round));
            kills_in_training += usize::from(running);
        }
        let _ = child.kill();
        child.wait().unwrap();
        assert!(!killed.exists() || killed.join("checkpoint.safetensors").exists());
        let metrics = fs::read_to_string(killed.join("metrics.jsonl")).unwrap_or_default();
        if metrics.contains(r#""event":"final""#) {
            break;
        }
    }
    assert!(kills_in_training >= 3, "{kills_in_training}");
    if killed.exists() {
        succeeds(dir.path(), "train --resume killed");
    } else {
        succeeds(dir.path(), &format!("train {flags} --out killed"));
    }
    assert_same(&whole, &killed);
}

#[cfg(unix)]
#[test]
fn ctrl_c_writes_a_checkpoint_and_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    let flags = format!("{SMALL}00 --max-iters 1200"); // an evaluation every 1000 steps
    succeeds(dir.path(), &format!("train {flags} --out whole"));
    for (name, code, args) in [
        ("-INT", 130, format!("train {flags} --out stopped")),
        ("-TERM", 143, "train --resume stopped".into()),
    ] {
        let mut child = spawn(dir.path(), &args);
        let seen = lines(&stopped);
        assert!(wait_for_lines(&mut child, &stopped, seen + 20));
        signal(&child, name);
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
        assert!(
            stderr.contains("go on with: tiegrad train --resume stopped"),
            "{stderr}"
        );
        assert!(!stderr.contains("error"), "{stderr}");
    }
    succeeds(dir.path(), "train --resume stopped");
    assert_same(&whole, &stopped);
}

#[cfg(unix)]
#[test]
fn a_second_ctrl_c_leaves_at_once() {
    let dir = tempfile::tempdir().unwrap();
    // one step of this takes far longer than the test waits
    let args = "train --n-layer 2 --n-embd 512 --block-size 256 --batch-size 64 --eval-interval 100 --eval-iters 1 --out r";
    let mut child = spawn(dir.path(), args);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.path().join("r").exists() {
        assert!(Instant::now() < deadline, "no run folder");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(dir.path().join("r/checkpoint.safetensors").exists());
}

#[test]
fn two_processes_cannot_write_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = spawn(
        dir.path(),
        &format!("train {SMALL} --max-iters 100000 --out r"),
    );
    assert!(wait_for_lines(&mut child, &dir.path().join("r"), 2));
    let line = refused(dir.path(), "train --resume r");
    assert!(
        line.contains("another process is writing this run"),
        "{line}"
    );
    let line = refused(dir.path(), &format!("train {SMALL} --out r"));
    assert!(line.contains("there is a run already"), "{line}");
    succeeds(dir.path(), "sample r --max-new-tokens 5");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn samples_follow_their_seed_and_a_closed_pipe_ends_them_quietly() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &format!("train {SMALL} --max-iters 5 --out r"));
    let one = succeeds(
        dir.path(),
        "sample r --start Quis --max-new-tokens 40 --seed 3",
    );
    assert_eq!(one.chars().count(), 4 + 40 + 1);
    assert!(one.starts_with("Quis"));
    assert_eq!(
        one,
        succeeds(
            dir.path(),
            "sample r --start Quis --max-new-tokens 40 --seed 3 --threads 2"
        )
    );
    assert_ne!(
        one,
        succeeds(
            dir.path(),
            "sample r --start Quis --max-new-tokens 40 --seed 4"
        )
    );
    let greedy = |seed| {
        succeeds(
            dir.path(),
            &format!("sample r --temperature 0 --seed {seed}"),
        )
    };
    assert_eq!(greedy(1), greedy(2));

    let mut child = tiegrad(dir.path(), "sample r --max-new-tokens 100000000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 50])
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn inspect_shows_tree_and_settings() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(
        dir.path(),
        &format!("train {SMALL} --max-iters 5 --out tied"),
    );
    let tied = succeeds(dir.path(), "inspect tied");
    for part in [
        "lm_head.weight",
        "↔",
        "\"iter\": 5",
        "\"n_embd\": 16",
        "\"untied\": false",
    ] {
        assert!(tied.contains(part), "{part}\n{tied}");
    }
    succeeds(
        dir.path(),
        &format!("train {SMALL} --max-iters 5 --out untied --untied"),
    );
    let untied = succeeds(dir.path(), "inspect untied");
    assert!(
        untied.contains("lm_head") && !untied.contains('↔') && untied.contains("\"untied\": true"),
        "{untied}"
    );
}

#[test]
fn what_contradicts_a_run_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &format!("train {SMALL} --max-iters 5 --out r"));
    let checkpoint = dir.path().join("r/checkpoint.safetensors");
    let good = fs::read(&checkpoint).unwrap();
    for (flags, part) in [
        (
            "--n-embd 32",
            "--n-embd 32 contradicts the run to resume, which has 16",
        ),
        ("--max-iters 4", "--max-iters 4 is less than the 5 steps"),
        ("--untied", "--untied contradicts"),
    ] {
        let line = refused(dir.path(), &format!("train --resume r {flags}"));
        assert!(line.contains(part), "{line}");
    }
    fs::write(dir.path().join("other.txt"), "another text ".repeat(100)).unwrap();
    let line = refused(dir.path(), "train --resume r --text other.txt");
    assert!(
        line.contains("not the text that the run was trained on"),
        "{line}"
    );
    assert!(fs::read(&checkpoint).unwrap() == good);

    // tensors of another shape than the settings say; half a file; no safetensors file at all
    let text = String::from_utf8_lossy(&good[8..]).into_owned();
    let place = text
        .find(r#"n_embd\":16"#)
        .expect("the settings are in the header")
        + 8
        + r#"n_embd\":"#.len();
    let mut other_shape = good.clone();
    other_shape[place..place + 2].copy_from_slice(b"32");
    for bad in [
        &other_shape[..],
        &good[..good.len() / 2],
        b"not a checkpoint",
    ] {
        fs::write(&checkpoint, bad).unwrap();
        for command in ["train --resume r", "sample r", "inspect r"] {
            let line = refused(dir.path(), command);
            assert!(line.contains("checkpoint.safetensors"), "{line}");
        }
        assert!(fs::read(&checkpoint).unwrap() == bad);
    }
}
