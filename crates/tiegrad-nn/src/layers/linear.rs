//! The affine map.

use std::fmt;

use ndarray::{ArrayRef1, ArrayRef2};
use rand::Rng;
use tiegrad_arena::{ArenaError, ParamId, Params};
use tiegrad_autodiff::Var;
use tiegrad_derive::Module;
use tiegrad_kernels::Scalar;

use crate::init::{self, InitError, Initializer, Plan, Preset};
use crate::layer::Layer;
use crate::tree::{PyBool, Role, Tied};

/// `y = x wᵀ + b` over the last dimension: x (…, in), w (out, in), b (out), y (…, out).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::new(&mut params, 4, 8, &mut rng);
/// assert_eq!(layer.to_string(), "Linear(in_features=4, out_features=8, bias=True)");
/// let mut tape = Tape::new();
/// let y = layer.forward(tape.eval(&params).full([2, 4], 1.0));
/// assert_eq!(&**y.shape(), [2, 8]);
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "Linear::extra")]
pub struct Linear {
    /// (out_features, in_features)
    pub weight: ParamId,
    /// (out_features)
    pub bias: Option<ParamId>,
    /// The size of the input's last dimension.
    pub in_features: usize,
    /// The size of the output's last dimension.
    pub out_features: usize,
}

impl Linear {
    /// With a bias, both from U(-1/√in, 1/√in): PyTorch's default.
    ///
    /// Does not fail: in a full arena the ids are dead, and their use is an error.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::new(&mut params, 4, 8, &mut rng);
    /// assert!(params.as_slice(layer.weight)?.iter().all(|w| w.abs() <= 0.5)); // 1 / √4
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        in_features: usize,
        out_features: usize,
        rng: &mut impl Rng,
    ) -> Self {
        Self::with(in_features, out_features).insert(params, rng)
    }

    /// With other settings than [`new`](Linear::new)'s.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::with(4, 8).bias(false).weight_init(init::normal(0.0, 0.02)).build(&mut params, &mut rng)?;
    /// assert_eq!(layer.bias, None);
    /// # Ok::<(), init::InitError>(())
    /// ```
    pub fn with(in_features: usize, out_features: usize) -> LinearBuilder {
        let bound = default_bound(in_features);
        LinearBuilder {
            in_features,
            out_features,
            bias: true,
            weight_init: init::uniform(-bound, bound),
            bias_init: init::uniform(-bound, bound),
            given: [false; 2],
        }
    }

    /// From parameters that exist: a tie with whoever else uses them.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let wte = Embedding::new(&mut params, 65, 8, &mut rng);
    /// let head = Linear::from_ids(&params, wte.weight, None)?;
    /// assert_eq!(head.out_features, 65);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a parameter that is not in the arena; a weight that is no matrix; a bias that does not fit it.
    pub fn from_ids<T: Scalar>(
        params: &Params<T>,
        weight: ParamId,
        bias: Option<ParamId>,
    ) -> Result<Self, InitError> {
        let (out_features, in_features) = matrix(params, weight, "the weight of a Linear")?;
        fits(params, bias, out_features)?;
        Ok(Self {
            weight,
            bias,
            in_features,
            out_features,
        })
    }

    /// With copies of these values: a weight (out, in), as PyTorch and Gluon keep it, and a bias (out). They count as initialized.
    ///
    /// ```
    /// use ndarray::array;
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut params = Params::<f32>::new();
    /// let layer = Linear::from_weight(&mut params, &array![[1.0, 2.0, 3.0]], Some(&array![0.5]))?;
    /// assert_eq!((layer.in_features, layer.out_features), (3, 1));
    /// let mut tape = Tape::new();
    /// let y = layer.forward(tape.eval(&params).input(&[1.0, 1.0, 1.0]));
    /// assert_eq!(y.item()?, 6.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a bias that does not fit the weight; a full arena.
    #[track_caller]
    pub fn from_weight<T: Scalar>(
        params: &mut Params<T>,
        weight: &ArrayRef2<T>,
        bias: Option<&ArrayRef1<T>>,
    ) -> Result<Self, InitError> {
        let (out_features, in_features) = weight.dim();
        if let Some(bias) = bias.filter(|bias| bias.len() != out_features) {
            return Err(InitError::Setting {
                what: format!(
                    "a bias for {out_features} outputs has the shape [{out_features}], and this one [{}]",
                    bias.len()
                ),
            });
        }
        let weight = params.insert(&weight.view())?;
        params.mark_initialized(weight, "weight", "Linear::from_weight")?;
        let bias = match bias {
            Some(bias) => {
                let bias = params.insert(&bias.view())?;
                params.mark_initialized(bias, "bias", "Linear::from_weight")?;
                Some(bias)
            }
            None => None,
        };
        Ok(Self {
            weight,
            bias,
            in_features,
            out_features,
        })
    }

    /// With copies of these values: a kernel (in, out), as Keras keeps it, and a bias (out). It is transposed once, here.
    ///
    /// ```
    /// use ndarray::array;
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut params = Params::<f32>::new();
    /// let layer = Linear::from_kernel(&mut params, &array![[1.0], [2.0], [3.0]], None)?;
    /// assert_eq!((layer.in_features, layer.out_features), (3, 1));
    /// assert_eq!(params.value(layer.weight)?, array![[1.0, 2.0, 3.0]].into_dyn());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_weight`](Linear::from_weight).
    #[track_caller]
    pub fn from_kernel<T: Scalar>(
        params: &mut Params<T>,
        kernel: &ArrayRef2<T>,
        bias: Option<&ArrayRef1<T>>,
    ) -> Result<Self, InitError> {
        Self::from_weight(params, &kernel.t(), bias)
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        extra(f, self.in_features, self.out_features, self.bias.is_some())
    }
}

