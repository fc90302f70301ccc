//! Rows of a table by index: what an embedding looks up, and its gradient.

use crate::elementwise::RUN;
use crate::scalar::Scalar;
use crate::simd::multiversion;
use crate::threads::{Shared, for_each_run, parallel_for};

/// `out` row r = `table` row `index[r]`; rows have `cols` elements. O(rows of `out` · `cols`).
///
/// # Panics
/// If lengths do not fit, or an index is not a row of the table.
///
/// ```
/// let mut out = [0.0_f64; 2];
/// tiegrad_kernels::gather::gather_rows(&mut out, &[1.0, 2.0, 3.0], 1, &[2, 0]);
/// assert_eq!(out, [3.0, 1.0]);
/// ```
pub fn gather_rows<T: Scalar>(out: &mut [T], table: &[T], cols: usize, index: &[u32]) {
    assert_eq!(
        out.len(),
        cols * index.len(),
        "gather_rows: a row of the result per index"
    );
    check(table.len(), cols, index);
    if cols == 0 {
        return;
    }
    let rows = if out.len() < 2 * RUN {
        index.len()
    } else {
        (RUN / cols).max(1)
    };
    for_each_run(out, rows * cols, |at, out| {
        for (out, &i) in out.chunks_exact_mut(cols).zip(&index[at / cols..]) {
            out.copy_from_slice(&table[i as usize * cols..][..cols]);
        }
    });
}

/// `table_grad` row `index[r]` += `dy` row r, in the order of r; rows have `cols` elements. O(rows of `dy` · `cols`), however large the table is.
///
/// # Panics
/// If lengths do not fit, or an index is not a row of the table.
///
/// ```
/// let mut grad = [0.0_f64; 3];
/// tiegrad_kernels::gather::scatter_add_rows(&mut grad, 1, &[2, 0, 2], &[1.0, 2.0, 3.0]);
/// assert_eq!(grad, [2.0, 0.0, 4.0]);
/// ```
pub fn scatter_add_rows<T: Scalar>(table_grad: &mut [T], cols: usize, index: &[u32], dy: &[T]) {
    assert_eq!(
        dy.len(),
        cols * index.len(),
        "scatter_add_rows: a row of the gradient per index"
    );
    check(table_grad.len(), cols, index);
    if cols == 0 {
        return;
    }
    // Columns are split, so that every element is summed in the order of the rows.
    let width = if dy.len() < 2 * RUN {
        cols
    } else {
        cols.div_ceil(8).next_multiple_of(16)
    };
    let grad = Shared::new(table_grad);
    parallel_for(cols.div_ceil(width), &|part| {
        let (first, end) = (part * width, cols.min((part + 1) * width));
        for (r, &i) in index.iter().enumerate() {
            let i = i as usize * cols;
            // SAFETY: each part has columns of its own, and the slice is borrowed until all are done.
            let grad = unsafe { grad.range(i + first, i + end) };
            add(grad, &dy[r * cols + first..r * cols + end]);
        }
    });
}

#[inline(always)]
fn check(table: usize, cols: usize, index: &[u32]) {
    if let Some(rows) = table.checked_div(cols) {
        assert!(
            index.iter().all(|&i| (i as usize) < rows),
            "an index is not a row of the table"
        );
    }
}

multiversion! {
    [T: Scalar]
    fn add(y: &mut [T], x: &[T]) -> () {
        for (y, &x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

#[cfg(test)]
mod tests;
