//! [`Backward`]: what a rule sees, and the one place where gradients are added up.
//!
//! A rule never adds. It asks here for the destination of an operand's gradient and is told whether to overwrite or to accumulate; it is not
//! even called when nobody wants that gradient. The destination of a parameter is its slot itself, that of a view a
//! strided part of the base's.

use std::ops::Range;

use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, Write, elementwise};

use crate::node::{GradBuf, Kind, Node};
use crate::op::{Dst, View, indices_of, view_of};
use crate::recording::Core;

/// What an op's rule sees: the gradient of the result, operands, the result, what the forward kept; and [`into`](Backward::into), by which
/// it hands on gradients. See [`Op`](crate::Op) for an example.
/// In the examples here, `backward |cx| …;` is short for the body of [`backward`](crate::Op::backward) of an op `Example`.
///
/// ```
/// # tiegrad_autodiff::example_op! { |g|
/// backward |cx| cx.into(0, |dst| elementwise::map(dst.write, dst.data, cx.dy(), |dy| -dy));
/// // a gradient reversal
/// let x = g.leaf(&[1.0, 2.0]);
/// assert_eq!(g.apply(Example, &[x]).sum().backward()?, 3.0);
/// assert_eq!(x.grad()?, Some(ndarray::array![-1.0, -1.0].into_dyn()));
/// # }
/// ```
pub struct Backward<'a, 't, T: Scalar> {
    pub(crate) node: &'t Node<'t, T>,
    pub(crate) dy: &'a [T],
}

