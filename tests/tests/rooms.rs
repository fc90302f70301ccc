//! The direction of dependencies between the rooms, as docs/architecture.md draws it, from `cargo metadata`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper")]

use std::collections::BTreeMap;
use std::process::Command;

/// Each crate and the rooms it may use. A crate that is not here is a new room: draw it in docs/architecture.md first.
const TABLE: &[(&str, &[&str])] = &[
    ("tiegrad-kernels", &[]),
    ("tiegrad-arena", &["kernels"]),
    ("tiegrad-autodiff", &["kernels", "arena"]),
    ("tiegrad-derive", &[]),
    ("tiegrad-nn", &["kernels", "arena", "autodiff", "derive"]),
    ("tiegrad-optim", &["kernels", "arena"]),
    ("tiegrad-checkpoint", &["kernels", "arena"]),
    ("tiegrad-check", &["kernels", "arena", "autodiff", "nn"]),
    (
        "tiegrad",
        &["kernels", "arena", "autodiff", "nn", "optim", "checkpoint"],
    ),
    ("tiegrad-cli", &["tiegrad"]),
];

/// What the library may use from outside. Each entry costs every user compile time.
const OUTSIDE: &[&str] = &[
    "bumpalo",
    "ndarray",
    "proc-macro2",
    "quote",
    "rand",
    "regex-lite",
    "syn",
    // A checkpoint's header is JSON.
    "serde",
    "serde_json",
];

fn normal_dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            let normal = dependencies.iter().filter(|d| d["kind"].is_null());
            (
                package["name"].as_str().unwrap().to_string(),
                normal
                    .map(|d| d["name"].as_str().unwrap().to_string())
                    .collect(),
            )
        })
        .collect()
}

#[test]
fn rooms_use_only_what_the_table_says() {
    let found = normal_dependencies();
    for (name, dependencies) in &found {
        if matches!(
            name.as_str(),
            "tiegrad-tests" | "tiegrad-compile-fail" | "tiegrad-benches"
        ) {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(room, _)| room == name) else {
            panic!("{name} is not in the table");
        };
        for dependency in dependencies.iter().filter(|d| d.starts_with("tiegrad")) {
            let room = dependency.strip_prefix("tiegrad-").unwrap_or(dependency);
            assert!(allowed.contains(&room), "{name} may not use {dependency}");
        }
    }
    for (name, _) in TABLE {
        assert!(
            found.contains_key(*name),
            "{name} is in the table and not in the workspace"
        );
    }
}

#[test]
fn the_library_uses_few_crates_from_outside() {
    let mut unused = OUTSIDE.to_vec();
    for (name, dependencies) in normal_dependencies() {
        if matches!(
            name.as_str(),
            "tiegrad-tests" | "tiegrad-compile-fail" | "tiegrad-benches" | "tiegrad-cli"
        ) {
            continue;
        }
        for dependency in dependencies.iter().filter(|d| !d.starts_with("tiegrad")) {
            assert!(
                OUTSIDE.contains(&dependency.as_str()),
                "{name} uses {dependency}, which is not on the list"
            );
            unused.retain(|name| name != dependency);
        }
    }
    assert!(unused.is_empty(), "on the list and not used: {unused:?}");
}
