//! Sums and maxima. Sums are blocked and pairwise, in an order that depends on sizes and strides alone.

mod join;

pub(crate) use join::{
    Join, JoinOf, Max, Plus, SUM_BLOCK, Step, Tree, block_fold, block_sum, halved, through_memory,
};

use crate::Write;
use crate::cache::{asking_gains, near};
use crate::elementwise::RUN;
use crate::scalar::Scalar;
use crate::simd::{AHEAD, array, multiversion};
use crate::strided::{BLOCK, Cursor, Staged, Walk, disjoint};
use crate::threads::{Shared, for_each_run, parallel_for};

/// Rows that are added up before they join the pairwise sum.
const ROWS: usize = 64;
/// Rows that are joined to a partial result at a time.
const AT_ONCE: usize = 4;
/// The most parts that one large sum is cut into.
const PARTS: usize = 64;

/// `dst[i] (=, +=)` the sum of `f(a, b, c)` over the dimensions whose stride in `ds` is 0.
///
/// `ds` is dense over the other dimensions. An operand that is not needed may be an empty slice with any
/// strides; `f` then gets zeros for it. A sum over nothing is 0. O(n) for n elements of the shape.
///
/// # Panics
/// If strides and shape differ in length, or reach beyond a slice.
///
/// ```
/// use tiegrad_kernels::{Write, reduce::sum_to};
/// let x = [1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let mut columns = [0.0; 3];
/// let none: (&[f64], &[usize]) = (&[], &[0, 0]);
/// sum_to(
///     Write::Overwrite, &mut columns, &[0, 1], &[2, 3], &x, &[3, 1], none.0, none.1, none.0, none.1,
///     |a, _, _| a * a,
/// );
/// assert_eq!(columns, [17.0, 29.0, 45.0]);
/// ```
pub fn sum_to<T: Scalar>(
    w: Write,
    dst: &mut [T],
    ds: &[usize],
    shape: &[usize],
    a: &[T],
    a_s: &[usize],
    b: &[T],
    b_s: &[usize],
    c: &[T],
    c_s: &[usize],
    f: impl Fn(T, T, T) -> T + Sync + Copy,
) {
    let operands = [(a, a_s), (b, b_s), (c, c_s)];
    match *shape {
        [n] if n <= TINY => tiny_sum(
            w,
            dst,
            [0, ds[0]],
            [1, n],
            operands.map(|(x, s)| (x, [0, s[0]])),
            f,
        ),
        [m, n] if m <= TINY && n <= TINY => {
            tiny_sum(
                w,
                dst,
                [ds[0], ds[1]],
                [m, n],
                operands.map(|(x, s)| (x, [s[0], s[1]])),
                f,
            );
        }
        _ => reduce_to::<T, Plus>(w, dst, ds, shape, operands, f),
    }
}

/// Up to this size in each dimension a sum is two plain loops: setting up the general walk would take longer than the sum.
const TINY: usize = 16;

#[inline]
fn tiny_sum<T: Scalar>(
    w: Write,
    dst: &mut [T],
    ds: [usize; 2],
    [m, n]: [usize; 2],
    operands: [(&[T], [usize; 2]); 3],
    f: impl Fn(T, T, T) -> T,
) {
    if w == Write::Overwrite {
        for i in 0..if ds[0] == 0 { 1 } else { m } {
            for j in 0..if ds[1] == 0 { 1 } else { n } {
                dst[i * ds[0] + j * ds[1]] = T::ZERO;
            }
        }
    }
    let [a, b, c] = operands;
    let get = |(x, s): (&[T], [usize; 2]), i, j| {
        if x.is_empty() {
            T::ZERO
        } else {
            x[i * s[0] + j * s[1]]
        }
    };
    for i in 0..m {
        for j in 0..n {
            dst[i * ds[0] + j * ds[1]] += f(get(a, i, j), get(b, i, j), get(c, i, j));
        }
    }
}

