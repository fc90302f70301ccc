//! From initializers to values in an arena.

use rand::Rng;
use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use super::{InitError, Initializer, Target, constant};
use crate::select::{Select, Selected, resolve};
use crate::tree::{Module, Role};

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
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`InitError`]: the parameter is not in the arena, or the initializer cannot fill it.
pub fn fill<T: Scalar>(
    params: &mut Params<T>,
    id: ParamId,
    mut initializer: impl Initializer,
    rng: &mut impl Rng,
) -> Result<(), InitError> {
    let shape = params.info(id)?.shape;
    fill_target(
        params,
        id,
        &Target::new("", shape, Role::Weight),
        &mut initializer,
        rng,
    )
}

fn fill_target<T: Scalar>(
    params: &mut Params<T>,
    id: ParamId,
    target: &Target<'_>,
    initializer: &mut dyn Initializer,
    rng: &mut dyn Rng,
) -> Result<(), InitError> {
    let mut values = vec![0.0; target.shape.len()];
    initializer.fill(target, &mut values, rng)?;
    for (to, from) in params.as_mut_slice(id)?.iter_mut().zip(values) {
        *to = T::from_f64(from);
    }
    Ok(())
}

/// Initializes what is selected: see [`ModuleExt::init`](crate::ModuleExt::init).
pub(crate) fn whole<T: Scalar>(
    root: &dyn Module,
    params: &mut Params<T>,
    select: &Select<'_>,
    mut initializer: impl Initializer,
    rng: &mut impl Rng,
) -> Result<(), InitError> {
    let resolved = resolve(root, params, select)?;
    let mut plan = Vec::new();
    for (each, how) in resolved.parameters() {
        let info = params.info(each.id).map_err(|source| InitError::Arena {
            path: each.path.clone(),
            source,
        })?;
        plan.push((each, Target::new(&each.path, info.shape, each.role), how));
    }
    // Every id has been found: what fails from here on is the initializer.
    for (each, target, how) in plan {
        match (how, target.role) {
            (Selected::Itself, _) | (_, Role::Weight) => {
                fill_target(params, each.id, &target, &mut initializer, rng)?
            }
            (Selected::Around, Role::Bias) => {
                fill_target(params, each.id, &target, &mut constant(0.0), rng)?
            }
            (Selected::Around, Role::Gain) => {
                fill_target(params, each.id, &target, &mut constant(1.0), rng)?
            }
        }
    }
    Ok(())
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

/// Inserts a new parameter with an initializer's values.
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
