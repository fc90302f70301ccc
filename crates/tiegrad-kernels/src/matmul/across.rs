//! Products by wide tiles, one row of tiles after the other: a block of `b` stays in the second-level cache, and the rows of `a` of a row of tiles in the first.
//!
//! Where the second-level cache is large. The strips of [`wide`](super::wide) pass over blocks of rows instead, column by column of the result: they need less of that cache, and more
//! of what translates addresses, as each tile of a strip begins other pages of `a` and of the result.

use super::Gemm;
use super::blocks::{A_BYTES, B_BYTES, Pack, copy_tiles, tile_pitch, with_room};
use super::gemm::depth;
use super::tile::{Strip, Strips, WIDE, high_tiles, most_rows, some_tiles};
use super::vector::{Kernel, NV, Vector};
use super::wide::crowds;
use crate::cache::second_level;

/// Bytes of a second-level cache above which it holds a block of `b` beside what passes.
const LARGE: usize = 1 << 20;
/// Bytes of a `b` of which each strip stays in the first-level cache, for whatever passes.
const NEAR: usize = 64 << 10;
/// Bytes that columns of `a` may be spread over: as much as is translated without a search, about.
const FAR: usize = 512 << 10;

/// Tiles of `a` of a group, if they are not copied.
const TILES: usize = 16;

/// Whether the product is computed here, where there are registers for wide tiles: one of several rows of them, with a large second-level cache.
#[inline(always)]
pub(super) fn goes_across<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    g.k != 0
        && has_rows_of_tiles::<V>(g)
        && (g.n >= WIDE * V::LANES || !has_far_columns(g))
        && second_level() > LARGE
        && !high_tiles::<V>(g)
        && (g.k.saturating_mul(g.n) > NEAR / size_of::<V::Elem>() || writes_far(g))
}

/// Whether the result is better written row after row, though `b` is near: it does not stay in the second-level cache, and strip after strip each would fetch lines of the one before
/// again, which few steps of the inner dimension do not hide. Measured: f64 1.0 to 1.6 times as fast, with k of 64 0.8 to 1.0; f32 0.7 to 1.0, but 1.3 to 1.5 with rows of pages.
#[inline(always)]
fn writes_far<T>(g: &Gemm<T>) -> bool {
    let row = g.n.saturating_mul(size_of::<T>());
    let far = row.saturating_mul(g.m) > second_level() / 4 * 3;
    far && g.k <= 32 && (size_of::<T>() == 8 || row >= 4096)
}

/// Whether rows of the result are more than a narrow strip, and all wide tiles have as many rows as fit or one less.
#[inline(always)]
fn has_rows_of_tiles<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    g.m > 4 * most_rows::<V, WIDE>() && g.n > NV * V::LANES
}

/// The product in blocks of the inner dimension and of columns, for contiguous rows of `c`. Blocks of the inner dimension follow from its length alone.
///
/// # Safety
/// As [`Scalar::gemm`](crate::Scalar), and the processor has the vector's instruction set; the product [`has_rows_of_tiles`], and k is not 0.
#[inline(never)]
pub(super) unsafe fn across<V: Vector>(g: &Gemm<V::Elem>) {
    if reads_in_place::<V>(g) {
        // SAFETY: promised by the caller; k <= KC, and rows of `b` are contiguous.
        return unsafe { V::call(Strips::<V>(g)) };
    }
    let width = WIDE * V::LANES;
    let depth = depth::<V>(g.k);
    let copies_a = g.n >= width && has_far_columns(g);
    let strip = (depth | 1) * width * size_of::<V::Elem>();
    // How many strips of `b` stay in the cache, of which the rest is for what passes, and how many there are at a time: the more, the less often `a` is copied.
    let near = (second_level() / 4).div_ceil(strip);
    let most = if copies_a { usize::MAX } else { near }.min(B_BYTES / strip);
    let strips = g.n.div_ceil(width);
    let columns = strips.div_ceil(strips.div_ceil(most)) * width;
    for p in (0..g.k).step_by(depth) {
        let block = g.inner(p, depth.min(g.k - p));
        for j in (0..g.n).step_by(columns) {
            let part = block.part(0, g.m, j, columns.min(g.n - j));
            // SAFETY: promised by the caller; the room holds as many strips.
            with_room(|room| unsafe {
                V::call(RowsOfTiles::<V> {
                    g: &part,
                    copies_a,
                    near,
                    room,
                });
            });
        }
    }
}

