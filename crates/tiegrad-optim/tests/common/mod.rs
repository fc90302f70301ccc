//! What several tests need; not each needs all of it.
#![allow(dead_code, clippy::unwrap_used)]

use tiegrad_arena::{ParamId, Params, Shape};
use tiegrad_kernels::Scalar;
use tiegrad_optim::Optimizer;

/// Does what a backward pass does that reaches one parameter.
pub(crate) fn set_grad<T: Scalar>(params: &mut Params<T>, id: ParamId, grad: &[T]) {
    let (values, grads) = params.split_mut();
    grads.prepare(values);
    grads.touch(id.index());
    grads.slice_mut(id).unwrap().copy_from_slice(grad);
}

/// A parameter with these values and one dimension.
pub(crate) fn vector<T: Scalar>(params: &mut Params<T>, values: &[T]) -> ParamId {
    let shape = Shape::new(&[values.len()]).unwrap();
    params.insert_with(shape, |w| w.copy_from_slice(values))
}

/// One training step with these gradients; `None` is a parameter that the backward pass does not reach.
pub(crate) fn step<T: Scalar>(
    opt: &mut dyn Optimizer<T>,
    params: &mut Params<T>,
    ids: &[ParamId],
    grads: &[Option<Vec<T>>],
) -> Result<(), String> {
    params.zero_grad();
    for (&id, grad) in ids.iter().zip(grads) {
        if let Some(grad) = grad {
            set_grad(params, id, grad);
        }
    }
    opt.step(params).map_err(|e| e.to_string())
}
