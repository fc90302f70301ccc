//! Printing a parameter.

use std::fmt;

use tiegrad_kernels::scalar::Scalar;

use crate::id::ParamId;
use crate::values::Values;

/// What [`Params::show`](crate::Params::show) returns: prints a parameter's shape, type and values, or, for an id that is
/// not here, why it is not.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
/// assert_eq!(params.show(id).to_string(), "Parameter([2], float32, requires_grad=true)\n[0.5, 0.5]");
/// params.remove(id)?;
/// assert!(params.show(id).to_string().starts_with("Parameter("));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
