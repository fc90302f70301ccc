//! The tests of checkpoints, but for the one that kills its own process (`crash`).
//!
//! They share a process because every test program compiles the generic code anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

mod common;
mod errors;
mod fuzz;
mod oracle;
mod round_trip;
mod ties;
