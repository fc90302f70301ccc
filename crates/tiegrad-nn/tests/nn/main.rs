//! The tests of the tree, the layers and the initializers.
//!
//! They share a process because every test program compiles the generic code anew.

#![allow(clippy::unwrap_used, reason = "also in the helpers of tests")]

mod derive;
mod gpt;
mod init;
mod init_laws;
mod init_names;
mod init_once;
mod layers;
mod manage;
mod reference;
mod select;
mod ties;
mod tree;
