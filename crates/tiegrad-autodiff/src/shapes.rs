//! The shape-only pass: a forward pass that runs no arithmetic, and who watches it.

use std::num::NonZeroUsize;
use std::panic::Location;

use tiegrad_arena::{IntoShape, ParamId, Params, Shape};
use tiegrad_kernels::Scalar;

use crate::error::Problem;
use crate::graph::Graph;
use crate::node::{Kind, Node};
use crate::op::{ArgKind, Erased};
use crate::recording::{Only, Special};
use crate::tape::Tape;
use crate::var::Var;

/// Who is told what happens in a [shape-only pass](Tape::shapes): which ops run on which shapes, and how layers nest. `tiegrad-nn` makes its summary of
/// a network from this.
///
/// ```
/// use std::cell::Cell;
/// use tiegrad_arena::{Params, Shape};
/// use tiegrad_autodiff::{Applied, Tape, Watch};
///
/// #[derive(Default)]
/// struct MultiplyAdds(Cell<u64>);
/// impl Watch for MultiplyAdds {
///     fn op(&self, op: &Applied<'_>) {
///         self.0.set(self.0.get() + op.multiply_adds);
///     }
/// }
/// let mut params = Params::<f32>::new();
/// let w = params.insert_with(Shape::new(&[8, 4])?, |_| {});
/// let (mut tape, watch) = (Tape::new(), MultiplyAdds::default());
/// let g = tape.shapes(&params, &watch);
/// let y = g.placeholder([2, 4]).linear(g.param(w), None).relu();
/// assert_eq!(&**y.shape(), [2, 8]);
/// assert_eq!(watch.0.get(), 2 * 8 * 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Watch {
    /// An op was applied.
    fn op(&self, op: &Applied<'_>) {
        let _ = op;
    }
    /// What follows happens in this part of the network, until [`leave`](Watch::leave).
    fn enter(&self, part: Part) {
        let _ = part;
    }
    /// The part entered last is done; this is its result's shape, if it has one.
    fn leave(&self, out: Option<&Shape>) {
        let _ = out;
    }
}

/// Watches nothing.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::Tape;
/// let (params, mut tape) = (Params::<f32>::new(), Tape::new());
/// let x = tape.shapes(&params, &()).placeholder([2, 3]);
/// assert_eq!(&**x.sum().shape(), []);
/// ```
impl Watch for () {}

/// A part of a network, as far as the tape can tell parts apart.
///
/// ```
/// use tiegrad_autodiff::Part;
/// let layer = 3_u8;
/// assert_eq!(Part::of(&layer), Part::of(&layer));
/// assert_ne!(Part::of(&layer), Part::Child(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands at this address and is of this type. The address is compared, never followed.
    Layer {
        /// The address.
        address: usize,
        /// The type.
        type_id: std::any::TypeId,
    },
    /// The child at this position of the part around it.
    Child(usize),
}

impl Part {
    /// This very layer.
    ///
    /// ```
    /// use tiegrad_autodiff::Part;
    /// let (a, b) = ([1_u8], [1_u8]);
    /// assert_ne!(Part::of(&a), Part::of(&b)); // equal, but not the same
    /// ```
    pub fn of<L: 'static>(layer: &L) -> Part {
        Part::Layer {
            address: std::ptr::from_ref(layer).addr(),
            type_id: std::any::TypeId::of::<L>(),
        }
    }
}

/// An op in a shape-only pass: see [`Watch::op`].
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::{Applied, Tape, Watch};
/// struct Print;
/// impl Watch for Print {
///     fn op(&self, op: &Applied<'_>) {
///         println!("{} -> {}, {} multiply-adds", op.name, op.out, op.multiply_adds);
///     }
/// }
/// let (params, mut tape) = (Params::<f32>::new(), Tape::new());
/// let x = tape.shapes(&params, &Print).placeholder([2, 3]);
/// x.matmul(x.t()); // matmul -> [2, 2], 12 multiply-adds
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Applied<'a> {
    /// The op's name.
    pub name: &'static str,
    /// The shape of its result.
    pub out: &'a Shape,
    /// Multiplications with an addition, as [`Op::multiply_adds`](crate::Op::multiply_adds) counts them.
    pub multiply_adds: u64,
    /// The parameters among its operands (or looked at by them), each with the address of the field that its id was read from if
    /// it was read by [`Graph::param_ref`].
    pub params: &'a [(ParamId, NonZeroUsize)],
}