/// `dst[i]` = the maximum of `a` over the dimensions whose stride in `ds` is 0; NaN where any is NaN, and -∞
/// over nothing. `ds` is dense over the other dimensions. O(n) for n elements of the shape.
///
/// # Panics
/// If strides and shape differ in length, or reach beyond a slice.
///
/// ```
/// let mut m = [0.0_f64; 2];
/// tiegrad_kernels::reduce::max_to(&mut m, &[1, 0], &[2, 2], &[1.0, 3.0, 4.0, 2.0], &[2, 1]);
/// assert_eq!(m, [3.0, 4.0]);
/// ```
pub fn max_to<T: Scalar>(dst: &mut [T], ds: &[usize], shape: &[usize], a: &[T], a_s: &[usize]) {
    // What an empty operand means to a sum, it does not mean here.
    assert!(
        !a.is_empty() || shape.contains(&0),
        "max_to: strides reach beyond an empty slice"
    );
    let none = (&[][..], a_s);
    reduce_to::<T, Max>(
        Write::Overwrite,
        dst,
        ds,
        shape,
        [(a, a_s), none, none],
        |a, _, _| a,
    );
}

/// The sum of all n elements. O(n).
///
/// ```
/// assert_eq!(tiegrad_kernels::reduce::sum(&[1.0_f32, 2.0, 3.0]), 6.0);
/// ```
pub fn sum<T: Scalar>(x: &[T]) -> T {
    if x.len() <= TINY {
        return x.iter().fold(T::ZERO, |sum, &x| sum + x);
    }
    let long = gains_by_avx512::<T>(x.len());
    in_parts(x.len(), &|start, end| {
        fold_run::<T, _>(long, &x[start..end], |x| x)
    })
}

/// The sum of squares of all n elements. O(n).
///
/// ```
/// assert_eq!(tiegrad_kernels::reduce::sum_squares(&[3.0_f32, 4.0]), 25.0);
/// ```
pub fn sum_squares<T: Scalar>(x: &[T]) -> T {
    if x.len() <= TINY {
        return x.iter().fold(T::ZERO, |sum, &x| sum + x * x);
    }
    let long = gains_by_avx512::<T>(x.len());
    in_parts(x.len(), &|start, end| {
        fold_run::<T, _>(long, &x[start..end], |x| x * x)
    })
}

/// Whether no element is NaN or infinite. O(n) for n elements; stops at the first 4,096 that hold one.
///
/// ```
/// assert!(!tiegrad_kernels::reduce::all_finite(&[1.0_f32, f32::NAN]));
/// ```
pub fn all_finite<T: Scalar>(x: &[T]) -> bool {
    x.chunks(4096).all(finite_run)
}

multiversion! {
    avx512 [T: Scalar]
    fn finite_run(x: &[T]) -> bool {
        let mut ok = true;
        for &x in x {
            ok &= x.is_finite();
        }
        ok
    }
}

/// Whether the sum of so many elements gains by AVX-512. Measured on Zen 5: of 512 0.8 to 1.05 times as fast, of 16,384 to 100,000 1.2 to 1.3 times, of 400,000 0.97, of 2 million 1.0.
#[inline(always)]
fn gains_by_avx512<T>(n: usize) -> bool {
    n >= 4 * SUM_BLOCK && near::<T>(n)
}

/// Joins `part(start, end)` over parts of `0..n` whose sizes depend on `n` alone.
fn in_parts<T: Scalar>(n: usize, part: &(dyn Fn(usize, usize) -> T + Sync)) -> T {
    if n < 2 * RUN {
        return part(0, n);
    }
    let size = n.div_ceil(PARTS).max(RUN).next_multiple_of(BLOCK);
    let mut sums = [T::ZERO; PARTS];
    let sums = &mut sums[..n.div_ceil(size)];
    for_each_run(sums, 1, |i, sum| {
        sum[0] = part(i * size, n.min((i + 1) * size))
    });
    let mut tree = Tree::new();
    for &s in &*sums {
        tree.push::<Plus>(s);
    }
    tree.finish::<Plus>()
}

