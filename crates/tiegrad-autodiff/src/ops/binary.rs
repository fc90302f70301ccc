//! Elementwise functions of two operands, with broadcasting, and the operators `+ - * /`.

use std::ops;

use tiegrad_arena::Shape;
use tiegrad_kernels::{DType, MAX_RANK, Scalar, elementwise, reduce};

use crate::error::Problem;
use crate::op::{Backward, Forward, Op};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// A differentiable function of two numbers; it makes an elementwise [`Op`] with NumPy's broadcasting.
///
/// ```
/// use tiegrad_autodiff::{Tape, ops};
/// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
/// let column = g.input((&[1.0, 2.0][..], [2, 1]));
/// let row = g.input(&[10.0, 20.0, 30.0]);
/// assert_eq!(&**g.apply(ops::Add, &[column, row]).shape(), [2, 3]);
/// ```
pub trait Binary: Copy + Send + Sync + 'static {
    /// PyTorch's name.
    const NAME: &'static str;
    /// f(a, b)
    fn call<T: Scalar>(a: T, b: T) -> T;
    /// dy · ∂f/∂a
    fn left<T: Scalar>(a: T, b: T, dy: T) -> T;
    /// dy · ∂f/∂b
    fn right<T: Scalar>(a: T, b: T, dy: T) -> T;
    /// What to draw for each operand, given its shape.
    fn draw(shape: &[usize], operand: usize) -> ArgSpec;
}

/// The shape that two shapes broadcast to, right-aligned.
pub(crate) fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, Problem> {
    let rank = a.rank().max(b.rank());
    let mut dims = [1; MAX_RANK];
    for i in 0..rank {
        let size = |s: &Shape| (i + s.rank()).checked_sub(rank).map_or(1, |j| s[j]);
        dims[i] = match (size(a), size(b)) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return Err(Problem::Broadcast),
        };
    }
    Shape::new(&dims[..rank]).map_err(|_| Problem::BadShape)
}

/// The strides of a row-major operand of `shape` seen as `out`: 0 where it is repeated.
pub(crate) fn broadcast_strides(shape: &Shape, out: &Shape) -> [usize; MAX_RANK] {
    let own = shape.strides();
    let mut strides = [0; MAX_RANK];
    let lead = out.rank() - shape.rank();
    for i in 0..shape.rank() {
        if shape[i] != 1 {
            strides[lead + i] = own[i];
        }
    }
    strides
}

fn forward<B: Binary, T: Scalar>(cx: &mut Forward<'_, '_, T>) {
    let (a, b, shape) = (cx.arg(0), cx.arg(1), cx.shape());
    if cx.arg_shape(0) == cx.arg_shape(1) {
        elementwise::zip(cx.write(), cx.out(), a, b, |a, b| B::call(a, b));
    } else {
        let rank = shape.rank();
        let (sa, sb) = (
            broadcast_strides(cx.arg_shape(0), shape),
            broadcast_strides(cx.arg_shape(1), shape),
        );
        elementwise::zip_broadcast(cx.out(), shape, a, &sa[..rank], b, &sb[..rank], |a, b| {
            B::call(a, b)
        });
    }
}

/// Where an operand was repeated, its gradient is the sum over the repetitions.
fn backward<B: Binary, T: Scalar>(cx: &Backward<'_, '_, T>) {
    let (a, b, dy, shape) = (cx.arg(0), cx.arg(1), cx.dy(), cx.shape());
    if cx.arg_shape(0) == cx.arg_shape(1) {
        cx.into(0, |dst| {
            elementwise::zip3(dst.write, dst.data, a, b, dy, |a, b, dy| B::left(a, b, dy))
        });
        cx.into(1, |dst| {
            elementwise::zip3(dst.write, dst.data, a, b, dy, |a, b, dy| B::right(a, b, dy))
        });
        return;
    }
    let rank = shape.rank();
    let (sa, sb) = (
        broadcast_strides(cx.arg_shape(0), shape),
        broadcast_strides(cx.arg_shape(1), shape),
    );
    let (sa, sb, sy) = (&sa[..rank], &sb[..rank], &shape.strides()[..rank]);
    cx.into(0, |dst| {
        reduce::sum_to(
            dst.write,
            dst.data,
            sa,
            shape,
            a,
            sa,
            b,
            sb,
            dy,
            sy,
            |a, b, dy| B::left(a, b, dy),
        );
    });
    cx.into(1, |dst| {
        reduce::sum_to(
            dst.write,
            dst.data,
            sb,
            shape,
            a,
            sa,
            b,
            sb,
            dy,
            sy,
            |a, b, dy| B::right(a, b, dy),
        );
    });
}

