//! [`Graph`]: one recording. Where data and parameters become Vars, and where an op is put on the tape.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use bumpalo::Bump;
use ndarray::{ArrayView, Dimension};
use tiegrad_arena::{Grads, IntoShape, ParamId, Selection, Shape, Values};
use tiegrad_kernels::Scalar;

use crate::error::{Error, ErrorRecord, Problem};
use crate::input::{Indices, Input};
use crate::memory::NumberArena;
use crate::node::{GradBuf, Kind, Node, Strides, ViewOf, is_row_major};
use crate::op::{ArgKind, Forward, Op};
use crate::ops::Contiguous;
use crate::tape::RngState;
use crate::var::Var;

/// One recording on a [`Tape`](crate::Tape): a small `Copy` handle, so helper functions take `Graph<'t, T>` or get it from any Var.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::{Graph, Tape, Var};
///
/// fn ramp<'t>(g: Graph<'t, f32>) -> Var<'t, f32> {
///     g.input(&[0.0, 0.5, 1.0])
/// }
///
/// let params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// let g = tape.eval(&params);
/// assert_eq!((ramp(g) * ramp(g)).sum().item()?, 1.25);
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
pub struct Graph<'t, T: Scalar> {
    core: &'t Core<'t, T>,
}

impl<T: Scalar> Clone for Graph<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Scalar> Copy for Graph<'_, T> {}

/// Which parameters get gradients.
#[derive(Clone, Copy)]
enum Only<'t> {
    All,
    These(&'t Selection),
    /// Said too late: every parameter from then on is this error.
    Late(&'t ErrorRecord<'t>),
}

/// What all nodes of a recording share. It lies on the tape and has no destructor.
pub(crate) struct Core<'t, T: Scalar> {
    records: &'t Bump,
    numbers: &'t NumberArena,
    pub(crate) values: &'t Values<T>,
    pub(crate) grads: Option<RefCell<&'t mut Grads<T>>>,
    only: Cell<Only<'t>>,
    pub(crate) last: Cell<Option<&'t Node<'t, T>>>,
    pub(crate) free: Cell<Option<&'t mut GradBuf<'t, T>>>,
    training: Cell<bool>,
    rng: RngState,
    dropouts: Cell<u32>,
    copies: Cell<usize>,
}

impl<'t, T: Scalar> Core<'t, T> {
    #[inline]
    pub(crate) fn new(
        records: &'t Bump,
        numbers: &'t NumberArena,
        values: &'t Values<T>,
        grads: Option<&'t mut Grads<T>>,
        rng: RngState,
    ) -> Core<'t, T> {
        Core {
            records,
            numbers,
            values,
            training: Cell::new(grads.is_some()),
            grads: grads.map(RefCell::new),
            only: Cell::new(Only::All),
            last: Cell::new(None),
            free: Cell::new(None),
            rng,
            dropouts: Cell::new(0),
            copies: Cell::new(0),
        }
    }

    /// A gradient buffer of at least `len` numbers, arbitrary content: a free one that fits without much waste, or a new one.
    pub(crate) fn buffer(&self, len: usize) -> &'t mut GradBuf<'t, T> {
        let mut skipped = None;
        let mut list = self.free.take();
        let mut found = None;
        while let Some(buffer) = list {
            list = buffer.next.take();
            if found.is_none() && buffer.data.len() >= len && buffer.data.len() / 2 <= len {
                found = Some(buffer);
            } else {
                buffer.next = skipped;
                skipped = Some(buffer);
            }
            if found.is_some() && skipped.is_none() {
                // The first one fits: the rest of the list can stay as it is.
                skipped = list.take();
            }
        }
        self.free.set(skipped);
        found.unwrap_or_else(|| self.records.alloc(GradBuf { data: self.numbers.scalars(len), next: None }))
    }

    /// Gives a gradient buffer back for the next one who asks.
    #[inline]
    pub(crate) fn recycle(&self, buffer: &'t mut GradBuf<'t, T>) {
        buffer.next = self.free.take();
        self.free.set(Some(buffer));
    }

    /// Makes a node without operands at the end of the list.
    #[inline]
    fn push(
        &'t self,
        kind: Kind<'t, T>,
        shape: &'t Shape,
        value: &'t [T],
        needs_grad: bool,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        self.push_op(kind, shape, &[], (value, &[]), needs_grad, location)
    }

    /// Makes a node at the end of the list, in place.
    #[inline]
    fn push_op(
        &'t self,
        kind: Kind<'t, T>,
        shape: &'t Shape,
        args: &'t [&'t Node<'t, T>],
        (value, saved): (&'t [T], &'t [T]),
        needs_grad: bool,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let (prev, grad) = (self.last.get(), Cell::new(None));
        let node: &'t Node<'t, T> = self.records.alloc_with(move || Node {
            core: self,
            prev,
            kind,
            args,
            value,
            saved,
            grad,
            shape,
            needs_grad,
            location,
        });
        self.last.set(Some(node));
        Var::new(node)
    }

    #[inline]
    fn keep_shape(&'t self, shape: Shape) -> &'t Shape {
        self.records.alloc_with(move || shape)
    }

    /// A Var that stands for a failed op.
    #[cold]
    pub(crate) fn poison(
        &'t self,
        op: &'static str,
        problem: Problem,
        args: &[&'t Node<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let shapes = self.records.alloc_slice_fill_iter(args.iter().map(|arg| *arg.shape));
        let count = args.iter().filter_map(|arg| param_of(arg)).count();
        let mut ids = args.iter().filter_map(|arg| param_of(arg));
        let params = self.records.alloc_slice_fill_with(count, |_| ids.next().unwrap_or(ParamId::DEAD));
        self.poison_with(ErrorRecord { op, problem, shapes, params, location })
    }

    #[cold]
    fn poison_with(&'t self, record: ErrorRecord<'t>) -> Var<'t, T> {
        let record: &'t ErrorRecord<'t> = self.records.alloc(record);
        self.push(Kind::Poison(record), &Shape::SCALAR, &[], false, record.location)
    }

    /// The error that a poisoned node stands for.
    #[cold]
    pub(crate) fn error(&self, record: &ErrorRecord<'_>) -> Error {
        let arena = match (record.problem, record.params) {
            (Problem::Parameter, [id]) => self.values.slot(*id).err(),
            _ => None,
        };
        Error::new(record, arena)
    }
}

