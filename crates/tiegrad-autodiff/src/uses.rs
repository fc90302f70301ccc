//! Per-use gradients: what each use of a parameter contributed to its gradient.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use tiegrad_arena::{ParamId, Selection, Shape};
use tiegrad_kernels::{Scalar, Write, elementwise};

use crate::graph::Graph;
use crate::node::{GradBuf, Kind, Node, TrackedUse};
use crate::op::Backward;
use crate::recording::{Only, Special};
use crate::sink::base_of;

/// The gradient of each use of each parameter, one by one: what a tied parameter's gradient is the sum of. Filled by the backward passes of a
/// recording that was told to [`per_use`](Graph::per_use); memory of its own, one gradient's size for each use.
///
/// ```
/// use ndarray::array;
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::{Tape, UseGrads};
///
/// let mut params = Params::<f64>::new();
/// let w = params.insert(&array![[2.0]])?;
/// let (mut tape, mut uses) = (Tape::new(), UseGrads::new());
/// let g = tape.record(&mut params).per_use(&mut uses);
/// let h = g.input(&array![[3.0]]).linear(g.param(w), None); // 6
/// let y = h.linear(g.param(w), None); // 12
/// y.sum().backward()?;
///
/// let each: Vec<f64> = uses.of(w).map(|contribution| contribution.grad().sum()).collect();
/// assert_eq!(each, [6.0, 6.0]); // d(w·6)/dw, then w · d(w·3)/dw
/// assert_eq!(params.grad(w)?.map(|grad| grad.sum()), Some(12.0)); // their sum
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct UseGrads<T> {
    contributions: Vec<Contribution<T>>,
}

impl<T: Scalar> UseGrads<T> {
    /// Nothing yet.
    ///
    /// ```
    /// let uses = tiegrad_autodiff::UseGrads::<f32>::new();
    /// assert_eq!(uses.iter().count(), 0);
    /// ```
    pub fn new() -> Self {
        Self {
            contributions: Vec::new(),
        }
    }

    /// All contributions of the last recording, in the order in which its backward passes made them: the last use in the forward pass comes first.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape) = (tiegrad_arena::Params::<f64>::new(), Tape::new());
    /// let (a, b) = (params.insert(&ndarray::array![2.0])?, params.insert(&ndarray::array![3.0])?);
    /// let mut uses = UseGrads::new();
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// (g.param(a) * 2.0 + g.param(b)).sum().backward()?;
    /// assert!(uses.iter().map(|each| each.id()).eq([b, a]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Contribution<T>> {
        self.contributions.iter()
    }

    /// The contributions to one parameter's gradient, in the same order. O(all contributions).
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// (g.param(w) * g.param(w)).sum().backward()?; // one op that reads w twice: two uses
    /// assert_eq!(uses.of(w).map(|each| each.norm()).collect::<Vec<_>>(), [2.0, 2.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(&self, id: ParamId) -> impl Iterator<Item = &Contribution<T>> {
        self.iter().filter(move |each| each.id == id)
    }

    fn clear(&mut self) {
        self.contributions.clear();
    }
}

impl<T: Scalar> Default for UseGrads<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What one op that read a parameter contributed to its gradient.
///
/// ```
/// # use tiegrad_autodiff::{Tape, UseGrads};
/// # let (mut params, mut tape) = (tiegrad_arena::Params::<f64>::new(), Tape::new());
/// let w = params.insert(&ndarray::array![3.0, 4.0])?;
/// let mut uses = UseGrads::new();
/// let g = tape.record(&mut params).per_use(&mut uses);
/// let loss = g.param(w).square().sum() + g.param(w).sum();
/// loss.backward()?;
/// let of: Vec<_> = uses.of(w).collect();
/// assert_eq!((of[0].op(), of[1].op()), ("sum", "square"));
/// assert_eq!(of[1].norm(), 10.0); // (6, 8)
/// assert!((of[0].cosine(of[1]).unwrap_or(0.0) - 14.0 / (10.0 * 2.0_f64.sqrt())).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Contribution<T> {
    id: ParamId,
    op: &'static str,
    location: &'static Location<'static>,
    field: usize,
    grad: ArrayD<T>,
}

