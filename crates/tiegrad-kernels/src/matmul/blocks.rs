//! Products whose operands are copied first: when that pays, where the copies lie, and in which order parts of the operands pass.

use super::Gemm;
use super::tile::{Strip, Strips, many_registers, tiles, wide_tiles};
use super::vector::{Kernel, NV, Vector};
use super::wide::{CopiedStrips, rows_of_block, takes_wide_tiles};
use crate::buffer::AlignedBuf;
use crate::cache::LINE;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Bytes of a copied block of `b`, which streams past the tiles of a block of `a` from the second- or third-level cache.
pub(super) const B_BYTES: usize = 2 << 20;
/// Bytes of a copied block of `a`, which should stay in the second-level cache: MC rows of KC elements in tiles, [`tile_pitch`]
/// apart.
pub(super) const A_BYTES: usize = 488 << 10;

/// Elements of a copied block of `a`: its tiles, each with room for the highest.
const fn a_elements<V: Vector>() -> usize {
    V::MC.div_ceil(V::MR) * tile_pitch::<V>(V::KC, V::MR)
}

thread_local! {
    /// Where a thread copies operands to; allocated at the first use.
    static ROOM: RefCell<AlignedBuf<f64>> = const { RefCell::new(AlignedBuf::new()) };
}

/// Makes this thread's room, so that no later product allocates.
pub(crate) fn prepare_thread() {
    // A thread that is going away makes its own room then.
    let _ = ROOM.try_with(|room| room.borrow_mut().resize_zeroed((A_BYTES + B_BYTES) / 8));
}

/// Strips of `b` with `depth` rows for which there is room.
pub(super) fn strips<V: Vector>(depth: usize) -> usize {
    B_BYTES / ((depth | 1) * NV * V::LANES * size_of::<V::Elem>())
}

/// Whether it pays to copy `b` strip by strip.
#[inline(always)]
pub(super) fn worth_packing<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    if wide_tiles::<V>(g) {
        // Each block of rows of `a` reads `b` again.
        let size = size_of::<V::Elem>();
        let k = g.k.min(V::KC);
        let block = k.saturating_mul(g.n).saturating_mul(size);
        // A division, which the many small ones need not wait for.
        let rows = || rows_of_block(k, size);
        g.b_col != 1
            || block >= FAR && g.m > rows()
            || block >= APART && g.b_row * size >= 4096 && g.m > 2 * rows()
    } else {
        g.b_col != 1 || g.m >= 48 && g.k * g.n > 8192 || g.m >= 4 && from_afar::<V>(g)
    }
}

/// Bytes of a block of `b` that is better copied once than read anew from its rows for each block of `a`; and for three blocks or more, if its rows
/// are pages apart.
const FAR: usize = 3 << 19;
const APART: usize = 512 << 10;

/// Whether `b`, with contiguous rows, is so large that it is read in the order of memory, a few strips at a time: one
/// strip takes two lines of a row, and rows that lie pages apart are not read ahead.
#[inline(always)]
pub(super) fn from_afar<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    g.b_col == 1 && g.k.saturating_mul(g.n) > (1 << 20) / size_of::<V::Elem>()
}

/// The product for `k <= KC` and contiguous rows of `c`, with strips of `b`, and `a` where it is scattered, copied.
///
/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set; the strips fit into the room, or the
/// rows are one block.
pub(super) unsafe fn packed<V: Vector>(g: &Gemm<V::Elem>, wide: bool) {
    // SAFETY: promised by the caller.
    unsafe {
        if const { many_registers::<V>() } && takes_wide_tiles::<V>(g) {
            with_room(|room| {
                V::call(CopiedStrips::<V> {
                    g,
                    afar: wide,
                    room,
                })
            });
        } else {
            in_room::<V>(g, wide, std::ptr::null());
        }
    }
}

