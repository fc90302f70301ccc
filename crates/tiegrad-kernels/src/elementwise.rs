//! Functions applied element by element, in parallel where arrays are large.
//!
//! Closures are inlined into loops compiled for the machine's vectors: write them branch-free, over the
//! functions of [`Arithmetic`], and they run several elements at once. All of these functions are O(n) for n results.

mod activation;
mod copy;
mod stream;
mod transpose;

pub use activation::{
    Cos, CosBackward, Gelu, GeluBackward, GeluTanh, GeluTanhBackward, Sin, SinBackward, Softplus,
};

use crate::Write;
use crate::scalar::{Arithmetic, Scalar};
use crate::simd::multiversion;
use crate::strided::{BLOCK, Staged, Walk};
use crate::threads::for_each_run;
pub use copy::copy_strided;
pub(crate) use stream::{for_each_run_past, for_each_run_past_if, goes_past, pieces};

/// Elements per chunk of a parallel loop over a small array; loops of fewer than two chunks run on the calling thread.
pub(crate) const RUN: usize = 16 * 1024;

/// A function of one number that is always inlined into its loop.
///
/// Closures with long bodies (two polynomials, say) may stay calls, which costs an order of magnitude; a type
/// with this trait, whose method is marked `#[inline(always)]`, never does. Written for every [`Arithmetic`], it also gets fused
/// multiply-add in the functions that it calls, which a closure does not: its type of numbers is fixed.
///
/// ```
/// use tiegrad_kernels::{Arithmetic, Write, elementwise::{Unary, map_with}};
/// #[derive(Clone, Copy)]
/// struct Mish;
/// impl<T: Arithmetic> Unary<T> for Mish {
///     #[inline(always)]
///     fn call(self, x: T) -> T { x * x.exp().ln_1p().tanh() }
/// }
/// let mut y = [1.0_f32];
/// map_with(Write::Overwrite, &mut y, &[0.0], Mish);
/// assert_eq!(y, [0.0]);
/// ```
pub trait Unary<T>: Copy + Sync {
    /// Whether there are arguments for which [`call`](Unary::call) is wrong.
    const RARE: bool = false;
    /// The function's value; with `RARE`, only where [`is_usual`](Unary::is_usual).
    fn call(self, x: T) -> T;
    /// Whether `call` is right for x.
    #[inline(always)]
    fn is_usual(self, _x: T) -> bool {
        true
    }
    /// The function's value for any argument. Blocks of a loop that hold one that is not usual are computed by this.
    #[inline(always)]
    fn call_rare(self, x: T) -> T {
        self.call(x)
    }
}

/// A function of two numbers that is always inlined into its loop; see [`Unary`].
///
/// ```
/// use tiegrad_kernels::elementwise::{Binary, GeluBackward};
/// assert_eq!(GeluBackward.call(0.0_f64, 2.0), 1.0);
/// ```
pub trait Binary<T>: Copy + Sync {
    /// Whether there are arguments for which [`call`](Binary::call) is wrong.
    const RARE: bool = false;
    /// The function's value; with `RARE`, only where [`is_usual`](Binary::is_usual).
    fn call(self, x: T, y: T) -> T;
    /// Whether `call` is right for x.
    #[inline(always)]
    fn is_usual(self, _x: T) -> bool {
        true
    }
    /// The function's value for any argument. Blocks of a loop that hold one that is not usual are computed by this.
    #[inline(always)]
    fn call_rare(self, x: T, y: T) -> T {
        self.call(x, y)
    }
}

/// `out[i] (=, +=) f(x[i])`. Long functions are better passed to [`map_with`].
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Arithmetic, Write, elementwise::map};
/// let mut y = [0.0_f32; 2];
/// map(Write::Overwrite, &mut y, &[0.0, -1.0], |x| x.maximum(0.0));
/// assert_eq!(y, [0.0, 0.0]);
/// ```
pub fn map<T: Scalar>(w: Write, out: &mut [T], x: &[T], f: impl Fn(T) -> T + Sync + Copy) {
    assert_eq!(out.len(), x.len(), "map: lengths differ");
    each(w, out, |at, out| {
        map_closure(w, out, &x[at..at + out.len()], f)
    });
}

