//! The properties of docs/architecture.md ("Invariants") that can share a process, each through the library's own interface.
//!
//! Elsewhere: what must not compile (`compile_fail`), no allocation in a step (`no_allocation`), the same bits for every number of threads (`threads`),
//! no panic on bad input (`bad_input`).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

mod common;
mod contributions;
mod gradients;
mod one_network;
mod send_sync;
mod ties;
