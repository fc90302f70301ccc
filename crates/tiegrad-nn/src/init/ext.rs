//! [`InitExt`]: initialization of a whole net, or of a part of it.

use tiegrad_arena::Params;
use tiegrad_kernels::Scalar;

use super::plan::{Before, Entry, run};
use super::{InitError, Initializer, Source};
use crate::select::Select;
use crate::tree::ModuleExt;

/// What every [`Module`](crate::Module) can do to give its parameters their first values.
///
/// Each parameter is initialized on purpose once, however many uses it has: a second time is an error, unless one says [`reinit`](InitExt::reinit). The default that a
/// constructor gives does not count; what [`weight_init`](crate::LinearBuilder::weight_init) and its like say does.
///
/// A call does all of its work or none: names, marks and ties are checked before anything is drawn, and an initializer that fails leaves every value as it was. Values
/// wait in memory of their own until then, as many as are initialized.
///
/// `rng` is `&mut` of a random number generator, which the parameters share in tree order, or [`path_seeded(seed)`](crate::init::path_seeded).
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
/// net.init_at(&mut params, "0", init::xavier_uniform(), &mut rng)?;
/// net.init_rest(&mut params, init::normal(0.0, 0.01), &mut rng)?; // 2.weight
///
/// let error = net.init(&mut params, init::ones(), &mut rng).unwrap_err().to_string();
/// assert!(error.starts_with("0.weight is initialized already, by xavier_uniform(gain=1)"));
/// net.reinit(&mut params, init::ones(), &mut rng)?;
/// assert_eq!(params.as_slice(net.2.weight)?, [1.0; 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait InitExt: ModuleExt {
    /// Initializes the whole net: weights by `initializer`, biases to 0, the gains of normalizations to 1 (and what else the initializer
    /// [covers](Initializer::covers)). Each parameter once, in tree order.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// net.init(&mut params, init::constant(1.0), &mut rng)?;
    /// assert_eq!(params.as_slice(net.2.weight)?, [1.0; 8]);
    /// assert_eq!(params.as_slice(net.find("2.bias")?)?, [0.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError::AlreadyInitialized`]; [`InitError::Conflict`] where the earlier, different one came through another path of a tie (the same one is
    /// just not repeated); a parameter that is not in the arena, or that the initializer cannot fill. Nothing has changed then.
    #[track_caller]
    fn init<T: Scalar>(
        &self,
        params: &mut Params<T>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(
            self,
            params,
            Select::all(),
            initializer,
            Before::Refuse,
            rng,
        )
    }

    /// [`init`](InitExt::init) of what is selected (see [`Select`]). What selects a parameter itself, not merely a module
    /// around it, names it: then biases and gains get the initializer's values too.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// net.init_at(&mut params, "0", init::xavier_uniform(), &mut rng)?; // bias: 0
    /// net.init_at(&mut params, "2.bias", init::constant(42.0), &mut rng)?;
    /// assert_eq!(params.as_slice(net.find("2.bias")?)?, [42.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InitError`]: a selection that is empty, besides those of [`init`](InitExt::init).
    #[track_caller]
    fn init_at<'s, T: Scalar>(
        &self,
        params: &mut Params<T>,
        select: impl Into<Select<'s>>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(self, params, select, initializer, Before::Refuse, rng)
    }

    /// [`init`](InitExt::init), whatever was initialized before (Gluon's `force_reinit`).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// net.init(&mut params, init::normal(0.0, 0.01), &mut rng)?;
    /// assert!(net.init(&mut params, init::constant(1.0), &mut rng).is_err());
    /// net.reinit(&mut params, init::constant(1.0), &mut rng)?;
    /// # Ok::<(), init::InitError>(())
    /// ```
    ///
    /// # Errors
    /// A parameter that is not in the arena, or that the initializer cannot fill. Nothing has changed then.
    #[track_caller]
    fn reinit<T: Scalar>(
        &self,
        params: &mut Params<T>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(self, params, Select::all(), initializer, Before::Force, rng)
    }

    /// [`init_at`](InitExt::init_at), whatever was initialized before.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// net.init(&mut params, init::normal(0.0, 0.01), &mut rng)?;
    /// net.reinit_at(&mut params, "0.bias", init::ones(), &mut rng)?;
    /// # Ok::<(), init::InitError>(())
    /// ```
    ///
    /// # Errors
    /// A selection that is empty, besides those of [`reinit`](InitExt::reinit).
    #[track_caller]
    fn reinit_at<'s, T: Scalar>(
        &self,
        params: &mut Params<T>,
        select: impl Into<Select<'s>>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(self, params, select, initializer, Before::Force, rng)
    }

    /// [`init`](InitExt::init) of what has not been initialized on purpose yet (Gluon's `initialize` without force).
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let first = Linear::with(4, 8).weight_init(init::ones()).build(&mut params, &mut rng)?;
    /// let net = (first, ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// net.init_rest(&mut params, init::constant(42.0), &mut rng)?;
    /// assert_eq!(params.as_slice(net.0.weight)?, [1.0; 32]);
    /// assert_eq!(params.as_slice(net.2.weight)?, [42.0; 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`reinit`](InitExt::reinit).
    #[track_caller]
    fn init_rest<T: Scalar>(
        &self,
        params: &mut Params<T>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(self, params, Select::all(), initializer, Before::Keep, rng)
    }

    /// [`init_at`](InitExt::init_at) of what has not been initialized on purpose yet.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU);
    /// net.init_at(&mut params, "0.bias", init::ones(), &mut rng)?;
    /// net.init_rest_at(&mut params, "0", init::constant(2.0), &mut rng)?;
    /// assert_eq!(params.as_slice(net.find("0.bias")?)?, [1.0; 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A selection that is empty, besides those of [`reinit`](InitExt::reinit).
    #[track_caller]
    fn init_rest_at<'s, T: Scalar>(
        &self,
        params: &mut Params<T>,
        select: impl Into<Select<'s>>,
        initializer: impl Initializer,
        rng: impl Source,
    ) -> Result<(), InitError> {
        one(self, params, select, initializer, Before::Keep, rng)
    }

    /// Several initializers in one call, each for what it selects: a parameter falls to the first that selects it (Gluon's `Mixed`), and what none selects stays as it is.
    /// All or nothing, as every call here.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
    /// let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    /// net.init_each(&mut params, [
    ///     ("**.bias", init::constant(0.1).boxed()),
    ///     ("0", init::xavier_uniform().boxed()),
    ///     ("2", init::by_name("ones")?),
    /// ], &mut rng)?;
    /// assert_eq!(params.as_slice(net.find("2.bias")?)?, [0.1]);
    /// assert_eq!(params.as_slice(net.2.weight)?, [1.0; 8]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`init_at`](InitExt::init_at); [`InitError::Conflict`] where different initializers select a tied parameter by different paths.
    #[track_caller]
    fn init_each<'s, 'i, T: Scalar>(
        &self,
        params: &mut Params<T>,
        each: impl IntoIterator<Item = (impl Into<Select<'s>>, Box<dyn Initializer + 'i>)>,
        mut rng: impl Source,
    ) -> Result<(), InitError> {
        let each = each.into_iter().map(|(select, by)| (select.into(), by));
        let mut each: Vec<(Select<'s>, _)> = each.collect();
        let entries = each.iter_mut().map(|(select, initializer)| Entry {
            select: select.clone(),
            initializer,
        });
        let entries = entries.collect();
        run(self.as_module(), params, entries, Before::Refuse, &mut rng)
    }
}

impl<M: ModuleExt + ?Sized> InitExt for M {}

#[track_caller]
fn one<'s, T: Scalar>(
    root: &(impl ModuleExt + ?Sized),
    params: &mut Params<T>,
    select: impl Into<Select<'s>>,
    mut initializer: impl Initializer,
    before: Before,
    mut rng: impl Source,
) -> Result<(), InitError> {
    let entry = Entry {
        select: select.into(),
        initializer: &mut initializer,
    };
    run(root.as_module(), params, vec![entry], before, &mut rng)
}
