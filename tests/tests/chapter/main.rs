//! The chapter "Parameter Management", row by row: a test for each row, named after it (`r07_…`). docs/guide.md walks through the same rows.
//!
//! What PyTorch says of the same networks (prints, names, outputs, gradients, the bounds of its distributions) stands in `tests/data/chapter.*`,
//! with the script that asked it. Tolerances: 1e-12 in f64 and 1e-6 in f32, unless a test says where its own comes from: the numbers are of size
//! 1 and come from sums of at most 64 products.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "also in the helpers of tests"
)]

mod access;
mod beyond;
mod data;
mod examples;
mod exercises;
mod initialization;
mod library;
mod nested;
mod nets;
mod selection;
mod shapes;
mod statistics;
mod table;
mod tied_gradients;
mod ties;
mod values;
