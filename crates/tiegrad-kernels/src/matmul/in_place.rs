//! Products whose right operand is read where it lies, by tiles four vectors wide.
//!
//! A tile of half as many rows and twice as many columns reads pieces of rows of `b` that are long enough for the memory, so that copying `b` first gains nothing
//! unless it is read many times from far away. It takes as many registers.

use super::Gemm;
use super::blocks::{A_BYTES, Pack, with_room};
use super::tile::{Strip, Strips, WIDE, heights, most_rows, wide_tiles};
use super::vector::{Kernel, Vector};

/// The product for k <= KC and contiguous rows of `c` and of `b`, by wide tiles, with blocks of rows of `a` that stay in the second-level cache.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set.
pub(super) unsafe fn in_place<V: Vector>(g: &Gemm<V::Elem>) {
    let height = most_rows::<V, WIDE>();
    let size = size_of::<V::Elem>();
    // A block is rounded up to whole tiles.
    const {
        assert!(BLOCK_OF_A + most_rows::<V, WIDE>() * V::KC * size_of::<V::Elem>() <= A_BYTES);
        assert!(48 * V::KC * size_of::<V::Elem>() <= BLOCK_OF_A);
    }
    if !wide_tiles::<V>(g) || g.m <= 4 * height || g.n < WIDE * V::LANES {
        // SAFETY: promised by the caller.
        return unsafe { V::call(Strips::<V>(g)) };
    }
    let rows =
        g.m.div_ceil(g.m.div_ceil(rows_of_block(g.k, size)))
            .next_multiple_of(height);
    // Columns of `a` that are whole pages apart fall on few sets of the cache. Its rows do no harm: a tile has few.
    let copy_a =
        g.a_col != 1 && (g.a_col * size).is_multiple_of(4096) && g.n >= 4 * WIDE * V::LANES;
    for i in (0..g.m).step_by(rows) {
        let part = g.part(i, rows.min(g.m - i), 0, g.n);
        with_room(|room| {
            let tiles = Tiles::<V> {
                g: &part,
                copy_a,
                room,
            };
            // SAFETY: promised by the caller.
            unsafe { V::call(tiles) };
        });
    }
}

/// Bytes of a block of rows of `a`.
const BLOCK_OF_A: usize = 384 << 10;
/// Bytes of a `b` of which no strip is copied.
const NEAR: usize = 128 << 10;

/// Rows of `a` of a block.
pub(super) fn rows_of_block(k: usize, size: usize) -> usize {
    (BLOCK_OF_A / (size * k.max(1))).max(48)
}

/// A block of rows by wide tiles.
struct Tiles<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    copy_a: bool,
    room: *mut V::Elem,
}

impl<V: Vector> Kernel for Tiles<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Tiles { g, copy_a, room } = self;
        let height = most_rows::<V, WIDE>();
        let size = size_of::<V::Elem>();
        let panel = room.wrapping_add(A_BYTES / size);
        let mut block = *g;
        let mut a_tile = 0;
        // SAFETY: the room holds the block of `a` and a strip of `b`; strips are within the columns; the rest is promised by the caller.
        unsafe {
            if copy_a {
                a_tile = g.k * height;
                let (mut rows, taller) = heights(g.m, height);
                let (mut first, mut t) = (0, 0);
                while first < g.m {
                    if t == taller {
                        rows -= 1;
                    }
                    Pack::<V> {
                        from: g.a.wrapping_add(first * g.a_row),
                        k: g.k,
                        row: g.a_col,
                        col: g.a_row,
                        cols: rows,
                        to: room.add(t * a_tile),
                        width: height,
                    }
                    .run();
                    first += rows;
                    t += 1;
                }
                (block.a, block.a_row, block.a_col) = (room, 1, height);
            }
            // A strip that is not in the cache already is read from its rows by the first tile alone.
            let copies = Strip::<V, WIDE, false>::copies(g.m) && g.k * g.n * size > NEAR;
            let to = if copies { panel } else { std::ptr::null_mut() };
            let width = WIDE * V::LANES;
            let mut j = 0;
            while g.n - j >= width {
                let strip = Strip::<V, WIDE, false>::new(&block, j, V::LANES, to);
                V::call(strip.with_tiles(a_tile));
                j += width;
            }
            if j < g.n {
                V::call(Strips::<V>(&g.part(0, g.m, j, g.n - j)));
            }
        }
    }
}