/// The parameter that a node is, or looks at.
fn param_of<T: Scalar>(node: &Node<'_, T>) -> Option<ParamId> {
    match node.kind {
        Kind::Param { id, .. } => Some(id),
        Kind::View(view) => param_of(view.base),
        _ => None,
    }
}

impl<'t, T: Scalar> Graph<'t, T> {
    #[inline]
    pub(crate) fn new(core: &'t Core<'t, T>) -> Graph<'t, T> {
        Graph { core }
    }

    /// Copies data in, without a gradient. Any array, view or slice: see [`Input`]. O(elements).
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let x = g.input(&array![[1.0, 2.0]]);
    /// assert_eq!(x.value()?, array![[1.0, 2.0]].into_dyn());
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn input(self, data: impl Input<T>) -> Var<'t, T> {
        self.copy_in(data, Kind::Input, false, "input", Location::caller())
    }

    /// Copies data in and wants its gradient: see [`Var::grad`].
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new();
    /// let g = tape.record(&mut params);
    /// let x = g.leaf(&[1.0, 2.0]);
    /// x.square().sum().backward()?;
    /// assert_eq!(x.grad()?, Some(ndarray::array![2.0, 4.0].into_dyn()));
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn leaf(self, data: impl Input<T>) -> Var<'t, T> {
        let records = self.core.grads.is_some();
        self.copy_in(data, if records { Kind::Leaf } else { Kind::Input }, records, "leaf", Location::caller())
    }

    #[inline]
    fn copy_in(
        self,
        data: impl Input<T>,
        kind: Kind<'t, T>,
        needs_grad: bool,
        name: &'static str,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let core = self.core;
        let Ok(shape) = Shape::new(data.dims()) else {
            return core.poison(name, Problem::BadShape, &[], location);
        };
        let copy = core.numbers.scalars(shape.len());
        match data.dense() {
            Some(slice) if slice.len() == copy.len() => copy.copy_from_slice(slice),
            Some(slice) => {
                let problem = Problem::Length { expected: copy.len(), found: slice.len() };
                return core.poison(name, problem, &[], location);
            }
            None => data.copy_to(copy),
        }
        core.push(kind, core.keep_shape(shape), copy, needs_grad, location)
    }

    /// Uses data where it stands, for as long as the graph lives. Data not in row-major order is copied. O(1) otherwise.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::Array2;
    /// let images = Array2::<f32>::ones((128, 784));
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new();
    /// let g = tape.eval(&params);
    /// assert_eq!(g.input_ref(images.view()).mean().item()?, 1.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn input_ref<D: Dimension>(self, data: ArrayView<'t, T, D>) -> Var<'t, T> {
        let core = self.core;
        let location = Location::caller();
        let Ok(shape) = Shape::new(data.shape()) else {
            return core.poison("input_ref", Problem::BadShape, &[], location);
        };
        match data.to_slice() {
            Some(slice) => core.push(Kind::Input, core.keep_shape(shape), slice, false, location),
            None => self.copy_in(data, Kind::Input, false, "input_ref", location),
        }
    }

    /// A constant of any shape.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// assert_eq!(g.full([2, 3], 0.5).sum().item()?, 3.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn full(self, shape: impl IntoShape, value: T) -> Var<'t, T> {
        let core = self.core;
        let Ok(shape) = shape.into_shape() else {
            return core.poison("full", Problem::BadShape, &[], Location::caller());
        };
        let numbers = core.numbers.scalars(shape.len());
        numbers.fill(value);
        core.push(Kind::Input, core.keep_shape(shape), numbers, false, Location::caller())
    }

    /// A constant number, of rank 0.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// assert_eq!((g.scalar(2.0) * g.input(&[1.0, 2.0])).sum().item()?, 6.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn scalar(self, value: T) -> Var<'t, T> {
        self.full(Shape::SCALAR, value)
    }

    /// Copies indices in: rows for [`Var::embedding`], classes for [`Var::cross_entropy`]. Any integers: see [`Indices`].
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let logits = g.input((&[0.0, 0.0, 0.0, 0.0][..], [2, 2]));
    /// let loss = logits.cross_entropy(g.indices(&[0_u32, 1]));
    /// assert!((loss.item()? - 2.0_f32.ln()).abs() < 1e-6);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[track_caller]
    pub fn indices(self, data: impl Indices) -> Var<'t, T> {
        let core = self.core;
        let location = Location::caller();
        let Ok(shape) = Shape::new(data.dims()) else {
            return core.poison("indices", Problem::BadShape, &[], location);
        };
        let copy = core.numbers.indices(shape.len());
        copy.fill(0);
        if !data.copy_to(copy) {
            let problem = Problem::Index { index: usize::MAX, size: 1 << 32 };
            return core.poison("indices", problem, &[], location);
        }
        core.push(Kind::Indices(copy), core.keep_shape(shape), &[], false, location)
    }

    /// A parameter as a Var: a look-up and a small record, nothing is copied. Using one id twice is a tie; the uses' gradients sum
    /// in the slot.
    ///
    /// A stale or foreign id poisons the Var.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert(&array![3.0])?;
    /// let mut tape = Tape::new();
    /// let g = tape.record(&mut params);
    /// (g.param(w) * g.param(w)).sum().backward()?;
    /// assert_eq!(params.grad_slice(w)?, Some(&[6.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn param(self, id: ParamId) -> Var<'t, T> {
        let core = self.core;
        let location = Location::caller();
        let Ok(slot) = core.values.slot(id) else { return self.missing(id, location) };
        let selected = match core.only.get() {
            Only::All => true,
            Only::These(selection) => selection.contains(id),
            Only::Late(error) => return core.poison_with(*error),
        };
        let needs_grad = selected && slot.requires_grad && core.grads.is_some();
        let value = &core.values.slab()[slot.offset..slot.offset + slot.shape.len()];
        core.push(Kind::Param { id, offset: slot.offset }, &slot.shape, value, needs_grad, location)
    }

    #[cold]
    fn missing(self, id: ParamId, location: &'static Location<'static>) -> Var<'t, T> {
        let core = self.core;
        let params = core.records.alloc_slice_copy(&[id]);
        core.poison_with(ErrorRecord { op: "param", problem: Problem::Parameter, shapes: &[], params, location })
    }

    /// Gives gradients only to the parameters of `selection` (one side of a GAN, the head of a pre-trained net). Said before the first
    /// parameter or op of the graph; later it is too late, and every parameter used from then on is that error.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Selection}; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let (a, b) = (params.insert(&array![2.0])?, params.insert(&array![3.0])?);
    /// let only_b = Selection::from_ids([b]);
    /// let mut tape = Tape::new();
    /// let g = tape.record(&mut params).only(&only_b);
    /// (g.param(a) * g.param(b)).sum().backward()?;
    /// assert_eq!(params.grad_slice(a)?, None);
    /// assert_eq!(params.grad_slice(b)?, Some(&[2.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn only(self, selection: &'t Selection) -> Graph<'t, T> {
        let core = self.core;
        core.only.set(if core.last.get().is_none() {
            Only::These(selection)
        } else {
            let location = Location::caller();
            let record = ErrorRecord { op: "only", problem: Problem::TooLate, shapes: &[], params: &[], location };
            Only::Late(core.records.alloc(record))
        });
        self
    }

    /// Switches training mode (dropout is on) without touching whether gradients are recorded. [`Tape::record`](crate::Tape::record) starts in training
    /// mode, [`Tape::eval`](crate::Tape::eval) does not.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new();
    /// assert!(!tape.record(&mut params).train(false).is_training());
    /// ```
    pub fn train(self, training: bool) -> Graph<'t, T> {
        self.core.training.set(training);
        self
    }

    /// Whether layers should behave as in training.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let mut params = Params::<f32>::new(); let mut tape = Tape::new();
    /// assert!(tape.record(&mut params).is_training());
    /// ```
    pub fn is_training(self) -> bool {
        self.core.training.get()
    }

    /// Whether this pass records gradients.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new();
    /// assert!(!tape.eval(&params).records_gradients());
    /// ```
    pub fn records_gradients(self) -> bool {
        self.core.grads.is_some()
    }

    /// How many operands had to be copied because an op wants row-major order and a view was not.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let x = g.input(&array![[1.0, 2.0], [3.0, 4.0]]);
    /// x.t().matmul(x);                       // strides, no copy
    /// assert_eq!(g.copies(), 0);
    /// x.t().relu();                          // a copy
    /// assert_eq!(g.copies(), 1);
    /// ```
    pub fn copies(self) -> usize {
        self.core.copies.get()
    }

    /// The random state of this recording and the number of the next dropout op in it.
    pub(crate) fn next_dropout(self) -> (RngState, u32) {
        let number = self.core.dropouts.get();
        self.core.dropouts.set(number + 1);
        (self.core.rng, number)
    }

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
        let args = self.core.records.alloc_slice_fill_iter(args.iter().map(|arg| arg.node()));
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
        let args = self.core.records.alloc_slice_fill_iter(args.iter().map(|&arg| f(arg).node()));
        self.apply_nodes(op, args, Location::caller())
    }

    fn apply_nodes<O: Op>(
        self,
        op: O,
        args: &'t mut [&'t Node<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let core = self.core;
        for i in 0..args.len() {
            if let Err(poisoned) = self.admit(O::NAME, op.kind(i), args, i, location) {
                return poisoned;
            }
        }
        let args: &'t [&'t Node<'t, T>] = args;

        let mut inline = [&Shape::SCALAR; 4];
        let spilled;
        let shapes: &[&Shape] = match inline.get_mut(..args.len()) {
            Some(shapes) => {
                shapes.iter_mut().zip(args).for_each(|(shape, arg)| *shape = arg.shape);
                shapes
            }
            None => {
                spilled = &*core.records.alloc_slice_fill_iter(args.iter().map(|arg| arg.shape));
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
        if let Err(problem) = op.forward(&mut Forward { args, shape, out, saved }) {
            return core.poison(O::NAME, problem, args, location);
        }
        let kind = if needs_grad { Kind::Op(core.records.alloc(op)) } else { Kind::Input };
        core.push_op(kind, shape, args, (out, saved), needs_grad, location)
    }

    /// Makes operand `i` what the op wants, or says why it cannot be. The first poisoned operand's poison is handed on.
    #[inline]
    fn admit(
        self,
        name: &'static str,
        kind: ArgKind,
        args: &mut [&'t Node<'t, T>],
        i: usize,
        location: &'static Location<'static>,
    ) -> Result<(), Var<'t, T>> {
        let node = args[i];
        match (&node.kind, kind) {
            (Kind::Input | Kind::Leaf | Kind::Param { .. } | Kind::Op(_), ArgKind::Dense | ArgKind::Strided)
            | (Kind::View(_), ArgKind::Strided)
            | (Kind::Indices(_), ArgKind::Indices)
                if std::ptr::eq(node.core, self.core) => {}
            (Kind::View(_), ArgKind::Dense) if std::ptr::eq(node.core, self.core) => {
                if !node.is_contiguous() {
                    self.core.copies.set(self.core.copies.get() + 1);
                    args[i] = self.apply_at(Contiguous, &[Var::new(node)], location).node();
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
    ) -> Var<'t, T> {
        let problem = match &args[i].kind {
            Kind::Poison(_) => return Var::new(args[i]),
            _ if !std::ptr::eq(args[i].core, self.core) => Problem::TwoGraphs,
            Kind::Indices(_) => Problem::ExpectedValues { operand: i },
            _ => {
                debug_assert_eq!(kind, ArgKind::Indices);
                Problem::ExpectedIndices { operand: i }
            }
        };
        self.core.poison(name, problem, args, location)
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
            _ => (node, start),
        };
        let value = if shape.is_empty() {
            &[]
        } else {
            let last: usize = shape.iter().zip(&strides).map(|(n, stride)| (n - 1) * stride).sum();
            &base.value[offset..offset + last + 1]
        };
        let (whole, dense) = (shape.len() == base.shape.len(), is_row_major(&shape, &strides));
        let view = core.records.alloc_with(move || ViewOf { base, offset, strides, whole, dense });
        core.push(Kind::View(view), core.keep_shape(shape), value, node.needs_grad, location)
    }
}

impl<T: Scalar> std::fmt::Debug for Graph<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("dtype", &T::DTYPE)
            .field("training", &self.is_training())
            .field("records_gradients", &self.records_gradients())
            .finish()
    }
}
