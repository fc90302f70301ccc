//! A process that is killed while it saves leaves a whole checkpoint.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tiegrad_arena::{Params, Shape, State};
use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};

const VARIABLE: &str = "TIEGRAD_CRASH_TEST";
const LEN: usize = 60_000;

fn network() -> (Params<f32>, Vec<Entry>) {
    let mut params = Params::new();
    let shape = Shape::new(&[LEN]).unwrap();
    let names = ["a", "b"].map(|name| Entry::new(name, params.insert_with(shape, |_| {})));
    (params, names.into())
}

/// Not a test: what the test below runs and kills. Saves checkpoint after checkpoint, each of one number throughout.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn save_until_killed() {
    let Some(path) = std::env::var_os(VARIABLE) else {
        panic!("{VARIABLE} is not set");
    };
    let (mut params, names) = network();
    let mut state = State::new(["momentum_buffer"]);
    state.sync(params.values());
    let mut round = number(Path::new(&path)).unwrap_or(0);
    loop {
        round += 1;
        for entry in &names {
            params.as_mut_slice(entry.id).unwrap().fill(round as f32);
            state.set_step(entry.id, round).unwrap();
            state
                .set_tensor(
                    entry.id,
                    "momentum_buffer",
                    &params.value(entry.id).unwrap(),
                )
                .unwrap();
        }
        Checkpoint::new(&params, &names)
            .state("optimizer", &state)
            .metadata("round", round.to_string())
            .save(&path)
            .unwrap();
    }
}

/// The number of a checkpoint, found to be the same everywhere in it; `None` before the first.
fn number(path: &Path) -> Option<u64> {
    if !path.exists() {
        return None;
    }
    let loaded = Loaded::open(path).unwrap();
    let round: u64 = loaded.metadata()["round"].parse().unwrap();
    let (mut params, names) = network();
    let mut state = State::new(["momentum_buffer"]);
    loaded
        .load_into(&mut params, &names, Policy::strict())
        .unwrap();
    loaded
        .restore_state("optimizer", &mut state, &params, &names, Policy::strict())
        .unwrap();
    for entry in &names {
        let is_round = |x: &f32| *x == round as f32;
        assert!(params.as_slice(entry.id).unwrap().iter().all(is_round));
        assert!(
            state
                .tensor(entry.id, "momentum_buffer")
                .unwrap()
                .iter()
                .all(is_round)
        );
        assert_eq!(state.step(entry.id).unwrap(), round);
    }
    Some(round)
}

#[test]
fn a_kill_at_any_moment_leaves_a_whole_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let mut last = 0;
    let mut left_behind = 0;
    let mut kills = 0;
    while kills < 25 || (left_behind == 0 && kills < 200) {
        kills += 1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "save_until_killed"])
            .env(VARIABLE, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wait until it saves, then strike at a moment that differs from round to round.
        let start = Instant::now();
        while number(&path).unwrap_or(0) == last {
            assert!(
                child.try_wait().unwrap().is_none(),
                "the child ended by itself"
            );
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the child saves nothing"
            );
        }
        std::thread::sleep(Duration::from_micros(kills * 777 % 6000));
        child.kill().unwrap();
        child.wait().unwrap();
        let number = number(&path).unwrap();
        assert!(number > last);
        last = number;
        left_behind += usize::from(files(directory.path()) > 1);
    }
    println!("{last} checkpoints; {left_behind} of {kills} kills came in the middle of a file");
    assert!(
        left_behind > 0,
        "no kill came in the middle of a file: the test shows nothing"
    );

    let (params, names) = network();
    Checkpoint::new(&params, &names).save(&path).unwrap();
    assert_eq!(
        files(directory.path()),
        1,
        "the files that the killed processes left are removed"
    );
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