impl<'a, 't, T: Scalar> Backward<'a, 't, T> {
    /// The gradient of the result, in row-major order.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// backward |cx| { let dy = cx.dy(); cx.into(0, |dst| elementwise::map(dst.write, dst.data, dy, |dy| -dy)) };
    /// let x = g.leaf(&[1.0, 2.0]);
    /// assert_eq!(g.apply(Example, &[x]).sum().backward()?, 3.0);
    /// assert_eq!(x.grad()?, Some(ndarray::array![-1.0, -1.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn dy(&self) -> &'a [T] {
        self.dy
    }

    /// The result.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| x.exp()) };
    /// backward |cx| cx.into(0, |dst| elementwise::zip(dst.write, dst.data, cx.out(), cx.dy(), |y, dy| y * dy));
    /// let x = g.leaf(&[2.0]);
    /// let y = g.apply(Example, &[x]).backward()?; // e²
    /// assert_eq!(x.grad()?, Some(ndarray::array![y].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn out(&self) -> &'t [T] {
        self.node.value
    }

    /// The shape of the result.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// backward |cx| {
    ///     let n = T::from_usize(cx.shape().len());
    ///     cx.into(0, |dst| elementwise::map(dst.write, dst.data, cx.dy(), move |dy| dy / n))
    /// };
    /// let x = g.leaf(&[1.0, 2.0]);
    /// g.apply(Example, &[x]).sum().backward()?;
    /// assert_eq!(x.grad()?, Some(ndarray::array![0.5, 0.5].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn shape(&self) -> &'t Shape {
        self.node.shape
    }

    /// The numbers of operand `i`, a [`Dense`](crate::ArgKind::Dense) one.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| x * x) };
    /// backward |cx| cx.into(0, |dst| elementwise::zip(dst.write, dst.data, cx.arg(0), cx.dy(), |x, dy| (x + x) * dy));
    /// let x = g.leaf(&[3.0]);
    /// assert_eq!(g.apply(Example, &[x]).backward()?, 9.0); // x²
    /// assert_eq!(x.grad()?, Some(ndarray::array![6.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn arg(&self, i: usize) -> &'t [T] {
        self.node.args[i].value
    }

    /// Operand `i` with its strides.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |_| ArgKind::Strided;
    /// # forward |cx| { let x = cx.view(0); for (i, y) in cx.out().iter_mut().enumerate() { let x = x.data[i * x.strides()[0]]; *y = x * x; } };
    /// backward |cx| cx.into_zeroed(0, |dst| {
    ///     let x = cx.view(0);
    ///     let (from, to) = (x.strides()[0], dst.strides()[0]);
    ///     cx.dy().iter().enumerate().for_each(|(i, &dy)| dst.data[i * to] += (x.data[i * from] + x.data[i * from]) * dy);
    /// });
    /// let x = g.leaf((&[1.0, 2.0, 3.0, 4.0][..], [2, 2]));
    /// g.apply(Example, &[x.select(1, 0)]).sum().backward()?; // the squares of a column
    /// assert_eq!(x.grad()?, Some(ndarray::array![[2.0, 0.0], [6.0, 0.0]].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn view(&self, i: usize) -> View<'t, T> {
        view_of(self.node.args[i])
    }

    /// The numbers of operand `i`, which is [`Indices`](crate::ArgKind::Indices).
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |i| if i == 1 { ArgKind::Indices } else { ArgKind::Dense }; shape |args| Ok(*args[1]);
    /// # forward |cx| { let (t, at) = (cx.arg(0), cx.indices(1)); cx.out().iter_mut().zip(at).for_each(|(y, &i)| *y = t[i as usize]) };
    /// backward |cx| cx.into_zeroed(0, |dst| cx.indices(1).iter().zip(cx.dy()).for_each(|(&i, &dy)| dst.data[i as usize] += dy));
    /// let table = g.leaf(&[5.0, 6.0, 7.0]);
    /// g.apply(Example, &[table, g.indices(&[2_u32, 2])]).sum().backward()?;
    /// assert_eq!(table.grad()?, Some(ndarray::array![0.0, 0.0, 2.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn indices(&self, i: usize) -> &'t [u32] {
        indices_of(self.node.args[i])
    }

    /// The shape of operand `i`.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| shape |_args| Ok(Shape::SCALAR);
    /// # forward |cx| { let x = cx.arg(0); cx.out()[0] = x.iter().copied().sum::<T>() / T::from_usize(x.len()) };
    /// backward |cx| {
    ///     let share = cx.dy()[0] / T::from_usize(cx.arg_shape(0).len());
    ///     cx.into(0, |dst| elementwise::map(dst.write, dst.data, cx.arg(0), move |_| share))
    /// };
    /// let x = g.leaf(&[1.0, 5.0]);
    /// assert_eq!(g.apply(Example, &[x]).backward()?, 3.0); // the mean
    /// assert_eq!(x.grad()?, Some(ndarray::array![0.5, 0.5].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn arg_shape(&self, i: usize) -> &'t Shape {
        self.node.args[i].shape
    }

    /// The number of operands.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// # forward |cx| { cx.out().fill(T::ZERO); for i in 0..cx.args() { let x = cx.arg(i); elementwise::map(Write::Accumulate, cx.out(), x, |x| x) } };
    /// backward |cx| for i in 0..cx.args() { cx.into(i, |dst| elementwise::map(dst.write, dst.data, cx.dy(), |dy| dy)) };
    /// let [a, b, c] = [1.0, 2.0, 4.0].map(|x| g.leaf(&[x]));
    /// assert_eq!(g.apply(Example, &[a, b, c]).backward()?, 7.0);
    /// assert_eq!(c.grad()?, Some(ndarray::array![1.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn args(&self) -> usize {
        self.node.args.len()
    }

    /// What the forward kept.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g|
    /// saved |out| out.len();
    /// forward |cx| {
    ///     let x = cx.arg(0);
    ///     elementwise::map(Write::Overwrite, cx.saved(), x, |x| x.cos()); // kept for the rule
    ///     elementwise::map(cx.write(), cx.out(), x, |x| x.sin());
    /// };
    /// backward |cx| cx.into(0, |dst| elementwise::zip(dst.write, dst.data, cx.saved(), cx.dy(), |cos, dy| cos * dy));
    /// let x = g.leaf(&[0.0]);
    /// g.apply(Example, &[x]).backward()?;
    /// assert_eq!(x.grad()?, Some(ndarray::array![1.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn saved(&self) -> &'t [T] {
        self.node.saved
    }

    /// Whether anybody wants the gradient of operand `i`. [`into`](Backward::into) asks this by itself; a rule asks when it can save work.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let (a, b) = (cx.arg(0), cx.arg(1)); elementwise::zip(cx.write(), cx.out(), a, b, |a, b| a * b) };
    /// backward |cx| {
    ///     assert!(cx.wants(0) && !cx.wants(1));
    ///     cx.into(0, |dst| elementwise::zip(dst.write, dst.data, cx.arg(1), cx.dy(), |b, dy| b * dy))
    /// };
    /// let (a, b) = (g.leaf(&[2.0]), g.input(&[5.0])); // an input wants no gradient
    /// g.apply(Example, &[a, b]).backward()?;
    /// assert_eq!(a.grad()?, Some(ndarray::array![5.0].into_dyn()));
    /// assert_eq!(b.grad()?, None);
    /// # }
    /// ```
    #[inline]
    pub fn wants(&self, i: usize) -> bool {
        self.node.args[i].needs_grad
    }

    /// Hands on the gradient of operand `i`: `f` writes it to the destination, every element of it. Not called when nobody wants it.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let (a, b) = (cx.arg(0), cx.arg(1)); elementwise::zip(cx.write(), cx.out(), a, b, |a, b| a * b) };
    /// backward |cx| {
    ///     cx.into(0, |dst| elementwise::zip(dst.write, dst.data, cx.arg(1), cx.dy(), |b, dy| b * dy));
    ///     cx.into(1, |dst| elementwise::zip(dst.write, dst.data, cx.arg(0), cx.dy(), |a, dy| a * dy));
    /// };
    /// let x = g.leaf(&[3.0]);
    /// g.apply(Example, &[x, x]).backward()?; // both contributions add up
    /// assert_eq!(x.grad()?, Some(ndarray::array![6.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn into(&self, i: usize, f: impl FnOnce(Dst<'_, T>)) {
        self.with_target(i, true, f);
    }

    /// [`into`](Backward::into) for a rule that may not write every element (look-ups, slices): the destination is zeroed if this is
    /// the first contribution, and `f` always accumulates.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| kind |i| if i == 1 { ArgKind::Indices } else { ArgKind::Dense }; shape |args| Ok(*args[1]);
    /// # forward |cx| { let (t, at) = (cx.arg(0), cx.indices(1)); cx.out().iter_mut().zip(at).for_each(|(y, &i)| *y = t[i as usize]) };
    /// backward |cx| cx.into_zeroed(0, |dst| cx.indices(1).iter().zip(cx.dy()).for_each(|(&i, &dy)| dst.data[i as usize] += dy));
    /// let table = g.leaf(&[5.0, 6.0, 7.0]);
    /// g.apply(Example, &[table, g.indices(&[2_u32, 2])]).sum().backward()?;
    /// assert_eq!(table.grad()?, Some(ndarray::array![0.0, 0.0, 2.0].into_dyn()));
    /// # }
    /// ```
    #[inline]
    pub fn into_zeroed(&self, i: usize, f: impl FnOnce(Dst<'_, T>)) {
        self.with_target(i, false, f);
    }

    /// Several destinations at once, for a pass that computes several gradients together; `None` for those that nobody wants. Where two operands
    /// are the same (`w * w`) or parts of the same, each gets a temporary that is added afterwards.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let (a, b) = (cx.arg(0), cx.arg(1)); elementwise::zip(cx.write(), cx.out(), a, b, |a, b| a * b) };
    /// backward |cx| cx.into_many([0, 1], |destinations| {
    ///     for (dst, other) in destinations.into_iter().zip([cx.arg(1), cx.arg(0)]) {
    ///         let Some(dst) = dst else { continue };
    ///         elementwise::zip(dst.write, dst.data, other, cx.dy(), |other, dy| other * dy);
    ///     }
    /// });
    /// let (a, b) = (g.leaf(&[3.0]), g.leaf(&[5.0]));
    /// g.apply(Example, &[a, b]).backward()?;
    /// assert_eq!(a.grad()?, Some(ndarray::array![5.0].into_dyn()));
    /// assert_eq!(b.grad()?, Some(ndarray::array![3.0].into_dyn()));
    /// # }
    /// ```
    pub fn into_many<const N: usize>(
        &self,
        operands: [usize; N],
        f: impl FnOnce([Option<Dst<'_, T>>; N]),
    ) {
        let core = self.node.core;
        let mut homes: [Home<'t, T>; N] = std::array::from_fn(|_| Home::Unwanted);
        for (j, &i) in operands.iter().enumerate() {
            let arg = self.node.args[i];
            if !arg.needs_grad {
                continue;
            }
            let base = base_of(arg);
            let shared = operands.iter().any(|&other| {
                other != i && std::ptr::eq(root(base), root(base_of(self.node.args[other])))
            }) || operands[..j].contains(&i);
            homes[j] = match &base.kind {
                _ if shared => Home::Temporary(core.buffer(arg.shape.len())),
                Kind::Param { id, offset } => self.slot_home(id.index(), *offset, arg, base),
                _ => {
                    let (buffer, touched) = take_or_new(base);
                    Home::Activation(buffer, settle(arg, touched))
                }
            };
            if let Home::Activation(buffer, (_, true)) = &mut homes[j] {
                buffer.data[..base.shape.len()].fill(T::ZERO);
            }
        }

        let mut grads = core.grads.as_ref().map(|grads| grads.borrow_mut());
        let slab: &mut [T] = match &mut grads {
            Some(grads) => grads.slab_mut(),
            None => &mut [],
        };
        for home in &homes {
            if let Home::Slot {
                range, zero: true, ..
            } = home
            {
                slab[range.clone()].fill(T::ZERO);
            }
        }
        let ranges: [Option<Range<usize>>; N] = std::array::from_fn(|j| match &homes[j] {
            Home::Slot { range, .. } => Some(range.clone()),
            _ => None,
        });
        let mut slots = split_disjoint(slab, ranges);
        let mut j = 0;
        let destinations = homes.each_mut().map(|home| {
            let arg = self.node.args[operands[j]];
            let slot = slots[j].take();
            j += 1;
            match home {
                Home::Unwanted => None,
                Home::Slot { write, .. } => slot.map(|slot| destination(arg, slot, *write)),
                Home::Activation(buffer, (write, _)) => Some(destination(arg, buffer.data, *write)),
                Home::Temporary(buffer) => Some(Dst::new(
                    &mut buffer.data[..arg.shape.len()],
                    arg.shape,
                    None,
                    Write::Overwrite,
                )),
            }
        });
        f(destinations);
        drop(grads);

        for (home, &i) in homes.into_iter().zip(&operands) {
            match home {
                Home::Activation(buffer, _) => base_of(self.node.args[i]).grad.set(Some(buffer)),
                Home::Temporary(buffer) => {
                    self.into(i, |dst| {
                        let (rank, src) = (dst.shape.rank(), &buffer.data[..dst.shape.len()]);
                        let (to, from) = (dst.strides(), dst.shape.strides());
                        elementwise::copy_strided(
                            dst.write,
                            dst.data,
                            &to[..rank],
                            src,
                            &from[..rank],
                            dst.shape,
                        );
                    });
                    core.recycle(buffer);
                }
                Home::Unwanted | Home::Slot { .. } => {}
            }
        }
    }

    /// Room for `len` numbers while `f` runs, arbitrary content. Taken from the tape, no heap allocation after warm-up.
    ///
    /// ```
    /// # tiegrad_autodiff::example_op! { |g| forward |cx| { let x = cx.arg(0); elementwise::map(cx.write(), cx.out(), x, |x| x * x) };
    /// backward |cx| cx.with_scratch(cx.arg(0).len(), |twice| {
    ///     elementwise::map(Write::Overwrite, twice, cx.arg(0), |x| x + x);
    ///     cx.into(0, |dst| elementwise::zip(dst.write, dst.data, twice, cx.dy(), |t, dy| t * dy));
    /// });
    /// let x = g.leaf(&[3.0]);
    /// g.apply(Example, &[x]).backward()?; // x²
    /// assert_eq!(x.grad()?, Some(ndarray::array![6.0].into_dyn()));
    /// # }
    /// ```
    pub fn with_scratch<R>(&self, len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
        let core: &'t Core<'t, T> = self.node.core;
        let buffer = core.buffer(len);
        let result = f(&mut buffer.data[..len]);
        core.recycle(buffer);
        result
    }

    #[inline]
    fn with_target(&self, i: usize, writes_all: bool, f: impl FnOnce(Dst<'_, T>)) {
        let arg = self.node.args[i];
        if !arg.needs_grad {
            return;
        }
        let base = base_of(arg);
        let whole = writes_all && is_whole(arg);
        match base.kind {
            Kind::Param { id, offset } => {
                let Some(grads) = &self.node.core.grads else {
                    return;
                };
                let mut grads = grads.borrow_mut();
                let touched = grads.touch(id.index());
                let slot = &mut grads.slab_mut()[offset..offset + base.shape.len()];
                let write = first_write(slot, touched, whole);
                f(destination(arg, slot, write));
            }
            _ => {
                let (buffer, touched) = take_or_new(base);
                let write = first_write(&mut buffer.data[..base.shape.len()], touched, whole);
                f(destination(arg, buffer.data, write));
                base.grad.set(Some(buffer));
            }
        }
    }

    fn slot_home(
        &self,
        index: usize,
        offset: usize,
        arg: &Node<'t, T>,
        base: &Node<'t, T>,
    ) -> Home<'t, T> {
        let Some(grads) = &self.node.core.grads else {
            return Home::Unwanted;
        };
        let touched = grads.borrow_mut().touch(index);
        let (write, zero) = settle(arg, touched);
        Home::Slot {
            range: offset..offset + base.shape.len(),
            write,
            zero,
        }
    }
}

/// Where one of several gradients goes.
enum Home<'t, T: Scalar> {
    Unwanted,
    Slot {
        range: Range<usize>,
        write: Write,
        zero: bool,
    },
    Activation(&'t mut GradBuf<'t, T>, (Write, bool)),
    Temporary(&'t mut GradBuf<'t, T>),
}

/// The node that has the gradient: the node itself, or what it looks at.
#[inline]
pub(crate) fn base_of<'t, T: Scalar>(node: &'t Node<'t, T>) -> &'t Node<'t, T> {
    match node.kind {
        Kind::View(view) => view.base,
        _ => node,
    }
}

/// Two uses of one parameter are two nodes over one slot: its first number tells them apart from others.
#[inline]
fn root<'t, T: Scalar>(base: &'t Node<'t, T>) -> *const () {
    match base.kind {
        Kind::Param { .. } => base.value.as_ptr().cast(),
        _ => std::ptr::from_ref(base).cast(),
    }
}

