//! [`Core`]: what the nodes of a recording share, and how a node is made.

use std::cell::{Cell, RefCell};
use std::panic::Location;

use bumpalo::Bump;
use tiegrad_arena::{Grads, ParamId, Selection, Shape, Values};
use tiegrad_kernels::Scalar;

use crate::error::{Error, ErrorRecord, Problem};
use crate::memory::NumberArena;
use crate::node::{GradBuf, Kind, Node};
use crate::shapes::Watch;
use crate::tape::RngState;
use crate::uses::KeepUses;
use crate::var::Var;

/// Which parameters get gradients.
#[derive(Clone, Copy)]
pub(crate) enum Only<'t, T: Scalar> {
    All,
    These(&'t Selection),
    /// What is rare stands behind one arm, so that [`Graph::param`](crate::Graph::param) pays nothing for it.
    Special(&'t Special<'t, T>),
}

/// What a recording does with parameters besides reading them.
pub(crate) enum Special<'t, T: Scalar> {
    /// A setting of the graph came too late: every parameter from then on is this error.
    Late(ErrorRecord<'t>),
    /// Each use's gradient is kept apart: see [`UseGrads`](crate::UseGrads).
    Uses(KeepUses<'t, T>),
    /// There are shapes only: see [`Tape::shapes`](crate::Tape::shapes).
    Shapes(&'t dyn Watch),
}

/// What all nodes of a recording share. It lies on the tape and has no destructor.
pub(crate) struct Core<'t, T: Scalar> {
    pub(crate) records: &'t Bump,
    pub(crate) numbers: &'t NumberArena,
    pub(crate) values: &'t Values<T>,
    pub(crate) grads: Option<RefCell<&'t mut Grads<T>>>,
    pub(crate) only: Cell<Only<'t, T>>,
    pub(crate) last: Cell<Option<&'t Node<'t, T>>>,
    pub(crate) free: Cell<Option<&'t mut GradBuf<'t, T>>>,
    pub(crate) training: Cell<bool>,
    pub(crate) rng: RngState,
    pub(crate) dropouts: Cell<u32>,
    pub(crate) copies: Cell<usize>,
    /// Errors that seem to come from a line of this file come from this caller: see [`Graph::called_from`].
    pub(crate) caller: Cell<Option<(&'static str, &'static Location<'static>)>>,
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
            caller: Cell::new(None),
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
        found.unwrap_or_else(|| {
            self.records.alloc(GradBuf {
                data: self.numbers.scalars(len),
                next: None,
            })
        })
    }

    /// Gives a gradient buffer back for the next one who asks.
    #[inline]
    pub(crate) fn recycle(&self, buffer: &'t mut GradBuf<'t, T>) {
        buffer.next = self.free.take();
        self.free.set(Some(buffer));
    }

    /// Makes a node without operands at the end of the list.
    #[inline]
    pub(crate) fn push(
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
    pub(crate) fn push_op(
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
    pub(crate) fn keep_shape(&'t self, shape: Shape) -> &'t Shape {
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
        let shapes = self
            .records
            .alloc_slice_fill_iter(args.iter().map(|arg| *arg.shape));
        let count = args.iter().filter_map(|arg| param_of(arg)).count();
        let mut ids = args.iter().filter_map(|arg| param_of(arg));
        let params = self
            .records
            .alloc_slice_fill_with(count, |_| ids.next().unwrap_or(ParamId::DEAD));
        self.poison_with(ErrorRecord {
            op,
            problem,
            shapes,
            params,
            location,
        })
    }

    #[cold]
    pub(crate) fn poison_with(&'t self, mut record: ErrorRecord<'t>) -> Var<'t, T> {
        record.location = self.user_line(record.location);
        let record: &'t ErrorRecord<'t> = self.records.alloc(record);
        self.push(
            Kind::Poison(record),
            &Shape::SCALAR,
            &[],
            false,
            record.location,
        )
    }

    /// The line that a user should be shown for one in the library: see [`Graph::called_from`](crate::Graph::called_from).
    pub(crate) fn user_line(
        &self,
        location: &'static Location<'static>,
    ) -> &'static Location<'static> {
        match self.caller.get() {
            Some((file, caller)) if location.file() == file => caller,
            _ => location,
        }
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
        Kind::Use(tracked) => Some(tracked.id),
        Kind::Shape { param, .. } => param.map(|(id, _)| id),
        Kind::View(view) => param_of(view.base),
        _ => None,
    }
}