impl Tape {
    /// Starts a pass in which there are shapes and no numbers: ops check and compute shapes as always, and run no arithmetic. Inputs are
    /// [placeholders](Graph::placeholder). O(ops); takes no memory for activations.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_autodiff::Tape;
    ///
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert_with(Shape::new(&[1000, 4000])?, |_| {});
    /// let mut tape = Tape::new();
    /// let g = tape.shapes(&params, &());
    /// let good = g.placeholder([1_000_000, 4000]).linear(g.param(w), None);
    /// assert_eq!(&**good.shape(), [1_000_000, 1000]);
    /// let bad = g.placeholder([7, 4001]).linear(g.param(w), None);
    /// assert_eq!(bad.error().map(|e| e.shapes().len()), Some(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shapes<'t, T: Scalar>(
        &'t mut self,
        params: &'t Params<T>,
        watch: &'t dyn Watch,
    ) -> Graph<'t, T> {
        let g = self.eval(params);
        let special = g.core.records.alloc(Special::Shapes(watch));
        g.core.only.set(Only::Special(special));
        g
    }
}

impl<'t, T: Scalar> Graph<'t, T> {
    /// A shape that stands for values, in a [shape-only pass](Tape::shapes). What is computed from it has a shape and no values; to ask for
    /// values or gradients is an error.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let g = tape.shapes(&params, &());
    /// let x = g.placeholder([2, 3, 4]);
    /// assert_eq!(&**x.transpose(0, 2).shape(), [4, 3, 2]);
    /// assert!(x.value().is_err());
    /// ```
    #[track_caller]
    pub fn placeholder(self, shape: impl IntoShape) -> Var<'t, T> {
        self.place("placeholder", shape, false)
    }

    /// A shape that stands for indices.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let g = tape.shapes(&params, &());
    /// let rows = g.placeholder([65, 8]).embedding(g.placeholder_indices([2, 16]));
    /// assert_eq!(&**rows.shape(), [2, 16, 8]);
    /// ```
    #[track_caller]
    pub fn placeholder_indices(self, shape: impl IntoShape) -> Var<'t, T> {
        self.place("placeholder_indices", shape, true)
    }

    #[track_caller]
    fn place(self, op: &'static str, shape: impl IntoShape, indices: bool) -> Var<'t, T> {
        let location = Location::caller();
        match shape.into_shape() {
            Ok(shape) => self.shape_only(shape, None, indices, location),
            Err(_) => self.core.poison(op, Problem::BadShape, &[], location),
        }
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn shape_only(
        self,
        shape: Shape,
        param: Option<(ParamId, NonZeroUsize)>,
        indices: bool,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        self.shape_at(self.core.keep_shape(shape), param, indices, location)
    }

    /// [`shape_only`](Graph::shape_only) of a shape that lasts as long as the graph.
    pub(crate) fn shape_at(
        self,
        shape: &'t Shape,
        param: Option<(ParamId, NonZeroUsize)>,
        indices: bool,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let kind = Kind::Shape { param, indices };
        self.core.push(kind, shape, &[], false, location)
    }

    /// Applies an op to operands of which at least one has a shape only.
    #[cold]
    #[inline(never)]
    pub(crate) fn apply_to_shapes(
        self,
        op: &dyn Erased<T>,
        args: &[&'t Node<'t, T>],
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let core = self.core;
        for (i, arg) in args.iter().enumerate() {
            let is_indices = match arg.kind {
                Kind::Poison(_) => return Var::new(arg),
                Kind::Indices(_) => true,
                Kind::Shape { indices, .. } => indices,
                _ => false,
            };
            let problem = match (op.kind(i), is_indices) {
                _ if !std::ptr::eq(arg.core, core) => Problem::TwoGraphs,
                (ArgKind::Indices, false) => Problem::ExpectedIndices { operand: i },
                (ArgKind::Dense | ArgKind::Strided, true) => Problem::ExpectedValues { operand: i },
                _ => continue,
            };
            return core.poison(op.name(), problem, args, location);
        }
        let shapes = core
            .records
            .alloc_slice_fill_iter(args.iter().map(|arg| arg.shape));
        let out = match op.shape(shapes) {
            Ok(shape) => shape,
            Err(problem) => return core.poison(op.name(), problem, args, location),
        };
        if let Some(watch) = self.watch() {
            let params: Vec<_> = args
                .iter()
                .filter_map(|arg| match arg.kind {
                    Kind::Shape { param, .. } => param,
                    _ => None,
                })
                .collect();
            watch.op(&Applied {
                name: op.name(),
                out: &out,
                multiply_adds: op.multiply_adds(shapes, &out),
                params: &params,
            });
        }
        self.shape_only(out, None, false, location)
    }

    /// Who watches this pass.
    fn watch(self) -> Option<&'t dyn Watch> {
        match self.core.only.get() {
            Only::Special(Special::Shapes(watch)) => Some(*watch),
            _ => None,
        }
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Whether this Var has a shape and no values: whether it is a [placeholder](Graph::placeholder) or was computed from one.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let g = tape.shapes(&params, &());
    /// assert!(g.placeholder([2]).exp().is_placeholder());
    /// assert!(!g.input(&[1.0, 2.0]).exp().is_placeholder());
    /// ```
    #[inline]
    pub fn is_placeholder(self) -> bool {
        matches!(self.node().kind, Kind::Shape { .. })
    }

    /// Computes `f(self)`; in a shape-only pass, tells its watcher that this happens in `part`. A layer made of others says so in its
    /// `forward` if its summary should show what it gives out.
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use tiegrad_arena::{Params, Shape};
    /// use tiegrad_autodiff::{Part, Tape, Watch};
    ///
    /// #[derive(Default)]
    /// struct Parts(RefCell<Vec<Part>>);
    /// impl Watch for Parts {
    ///     fn enter(&self, part: Part) {
    ///         self.0.borrow_mut().push(part);
    ///     }
    /// }
    /// let (params, mut tape, parts) = (Params::<f32>::new(), Tape::new(), Parts::default());
    /// let x = tape.shapes(&params, &parts).placeholder([2, 3]);
    /// let y = x.within(|| Part::Child(0), |x| x.relu());
    /// assert_eq!(*parts.0.borrow(), [Part::Child(0)]);
    /// assert_eq!(y.shape(), x.shape());
    /// ```
    #[inline]
    pub fn within(
        self,
        part: impl FnOnce() -> Part,
        f: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) -> Var<'t, T> {
        self.enter(part);
        f(self).leave(self)
    }

    /// The first half of [`within`](Var::within), for code that a closure would hide the caller's line from.
    ///
    /// ```
    /// # use tiegrad_autodiff::Part;
    /// # let params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let x = tape.shapes(&params, &()).placeholder([2, 3]);
    /// x.enter(|| Part::Child(0));
    /// let y = x.relu().leave(x);
    /// assert_eq!(y.shape(), x.shape());
    /// ```
    #[inline]
    pub fn enter(self, part: impl FnOnce() -> Part) {
        if self.is_placeholder() {
            self.tell_entered(part());
        }
    }

    /// The second half: leaves the part that `input` [entered](Var::enter), with this result.
    ///
    /// ```
    /// # use tiegrad_autodiff::Part;
    /// # let params = tiegrad_arena::Params::<f32>::new(); let mut tape = tiegrad_autodiff::Tape::new();
    /// let g = tape.eval(&params);
    /// let x = g.input(&[-1.0]);
    /// x.enter(|| Part::Child(0)); // not a shape-only pass: nobody is told
    /// assert_eq!(x.relu().leave(x).item()?, 0.0);
    /// # Ok::<(), tiegrad_autodiff::Error>(())
    /// ```
    #[inline]
    pub fn leave(self, input: Var<'t, T>) -> Var<'t, T> {
        if input.is_placeholder() {
            self.tell_left(input);
        }
        self
    }

    #[cold]
    #[inline(never)]
    fn tell_entered(self, part: Part) {
        if let Some(watch) = self.graph().watch() {
            watch.enter(part);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_left(self, input: Var<'t, T>) {
        if let Some(watch) = input.graph().watch() {
            let poisoned = matches!(self.node().kind, Kind::Poison(_));
            watch.leave((!poisoned).then_some(self.shape()));
        }
    }
}