/// [`map`] with a function that is always inlined.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::{Gelu, map_with}};
/// let mut y = [0.0_f64];
/// map_with(Write::Overwrite, &mut y, &[1.0], Gelu);
/// assert!((y[0] - 0.841344746068543).abs() < 1e-15);
/// ```
pub fn map_with<T: Scalar>(w: Write, out: &mut [T], x: &[T], f: impl Unary<T> + Unary<T::Fused>) {
    assert_eq!(out.len(), x.len(), "map: lengths differ");
    for_each_run(out, run_size(x.len()), |at, out| {
        map_run(w, out, &x[at..at + out.len()], f)
    });
}

/// `out[i] (=, +=) f(x[i], y[i])`. Long functions are better passed to [`zip_with`].
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::zip};
/// let mut z = [1.0_f64; 2];
/// zip(Write::Accumulate, &mut z, &[1.0, 2.0], &[3.0, 4.0], |x, y| x * y);
/// assert_eq!(z, [4.0, 9.0]);
/// ```
pub fn zip<T: Scalar>(
    w: Write,
    out: &mut [T],
    x: &[T],
    y: &[T],
    f: impl Fn(T, T) -> T + Sync + Copy,
) {
    let n = out.len();
    assert!(n == x.len() && n == y.len(), "zip: lengths differ");
    each(w, out, |at, out| {
        let end = at + out.len();
        zip_closure(w, out, &x[at..end], &y[at..end], f);
    });
}

/// [`zip`] with a function that is always inlined.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::{GeluBackward, zip_with}};
/// let mut dx = [0.0_f64];
/// zip_with(Write::Overwrite, &mut dx, &[0.0], &[3.0], GeluBackward);
/// assert_eq!(dx, [1.5]);
/// ```
pub fn zip_with<T: Scalar>(
    w: Write,
    out: &mut [T],
    x: &[T],
    y: &[T],
    f: impl Binary<T> + Binary<T::Fused>,
) {
    assert!(
        out.len() == x.len() && out.len() == y.len(),
        "zip: lengths differ"
    );
    for_each_run(out, run_size(x.len()), |at, out| {
        let end = at + out.len();
        zip_run(w, out, &x[at..end], &y[at..end], f);
    });
}

/// `out[i] (=, +=) f(x[i], y[i], z[i])`.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::zip3};
/// let mut r = [0.0_f64];
/// zip3(Write::Overwrite, &mut r, &[2.0], &[3.0], &[4.0], |x, y, z| x * y + z);
/// assert_eq!(r, [10.0]);
/// ```
pub fn zip3<T: Scalar>(
    w: Write,
    out: &mut [T],
    x: &[T],
    y: &[T],
    z: &[T],
    f: impl Fn(T, T, T) -> T + Sync + Copy,
) {
    let n = out.len();
    assert!(
        n == x.len() && n == y.len() && n == z.len(),
        "zip3: lengths differ"
    );
    each(w, out, |at, out| {
        let end = at + out.len();
        zip3_run(w, out, &x[at..end], &y[at..end], &z[at..end], f);
    });
}

/// `out[i] (=, +=) f(i, x[i])`, with the index in the whole array (what a counter-based dropout needs).
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use tiegrad_kernels::{Write, elementwise::map_indexed};
/// let mut y = [0.0_f64; 3];
/// map_indexed(Write::Overwrite, &mut y, &[5.0; 3], |i, x| if i % 2 == 0 { x } else { 0.0 });
/// assert_eq!(y, [5.0, 0.0, 5.0]);
/// ```
pub fn map_indexed<T: Scalar>(
    w: Write,
    out: &mut [T],
    x: &[T],
    f: impl Fn(usize, T) -> T + Sync + Copy,
) {
    assert_eq!(out.len(), x.len(), "map_indexed: lengths differ");
    for_each_run(out, run_size(x.len()), |at, out| {
        map_indexed_run(w, out, at, &x[at..at + out.len()], f);
    });
}

