//! [`Module`], the one traversal, and what it hands to a visitor.

use std::any::Any;
use std::fmt;

use tiegrad_arena::ParamId;

/// A node of the tree: a layer, a block, a whole network. Derive it:
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module, Clone)]
/// # #[module(crate = "tiegrad_nn")]
/// struct Mlp {
///     hidden: Linear,
///     out: Linear,
/// }
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Mlp { hidden: Linear::new(&mut params, 4, 8, &mut rng), out: Linear::new(&mut params, 8, 1, &mut rng) };
/// assert_eq!(
///     net.to_string(),
///     "Mlp(
///   (hidden): Linear(in_features=4, out_features=8, bias=True)
///   (out): Linear(in_features=8, out_features=1, bias=True)
/// )"
/// );
/// assert_eq!(net.named_parameters()[2].0, "out.weight");
/// ```
///
/// Its one traversal, [`visit`](Module::visit), is what names, prints, counts, selections, initializers and checkpoints are made
/// from: they are methods of [`ModuleExt`](crate::ModuleExt). Written by hand, it is a call of [`Field::enter`](crate::Field::enter) for each field, in order:
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{Field, Visit, VisitMut};
///
/// struct Scale { factor: ParamId }
///
/// impl Module for Scale {
///     fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
///         self.factor.enter("factor".into(), v);
///     }
///     fn visit_mut(&mut self, v: &mut dyn VisitMut) {
///         self.factor.enter_mut("factor".into(), v);
///     }
/// }
/// # let mut params = Params::<f32>::new();
/// let scale = Scale { factor: params.insert_with(Shape::SCALAR, |x| x[0] = 2.0) };
/// assert_eq!(scale.find("factor")?, scale.factor);
/// # Ok::<(), tiegrad_nn::NameError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no module",
    note = "derive it: `#[derive(Module)]`"
)]
pub trait Module: Any {
    /// The type's name as prints show it: that of the Rust type unless said otherwise.
    fn kind(&self) -> &str {
        let name = std::any::type_name::<Self>();
        let name = name.split('<').next().unwrap_or(name);
        name.rsplit("::").next().unwrap_or(name)
    }

    /// Shows every parameter and every module that this one holds directly, in the order of their declaration.
    fn visit<'a>(&'a self, v: &mut dyn Visit<'a>);

    /// The same walk, for those who change ids. It must agree with [`visit`](Module::visit).
    fn visit_mut(&mut self, v: &mut dyn VisitMut);

    /// What a print shows within the parentheses, such as `in_features=4, out_features=8, bias=True`.
    ///
    /// # Errors
    /// Those of the formatter.
    fn extra_repr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        Ok(())
    }

    /// What is inside, if this is a box: the walk sees through it.
    #[doc(hidden)]
    fn unboxed(&self) -> Option<&dyn Module> {
        None
    }

    /// Whether equal neighbours are printed as one, as PyTorch does for a `ModuleList`.
    #[doc(hidden)]
    fn is_list(&self) -> bool {
        false
    }
}

/// The module itself, out of all boxes around it.
pub(crate) fn unboxed(mut module: &dyn Module) -> &dyn Module {
    while let Some(inner) = module.unboxed() {
        module = inner;
    }
    module
}

/// Who is shown the direct parameters and modules of a [`Module`]. Most code wants [`Walker`](crate::Walker), which sees the whole tree and paths.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{Name, ParamUse, Visit};
///
/// struct Children(Vec<String>);
/// impl<'a> Visit<'a> for Children {
///     fn param(&mut self, name: Name<'_>, _: ParamUse) {
///         self.0.push(name.to_string());
///     }
///     fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
///         self.0.push(format!("{name}: {}", module.kind()));
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut children = Children(Vec::new());
/// (Linear::new(&mut params, 2, 2, &mut rng), ReLU).visit(&mut children);
/// assert_eq!(children.0, ["0: Linear", "1: ReLU"]);
/// ```
pub trait Visit<'a> {
    /// A parameter.
    fn param(&mut self, name: Name<'_>, param: ParamUse);
    /// A module. It is the visitor who decides whether to go on into it.
    fn module(&mut self, name: Name<'_>, module: &'a dyn Module);
}

