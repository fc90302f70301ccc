//! [`Var`]: a value on the tape. Its arithmetic stands with the ops (`ops/`), each op's method beside its rule.

use ndarray::{Array, ArrayD, ArrayViewD, IxDyn};
use tiegrad_arena::Shape;
use tiegrad_kernels::{Scalar, Write, elementwise};

use crate::backward::walk;
use crate::error::{Error, ErrorRecord, Problem};
use crate::graph::Graph;
use crate::input::Input;
use crate::node::{Kind, Node};
use crate::recording::{Only, Special};
use crate::uses::walk_uses;

/// A value on the tape: a number, vector, matrix or more, with what is needed to differentiate it. A `Copy` handle of 8 bytes.
///
/// Methods carry PyTorch's names. A method that fails gives a poisoned Var; [`value`](Var::value), [`item`](Var::item) and
/// [`backward`](Var::backward) then return the first [`Error`].
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::Tape;
/// let params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let g = tape.eval(&params);
/// let x = g.input(&[1.0, 2.0, 3.0]);
/// assert_eq!(((x + 1.0) * x).sum().item()?, 2.0 + 6.0 + 12.0);
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
pub struct Var<'t, T: Scalar> {
    node: &'t Node<'t, T>,
}

impl<T: Scalar> Clone for Var<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Scalar> Copy for Var<'_, T> {}

