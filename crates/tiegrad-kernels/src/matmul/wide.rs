//! Products by tiles four vectors wide, where there are registers for them: with the right operand where it lies, or copied strip by strip.
//!
//! A tile of half as many rows and twice as many columns reads pieces of rows of `b` that are long enough for the memory, so that copying `b` first gains nothing
//! unless it is read many times from far away. It takes as many registers.

use super::Gemm;
use super::blocks::{A_BYTES, Pack, TOGETHER, copy_strips, copy_tiles, tile_pitch, with_room};
use super::tile::{Strip, Strips, WIDE, high_tiles, many_registers, most_rows, tiles};
use super::vector::{Kernel, NV, Vector};
use crate::cache::LINE;

/// The product for k <= KC and contiguous rows of `c` and of `b`, by wide tiles, with blocks of rows of `a` that stay in the second-level cache.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set.
pub(super) unsafe fn in_place<V: Vector>(g: &Gemm<V::Elem>) {
    let height = most_rows::<V, WIDE>();
    let size = size_of::<V::Elem>();
    if const { !many_registers::<V>() }
        || g.m <= 4 * height
        || g.n < WIDE * V::LANES
        || high_tiles::<V>(g)
    {
        // SAFETY: promised by the caller.
        return unsafe { V::call(Strips::<V>(g)) };
    }
    let rows =
        g.m.div_ceil(g.m.div_ceil(rows_of_block(g.k, size)))
            .next_multiple_of(height);
    for i in (0..g.m).step_by(rows) {
        let part = g.part(i, rows.min(g.m - i), 0, g.n);
        with_room(|room| {
            let tiles = InPlace::<V> { g: &part, room };
            // SAFETY: promised by the caller.
            unsafe { V::call(tiles) };
        });
    }
}

/// Bytes of a block of rows of `a`.
const BLOCK_OF_A: usize = 384 << 10;
/// Bytes of a `b` of which no strip is copied, unless it falls on few sets of the first-level cache.
const NEAR: usize = 128 << 10;
/// Bytes from row to row, or a multiple of them, with which it does wherever it begins: on an eighth of the sets or less, which rows of the result share, often as far apart. (Measured on Zen 5, whose cache
/// has the sets of Emerald Rapids': (512,16,512) 1.1 and, with rows of f64 whole pages apart, 1.4 times as fast, (200,64,512) 1.01.)
const CROWDED: usize = 2048;

/// Rows of `a` of a block.
pub(super) fn rows_of_block(k: usize, size: usize) -> usize {
    (BLOCK_OF_A / (size * k.max(1))).max(48)
}

/// Whether rows of `b` fall on a quarter of the first-level cache's sets or less, and begin within lines, of which they take one more then.
#[inline(always)]
pub(super) fn crowds<T>(g: &Gemm<T>) -> bool {
    (g.b_row * size_of::<T>()).is_multiple_of(1024) && !(g.b as usize).is_multiple_of(LINE)
}

/// One block of rows, with `b` where it lies.
struct InPlace<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    /// A_BYTES for `a`, then room for a strip of `b`.
    room: *mut V::Elem,
}

impl<V: Vector> Kernel for InPlace<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let InPlace { g, room } = self;
        let size = size_of::<V::Elem>();
        // A strip that is not in the cache already, or does not stay there, is read from its rows by the first tile alone.
        let stays = !crowds(g) && !(g.b_row * size).is_multiple_of(CROWDED);
        let copies = Strip::<V, WIDE, false>::copies(g.m) && (!stays || g.k * g.n * size > NEAR);
        let to = if copies {
            room.wrapping_add(A_BYTES / size)
        } else {
            std::ptr::null_mut()
        };
        // SAFETY: the room holds the block of `a` and a strip of `b`; strips are within the columns; the rest is promised by the caller.
        unsafe {
            let (block, a_tile) = rows_of_a::<V>(g, room);
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

/// All blocks of rows, with strips of `b` copied.
pub(super) struct CopiedStrips<'a, V: Vector> {
    pub(super) g: &'a Gemm<V::Elem>,
    /// Whether rows of `b` are contiguous and several strips are copied at a time; then the room holds all strips.
    pub(super) afar: bool,
    /// A_BYTES for `a`, then B_BYTES for `b`.
    pub(super) room: *mut V::Elem,
}

