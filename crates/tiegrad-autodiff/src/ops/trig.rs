//! Sine and cosine: elementwise ops of their own, since their vectorized code is not right for huge arguments, which kernels
//! compute apart.

use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, elementwise};

use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

macro_rules! trigonometric {
    ($(
        $(#[doc = $doc:literal])+
        $type:ident, $method:ident, $name:literal, $is:literal, $function:expr, $gradient:expr;
    )*) => {$(
        $(#[doc = $doc])+
        ///
        /// ```
        /// use tiegrad_autodiff::ops;
        /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
        #[doc = concat!("let y = g.apply(ops::", stringify!($type), ", &[g.input(&[1.0])]);")]
        #[doc = concat!("assert!((y.item()? - ", $is, ").abs() < 1e-9);")]
        /// # Ok::<(), tiegrad_autodiff::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug)]
        pub struct $type;

        impl Op for $type {
            const NAME: &'static str = $name;

            fn arity(&self) -> Option<usize> {
                Some(1)
            }

            fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
                Ok(*args[0])
            }

            fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
                let x = cx.arg(0);
                elementwise::map_with(cx.write(), cx.out(), x, $function);
                Ok(())
            }

            fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
                let (x, dy) = (cx.arg(0), cx.dy());
                cx.into(0, |dst| elementwise::zip_with(dst.write, dst.data, x, dy, $gradient));
            }

            fn samples() -> Vec<Sample<Self>> {
                vec![
                    Sample::new($type, [ArgSpec::values([3, 5])]),
                    Sample::new($type, [ArgSpec::values([0, 2])]),
                ]
            }
        }

        impl<'t, T: Scalar> Var<'t, T> {
            $(#[doc = $doc])+
            ///
            /// ```
            /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new();
            /// # let g = tape.eval(&params);
            #[doc = concat!("let y = g.input(&[1.0]).", stringify!($method), "();")]
            #[doc = concat!("assert!((y.item()? - ", $is, ").abs() < 1e-9);")]
            /// # Ok::<(), tiegrad_autodiff::Error>(())
            /// ```
            #[track_caller]
            #[inline]
            pub fn $method(self) -> Var<'t, T> {
                self.graph().apply($type, &[self])
            }
        }
    )*};
}

trigonometric! {
    /// The sine of x radians.
    Sin, sin, "sin", "1.0_f64.sin()", elementwise::Sin, elementwise::SinBackward;

    /// The cosine of x radians.
    Cos, cos, "cos", "1.0_f64.cos()", elementwise::Cos, elementwise::CosBackward;
}
