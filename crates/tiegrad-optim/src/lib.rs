//! Optimizers, schedules and clipping for tiegrad.
//!
//! [`SGD`], [`Adam`], [`AdamW`] and [`RMSprop`] compute what PyTorch's optimizers of these names compute, over the slabs of
//! a [`Params`](tiegrad_arena::Params) arena: one fused pass over each stretch of parameters that received a gradient. What
//! they remember is kept per [`ParamId`](tiegrad_arena::ParamId), so a tied parameter has one state however often the network
//! uses it, and it follows the arena when parameters are inserted or removed.
//!
//! ```
//! use tiegrad_arena::{Params, Shape};
//! use tiegrad_optim::{AdamW, clip_grad_norm};
//!
//! let mut params = Params::<f32>::new();
//! let w = params.insert_with(Shape::new(&[2, 2])?, |w| w.fill(1.0));
//! let mut opt = AdamW::new(1e-3).weight_decay(0.1);
//!
//! // In a program, a backward pass does this.
//! let (values, grads) = params.split_mut();
//! grads.prepare(values);
//! grads.touch(w.index());
//! grads.slab_mut()[..4].copy_from_slice(&[3.0, 0.0, 0.0, 4.0]);
//!
//! assert_eq!(clip_grad_norm(&mut params, 1.0)?, 5.0);
//! opt.step(&mut params)?;
//! params.zero_grad();
//! assert!(params.as_slice(w)?[0] < 1.0);
//! assert_eq!(opt.state().step(w)?, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rules that hold for all of them
//! - A parameter whose gradient is `None`, or that is frozen (`requires_grad` is false), is skipped: neither its value nor its
//!   state nor its step count changes.
//! - Settings are checked at the first step after they change; one out of range is a typed [`OptimError`], and no parameter has
//!   been touched then.
//! - After the first step, a step allocates nothing, and what it computes does not depend on the number of threads.
//! - Parameters can be put into [`Group`]s with settings of their own.
//!
//! An optimizer of your own is a struct that goes through [`Grads::runs`](tiegrad_arena::Grads::runs), keeps what it
//! remembers in a [`State`](tiegrad_arena::State), and, if programs shall take it for another, implements [`Optimizer`].

#[macro_use]
mod define;

mod adam;
mod clip;
mod engine;
mod error;
mod group;
mod optimizer;
mod plan;
mod rmsprop;
mod schedule;
mod setting;
mod sgd;

pub use adam::{Adam, AdamW};
pub use clip::{ClipGradNorm, clip_grad_norm, clip_grad_value, grad_norm};
pub use error::OptimError;
pub use group::{Group, matrices};
pub use optimizer::Optimizer;
pub use rmsprop::RMSprop;
pub use schedule::{Schedule, WarmupCosine};
pub use sgd::SGD;
