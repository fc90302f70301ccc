//! Softmax cross-entropy with class indices: `-ln softmax(x)[target] = ln(sum(exp(x))) - x[target]`, the sum computed from x - max x as in
//! `softmax`.

use super::{
    ahead, ahead_backward, ask, exp_sum, row_count, row_max, row_sum, rows_per_group, rows_per_run,
};
use crate::Write;
use crate::elementwise::for_each_run_past;
use crate::scalar::Scalar;
use crate::simd::multiversion;
use crate::threads::{Shared, parallel_for};

/// `losses[r] = lse[r] - logits[r][targets[r]]`, where `lse[r] = log(sum(exp(logits[r])))`, which the backward
/// pass needs: `logits` (rows, cols), `targets`, `lse` and `losses` (rows). O(rows · cols).
///
/// # Panics
/// If lengths do not fit, or a target is not below `cols`.
///
/// ```
/// let (mut loss, mut lse) = ([0.0_f64], [0.0]);
/// tiegrad_kernels::rows::cross_entropy(&mut loss, &mut lse, &[0.0, 0.0], &[1], 2);
/// assert!((loss[0] - 2.0_f64.ln()).abs() < 1e-15);
/// ```
pub fn cross_entropy<T: Scalar>(
    losses: &mut [T],
    lse: &mut [T],
    logits: &[T],
    targets: &[u32],
    cols: usize,
) {
    let rows = targets.len();
    check(logits.len(), lse.len(), targets, cols);
    assert_eq!(losses.len(), rows, "cross_entropy: one loss per row");
    let run = rows_per_run(logits.len(), cols);
    let (losses, lse) = (Shared::new(losses), Shared::new(lse));
    parallel_for(rows.div_ceil(run), &|i| {
        let (first, end) = (i * run, rows.min((i + 1) * run));
        // SAFETY: runs of rows do not overlap, and both slices are borrowed until all are done.
        let (losses, lse) = unsafe { (losses.range(first, end), lse.range(first, end)) };
        forward_run(
            losses,
            lse,
            &logits[first * cols..end * cols],
            &targets[first..end],
            cols,
        );
    });
}

/// `dlogits (=, +=) (softmax(logits) - onehot(targets)) * dloss(row)`, with the `lse` of the forward pass: `dlogits` and
/// `logits` (rows, cols), `targets` and `lse` (rows). O(rows · cols).
///
/// # Panics
/// If lengths do not fit, or a target is not below `cols`.
///
/// ```
/// use tiegrad_kernels::{Write, rows::cross_entropy_backward};
/// let mut d = [0.0_f64; 2];
/// cross_entropy_backward(Write::Overwrite, &mut d, &[0.0, 0.0], &[2.0_f64.ln()], &[1], 2, |_| 2.0);
/// assert!((d[0] - 1.0).abs() < 1e-15 && (d[1] + 1.0).abs() < 1e-15);
/// ```
pub fn cross_entropy_backward<T: Scalar>(
    w: Write,
    dlogits: &mut [T],
    logits: &[T],
    lse: &[T],
    targets: &[u32],
    cols: usize,
    dloss: impl Fn(usize) -> T + Sync,
) {
    check(logits.len(), lse.len(), targets, cols);
    assert_eq!(
        dlogits.len(),
        logits.len(),
        "cross_entropy_backward: lengths differ"
    );
    for_each_run_past(
        w,
        dlogits,
        rows_per_run(logits.len(), cols) * cols,
        cols,
        |at, d| {
            for (r, d) in d.chunks_exact_mut(cols).enumerate() {
                let r = at / cols + r;
                let x = &logits[r * cols..][..cols];
                backward_row(w, d, x, lse[r], targets[r] as usize, dloss(r));
            }
        },
    );
}

fn check(logits: usize, lse: usize, targets: &[u32], cols: usize) {
    let rows = targets.len();
    if cols != 0 || rows == 0 {
        assert_eq!(
            row_count(logits, cols),
            if cols == 0 { 0 } else { rows },
            "one target per row"
        );
    }
    assert_eq!(lse, rows, "one log-sum-exp per row");
    assert!(
        targets.iter().all(|&t| (t as usize) < cols),
        "a target is not a class"
    );
}

multiversion! {
    avx512 [T: Scalar as N]
    fn forward_run(losses: &mut [T], lse: &mut [T], logits: &[T], targets: &[u32], cols: usize) -> () {
        let group = rows_per_group::<T>(cols);
        let ahead = ahead::<T>(group * cols);
        let rows = logits.chunks(group * cols).zip(losses.chunks_mut(group));
        for ((logits, losses), lse) in rows.zip(lse.chunks_mut(group)) {
            for (max, x) in lse.iter_mut().zip(logits.chunks_exact(cols)) {
                *max = row_max(x);
            }
            for ((x, loss), lse) in logits.chunks_exact(cols).zip(losses).zip(lse) {
                let max = *lse;
                // A maximum of ±∞ must not make ∞ - ∞.
                let shift = if max.is_finite() { max } else { T::ZERO };
                *lse = shift;
                *loss = if max == T::INFINITY || max == T::NEG_INFINITY {
                    // Beyond what `exp_sum` is for: the exponentials' sum, ∞, 0 or NaN, is that of the numbers above zero.
                    row_sum([x], |[x]| if x < T::ZERO { T::ZERO } else { x })
                } else {
                    exp_sum::<T, N>(x, shift, ahead)
                };
            }
        }
        // Vectors of rows: the logarithm of one takes as long.
        for (loss, lse) in losses.iter_mut().zip(lse.iter_mut()) {
            let log_sum: T = N::from(*loss).ln().into();
            *lse += log_sum;
            *loss = *lse;
        }
        for (r, x) in logits.chunks_exact(cols).enumerate() {
            losses[r] -= x[targets[r] as usize];
        }
    }
}

/// Elements that are asked for at once: few lines, since a core waits for few.
const ASKED: usize = 128;

multiversion! {
    avx512 [T: Scalar as N]
    fn backward_row(w: Write, d: &mut [T], x: &[T], lse: T, target: usize, dloss: T) -> () {
        let before = d[target];
        let add = w == Write::Accumulate;
        let ahead = ahead_backward::<T>();
        for (d, x) in d.chunks_mut(ASKED).zip(x.chunks(ASKED)) {
            ask(x, 0, ahead, x.len());
            for (d, &x) in d.iter_mut().zip(x) {
                let p: T = N::from(x - lse).exp_bounded().into();
                let g = p * dloss;
                *d = if add { *d + g } else { g };
            }
        }
        let p: T = N::from(x[target] - lse).exp_bounded().into();
        let g = (p - T::ONE) * dloss;
        d[target] = if add { before + g } else { g };
    }
}