multiversion! {
    avx512 if long [T: Scalar; F: [Fn(T) -> T]]
    fn fold_run(x: &[T], f: F) -> T {
        // Runs of a large sum; what is near need not be asked for.
        let asks = x.len() >= RUN && asking_gains();
        let mut tree = Tree::new();
        for x in x.chunks(SUM_BLOCK) {
            tree.push::<Plus>(if asks {
                block_sum([x], Some(AHEAD / size_of::<T>()), |[x]| f(x))
            } else {
                block_sum([x], None, |[x]| f(x))
            });
        }
        tree.finish::<Plus>()
    }
}

fn reduce_to<T: Scalar, J: Join<T>>(
    w: Write,
    dst: &mut [T],
    ds: &[usize],
    shape: &[usize],
    operands: [(&[T], &[usize]); 3],
    f: impl Fn(T, T, T) -> T + Sync + Copy,
) {
    let zeros = [0; crate::MAX_RANK];
    let zeros = &zeros[..shape.len().min(crate::MAX_RANK)];
    let zero = [T::ZERO];
    let [a, b, c] = operands.map(|(x, s)| {
        if x.is_empty() {
            (&zero[..], zeros)
        } else {
            (x, s)
        }
    });
    let walk = Walk::new(shape, [ds, a.1, b.1, c.1]);
    let x = [a.0, b.0, c.0];
    let (kept, summed) = walk.partition(|d| walk.strides[0][d] != 0);
    kept.check(0, dst.len());
    if kept.len() == 0 {
        return;
    }
    for i in 0..3 {
        walk.check(i + 1, x[i].len());
    }
    if summed.len() == 0 {
        let mut cursor = kept.cursor(0);
        for _ in 0..kept.rows() {
            for i in 0..kept.row_len() {
                let at = cursor.at[0] + i * kept.row_stride(0);
                put(w, &mut dst[at..=at], J::START);
            }
            cursor.next();
        }
        return;
    }
    let job = Reduction { kept, summed, x };
    // Only then are there several tasks at a time.
    let parallel = disjoint(&kept.dims[..kept.rank], &kept.strides[0][..kept.rank]);
    let shared = Shared::new(dst);
    let write = move |at: usize, r: T| {
        // SAFETY: `dst` is borrowed until all tasks are done. One task writes all outputs, or each writes those that are its own, which are
        // at places of their own.
        put(w, unsafe { shared.range(at, at + 1) }, r);
    };
    // Rows of the destination are added up as rows where its last dimension is the walk's.
    let by_columns = summed.len() == 1 || (kept.len() > 1 && walk.row_stride(0) != 0);
    let per_output = summed.len();
    if by_columns {
        let width = kept.row_len().min(BLOCK);
        let tasks = kept.rows() * kept.row_len().div_ceil(BLOCK);
        let size = (2 * RUN).div_ceil(per_output * width);
        let size = if parallel { size } else { tasks };
        run(tasks, size, &|first, end| {
            columns_run::<T, J, _, _>(&job, first, end, f, write)
        });
    } else if kept.len() == 1 {
        write(0, one_sum::<T, J>(&job, f));
    } else {
        let size = if parallel {
            (2 * RUN).div_ceil(per_output)
        } else {
            kept.len()
        };
        run(kept.len(), size, &|first, end| {
            rows_run::<T, J, _, _>(&job, first, end, f, write)
        });
    }
}

/// Calls `f(first, end)` for runs of `size` tasks.
fn run(tasks: usize, size: usize, f: &(dyn Fn(usize, usize) + Sync)) {
    if tasks <= size {
        f(0, tasks);
    } else {
        parallel_for(tasks.div_ceil(size), &|i| {
            f(i * size, tasks.min((i + 1) * size))
        });
    }
}

#[inline(always)]
fn put<T: Scalar>(w: Write, dst: &mut [T], r: T) {
    for o in dst {
        *o = if w == Write::Accumulate { *o + r } else { r };
    }
}

