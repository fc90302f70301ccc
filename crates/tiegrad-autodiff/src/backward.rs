//! The backward pass: one walk over the list of nodes, from the result to the first. It names no op.

use tiegrad_kernels::Scalar;

use crate::node::{Kind, Node};
use crate::op::Backward;

/// Runs the rule of every node that a gradient has reached, newest first, starting from `result`, whose gradient is set. A node's
/// gradient buffer is free again once its rule has run; leaves keep theirs.
pub(crate) fn walk<'t, T: Scalar>(result: &'t Node<'t, T>) {
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
        }
        next = node.prev;
    }
}
