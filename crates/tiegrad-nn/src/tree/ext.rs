//! [`ModuleExt`]: what every module can do, all from the one traversal.

use std::any::Any;

use tiegrad_arena::{ArenaError, ParamId, Params, Selection};
use tiegrad_autodiff::{Error, UseGrads};
use tiegrad_kernels::Scalar;

use super::error::NameError;
use super::listing::Listing;
use super::module::{Module, ParamUse};
use super::picture::Picture;
use super::report::Report;
use super::repr::Repr;
use super::summary::{Summary, Totals};
use super::use_report::UseReport;
use super::uses::{Use, all_uses, named_parameters, nth_parameter};
use super::walk::{At, Walker, walk};
use super::{copies, explain, find, untie};
use crate::layer::DynLayer;
use crate::select::{Select, resolve};

/// What every [`Module`] can do: names, look-up, selection, prints, counts, copies. (Initialization is [`InitExt`](crate::InitExt)'s.)
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
///
/// let names: Vec<_> = net.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// assert_eq!(net.find("2.weight")?, net.2.weight);
/// assert_eq!(net.num_parameters(&params), 49);
/// assert_eq!(net.select(&params, "*.weight")?.len(), 2);
/// # Ok::<(), NameError>(())
/// ```
pub trait ModuleExt {
    /// This module behind a pointer.
    fn as_module(&self) -> &dyn Module;

    /// Shows the whole tree to a walker, root first: what all the other methods are made from. O(tree).
    fn walk<'a, W: Walker<'a>>(&'a self, walker: &mut W) {
        walk(self.as_module(), walker);
    }

    /// Every parameter once, under its first path, in tree order. O(tree).
    fn named_parameters(&self) -> Vec<(String, ParamId)> {
        named_parameters(self.as_module())
    }