/// As [`packed`], with a `b` that was copied before: to strips one after the other, each of k rows of whole vectors.
///
/// # Safety
/// As [`packed`]; the copy holds all columns and is not written.
pub(super) unsafe fn prepacked<V: Vector>(g: &Gemm<V::Elem>, copy: *const V::Elem) {
    // SAFETY: promised by the caller.
    unsafe { in_room::<V>(g, false, copy) };
}

/// Runs [`Blocks`] in this thread's room.
///
/// # Safety
/// As [`packed`], or [`prepacked`] if the copy is not null.
unsafe fn in_room<V: Vector>(g: &Gemm<V::Elem>, wide: bool, copy: *const V::Elem) {
    // SAFETY: promised by the caller.
    with_room(|room| unsafe {
        V::call(Blocks::<V> {
            g,
            wide,
            room,
            copy,
        })
    });
}

/// Calls `f` with this thread's room, of A_BYTES + B_BYTES.
pub(super) fn with_room<T>(f: impl Fn(*mut T)) {
    let run = |room: &mut AlignedBuf<f64>| {
        room.resize_zeroed((A_BYTES + B_BYTES) / 8);
        f(room.as_mut_ptr().cast());
    };
    // A thread that is going away has no room any more, and no need to be fast.
    if ROOM.try_with(|room| run(&mut room.borrow_mut())).is_err() {
        run(&mut AlignedBuf::new());
    }
}

/// The product for k <= 16 and contiguous rows of `c`: strips of `b` are copied to the stack.
///
/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set.
pub(super) unsafe fn small<V: Vector>(g: &Gemm<V::Elem>) {
    #[repr(align(64))]
    struct Panel<T>([MaybeUninit<T>; 16 * 32]);
    let mut panel = Panel::<V::Elem>([MaybeUninit::uninit(); 16 * 32]);
    let panel: *mut V::Elem = panel.0.as_mut_ptr().cast();
    let width = NV * V::LANES;
    for j in (0..g.n).step_by(width) {
        let mut part = g.part(0, g.m, j, width.min(g.n - j));
        // SAFETY: the panel holds 16 rows of at most 32 elements, and k <= 16.
        unsafe {
            V::call(Pack::<V> {
                from: part.b,
                k: g.k,
                row: g.b_row,
                col: g.b_col,
                cols: part.n,
                to: panel,
                width,
            });
            (part.b, part.b_row, part.b_col) = (panel, width, 1);
            if part.n <= V::LANES {
                let none = std::ptr::null_mut();
                V::call(Strip::<V, 1, true>::new(&part, 0, part.n, none));
            } else {
                V::call(Strips::<V>(&part));
            }
        }
    }
}

struct Blocks<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    /// Whether `b` is copied several strips at a time; then the room holds all its strips.
    wide: bool,
    /// A_BYTES for `a`, then B_BYTES for `b`.
    room: *mut V::Elem,
    /// All of `b`, copied before; null: it is copied here.
    copy: *const V::Elem,
}