fn samples<B: Binary>(op: B) -> Vec<Sample<B>> {
    let shapes: [[&[usize]; 2]; 9] = [
        [&[3, 4], &[3, 4]],
        [&[3, 4], &[4]],
        [&[2, 3, 4], &[3, 1]],
        [&[3, 1], &[1, 4]],
        [&[2, 1, 4], &[3, 1]],
        [&[], &[3, 2]],
        [&[2, 3], &[]],
        [&[0, 3], &[1, 3]],
        [&[1], &[1]],
    ];
    shapes
        .map(|[a, b]| Sample::new(op, [B::draw(a, 0), B::draw(b, 1)]))
        .into()
}

macro_rules! binary {
    ($(
        $(#[doc = $doc:literal])+
        $type:ident, $name:literal, |$a:ident, $b:ident| $f:expr,
        left |$la:ident, $lb:ident, $ldy:ident| $left:expr, right |$ra:ident, $rb:ident, $rdy:ident| $right:expr,
        |$shape:ident, $operand:ident| $spec:expr;
    )*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug)]
        pub struct $type;

        impl Binary for $type {
            const NAME: &'static str = $name;
            #[inline(always)]
            fn call<T: Scalar>($a: T, $b: T) -> T {
                $f
            }
            #[inline(always)]
            fn left<T: Scalar>($la: T, $lb: T, $ldy: T) -> T {
                $left
            }
            #[inline(always)]
            fn right<T: Scalar>($ra: T, $rb: T, $rdy: T) -> T {
                $right
            }
            fn draw($shape: &[usize], $operand: usize) -> ArgSpec {
                $spec
            }
        }

        impl Op for $type {
            const NAME: &'static str = $name;
            fn arity(&self) -> Option<usize> {
                Some(2)
            }
            fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
                broadcast(args[0], args[1])
            }
            fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
                forward::<$type, T>(cx);
                Ok(())
            }
            fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
                backward::<$type, T>(cx);
            }
            fn samples() -> Vec<Sample<Self>> {
                samples($type)
            }
        }
    )*};
}

#[inline(always)]
fn pick<T: Scalar>(first: bool, second: bool, dy: T) -> T {
    // Where both are equal each gets half, as in PyTorch.
    match (first, second) {
        (true, true) => dy * T::from_f64(0.5),
        (true, false) => dy,
        _ => T::ZERO,
    }
}

binary! {
    /// a + b
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Add;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Add, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, 7.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Add, "add", |a, b| a + b, left |_a, _b, dy| dy, right |_a, _b, dy| dy,
    |shape, _operand| ArgSpec::values(shape);
    /// a - b
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Sub;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Sub, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, -3.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Sub, "sub", |a, b| a - b, left |_a, _b, dy| dy, right |_a, _b, dy| -dy,
    |shape, _operand| ArgSpec::values(shape);
    /// a · b
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Mul;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Mul, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, 10.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Mul, "mul", |a, b| a * b, left |_a, b, dy| dy * b, right |a, _b, dy| dy * a,
    |shape, _operand| ArgSpec::values(shape);
    /// a / b
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Div;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Div, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, 0.4);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Div, "div", |a, b| a / b, left |_a, b, dy| dy / b, right |a, b, dy| -dy * a / (b * b),
    |shape, operand| if operand == 1 { ArgSpec::values(shape).range(0.5, 2.0) } else { ArgSpec::values(shape) };
    /// The larger of a and b; NaN if one is NaN.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Maximum;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Maximum, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, 5.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Maximum, "maximum", |a, b| a.maximum(b), left |a, b, dy| pick(a >= b, b >= a, dy), right |a, b, dy| pick(b >= a, a >= b, dy),
    |shape, operand| split_range(shape, operand);
    /// The smaller of a and b; NaN if one is NaN.
    ///
    /// ```
    /// use tiegrad_autodiff::ops::Minimum;
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let y = g.apply(Minimum, &[g.input(&[2.0]), g.input(&[5.0])]);
    /// assert_eq!(y.item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    Minimum, "minimum", |a, b| a.minimum(b), left |a, b, dy| pick(a <= b, b <= a, dy), right |a, b, dy| pick(b <= a, a <= b, dy),
    |shape, operand| split_range(shape, operand);
}

