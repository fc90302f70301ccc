//! A use of a parameter that another module owns.

use tiegrad_arena::ParamId;
use tiegrad_autodiff::{Graph, Var};
use tiegrad_kernels::Scalar;

use super::field::Field;
use super::module::{Name, ParamUse, Visit, VisitMut};

/// A use of a parameter that says whether it takes the parameter transposed: an autoencoder's decoder, a language model's head.
///
/// Any two equal ids are a tie; this type is for uses whose transposition the tree should show. There is no second parameter and
/// no copied weight: [`var`](Tied::var) looks at the one slot through strides.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module)]
/// # #[module(crate = "tiegrad_nn")]
/// struct Autoencoder { encoder: Linear, decoder: Tied }
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
/// let net = Autoencoder { decoder: Tied::transposed(encoder.weight), encoder };
/// assert_eq!(net.named_parameters().len(), 2); // encoder.weight and encoder.bias
/// assert!(net.tree(&params).to_string().contains("decoder  (3, 6)ᵀ ↔ encoder.weight"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tied {
    /// Which parameter.
    pub id: ParamId,
    /// Whether this use takes it transposed.
    pub transposed: bool,
}

impl Tied {
    /// A use as it stands.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let wte = Embedding::new(&mut params, 65, 8, &mut rng);
    /// let head = Tied::plain(wte.weight); // (65, 8), as it stands
    /// assert_eq!((head.id, head.transposed), (wte.weight, false));
    /// ```
    pub fn plain(id: ParamId) -> Self {
        Self {
            id,
            transposed: false,
        }
    }

    /// A transposed use.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
    /// let decoder = Tied::transposed(encoder.weight);
    /// assert_eq!((decoder.id, decoder.transposed), (encoder.weight, true));
    /// ```
    pub fn transposed(id: ParamId) -> Self {
        Self {
            id,
            transposed: true,
        }
    }

    /// The parameter as this use takes it. O(1): a transposition is a view.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
    /// let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// assert_eq!(&**Tied::plain(encoder.weight).var(g).shape(), [3, 6]);
    /// assert_eq!(&**Tied::transposed(encoder.weight).var(g).shape(), [6, 3]);
    /// assert_eq!(g.copies(), 0);
    /// ```
    #[track_caller]
    #[inline]
    pub fn var<'t, T: Scalar>(&self, g: Graph<'t, T>) -> Var<'t, T> {
        let var = g.param_ref(&self.id);
        if self.transposed { var.t() } else { var }
    }
}

impl Field for Tied {
    fn enter<'a>(&'a self, name: Name<'_>, v: &mut dyn Visit<'a>) {
        v.param(
            name,
            ParamUse {
                transposed: self.transposed,
                ..ParamUse::of_field(name, &self.id)
            },
        );
    }

    fn enter_mut(&mut self, name: Name<'_>, v: &mut dyn VisitMut) {
        v.param(name, &mut self.id);
    }
}
