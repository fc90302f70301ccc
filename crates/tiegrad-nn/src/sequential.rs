//! A list of layers that is made at run time.

use std::ops::Index;

use tiegrad_autodiff::{Part, Var};
use tiegrad_kernels::Scalar;

use crate::layer::{DynLayer, Layer};
use crate::tree::{Field, Module, Name, NameError, Visit, VisitMut, fmt_module};

/// Layers applied in order, of any types, listed at run time. It keeps what static networks have: the same net runs under every scalar,
/// and a clone is tied to the original.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let mut net = Sequential::new();
/// for (i, width) in [(0, 8), (1, 8)] {
///     let inputs = if i == 0 { 4 } else { 8 };
///     net.push_named(format!("block {i}"), (Linear::new(&mut params, inputs, width, &mut rng), ReLU))?;
/// }
/// net.push(Linear::new(&mut params, 8, 1, &mut rng));
///
/// assert_eq!(net.len(), 3);
/// assert_eq!(net.named_parameters()[0].0, "block 0.0.weight");
/// assert_eq!(net.get::<Linear>(2).map(|l| l.out_features), Some(1));
/// assert_eq!(net[1].kind(), "Sequential");
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Default)]
pub struct Sequential {
    children: Vec<Child>,
}

#[derive(Clone)]
struct Child {
    /// `None`: the position.
    name: Option<String>,
    layer: Box<dyn DynLayer>,
}

impl Sequential {
    /// No layers: the identity.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// # let (params, mut tape) = (Params::<f64>::new(), Tape::new());
    /// let identity = Sequential::new();
    /// assert_eq!(identity.forward(tape.eval(&params).input(&[3.0])).item()?, 3.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer at the end; its name is its position.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// let mut net = Sequential::new();
    /// net.push(ReLU).push(Tanh);
    /// assert_eq!(net.len(), 2);
    /// ```
    pub fn push(&mut self, layer: impl DynLayer) -> &mut Self {
        let layer: Box<dyn DynLayer> = Box::new(layer);
        self.children.push(Child { name: None, layer });
        self
    }

    /// Adds a layer at the end under a name, which may hold spaces and dots (in paths, a dot within a name is written `\.`).
    ///
    /// # Errors
    /// [`NameError`]: an empty name, one that another child has, or digits that are not the child's position.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// let mut net = Sequential::new();
    /// net.push_named("squash", Tanh)?;
    /// assert!(net.push_named("squash", ReLU).is_err()); // taken
    /// assert_eq!(net.len(), 1);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn push_named(
        &mut self,
        name: impl Into<String>,
        layer: impl DynLayer,
    ) -> Result<&mut Self, NameError> {
        self.push_boxed(Some(name.into()), Box::new(layer))
    }

    /// [`push_named`](Self::push_named), or [`push`](Self::push) without a name.
    pub(crate) fn push_boxed(
        &mut self,
        name: Option<String>,
        layer: Box<dyn DynLayer>,
    ) -> Result<&mut Self, NameError> {
        let position = self.len();
        let Some(name) = name else {
            self.children.push(Child { name: None, layer });
            return Ok(self);
        };
        let is_position = name == position.to_string();
        if name.is_empty() {
            return Err(NameError::Empty);
        } else if name.bytes().all(|b| b.is_ascii_digit()) && !is_position {
            return Err(NameError::NotThePosition { name, position });
        } else if self
            .children
            .iter()
            .any(|child| child.name.as_ref() == Some(&name))
        {
            return Err(NameError::Taken { name });
        }
        self.children.push(Child {
            name: (!is_position).then_some(name),
            layer,
        });
        Ok(self)
    }

    /// The number of layers.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert_eq!(sequential![ReLU, Tanh].len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// assert!(Sequential::new().is_empty());
    /// assert!(!sequential![ReLU].is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The layers, in order.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let net = sequential![ReLU, Tanh];
    /// assert_eq!(net.iter().map(|layer| layer.kind()).collect::<Vec<_>>(), ["ReLU", "Tanh"]);
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &dyn DynLayer> + DoubleEndedIterator {
        self.children.iter().map(|child| &*child.layer)
    }

    /// The layer at a position, if it is there and of this type.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// let net = sequential![ReLU, Dropout::new(0.1)];
    /// assert_eq!(net.get::<Dropout>(1).map(|layer| layer.p), Some(0.1));
    /// assert!(net.get::<Dropout>(0).is_none());
    /// ```
    pub fn get<L: Layer>(&self, index: usize) -> Option<&L> {
        self.children.get(index)?.layer.downcast_ref()
    }

    /// The name of the child at a position.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    /// use tiegrad_nn::Name;
    ///
    /// let mut net = sequential![ReLU];
    /// net.push_named("squash", Tanh)?;
    /// assert_eq!(net.name(0), Some(Name::Index(0)));
    /// assert_eq!(net.name(1), Some(Name::Field("squash")));
    /// assert_eq!(net.name(2), None);
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn name(&self, index: usize) -> Option<Name<'_>> {
        let child = self.children.get(index)?;
        Some(child.name(index))
    }

    /// The layer of this name.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut net = sequential![ReLU];
    /// net.push_named("squash", Tanh)?;
    /// assert_eq!(net.by_name("squash").map(|layer| layer.kind()), Some("Tanh"));
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn by_name(&self, name: &str) -> Option<&dyn DynLayer> {
        let mut children = self.children.iter().enumerate();
        let (_, child) = children.find(|(index, child)| match child.name(*index) {
            Name::Field(own) => own == name,
            Name::Index(index) => index.to_string() == name,
        })?;
        Some(&*child.layer)
    }
}