    /// Every use of every parameter, in tree order: all paths, each with the use it is an alias of (if it is one) and whether it is
    /// transposed. What a checkpoint stores. O(tree).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let wte = Embedding::new(&mut params, 65, 8, &mut rng);
    /// let uses = (wte.clone(), Linear::from_ids(&params, wte.weight, None)?).all_uses();
    /// assert_eq!((&*uses[1].path, uses[1].alias_of), ("1.weight", Some(0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn all_uses(&self) -> Vec<Use> {
        all_uses(self.as_module())
    }

    /// The parameter at a path, canonical or alias. Walks only along the path.
    ///
    /// # Errors
    /// [`NameError`], which suggests names that are near.
    fn find(&self, path: &str) -> Result<ParamId, NameError> {
        find::find(self.as_module(), path)
    }

    /// The module at a path; `""` is this one.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let net = ((ReLU, Dropout::new(0.1)), Tanh);
    /// assert_eq!(net.find_module("0.1")?.kind(), "Dropout");
    /// # Ok::<(), NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError`], which suggests names that are near.
    fn find_module(&self, path: &str) -> Result<&dyn Module, NameError> {
        find::find_module(self.as_module(), path)
    }

    /// The parameter at a position, with its path: the first path of the `i`th one that is not a tie to an earlier one. O(tree).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.nth(2), Some(("2.weight".to_string(), net.2.weight)));
    /// assert_eq!(net.nth(4), None);
    /// ```
    fn nth(&self, i: usize) -> Option<(String, ParamId)> {
        nth_parameter(self.as_module(), i)
    }

    /// All modules of one type, with their paths, this one included if it is of that type.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// for (path, linear) in net.modules::<Linear>() {
    ///     println!("{path}: {} inputs", linear.in_features);
    /// }
    /// assert_eq!(net.modules::<Linear>()[1].0, "2");
    /// ```
    fn modules<M: Module>(&self) -> Vec<(String, &M)> {
        struct OfType<'a, M>(Vec<(String, &'a M)>);
        impl<'a, M: Module> Walker<'a> for OfType<'a, M> {
            fn enter(&mut self, at: At<'_>, module: &'a dyn Module) {
                let any: &dyn Any = module;
                if let Some(module) = any.downcast_ref() {
                    self.0.push((at.path.to_owned(), module));
                }
            }
            fn param(&mut self, _: At<'_>, _: ParamUse) {}
        }
        let mut modules = OfType(Vec::new());
        self.walk(&mut modules);
        modules.0
    }

    /// Calls `f` with every module, this one first, and its path. To change parameters, let it use `params`.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let mut kinds = Vec::new();
    /// (ReLU, (Tanh,)).apply(|path, module| kinds.push(format!("{path}:{}", module.kind())));
    /// assert_eq!(kinds, [":Sequential", "0:ReLU", "1:Sequential", "1.0:Tanh"]);
    /// ```
    fn apply(&self, f: impl FnMut(&str, &dyn Module)) {
        struct Apply<F>(F);
        impl<'a, F: FnMut(&str, &dyn Module)> Walker<'a> for Apply<F> {
            fn enter(&mut self, at: At<'_>, module: &'a dyn Module) {
                (self.0)(at.path, module);
            }
            fn param(&mut self, _: At<'_>, _: ParamUse) {}
        }
        self.walk(&mut Apply(f));
    }

    /// Some of the parameters: by path, by component, by regular expression, by layer type, by a closure, by id, with exceptions; see [`Select`].
    /// O(tree).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), (Linear::new(&mut params, 8, 1, &mut rng),));
    /// assert_eq!(net.select(&params, "1")?.len(), 2);
    /// assert_eq!(net.select(&params, "*.weight")?.len(), 1);
    /// assert_eq!(net.select(&params, ["**.weight", "!1"])?.len(), 1);
    /// assert_eq!(net.select(&params, Select::by(|_, info| info.shape.rank() == 2))?.len(), 2);
    /// assert_eq!(
    ///     net.select(&params, "2").unwrap_err().to_string(),
    ///     r#""2" selects no parameter; near it: "1", "0""#
    /// );
    /// # Ok::<(), NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError::NothingSelected`] where a text or a type selects nothing, [`NameError::BadRegex`], [`NameError::Arena`].
    fn select<'s, T: Scalar>(
        &self,
        params: &Params<T>,
        select: impl Into<Select<'s>>,
    ) -> Result<Selection, NameError> {
        resolve(self.as_module(), params, &select.into())?.selection(params)
    }

    /// The list of what is selected: path, shape, type, other paths. It prints as a table: what Gluon's `collect_params` shows. O(tree).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.list(&params, ".*weight")?.to_string(), "\
    /// 0.weight  (8, 4)  float32
    /// 2.weight  (1, 8)  float32");
    /// # Ok::<(), NameError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`select`](ModuleExt::select).
    fn list<'s, T: Scalar>(
        &self,
        params: &Params<T>,
        select: impl Into<Select<'s>>,
    ) -> Result<Listing, NameError> {
        let ids = self.select(params, select)?;
        Ok(Listing::new(self.as_module(), params, &ids))
    }

    /// Of each parameter the norm of its value and of its gradient, and the rows of the gradient that are all zeros: dead neurons. O(elements).
    /// See [`Report`], which prints as a table.
    fn report<T: Scalar>(&self, params: &Params<T>) -> Report {
        Report::new(self.as_module(), params)
    }

    /// Elements of all parameters, a tied one counted once.
    fn num_parameters<T: Scalar>(&self, params: &Params<T>) -> usize {
        Totals::new(&all_uses(self.as_module()), params).unique
    }

    /// Elements of all parameters, a tied one counted at every use.
    fn num_parameters_with_duplicates<T: Scalar>(&self, params: &Params<T>) -> usize {
        Totals::new(&all_uses(self.as_module()), params).duplicates_included
    }

    /// The picture of the tree: modules, parameters with shapes, ties, counts.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.tree(&params).to_string(), "\
    /// net  (Sequential)
    /// ├─ 0: Linear      ├─ weight  (8, 4)
    /// │                 └─ bias    (8,)
    /// ├─ 1: ReLU         (no params)
    /// └─ 2: Linear      ├─ weight  (1, 8)
    ///                   └─ bias    (1,)
    ///
    /// 49 parameters");
    /// ```
    fn tree<T: Scalar>(&self, params: &Params<T>) -> Picture {
        Picture::new(self.as_module(), params, None)
    }

    /// The picture of the selected parameters and the modules around them. A tied one is shown with all of its uses, and counts are of what is shown.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.tree_of(&params, "**.bias")?.to_string(), "\
    /// net  (Sequential)
    /// ├─ 0: Linear      └─ bias  (8,)
    /// └─ 2: Linear      └─ bias  (1,)
    ///
    /// 9 parameters");
    /// # Ok::<(), NameError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`select`](ModuleExt::select).
    fn tree_of<'s, T: Scalar>(
        &self,
        params: &Params<T>,
        select: impl Into<Select<'s>>,
    ) -> Result<Picture, NameError> {
        let ids = self.select(params, select)?;
        Ok(Picture::new(self.as_module(), params, Some(&ids)))
    }

    /// The table of all modules with their own parameter counts, and the totals. With output shapes and multiply-adds, for a layer: [`LayerExt::summary`](crate::LayerExt::summary).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// assert_eq!(net.counts(&params).unique, 49);
    /// ```
    fn counts<T: Scalar>(&self, params: &Params<T>) -> Summary {
        Summary::new(self.as_module(), params)
    }

    /// Displays this module in PyTorch's layout. What derives `Module` displays so by itself; tuples and lists need this.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// assert_eq!((ReLU, Tanh).repr().to_string(), "Sequential(\n  (0): ReLU()\n  (1): Tanh()\n)");
    /// ```
    fn repr(&self) -> Repr<'_> {
        Repr(self.as_module())
    }

    /// Freezes what is selected: a training step changes it no more, and a backward pass computes no gradient for it. Returns what was selected.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// let trunk = net.freeze(&mut params, "!1")?; // all but the head
    /// assert_eq!((trunk.len(), params.requires_grad(net.0.weight)?), (2, false));
    /// net.thaw(&mut params, &trunk)?;
    /// assert!(params.requires_grad(net.0.weight)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`select`](ModuleExt::select); nothing has changed then.
    fn freeze<'s, T: Scalar>(
        &self,
        params: &mut Params<T>,
        select: impl Into<Select<'s>>,
    ) -> Result<Selection, NameError> {
        let ids = self.select(params, select)?;
        set_requires_grad(params, ids, false)
    }

    /// The opposite of [`freeze`](ModuleExt::freeze).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// net.freeze(&mut params, Select::all())?;
    /// net.thaw(&mut params, "**.bias")?;
    /// assert_eq!(net.counts(&params).trainable, 9);
    /// # Ok::<(), NameError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`select`](ModuleExt::select); nothing has changed then.
    fn thaw<'s, T: Scalar>(
        &self,
        params: &mut Params<T>,
        select: impl Into<Select<'s>>,
    ) -> Result<Selection, NameError> {
        let ids = self.select(params, select)?;
        set_requires_grad(params, ids, true)
    }

    /// Undoes a tie: the use at a path, canonical or alias, gets a parameter of its own with the same value, which it returns. The other uses stay
    /// together. An optimizer goes on with both as it would have with the one: at its next step the new parameter has the state that the old one has, step count
    /// included, and the settings of its group ([`Params::fork`]).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let shared = Linear::new(&mut params, 8, 8, &mut rng);
    /// let mut net = (shared.clone(), shared);
    /// let weight = net.untie(&mut params, "1.weight")?;
    /// assert_eq!((net.1.weight, net.1.bias), (weight, net.0.bias));
    /// assert_eq!(params.value(net.1.weight)?, params.value(net.0.weight)?);
    /// assert_eq!(
    ///     net.untie(&mut params, "1.weight").unwrap_err().to_string(),
    ///     r#""1.weight" is the only use of its parameter: there is no tie to undo"#
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError`]: no parameter at the path, [`OnlyUse`](NameError::OnlyUse), a parameter that is not in the arena or that it has no room for.
    #[track_caller]
    fn untie<T: Scalar>(&mut self, params: &mut Params<T>, path: &str) -> Result<ParamId, NameError>
    where
        Self: Module,
    {
        let id = untie::fork_use(self.as_module(), params, path)?;
        self.visit_mut(&mut untie::Repoint { rest: path, id });
        Ok(id)
    }

    /// Freezes all parameters (`false`) or thaws them (`true`).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), Linear::new(&mut params, 8, 1, &mut rng));
    /// net.0.requires_grad(&mut params, false)?;
    /// assert_eq!(net.counts(&params).frozen, 40);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ArenaError`]: a parameter that is not in the arena.
    fn requires_grad<T: Scalar>(
        &self,
        params: &mut Params<T>,
        requires_grad: bool,
    ) -> Result<(), ArenaError> {
        let named = self.named_parameters();
        named
            .into_iter()
            .try_for_each(|(_, id)| params.set_requires_grad(id, requires_grad))
    }

    /// An independent copy: new parameters with the same values, ties within the module kept. (`clone` ties the copy to the original.)
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let shared = Linear::new(&mut params, 8, 8, &mut rng);
    /// let net = (shared.clone(), shared);
    /// let copy = net.duplicate(&mut params)?;
    /// assert_ne!(copy.0.weight, net.0.weight);
    /// assert_eq!(copy.0.weight, copy.1.weight);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ArenaError`]: a parameter that is not in the arena, or an arena that is full.
    #[track_caller]
    fn duplicate<T: Scalar>(&self, params: &mut Params<T>) -> Result<Self, ArenaError>
    where
        Self: Module + Clone,
    {
        copies::duplicate(self.clone(), params)
    }

    /// What each use of each parameter contributed to its gradient in a recording that kept the uses apart
    /// ([`Graph::per_use`](tiegrad_autodiff::Graph::per_use)), by the paths of the uses: norms, and the cosine between each two uses of one parameter. The module must not have moved
    /// since the forward pass, or uses of a tied parameter are named by all its paths.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f64>::new(), tiegrad_nn::doc_rng());
    /// let shared = Linear::new(&mut params, 3, 3, &mut rng);
    /// let net = (shared.clone(), Tanh, shared);
    /// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// net.forward(g.full([2, 3], 0.5)).square().sum().backward()?;
    /// println!("{}", net.use_report(&uses));
    /// assert_eq!(net.use_report(&uses).parameters[0].uses[1].path, "2.weight");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn use_report<T: Scalar>(&self, uses: &UseGrads<T>) -> UseReport {
        UseReport::new(self.as_module(), uses)
    }

    /// The text of an op's error, with the paths of the parameters that it names.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 9, 1, &mut rng));
    /// let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// let error = net.forward(g.full([2, 4], 1.0)).value().unwrap_err();
    /// assert!(net.explain(&error).contains("is 2.weight (Linear)"));
    /// ```
    fn explain(&self, error: &Error) -> String {
        explain::explain(self.as_module(), error)
    }
}

fn set_requires_grad<T: Scalar>(
    params: &mut Params<T>,
    ids: Selection,
    requires_grad: bool,
) -> Result<Selection, NameError> {
    for id in ids.iter() {
        let set = params.set_requires_grad(id, requires_grad);
        set.map_err(|source| NameError::Arena {
            path: ids.path(id).unwrap_or_default().to_owned(),
            source,
        })?;
    }
    Ok(ids)
}

impl<M: Module> ModuleExt for M {
    fn as_module(&self) -> &dyn Module {
        self
    }
}

impl ModuleExt for dyn Module {
    fn as_module(&self) -> &dyn Module {
        self
    }
}

impl ModuleExt for dyn DynLayer {
    fn as_module(&self) -> &dyn Module {
        self
    }
}
