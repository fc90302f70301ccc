//! The tests of the optimizers, but for those that need a process of their own (`no_allocation`, `threads`).
//!
//! They share a process because every test program compiles the generic code anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

mod clip;
#[path = "../common/mod.rs"]
mod common;
mod custom;
mod groups;
mod oracle;
mod reference;
mod state;
