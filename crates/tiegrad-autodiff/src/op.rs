//! The op protocol: [`Op`], what its forward sees ([`Forward`]), what its rule sees ([`Backward`]) and writes to ([`Dst`]).
//!
//! An op is one type in one file: its shapes, its forward, its rule, its samples. Being listed (see [`ops::visit`](crate::ops::visit)) is
//! being tested. A user's crate defines one the same way and calls [`Graph::apply`](crate::Graph::apply).

use tiegrad_arena::Shape;
use tiegrad_kernels::{MAX_RANK, Scalar, Write};

use crate::error::Problem;
use crate::node::{Kind, Node, Strides};
use crate::sample::Sample;

pub use crate::sink::Backward;

/// An operation with a derivative. The value itself is the op's record on the tape (its settings), so it is `Copy` and small.
///
/// ```
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_autodiff::{ArgSpec, Backward, Forward, Op, Problem, Sample, Tape};
/// use tiegrad_kernels::{Scalar, elementwise};
///
/// /// y = x³
/// #[derive(Clone, Copy)]
/// struct Cube;
///
/// impl Op for Cube {
///     const NAME: &'static str = "cube";
///     fn arity(&self) -> Option<usize> {
///         Some(1)
///     }
///     fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
///         Ok(*args[0])
///     }
///     fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
///         let x = cx.arg(0);
///         elementwise::map(cx.write(), cx.out(), x, |x| x * x * x);
///         Ok(())
///     }
///     fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
///         let three = T::from_f64(3.0);
///         cx.into(0, |dst| {
///             elementwise::zip(dst.write, dst.data, cx.arg(0), cx.dy(), move |x, dy| three * x * x * dy);
///         });
///     }
///     fn samples() -> Vec<Sample<Self>> {
///         vec![Sample::new(Cube, [ArgSpec::values([2, 3])])]
///     }
/// }
///
/// let mut params = Params::<f64>::new();
/// let mut tape = Tape::new();
/// let g = tape.record(&mut params);
/// let x = g.leaf(&[2.0]);
/// assert_eq!(g.apply(Cube, &[x]).sum().backward()?, 8.0);
/// assert_eq!(x.grad()?.map(|g| g[[0]]), Some(12.0));
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
pub trait Op: Copy + 'static {
    /// The name that errors show: PyTorch's where PyTorch has the op.
    const NAME: &'static str;

    /// How many operands it takes with these settings; `None` for any number. Another number is an error before anything else runs, so the
    /// methods below may rely on it.
    fn arity(&self) -> Option<usize>;

    /// What operand `i` must be like. Values in row-major order unless said otherwise.
    fn kind(&self, i: usize) -> ArgKind {
        let _ = i;
        ArgKind::Dense
    }

    /// The shape of the result, or what is wrong with the operands' shapes or the settings. Runs no arithmetic. Everything that
    /// `forward` and `backward` rely on is checked here, except for values.
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem>;

    /// How many multiplications with an addition the forward takes, for summaries of networks. Counted where products are summed (products of matrices, attention);
    /// what is O(1) per element counts as 0, as is the custom.
    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64 {
        let _ = (args, out);
        0
    }

    /// How many numbers the forward keeps for the rule, besides operands and result (which stay on the tape anyway).
    fn saved(&self, args: &[&Shape], out: &Shape) -> usize {
        let _ = (args, out);
        0
    }

    /// Computes the result; writes every element of [`Forward::out`] and, of what it asked for, [`Forward::saved`]. Fails only on values, such as
    /// an index out of range.
    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem>;

    /// The rule: for every operand, hands `dy · ∂out/∂operand` to [`Backward::into`] or one of its kin. It never adds to a gradient by itself, and
    /// it is not called for operands that nobody wants a gradient of.
    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>);

    /// Small inputs, over which the gradient checks walk: every setting, broadcast and empty shapes.
    fn samples() -> Vec<Sample<Self>>;
}

/// A product of sizes, for [`Op::multiply_adds`]: the greatest number where it is too large.
pub(crate) fn count<const N: usize>(sizes: [usize; N]) -> u64 {
    let sizes = sizes.into_iter();
    sizes.fold(1, |product, size| u64::saturating_mul(product, size as u64))
}

/// What an operand must be like for an op.
///
/// ```
/// use tiegrad_autodiff::{ArgKind, Op, ops};
/// assert_eq!(ops::Embedding.kind(0), ArgKind::Dense); // the table
/// assert_eq!(ops::Embedding.kind(1), ArgKind::Indices);
/// assert_eq!(ops::Matmul.kind(0), ArgKind::Strided); // transposed uses copy nothing
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Values in row-major order; a view that is not is copied first (and the copy is counted).
    Dense,
    /// Values with any strides.
    Strided,
    /// Indices.
    Indices,
}