impl<V: Vector> Kernel for CopiedStrips<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let CopiedStrips { g, afar, room } = self;
        let width = WIDE * V::LANES;
        let panels = room.wrapping_add(A_BYTES / size_of::<V::Elem>());
        let blocks = g.m.div_ceil(V::MC);
        let rows = g.m.div_ceil(blocks);
        // An odd number of rows, so that strips fall on all sets of the cache.
        let pad = g.k | 1;
        for i in (0..g.m).step_by(rows) {
            let rows = g.part(i, rows.min(g.m - i), 0, g.n);
            // SAFETY: the room begins with A_BYTES for `a`; the panels behind them hold all strips, or there is one block of rows and they hold one strip; the last one, if it is
            // not whole, has rows of whole vectors.
            unsafe {
                let (block, a_tile) = rows_of_a::<V>(&rows, room);
                for j in (0..g.n).step_by(width) {
                    let n = width.min(g.n - j);
                    let row = n.next_multiple_of(NV * V::LANES);
                    let panel = if blocks == 1 && !afar {
                        panels
                    } else {
                        panels.add(j * pad)
                    };
                    if i == 0 && afar && n == width {
                        let together = TOGETHER * NV / WIDE;
                        if (j / width).is_multiple_of(together) {
                            let strips = together.min((g.n - j) / width);
                            copy_strips::<V, WIDE>(&g.part(0, 0, j, n), strips, panel, pad);
                        }
                    } else if i == 0 {
                        Pack::<V> {
                            from: g.b.wrapping_add(j * g.b_col),
                            k: g.k,
                            row: g.b_row,
                            col: g.b_col,
                            cols: n,
                            to: panel,
                            width: row,
                        }
                        .run();
                    }
                    let whole = n == width;
                    let mut part = if whole { &block } else { &rows }.part(0, rows.m, j, n);
                    (part.b, part.b_row, part.b_col) = (panel, row, 1);
                    if whole {
                        let none = std::ptr::null_mut();
                        let strip = Strip::<V, WIDE, false>::new(&part, 0, V::LANES, none);
                        V::call(strip.with_tiles(a_tile).with_next(pad * width));
                    } else {
                        V::call(Strips::<V>(&part));
                    }
                }
            }
        }
    }
}

/// Vectors of a row of the result from which it pays to copy an `a` whose columns are whole pages apart.
const COPIED: usize = 4 * WIDE;

/// Whether a product whose `b` is copied goes by wide tiles: one of narrow rows copies its `a` for higher ones if it has to.
pub(super) fn takes_wide_tiles<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let least = if columns_apart(g) { COPIED } else { WIDE };
    g.n >= least * V::LANES
}

/// Whether columns of `a` are whole pages apart, so that they fall on few sets of the cache.
fn columns_apart<T>(g: &Gemm<T>) -> bool {
    g.a_col != 1 && (g.a_col * size_of::<T>()).is_multiple_of(4096)
}

/// The product with its `a` as wide tiles read it, and how far apart its tiles are: where it lies, with 0; but columns that are whole pages apart
/// are copied to the room if rows of the result are long enough. Rows do no harm: a tile has few.
///
/// # Safety
/// The rows are valid, and A_BYTES of the room are, which nobody else uses.
#[inline(always)]
unsafe fn rows_of_a<V: Vector>(g: &Gemm<V::Elem>, room: *mut V::Elem) -> (Gemm<V::Elem>, usize) {
    if !columns_apart(g) || g.n < COPIED * V::LANES {
        return (*g, 0);
    }
    let height = most_rows::<V, WIDE>();
    let room_for = A_BYTES / size_of::<V::Elem>();
    if g.m.div_ceil(height) * tile_pitch::<V>(g.k, height) > room_for {
        // Only short columns may not fit, with what lies between tiles; they do little harm.
        return (*g, 0);
    }
    // SAFETY: promised by the caller; the room holds so many tiles.
    let a_tile = unsafe { copy_tiles::<V, false>(g, tiles(g.m, height), g.m, height, room) };
    let mut copied = *g;
    (copied.a, copied.a_row, copied.a_col) = (room, 1, height);
    (copied, a_tile)
}

#[cfg(test)]
mod tests {
    use super::super::portable::Portable;
    use super::*;

    /// Columns that are whole pages apart: some that are copied, and so many rows of short ones that their tiles would not fit.
    #[test]
    fn a_copied_left_operand_stays_in_its_room() {
        let room = A_BYTES / size_of::<f32>();
        for (m, k, copied) in [(1024, 40, true), (8192, 12, false)] {
            let a = vec![1.0_f32; m * k];
            let mut g = Gemm::new(m, 256, k);
            (g.a, g.a_row, g.a_col) = (a.as_ptr(), 1, m);
            let mut to = vec![0.0_f32; 2 * room];
            // SAFETY: the operand has these sizes and strides, and there is twice the room.
            let (_, tile) = unsafe { rows_of_a::<Portable<f32, 4>>(&g, to.as_mut_ptr()) };
            assert_eq!(tile != 0, copied, "{m} {k}");
            assert_eq!(to.contains(&1.0), copied, "{m} {k}");
            assert!(!to[room..].contains(&1.0), "{m} {k}");
        }
    }
}