impl Child {
    fn name(&self, index: usize) -> Name<'_> {
        self.name.as_deref().map_or(Name::Index(index), Name::Field)
    }
}

impl Layer for Sequential {
    fn forward<'t, T: Scalar>(&self, mut x: Var<'t, T>) -> Var<'t, T> {
        let input = x;
        input.enter(|| Part::of(self));
        for (index, child) in self.children.iter().enumerate() {
            let before = x;
            before.enter(|| Part::Child(index));
            x = child.layer.forward(before).leave(before);
        }
        x.leave(input)
    }
}

impl Module for Sequential {
    fn visit<'a>(&'a self, v: &mut dyn Visit<'a>) {
        for (index, child) in self.children.iter().enumerate() {
            child.layer.enter(child.name(index), v);
        }
    }

    fn visit_mut(&mut self, v: &mut dyn VisitMut) {
        for (index, child) in self.children.iter_mut().enumerate() {
            let name = child
                .name
                .as_deref()
                .map_or(Name::Index(index), Name::Field);
            child.layer.enter_mut(name, v);
        }
    }
}

/// Panics where a slice would: there is no such layer.
impl Index<usize> for Sequential {
    type Output = dyn DynLayer;

    fn index(&self, index: usize) -> &dyn DynLayer {
        &*self.children[index].layer
    }
}

impl<L: DynLayer> FromIterator<L> for Sequential {
    fn from_iter<I: IntoIterator<Item = L>>(layers: I) -> Self {
        let mut net = Self::new();
        net.extend(layers);
        net
    }
}

impl<L: DynLayer> Extend<L> for Sequential {
    fn extend<I: IntoIterator<Item = L>>(&mut self, layers: I) {
        for layer in layers {
            self.push(layer);
        }
    }
}

impl std::fmt::Display for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fmt_module(self, f)
    }
}

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fmt_module(self, f)
    }
}

/// A [`Sequential`] of these layers.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let shared = Linear::new(&mut params, 8, 8, &mut rng);
/// let net = sequential![shared.clone(), ReLU, shared];
/// assert_eq!(net.len(), 3);
/// ```
#[macro_export]
macro_rules! sequential {
    ($($layer:expr),* $(,)?) => {{
        #[allow(unused_mut)]
        let mut net = $crate::Sequential::new();
        $(net.push($layer);)*
        net
    }};
}
