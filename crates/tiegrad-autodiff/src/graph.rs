//! [`Graph`]: one recording, where data and parameters become Vars.

use std::num::NonZeroUsize;
use std::panic::Location;

use ndarray::{ArrayView, Dimension};
use tiegrad_arena::{IntoShape, ParamId, Selection, Shape, Slot};
use tiegrad_kernels::Scalar;

use crate::error::{ErrorRecord, Problem};
use crate::input::{Indices, Input};
use crate::node::{Kind, TrackedUse};
use crate::recording::{Core, Only, Special};
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
    pub(crate) core: &'t Core<'t, T>,
}

impl<T: Scalar> Clone for Graph<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Scalar> Copy for Graph<'_, T> {}

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
        self.copy_in(
            data,
            if records { Kind::Leaf } else { Kind::Input },
            records,
            "leaf",
            Location::caller(),
        )
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
                let problem = Problem::Length {
                    expected: copy.len(),
                    found: slice.len(),
                };
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
        core.push(
            Kind::Input,
            core.keep_shape(shape),
            numbers,
            false,
            Location::caller(),
        )
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
            let problem = Problem::Index {
                index: usize::MAX,
                size: 1 << 32,
            };
            return core.poison("indices", problem, &[], location);
        }
        core.push(
            Kind::Indices(copy),
            core.keep_shape(shape),
            &[],
            false,
            location,
        )
    }

    /// A parameter as a Var: a look-up and a small record, nothing is copied. Using one id twice is a tie; the uses' gradients sum
    /// in the slot.
    ///
    /// A stale or foreign id poisons the Var. A layer says [`param_ref`](Graph::param_ref), so that its uses have names.
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
        // The address of this copy is that of no field.
        self.param_ref(&id)
    }

    /// [`param`](Graph::param) of an id that stands in a field of a layer: a use that can be told from others of the same parameter by the field's path, in
    /// [per-use gradients](Graph::per_use) and in [shape-only passes](crate::Tape::shapes). The address is kept and compared, never followed.
    ///
    /// ```
    /// # use tiegrad_arena::{ParamId, Params}; use tiegrad_autodiff::{Tape, Var}; use tiegrad_kernels::Scalar; use ndarray::array;
    /// struct Scale { factor: ParamId }
    /// impl Scale {
    ///     fn forward<'t, T: Scalar>(&self, x: Var<'t, T>) -> Var<'t, T> {
    ///         x * x.graph().param_ref(&self.factor)
    ///     }
    /// }
    /// let mut params = Params::<f32>::new();
    /// let scale = Scale { factor: params.insert(&array![3.0])? };
    /// let mut tape = Tape::new();
    /// assert_eq!(scale.forward(tape.eval(&params).input(&[2.0])).item()?, 6.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[inline]
    pub fn param_ref(self, field: &ParamId) -> Var<'t, T> {
        let core = self.core;
        let location = Location::caller();
        let id = *field;
        let Ok(slot) = core.values.slot(id) else {
            return self.missing(id, location);
        };
        let selected = match core.only.get() {
            Only::All => true,
            Only::These(selection) => selection.contains(id),
            Only::Special(special) => {
                return self.special_param(special, slot, std::ptr::from_ref(field), location);
            }
        };
        let needs_grad = selected && slot.requires_grad && core.grads.is_some();
        let value = &core.values.slab()[slot.offset..slot.offset + slot.shape.len()];
        core.push(
            Kind::Param {
                id,
                offset: slot.offset,
            },
            &slot.shape,
            value,
            needs_grad,
            location,
        )
    }

    /// [`param`](Graph::param) in a recording that is not an ordinary one.
    #[cold]
    #[inline(never)]
    fn special_param(
        self,
        special: &'t Special<'t, T>,
        slot: &'t Slot,
        field: *const ParamId,
        location: &'static Location<'static>,
    ) -> Var<'t, T> {
        let (core, id) = (self.core, slot.info().id);
        let keep = match special {
            Special::Late(error) => return core.poison_with(*error),
            Special::Shapes(_) => {
                let param = NonZeroUsize::new(field.addr()).map(|field| (id, field));
                return self.shape_at(&slot.shape, param, false, location);
            }
            Special::Uses(keep) => keep,
        };
        let needs_grad = slot.requires_grad && keep.wants(id);
        let kind = match needs_grad {
            false => Kind::Param {
                id,
                offset: slot.offset,
            },
            true => Kind::Use(core.records.alloc_with(|| TrackedUse {
                id,
                offset: slot.offset,
                field: field.addr(),
                asked_at: location,
                user_line: core.user_line(location),
            })),
        };
        let value = &core.values.slab()[slot.range()];
        core.push(kind, &slot.shape, value, needs_grad, location)
    }

    #[cold]
    fn missing(self, id: ParamId, location: &'static Location<'static>) -> Var<'t, T> {
        let core = self.core;
        let params = core.records.alloc_slice_copy(&[id]);
        core.poison_with(ErrorRecord {
            op: "param",
            problem: Problem::Parameter,
            shapes: &[],
            params,
            location,
        })
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
        if core.last.get().is_some() {
            return self.too_late("only", Location::caller());
        }
        match core.only.get() {
            Only::Special(Special::Uses(keep)) => keep.set_only(selection),
            Only::Special(_) => {}
            Only::All | Only::These(_) => core.only.set(Only::These(selection)),
        }
        self
    }

    /// Makes every parameter from now on the error that a setting came too late.
    #[cold]
    pub(crate) fn too_late(self, op: &'static str, location: &'static Location<'static>) -> Self {
        let late = Special::Late(ErrorRecord {
            op,
            problem: Problem::TooLate,
            shapes: &[],
            params: &[],
            location,
        });
        self.core
            .only
            .set(Only::Special(self.core.records.alloc(late)));
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

    /// Runs `f`; an op that fails in it with a source line in `file` is reported at `caller` instead.
    ///
    /// For containers that call layers through pointers, where `#[track_caller]` stops: `file` is the file of that call. Within another
    /// such call, the outer one stands.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape;
    /// # let params = Params::<f32>::new(); let mut tape = Tape::new(); let g = tape.eval(&params);
    /// let here = std::panic::Location::caller();
    /// let bad = g.called_from(file!(), here, || g.input(&[1.0, 2.0]) + g.input(&[1.0, 2.0, 3.0]));
    /// assert_eq!(bad.error().map(|e| e.location()), Some(here));
    /// ```
    pub fn called_from<R>(
        self,
        file: &'static str,
        caller: &'static Location<'static>,
        f: impl FnOnce() -> R,
    ) -> R {
        let outer = self.core.caller.get();
        self.core.caller.set(outer.or(Some((file, caller))));
        let result = f();
        self.core.caller.set(outer);
        result
    }

    /// The random state of this recording and the number of the next dropout op in it.
    pub(crate) fn next_dropout(self) -> (RngState, u32) {
        let number = self.core.dropouts.get();
        self.core.dropouts.set(number + 1);
        (self.core.rng, number)
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
