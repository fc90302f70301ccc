//! [`Node`]: what the tape keeps of one Var, and the layouts of views.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::panic::Location;

use tiegrad_arena::{ParamId, Shape};
use tiegrad_kernels::{MAX_RANK, Scalar};

use crate::error::ErrorRecord;
use crate::op::Erased;
use crate::recording::Core;

/// Strides in elements; entries past the rank are 0.
pub(crate) type Strides = [usize; MAX_RANK];

/// One entry of the tape. Nodes form a list through `prev`, in record order; the backward pass walks it from the end.
pub(crate) struct Node<'t, T: Scalar> {
    pub(crate) core: &'t Core<'t, T>,
    pub(crate) prev: Option<&'t Node<'t, T>>,
    pub(crate) kind: Kind<'t, T>,
    /// The operands, already contiguous where the op asked for that.
    pub(crate) args: &'t [&'t Node<'t, T>],
    /// The numbers from this node's first element on. Of a view: a part of the base's numbers.
    pub(crate) value: &'t [T],
    /// What the op's forward kept for its rule.
    pub(crate) saved: &'t [T],
    /// The gradient, from its first contribution until the node's rule has run.
    pub(crate) grad: Cell<Option<&'t mut GradBuf<'t, T>>>,
    pub(crate) shape: &'t Shape,
    pub(crate) needs_grad: bool,
    pub(crate) location: &'static Location<'static>,
}

pub(crate) enum Kind<'t, T: Scalar> {
    /// Data without a gradient (or any node of a pass without gradients).
    Input,
    /// Data whose gradient the user asks for.
    Leaf,
    /// A parameter; its gradient is the slot's.
    Param { id: ParamId, offset: usize },
    /// A parameter whose uses are told apart: it has a gradient of its own, which goes to the slot after each rule.
    Use(&'t TrackedUse),
    /// The result of an op.
    Op(&'t dyn Erased<T>),
    /// Other eyes on another node's numbers. It has no gradient of its own: rules write through it.
    View(&'t ViewOf<'t, T>),
    /// Indices (of rows, of classes); `value` is empty.
    Indices(&'t [u32]),
    /// A shape without numbers: what a shape-only pass is made of. `value` is empty.
    Shape {
        /// The parameter that it is or looks at, and the address of the field that its id was read from.
        param: Option<(ParamId, NonZeroUsize)>,
        indices: bool,
    },
    /// An op that failed; `value` is empty.
    Poison(&'t ErrorRecord<'t>),
}

/// A parameter's use in a recording that keeps each use's gradient.
pub(crate) struct TrackedUse {
    pub(crate) id: ParamId,
    pub(crate) offset: usize,
    /// The address of the field that the id was read from.
    pub(crate) field: usize,
    /// Where the parameter was asked for, as the tape knows it and as a user should see it.
    pub(crate) asked_at: &'static Location<'static>,
    pub(crate) user_line: &'static Location<'static>,
}

/// What a view looks at, and how.
pub(crate) struct ViewOf<'t, T: Scalar> {
    /// Never a view itself.
    pub(crate) base: &'t Node<'t, T>,
    pub(crate) offset: usize,
    pub(crate) strides: Strides,
    /// Whether every element of the base is seen.
    pub(crate) whole: bool,
    /// Whether the elements stand in row-major order without gaps.
    pub(crate) dense: bool,
}

/// A gradient buffer of an activation. Free ones form a list.
pub(crate) struct GradBuf<'t, T: Scalar> {
    /// The whole buffer, at least as long as what it is used for.
    pub(crate) data: &'t mut [T],
    pub(crate) next: Option<&'t mut GradBuf<'t, T>>,
}

impl<'t, T: Scalar> Node<'t, T> {
    /// The strides of the values; `None` stands for row-major.
    #[inline]
    pub(crate) fn strides(&self) -> Option<&'t Strides> {
        match self.kind {
            Kind::View(view) => Some(&view.strides),
            _ => None,
        }
    }

    /// Whether the values stand in row-major order without gaps.
    #[inline]
    pub(crate) fn is_contiguous(&self) -> bool {
        match self.kind {
            Kind::View(view) => view.dense,
            _ => true,
        }
    }
}

/// Whether `strides` walk `shape` in row-major order without gaps. Dimensions of size 1 may have any stride.
pub(crate) fn is_row_major(shape: &[usize], strides: &Strides) -> bool {
    let mut expected = 1;
    for (&n, &stride) in shape.iter().zip(strides).rev() {
        if n == 0 {
            return true;
        }
        if n != 1 && stride != expected {
            return false;
        }
        expected *= n;
    }
    true
}

impl<T: Scalar> Node<'_, T> {
    /// What the node is, for people.
    pub(crate) fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Input => "input",
            Kind::Leaf => "leaf",
            Kind::Param { .. } | Kind::Use(_) => "parameter",
            Kind::Shape { .. } => "shape",
            Kind::Op(op) => op.name(),
            Kind::View(_) => "view",
            Kind::Indices(_) => "indices",
            Kind::Poison(_) => "poisoned",
        }
    }
}
