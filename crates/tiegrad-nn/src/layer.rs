//! [`Layer`], and its form behind a pointer.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::Location;

use tiegrad_autodiff::{Part, Var};
use tiegrad_kernels::{Dual, Scalar, ScalarFn};

use crate::tree::Module;

/// A module with one input and one output. `forward` is all that a user writes; it has no data type of its own and runs under `Params<f32>`,
/// `Params<f64>` and dual numbers alike.
///
/// ```
/// use tiegrad_nn::prelude::*;
///
/// #[derive(Module, Clone)]
/// # #[module(crate = "tiegrad_nn")]
/// struct Residual { inner: Linear }
///
/// impl Layer for Residual {
///     fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
///         x + self.inner.forward(x).relu()
///     }
/// }
///
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let block = Residual { inner: Linear::new(&mut params, 4, 4, &mut rng) };
/// let mut tape = Tape::new();
/// let single = block.forward(tape.eval(&params).input(&[1.0, 2.0, 3.0, 4.0])).sum().item()?;
///
/// let precise = params.cast::<f64>();
/// let double = block.forward(tape.eval(&precise).input(&[1.0, 2.0, 3.0, 4.0])).sum().item()?;
/// assert!((f64::from(single) - double).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Errors of the ops within name the line that called `forward`, or, within a user's layer, the line of that layer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer",
    note = "derive `Module` for it and write `impl Layer` with its `forward`"
)]
pub trait Layer: Module {
    /// The output for an input.
    #[track_caller]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T>;
}

impl<L: Layer> Layer for Box<L> {
    #[inline]
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        (**self).forward(x)
    }
}

/// Applies the layers in order.
impl<L: Layer> Layer for Vec<L> {
    fn forward<'t, T: Scalar>(&self, mut x: Var<'t, T>) -> Var<'t, T> {
        let input = x;
        input.enter(|| Part::of(self));
        for (index, layer) in self.iter().enumerate() {
            let before = x;
            before.enter(|| Part::Child(index));
            x = layer.forward(before).leave(before);
        }
        x.leave(input)
    }
}

/// Applies the layers in order.
impl<L: Layer, const N: usize> Layer for [L; N] {
    fn forward<'t, T: Scalar>(&self, mut x: Var<'t, T>) -> Var<'t, T> {
        let input = x;
        input.enter(|| Part::of(self));
        for (index, layer) in self.iter().enumerate() {
            let before = x;
            before.enter(|| Part::Child(index));
            x = layer.forward(before).leave(before);
        }
        x.leave(input)
    }
}

/// Runs a layer in a shape-only pass, as a part of the network that whoever watches is told of.
#[cold]
#[inline(never)]
pub(crate) fn observed<'t, T: Scalar>(
    x: Var<'t, T>,
    part: Part,
    caller: &'static Location<'static>,
    f: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
) -> Var<'t, T> {
    // The closure hides the caller from the ops within.
    x.graph()
        .called_from(file!(), caller, || x.within(|| part, f))
}

macro_rules! tuple {
    ($($layer:ident $index:tt),*) => {
        /// Applies the layers in order.
        impl<$($layer: Layer),*> Layer for ($($layer,)*) {
            #[track_caller]
            #[inline]
            fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
                // Asked once: in an ordinary pass, that is all this costs.
                if x.is_placeholder() {
                    return observed(x, Part::of(self), Location::caller(), |x| {
                        $(let x = x.within(|| Part::Child($index), |x| self.$index.forward(x));)*
                        x
                    });
                }
                $(let x = self.$index.forward(x);)*
                x
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

/// A [`Layer`] behind a pointer: one method for each scalar, of which [`Layer::forward`] of the box picks the right one. Every layer that is `Clone`, `Send`
/// and `Sync` is one; nobody implements it by hand.
///
/// ```
/// use tiegrad_nn::prelude::*;
/// # let (mut params, mut rng) = (Params::<f32>::new(), tiegrad_nn::doc_rng());
/// let layers: Vec<Box<dyn DynLayer>> = vec![Box::new(Linear::new(&mut params, 4, 2, &mut rng)), Box::new(ReLU)];
/// let mut tape = Tape::new();
/// let y = layers.forward(tape.eval(&params).full([3, 4], 1.0));
/// assert_eq!(&**y.shape(), [3, 2]);
/// ```
pub trait DynLayer: Module + Send + Sync {
    #[doc(hidden)]
    fn forward_f32<'t>(&self, x: Var<'t, f32>) -> Var<'t, f32>;
    #[doc(hidden)]
    fn forward_f64<'t>(&self, x: Var<'t, f64>) -> Var<'t, f64>;
    #[doc(hidden)]
    fn forward_dual_f32<'t>(&self, x: Var<'t, Dual<f32>>) -> Var<'t, Dual<f32>>;
    #[doc(hidden)]
    fn forward_dual_f64<'t>(&self, x: Var<'t, Dual<f64>>) -> Var<'t, Dual<f64>>;
    #[doc(hidden)]
    fn clone_box(&self) -> Box<dyn DynLayer>;
}

