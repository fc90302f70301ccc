//! Layers without input sizes: what [`Sequential::build`](crate::Sequential::build) makes a network of once it knows an input's shape.
//!
//! ```
//! use tiegrad_nn::prelude::*;
//!
//! # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
//! // Keras: Sequential([Flatten(), Dense(8, activation="relu"), Dense(1)]), built by net(X)
//! let net = Sequential::build([flatten(), dense(8).relu(), dense(1)], &mut params, [2, 4], &mut rng)?;
//! assert_eq!(net.get::<Dense>(1).map(|layer| layer.linear.in_features), Some(4));
//! assert_eq!(net.get::<Linear>(2).map(|layer| layer.in_features), Some(8));
//! assert_eq!(&*net.output_shape(&params, [2, 4])?, [2, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod error;

use std::fmt;

use tiegrad_arena::ParamId;

use crate::init::Initializer;
use crate::layer::DynLayer;
use crate::layers::{
    Activation, Dropout, Flatten, GELU, GELUTanh, Identity, LeakyReLU, ReLU, SiLU, Sigmoid,
    Softmax, Tanh,
};
use crate::tree::{Module, ModuleExt};

pub use error::{BuildError, NotBuilt, Reason};

/// A layer whose input size is not known yet: what [`dense`], [`flatten`] and the other functions of [this module](self) return.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// let spec = dense(8).bias(false).relu().named("hidden");
/// assert_eq!(spec.to_string(), r#"dense(8).bias(false).relu().named("hidden")"#);
/// ```
#[must_use = "a spec does nothing before a network is built of it: `Sequential::build`"]
pub struct Spec {
    name: Option<String>,
    what: What,
}

enum What {
    Dense(Dense),
    Embedding { rows: usize, width: usize },
    LayerNorm,
    RMSNorm,
    Sequential(Vec<Spec>),
    Layer(Box<dyn DynLayer>),
}

struct Dense {
    units: usize,
    bias: bool,
    activation: Activation,
    weight_init: Option<Box<dyn Initializer>>,
    bias_init: Option<Box<dyn Initializer>>,
}

/// An affine map to `units` outputs: a [`Linear`](crate::Linear), or, with an activation ([`relu`](Spec::relu), …), a [`Dense`](crate::Dense).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([dense(3)], &mut params, [2, 5], &mut rng)?;
/// assert_eq!(params.info(net.find("0.weight")?)?.shape, [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn dense(units: usize) -> Spec {
    Spec::of(What::Dense(Dense {
        units,
        bias: true,
        activation: Activation::Linear,
        weight_init: None,
        bias_init: None,
    }))
}

/// A table of `rows` vectors of `width` numbers: an [`Embedding`](crate::Embedding). Its input is indices: [`tokens`](crate::tokens).
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([embedding(65, 8), dense(65)], &mut params, tokens([2, 16]), &mut rng)?;
/// assert_eq!(&*net.output_shape(&params, tokens([2, 16]))?, [2, 16, 65]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn embedding(rows: usize, width: usize) -> Spec {
    Spec::of(What::Embedding { rows, width })
}

/// A [`LayerNorm`](crate::LayerNorm) over the input's last dimension.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([layer_norm()], &mut params, [2, 5], &mut rng)?;
/// assert_eq!(net.get::<LayerNorm>(0).map(|norm| norm.normalized_shape), Some(Shape::new(&[5])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn layer_norm() -> Spec {
    Spec::of(What::LayerNorm)
}

/// An [`RMSNorm`](crate::RMSNorm) over the input's last dimension.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([rms_norm()], &mut params, [2, 5], &mut rng)?;
/// assert_eq!(net.get::<RMSNorm>(0).map(|norm| norm.normalized_shape), Some(Shape::new(&[5])?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn rms_norm() -> Spec {
    Spec::of(What::RMSNorm)
}