/// Bytes of an `a` that passes once for each strip of `b`.
const PASSES: usize = 64 << 10;

/// Whether `b` is better read where it lies, strip after strip: so few rows of tiles pass that a copy of it does not pay. Not where it [`crowds`], nor where it
/// and the result do not stay in the second-level cache. (Measured with up to eight rows of tiles: 1.05 to 1.15 times as fast, or 0.95 to 1.0 while others use the same core; beyond that
/// cache 0.84 to 0.93 in f64.)
#[inline(always)]
fn reads_in_place<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    let size = size_of::<V::Elem>();
    g.m <= 8 * most_rows::<V, WIDE>()
        && g.k <= V::KC
        && g.b_col == 1
        && g.m * g.k * size <= PASSES
        && g.n.saturating_mul((g.m + g.k) * size) <= second_level()
        && !crowds(g)
        && !has_far_columns(g)
}

/// Whether columns of `a`, whose rows are not contiguous, lie on so many pages that a tile is better copied before it passes several strips, or on as many a multiple of
/// half pages apart, so that they fall on few sets of the cache.
#[inline(always)]
fn has_far_columns<T>(g: &Gemm<T>) -> bool {
    let apart = g.a_col.saturating_mul(size_of::<T>());
    g.a_col != 1
        && apart.saturating_mul(g.k) > FAR
        && (g.n * size_of::<T>() >= 1024 || apart.is_multiple_of(2048))
}

/// Copies `n` columns of `b` from `j` on, to rows of `width` elements.
///
/// # Safety
/// The columns are valid; `to` has room for k such rows.
#[inline(always)]
unsafe fn pack<V: Vector>(g: &Gemm<V::Elem>, j: usize, n: usize, to: *mut V::Elem, width: usize) {
    let columns = Pack::<V> {
        from: g.b.wrapping_add(j * g.b_col),
        k: g.k,
        row: g.b_row,
        col: g.b_col,
        cols: n,
        to,
        width,
    };
    // SAFETY: promised by the caller.
    unsafe { columns.run() };
}

/// A tile of the last columns, more than a narrow strip and at most a wide one: `rows` rows from `i` on, the `t`-th tile.
///
/// # Safety
/// As [`Strip::wide_tile`]; the columns are more than NV and at most WIDE vectors, and rows of `b` are contiguous.
#[inline(always)]
unsafe fn last_tile<V: Vector>(g: &Gemm<V::Elem>, a_tile: usize, rows: [usize; 2], t: usize) {
    const { assert!(NV == 2 && WIDE == 4) };
    debug_assert!((NV * V::LANES + 1..=WIDE * V::LANES).contains(&g.n) && g.b_col == 1);
    let last = g.n - (g.n - 1) / V::LANES * V::LANES;
    let none = std::ptr::null_mut();
    // SAFETY: promised by the caller; the strip has as many vectors as the columns, and of the last `last` elements.
    unsafe {
        if g.n <= 3 * V::LANES {
            let strip = Strip::<V, 3, true>::new(g, 0, last, none).with_next(0);
            strip.with_tiles(a_tile).wide_tile::<false>(rows, t);
        } else {
            let strip = Strip::<V, WIDE, true>::new(g, 0, last, none).with_next(0);
            strip.with_tiles(a_tile).wide_tile::<false>(rows, t);
        }
    }
}

/// A block: k <= KC, it [`has_rows_of_tiles`], and the room holds its strips.
struct RowsOfTiles<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    copies_a: bool,
    /// How many strips of `b` pass before the next row of tiles.
    near: usize,
    /// A_BYTES for `a`, then B_BYTES for `b`.
    room: *mut V::Elem,
}

