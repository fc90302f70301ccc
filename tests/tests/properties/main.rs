//! The properties of docs/architecture.md ("Invariants") that can share a process, each through the library's own interface.
//!
//! With them, trainings that must get somewhere (`end_to_end`).
//!
//! Elsewhere: what must not compile (`tests/compile_fail`), no allocation in a step (`no_allocation`), the same bits for every number of threads
//! (`threads`). They share a process because every test program costs time to compile.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

mod bad_input;
mod benchmarks;
mod common;
mod contributions;
mod end_to_end;
mod error_location;
mod gradients;
mod models;
mod one_network;
mod send_sync;
mod shapes;
mod ties;
mod untie;
mod uses;