/// A [`Sequential`](crate::Sequential) within.
///
/// ```
/// use tiegrad_nn::{prelude::*, spec};
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let block = || spec::sequential([dense(8), relu(), dense(4), relu()]);
/// let net = Sequential::build([block().named("block 0"), block().named("block 1"), dense(1)], &mut params, [2, 4], &mut rng)?;
/// assert!(net.find("block 1.0.bias").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sequential(specs: impl IntoIterator<Item = Spec>) -> Spec {
    Spec::of(What::Sequential(specs.into_iter().collect()))
}

/// A layer that exists: one of the user's own, or, twice, a tie.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let specs = [dense(8).relu(), layer(shared.clone()), relu(), layer(shared), dense(1)];
/// let net = Sequential::build(specs, &mut params, [2, 4], &mut rng)?;
/// assert_eq!(net.find("1.weight")?, net.find("3.weight")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn layer(layer: impl DynLayer) -> Spec {
    Spec::of(What::Layer(Box::new(layer)))
}

/// A [`Flatten`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([flatten(), dense(10)], &mut params, [2, 28, 28], &mut rng)?;
/// assert_eq!(net.get::<Linear>(1).map(|layer| layer.in_features), Some(784));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn flatten() -> Spec {
    layer(Flatten)
}

/// A [`ReLU`] as a child of its own.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([dense(8), relu()], &mut params, [2, 4], &mut rng)?;
/// assert_eq!(net[1].kind(), "ReLU");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn relu() -> Spec {
    layer(ReLU)
}

/// A [`Dropout`].
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Sequential::build([dropout(0.1), dense(1)], &mut params, [2, 4], &mut rng)?;
/// assert_eq!(net.get::<Dropout>(0).map(|layer| layer.p), Some(0.1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn dropout(p: f64) -> Spec {
    layer(Dropout::new(p))
}

impl Spec {
    fn of(what: What) -> Self {
        Self { name: None, what }
    }

    /// Gives the child a name other than its position; it may hold spaces.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(8).named("block 2")], &mut params, [2, 4], &mut rng)?;
    /// assert_eq!(net.named_parameters()[0].0, "block 2.weight");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether a [`dense`] layer has a bias. Nothing else heeds it.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(8).bias(false)], &mut params, [2, 4], &mut rng)?;
    /// assert_eq!(net.num_parameters(&params), 32);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bias(mut self, bias: bool) -> Self {
        if let What::Dense(dense) = &mut self.what {
            dense.bias = bias;
        }
        self
    }

    /// The initializer of a [`dense`] layer's weight. Nothing else heeds it.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(1).weight_init(init::ones())], &mut params, [2, 4], &mut rng)?;
    /// assert_eq!(params.as_slice(net.find("0.weight")?)?, [1.0; 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight_init(mut self, initializer: impl Initializer + 'static) -> Self {
        if let What::Dense(dense) = &mut self.what {
            dense.weight_init = Some(Box::new(initializer));
        }
        self
    }

    /// The initializer of a [`dense`] layer's bias. Nothing else heeds it.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(1).bias_init(init::zeros())], &mut params, [2, 4], &mut rng)?;
    /// assert_eq!(params.as_slice(net.find("0.bias")?)?, [0.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bias_init(mut self, initializer: impl Initializer + 'static) -> Self {
        if let What::Dense(dense) = &mut self.what {
            dense.bias_init = Some(Box::new(initializer));
        }
        self
    }

    /// An activation behind it: fused into a [`dense`] layer that has none yet; behind anything else, both become a [`sequential`].
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = Sequential::build([dense(8).activation(Activation::GELU)], &mut params, [2, 4], &mut rng)?;
    /// assert_eq!(net.get::<Dense>(0).map(|layer| layer.activation), Some(Activation::GELU));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn activation(mut self, activation: Activation) -> Self {
        match &mut self.what {
            What::Dense(dense) if dense.activation == Activation::Linear => {
                dense.activation = activation;
                self
            }
            _ => {
                let name = self.name.take();
                let both = sequential([self, Self::of(What::Layer(own_layer(activation)))]);
                Self { name, ..both }
            }
        }
    }

    /// [`activation`](Spec::activation) ReLU.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(dense(8).relu().to_string(), "dense(8).relu()");
    /// ```
    #[inline]
    pub fn relu(self) -> Self {
        self.activation(Activation::ReLU)
    }

    /// [`activation`](Spec::activation) tanh.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(dense(8).tanh().to_string(), "dense(8).tanh()");
    /// ```
    #[inline]
    pub fn tanh(self) -> Self {
        self.activation(Activation::Tanh)
    }

    /// [`activation`](Spec::activation) sigmoid.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(dense(8).sigmoid().to_string(), "dense(8).sigmoid()");
    /// ```
    #[inline]
    pub fn sigmoid(self) -> Self {
        self.activation(Activation::Sigmoid)
    }

    /// [`activation`](Spec::activation) GELU, with the error function.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(dense(8).gelu().to_string(), "dense(8).gelu()");
    /// ```
    #[inline]
    pub fn gelu(self) -> Self {
        self.activation(Activation::GELU)
    }

    /// Always an error: a spec has no parameters yet.
    ///
    /// # Errors
    /// [`NotBuilt`], which says what to do.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(
    ///     dense(8).relu().find("weight").unwrap_err().to_string(),
    ///     "dense(8).relu() has no parameters yet: their sizes follow from an input's shape, as in \
    ///      `Sequential::build([dense(8).relu()], &mut params, [2, 4], &mut rng)`"
    /// );
    /// ```
    pub fn find(&self, path: &str) -> Result<ParamId, NotBuilt> {
        let _ = path;
        Err(NotBuilt(self.to_string()))
    }

    /// Always an error: a spec has no parameters yet.
    ///
    /// # Errors
    /// [`NotBuilt`], which says what to do.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert!(dense(8).named_parameters().is_err());
    /// ```
    pub fn named_parameters(&self) -> Result<Vec<(String, ParamId)>, NotBuilt> {
        Err(NotBuilt(self.to_string()))
    }

    fn kind(&self) -> String {
        match &self.what {
            What::Dense(dense) if dense.activation == Activation::Linear => "Linear".into(),
            What::Dense(_) => "Dense".into(),
            What::Embedding { .. } => "Embedding".into(),
            What::LayerNorm => "LayerNorm".into(),
            What::RMSNorm => "RMSNorm".into(),
            What::Sequential(_) => "Sequential".into(),
            What::Layer(layer) => layer.kind().into(),
        }
    }
}

