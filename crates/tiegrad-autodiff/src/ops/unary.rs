//! Elementwise functions of one operand.

use tiegrad_arena::Shape;
use tiegrad_kernels::{Arithmetic, Scalar, elementwise};

use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// A differentiable function of one number; it makes an elementwise [`Op`].
///
/// ```
/// use tiegrad_autodiff::{Tape, ArgSpec, ops::Unary};
/// use tiegrad_kernels::Arithmetic;
///
/// /// x / (1 + |x|)
/// #[derive(Clone, Copy)]
/// struct Softsign;
/// impl Unary for Softsign {
///     const NAME: &'static str = "softsign";
///     const USES_RESULT: bool = false;
///     #[inline(always)]
///     fn call<T: Arithmetic>(self, x: T) -> T {
///         x / (T::ONE + x.abs())
///     }
///     #[inline(always)]
///     fn derivative<T: Arithmetic>(self, x: T, _: T) -> T {
///         let d = T::ONE + x.abs();
///         (d * d).recip()
///     }
///     fn settings() -> Vec<(Self, ArgSpec)> {
///         vec![(Softsign, ArgSpec::values([5]))]
///     }
/// }
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = Tape::new(); let g = tape.record(&mut params);
/// let x = g.leaf(&[1.0]);
/// assert_eq!(g.apply(Softsign, &[x]).backward()?, 0.5);
/// assert_eq!(x.grad()?, Some(ndarray::array![0.25].into_dyn()));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
pub trait Unary: Copy + Send + Sync + 'static {
    /// PyTorch's name.
    const NAME: &'static str;
    /// Whether [`derivative`](Unary::derivative) looks at its second argument.
    const USES_RESULT: bool;
    /// f(x). Marked `#[inline(always)]`, it runs on several numbers at once however long it is; a long one that is not may stay a call, which is
    /// far slower.
    fn call<T: Arithmetic>(self, x: T) -> T;
    /// f'(x), given x and y = f(x).
    fn derivative<T: Arithmetic>(self, x: T, y: T) -> T;
    /// dx = f'(x) dy, given x, y = f(x) and dy. A function that is constant somewhere selects instead, as PyTorch does: 0 there, whatever dy is.
    #[inline(always)]
    fn gradient<T: Arithmetic>(self, x: T, y: T, dy: T) -> T {
        self.derivative(x, y) * dy
    }
    /// Samples: settings and operand.
    fn settings() -> Vec<(Self, ArgSpec)>;
}

impl<U: Unary> Op for U {
    const NAME: &'static str = <U as Unary>::NAME;

