//! tiegrad: a CPU engine for training neural networks in which parameters live in a generational arena and layers hold ids.
//!
//! Tying two weights is using one id twice. The tape's backward pass sums every use into that id's one slot, so ties survive everything:
//! clone, cast, save, load, freeze, every optimizer step.
//!
//! ```
//! use tiegrad::prelude::*;
//!
//! #[derive(Module, Clone)]
//! struct Mlp { hidden: Linear, shared: Linear, out: Linear }
//!
//! impl Layer for Mlp {
//!     fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
//!         let h = self.hidden.forward(x).relu();
//!         let h = self.shared.forward(h).relu();
//!         let h = self.shared.forward(h).relu(); // a tie: the same ids, used twice
//!         self.out.forward(h)
//!     }
//! }
//!
//! let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
//! let mut params = Params::<f32>::new();
//! let net = Mlp {
//!     hidden: Linear::new(&mut params, 4, 8, &mut rng),
//!     shared: Linear::new(&mut params, 8, 8, &mut rng),
//!     out: Linear::new(&mut params, 8, 1, &mut rng),
//! };
//! println!("{}", net.tree(&params));
//!
//! let x = Array2::from_shape_fn((16, 4), |(i, j)| ((i + 3 * j) as f32).sin());
//! let y = x.map_axis(Axis(1), |row| row[0] * row[1] - row[2]).insert_axis(Axis(1));
//! let (mut tape, mut opt) = (Tape::new(), AdamW::new(1e-2));
//! let mut losses = Vec::new();
//! for _ in 0..200 {
//!     let g = tape.record(&mut params);
//!     losses.push(net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?);
//!     opt.step(&mut params)?;
//!     params.zero_grad();
//! }
//! assert!(losses[199] < losses[0] / 10.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rooms
//!
//! This crate only gathers: [`arena`] (parameters), [`autodiff`] (the tape), [`nn`] (layers and the tree), [`optim`], [`checkpoint`] and
//! [`kernels`]. Gradient checks of your own models and ops are in the crate `tiegrad-check`.

pub use tiegrad_arena as arena;
pub use tiegrad_autodiff as autodiff;
pub use tiegrad_checkpoint as checkpoint;
pub use tiegrad_kernels as kernels;
pub use tiegrad_nn as nn;
pub use tiegrad_optim as optim;

pub use ndarray;
pub use rand;

mod names;

pub use names::{checkpoint_names, checkpoint_names_of};

/// What a training program wants in scope.
///
/// ```
/// use tiegrad::prelude::*;
/// let params = Params::<f32>::new();
/// assert!(params.is_empty());
/// ```
pub mod prelude {
    pub use crate::{checkpoint_names, checkpoint_names_of};
    pub use ndarray::{self, Array, Array1, Array2, Array3, ArrayD, ArrayView, Axis, array};
    pub use rand::rngs::Xoshiro256PlusPlus;
    pub use rand::{Rng, RngExt, SeedableRng};
    pub use tiegrad_checkpoint::{Checkpoint, Loaded, Policy};
    pub use tiegrad_nn::prelude::*;
    pub use tiegrad_optim::{
        Adam, AdamW, Group, Optimizer, RMSprop, SGD, Schedule, WarmupCosine, clip_grad_norm,
        clip_grad_value, grad_norm,
    };
}
