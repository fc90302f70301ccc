//! Nothing to call: this crate's documentation tests are the code blocks of the guide, and its integration tests stand in `tests/`.
#![doc = include_str!("../../docs/guide.md")]