impl<V: Vector> Kernel for Blocks<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Blocks {
            g,
            wide,
            room,
            copy,
        } = self;
        const { assert!(a_elements::<V>() * size_of::<V::Elem>() <= A_BYTES) };
        let size = size_of::<V::Elem>();
        let panels = room.wrapping_add(A_BYTES / size);
        let blocks = g.m.div_ceil(V::MC);
        let rows = g.m.div_ceil(blocks);
        // Rows that are pages apart fall on one set of the cache, rows far from here are better read once, and columns
        // touch a line per element.
        let far = if g.a_col == 1 {
            let row = g.a_row * size;
            g.n >= 256 && (row.is_multiple_of(2048) || g.m * g.k * size > 512 << 10)
                || g.n >= 128 && row.is_multiple_of(4096)
        } else {
            true
        };
        // An odd number of rows, so that strips fall on all sets of the cache.
        let pad = g.k | 1;
        let width = NV * V::LANES;
        let copy_a = far && g.m >= V::MR && g.n > width;
        for i in (0..g.m).step_by(rows) {
            let mut block = g.part(i, rows.min(g.m - i), 0, g.n);
            // SAFETY: the room begins with as much as the tiles of MC rows of KC elements take; the panels behind that hold all strips,
            // or there is one block of rows and they hold one strip.
            unsafe {
                let mut a_tile = 0;
                if copy_a {
                    a_tile =
                        copy_tiles::<V, false>(&block, tiles(block.m, V::MR), g.m - i, V::MR, room);
                    (block.a, block.a_row, block.a_col) = (room, 1, V::MR);
                }
                for j in (0..g.n).step_by(width) {
                    let n = width.min(g.n - j);
                    let panel = if !copy.is_null() {
                        copy.cast_mut().wrapping_add(j * g.k)
                    } else if blocks == 1 && !wide {
                        panels
                    } else {
                        panels.add(j * pad)
                    };
                    let mut part = block.part(0, block.m, j, n);
                    let mut to = std::ptr::null_mut();
                    if wide && i == 0 && (j / width).is_multiple_of(TOGETHER) {
                        copy_strips::<V, NV>(&part, TOGETHER.min((g.n - j) / width), panel, pad);
                    }
                    if wide && n == width {
                        (part.b, part.b_row, part.b_col) = (panel, width, 1);
                    } else if i == 0
                        && copy.is_null()
                        && g.b_col == 1
                        && n == width
                        && Strip::<V, NV, false>::copies(block.m)
                    {
                        to = panel;
                    } else {
                        if i == 0 && copy.is_null() {
                            Pack::<V> {
                                from: part.b,
                                k: g.k,
                                row: g.b_row,
                                col: g.b_col,
                                cols: n,
                                to: panel,
                                width,
                            }
                            .run();
                        }
                        (part.b, part.b_row, part.b_col) = (panel, width, 1);
                    }
                    let g = &part;
                    if n == width {
                        let next = if !copy.is_null() {
                            g.k * width
                        } else if to.is_null() {
                            pad * width
                        } else {
                            width
                        };
                        V::call(
                            Strip::<V, NV, false>::new(g, 0, V::LANES, to)
                                .with_tiles(a_tile)
                                .with_next(next),
                        );
                    } else if n > V::LANES {
                        V::call(
                            Strip::<V, NV, true>::new(g, 0, n - V::LANES, to).with_tiles(a_tile),
                        );
                    } else {
                        V::call(Strip::<V, 1, true>::new(g, 0, n, to).with_tiles(a_tile));
                    }
                }
            }
        }
    }
}

/// Strips of `b`, [`NV`] vectors wide, that are copied together.
pub(super) const TOGETHER: usize = 8;

/// Copies whole strips of `b`, N vectors wide, whose rows are contiguous, row by row across all of them; in the copy strips are `pad` rows
/// apart.
///
/// # Safety
/// From `g.b` on, the strips are valid; `to` has room for them.
#[inline(always)]
pub(super) unsafe fn copy_strips<V: Vector, const N: usize>(
    g: &Gemm<V::Elem>,
    strips: usize,
    to: *mut V::Elem,
    pad: usize,
) {
    let width = N * V::LANES;
    for p in 0..g.k {
        let from = g.b.wrapping_add(p * g.b_row);
        let ahead = from.wrapping_add(4 * g.b_row);
        for s in 0..strips {
            // SAFETY: p < k; the rest is promised by the caller.
            unsafe {
                let to = to.add((s * pad + p) * width);
                for v in 0..N {
                    let at = s * width + v * V::LANES;
                    V::prefetch(ahead.wrapping_add(at));
                    V::load(from.add(at)).store(to.add(v * V::LANES));
                }
            }
        }
    }
}

/// From one tile of a copied `a` of `k` columns to the next: room for a vector written beyond its end, and an odd number of lines, so that tiles fall on all
/// sets of the cache.
pub(super) const fn tile_pitch<V: Vector>(k: usize, height: usize) -> usize {
    let line = LINE / size_of::<V::Elem>();
    ((k * height + V::LANES).div_ceil(line) | 1) * line
}