impl<'t, T: Scalar> Var<'t, T> {
    #[inline]
    pub(crate) fn new(node: &'t Node<'t, T>) -> Var<'t, T> {
        Var { node }
    }

    #[inline]
    pub(crate) fn node(self) -> &'t Node<'t, T> {
        self.node
    }

    /// The graph that this Var belongs to.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let x = g.input(&[1.0]);
    /// assert_eq!((x + x.graph().scalar(1.0)).item()?, 2.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[inline]
    pub fn graph(self) -> Graph<'t, T> {
        Graph::new(self.node.core)
    }

    /// The shape. Of a poisoned Var: that of a number (`[]`).
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(&**g.input(&[1.0, 2.0]).shape(), [2]);
    /// ```
    #[inline]
    pub fn shape(self) -> &'t Shape {
        self.node.shape
    }

    /// Whether a gradient would flow into this Var.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.record(&mut params);
    /// assert!(g.leaf(&[1.0]).requires_grad());
    /// assert!(!g.input(&[1.0]).requires_grad());
    /// ```
    #[inline]
    pub fn requires_grad(self) -> bool {
        self.node.needs_grad
    }

    /// The first error on the way to this value, if there was one.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// assert!(g.input(&[1.0]).error().is_none());
    /// ```
    pub fn error(self) -> Option<Error> {
        match self.node.kind {
            Kind::Poison(record) => Some(self.node.core.error(record)),
            _ => None,
        }
    }

    #[cold]
    fn fail<R>(self, op: &'static str, problem: Problem) -> Result<R, Error> {
        let (shapes, location) = (&[*self.node.shape][..], self.node.location);
        Err(self.node.core.error(&ErrorRecord {
            op,
            problem,
            shapes,
            params: &[],
            location,
        }))
    }

    #[inline]
    fn healthy(self) -> Result<&'t Node<'t, T>, Error> {
        match self.node.kind {
            Kind::Poison(record) => Err(self.node.core.error(record)),
            Kind::Indices(_) => self.fail("value", Problem::ExpectedValues { operand: 0 }),
            _ => Ok(self.node),
        }
    }

    /// [`healthy`](Var::healthy), and with values. (Of a shape alone, the value is an empty slice: where one number is wanted, that is enough to ask.)
    fn valued(self, op: &'static str) -> Result<&'t Node<'t, T>, Error> {
        match self.is_placeholder() {
            true => self.fail(op, Problem::NoValues),
            false => self.healthy(),
        }
    }

    /// The numbers, as a view of the tape. O(1).
    ///
    /// # Errors
    /// The first error on the way to this value; indices have no values.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let m = g.input(&array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(m.t().value()?, array![[1.0, 3.0], [2.0, 4.0]].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    pub fn value(self) -> Result<ArrayViewD<'t, T>, Error> {
        use ndarray::ShapeBuilder;
        let node = self.valued("value")?;
        let dims = IxDyn(node.shape);
        let view = match node.strides() {
            Some(strides) if !node.is_contiguous() => ArrayViewD::from_shape(
                dims.strides(IxDyn(&strides[..node.shape.rank()])),
                node.value,
            ),
            _ => ArrayViewD::from_shape(dims, node.value),
        };
        view.or_else(|_| self.fail("value", Problem::BadShape))
    }

    /// The numbers in row-major order without a copy, where they stand so (everything but some views).
    ///
    /// # Errors
    /// The first error on the way to this value.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let m = g.input(&array![[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq!(m.as_slice()?, Some(&[1.0, 2.0, 3.0, 4.0][..]));
    /// assert_eq!(m.t().as_slice()?, None);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    pub fn as_slice(self) -> Result<Option<&'t [T]>, Error> {
        let node = self.valued("as_slice")?;
        Ok(node.is_contiguous().then_some(node.value))
    }

    /// The one number that this Var is.
    ///
    /// # Errors
    /// The first error on the way to this value; more or fewer elements than one.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.input(&[4.0]).item()?, 4.0);
    /// assert!(g.input(&[4.0, 5.0]).item().is_err());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[inline]
    pub fn item(self) -> Result<T, Error> {
        match self.healthy()?.value {
            [x] => Ok(*x),
            _ => self
                .valued("item")
                .and_then(|_| self.fail("item", Problem::NotOneElement)),
        }
    }

    /// Differentiates this number with respect to every parameter and leaf it depends on, adds the gradients into their slots, and
    /// returns the number. Called twice, it adds twice. O(the forward pass).
    ///
    /// # Errors
    /// The first error on the way to this value; not one number; nothing that requires a gradient. Nothing is added to any gradient then.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert(&array![1.0, 2.0])?;
    /// let mut tape = Tape::new();
    /// let loss = tape.record(&mut params).param(w).square().sum().backward()?;
    /// assert_eq!(loss, 5.0);
    /// assert_eq!(params.grad_slice(w)?, Some(&[2.0, 4.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backward(self) -> Result<T, Error> {
        let node = self.healthy()?;
        let &[loss] = node.value else {
            return self
                .valued("backward")
                .and_then(|_| self.fail("backward", Problem::NotScalar));
        };
        self.start(&[T::ONE], loss)
    }

    /// [`backward`](Var::backward) of a Var of any shape, from a cotangent of the same shape: the vector-Jacobian product. `loss.backward_with(1)` is
    /// `loss.backward()`.
    ///
    /// # Errors
    /// As [`backward`](Var::backward); a cotangent of another shape.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.record(&mut params);
    /// let x = g.leaf(&[1.0, 2.0]);
    /// x.square().backward_with(&[10.0, 1.0])?;
    /// assert_eq!(x.grad()?, Some(ndarray::array![20.0, 4.0].into_dyn()));
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    pub fn backward_with(self, cotangent: impl Input<T>) -> Result<(), Error> {
        let node = self.valued("backward_with")?;
        if cotangent.dims() != &**node.shape {
            return self.fail("backward_with", Problem::ShapesDiffer);
        }
        match cotangent.dense() {
            Some(slice) if slice.len() == node.shape.len() => self.start(slice, ()),
            Some(slice) => self.fail(
                "backward_with",
                Problem::Length {
                    expected: node.shape.len(),
                    found: slice.len(),
                },
            ),
            None => {
                let mut copy = vec![T::ZERO; node.shape.len()];
                cotangent.copy_to(&mut copy);
                self.start(&copy, ())
            }
        }
    }

    /// Puts the cotangent where a rule would, and walks.
    fn start<R>(self, cotangent: &[T], result: R) -> Result<R, Error> {
        if !self.node.needs_grad {
            return self.fail("backward", Problem::NoGradient);
        }
        // A view has no gradient of its own, and a parameter's gradient is its slot: an op between makes every case the same.
        let node = match self.node.kind {
            Kind::Op(_) => self.node,
            _ => self.contiguous().node,
        };
        let (buffer, write) = match node.grad.take() {
            Some(buffer) => (buffer, Write::Accumulate),
            None => (node.core.buffer(node.shape.len()), Write::Overwrite),
        };
        elementwise::map(
            write,
            &mut buffer.data[..node.shape.len()],
            cotangent,
            |x| x,
        );
        node.grad.set(Some(buffer));
        match node.core.only.get() {
            Only::Special(Special::Uses(keep)) => walk_uses(node, keep),
            _ => walk(node),
        }
        Ok(result)
    }

    /// The gradient of a leaf: `None` until a backward pass reaches it. (A parameter's gradient is `params.grad(id)`.) Later passes
    /// accumulate.
    ///
    /// # Errors
    /// The first error on the way to this value.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.record(&mut params);
    /// let x = g.leaf(&[3.0]);
    /// assert_eq!(x.grad()?, None);
    /// x.square().backward()?;
    /// assert_eq!(x.grad()?, Some(ndarray::array![6.0].into_dyn()));
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    pub fn grad(self) -> Result<Option<ArrayD<T>>, Error> {
        let node = self.valued("grad")?;
        let Some(buffer) = node.grad.take() else {
            return Ok(None);
        };
        let copy = buffer.data[..node.shape.len()].to_vec();
        node.grad.set(Some(buffer));
        Array::from_shape_vec(IxDyn(node.shape), copy)
            .map(Some)
            .or_else(|_| self.fail("grad", Problem::BadShape))
    }
}

impl<T: Scalar> std::fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.error(), self.node.kind_name()) {
            (Some(error), _) => write!(f, "Var(poisoned: {error})"),
            (None, kind @ "shape") => write!(f, "Var(shape={}, {kind} only)", self.node.shape),
            (None, "indices") => write!(f, "Var(indices, shape={})", self.node.shape),
            (None, kind) => match self.value() {
                Ok(value) => write!(f, "Var({value}, shape={}, {kind})", self.node.shape),
                Err(error) => write!(f, "Var(poisoned: {error})"),
            },
        }
    }
}
