//! Printing a parameter.

use std::fmt;

use tiegrad_kernels::scalar::Scalar;

use crate::id::ParamId;
use crate::values::Values;

/// What [`Params::show`](crate::Params::show) returns: prints a parameter's shape, type and values, or, for an id that is
/// not here, why it is not.
#[derive(Debug)]
pub struct Show<'a, T: Scalar> {
    pub(crate) values: &'a Values<T>,
    pub(crate) id: ParamId,
}

impl<T: Scalar> fmt::Display for Show<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (slot, view) = match (self.values.slot(self.id), self.values.view(self.id)) {
            (Ok(slot), Ok(view)) => (slot, view),
            (Err(error), _) | (_, Err(error)) => return write!(f, "Parameter({error})"),
        };
        writeln!(
            f,
            "Parameter({}, {}, requires_grad={})",
            slot.shape,
            T::DTYPE.name(),
            slot.requires_grad
        )?;
        fmt::Display::fmt(&view, f)
    }
}