// Inline, and so all that leads here: a box holds its layer's code for four scalars, which only the crate that asks for it shall compile.
#[inline]
fn own_layer(activation: Activation) -> Box<dyn DynLayer> {
    match activation {
        Activation::Linear => Box::new(Identity),
        Activation::ReLU => Box::new(ReLU),
        Activation::LeakyReLU(negative_slope) => Box::new(LeakyReLU { negative_slope }),
        Activation::GELU => Box::new(GELU),
        Activation::GELUTanh => Box::new(GELUTanh),
        Activation::SiLU => Box::new(SiLU),
        Activation::Sigmoid => Box::new(Sigmoid),
        Activation::Tanh => Box::new(Tanh),
        Activation::Softmax => Box::new(Softmax { dim: -1 }),
    }
}

/// As it is written.
impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Dense(dense) => {
                write!(f, "dense({})", dense.units)?;
                if !dense.bias {
                    f.write_str(".bias(false)")?;
                }
                match dense.activation {
                    Activation::Linear => {}
                    activation @ (Activation::ReLU
                    | Activation::Tanh
                    | Activation::Sigmoid
                    | Activation::GELU) => write!(f, ".{activation}()")?,
                    activation => write!(f, ".activation({activation})")?,
                }
            }
            What::Embedding { rows, width } => write!(f, "embedding({rows}, {width})")?,
            What::LayerNorm => f.write_str("layer_norm()")?,
            What::RMSNorm => f.write_str("rms_norm()")?,
            What::Sequential(specs) => {
                f.write_str("sequential([")?;
                for (i, spec) in specs.iter().enumerate() {
                    write!(f, "{}{spec}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("])")?;
            }
            What::Layer(layer) => write!(f, "layer({})", layer.repr())?,
        }
        match &self.name {
            Some(name) => write!(f, ".named({name:?})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