impl Layer for Linear {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let g = x.graph();
        let weight = g.param_ref(&self.weight);
        match &self.bias {
            Some(bias) => x.linear(weight, Some(g.param_ref(bias))),
            None => x.linear(weight, None),
        }
    }
}

/// The settings of a [`Linear`]: what [`Linear::with`] returns. `W` and `B` are the initializers.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let settings = Linear::with(4, 8).bias(false);
/// let [first, second] = [settings.clone().build(&mut params, &mut rng)?, settings.build(&mut params, &mut rng)?];
/// assert_ne!(first.weight, second.weight);
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LinearBuilder<W = Preset, B = Preset> {
    in_features: usize,
    out_features: usize,
    bias: bool,
    weight_init: W,
    bias_init: B,
    /// Whether the user chose the weight's and the bias's initializer.
    given: [bool; 2],
}

impl<W: Initializer, B: Initializer> LinearBuilder<W, B> {
    /// Whether there is a bias.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::with(4, 8).bias(false).build(&mut params, &mut rng)?;
    /// assert_eq!(layer.num_parameters(&params), 32);
    /// # Ok::<(), init::InitError>(())
    /// ```
    pub fn bias(self, bias: bool) -> Self {
        Self { bias, ..self }
    }

    /// The weight's initializer.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::with(2, 2).weight_init(init::ones()).build(&mut params, &mut rng)?;
    /// assert_eq!(params.as_slice(layer.weight)?, [1.0; 4]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight_init<I: Initializer>(self, weight_init: I) -> LinearBuilder<I, B> {
        let Self {
            in_features,
            out_features,
            bias,
            bias_init,
            given: [_, given],
            ..
        } = self;
        LinearBuilder {
            in_features,
            out_features,
            bias,
            weight_init,
            bias_init,
            given: [true, given],
        }
    }

    /// The bias's initializer.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::with(2, 2).bias_init(init::constant(0.1)).build(&mut params, &mut rng)?;
    /// let bias = layer.find("bias")?;
    /// assert_eq!(params.as_slice(bias)?, [0.1; 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bias_init<I: Initializer>(self, bias_init: I) -> LinearBuilder<W, I> {
        let Self {
            in_features,
            out_features,
            bias,
            weight_init,
            given: [given, _],
            ..
        } = self;
        LinearBuilder {
            in_features,
            out_features,
            bias,
            weight_init,
            bias_init,
            given: [given, true],
        }
    }

    /// Lets the initializers so far count as a default, which [`init`](crate::InitExt::init) may replace: a model's own.
    pub(crate) fn by_default(self) -> Self {
        Self {
            given: [false; 2],
            ..self
        }
    }

    /// Inserts the parameters. Those whose initializer was given count as initialized.
    ///
    /// # Errors
    /// [`InitError`]: a full arena, sizes too large, or an initializer that cannot fill.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let layer = Linear::with(4, 8).build(&mut params, &mut rng)?; // as Linear::new
    /// assert_eq!(params.num_elements(), 40);
    /// assert!(Linear::with(usize::MAX, 8).build(&mut params, &mut rng).is_err());
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn build<T: Scalar>(
        mut self,
        params: &mut Params<T>,
        rng: &mut impl Rng,
    ) -> Result<Linear, InitError> {
        let Self {
            in_features,
            out_features,
            given: [weight_given, bias_given],
            ..
        } = self;
        let dims = [out_features, in_features];
        let weight = init::try_insert(params, &weight_plan(&dims), &mut self.weight_init, rng)?;
        if weight_given {
            init::mark_given(params, weight, "weight", &self.weight_init)?;
        }
        let bias = match self.bias {
            true => Some(init::try_insert(
                params,
                &bias_plan(&[out_features]),
                &mut self.bias_init,
                rng,
            )?),
            false => None,
        };
        if let (Some(bias), true) = (bias, bias_given) {
            init::mark_given(params, bias, "bias", &self.bias_init)?;
        }
        Ok(Linear {
            weight,
            bias,
            in_features,
            out_features,
        })
    }

    /// [`build`](Self::build) that does not fail, for presets that cannot: what could not be inserted is a dead id.
    #[track_caller]
    pub(crate) fn insert<T: Scalar>(
        mut self,
        params: &mut Params<T>,
        rng: &mut impl Rng,
    ) -> Linear {
        let Self {
            in_features,
            out_features,
            ..
        } = self;
        let dims = [out_features, in_features];
        let weight = init::insert(params, &weight_plan(&dims), &mut self.weight_init, rng);
        let bias = match self.bias {
            true => Some(init::insert(
                params,
                &bias_plan(&[out_features]),
                &mut self.bias_init,
                rng,
            )),
            false => None,
        };
        Linear {
            weight,
            bias,
            in_features,
            out_features,
        }
    }
}