impl<V: Vector> Kernel for RowsOfTiles<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let RowsOfTiles {
            g,
            copies_a,
            near,
            room,
        } = self;
        const {
            assert!((V::KC | 1) * WIDE * V::LANES * size_of::<V::Elem>() <= B_BYTES);
            assert!(tile_pitch::<V>(V::KC, V::MR / 2) * size_of::<V::Elem>() <= A_BYTES);
        }
        let width = WIDE * V::LANES;
        let height = most_rows::<V, WIDE>();
        let room_of_a = A_BYTES / size_of::<V::Elem>();
        let panels = room.wrapping_add(room_of_a);
        // An odd number of rows, so that strips fall on all sets of the cache.
        let panel = (g.k | 1) * width;
        let whole = g.n / width * width;
        // Several tiles pass before a narrow strip of last columns, so that `a` is still near. Where they are copied, what is read of a column is long.
        let count = g.m.div_ceil(height);
        let (a_tile, together) = if copies_a {
            let a_tile = tile_pitch::<V>(g.k, height);
            (a_tile, room_of_a / a_tile)
        } else {
            (0, TILES)
        };
        let together = count.div_ceil(count.div_ceil(together));
        // SAFETY: tiles cover the rows once, strips the columns. The room has A_BYTES for `together` tiles and then B_BYTES for all strips, the last of which may be
        // narrower, with rows of whole vectors.
        unsafe {
            let mut rest = g.part(0, g.m, whole, g.n - whole);
            if rest.n > 0 {
                let to = panels.add(whole / width * panel);
                let row = rest.n.next_multiple_of(NV * V::LANES);
                pack::<V>(g, whole, rest.n, to, row);
                (rest.b, rest.b_row, rest.b_col) = (to, row, 1);
            }
            // More than a narrow strip of them are a tile of the row; fewer pass with higher tiles.
            let in_row = rest.n > NV * V::LANES;
            let columns = if in_row { g.n } else { whole };
            for first in (0..count).step_by(together) {
                let some = some_tiles(g.m, height, first..count.min(first + together));
                let mut block = *g;
                if copies_a {
                    // By parts of vectors: most whole ones would lie across two lines.
                    copy_tiles::<V, true>(g, some.clone(), g.m, height, room);
                    (block.a, block.a_row, block.a_col) = (room, 1, height);
                }
                if rest.n > 0 && !in_row {
                    let [begin, end] = some
                        .clone()
                        .fold([g.m, 0], |[begin, _], [i, rows]| [begin.min(i), i + rows]);
                    V::call(Strips::<V>(&rest.part(begin, end - begin, 0, rest.n)));
                }
                for begin in (0..columns).step_by(near * width) {
                    let end = columns.min(begin + near * width);
                    for (t, [i, rows]) in some.clone().enumerate() {
                        let mut row = block;
                        for j in (begin..end.min(whole)).step_by(width) {
                            let to = panels.add(j / width * panel);
                            if i == 0 && g.b_col != 1 {
                                pack::<V>(g, j, width, to, width);
                            }
                            let copies_b = i == 0 && g.b_col == 1;
                            if !copies_b {
                                (row.b, row.b_row) = (to.wrapping_sub(j), width);
                            }
                            let strip = Strip::<V, WIDE, false>::new(&row, j, V::LANES, to)
                                .with_next(0)
                                .with_tiles(a_tile);
                            if copies_b {
                                strip.wide_tile::<true>([i, rows], t);
                            } else {
                                strip.wide_tile::<false>([i, rows], t);
                            }
                        }
                        if end > whole {
                            let mut last = rest;
                            (last.a, last.a_row, last.a_col) = (block.a, block.a_row, block.a_col);
                            last_tile::<V>(&last, a_tile, [i, rows], t);
                        }
                    }
                }
            }
        }
    }
}
