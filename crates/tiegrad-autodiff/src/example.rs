/// For the doc examples of [`Op`](crate::Op)'s parts: defines an op `Example`, an identity without a rule but for the parts given in this order,
/// each `name |argument| expression;`, and runs the rest with `g` a fresh graph. Not a part of the interface.
#[doc(hidden)]
#[macro_export]
macro_rules! example_op {
    (|$g:ident| $($rest:tt)*) => { $crate::example_op! { @kind $g [] $($rest)* } };
    (@kind $g:ident [] kind |$i:pat_param| $kind:expr; $($rest:tt)*) => {
        $crate::example_op! { @shape $g [fn kind(&self, $i: usize) -> ArgKind { $kind }] $($rest)* }
    };
    (@kind $g:ident [] $($rest:tt)*) => { $crate::example_op! { @shape $g [] $($rest)* } };
    (@shape $g:ident [$($fns:tt)*] shape |$args:ident| $shape:expr; $($rest:tt)*) => {
        $crate::example_op! { @saved $g
            [$($fns)* fn shape(&self, $args: &[&Shape]) -> Result<Shape, Problem> { $shape }] $($rest)* }
    };
    (@shape $g:ident $fns:tt $($rest:tt)*) => {
        $crate::example_op! { @shape $g $fns shape |args| Ok(*args[0]); $($rest)* }
    };
    (@saved $g:ident [$($fns:tt)*] saved |$out:ident| $saved:expr; $($rest:tt)*) => {
        $crate::example_op! { @forward $g
            [$($fns)* fn saved(&self, _: &[&Shape], $out: &Shape) -> usize { $saved }] $($rest)* }
    };
    (@saved $g:ident $fns:tt $($rest:tt)*) => { $crate::example_op! { @forward $g $fns $($rest)* } };
    (@forward $g:ident [$($fns:tt)*] forward |$cx:ident| $forward:expr; $($rest:tt)*) => {
        $crate::example_op! { @backward $g [$($fns)*
            fn forward<T: Scalar>(&self, $cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
                $forward;
                Ok(())
            }
        ] $($rest)* }
    };
    (@forward $g:ident $fns:tt $($rest:tt)*) => {
        $crate::example_op! { @forward $g $fns
            forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| x) }; $($rest)* }
    };
    (@backward $g:ident [$($fns:tt)*] backward |$cx:ident| $backward:expr; $($rest:tt)*) => {
        $crate::example_op! { @run $g
            [$($fns)* fn backward<T: Scalar>(&self, $cx: &Backward<'_, '_, T>) { $backward; }] $($rest)* }
    };
    (@backward $g:ident $fns:tt $($rest:tt)*) => {
        $crate::example_op! { @backward $g $fns backward |_cx| {}; $($rest)* }
    };
    (@run $g:ident [$($fns:tt)*] $($test:tt)*) => {{
        #[allow(unused_imports)]
        use ::{tiegrad_arena::{Params, Shape}, tiegrad_kernels::{Scalar, Write, elementwise}};
        #[allow(unused_imports)]
        use $crate::{ArgKind, Backward, Error, Forward, Op, Problem, Sample, Tape};
        #[derive(Clone, Copy)]
        struct Example;
        impl Op for Example {
            const NAME: &'static str = "example";
            fn arity(&self) -> Option<usize> {
                None
            }
            $($fns)*
            fn samples() -> Vec<Sample<Self>> {
                Vec::new()
            }
        }
        fn run() -> Result<(), Error> {
            let (mut params, mut tape) = (Params::<f64>::new(), Tape::new());
            let $g = tape.record(&mut params);
            $($test)*
            Ok(())
        }
        run().unwrap();
    }};
}
