//! Scaled dot-product attention in one op.

use tiegrad_arena::Shape;
use tiegrad_kernels::attention::{
    AttentionShape, View4, View4Mut, attention, attention_backward_scores,
};
use tiegrad_kernels::matmul::{Epilogue, Mat, MatMut, MatmulShape, matmul};
use tiegrad_kernels::{Scalar, Write};

use crate::error::Problem;
use crate::op::{ArgKind, Backward, Dst, Forward, Op, View, count};
use crate::sample::{ArgSpec, Sample};
use crate::var::Var;

/// softmax(q kᵀ / √d) v for every batch and head (Vaswani et al., arXiv:1706.03762), over any strides, so that q, k and v may be parts of one
/// projection. q (b, tq, h, d), k (b, tk, h, d), v (b, tk, h, e), result (b, tq, h, e).
///
/// Causal: query i sees the keys j ≤ i + tk - tq. With P the probabilities: dv = Pᵀ dy, dP = dy vᵀ, dS = P (dP - Σ P dP) / √d, dq = dS k, dk = dSᵀ q.
///
/// ```
/// use tiegrad_autodiff::ops::Attention;
/// # let mut params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.record(&mut params);
/// let x = g.input((&[1.0, 2.0, 3.0][..], [1, 3, 1, 1])); // three positions, one head, width 1
/// let y = g.apply(Attention { causal: true }, &[x, x, x]);
/// assert_eq!(y.slice(1, 0..1).item()?, 1.0); // the first sees itself only
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Whether a query sees only keys up to its own position.
    pub causal: bool,
}

impl Attention {
    fn sizes(self, q: &Shape, k: &Shape, v: &Shape) -> AttentionShape {
        let d = q[3];
        AttentionShape {
            batch: q[0],
            heads: q[2],
            tq: q[1],
            tk: k[1],
            d,
            dv: v[3],
            causal: self.causal,
            scale: 1.0 / (d as f64).sqrt(),
        }
    }
}

