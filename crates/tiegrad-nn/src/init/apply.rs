//! One parameter at a time: by its id, and in a layer's constructor.

use rand::Rng;
use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use super::{InitError, Initializer, Target};
use crate::tree::Role;

/// Initializes one parameter, whatever its role.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let mut rng = tiegrad_nn::doc_rng();
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |_| {});
/// init::fill(&mut params, id, init::ones(), &mut rng)?;
/// assert_eq!(params.as_slice(id)?, [1.0, 1.0]);
/// assert!(init::fill(&mut params, id, init::zeros(), &mut rng).is_err()); // it has been: see `refill`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InitError`]: the parameter is not in the arena, has been initialized on purpose before, or cannot be filled by the initializer. Nothing has changed then.
#[track_caller]
pub fn fill<T: Scalar>(
    params: &mut Params<T>,
    id: ParamId,
    initializer: impl Initializer,
    rng: &mut impl Rng,
) -> Result<(), InitError> {
    if let Some(mark) = params.initialized(id)? {
        return Err(InitError::AlreadyInitialized {
            path: String::new(),
            by: initializer.describe(),
            earlier: Box::new(mark.clone()),
        });
    }
    refill(params, id, initializer, rng)
}

/// [`fill`], also of a parameter that has been initialized before.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layer = Linear::with(2, 2).weight_init(init::ones()).build(&mut params, &mut rng)?;
/// init::refill(&mut params, layer.weight, init::eye(), &mut rng)?;
/// assert_eq!(params.as_slice(layer.weight)?, [1.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InitError`]: the parameter is not in the arena, or the initializer cannot fill it. Nothing has changed then.
#[track_caller]
pub fn refill<T: Scalar>(
    params: &mut Params<T>,
    id: ParamId,
    mut initializer: impl Initializer,
    rng: &mut impl Rng,
) -> Result<(), InitError> {
    let shape = params.info(id)?.shape;
    let mut values = vec![0.0; shape.len()];
    initializer.fill(&Target::new("", shape, Role::Weight), &mut values, rng)?;
    for (to, from) in params.as_mut_slice(id)?.iter_mut().zip(values) {
        *to = T::from_f64(from);
    }
    Ok(params.mark_initialized(id, "", &initializer.describe())?)
}

/// A parameter that a layer's constructor is about to insert.
pub(crate) struct Plan<'d> {
    pub(crate) name: &'static str,
    pub(crate) dims: &'d [usize],
    pub(crate) role: Role,
}

impl Plan<'_> {
    fn values(
        &self,
        initializer: &mut dyn Initializer,
        rng: &mut dyn Rng,
    ) -> Result<(Shape, Vec<f64>), InitError> {
        let shape = Shape::new(self.dims)?;
        let mut values = vec![0.0; shape.len()];
        initializer.fill(&Target::new(self.name, shape, self.role), &mut values, rng)?;
        Ok((shape, values))
    }
}

/// Inserts a new parameter with an initializer's values. It has no mark: [`mark_given`] is for those that a user has chosen.
#[track_caller]
pub(crate) fn try_insert<T: Scalar>(
    params: &mut Params<T>,
    plan: &Plan<'_>,
    initializer: &mut dyn Initializer,
    rng: &mut dyn Rng,
) -> Result<ParamId, InitError> {
    let (shape, values) = plan.values(initializer, rng)?;
    let id = params.try_insert_with(shape, |slice| {
        for (to, from) in slice.iter_mut().zip(values) {
            *to = T::from_f64(from);
        }
    });
    id.map_err(|source| InitError::Arena {
        path: plan.name.to_owned(),
        source,
    })
}

/// [`try_insert`] for constructors that do not fail: as [`Params::insert_with`], what could not be inserted is an id whose use is an error.
#[track_caller]
pub(crate) fn insert<T: Scalar>(
    params: &mut Params<T>,
    plan: &Plan<'_>,
    initializer: &mut dyn Initializer,
    rng: &mut dyn Rng,
) -> ParamId {
    try_insert(params, plan, initializer, rng).unwrap_or(ParamId::DEAD)
}

/// Marks what a constructor has just inserted with the initializer that its user gave.
#[track_caller]
pub(crate) fn mark_given<T: Scalar>(
    params: &mut Params<T>,
    id: ParamId,
    name: &str,
    initializer: &dyn Initializer,
) -> Result<(), InitError> {
    Ok(params.mark_initialized(id, name, &initializer.describe())?)
}
