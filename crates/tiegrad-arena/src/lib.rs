//! The parameter arena of tiegrad: parameters live here, layers hold [`ParamId`]s.
//!
//! [`Params`] keeps all values in one 64-byte-aligned slab ([`Values`]) and all gradients in a second one with the same
//! offsets ([`Grads`]). An id is 8 bytes, `Copy`, and looked up with one bounds check and one compare; an id that was
//! removed, or that belongs to another arena, is a typed error that says what the slot held. Two uses of one id are a
//! tie: there is one value, and gradients of both uses sum into one slot.
//!
//! ```
//! use tiegrad_arena::{Params, Shape};
//!
//! let mut params = Params::<f32>::new();
//! let weight = params.insert_with(Shape::new(&[8, 4])?, |w| w.fill(0.5));
//! let bias = params.insert_with(Shape::new(&[8])?, |_| {}); // values start as zeros
//! assert_eq!(params.value(weight)?[[7, 3]], 0.5);
//! assert_eq!(params.num_elements(), 40);
//!
//! let copy = params.clone(); // ids stay valid: the same layers run under the copy
//! params.remove(bias)?;
//! assert!(params.value(bias).is_err());
//! assert!(copy.value(bias).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`State`] keeps what an optimizer remembers, at the same offsets again; [`Selection`] is a set of ids. This crate knows
//! no layers and no tape.

mod access;
mod error;
mod fork;
mod grads;
mod id;
mod layout;
mod mark;
mod params;
mod places;
mod reduce;
mod runs;
mod selection;
mod shape;
mod show;
mod slot;
mod stale;
mod state;
mod values;

pub use error::ArenaError;
pub use grads::Grads;
pub use id::ParamId;
pub use mark::Initialized;
pub use params::Params;
pub use runs::{Run, Runs};
pub use selection::Selection;
pub use shape::{IntoShape, Shape, ShapeError};
pub use show::Show;
pub use slot::{ParamInfo, Slot};
pub use state::State;
pub use values::Values;