fn view4<T>(x: View<'_, T>) -> View4<'_, T> {
    let [b, t, h, d, ..] = x.strides();
    View4 {
        data: x.data,
        strides: [b, t, h, d],
    }
}

impl Op for Attention {
    const NAME: &'static str = "attention";

    fn arity(&self) -> Option<usize> {
        Some(3)
    }

    fn kind(&self, _: usize) -> ArgKind {
        ArgKind::Strided
    }

    fn shape(&self, args: &[&Shape]) -> Result<Shape, Problem> {
        for (shape, what) in args.iter().zip(["the query", "the key", "the value"]) {
            if shape.rank() != 4 {
                return Err(Problem::Rank {
                    what,
                    least: 4,
                    most: 4,
                    found: shape.rank(),
                });
            }
        }
        let (q, k, v) = (args[0], args[1], args[2]);
        let same = |what, expected: usize, found: usize| {
            if expected == found {
                Ok(())
            } else {
                Err(Problem::Dim {
                    what,
                    expected,
                    found,
                })
            }
        };
        same("the key's batch", q[0], k[0])?;
        same("the value's batch", q[0], v[0])?;
        same("the key's number of heads", q[2], k[2])?;
        same("the value's number of heads", q[2], v[2])?;
        same("the key's width", q[3], k[3])?;
        same("the value's length", k[1], v[1])?;
        if self.causal && q[1] > k[1] {
            return Err(Problem::Dim {
                what: "the causal query's length",
                expected: k[1],
                found: q[1],
            });
        }
        Shape::new(&[q[0], q[1], q[2], v[3]]).map_err(|_| Problem::BadShape)
    }

    /// Both products in full: what a causal mask leaves out is counted, as is the custom.
    fn multiply_adds(&self, args: &[&Shape], _: &Shape) -> u64 {
        let (q, k, v) = (args[0], args[1], args[2]);
        count([q[0], q[2], q[1], k[1], q[3] + v[3]])
    }

    /// The probabilities.
    fn saved(&self, args: &[&Shape], _: &Shape) -> usize {
        args[0][0] * args[0][2] * args[0][1] * args[1][1]
    }

    fn forward<T: Scalar>(&self, cx: &mut Forward<'_, '_, T>) -> Result<(), Problem> {
        let (q, k, v) = (cx.view(0), cx.view(1), cx.view(2));
        let s = self.sizes(q.shape, k.shape, v.shape);
        let [sb, st, sh, sd, ..] = cx.shape().strides();
        let (out, probs) = cx.out_and_saved();
        let out = View4Mut {
            data: out,
            strides: [sb, st, sh, sd],
        };
        attention(s, out, probs, view4(q), view4(k), view4(v));
        Ok(())
    }

    fn backward<T: Scalar>(&self, cx: &Backward<'_, '_, T>) {
        let (q, k, v, probs) = (cx.view(0), cx.view(1), cx.view(2), cx.saved());
        let s = self.sizes(q.shape, k.shape, v.shape);
        let dy = View::dense(cx.dy(), cx.shape());
        // (b, h, tq, tk), row-major.
        fn square<T>(s: AttentionShape, data: &[T], transposed: bool) -> Mat<'_, T> {
            let (row, col) = if transposed { (1, s.tk) } else { (s.tk, 1) };
            let plane = s.tq * s.tk;
            Mat {
                data,
                row,
                col,
                batch: [s.heads * plane, plane],
            }
        }
        let product = |m, k, n, a: Mat<'_, T>, b: View<'_, T>, dst: Dst<'_, T>| {
            let shape = MatmulShape {
                batch: [s.batch, s.heads],
                m,
                n,
                k,
            };
            let beta = if dst.write == Write::Overwrite {
                T::ZERO
            } else {
                T::ONE
            };
            let [sb, st, sh, sd, ..] = b.strides();
            let b = Mat {
                data: b.data,
                row: st,
                col: sd,
                batch: [sb, sh],
            };
            let [sb, st, sh, sd, ..] = dst.strides();
            let c = MatMut {
                data: dst.data,
                row: st,
                col: sd,
                batch: [sb, sh],
            };
            matmul(shape, T::ONE, a, b, beta, Epilogue::NONE, c);
        };
        cx.into(2, |dst| {
            product(s.tk, s.tq, s.dv, square(s, probs, true), dy, dst)
        });
        if !cx.wants(0) && !cx.wants(1) {
            return;
        }
        cx.with_scratch(probs.len(), |ds| {
            attention_backward_scores(s, ds, probs, view4(dy), view4(v));
            cx.into(0, |dst| {
                product(s.tq, s.tk, s.d, square(s, ds, false), k, dst)
            });
            cx.into(1, |dst| {
                product(s.tk, s.tq, s.d, square(s, ds, true), q, dst)
            });
        });
    }

    fn samples() -> Vec<Sample<Self>> {
        let v = |shape: [usize; 4]| ArgSpec::values(shape);
        vec![
            Sample::new(
                Attention { causal: true },
                [v([2, 3, 2, 4]), v([2, 3, 2, 4]), v([2, 3, 2, 4])],
            ),
            Sample::new(
                Attention { causal: false },
                [v([1, 2, 2, 3]), v([1, 4, 2, 3]), v([1, 4, 2, 2])],
            ),
            Sample::new(
                Attention { causal: true },
                [v([1, 2, 1, 3]), v([1, 4, 1, 3]), v([1, 4, 1, 2])],
            ),
            Sample::new(
                Attention { causal: true },
                [v([0, 2, 1, 3]), v([0, 2, 1, 3]), v([0, 2, 1, 3])],
            ),
        ]
    }
}

impl<'t, T: Scalar> Var<'t, T> {
    /// Attention of queries (b, tq, h, d) to keys (b, tk, h, d) and values (b, tk, h, e), head by head; the result is (b, tq, h, e), so that
    /// joining the heads is a view. O(b h tq tk (d + e)).
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let qkv = g.full([1, 5, 2, 12], 1.0);
    /// let [q, k, v] = qkv.chunk::<3>(-1);                 // views
    /// assert_eq!(&**q.attention(k, v, true).shape(), [1, 5, 2, 4]);
    /// assert_eq!(g.copies(), 0);
    /// ```
    #[track_caller]
    pub fn attention(self, key: Var<'t, T>, value: Var<'t, T>, causal: bool) -> Var<'t, T> {
        self.graph()
            .apply(Attention { causal }, &[self, key, value])
    }

    /// [`attention`](Var::attention) in PyTorch's layout: heads before positions, (b, h, t, d). The permutations are views.
    ///
    /// ```
    /// # let params = tiegrad_arena::Params::<f64>::new(); let mut tape = tiegrad_autodiff::Tape::new(); let g = tape.eval(&params);
    /// let x = g.full([1, 2, 5, 4], 1.0);
    /// assert_eq!(&**x.scaled_dot_product_attention(x, x, true).shape(), [1, 2, 5, 4]);
    /// ```
    #[track_caller]
    pub fn scaled_dot_product_attention(
        self,
        key: Var<'t, T>,
        value: Var<'t, T>,
        is_causal: bool,
    ) -> Var<'t, T> {
        let [q, k, v] = [self, key, value].map(|x| x.transpose(1, 2));
        q.attention(k, v, is_causal).transpose(1, 2)
    }
}