/// Elements of the inner dimension that are copied at a time where columns of `a` are contiguous: their lines may all fall on one set of the cache.
const COLUMNS: usize = 4;

/// Copies `a` for tiles, each its first row and at most `height` rows: tile by tile, a row of `height` for each element of the inner dimension. Returns how far apart
/// tiles are. From `g.a` on, `readable` rows are valid. With `EXACT`, rows shorter than a vector are
/// copied by parts of one where columns of `a` are contiguous; else whole vectors write beyond them, to what is written after.
///
/// # Safety
/// The rows of the tiles are valid; `to` has room for the tiles.
#[inline(always)]
pub(super) unsafe fn copy_tiles<V: Vector, const EXACT: bool>(
    g: &Gemm<V::Elem>,
    tiles: impl Iterator<Item = [usize; 2]> + Clone,
    readable: usize,
    height: usize,
    to: *mut V::Elem,
) -> usize {
    let pitch = tile_pitch::<V>(g.k, height);
    // SAFETY: promised by the caller.
    unsafe {
        if g.a_row != 1 {
            for (t, [first, rows]) in tiles.enumerate() {
                copy_tile::<V>(g, [first, rows], readable, to.add(t * pitch), height);
            }
            return pitch;
        }
        for p in (0..g.k).step_by(COLUMNS) {
            let columns = COLUMNS.min(g.k - p);
            // The same columns of the next round.
            let ahead = if p + 2 * COLUMNS <= g.k {
                COLUMNS * g.a_col
            } else {
                0
            };
            for (t, [first, rows]) in tiles.clone().enumerate() {
                let mut from = g.a.wrapping_add(p * g.a_col + first);
                let mut to = to.add(t * pitch + p * height);
                for _ in 0..columns {
                    V::prefetch(from.wrapping_add(ahead));
                    if EXACT && rows < V::LANES {
                        V::load_part(from, rows).store_part(to, rows);
                    } else {
                        copy_row::<V>(from, rows, readable - first, to);
                    }
                    from = from.wrapping_add(g.a_col);
                    to = to.add(height);
                }
            }
        }
    }
    pitch
}

/// Copies the first `len` of `readable` contiguous elements. Up to a vector is written beyond them.
///
/// # Safety
/// The elements are readable, and the vectors writable.
#[inline(always)]
unsafe fn copy_row<V: Vector>(from: *const V::Elem, len: usize, readable: usize, to: *mut V::Elem) {
    let mut at = 0;
    // SAFETY: promised by the caller.
    unsafe {
        while at < len && readable - at >= V::LANES {
            V::load(from.add(at)).store(to.add(at));
            at += V::LANES;
        }
        if at < len {
            V::load_part(from.add(at), len - at).store_part(to.add(at), len - at);
        }
    }
}

/// Copies `rows` rows of `a` from `first` on to a row of `pitch` elements for each element of the inner dimension. From `g.a` on,
/// `readable` rows are valid.
///
/// # Safety
/// The rows are valid; `to` has room for k rows of `pitch` elements and a vector.
#[inline(always)]
unsafe fn copy_tile<V: Vector>(
    g: &Gemm<V::Elem>,
    [first, rows]: [usize; 2],
    readable: usize,
    to: *mut V::Elem,
    pitch: usize,
) {
    let from = g.a.wrapping_add(first * g.a_row);
    let vectors = rows.div_ceil(V::LANES);
    // SAFETY: the rows, and those that whole vectors read beyond them, are readable; p < k. What a vector writes beyond a
    // row of the copy is the begin of the next row, which is written after it.
    unsafe {
        let mut p = 0;
        if g.a_col == 1 && first + vectors * V::LANES <= readable {
            while g.k - p >= V::HALF {
                if p.is_multiple_of(LINE / size_of::<V::Elem>()) {
                    // The same lines of the next tile, whose rows are too short to be read ahead.
                    for r in rows..2 * rows {
                        V::prefetch(from.wrapping_add(r * g.a_row + p));
                    }
                }
                for v in (0..vectors).rev() {
                    let from = from.add(v * V::LANES * g.a_row + p);
                    V::transpose(
                        |l| from.add(l * g.a_row),
                        to.add(p * pitch + v * V::LANES),
                        pitch,
                    );
                }
                p += V::HALF;
            }
        }
        Pack::<V> {
            from: from.wrapping_add(p * g.a_col),
            k: g.k - p,
            row: g.a_col,
            col: g.a_row,
            cols: rows,
            to: to.add(p * pitch),
            width: pitch,
        }
        .run();
    }
}

