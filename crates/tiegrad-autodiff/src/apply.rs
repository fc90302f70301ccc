//! How an op is put on the tape: [`Graph::apply`], and views, which are looks at other nodes.

use std::panic::Location;

use tiegrad_arena::Shape;
use tiegrad_kernels::Scalar;

use crate::error::Problem;
use crate::graph::Graph;
use crate::node::{Kind, Node, Strides, ViewOf, is_row_major};
use crate::op::{ArgKind, Forward, Op};
use crate::ops::Contiguous;
use crate::var::Var;

impl<'t, T: Scalar> Graph<'t, T> {
    /// Computes an op and puts it on the tape. All methods of Var come here; a user's own op is applied by it too.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::{Tape, ops};
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let x = g.input(&[-1.0, 2.0]);
    /// assert_eq!(g.apply(ops::Relu, &[x]).sum().item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn apply<O: Op>(self, op: O, args: &[Var<'t, T>]) -> Var<'t, T> {
        self.apply_at(op, args, Location::caller())
    }

    pub(crate) fn apply_at<O: Op>(
        self,
        op: O,
        args: &[Var<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let args = self
            .core
            .records
            .alloc_slice_fill_iter(args.iter().map(|arg| arg.node()));
        self.apply_nodes(op, args, location)
    }

    /// [`apply`](Graph::apply) to what `f` makes of each operand.
    #[track_caller]
    pub(crate) fn apply_each<O: Op>(
        self,
        op: O,
        args: &[Var<'t, T>],
        mut f: impl FnMut(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let args = self
            .core
            .records
            .alloc_slice_fill_iter(args.iter().map(|&arg| f(arg).node()));
        self.apply_nodes(op, args, Location::caller())
    }

    fn apply_nodes<O: Op>(
        self,
        op: O,
        args: &'t mut [&'t Node<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let core = self.core;
        let found = args.len();
        if let Some(expected) = op.arity()
            && expected != found
        {
            let problem = Problem::Operands { expected, found };
            return core.poison(O::NAME, problem, args, location);
        }
        for i in 0..args.len() {
            match self.admit(O::NAME, op.kind(i), args, i, location) {
                Ok(()) => {}
                Err(Some(poisoned)) => return poisoned,
                Err(None) => return self.shapes_of(op, args, location),
            }
        }
        let args: &'t [&'t Node<'t, T>] = args;

        let mut inline = [&Shape::SCALAR; 4];
        let spilled;
        let shapes: &[&Shape] = match inline.get_mut(..args.len()) {
            Some(shapes) => {
                shapes
                    .iter_mut()
                    .zip(args)
                    .for_each(|(shape, arg)| *shape = arg.shape);
                shapes
            }
            None => {
                spilled = &*core
                    .records
                    .alloc_slice_fill_iter(args.iter().map(|arg| arg.shape));
                spilled
            }
        };
        let shape = match op.shape(shapes) {
            Ok(shape) => core.keep_shape(shape),
            Err(problem) => return core.poison(O::NAME, problem, args, location),
        };
        let needs_grad = args.iter().any(|arg| arg.needs_grad);
        let out = core.numbers.scalars(shape.len());
        let saved = core.numbers.scalars(op.saved(shapes, shape));
        if let Err(problem) = op.forward(&mut Forward {
            args,
            shape,
            out,
            saved,
        }) {
            return core.poison(O::NAME, problem, args, location);
        }
        let kind = if needs_grad {
            Kind::Op(core.records.alloc(op))
        } else {
            Kind::Input
        };
        core.push_op(kind, shape, args, (out, saved), needs_grad, location)
    }

    /// Takes the op by value, so that an ordinary call need not keep it in memory.
    #[cold]
    #[inline(never)]
    fn shapes_of<O: Op>(
        self,
        op: O,
        args: &[&'t Node<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        self.apply_to_shapes(&op, args, location)
    }

    /// Makes operand `i` what the op wants, or says why it cannot be: `None` where it is a shape only. The first poisoned operand's poison is handed on.
    #[inline]
    fn admit(
        self,
        name: &'static str,
        kind: ArgKind,
        args: &mut [&'t Node<'t, T>],
        i: usize,
        location: &'static Location<'static>,
    ) -> Result<(), Option<Var<'t, T>>> {
        let node = args[i];
        match (&node.kind, kind) {
            (
                Kind::Input | Kind::Leaf | Kind::Param { .. } | Kind::Op(_) | Kind::Use(_),
                ArgKind::Dense | ArgKind::Strided,
            )
            | (Kind::View(_), ArgKind::Strided)
            | (Kind::Indices(_), ArgKind::Indices)
                if std::ptr::eq(node.core, self.core) => {}
            (Kind::View(_), ArgKind::Dense) if std::ptr::eq(node.core, self.core) => {
                if !node.is_contiguous() {
                    self.core.copies.set(self.core.copies.get() + 1);
                    args[i] = self
                        .apply_at(Contiguous, &[Var::new(node)], location)
                        .node();
                }
            }
            _ => return Err(self.refuse(name, kind, args, i, location)),
        }
        Ok(())
    }

    #[cold]
    fn refuse(
        self,
        name: &'static str,
        kind: ArgKind,
        args: &[&'t Node<'t, T>],
        i: usize,
        location: &'static Location<'static>,
    ) -> Option<Var<'t, T>> {
        let problem = match &args[i].kind {
            Kind::Poison(_) => return Some(Var::new(args[i])),
            Kind::Shape { .. } => return None,
            _ if !std::ptr::eq(args[i].core, self.core) => Problem::TwoGraphs,
            Kind::Indices(_) => Problem::ExpectedValues { operand: i },
            _ => {
                debug_assert_eq!(kind, ArgKind::Indices);
                Problem::ExpectedIndices { operand: i }
            }
        };
        Some(self.core.poison(name, problem, args, location))
    }

    /// Another look at a node's numbers: a node without numbers of its own.
    #[inline]
    pub(crate) fn view(
        self,
        node: &'t Node<'t, T>,
        shape: Shape,
        strides: Strides,
        start: usize,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let core = self.core;
        let (base, offset) = match node.kind {
            Kind::View(view) => (view.base, view.offset + start),
            Kind::Shape { param, .. } => return self.shape_only(shape, param, false, location),
            _ => (node, start),
        };
        let value = if shape.is_empty() {
            &[]
        } else {
            let last: usize = shape
                .iter()
                .zip(&strides)
                .map(|(n, stride)| (n - 1) * stride)
                .sum();
            &base.value[offset..offset + last + 1]
        };
        let (whole, dense) = (
            shape.len() == base.shape.len(),
            is_row_major(&shape, &strides),
        );
        let view = core.records.alloc_with(move || ViewOf {
            base,
            offset,
            strides,
            whole,
            dense,
        });
        core.push(
            Kind::View(view),
            core.keep_shape(shape),
            value,
            node.needs_grad,
            location,
        )
    }
}
