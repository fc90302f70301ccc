//! The `tiegrad` program.
fn main() {}