/// Operands that never come close to each other, yet win in turn: the first keeps away from where the second is.
fn split_range(shape: &[usize], operand: usize) -> ArgSpec {
    if operand == 0 {
        ArgSpec::values(shape).away_from(&[0.0])
    } else {
        ArgSpec::values(shape).range(-0.01, 0.01)
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// The larger of two, elementwise with broadcasting.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 5.0]).maximum(g.scalar(3.0)).sum().item()?, 8.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn maximum(self, other: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(Maximum, &[self, other])
    }

    /// The smaller of two, elementwise with broadcasting.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[1.0, 5.0]).minimum(g.scalar(3.0)).sum().item()?, 4.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn minimum(self, other: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(Minimum, &[self, other])
    }

    /// scale · x + shift with a plain number on one side. A dual number's tangent must not be lost, so those go through a node.
    #[track_caller]
    #[inline]
    fn with_number(
        self,
        number: T,
        plain: impl FnOnce(f64) -> (f64, f64),
        dual: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        match T::DTYPE {
            DType::F32 | DType::F64 => {
                let (scale, shift) = plain(number.to_f64());
                self.affine(scale, shift)
            }
            _ => dual(self.graph().scalar(number)),
        }
    }
}

macro_rules! operators {
    ($($trait:ident, $method:ident, $op:ident, |$number:ident| $plain:expr;)*) => {$(
        impl<'t, T: Scalar> ops::$trait for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            #[inline]
            fn $method(self, other: Var<'t, T>) -> Var<'t, T> {
                self.graph().apply($op, &[self, other])
            }
        }

        impl<'t, T: Scalar> ops::$trait<T> for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            #[inline]
            fn $method(self, number: T) -> Var<'t, T> {
                self.with_number(number, |$number| $plain, |other| self.graph().apply($op, &[self, other]))
            }
        }
    )*};
}

operators! {
    Add, add, Add, |c| (1.0, c);
    Sub, sub, Sub, |c| (1.0, -c);
    Mul, mul, Mul, |c| (c, 0.0);
}

// A division is not a multiplication by the reciprocal, which rounds twice.
impl<'t, T: Scalar> ops::Div for Var<'t, T> {
    type Output = Var<'t, T>;
    #[track_caller]
    #[inline]
    fn div(self, other: Var<'t, T>) -> Var<'t, T> {
        self.graph().apply(Div, &[self, other])
    }
}

impl<'t, T: Scalar> ops::Div<T> for Var<'t, T> {
    type Output = Var<'t, T>;
    #[track_caller]
    #[inline]
    fn div(self, number: T) -> Var<'t, T> {
        self.graph()
            .apply(Div, &[self, self.graph().scalar(number)])
    }
}

impl<'t, T: Scalar> ops::Neg for Var<'t, T> {
    type Output = Var<'t, T>;
    #[track_caller]
    #[inline]
    fn neg(self) -> Var<'t, T> {
        self.affine(-1.0, 0.0)
    }
}

macro_rules! number_first {
    ($($t:ty),*) => {$(
        impl<'t> ops::Add<Var<'t, $t>> for $t {
            type Output = Var<'t, $t>;
            #[track_caller]
            #[inline]
            fn add(self, x: Var<'t, $t>) -> Var<'t, $t> {
                x + self
            }
        }
        impl<'t> ops::Sub<Var<'t, $t>> for $t {
            type Output = Var<'t, $t>;
            #[track_caller]
            #[inline]
            fn sub(self, x: Var<'t, $t>) -> Var<'t, $t> {
                x.affine(-1.0, f64::from(self))
            }
        }
        impl<'t> ops::Mul<Var<'t, $t>> for $t {
            type Output = Var<'t, $t>;
            #[track_caller]
            #[inline]
            fn mul(self, x: Var<'t, $t>) -> Var<'t, $t> {
                x * self
            }
        }
        impl<'t> ops::Div<Var<'t, $t>> for $t {
            type Output = Var<'t, $t>;
            #[track_caller]
            #[inline]
            fn div(self, x: Var<'t, $t>) -> Var<'t, $t> {
                x.graph().scalar(self) / x
            }
        }
    )*};
}
number_first!(f32, f64);