#[inline]
fn is_whole<T: Scalar>(node: &Node<'_, T>) -> bool {
    match node.kind {
        Kind::View(view) => view.whole,
        _ => true,
    }
}

/// How to write, and whether to zero first.
#[inline]
fn settle<T: Scalar>(arg: &Node<'_, T>, touched: bool) -> (Write, bool) {
    match (touched, is_whole(arg)) {
        (true, _) => (Write::Accumulate, false),
        (false, true) => (Write::Overwrite, false),
        (false, false) => (Write::Accumulate, true),
    }
}

#[inline]
fn first_write<T: Scalar>(numbers: &mut [T], touched: bool, whole: bool) -> Write {
    match (touched, whole) {
        (true, _) => Write::Accumulate,
        (false, true) => Write::Overwrite,
        (false, false) => {
            numbers.fill(T::ZERO);
            Write::Accumulate
        }
    }
}

/// The gradient buffer of an activation or leaf, and whether it holds contributions already.
#[inline]
fn take_or_new<'t, T: Scalar>(base: &'t Node<'t, T>) -> (&'t mut GradBuf<'t, T>, bool) {
    match base.grad.take() {
        Some(buffer) => (buffer, true),
        None => (base.core.buffer(base.shape.len()), false),
    }
}

/// The part of the base's gradient that `arg` stands for.
#[inline]
fn destination<'d, 't: 'd, T: Scalar>(
    arg: &'t Node<'t, T>,
    numbers: &'d mut [T],
    write: Write,
) -> Dst<'d, T> {
    let data = match arg.kind {
        // As long as the value: of exactly the operand's elements where it is dense.
        Kind::View(view) if !arg.value.is_empty() => {
            &mut numbers[view.offset..view.offset + arg.value.len()]
        }
        _ => &mut numbers[..arg.value.len()],
    };
    Dst::new(data, arg.shape, arg.strides(), write)
}