impl<T: Scalar> Contribution<T> {
    /// Which parameter.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// g.param(w).exp().sum().backward()?;
    /// assert_eq!(uses.iter().next().map(|each| each.id()), Some(w));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// The op that read it (or looked at it through a view, such as its transpose).
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![[2.0]])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// g.full([1, 1], 3.0).matmul(g.param(w).t()).sum().backward()?;
    /// assert_eq!(uses.of(w).next().map(|each| each.op()), Some("matmul"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// The line of the user's call: of the layer, or of the op.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// let y = g.param(w).exp();
    /// let line = line!() - 1;
    /// y.sum().backward()?;
    /// assert_eq!(uses.of(w).next().map(|each| each.location().line()), Some(line));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The contribution, of the parameter's shape. The contributions of all uses sum to the parameter's gradient, within the rounding of that sum.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![2.0, 2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// (g.param(w) * 3.0).sum().backward()?;
    /// let of: Vec<_> = uses.of(w).map(|each| each.grad()).collect();
    /// assert_eq!(of, [ndarray::array![3.0, 3.0].into_dyn().view()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grad(&self) -> ArrayViewD<'_, T> {
        self.grad.view()
    }

    /// Its Euclidean norm.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![1.5, 2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// g.param(w).square().sum().backward()?;
    /// assert_eq!(uses.of(w).map(|each| each.norm()).collect::<Vec<_>>(), [5.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn norm(&self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The cosine of the angle between this contribution and another to a parameter of the same shape: 1 where two uses pull the same way, -1 where
    /// they pull against each other. `None` where one is zero (or the shapes differ).
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![1.0, 2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// (g.param(w).sum() - g.param(w).sum()).backward()?;
    /// let of: Vec<_> = uses.of(w).collect();
    /// assert!((of[0].cosine(of[1]).unwrap_or(0.0) + 1.0).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cosine(&self, other: &Self) -> Option<f64> {
        let scale = self.norm() * other.norm();
        let comparable = self.grad.shape() == other.grad.shape() && scale > 0.0;
        comparable.then(|| (self.dot(other) / scale).clamp(-1.0, 1.0))
    }

    /// The address of the field that the id was read from, where it was read by [`Graph::param_ref`]. It is compared with the fields of a network to
    /// name the use; it is never followed.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape, mut uses) = (tiegrad_arena::Params::<f64>::new(), Tape::new(), UseGrads::new());
    /// let w = params.insert(&ndarray::array![2.0])?;
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// g.param_ref(&w).sum().backward()?;
    /// assert_eq!(uses.of(w).next().map(|each| each.field()), Some(std::ptr::from_ref(&w).addr()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn field(&self) -> usize {
        self.field
    }

    fn dot(&self, other: &Self) -> f64 {
        let products = self.grad.iter().zip(&other.grad);
        products.map(|(a, b)| a.to_f64() * b.to_f64()).sum()
    }
}

/// A recording's setting to keep the gradients of uses.
pub(crate) struct KeepUses<'t, T: Scalar> {
    only: Cell<Option<&'t Selection>>,
    into: RefCell<&'t mut UseGrads<T>>,
}

impl<'t, T: Scalar> KeepUses<'t, T> {
    pub(crate) fn set_only(&self, selection: &'t Selection) {
        self.only.set(Some(selection));
    }

    pub(crate) fn wants(&self, id: ParamId) -> bool {
        self.only.get().is_none_or(|only| only.contains(id))
    }
}