/// A strided look at numbers: element (i, j, …) is `data[i * strides[0] + j * strides[1] + …]`.
///
/// ```
/// use tiegrad_arena::Shape;
/// use tiegrad_autodiff::View;
/// let shape = Shape::new(&[2, 3])?;
/// let view = View::dense(&[0, 1, 2, 10, 11, 12], &shape);
/// let [rows, columns, ..] = view.strides();
/// assert_eq!(view.data[1 * rows + 2 * columns], 12);
/// # Ok::<(), tiegrad_arena::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// The numbers, from the first element on.
    pub data: &'a [T],
    /// The shape.
    pub shape: &'a Shape,
    layout: Option<&'a Strides>,
}

impl<'a, T> View<'a, T> {
    /// Numbers in row-major order.
    ///
    /// ```
    /// use tiegrad_arena::Shape;
    /// use tiegrad_autodiff::View;
    /// let shape = Shape::new(&[2, 2])?;
    /// let view = View::dense(&[1.0, 2.0, 3.0, 4.0], &shape);
    /// assert_eq!((view.data[3], view.matrix()), (4.0, (2, 1)));
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn dense(data: &'a [T], shape: &'a Shape) -> View<'a, T> {
        View {
            data,
            shape,
            layout: None,
        }
    }

    /// Strides in elements, one for each dimension; 0 past the rank.
    ///
    /// ```
    /// use tiegrad_arena::Shape;
    /// use tiegrad_autodiff::View;
    /// let shape = Shape::new(&[2, 3, 4])?;
    /// assert_eq!(View::dense(&[0.0; 24], &shape).strides(), [12, 4, 1, 0, 0, 0, 0, 0]);
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn strides(&self) -> [usize; MAX_RANK] {
        strides_of(self.shape, self.layout)
    }

    /// The strides of a row and of a column, of a view of at least two dimensions.
    ///
    /// ```
    /// use tiegrad_arena::Shape;
    /// use tiegrad_autodiff::View;
    /// let shape = Shape::new(&[5, 2, 3])?;
    /// assert_eq!(View::dense(&[0.0; 30], &shape).matrix(), (3, 1));
    /// # Ok::<(), tiegrad_arena::ShapeError>(())
    /// ```
    #[inline]
    pub fn matrix(&self) -> (usize, usize) {
        matrix_of(self.shape, self.layout)
    }
}

/// Where a rule writes the gradient of one operand.
/// In the examples here, `backward |cx| …;` is short for the body of [`backward`](crate::Op::backward) of an op `Example`.
///
/// ```
/// # tiegrad_autodiff::example_op! { |g|
/// backward |cx| cx.into(0, |dst| {
///     let ten = T::from_f64(10.0);
///     for (dx, &dy) in dst.data.iter_mut().zip(cx.dy()) {
///         *dx = if dst.write == Write::Overwrite { ten * dy } else { *dx + ten * dy };
///     }
/// });
/// let x = g.leaf(&[1.0, 2.0]);
/// (g.apply(Example, &[x]) + g.apply(Example, &[x])).sum().backward()?; // overwritten, then accumulated
/// assert_eq!(x.grad()?, Some(ndarray::array![20.0, 20.0].into_dyn()));
/// # }
/// ```
#[derive(Debug)]
pub struct Dst<'a, T> {
    /// The numbers, from the first element on. Of exactly the operand's elements in row-major order if the op takes the operand
    /// [`Dense`](ArgKind::Dense).
    pub data: &'a mut [T],
    /// The operand's shape.
    pub shape: &'a Shape,
    /// Whether this is the first contribution or a later one.
    pub write: Write,
    layout: Option<&'a Strides>,
}