/// `out = f(x, y)` with broadcasting: `out` is contiguous over `shape`, and a stride of 0 repeats an operand.
///
/// # Panics
/// If strides and shape differ in length, or reach beyond a slice.
///
/// ```
/// use tiegrad_kernels::elementwise::zip_broadcast;
/// let mut out = [0.0_f64; 4];
/// zip_broadcast(&mut out, &[2, 2], &[1.0, 2.0, 3.0, 4.0], &[2, 1], &[10.0, 20.0], &[0, 1], |x, y| x + y);
/// assert_eq!(out, [11.0, 22.0, 13.0, 24.0]);
/// ```
pub fn zip_broadcast<T: Scalar>(
    out: &mut [T],
    shape: &[usize],
    x: &[T],
    xs: &[usize],
    y: &[T],
    ys: &[usize],
    f: impl Fn(T, T) -> T + Sync + Copy,
) {
    let walk = Walk::new(shape, [xs, ys]);
    assert_eq!(
        out.len(),
        walk.len(),
        "zip_broadcast: the destination has not the shape's length"
    );
    walk.check(0, x.len());
    walk.check(1, y.len());
    let row = walk.row_len();
    if row == 0 || out.is_empty() {
        return;
    }
    // Whole rows per run; where a row is long, it is the run.
    let rows = (run_size(out.len()) / row).max(1);
    for_each_run(out, rows * row, |at, out| {
        broadcast_run(out, &walk, at / row, x, y, f)
    });
}

/// A closure as a [`Unary`] or [`Binary`].
#[derive(Clone, Copy)]
struct Closure<F>(F);

impl<T, F: Fn(T) -> T + Sync + Copy> Unary<T> for Closure<F> {
    #[inline(always)]
    fn call(self, x: T) -> T {
        self.0(x)
    }
}

impl<T, F: Fn(T, T) -> T + Sync + Copy> Binary<T> for Closure<F> {
    #[inline(always)]
    fn call(self, x: T, y: T) -> T {
        self.0(x, y)
    }
}

/// The length of parallel runs of a loop of `n` elements.
#[inline(always)]
pub(crate) fn run_size(n: usize) -> usize {
    if n < 2 * RUN {
        n.max(1)
    } else {
        run_within(n, RUN)
    }
}

/// Between `least` and 4 [`RUN`] elements, more of larger arrays: at a chunk's beginning memory is not read ahead yet, and at its end too far, into what
/// another thread has. A multiple of a vector's length.
#[inline(always)]
pub(crate) fn run_within(n: usize, least: usize) -> usize {
    (n / 64).next_multiple_of(BLOCK).clamp(least, 4 * RUN)
}

/// Calls `f`, which is short, for runs of a result. (Long functions have the time to read what they overwrite, and would wait for stores past the cache.)
#[inline(always)]
fn each<T: Scalar>(w: Write, out: &mut [T], f: impl Fn(usize, &mut [T]) + Sync) {
    let run = run_size(out.len());
    for_each_run_past(w, out, run, 1, f);
}

multiversion! {
    avx512 [T: Scalar as N; F: Unary]
    fn map_run(w: Write, out: &mut [T], x: &[T], f: F) -> () {
        if !F::RARE {
            map_block::<T, N, F, false>(w, out, x, f);
            return;
        }
        for (out, x) in out.chunks_mut(BLOCK).zip(x.chunks(BLOCK)) {
            if x.iter().fold(true, |all, &x| all & f.is_usual(N::from(x))) {
                map_block::<T, N, F, false>(w, out, x, f);
            } else {
                map_block::<T, N, F, true>(w, out, x, f);
            }
        }
    }
}

#[inline(always)]
fn map_block<T: Scalar, N: Arithmetic + From<T> + Into<T>, F: Unary<N>, const RARE: bool>(
    w: Write,
    out: &mut [T],
    x: &[T],
    f: F,
) {
    let add = w == Write::Accumulate;
    for (o, &x) in out.iter_mut().zip(x) {
        let x = N::from(x);
        let y: T = if RARE { f.call_rare(x) } else { f.call(x) }.into();
        *o = if add { *o + y } else { y };
    }
}