/// A [`Linear`] whose weight is another module's, plain or transposed, with a bias of its own: an autoencoder's decoder.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
/// let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), true)?;
/// assert_eq!(decoder.to_string(), "TiedLinear(in_features=3, out_features=6, bias=True)");
/// # Ok::<(), init::InitError>(())
/// ```
#[derive(Module, Clone, Debug, PartialEq)]
#[module(crate = "crate", extra_repr = "TiedLinear::extra")]
pub struct TiedLinear {
    /// (out_features, in_features), or the reverse if it is transposed.
    pub weight: Tied,
    /// (out_features)
    pub bias: Option<ParamId>,
    /// The size of the input's last dimension.
    pub in_features: usize,
    /// The size of the output's last dimension.
    pub out_features: usize,
}

impl TiedLinear {
    /// Uses a weight that exists; a bias starts at 0.
    ///
    /// # Errors
    /// [`InitError`]: a weight that is not in the arena or no matrix; a full arena.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let encoder = Linear::new(&mut params, 6, 3, &mut rng);
    /// let decoder = TiedLinear::new(&mut params, Tied::transposed(encoder.weight), false)?;
    /// assert_eq!(decoder.weight.id, encoder.weight);
    /// assert_eq!((decoder.in_features, decoder.out_features), (3, 6));
    /// # Ok::<(), init::InitError>(())
    /// ```
    #[track_caller]
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        weight: Tied,
        bias: bool,
    ) -> Result<Self, InitError> {
        let (rows, cols) = matrix(params, weight.id, "the weight of a TiedLinear")?;
        let (out_features, in_features) = if weight.transposed {
            (cols, rows)
        } else {
            (rows, cols)
        };
        let bias = match bias {
            true => {
                Some(params.try_insert_with(tiegrad_arena::Shape::new(&[out_features])?, |_| {})?)
            }
            false => None,
        };
        Ok(Self {
            weight,
            bias,
            in_features,
            out_features,
        })
    }

    fn extra(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        extra(f, self.in_features, self.out_features, self.bias.is_some())
    }
}

impl Layer for TiedLinear {
    #[track_caller]
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let g = x.graph();
        let weight = self.weight.var(g);
        match &self.bias {
            Some(bias) => x.linear(weight, Some(g.param_ref(bias))),
            None => x.linear(weight, None),
        }
    }
}

/// PyTorch's `reset_parameters`: `kaiming_uniform_(a=√5)`, whose bound √(6 / ((1 + 5) in)) is this, as is its bias's.
fn default_bound(in_features: usize) -> f64 {
    if in_features == 0 {
        0.0
    } else {
        1.0 / (in_features as f64).sqrt()
    }
}

fn weight_plan(dims: &[usize; 2]) -> Plan<'_> {
    Plan {
        name: "weight",
        dims,
        role: Role::Weight,
    }
}

fn bias_plan(dims: &[usize; 1]) -> Plan<'_> {
    Plan {
        name: "bias",
        dims,
        role: Role::Bias,
    }
}

fn extra(
    f: &mut fmt::Formatter<'_>,
    in_features: usize,
    out_features: usize,
    bias: bool,
) -> fmt::Result {
    write!(
        f,
        "in_features={in_features}, out_features={out_features}, bias={}",
        PyBool(bias)
    )
}

/// The sizes of a parameter that must be a matrix.
fn matrix<T: Scalar>(
    params: &Params<T>,
    id: ParamId,
    what: &str,
) -> Result<(usize, usize), InitError> {
    let shape = params.info(id)?.shape;
    match *shape {
        [rows, cols] => Ok((rows, cols)),
        _ => Err(InitError::Setting {
            what: format!("{what} has two dimensions, {id} has the shape {shape}"),
        }),
    }
}

fn fits<T: Scalar>(
    params: &Params<T>,
    bias: Option<ParamId>,
    out_features: usize,
) -> Result<(), InitError> {
    let Some(id) = bias else { return Ok(()) };
    let shape = params.info(id).map_err(|source: ArenaError| source)?.shape;
    match *shape {
        [n] if n == out_features => Ok(()),
        _ => Err(InitError::Setting {
            what: format!("the bias has the shape [{out_features}], {id} has {shape}"),
        }),
    }
}