impl<'a, T> Dst<'a, T> {
    #[inline]
    pub(crate) fn new(
        data: &'a mut [T],
        shape: &'a Shape,
        layout: Option<&'a Strides>,
        write: Write,
    ) -> Dst<'a, T> {
        Dst {
            data,
            shape,
            write,
            layout,
        }
    }

    /// Strides in elements, one for each dimension; 0 past the rank.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |_| ArgKind::Strided;
    /// # forward |cx| { let x = cx.view(0); cx.out().iter_mut().enumerate().for_each(|(i, y)| *y = x.data[i * x.strides()[0]]) };
    /// backward |cx| cx.into_zeroed(0, |dst| {
    ///     let stride = dst.strides()[0];
    ///     cx.dy().iter().enumerate().for_each(|(i, &dy)| dst.data[i * stride] += dy);
    /// });
    /// let x = g.leaf((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// g.apply(Example, &[x.select(1, 0)]).sum().backward()?; // a column, in place
    /// assert_eq!(x.grad()?, Some(ndarray::array![[1.0, 0.0], [1.0, 0.0]].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn strides(&self) -> [usize; MAX_RANK] {
        strides_of(self.shape, self.layout)
    }

    /// The strides of a row and of a column, of a destination of at least two dimensions.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |_| ArgKind::Strided; shape |args| Shape::new(&args[0][1..]).map_err(|_| Problem::BadShape);
    /// # forward |cx| { let m = cx.view(0); let (r, c) = m.matrix(); cx.out().iter_mut().enumerate().for_each(|(i, y)| *y = m.data[i * (r + c)]) };
    /// backward |cx| cx.into_zeroed(0, |dst| {
    ///     let (row, column) = dst.matrix();
    ///     cx.dy().iter().enumerate().for_each(|(i, &dy)| dst.data[i * (row + column)] += dy);
    /// });
    /// let m = g.leaf((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// assert_eq!(g.apply(Example, &[m]).sum().backward()?, 5.0); // the trace
    /// assert_eq!(m.grad()?, Some(ndarray::array![[1.0, 0.0], [0.0, 1.0]].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn matrix(&self) -> (usize, usize) {
        matrix_of(self.shape, self.layout)
    }
}

#[inline]
fn strides_of(shape: &Shape, layout: Option<&Strides>) -> Strides {
    match layout {
        Some(strides) => *strides,
        None => shape.strides(),
    }
}

#[inline]
fn matrix_of(shape: &Shape, layout: Option<&Strides>) -> (usize, usize) {
    let rank = shape.rank();
    match layout {
        Some(strides) if rank >= 2 => (strides[rank - 2], strides[rank - 1]),
        _ => (shape.last().copied().unwrap_or(1).max(1), 1),
    }
}

/// What an op's forward sees: operands, and where the result goes.
/// In the examples here, `forward |cx| …;` is short for the body of [`forward`](crate::Op::forward) of an op `Example`.
///
/// ```
/// # tiegrad_autodiff::example_op! { |g|
/// forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| -x) };
/// assert_eq!(g.apply(Example, &[g.input(&[1.0, 2.0])]).as_slice()?, Some(&[-1.0, -2.0][..]));
/// # }
/// ```
pub struct Forward<'a, 't, T: Scalar> {
    pub(crate) args: &'a [&'t Node<'t, T>],
    pub(crate) shape: &'a Shape,
    pub(crate) out: &'a mut [T],
    pub(crate) saved: &'a mut [T],
}

