//! What an initializer is shown of a parameter.

use tiegrad_arena::Shape;

use super::InitError;
use crate::tree::Role;

/// What an [`Initializer`](super::Initializer) is to fill.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
/// let mut seen = Vec::new();
/// net.init(&mut params, init::from_fn(|target, _, _| {
///     seen.push((target.path.to_string(), target.owner.to_string(), target.fan_in, target.fan_out));
/// }), &mut rng)?;
/// assert_eq!(seen, [("0.weight".to_string(), "Linear".to_string(), 4, 8)]); // a bias just becomes 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Target<'p> {
    /// The parameter's canonical path in the tree that is being initialized; empty where there is no tree ([`fill`](fn@super::fill)).
    pub path: &'p str,
    /// Its shape.
    pub shape: Shape,
    /// What it is there for.
    pub role: Role,
    /// How many inputs each output element is made from: for a weight (out, in, …) the product of all dimensions but the first.
    pub fan_in: usize,
    /// How many output elements each input goes into: the product of all dimensions but the second.
    pub fan_out: usize,
    /// The type of the module that holds it, as prints show it (`Linear`); empty where there is no tree.
    pub owner: &'p str,
    /// The fans of the parameter called `weight` that the same module holds, as that module uses it: those of a bias's layer.
    pub layer_fans: Option<(usize, usize)>,
}

impl<'p> Target<'p> {
    pub(crate) fn new(path: &'p str, shape: Shape, role: Role) -> Self {
        let (fan_in, fan_out) = fans(&shape);
        Self {
            path,
            shape,
            role,
            fan_in,
            fan_out,
            owner: "",
            layer_fans: None,
        }
    }

    /// The error of an initializer that cannot fill this parameter.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// use tiegrad_nn::init::{InitError, Initializer, Target};
    ///
    /// struct Never;
    /// impl Initializer for Never {
    ///     fn fill(&mut self, target: &Target<'_>, _: &mut [f64], _: &mut dyn rand::Rng) -> Result<(), InitError> {
    ///         Err(target.unsuitable("I never do it"))
    ///     }
    /// }
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// let error = net.init(&mut params, Never, &mut rng).unwrap_err();
    /// assert_eq!(error.to_string(), "0.weight of shape [8, 4] cannot be initialized so: I never do it");
    /// ```
    pub fn unsuitable(&self, why: impl Into<String>) -> InitError {
        InitError::Unsuitable {
            path: self.path.to_owned(),
            shape: Box::new(self.shape),
            why: why.into(),
        }
    }
}

/// Fan in and fan out of a shape: as PyTorch for two dimensions and more, as Keras for fewer.
pub(crate) fn fans(shape: &Shape) -> (usize, usize) {
    match **shape {
        [] => (1, 1),
        [n] => (n, n),
        [out, inner, ref field @ ..] => {
            let field: usize = field.iter().product();
            (inner * field, out * field)
        }
    }
}
