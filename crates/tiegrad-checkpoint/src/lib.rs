//! Checkpoints of tiegrad in the safetensors format, ties, optimizer state and all.
//!
//! [`Checkpoint`] writes parameters, optimizer states, raw bytes and strings into one file, so that a crash leaves the old
//! file or the new one. [`Loaded`] reads such a file (and those of other software), and checks everything it is about to
//! write into an arena before it writes anything. Names come as a plain list of [`Entry`]: a parameter's first path is its
//! canonical name, under which it is stored once; its other paths are aliases, kept in the file's metadata as
//! `safetensors.torch.save_model` does.
//!
//! ```
//! use tiegrad_arena::{Params, Shape, State};
//! use tiegrad_checkpoint::{Checkpoint, Entry, Loaded, Policy};
//!
//! let mut params = Params::<f32>::new();
//! let weight = params.insert_with(Shape::new(&[5, 2])?, |w| w.fill(0.5));
//! // One parameter under two names: a tie.
//! let names = [Entry::new("wte.weight", weight), Entry::new("lm_head.weight", weight)];
//! let momentum = State::new(["momentum_buffer"]);
//!
//! let bytes = Checkpoint::new(&params, &names)
//!     .state("optimizer", &momentum)
//!     .metadata("iteration", "1000")
//!     .bytes("rng", &[1, 2, 3])
//!     .to_bytes()?; // or .save("model.safetensors")?
//!
//! let loaded = Loaded::from_bytes(bytes)?; // or Loaded::open("model.safetensors")?
//! let mut other = Params::<f32>::new();
//! let weight = other.insert_with(Shape::new(&[5, 2])?, |_| {});
//! let names = [Entry::new("wte.weight", weight), Entry::new("lm_head.weight", weight)];
//! loaded.load_into(&mut other, &names, Policy::strict())?;
//! assert_eq!(other.as_slice(weight)?, [0.5; 10]);
//! let mut momentum = State::new(["momentum_buffer"]);
//! loaded.restore_state("optimizer", &mut momentum, &other, &names, Policy::strict())?;
//! assert_eq!(loaded.metadata()["iteration"], "1000");
//! assert_eq!(loaded.bytes("rng")?, [1, 2, 3]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A file that ties what the network does not, or the other way round, needs a [`Policy`] that says so. The format is
//! described in `docs/checkpoint-format.md`.

mod atomic;
mod bits;
mod dtype;
mod error;
mod extras;
mod header;
mod load;
mod loaded;
mod names;
mod near;
mod plan;
mod policy;
mod save;

/// The data types that a tensor of a file can have.
pub use crate::dtype::Dtype;
pub use error::{Error, Fault, Problem};
pub use loaded::{Loaded, Tensor};
pub use names::Entry;
pub use policy::{Policy, Report};
pub use save::Checkpoint;