/// Several disjoint parts of one slice.
fn split_disjoint<T, const N: usize>(
    slab: &mut [T],
    ranges: [Option<Range<usize>>; N],
) -> [Option<&mut [T]>; N] {
    let mut parts: [Option<&mut [T]>; N] = std::array::from_fn(|_| None);
    let mut rest = slab;
    let mut start = 0;
    // Smallest offset first. N is 2 or 3.
    for _ in 0..N {
        let next = (0..N)
            .filter(|&j| parts[j].is_none())
            .filter_map(|j| ranges[j].as_ref().map(|range| (range.start, j)))
            .min();
        let Some((offset, j)) = next else { break };
        let len = ranges[j].as_ref().map_or(0, |range| range.len());
        let (part, after) = std::mem::take(&mut rest)
            .split_at_mut(offset - start)
            .1
            .split_at_mut(len);
        parts[j] = Some(part);
        rest = after;
        start = offset + len;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::split_disjoint;

    #[test]
    fn parts_of_one_slice() {
        let mut slab: Vec<usize> = (0..10).collect();
        let [a, b, c] = split_disjoint(&mut slab, [Some(6..9), None, Some(1..3)]);
        assert_eq!(a.map(|s| s.to_vec()), Some(vec![6, 7, 8]));
        assert_eq!(b, None);
        assert_eq!(c.map(|s| s.to_vec()), Some(vec![1, 2]));
    }
}
