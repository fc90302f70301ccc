//! The tape of tiegrad: [`Tape`], [`Graph`], [`Var`], and the ops with their rules.
//!
//! A [`Tape`] owns memory and nothing else. [`Tape::record`] borrows the parameters of a network and
//! gives a [`Graph`]; the graph turns arrays and [`ParamId`](tiegrad_arena::ParamId)s into [`Var`]s; methods and
//! operators on Vars compute at once and note what they did; [`Var::backward`] walks those notes from the last to the
//! first and adds what every use of a parameter contributes into that parameter's one slot.
//!
//! ```
//! use ndarray::array;
//! use tiegrad_arena::Params;
//! use tiegrad_autodiff::Tape;
//!
//! let mut params = Params::<f64>::new();
//! let w = params.insert(&array![[1.0, 2.0], [3.0, 4.0]])?;
//! let mut tape = Tape::new();
//!
//! let g = tape.record(&mut params);
//! let w_var = g.param(w);
//! let y = g.input(&array![[1.0, -1.0]]).matmul(w_var).matmul(w_var.t()); // two uses of one id, one of them transposed
//! let loss = y.sum().backward()?;
//!
//! assert_eq!(loss, -20.0);
//! assert_eq!(params.grad(w)?, Some(array![[2.0, 4.0], [-6.0, -8.0]].into_dyn().view())); // the sum of both uses
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # An op that goes wrong
//!
//! Bad input never panics in an op. A failed op poisons its `Var`, later ops hand the poison on, and
//! [`Var::backward`], [`Var::value`] and [`Var::item`] return the first [`Error`]: the op, the shapes, the parameters and the line
//! of the user's call. Other Vars of the same graph are not affected.

mod apply;
mod backward;
mod error;
mod example;
mod graph;
mod input;
mod memory;
mod node;
mod op;
pub mod ops;
mod recording;
mod sample;
mod shapes;
#[cfg(debug_assertions)]
mod shared;
mod sink;
mod tape;
mod uses;
mod var;

pub use error::{Error, Problem};
pub use graph::Graph;
pub use input::{AsIndex, Indices, Input};
pub use op::{ArgKind, Backward, Dst, Forward, Op, View};
pub use sample::{ArgSpec, Sample};
pub use shapes::{Applied, Part, Watch};
#[cfg(debug_assertions)]
#[doc(hidden)]
pub use shared::compiled;
pub use tape::{RngState, Tape};
pub use uses::{Contribution, UseGrads};
pub use var::Var;
