//! The module tree, layers and initializers of tiegrad.
//!
//! A layer holds [`ParamId`](tiegrad_arena::ParamId)s and no values, has no data type, and is one node of a tree. `#[derive(Module)]` describes a
//! node once; from the one traversal that this gives ([`Module::visit`]) follow names, look-up, prints, counts, selections, initialization, checkpoints and
//! independent copies ([`ModuleExt`]).
//!
//! Two equal ids are a tie. A clone of a layer copies its ids, so it is tied to the original; [`duplicate`](ModuleExt::duplicate) is not.
//!
//! ```
//! use tiegrad_nn::prelude::*;
//!
//! #[derive(Module, Clone)]
//! # #[module(crate = "tiegrad_nn")]
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
//! # let mut rng = tiegrad_nn::doc_rng();
//! let mut params = Params::<f32>::new();
//! let net = Mlp {
//!     hidden: Linear::new(&mut params, 4, 8, &mut rng),
//!     shared: Linear::new(&mut params, 8, 8, &mut rng),
//!     out: Linear::new(&mut params, 8, 1, &mut rng),
//! };
//! let mut tape = Tape::new();
//! let g = tape.record(&mut params);
//! let loss = net.forward(g.full([2, 4], 1.0)).mse_loss(g.full([2, 1], 0.0)).backward()?;
//! assert!(params.grad(net.shared.weight)?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod init;
mod layer;
mod layer_ext;
pub mod layers;
mod select;
mod sequential;
pub mod spec;
mod tree;

pub use init::InitExt;
pub use layer::{DynLayer, Layer};
pub use layer_ext::{InputKind, InputShape, LayerError, LayerExt, Tokens, tokens};
pub use layers::*;
pub use select::Select;
pub use sequential::Sequential;
/// Makes a type a [`Module`]: see the [attributes](tiegrad_derive).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module, Clone)]
/// # #[module(crate = "tiegrad_nn")]
/// #[module(kind = "Mlp")]
/// struct Net {
///     #[module(name = "in")]
///     first: Linear,
///     out: Linear,
///     steps: usize, // plain data takes no part
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Net { first: Linear::new(&mut params, 4, 8, &mut rng), out: Linear::new(&mut params, 8, 1, &mut rng), steps: 3 };
/// assert_eq!(net.named_parameters()[0].0, "in.weight");
/// assert!(net.to_string().starts_with("Mlp(\n  (in): Linear("));
/// ```
pub use tiegrad_derive::Module;
pub use tree::{
    At, Field, GradReport, ListRow, Listing, Module, ModuleExt, Name, NameError, OneUse, ParamUse,
    Picture, Report, ReportRow, Repr, Role, Summary, SummaryRow, Tie, Tied, Use, UseReport,
    UsedParameter, Visit, VisitMut, Walker, WithRole, fmt_module,
};

/// What a program that uses this crate wants in scope.
pub mod prelude {
    pub use crate::init;
    pub use crate::init::{InitExt, Initializer};
    pub use crate::layers::*;
    pub use crate::spec::{
        dense, dropout, embedding, flatten, layer, layer_norm, relu, rms_norm, sequential,
    };
    pub use crate::{
        DynLayer, Layer, LayerError, LayerExt, Module, ModuleExt, NameError, Select, Sequential,
        Tied, sequential, tokens,
    };
    pub use tiegrad_arena::{ParamId, ParamInfo, Params, Selection, Shape};
    pub use tiegrad_autodiff::{Graph, Part, Tape, UseGrads, Var};
    pub use tiegrad_kernels::{Dual, Scalar};
}

/// A source of random numbers for the examples in the documentation.
#[doc(hidden)]
pub fn doc_rng() -> impl rand::Rng {
    <rand::rngs::SmallRng as rand::SeedableRng>::seed_from_u64(42)
}