/// Array 0 is the destination, 1 to 3 the operands `x`.
struct Reduction<'a, T> {
    kept: Walk<4>,
    summed: Walk<4>,
    x: [&'a [T]; 3],
}

/// One output from everything.
fn one_sum<T: Scalar, J: Join<T>>(
    job: &Reduction<'_, T>,
    f: impl Fn(T, T, T) -> T + Sync + Copy,
) -> T {
    let summed = &job.summed;
    let n = summed.dims[0];
    // Parts of the outermost dimension.
    let part = |start: usize, end: usize| {
        let mut part = *summed;
        part.dims[0] = end - start;
        let at = array(|a| start * summed.strides[a][0]);
        sum_run::<T, J, _>(&part, &job.x, at, f)
    };
    let size = n.div_ceil(PARTS);
    if summed.len() < 2 * RUN {
        return part(0, n);
    }
    let mut parts = [T::ZERO; PARTS];
    let parts = &mut parts[..n.div_ceil(size)];
    for_each_run(parts, 1, |i, r| {
        r[0] = part(i * size, n.min((i + 1) * size))
    });
    let mut tree = Tree::new();
    for &r in &*parts {
        tree.push::<J>(r);
    }
    tree.finish::<J>()
}

multiversion! {
    [T: Scalar; J: [Join<T>]; F: [Fn(T, T, T) -> T]]
    fn sum_run(summed: &Walk<4>, x: &[&[T]; 3], at: [usize; 4], f: F) -> T {
        let staged = |i: usize| Staged::new(x[i], summed.row_stride(i + 1));
        let mut x = [staged(0), staged(1), staged(2)];
        sum_all::<T, J, F>(summed, &mut x, at, &f)
    }
}

multiversion! {
    /// Outputs `first..end`, each from runs of the last summed dimension; `write` gets their places and values.
    [T: Scalar; J: [Join<T>]; F: [Fn(T, T, T) -> T]; W: [Fn(usize, T)]]
    fn rows_run(job: &Reduction<'_, T>, first: usize, end: usize, f: F, write: W) -> () {
        let n = job.kept.row_len();
        let staged = |i: usize| Staged::new(job.x[i], job.summed.row_stride(i + 1));
        let mut x = [staged(0), staged(1), staged(2)];
        for i in first..end {
            let mut at = job.kept.cursor(i / n).at;
            for a in 0..4 {
                at[a] += i % n * job.kept.row_stride(a);
            }
            let r = sum_all::<T, J, F>(&job.summed, &mut x, at, &f);
            write(at[0], r);
        }
    }
}