    fn arity(&self) -> Option<usize> {
        Some(1)
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        Ok(*args[0])
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let x = cx.arg(0);
        elementwise::map_with(cx.write(), cx.out(), x, Inlined(*self));
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (x, y, dy, f) = (cx.arg(0), cx.out(), cx.dy(), *self);
        cx.into(0, |dst| {
            if U::USES_RESULT {
                elementwise::zip3(dst.write, dst.data, x, y, dy, move |x, y, dy| {
                    f.gradient(x, y, dy)
                });
            } else {
                elementwise::zip_with(dst.write, dst.data, x, dy, Inlined(f));
            }
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let empty = |(op, spec): (Self, ArgSpec)| match spec {
            ArgSpec::Values {
                range,
                kinks,
                distinct,
                ..
            } => Sample::new(
                op,
                [ArgSpec::Values {
                    shape: vec![0, 2],
                    range,
                    kinks,
                    distinct,
                }],
            ),
            other => Sample::new(op, [other]),
        };
        let mut samples: Vec<_> = Self::settings()
            .into_iter()
            .map(|(op, spec)| Sample::new(op, [spec]))
            .collect();
        samples.extend(Self::settings().into_iter().take(1).map(empty));
        samples
    }
}

/// A function, and its rule, in the form that kernels inline into their loops however long it is.
#[derive(Clone, Copy)]
struct Inlined<U>(U);

impl<T: Arithmetic, U: Unary> elementwise::Unary<T> for Inlined<U> {
    #[inline(always)]
    fn call(self, x: T) -> T {
        self.0.call(x)
    }
}

impl<T: Arithmetic, U: Unary> elementwise::Binary<T> for Inlined<U> {
    #[inline(always)]
    fn call(self, x: T, dy: T) -> T {
        self.0.gradient(x, T::ZERO, dy)
    }
}

/// Declares an elementwise op without settings: type, Var method, documentation with an example, function, derivative, samples.
macro_rules! unary {
    ($(
        $(#[doc = $doc:literal])+
        $type:ident, $method:ident, $name:literal, ($at:literal => $is:literal),
        |$x:ident| $f:expr, |$dx:ident, $dy:ident| $df:expr, $(gradient: |$gx:ident, $gdy:ident| $g:expr,)?
        uses result: $uses:literal, $spec:expr;
    )*) => {$(
        $(#[doc = $doc])+
        ///
        /// ```
        /// use tiegrad_autodiff::ops;
        /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
        #[doc = concat!("let y = g.apply(ops::", stringify!($type), ", &[g.input(&[", $at, "])]);")]
        #[doc = concat!("assert!((y.item()? - (", $is, ")).abs() < 1e-9);")]
        /// # Ok::<(), tiegrad_autodiff::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug)]
        pub struct $type;

        impl Unary for $type {
            const NAME: &'static str = $name;
            const USES_RESULT: bool = $uses;
            #[inline(always)]
            fn call<T: Arithmetic>(self, $x: T) -> T {
                $f
            }
            #[inline(always)]
            fn derivative<T: Arithmetic>(self, $dx: T, $dy: T) -> T {
                $df
            }
            $(
                #[inline(always)]
                fn gradient<T: Arithmetic>(self, $gx: T, _: T, $gdy: T) -> T {
                    $g
                }
            )?
            fn settings() -> Vec<(Self, ArgSpec)> {
                vec![($type, $spec)]
            }
        }

        impl<'t, T: Scalar> Var<'t, T> {
            $(#[doc = $doc])+
            ///
            /// ```
            /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new();
            /// # let g = tape.eval(&params);
            #[doc = concat!("let y = g.input(&[", $at, "]).", stringify!($method), "();")]
            #[doc = concat!("assert!((y.item()? - (", $is, ")).abs() < 1e-9);")]
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

/// Values of `T` that appear in the formulas below.
#[inline(always)]
fn c<T: Arithmetic>(x: f64) -> T {
    T::from_f64(x)
}

#[inline(always)]
fn step<T: Arithmetic>(x: T) -> T {
    if x > T::ZERO { T::ONE } else { T::ZERO }
}

unary! {
    /// max(x, 0); NaN stays NaN. As in PyTorch, the derivative at 0 is 0, and the gradient is 0 where x <= 0 whatever comes back, and passes elsewhere.
    Relu, relu, "relu", ("-2.0" => "0.0"),
    |x| if x < T::ZERO { T::ZERO } else { x },
    |x, _y| if x <= T::ZERO { T::ZERO } else { T::ONE },
    gradient: |x, dy| if x <= T::ZERO { T::ZERO } else { dy }, uses result: false,
    ArgSpec::values([3, 5]).away_from(&[0.0]);

    /// x Φ(x) with the exact normal distribution function: `0.5 x (1 + erf(x/√2))` (Hendrycks & Gimpel, arXiv:1606.08415).
    Gelu, gelu, "gelu", ("1.0" => "0.841344746068543"),
    |x| elementwise::Unary::call(elementwise::Gelu, x),
    |x, _y| elementwise::Binary::call(elementwise::GeluBackward, x, T::ONE), uses result: false,
    ArgSpec::values([3, 5]).range(-4.0, 4.0);

    /// The tanh form of GELU: `0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))` (arXiv:1606.08415).
    GeluTanh, gelu_tanh, "gelu_tanh", ("1.0" => "0.8411919906082768"),
    |x| elementwise::Unary::call(elementwise::GeluTanh, x),
    |x, _y| elementwise::Binary::call(elementwise::GeluTanhBackward, x, T::ONE), uses result: false,
    ArgSpec::values([3, 5]).range(-4.0, 4.0);

    /// The hyperbolic tangent.
    Tanh, tanh, "tanh", ("0.5" => "0.5_f64.tanh()"),
    |x| x.tanh(), |_x, y| T::ONE - y * y, uses result: true,
    ArgSpec::values([3, 5]);

    /// 1 / (1 + e⁻ˣ)
    Sigmoid, sigmoid, "sigmoid", ("0.0" => "0.5"),
    |x| x.sigmoid(), |_x, y| y * (T::ONE - y), uses result: true,
    ArgSpec::values([3, 5]);

    /// x sigmoid(x), also called swish (arXiv:1702.03118).
    Silu, silu, "silu", ("1.0" => "0.7310585786300049"),
    |x| x * x.sigmoid(),
    |x, _y| {
        let s = x.sigmoid();
        s * (T::ONE + x * (T::ONE - s))
    }, uses result: false,
    ArgSpec::values([3, 5]);

    /// eˣ
    Exp, exp, "exp", ("1.0" => "1.0_f64.exp()"),
    |x| x.exp(), |_x, y| y, uses result: true,
    ArgSpec::values([3, 5]);

    /// eˣ - 1, exact for small x.
    Expm1, expm1, "expm1", ("1e-5" => "1e-5_f64.exp_m1()"),
    |x| x.exp_m1(), |_x, y| y + T::ONE, uses result: true,
    ArgSpec::values([3, 5]);

    /// The natural logarithm.
    Log, log, "log", ("2.0" => "2.0_f64.ln()"),
    |x| x.ln(), |x, _y| x.recip(), uses result: false,
    ArgSpec::values([3, 5]).range(0.3, 3.0);

    /// ln(1 + x), exact for small x.
    Log1p, log1p, "log1p", ("1e-5" => "1e-5_f64.ln_1p()"),
    |x| x.ln_1p(), |x, _y| (T::ONE + x).recip(), uses result: false,
    ArgSpec::values([3, 5]).range(-0.6, 2.0);

    /// The square root.
    Sqrt, sqrt, "sqrt", ("4.0" => "2.0"),
    |x| x.sqrt(), |_x, y| c::<T>(0.5) / y, uses result: true,
    ArgSpec::values([3, 5]).range(0.3, 3.0);

    /// x²
    Square, square, "square", ("3.0" => "9.0"),
    |x| x * x, |x, _y| x + x, uses result: false,
    ArgSpec::values([3, 5]);

    /// |x|; the derivative at 0 is 0, as in PyTorch.
    Abs, abs, "abs", ("-3.0" => "3.0"),
    |x| x.abs(), |x, _y| step(x) - step(-x), uses result: false,
    ArgSpec::values([3, 5]).away_from(&[0.0]);

    /// The error function: 2/√π ∫₀ˣ exp(-t²) dt.
    Erf, erf, "erf", ("1.0" => "0.8427007929497149"),
    |x| x.erf(),
    |x, _y| c::<T>(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp(), uses result: false,
    ArgSpec::values([3, 5]);

    /// 1 / x
    Reciprocal, reciprocal, "reciprocal", ("4.0" => "0.25"),
    |x| x.recip(), |_x, y| -y * y, uses result: true,
    ArgSpec::values([3, 5]).range(0.4, 2.0);
}

/// Declares an elementwise op with settings; its Var method stands below.
macro_rules! unary_with {
    ($(
        $(#[doc = $doc:literal])+
        $type:ident { $($(#[doc = $fdoc:literal])+ $field:ident),+ }, $name:literal,
        |$s:ident, $x:ident| $f:expr, |$ds:ident, $dx:ident, $dy:ident| $df:expr, $(gradient: |$gs:ident, $gx:ident, $gdy:ident| $g:expr,)?
        uses result: $uses:literal, $settings:expr;
    )*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $type {
            $($(#[doc = $fdoc])+ pub $field: f64,)+
        }

        impl Unary for $type {
            const NAME: &'static str = $name;
            const USES_RESULT: bool = $uses;
            #[inline(always)]
            fn call<T: Arithmetic>(self, $x: T) -> T {
                let $s = self;
                $f
            }
            #[inline(always)]
            fn derivative<T: Arithmetic>(self, $dx: T, $dy: T) -> T {
                let $ds = self;
                $df
            }
            $(
                #[inline(always)]
                fn gradient<T: Arithmetic>(self, $gx: T, _: T, $gdy: T) -> T {
                    let $gs = self;
                    $g
                }
            )?
            fn settings() -> Vec<(Self, ArgSpec)> {
                $settings
            }
        }
    )*};
}

unary_with! {
    /// scale · x + shift
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Affine;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Affine { scale: 3.0, shift: 1.0 }, &[g.input(&[2.0])]);
    /// assert_eq!(y.item()?, 7.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Affine {
        /// Factor.
        scale,
        /// Summand.
        shift
    }, "affine",
    |s, x| c::<T>(s.scale) * x + c(s.shift), |s, _x, _y| c(s.scale), uses result: false,
    vec![(Affine { scale: -1.5, shift: 0.25 }, ArgSpec::values([3, 5]))];

    /// x for x > 0, else slope · x.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::LeakyRelu;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(LeakyRelu { negative_slope: 0.5 }, &[g.input(&[-2.0])]);
    /// assert_eq!(y.item()?, -1.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    LeakyRelu {
        /// The slope on the negative side.
        negative_slope
    }, "leaky_relu",
    |s, x| if x > T::ZERO { x } else { c::<T>(s.negative_slope) * x },
    |s, x, _y| if x > T::ZERO { T::ONE } else { c(s.negative_slope) }, uses result: false,
    vec![(LeakyRelu { negative_slope: 0.1 }, ArgSpec::values([3, 5]).away_from(&[0.0]))];

    /// x for x > 0, else alpha (eˣ - 1) (arXiv:1511.07289).
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Elu;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Elu { alpha: 1.0 }, &[g.input(&[2.0])]);
    /// assert_eq!(y.item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Elu {
        /// The depth of the negative side.
        alpha
    }, "elu",
    |s, x| if x > T::ZERO { x } else { c::<T>(s.alpha) * x.exp_m1() },
    |s, x, y| if x > T::ZERO { T::ONE } else { y + c(s.alpha) }, uses result: true,
    vec![(Elu { alpha: 0.7 }, ArgSpec::values([3, 5]).away_from(&[0.0]))];

    /// ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Softplus;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Softplus { beta: 2.0, threshold: 20.0 }, &[g.input(&[30.0])]);
    /// assert_eq!(y.item()?, 30.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Softplus {
        /// Sharpness.
        beta,
        /// Where the function goes over to the identity.
        threshold
    }, "softplus",
    |s, x| {
        let u = c::<T>(s.beta) * x;
        let soft = u.softplus() / c(s.beta);
        if u > c(s.threshold) { x } else { soft }
    },
    |s, x, _y| {
        let u = c::<T>(s.beta) * x;
        if u > c(s.threshold) { T::ONE } else { u.sigmoid() }
    }, uses result: false,
    vec![
        (Softplus { beta: 1.0, threshold: 20.0 }, ArgSpec::values([3, 5])),
        (Softplus { beta: 2.5, threshold: 2.0 }, ArgSpec::values([3, 5]).away_from(&[0.8])),
    ];

    /// xᵉ for a fixed exponent.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Pow;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Pow { exponent: 3.0 }, &[g.input(&[2.0])]);
    /// assert_eq!(y.item()?, 8.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Pow {
        /// The exponent.
        exponent
    }, "pow",
    |s, x| x.powf(c(s.exponent)), |s, x, _y| c::<T>(s.exponent) * x.powf(c(s.exponent - 1.0)), uses result: false,
    vec![
        (Pow { exponent: 2.5 }, ArgSpec::values([3, 5]).range(0.3, 2.0)),
        (Pow { exponent: 3.0 }, ArgSpec::values([3, 5])),
        (Pow { exponent: -1.5 }, ArgSpec::values([3, 5]).range(0.3, 2.0)),
    ];

    /// min(max(x, low), high); the gradient passes on the closed interval and is 0 elsewhere, as in PyTorch.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Clamp;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Clamp { low: 0.0, high: 1.0 }, &[g.input(&[-2.0])]);
    /// assert_eq!(y.item()?, 0.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Clamp {
        /// Lower bound; -∞ for none.
        low,
        /// Upper bound; ∞ for none.
        high
    }, "clamp",
    |s, x| x.maximum(c(s.low)).minimum(c(s.high)),
    |s, x, _y| if x >= c(s.low) && x <= c(s.high) { T::ONE } else { T::ZERO },
    gradient: |s, x, dy| if x >= c(s.low) && x <= c(s.high) { dy } else { T::ZERO }, uses result: false,
    vec![
        (Clamp { low: -0.5, high: 0.8 }, ArgSpec::values([3, 5]).away_from(&[-0.5, 0.8])),
        (Clamp { low: f64::NEG_INFINITY, high: 0.0 }, ArgSpec::values([3, 5]).away_from(&[0.0])),
    ];
}

impl<'t, T: Scalar> Var<'t, T> {
    /// x for x > 0, else `negative_slope` · x (PyTorch's default slope is 0.01).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[-2.0]).leaky_relu(0.5).item()?, -1.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn leaky_relu(self, negative_slope: f64) -> Var<'t, T> {
        self.graph().apply(LeakyRelu { negative_slope }, &[self])
    }

    /// x for x > 0, else `alpha` (eˣ - 1) (PyTorch's default alpha is 1).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[2.0]).elu(1.0).item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn elu(self, alpha: f64) -> Var<'t, T> {
        self.graph().apply(Elu { alpha }, &[self])
    }

    /// ln(1 + eˣ) with PyTorch's defaults (beta 1, threshold 20); [`ops::Softplus`](crate::ops::Softplus) has the settings.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert!((g.input(&[0.0]).softplus().item()? - 2.0_f64.ln()).abs() < 1e-12);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn softplus(self) -> Var<'t, T> {
        self.graph().apply(
            Softplus {
                beta: 1.0,
                threshold: 20.0,
            },
            &[self],
        )
    }

    /// x to a fixed exponent.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert!((g.input(&[2.0]).pow(0.5).item()? - 2.0_f64.sqrt()).abs() < 1e-12);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn pow(self, exponent: f64) -> Var<'t, T> {
        self.graph().apply(Pow { exponent }, &[self])
    }

    /// x limited to `low..=high`.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[-2.0, 0.5, 3.0]).clamp(0.0, 1.0).sum().item()?, 1.5);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn clamp(self, low: f64, high: f64) -> Var<'t, T> {
        self.graph().apply(Clamp { low, high }, &[self])
    }

    /// `scale` · x + `shift`, in one pass.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[2.0]).affine(3.0, 1.0).item()?, 7.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn affine(self, scale: f64, shift: f64) -> Var<'t, T> {
        self.graph().apply(Affine { scale, shift }, &[self])
    }
}