impl<'t, T: Scalar> Graph<'t, T> {
    /// Keeps the gradient of each use of each parameter apart, besides summing them into the slots: a use is an op that reads what one call of
    /// [`param`](Graph::param) gave. What `uses` held before is dropped. Said before the first parameter or op of the graph; later it is too late, and every parameter used from then
    /// on is that error.
    ///
    /// Costs a copy of each contribution; a recording that does not ask for it pays nothing. The slots' bits may differ from those of a recording without it by the
    /// rounding of the sums, since rules then write each contribution by itself.
    ///
    /// ```
    /// # use tiegrad_autodiff::{Tape, UseGrads};
    /// # let (mut params, mut tape) = (tiegrad_arena::Params::<f64>::new(), Tape::new());
    /// let w = params.insert(&ndarray::array![2.0])?;
    /// let mut uses = UseGrads::new();
    /// let g = tape.record(&mut params).per_use(&mut uses);
    /// let w_var = g.param(w);
    /// (w_var.square() + w_var).sum().backward()?; // one Var, read twice
    /// assert_eq!(uses.of(w).map(|each| each.norm()).collect::<Vec<_>>(), [1.0, 4.0]);
    /// assert_eq!(params.grad_slice(w)?, Some(&[5.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn per_use(self, uses: &'t mut UseGrads<T>) -> Graph<'t, T> {
        let core = self.core;
        if core.last.get().is_some() {
            return self.too_late("per_use", Location::caller());
        }
        uses.clear();
        let only = match core.only.get() {
            Only::These(selection) => Some(selection),
            _ => None,
        };
        if !matches!(core.only.get(), Only::Special(_)) && core.grads.is_some() {
            let keep = Special::Uses(KeepUses {
                only: Cell::new(only),
                into: RefCell::new(uses),
            });
            core.only.set(Only::Special(core.records.alloc(keep)));
        }
        self
    }
}

/// [`walk`](crate::backward::walk) that hands each contribution to a parameter on as soon as the rule that made it is done.
#[cold]
#[inline(never)]
pub(crate) fn walk_uses<'t, T: Scalar>(result: &'t Node<'t, T>, keep: &KeepUses<'t, T>) {
    let mut next = Some(result);
    while let Some(node) = next {
        if let Kind::Op(op) = node.kind
            && let Some(grad) = node.grad.take()
        {
            op.run(&Backward {
                node,
                dy: &grad.data[..node.shape.len()],
            });
            node.core.recycle(grad);
            for arg in node.args {
                let base = base_of(arg);
                if let Kind::Use(tracked) = base.kind
                    && let Some(buffer) = base.grad.take()
                {
                    hand_on(node, base.shape, tracked, buffer, keep);
                }
            }
        }
        next = node.prev;
    }
}

/// Adds what an op contributed to the slot, and keeps a copy.
fn hand_on<'t, T: Scalar>(
    op: &Node<'t, T>,
    shape: &Shape,
    tracked: &TrackedUse,
    buffer: &'t mut GradBuf<'t, T>,
    keep: &KeepUses<'t, T>,
) {
    let contribution = &buffer.data[..shape.len()];
    if let Some(grads) = &op.core.grads {
        let mut grads = grads.borrow_mut();
        let write = match grads.touch(tracked.id.index()) {
            true => Write::Accumulate,
            false => Write::Overwrite,
        };
        let slot = &mut grads.slab_mut()[tracked.offset..tracked.offset + shape.len()];
        elementwise::map(write, slot, contribution, |x| x);
    }
    if let Ok(grad) = ArrayD::from_shape_vec(IxDyn(shape), contribution.to_vec()) {
        // An op of a layer has the layer's line, which within a container stands for the user's.
        let location = match std::ptr::eq(op.location, tracked.asked_at)
            || *op.location == *tracked.asked_at
        {
            true => tracked.user_line,
            false => op.location,
        };
        keep.into.borrow_mut().contributions.push(Contribution {
            id: tracked.id,
            op: op.kind_name(),
            location,
            field: tracked.field,
            grad,
        });
    }
    op.core.recycle(buffer);
}
