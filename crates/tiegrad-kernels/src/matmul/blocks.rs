//! Products whose operands are copied first: where the copies lie, and in which order parts of the operands pass.

use super::Gemm;
use super::tile::{Strip, Strips, heights};
use super::vector::{Kernel, NV, Vector};
use crate::buffer::AlignedBuf;
use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Bytes of a copied block of `b`, which should stay in the second-level cache together with rows of `a`.
const B_BYTES: usize = 512 << 10;
/// From one row to the next of a tile of `a` that is copied element of the inner dimension by element; at least MR.
const fn pitch<V: Vector>() -> usize {
    V::MR.next_multiple_of(8)
}
/// Bytes of a copied block of `a`: MC rows of KC doubles with a line more, or the tiles of MC rows, of which there is one
/// more than MC / MR at most.
const A_BYTES: usize = 480 << 10;

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
    B_BYTES / (depth.max(1) * NV * V::LANES * size_of::<V::Elem>())
}

/// Whether it pays to copy `b` strip by strip.
#[inline(always)]
pub(super) fn worth_packing<V: Vector>(g: &Gemm<V::Elem>) -> bool {
    g.b_col != 1 || g.m >= 48 && g.k * g.n > 8192
}

/// The product for `k <= KC` and contiguous rows of `c`, with strips of `b`, and `a` where it is scattered, copied.
///
/// # Safety
/// As [`Scalar::gemm`], and the processor has the vector's instruction set; the strips fit into the room, or the
/// rows are one block.
pub(super) unsafe fn packed<V: Vector>(g: &Gemm<V::Elem>) {
    if g.k <= 16 && g.m <= V::MC {
        // One small strip at a time, which needs no more than a little of the stack.
        // SAFETY: promised by the caller.
        return unsafe { small::<V>(g) };
    }
    // SAFETY: promised by the caller.
    unsafe { in_room::<V>(g, std::ptr::null()) };
}

/// As [`packed`], with a `b` that was copied before: to strips one after the other, each of k rows of whole vectors.
///
/// # Safety
/// As [`packed`]; the copy holds all columns and is not written.
pub(super) unsafe fn prepacked<V: Vector>(g: &Gemm<V::Elem>, copy: *const V::Elem) {
    // SAFETY: promised by the caller.
    unsafe { in_room::<V>(g, copy) };
}

/// Runs [`Blocks`] in this thread's room.
///
/// # Safety
/// As [`packed`], or [`prepacked`] if the copy is not null.
unsafe fn in_room<V: Vector>(g: &Gemm<V::Elem>, copy: *const V::Elem) {
    let run = |room: &mut AlignedBuf<f64>| {
        room.resize_zeroed((A_BYTES + B_BYTES) / 8);
        let room: *mut V::Elem = room.as_mut_ptr().cast();
        // SAFETY: promised by the caller.
        unsafe { V::call(Blocks::<V> { g, room, copy }) };
    };
    // A thread that is going away has no room any more, and no need to be fast.
    if ROOM.try_with(|room| run(&mut room.borrow_mut())).is_err() {
        run(&mut AlignedBuf::new());
    }
}

/// As [`packed`], with k <= 16: strips of `b` are copied to the stack.
///
/// # Safety
/// As [`packed`].
unsafe fn small<V: Vector>(g: &Gemm<V::Elem>) {
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
            V::call(Strips::<V>(&part));
        }
    }
}

struct Blocks<'a, V: Vector> {
    g: &'a Gemm<V::Elem>,
    /// A_BYTES for `a`, then B_BYTES for `b`.
    room: *mut V::Elem,
    /// All of `b`, copied before; null: it is copied here.
    copy: *const V::Elem,
}

impl<V: Vector> Kernel for Blocks<'_, V> {
    #[inline(always)]
    unsafe fn run(self) {
        let Blocks { g, room, copy } = self;
        let width = NV * V::LANES;
        let size = size_of::<V::Elem>();
        let panels = room.wrapping_add(A_BYTES / size);
        let blocks = g.m.div_ceil(V::MC);
        let rows = g.m.div_ceil(blocks);
        // Rows that are pages apart fall on one set of the cache, rows far from here are better read in one go, and
        // columns touch a line per element.
        let far = if g.a_col == 1 {
            g.n >= 256 && ((g.a_row * size).is_multiple_of(2048) || g.m * g.k * size > 512 << 10)
        } else {
            true
        };
        let copy_a = far && g.m >= V::MR && g.n > width;
        for i in (0..g.m).step_by(rows) {
            let mut block = g.part(i, rows.min(g.m - i), 0, g.n);
            // SAFETY: the room holds MC rows of KC elements and some, or the other way round. The panels hold all strips,
            // or there is one block of rows and they hold one strip.
            unsafe {
                let mut a_tile = 0;
                if copy_a && g.a_row == 1 {
                    // Tile by tile, a row of the copy for each element of the inner dimension.
                    a_tile = g.k * pitch::<V>();
                    let (mut rows, taller) = heights::<V>(block.m);
                    let (mut first, mut t) = (0, 0);
                    while first < block.m {
                        if t == taller {
                            rows -= 1;
                        }
                        Pack::<V> {
                            from: block.a.add(first),
                            k: g.k,
                            row: g.a_col,
                            col: 1,
                            cols: rows,
                            to: room.add(t * a_tile),
                            width: pitch::<V>(),
                        }
                        .run();
                        first += rows;
                        t += 1;
                    }
                    (block.a, block.a_row, block.a_col) = (room, 1, pitch::<V>());
                } else if copy_a {
                    // An odd number of lines, so that rows fall on all sets of the cache.
                    let pitch = (g.k.div_ceil(64 / size) | 1) * (64 / size);
                    Pack::<V> {
                        from: block.a,
                        k: block.m,
                        row: g.a_row,
                        col: g.a_col,
                        cols: g.k,
                        to: room,
                        width: pitch,
                    }
                    .run();
                    (block.a, block.a_row, block.a_col) = (room, pitch, 1);
                }
                for j in (0..g.n).step_by(width) {
                    let n = width.min(g.n - j);
                    let panel = if !copy.is_null() {
                        copy.cast_mut().wrapping_add(j * g.k)
                    } else if blocks == 1 {
                        panels
                    } else {
                        panels.add(j * g.k)
                    };
                    let mut part = block.part(0, block.m, j, n);
                    let mut to = std::ptr::null_mut();
                    if i == 0
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
                        V::call(Strip::<V, NV, false>::new(g, 0, V::LANES, to).with_tiles(a_tile));
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

/// Copies a matrix of `k` rows and `cols` columns to contiguous rows, `width` apart.
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
        // SAFETY: p < k and c < cols; the caller promises that such elements are valid on both sides.
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
            while cols - c >= V::LANES {
                let from = from.add(c * col);
                let to = to.add(c);
                let mut p = 0;
                if row == 1 {
                    while k - p >= V::HALF {
                        V::transpose(from.add(p), col, to.add(p * width), width);
                        p += V::HALF;
                    }
                }
                while p < k {
                    for l in 0..V::LANES {
                        *to.add(p * width + l) = *from.add(p * row + l * col);
                    }
                    p += 1;
                }
                c += V::LANES;
            }
            while c < cols {
                for p in 0..k {
                    *to.add(p * width + c) = *from.add(p * row + c * col);
                }
                c += 1;
            }
        }
    }
}