impl<L: Layer + Clone + Send + Sync> DynLayer for L {
    fn forward_f32<'t>(&self, x: Var<'t, f32>) -> Var<'t, f32> {
        self.forward(x)
    }
    fn forward_f64<'t>(&self, x: Var<'t, f64>) -> Var<'t, f64> {
        self.forward(x)
    }
    fn forward_dual_f32<'t>(&self, x: Var<'t, Dual<f32>>) -> Var<'t, Dual<f32>> {
        self.forward(x)
    }
    fn forward_dual_f64<'t>(&self, x: Var<'t, Dual<f64>>) -> Var<'t, Dual<f64>> {
        self.forward(x)
    }
    fn clone_box(&self) -> Box<dyn DynLayer> {
        Box::new(self.clone())
    }
}

impl dyn DynLayer {
    /// The output for an input.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let relu: Box<dyn DynLayer> = Box::new(ReLU);
    /// let params = Params::<f64>::new();
    /// let mut tape = Tape::new();
    /// let y = relu.forward(tape.eval(&params).input(&[-1.0, 2.0]));
    /// assert_eq!(y.sum().item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let call = Forward {
            layer: self,
            tape: PhantomData,
        };
        // The pointer hides the caller from the ops: an error in them names the line in this file that calls through it.
        x.graph()
            .called_from(file!(), Location::caller(), || T::apply(call, x))
    }

    /// The layer, if it is of this type.
    ///
    /// ```
    /// use tiegrad_nn::prelude::*;
    ///
    /// let layer: Box<dyn DynLayer> = Box::new(Dropout::new(0.1));
    /// assert_eq!(layer.downcast_ref::<Dropout>().map(|d| d.p), Some(0.1));
    /// assert!(layer.downcast_ref::<ReLU>().is_none());
    /// ```
    pub fn downcast_ref<L: Module>(&self) -> Option<&L> {
        let any: &dyn Any = crate::tree::unboxed(self);
        any.downcast_ref()
    }
}

impl Layer for Box<dyn DynLayer> {
    fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
        (**self).forward(x)
    }
}

impl Clone for Box<dyn DynLayer> {
    fn clone(&self) -> Self {
        (**self).clone_box()
    }
}

/// The choice of the method by scalar.
struct Forward<'l, 't> {
    layer: &'l dyn DynLayer,
    tape: PhantomData<Var<'t, f32>>,
}

impl<'t> ScalarFn for Forward<'_, 't> {
    type In<T: Scalar> = Var<'t, T>;
    type Out<T: Scalar> = Var<'t, T>;

    fn call_f32(self, x: Var<'t, f32>) -> Var<'t, f32> {
        self.layer.forward_f32(x)
    }
    fn call_f64(self, x: Var<'t, f64>) -> Var<'t, f64> {
        self.layer.forward_f64(x)
    }
    fn call_dual_f32(self, x: Var<'t, Dual<f32>>) -> Var<'t, Dual<f32>> {
        self.layer.forward_dual_f32(x)
    }
    fn call_dual_f64(self, x: Var<'t, Dual<f64>>) -> Var<'t, Dual<f64>> {
        self.layer.forward_dual_f64(x)
    }
}
