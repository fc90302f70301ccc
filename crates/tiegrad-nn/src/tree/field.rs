//! What a module may hold: parameters, modules, options of these, plain data.

use std::marker::PhantomData;

use tiegrad_arena::ParamId;

use super::module::{Module, Name, ParamUse, Visit, VisitMut};

/// What a field of a [`Module`] can be: a [`ParamId`], a [`Tied`](crate::Tied) use, another module, an `Option` of these, or plain data (numbers, `bool`,
/// strings), which takes no part in the tree. Modules include `Vec`, arrays, tuples and `Box` of such fields.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module)]
/// # #[module(crate = "tiegrad_nn")]
/// struct Net {
///     blocks: Vec<(Linear, ReLU)>,
///     scale: Option<ParamId>,
///     steps: usize,
/// }
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let net = Net { blocks: vec![(Linear::new(&mut params, 2, 2, &mut rng), ReLU)], scale: None, steps: 3 };
/// assert_eq!(net.named_parameters()[0].0, "blocks.0.0.weight");
/// ```
///
/// What is neither does not compile, so that no parameter is missed silently; `#[module(skip)]` leaves a field out.
///
/// ```compile_fail,E0277
/// # use tiegrad_nn::prelude::*;
/// struct Hidden(ParamId);
///
/// #[derive(Module)]
/// # #[module(crate = "tiegrad_nn")]
/// struct Net { hidden: Hidden }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a module",
    label = "no module, no parameter id, no plain data",
    note = "derive `Module` for it, or leave it out of the tree with `#[module(skip)]`"
)]
pub trait Field: 'static {
    /// Shows this field to a visitor under a name: once, or not at all.
    fn enter<'a>(&'a self, name: Name<'_>, v: &mut dyn Visit<'a>);
    /// The same, for those who change ids.
    fn enter_mut(&mut self, name: Name<'_>, v: &mut dyn VisitMut);
}

impl<M: Module> Field for M {
    fn enter<'a>(&'a self, name: Name<'_>, v: &mut dyn Visit<'a>) {
        v.module(name, self);
    }

    fn enter_mut(&mut self, name: Name<'_>, v: &mut dyn VisitMut) {
        v.module(name, self);
    }
}

impl Field for ParamId {
    fn enter<'a>(&'a self, name: Name<'_>, v: &mut dyn Visit<'a>) {
        v.param(name, ParamUse::of_field(name, self));
    }

    fn enter_mut(&mut self, name: Name<'_>, v: &mut dyn VisitMut) {
        v.param(name, self);
    }
}

impl<F: Field> Field for Option<F> {
    fn enter<'a>(&'a self, name: Name<'_>, v: &mut dyn Visit<'a>) {
        if let Some(field) = self {
            field.enter(name, v);
        }
    }

    fn enter_mut(&mut self, name: Name<'_>, v: &mut dyn VisitMut) {
        if let Some(field) = self {
            field.enter_mut(name, v);
        }
    }
}

macro_rules! plain_data {
    ($($ty:ty),* $(,)?) => {$(
        impl Field for $ty {
            fn enter<'a>(&'a self, _: Name<'_>, _: &mut dyn Visit<'a>) {}
            fn enter_mut(&mut self, _: Name<'_>, _: &mut dyn VisitMut) {}
        }
    )*};
}
plain_data!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize
);
plain_data!(
    f32,
    f64,
    bool,
    char,
    String,
    &'static str,
    tiegrad_arena::Shape
);

impl<T: ?Sized + 'static> Field for PhantomData<T> {
    fn enter<'a>(&'a self, _: Name<'_>, _: &mut dyn Visit<'a>) {}
    fn enter_mut(&mut self, _: Name<'_>, _: &mut dyn VisitMut) {}
}