impl<'a, 't, T: Scalar> Forward<'a, 't, T> {
    /// The numbers of operand `i`, a [`Dense`](ArgKind::Dense) one: as many as its shape has elements.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// forward |cx| { let (a, b) = (cx.arg(0), cx.arg(1)); elementwise::zip(cx.write(), cx.out(), a, b, |a, b| a - b) };
    /// let y = g.apply(Example, &[g.input(&[5.0, 7.0]), g.input(&[1.0, 3.0])]);
    /// assert_eq!(y.as_slice()?, Some(&[4.0, 4.0][..]));
    /// # }
    /// ```
    #[inline]
    pub fn arg(&self, i: usize) -> &'t [T] {
        self.args[i].value
    }

    /// Operand `i` with its strides.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |_| ArgKind::Strided; shape |args| Shape::new(&args[0][1..]).map_err(|_| Problem::BadShape);
    /// forward |cx| {
    ///     let m = cx.view(0);
    ///     let (row, column) = m.matrix();
    ///     cx.out().iter_mut().enumerate().for_each(|(i, y)| *y = m.data[i * (row + column)]);
    /// };
    /// let m = g.input((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// assert_eq!(g.apply(Example, &[m.t()]).as_slice()?, Some(&[1.0, 4.0][..])); // the diagonal
    /// # }
    /// ```
    #[inline]
    pub fn view(&self, i: usize) -> View<'t, T> {
        view_of(self.args[i])
    }

    /// The numbers of operand `i`, which is [`Indices`](ArgKind::Indices).
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// kind |_| ArgKind::Indices;
    /// forward |cx| { let indices = cx.indices(0); cx.out().iter_mut().zip(indices).for_each(|(y, &i)| *y = T::from_usize(i as usize)) };
    /// assert_eq!(g.apply(Example, &[g.indices(&[3_u32, 5])]).as_slice()?, Some(&[3.0, 5.0][..]));
    /// # }
    /// ```
    #[inline]
    pub fn indices(&self, i: usize) -> &'t [u32] {
        indices_of(self.args[i])
    }

    /// The shape of operand `i`.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| shape |_args| Ok(Shape::SCALAR);
    /// forward |cx| cx.out()[0] = T::from_usize(cx.arg_shape(0)[0]);
    /// assert_eq!(g.apply(Example, &[g.full([4, 2], 1.0)]).item()?, 4.0);
    /// # }
    /// ```
    #[inline]
    pub fn arg_shape(&self, i: usize) -> &'t Shape {
        self.args[i].shape
    }

    /// The number of operands.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// forward |cx| {
    ///     cx.out().fill(T::ZERO);
    ///     for i in 0..cx.args() {
    ///         let x = cx.arg(i);
    ///         elementwise::map(Write::Accumulate, cx.out(), x, |x| x);
    ///     }
    /// };
    /// let [a, b, c] = [1.0, 2.0, 4.0].map(|x| g.scalar(x));
    /// assert_eq!(g.apply(Example, &[a, b, c]).item()?, 7.0);
    /// # }
    /// ```
    #[inline]
    pub fn args(&self) -> usize {
        self.args.len()
    }

    /// The shape of the result.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// forward |cx| {
    ///     let (x, columns) = (cx.arg(0), cx.shape()[1]);
    ///     cx.out().iter_mut().enumerate().for_each(|(i, y)| *y = x[i] * T::from_usize(i % columns))
    /// };
    /// assert_eq!(g.apply(Example, &[g.full([2, 2], 5.0)]).as_slice()?, Some(&[0.0, 5.0, 0.0, 5.0][..]));
    /// # }
    /// ```
    #[inline]
    pub fn shape(&self) -> &'a Shape {
        self.shape
    }

    /// How the result is written: always over what was there.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| x * x) };
    /// assert_eq!(g.apply(Example, &[g.scalar(3.0)]).item()?, 9.0);
    /// # }
    /// ```
    #[inline]
    pub fn write(&self) -> Write {
        Write::Overwrite
    }

    /// Where the result goes, in row-major order. What stands there before is arbitrary.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// forward |cx| cx.out().fill(T::ONE);
    /// assert_eq!(g.apply(Example, &[g.input(&[3.0, 4.0])]).as_slice()?, Some(&[1.0, 1.0][..]));
    /// # }
    /// ```
    #[inline]
    pub fn out(&mut self) -> &mut [T] {
        self.out
    }

    /// Where what the rule needs goes.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// saved |out| out.len();
    /// forward |cx| {
    ///     let x = cx.arg(0);
    ///     elementwise::map(Write::Overwrite, cx.saved(), x, |x| x.tanh()); // for the rule
    ///     elementwise::map(cx.write(), cx.out(), x, |x| x * x.tanh());
    /// };
    /// let y = g.apply(Example, &[g.input(&[0.0, 1.0])]);
    /// assert_eq!(y.sum().item()?, 1.0_f64.tanh());
    /// # }
    /// ```
    #[inline]
    pub fn saved(&mut self) -> &mut [T] {
        self.saved
    }

    /// [`out`](Forward::out) and [`saved`](Forward::saved) at once.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// saved |out| out.len();
    /// forward |cx| {
    ///     let x = cx.arg(0);
    ///     let (out, saved) = cx.out_and_saved();
    ///     for ((out, saved), &x) in out.iter_mut().zip(saved).zip(x) {
    ///         *saved = x.tanh(); // once for both
    ///         *out = x * *saved;
    ///     }
    /// };
    /// let y = g.apply(Example, &[g.input(&[0.0, 1.0])]);
    /// assert_eq!(y.sum().item()?, 1.0_f64.tanh());
    /// # }
    /// ```
    #[inline]
    pub fn out_and_saved(&mut self) -> (&mut [T], &mut [T]) {
        (self.out, self.saved)
    }
}

#[inline]
pub(crate) fn view_of<'t, T: Scalar>(node: &'t Node<'t, T>) -> View<'t, T> {
    View {
        data: node.value,
        shape: node.shape,
        layout: node.strides(),
    }
}

#[inline]
pub(crate) fn indices_of<'t, T: Scalar>(node: &'t Node<'t, T>) -> &'t [u32] {
    match node.kind {
        Kind::Indices(indices) => indices,
        _ => &[],
    }
}

/// An [`Op`] behind a pointer: how the backward loop runs rules without knowing ops.
pub(crate) trait Erased<T: Scalar> {
    fn name(&self) -> &'static str;
    fn run(&self, cx: &Backward<'_, '_, T>);
    fn kind(&self, i: usize) -> ArgKind;
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem>;
    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64;
}

impl<T: Scalar, O: Op> Erased<T> for O {
    fn name(&self) -> &'static str {
        O::NAME
    }
    #[inline]
    fn run(&self, cx: &Backward<'_, '_, T>) {
        self.backward(cx);
    }
    fn kind(&self, i: usize) -> ArgKind {
        Op::kind(self, i)
    }
    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        Op::shape(self, args)
    }
    fn multiply_adds(&self, args: &[&Shape], out: &Shape) -> u64 {
        Op::multiply_adds(self, args, out)
    }
}
