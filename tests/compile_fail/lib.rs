//! Nothing to call: `main.rs` compiles `cases/`.