/// Copies LANES columns of `k` contiguous elements, HALF or more, of which `column` says the first, to rows of a vector.
///
/// # Safety
/// The columns are valid, and the rows, `width` apart.
#[inline(always)]
unsafe fn transpose_all<V: Vector>(
    column: impl Fn(usize) -> *const V::Elem,
    k: usize,
    to: *mut V::Elem,
    width: usize,
) {
    // SAFETY: at + HALF <= k, or at + LONG <= k; the rest is promised by the caller.
    unsafe {
        // The last ones with some that have been copied before.
        if const { V::LONG == V::HALF } || k < V::LONG {
            for p in (0..k).step_by(V::HALF) {
                let at = p.min(k - V::HALF);
                V::transpose(|l| column(l).add(at), to.add(at * width), width);
            }
        } else {
            for p in (0..k).step_by(V::LONG) {
                let at = p.min(k - V::LONG);
                V::transpose_long(|l| column(l).add(at), to.add(at * width), width);
            }
        }
    }
}

/// Copies a matrix of `k` rows and `cols` columns to contiguous rows, `width` apart. Where columns are contiguous, up to a vector is written beyond the
/// last one, as far as the row has room.
///
/// # Safety
/// To run it: the matrix is valid for reads, `to` for writes of `k` rows of `width`, and the processor has the vector's instruction set.
pub(super) struct Pack<V: Vector> {
    pub(super) from: *const V::Elem,
    pub(super) k: usize,
    pub(super) row: usize,
    pub(super) col: usize,
    pub(super) cols: usize,
    pub(super) to: *mut V::Elem,
    pub(super) width: usize,
}

impl<V: Vector> Kernel for Pack<V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Pack {
            from,
            k,
            row,
            col,
            cols,
            to,
            width,
        } = self;
        // SAFETY: p < k, and what is read has c < cols; what is written is within rows of `width`. The caller promises that such elements are valid.
        unsafe {
            if col == 1 {
                // Row by row, as memory is read ahead.
                for p in 0..k {
                    let (from, to) = (from.wrapping_add(p * row), to.wrapping_add(p * width));
                    let mut c = 0;
                    while cols - c >= V::LANES {
                        V::load(from.add(c)).store(to.add(c));
                        c += V::LANES;
                    }
                    if c < cols {
                        V::load_part(from.add(c), cols - c).store_part(to.add(c), cols - c);
                    }
                }
                return;
            }
            let mut c = 0;
            if row == 1 && k >= V::HALF {
                while cols - c >= V::LANES {
                    let from = from.add(c * col);
                    transpose_all::<V>(|l| from.add(l * col), k, to.add(c), width);
                    c += V::LANES;
                }
                // More than a few with the last one again in place of those that there are not, if there is room.
                if cols - c > 2 && c + V::LANES <= width {
                    let (from, last) = (from.add(c * col), cols - c - 1);
                    transpose_all::<V>(|l| from.add(l.min(last) * col), k, to.add(c), width);
                    return;
                }
            }
            for p in 0..k {
                for c in c..cols {
                    *to.add(p * width + c) = *from.add(p * row + c * col);
                }
            }
        }
    }
}
