//! Products of many short rows with an inner dimension so short that all of the right operand stays in registers.

use super::Gemm;
use super::gemm::{first, store};
use super::tile::many_registers;
use super::vector::{Kernel, MOST_LANES, Vector};
use crate::scalar::Arithmetic;
use std::ops::Range;

/// A product whose `b` is so small that all of it stays in registers while rows pass: at most [`REGISTERS`] vectors, where there are many registers, and else rows
/// of one.
pub(super) struct Resident<'a, V: Vector>(pub(super) &'a Gemm<V::Elem>);

/// Most vectors of `b`.
const REGISTERS: usize = 24;
/// Rows after which a long activation is applied to them.
const BLOCK: usize = 64;

/// Whether the product is one for [`Resident`]: rows must be more than what is read before.
#[inline(always)]
pub(super) fn is_resident<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let row = g.n.div_ceil(V::LANES);
    let fits = if const { many_registers::<V>() } {
        g.k <= 10 && row <= 4 && row * g.k <= REGISTERS
    } else {
        g.k <= 8 && row == 1
    };
    fits && g.k > 0 && g.m >= 8 && g.m >= 2 * g.k
}

impl<V: Vector> Kernel for Resident<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        // SAFETY: promised by the caller.
        unsafe {
            match g.n.div_ceil(V::LANES) {
                _ if const { !many_registers::<V>() } => of_depth::<V, 1>(g),
                1 => of_depth::<V, 1>(g),
                2 => of_depth::<V, 2>(g),
                3 => of_depth::<V, 3>(g),
                _ => of_depth::<V, 4>(g),
            }
        }
    }
}

/// # Safety
/// As [`Scalar::gemm`]; k is what [`is_resident`] allows, and rows of the result are contiguous and N vectors long, the last of which may be part of one.
#[inline(always)]
unsafe fn of_depth<V: Vector, const N: usize>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        match g.k {
            1 => pass::<V, 1, N>(g),
            2 => pass::<V, 2, N>(g),
            3 => pass::<V, 3, N>(g),
            4 => pass::<V, 4, N>(g),
            5 => pass::<V, 5, N>(g),
            // The last arms are those of the longest inner dimensions that fit.
            _ if const { 7 * N > REGISTERS } => pass::<V, 6, N>(g),
            6 => pass::<V, 6, N>(g),
            7 => pass::<V, 7, N>(g),
            _ if const { 9 * N > REGISTERS || !many_registers::<V>() } => pass::<V, 8, N>(g),
            8 => pass::<V, 8, N>(g),
            9 => pass::<V, 9, N>(g),
            _ => pass::<V, 10, N>(g),
        }
    }
}

/// # Safety
/// As [`of_depth`]; k = K.
#[inline(always)]
unsafe fn pass<V: Vector, const K: usize, const N: usize>(g: &Gemm<V::Elem>) {
    const { assert!(V::LANES <= MOST_LANES) };
    // SAFETY: rows, columns and p < K are within the sizes, so the caller promises that they are valid; a gathered row has room for a vector.
    unsafe {
        let (zero, plain) = (V::splat(V::Elem::ZERO), g.is_plain());
        let last = g.n - (N - 1) * V::LANES;
        let mut b = [[zero; N]; K];
        for p in 0..K {
            for v in 0..N {
                let from = g.b.wrapping_add(p * g.b_row + v * V::LANES * g.b_col);
                let len = if v < N - 1 { V::LANES } else { last };
                b[p][v] = if g.b_col == 1 {
                    first(from, len)
                } else {
                    let mut row = [V::Elem::ZERO; MOST_LANES];
                    for c in 0..len {
                        row[c] = *from.wrapping_add(c * g.b_col);
                    }
                    V::load(row.as_ptr())
                };
            }
        }
        let mut i = 0;
        while i < g.m {
            let rows = i..g.m.min(i + BLOCK);
            i = rows.end;
            let (first, count) = (rows.start, rows.len());
            // Apart, so that the usual loop has nothing to ask for each row; and the usual stride as a constant, which takes no register for each place.
            match (plain, g.a_col) {
                (true, 1) => rows_of(g, rows, &b, last, 1),
                (true, a_col) => rows_of(g, rows, &b, last, a_col),
                (false, _) => finished_rows(g, rows, &b),
            }
            g.activate(first, count, 0, g.n);
        }
    }
}

/// Rows of sums, the last of their vectors with `last` elements.
///
/// # Safety
/// As [`pass`]; columns of `a` are `a_col` apart, and nothing else is to be done to the sums.
#[inline(always)]
unsafe fn rows_of<V: Vector, const K: usize, const N: usize>(
    g: &Gemm<V::Elem>,
    rows: Range<usize>,
    b: &[[V; N]; K],
    last: usize,
    a_col: usize,
) {
    let (a_row, c_row) = (g.a_row, g.c_row);
    let mut a = g.a.wrapping_add(rows.start * a_row);
    let mut c = g.c.wrapping_add(rows.start * c_row);
    for _ in rows {
        // SAFETY: promised by the caller.
        unsafe {
            let y = sums(b, a, a_col);
            for v in 0..N {
                let c = c.wrapping_add(v * V::LANES);
                if v < N - 1 || last == V::LANES {
                    y[v].store(c);
                } else {
                    y[v].store_part(c, last);
                }
            }
        }
        a = a.wrapping_add(a_row);
        c = c.wrapping_add(c_row);
    }
}

/// Rows of the result with all that is done to the sums.
///
/// # Safety
/// As [`pass`].
#[inline(always)]
unsafe fn finished_rows<V: Vector, const K: usize, const N: usize>(
    g: &Gemm<V::Elem>,
    rows: Range<usize>,
    b: &[[V; N]; K],
) {
    for r in rows {
        // SAFETY: promised by the caller.
        unsafe {
            let y = sums(b, g.a.wrapping_add(r * g.a_row), g.a_col);
            for v in 0..N {
                store(g, r, v * V::LANES, y[v]);
            }
        }
    }
}

/// The sums of the row from `a` on.
///
/// # Safety
/// The elements are valid.
#[inline(always)]
unsafe fn sums<V: Vector, const K: usize, const N: usize>(
    b: &[[V; N]; K],
    a: *const V::Elem,
    a_col: usize,
) -> [V; N] {
    // SAFETY: promised by the caller.
    unsafe {
        let mut y = [V::splat(V::Elem::ZERO); N];
        for p in 0..K {
            let x = V::splat(*a.wrapping_add(p * a_col));
            for v in 0..N {
                y[v] = x.mul_add(b[p][v], y[v]);
            }
        }
        y
    }
}
