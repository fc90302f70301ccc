//! Dot products of which one side is copied first: columns of a right operand that has rows, one after the other, and rows or columns of the shorter side that do not begin at lines of the cache.

use super::Gemm;
use super::blocks::{B_BYTES, Pack, with_room};
use super::dots::dots;
use super::gemm::first;
use super::tile::whole_lines;
use super::vector::{Kernel, MOST_LANES, Vector};
use crate::cache::{LINE, begin_at_lines};
use crate::simd::array;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Bytes of a row or column from which a copy of the shorter side repays itself.
const LONG: usize = 1024;
/// Rows or columns of the longer side from which it does.
const MANY: usize = 32;
/// Bytes from which it does for four rows or columns or more, with twice as many of the longer side.
const SHORT: usize = 256;

/// The product as dot products of rows of `a` and columns of `b`, both contiguous.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set; the inner strides are 1.
#[inline(always)]
pub(super) unsafe fn contiguous<V: Vector>(g: &Gemm<V::Elem>) {
    let size = size_of::<V::Elem>();
    // SAFETY: promised by the caller.
    unsafe {
        if const { whole_lines::<V>() }
            && g.k.saturating_mul(size) >= SHORT
            && g.m.max(g.n) >= MANY
            && g.m.min(g.n) > 1
        {
            return long::<V>(g);
        }
        dots::<V>(g);
    }
}

/// As [`contiguous`], for vectors as long as a line of the cache: where the rows or columns of the shorter side do not begin at lines, so that each vector lies across two of them,
/// they are copied, as many of the other side pass them.
///
/// # Safety
/// As [`contiguous`].
#[inline(never)]
unsafe fn long<V: Vector>(g: &Gemm<V::Elem>) {
    let size = size_of::<V::Elem>();
    let wide = g.m < g.n;
    let (first, step, count) = if wide {
        (g.a, g.a_row, g.m)
    } else {
        (g.b, g.b_col, g.n)
    };
    // SAFETY: promised by the caller; the room holds the copy.
    unsafe {
        let repays = g.k * size >= LONG || count >= 4 && g.m.max(g.n) >= 2 * MANY;
        if !repays || begin_at_lines(first, step) || !holds_columns(count, g.k, size) {
            return dots::<V>(g);
        }
        let width = column_pitch(g.k, size);
        with_room(|room| {
            V::call(Pack::<V> {
                from: first,
                k: count,
                row: step,
                col: 1,
                cols: g.k,
                to: room,
                width,
            });
            let mut part = *g;
            if wide {
                (part.a, part.a_row) = (room, width);
            } else {
                (part.b, part.b_col) = (room, width);
            }
            dots::<V>(&part);
        });
    }
}

/// The product as dot products, with columns of `b` copied.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set; rows of `a` are contiguous; the room holds the
/// columns.
pub(super) unsafe fn columns_packed<V: Vector>(g: &Gemm<V::Elem>) {
    let size = size_of::<V::Elem>();
    debug_assert!(holds_columns(g.n, g.k, size));
    let width = column_pitch(g.k, size);
    let copied = |room: *mut V::Elem| {
        let mut part = *g;
        (part.b, part.b_row, part.b_col) = (room, 1, width);
        // SAFETY: the room holds the columns.
        unsafe {
            if goes_apart(g) {
                V::call(Apart::<V> { g, to: room, width });
            } else {
                V::call(Pack::<V> {
                    from: g.b,
                    k: g.n,
                    row: g.b_col,
                    col: g.b_row,
                    cols: g.k,
                    to: room,
                    width,
                });
            }
            dots::<V>(&part);
        }
    };
    if g.n.saturating_mul(width) <= FEW {
        #[repr(align(64))]
        struct Columns<T>([MaybeUninit<T>; FEW]);
        let mut columns = Columns::<V::Elem>([MaybeUninit::uninit(); FEW]);
        copied(columns.0.as_mut_ptr().cast());
    } else {
        with_room(copied);
    }
}

/// Whether columns are copied as [`Apart`] does.
#[inline(always)]
pub(super) fn goes_apart<T>(g: &Gemm<T>) -> bool {
    (2..=APART).contains(&g.n) && g.b_col == 1 && g.b_row == g.n
}

/// Whether the room holds a copy of `n` columns of `b` of `k` elements.
pub(super) fn holds_columns(n: usize, k: usize, size: usize) -> bool {
    k <= B_BYTES && n.saturating_mul(column_pitch(k, size) * size) <= B_BYTES
}

/// From one column of a copy to the next: an odd number of lines.
fn column_pitch(k: usize, size: usize) -> usize {
    let line = LINE / size;
    (k.div_ceil(line) | 1) * line
}

/// Elements that are copied to the stack, which is sooner found than the room.
const FEW: usize = 512;

/// The most columns that are taken [`Apart`].
const APART: usize = 4;

/// Copies the columns of `b`, two to [`APART`], whose rows follow each other in memory: vectors of it have all columns in turn, and lanes are picked from these.
struct Apart<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    to: *mut V::Elem,
    /// From one column of the copy to the next.
    width: usize,
}

impl<V: Vector> Kernel for Apart<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: promised by the caller.
        unsafe {
            match self.g.n {
                2 => self.columns::<2>(),
                3 => self.columns::<3>(),
                _ => self.columns::<APART>(),
            }
        }
    }
}

impl<V: Vector> Apart<'_, V> {
    /// # Safety
    /// There are N columns, and the elements are valid on both sides.
    #[inline(always)]
    unsafe fn columns<const N: usize>(self) {
        let Apart { g, to, width } = self;
        debug_assert_eq!([g.n, g.b_row, g.b_col], [N, N, 1]);
        for p in (0..g.k).step_by(V::LANES) {
            let rows = g.k - p;
            // SAFETY: only what is left of the rows is read, and only p < k are written.
            unsafe {
                let at = g.b.add(p * N);
                let v: [V; N] = array(|q| {
                    let left = (rows * N).saturating_sub(q * V::LANES);
                    first(at.wrapping_add(q * V::LANES), left)
                });
                for c in 0..N {
                    let mut column = v[0];
                    for q in 1..N {
                        column = V::pick([column, v[q]], Places::<V, N>::OF[c][q].as_ptr());
                    }
                    let to = to.add(c * width + p);
                    if rows < V::LANES {
                        column.store_part(to, rows);
                    } else {
                        column.store(to);
                    }
                }
            }
        }
    }
}

/// Where the lanes of a column find their elements.
struct Places<V, const N: usize>(PhantomData<V>);

impl<V: Vector, const N: usize> Places<V, N> {
    /// Of column c, once vectors before q have been picked from: what those gave, or an element of vector q.
    const OF: [[[u32; MOST_LANES]; N]; N] = {
        let mut of = [[[0; MOST_LANES]; N]; N];
        let mut c = 0;
        while c < N {
            let mut q = 1;
            while q < N {
                let mut l = 0;
                while l < V::LANES {
                    let element = l * N + c;
                    of[c][q][l] = if element / V::LANES == q {
                        V::LANES + element % V::LANES
                    } else if q == 1 && element < V::LANES {
                        element
                    } else {
                        l
                    } as u32;
                    l += 1;
                }
                q += 1;
            }
            c += 1;
        }
        of
    };
}
