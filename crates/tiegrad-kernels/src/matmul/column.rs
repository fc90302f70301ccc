//! Products of many short rows with an inner dimension so short that all of the right operand stays in registers.

use super::Gemm;
use super::gemm::{first, store};
use super::tile::many_registers;
use super::vector::{Kernel, Vector};
use crate::scalar::Arithmetic;

/// A product whose `b` is so small that all of it stays in registers while rows pass: at most [`REGISTERS`] vectors, where there are many registers, and else rows
/// of one.
pub(super) struct Column<'a, V: Vector>(pub(super) &'a Gemm<V::Elem>);

/// Most vectors of `b`.
const REGISTERS: usize = 24;
/// Lanes of the longest vector.
const LANES: usize = 16;
/// Rows after which a long activation is applied to them.
const BLOCK: usize = 64;

/// Whether the product is one for [`Column`]: rows must be more than what is read before.
#[inline(always)]
pub(super) fn is_column<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let row = g.n.div_ceil(V::LANES);
    let fits = if const { many_registers::<V>() } {
        g.k <= 10 && row <= 4 && row * g.k <= REGISTERS
    } else {
        g.k <= 8 && row == 1
    };
    fits && g.k > 0 && g.m >= 8 && g.m >= 2 * g.k
}

impl<V: Vector> Kernel for Column<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let g = self.0;
        // SAFETY: promised by the caller.
        unsafe {
            match g.n.div_ceil(V::LANES) {
                _ if const { !many_registers::<V>() } => columns::<V, 1>(g),
                1 => columns::<V, 1>(g),
                2 => columns::<V, 2>(g),
                3 => columns::<V, 3>(g),
                _ => columns::<V, 4>(g),
            }
        }
    }
}

/// # Safety
/// As [`Scalar::gemm`]; k is what [`is_column`] allows, and rows of the result are contiguous and N vectors long, the last of which may be part of one.
#[inline(always)]
unsafe fn columns<V: Vector, const N: usize>(g: &Gemm<V::Elem>) {
    // SAFETY: promised by the caller.
    unsafe {
        match g.k {
            1 => column::<V, 1, N>(g),
            2 => column::<V, 2, N>(g),
            3 => column::<V, 3, N>(g),
            4 => column::<V, 4, N>(g),
            5 => column::<V, 5, N>(g),
            // The last arms are those of the longest inner dimensions that fit.
            _ if const { 7 * N > REGISTERS } => column::<V, 6, N>(g),
            6 => column::<V, 6, N>(g),
            7 => column::<V, 7, N>(g),
            _ if const { 9 * N > REGISTERS || !many_registers::<V>() } => column::<V, 8, N>(g),
            8 => column::<V, 8, N>(g),
            9 => column::<V, 9, N>(g),
            _ => column::<V, 10, N>(g),
        }
    }
}

/// # Safety
/// As [`columns`]; k = K.
#[inline(always)]
unsafe fn column<V: Vector, const K: usize, const N: usize>(g: &Gemm<V::Elem>) {
    // SAFETY: rows, columns and p < K are within the sizes, so the caller promises that they are valid.
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
                    let mut row = [V::Elem::ZERO; LANES];
                    for c in 0..len {
                        row[c] = *from.wrapping_add(c * g.b_col);
                    }
                    V::load(row.as_ptr())
                };
            }
        }
        let mut i = 0;
        while i < g.m {
            let rows = BLOCK.min(g.m - i);
            let mut a = g.a.wrapping_add(i * g.a_row);
            let mut c = g.c.wrapping_add(i * g.c_row);
            for r in i..i + rows {
                let mut y = [zero; N];
                for p in 0..K {
                    let x = V::splat(*a.wrapping_add(p * g.a_col));
                    for v in 0..N {
                        y[v] = x.mul_add(b[p][v], y[v]);
                    }
                }
                for v in 0..N {
                    let c = c.wrapping_add(v * V::LANES);
                    if !plain {
                        store(g, r, v * V::LANES, y[v]);
                    } else if v < N - 1 || last == V::LANES {
                        y[v].store(c);
                    } else {
                        y[v].store_part(c, last);
                    }
                }
                a = a.wrapping_add(g.a_row);
                c = c.wrapping_add(g.c_row);
            }
            g.activate(i, rows, 0, g.n);
            i += rows;
        }
    }
}
