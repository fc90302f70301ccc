//! From specs to a network.

use rand::Rng;
use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use super::{BuildError, Dense, Reason, Spec, What};
use crate::init::InitError;
use crate::layer::DynLayer;
use crate::layer_ext::{InputKind, InputShape, LayerExt};
use crate::layers::{Activation, Embedding, LayerNorm, Linear, RMSNorm};
use crate::sequential::Sequential;

impl Sequential {
    /// Builds a network of specs: each layer's input size follows from the output of the one before it, and the first one's from `input`, a shape
    /// (or [`tokens`](crate::tokens)) of which only the sizes that parameters depend on matter: a batch of another size will do as well. Runs no arithmetic.
    ///
    /// # Errors
    /// [`BuildError`] names the layer and the shapes. Nothing is left in the arena then.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(8).relu(), dense(1)], &mut params, [2, 20], &mut rng)?;
    /// assert_eq!(net.to_string(), "Sequential(
    ///   (0): Dense(in_features=20, out_features=8, bias=True, activation=relu)
    ///   (1): Linear(in_features=8, out_features=1, bias=True)
    /// )");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn build<T: Scalar>(
        specs: impl IntoIterator<Item = Spec>,
        params: &mut Params<T>,
        input: impl InputShape,
        rng: &mut impl Rng,
    ) -> Result<Self, BuildError> {
        let input = input.kind().map_err(|error| BuildError {
            path: String::new(),
            kind: "Sequential".into(),
            input: Box::new(Shape::SCALAR),
            reason: Reason::Input(error),
        })?;
        let mut inserted = Vec::new();
        let specs: Vec<Spec> = specs.into_iter().collect();
        match build(specs, params, input, rng, "", &mut inserted) {
            Ok((net, _)) => Ok(net),
            Err(error) => {
                for id in inserted {
                    // It was inserted just now.
                    let _ = params.remove(id);
                }
                Err(error)
            }
        }
    }
}

/// The network, and what it gives out. What is inserted on the way is listed, so that it can be taken back.
#[track_caller]
fn build<T: Scalar>(
    specs: Vec<Spec>,
    params: &mut Params<T>,
    mut input: InputKind,
    rng: &mut impl Rng,
    around: &str,
    inserted: &mut Vec<ParamId>,
) -> Result<(Sequential, InputKind), BuildError> {
    let mut net = Sequential::new();
    for (position, spec) in specs.into_iter().enumerate() {
        let (kind, shape) = (spec.kind(), *input.shape());
        let name = spec.name.clone().unwrap_or_else(|| position.to_string());
        let path = match around {
            "" => name,
            around => format!("{around}.{name}"),
        };
        let failed = |reason| BuildError {
            path: path.clone(),
            kind: kind.clone(),
            input: Box::new(shape),
            reason,
        };
        let width = || shape.last().copied().ok_or(Reason::NoDimension);
        let layer: Box<dyn DynLayer> = match spec.what {
            What::Dense(dense) => {
                let layer = dense
                    .build(width().map_err(failed)?, params, rng)
                    .map_err(|error| failed(Reason::Init(Box::new(error))))?;
                inserted.extend(
                    [Some(layer.linear.weight), layer.linear.bias]
                        .into_iter()
                        .flatten(),
                );
                match layer.activation {
                    Activation::Linear => Box::new(layer.linear),
                    _ => Box::new(layer),
                }
            }
            What::Embedding { rows, width } => {
                let table = Embedding::new(params, rows, width, rng);
                inserted.push(table.weight);
                Box::new(table)
            }
            What::LayerNorm => {
                let norm = LayerNorm::new(params, [width().map_err(failed)?]);
                inserted.extend([norm.weight, norm.bias].into_iter().flatten());
                Box::new(norm)
            }
            What::RMSNorm => {
                let norm = RMSNorm::new(params, [width().map_err(failed)?]);
                inserted.extend(norm.weight);
                Box::new(norm)
            }
            What::Layer(layer) => layer,
            What::Sequential(specs) => {
                let (layer, out) = build(specs, params, input, rng, &path, inserted)?;
                input = out;
                net.push_boxed(spec.name, Box::new(layer))
                    .map_err(|error| failed(Reason::Name(Box::new(error))))?;
                continue;
            }
        };
        input = match layer.output_shape(params, input) {
            Ok(shape) => InputKind::Values(shape),
            Err(error) => return Err(failed(Reason::Shapes(Box::new(error)))),
        };
        net.push_boxed(spec.name, layer)
            .map_err(|error| failed(Reason::Name(Box::new(error))))?;
    }
    Ok((net, input))
}

impl Dense {
    #[track_caller]
    fn build<T: Scalar>(
        self,
        in_features: usize,
        params: &mut Params<T>,
        rng: &mut impl Rng,
    ) -> Result<crate::layers::Dense, InitError> {
        let Self {
            units,
            bias,
            activation,
            weight_init,
            bias_init,
        } = self;
        let linear = Linear::with(in_features, units).bias(bias);
        let linear = match (weight_init, bias_init) {
            (None, None) => linear.build(params, rng),
            (Some(weight), None) => linear.weight_init(weight).build(params, rng),
            (None, Some(bias)) => linear.bias_init(bias).build(params, rng),
            (Some(weight), Some(bias)) => linear
                .weight_init(weight)
                .bias_init(bias)
                .build(params, rng),
        }?;
        Ok(linear.activated(activation))
    }
}