multiversion! {
    avx512 [T: Scalar; F: [Fn(T) -> T + Sync + Copy]]
    fn map_closure(w: Write, out: &mut [T], x: &[T], f: F) -> () {
        map_block::<T, T, Closure<F>, false>(w, out, x, Closure(f));
    }
}

multiversion! {
    avx512 [T: Scalar as N; F: Binary]
    fn zip_run(w: Write, out: &mut [T], x: &[T], y: &[T], f: F) -> () {
        if !F::RARE {
            zip_block::<T, N, F, false>(w, out, x, y, f);
            return;
        }
        for ((out, x), y) in out.chunks_mut(BLOCK).zip(x.chunks(BLOCK)).zip(y.chunks(BLOCK)) {
            if x.iter().fold(true, |all, &x| all & f.is_usual(N::from(x))) {
                zip_block::<T, N, F, false>(w, out, x, y, f);
            } else {
                zip_block::<T, N, F, true>(w, out, x, y, f);
            }
        }
    }
}

#[inline(always)]
fn zip_block<T: Scalar, N: Arithmetic + From<T> + Into<T>, F: Binary<N>, const RARE: bool>(
    w: Write,
    out: &mut [T],
    x: &[T],
    y: &[T],
    f: F,
) {
    let add = w == Write::Accumulate;
    let n = out.len();
    let (x, y) = (&x[..n], &y[..n]);
    for i in 0..n {
        let (x, y) = (N::from(x[i]), N::from(y[i]));
        let r: T = if RARE {
            f.call_rare(x, y)
        } else {
            f.call(x, y)
        }
        .into();
        out[i] = if add { out[i] + r } else { r };
    }
}

multiversion! {
    avx512 [T: Scalar; F: [Fn(T, T) -> T + Sync + Copy]]
    fn zip_closure(w: Write, out: &mut [T], x: &[T], y: &[T], f: F) -> () {
        zip_block::<T, T, Closure<F>, false>(w, out, x, y, Closure(f));
    }
}

multiversion! {
    [T: Scalar; F: [Fn(T, T, T) -> T]]
    fn zip3_run(w: Write, out: &mut [T], x: &[T], y: &[T], z: &[T], f: F) -> () {
        let add = w == Write::Accumulate;
        let n = out.len();
        let (x, y, z) = (&x[..n], &y[..n], &z[..n]);
        for i in 0..n {
            let r = f(x[i], y[i], z[i]);
            out[i] = if add { out[i] + r } else { r };
        }
    }
}

multiversion! {
    [T: Scalar; F: [Fn(usize, T) -> T]]
    fn map_indexed_run(w: Write, out: &mut [T], at: usize, x: &[T], f: F) -> () {
        let add = w == Write::Accumulate;
        for (i, (o, &x)) in out.iter_mut().zip(x).enumerate() {
            let y = f(at + i, x);
            *o = if add { *o + y } else { y };
        }
    }
}

multiversion! {
    /// Rows from `first` on, as many as `out` holds.
    [T: Scalar; F: [Fn(T, T) -> T]]
    fn broadcast_run(out: &mut [T], walk: &Walk<2>, first: usize, x: &[T], y: &[T], f: F) -> () {
        let (row, sx, sy) = (walk.row_len(), walk.row_stride(0), walk.row_stride(1));
        let (mut staged_x, mut staged_y) = (Staged::new(x, sx), Staged::new(y, sy));
        let mut cursor = walk.cursor(first);
        for out in out.chunks_exact_mut(row) {
            let [mut ax, mut ay] = cursor.at;
            for out in out.chunks_mut(BLOCK) {
                let n = out.len();
                let (x, y) = (staged_x.run(ax, n), staged_y.run(ay, n));
                for i in 0..n {
                    out[i] = f(x[i], y[i]);
                }
                ax += n * sx;
                ay += n * sy;
            }
            cursor.next();
        }
    }
}

#[cfg(test)]
mod tests;