/// Who is shown the same, to change ids.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{Name, VisitMut};
///
/// /// Lets every weight be this one.
/// struct TieAll(ParamId);
/// impl VisitMut for TieAll {
///     fn param(&mut self, name: Name<'_>, id: &mut ParamId) {
///         if name == Name::Field("weight") {
///             *id = self.0;
///         }
///     }
///     fn module(&mut self, _: Name<'_>, module: &mut dyn Module) {
///         module.visit_mut(self);
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut net = (Linear::new(&mut params, 2, 2, &mut rng), Linear::new(&mut params, 2, 2, &mut rng));
/// let first = net.0.weight;
/// net.visit_mut(&mut TieAll(first));
/// assert_eq!(net.1.weight, first);
/// ```
pub trait VisitMut {
    /// A parameter.
    fn param(&mut self, name: Name<'_>, id: &mut ParamId);
    /// A module.
    fn module(&mut self, name: Name<'_>, module: &mut dyn Module);
}

/// The name of a parameter or module within the module that holds it.
///
/// ```
/// use tiegrad_nn::Name;
/// assert_eq!(Name::from("weight"), Name::Field("weight"));
/// assert_eq!(Name::from(3).to_string(), "3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'n> {
    /// A field's name, or one that the user chose.
    Field(&'n str),
    /// A position, in a tuple or a list.
    Index(usize),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

impl<'n> From<&'n str> for Name<'n> {
    fn from(name: &'n str) -> Self {
        Self::Field(name)
    }
}

impl From<usize> for Name<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// One use of a parameter by a module.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// use tiegrad_nn::{At, ParamUse, Role, Walker};
///
/// struct Biases(usize);
/// impl<'a> Walker<'a> for Biases {
///     fn param(&mut self, _: At<'_>, param: ParamUse) {
///         self.0 += usize::from(param.role == Role::Bias);
///     }
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut biases = Biases(0);
/// Linear::new(&mut params, 2, 2, &mut rng).walk(&mut biases);
/// assert_eq!(biases.0, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamUse {
    /// Which parameter.
    pub id: ParamId,
    /// Whether this use takes it transposed.
    pub transposed: bool,
    /// What it is there for.
    pub role: Role,
    /// The address of the field that holds the id (0: unknown): what tells a tied parameter's uses apart.
    pub(crate) field: usize,
}

impl ParamUse {
    /// A plain use; the role follows from the name.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// use tiegrad_nn::{ParamUse, Role};
    ///
    /// # let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::SCALAR, |_| {});
    /// let param = ParamUse::new("bias".into(), id);
    /// assert_eq!((param.id, param.role, param.transposed), (id, Role::Bias, false));
    /// ```
    pub fn new(name: Name<'_>, id: ParamId) -> Self {
        Self {
            id,
            transposed: false,
            role: Role::of(name),
            field: 0,
        }
    }

    /// The use by a field.
    pub(crate) fn of_field(name: Name<'_>, id: &ParamId) -> Self {
        Self {
            field: std::ptr::from_ref(id).addr(),
            ..Self::new(name, *id)
        }
    }
}

/// What a parameter is there for: what a whole-net initializer does with it.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 2, 2, &mut rng), LayerNorm::new(&mut params, 2));
/// net.init(&mut params, init::constant(0.5), &mut rng)?;
/// assert_eq!(params.as_slice(net.find("0.weight")?)?, [0.5; 4]); // Role::Weight
/// assert_eq!(params.as_slice(net.find("0.bias")?)?, [0.0; 2]); // Role::Bias
/// assert_eq!(params.as_slice(net.find("1.weight")?)?, [1.0; 2]); // Role::Gain
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Multiplies inputs: gets the initializer's values.
    Weight,
    /// Is added: becomes 0.
    Bias,
    /// Scales what was normalized: becomes 1.
    Gain,
}

impl Role {
    /// The role that a name suggests: `bias`, and names that start with `bias_` or end in `_bias`, are biases, all else are weights.
    ///
    /// ```
    /// use tiegrad_nn::Role;
    /// assert_eq!(Role::of("bias_ih".into()), Role::Bias);
    /// assert_eq!(Role::of("weight".into()), Role::Weight);
    /// ```
    pub fn of(name: Name<'_>) -> Self {
        match name {
            Name::Field(name)
                if name == "bias" || name.ends_with("_bias") || name.starts_with("bias_") =>
            {
                Self::Bias
            }
            _ => Self::Weight,
        }
    }
}

/// Gives the parameters of one field another role: what `#[module(role = "…")]` becomes.
#[doc(hidden)]
pub struct WithRole<'v, 'a> {
    inner: &'v mut dyn Visit<'a>,
    role: Role,
}

impl<'v, 'a> WithRole<'v, 'a> {
    #[doc(hidden)]
    pub fn new(inner: &'v mut dyn Visit<'a>, role: Role) -> Self {
        Self { inner, role }
    }
}

impl<'a> Visit<'a> for WithRole<'_, 'a> {
    fn param(&mut self, name: Name<'_>, param: ParamUse) {
        self.inner.param(
            name,
            ParamUse {
                role: self.role,
                ..param
            },
        );
    }

    /// A module's own parameters have their own roles.
    fn module(&mut self, name: Name<'_>, module: &'a dyn Module) {
        self.inner.module(name, module);
    }
}