/// All that `summed` reaches from `at` on, joined in blocks, and the blocks pairwise.
#[inline(always)]
fn sum_all<T: Scalar, J: Join<T>, F: Fn(T, T, T) -> T>(
    summed: &Walk<4>,
    [a, b, c]: &mut [Staged<'_, T>; 3],
    at: [usize; 4],
    f: &F,
) -> T {
    let mut tree = Tree::new();
    let n = summed.row_len();
    let mut cursor = summed.cursor(0);
    for _ in 0..summed.rows() {
        let mut i = 0;
        while i < n {
            let len = BLOCK.min(n - i);
            let at: [usize; 4] = array(|x| at[x] + cursor.at[x] + i * summed.row_stride(x));
            let x = [a.run(at[1], len), b.run(at[2], len), c.run(at[3], len)];
            tree.push::<J>(block_fold::<T, J, 3>(
                x,
                None,
                &JoinOf(|[a, b, c]: [T; 3]| f(a, b, c)),
            ));
            i += len;
        }
        cursor.next();
    }
    tree.finish::<J>()
}

multiversion! {
    /// Blocks of columns `first..end`: each a run of the last kept dimension, over all that is summed. `write` gets outputs' places and values.
    [T: Scalar; J: [Join<T>]; F: [Fn(T, T, T) -> T]; W: [Fn(usize, T)]]
    fn columns_run(job: &Reduction<'_, T>, first: usize, end: usize, f: F, write: W) -> () {
        let Reduction { kept, summed, x } = job;
        let n = kept.row_len();
        let blocks = n.div_ceil(BLOCK);
        let sd = kept.row_stride(0);
        let staged = |i: usize| Staged::new(x[i], kept.row_stride(i + 1));
        let (mut a, mut b, mut c) = (staged(0), staged(1), staged(2));
        // One operand of contiguous rows, and others, if any, that are the same for all terms.
        let same = |a: usize| (0..summed.rank).all(|d| summed.strides[a][d] == 0);
        let direct = kept.row_stride(1) == 1 && same(2) && same(3);
        let mut total = [J::START; BLOCK];
        let mut partial = [J::START; BLOCK];
        let terms = summed.len();
        for task in first..end {
            let j = task % blocks * BLOCK;
            let len = BLOCK.min(n - j);
            let mut at = kept.cursor(task / blocks).at;
            for a in 0..4 {
                at[a] += j * kept.row_stride(a);
            }
            let (total, partial) = (&mut total[..len], &mut partial[..len]);
            total.fill(J::START);
            let mut term = Terms::new(summed);
            let mut done = 0;
            while done < terms {
                let rows = ROWS.min(terms - done);
                let mut joined = 0;
                // Several rows at a time, in the same order: partial sums are read and written once for them.
                while direct && rows - joined >= AT_ONCE {
                    let (b, c) = (b.run(at[2], len), c.run(at[3], len));
                    let mut places = [0; AT_ONCE];
                    for place in &mut places {
                        *place = at[1] + term.at(1);
                        term.next();
                    }
                    let a: [_; AT_ONCE] = array(|r| &x[0][places[r]..][..len]);
                    let (partial, b, c) = (&mut partial[..len], &b[..len], &c[..len]);
                    let of = |l: usize| -> [T; AT_ONCE] { array(|r| f(a[r][l], b[l], c[l])) };
                    if joined == 0 {
                        for l in 0..len {
                            let y = of(l);
                            partial[l] = J::join(J::join(J::join(y[0], y[1]), y[2]), y[3]);
                        }
                    } else {
                        for l in 0..len {
                            let (old, y) = (partial[l], of(l));
                            partial[l] =
                                J::join(J::join(J::join(J::join(old, y[0]), y[1]), y[2]), y[3]);
                        }
                    }
                    joined += AT_ONCE;
                }
                for row in joined..rows {
                    let a = a.run(at[1] + term.at(1), len);
                    let b = b.run(at[2] + term.at(2), len);
                    let c = c.run(at[3] + term.at(3), len);
                    let start = row == 0;
                    let (partial, a, b, c) = (&mut partial[..len], &a[..len], &b[..len], &c[..len]);
                    for l in 0..len {
                        let y = f(a[l], b[l], c[l]);
                        partial[l] = if start { y } else { J::join(partial[l], y) };
                    }
                    term.next();
                }
                let start = done == 0;
                for l in 0..len {
                    total[l] = if start { partial[l] } else { J::join(total[l], partial[l]) };
                }
                done += rows;
            }
            for l in 0..len {
                write(at[0] + l * sd, total[l]);
            }
        }
    }
}

/// Walks all elements of the summed dimensions.
struct Terms<'a> {
    rows: Cursor<'a, 4>,
    walk: &'a Walk<4>,
    i: usize,
}

impl<'a> Terms<'a> {
    #[inline(always)]
    fn new(walk: &'a Walk<4>) -> Self {
        Terms {
            rows: walk.cursor(0),
            walk,
            i: 0,
        }
    }

    /// Where it is in an operand. Computed from the row's place: places kept up to date for all operands were stored in pairs, and the next step waited for a pair that lay across two lines of the cache.
    #[inline(always)]
    fn at(&self, operand: usize) -> usize {
        self.rows.at[operand] + self.i * self.walk.row_stride(operand)
    }

    #[inline(always)]
    fn next(&mut self) {
        self.i += 1;
        if self.i == self.walk.row_len() {
            self.i = 0;
            self.rows.next();
        }
    }
}

#[cfg(test)]
mod tests;
