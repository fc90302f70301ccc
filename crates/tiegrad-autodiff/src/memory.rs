//! Memory of the numbers on a tape: a bump arena of 64-byte-aligned, always initialized bytes.
//!
//! `bumpalo` holds the records (nodes, op records); numbers stand here instead, for two reasons: activations start on a
//! cache line, as the SIMD kernels like it, and the bytes are zeroed once when a chunk is made, so that handing one out
//! as `&mut [f32]` is sound before a kernel has written it (any bytes are a valid float).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::NonNull;

use tiegrad_kernels::Scalar;

const ALIGN: usize = 64;
const FIRST_CHUNK: usize = 16 << 10;

struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

impl Chunk {
    fn new(bytes: usize) -> Chunk {
        let Ok(layout) = Layout::from_size_align(bytes, ALIGN) else {
            // Larger than the address space: the same end that `Vec` comes to.
            handle_alloc_error(Layout::new::<u8>())
        };
        // SAFETY: the layout has a size of at least FIRST_CHUNK, so it is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        match NonNull::new(start) {
            Some(start) => Chunk { start, layout },
            None => handle_alloc_error(layout),
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this very layout and is freed once, here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// A bump arena for slices of plain numbers. It is reset, not freed, and becomes one chunk of the high-water mark.
pub(crate) struct NumberArena {
    chunks: RefCell<Vec<Chunk>>,
    next: Cell<usize>,
    end: Cell<usize>,
    /// Bytes handed out from chunks before the current one, since the last reset.
    earlier: Cell<usize>,
}

// SAFETY: the chunks are owned, and the cells are only reached through `&self`, which stays on one thread because
// the type is not `Sync`.
unsafe impl Send for NumberArena {}

impl NumberArena {
    pub(crate) fn new() -> NumberArena {
        NumberArena {
            chunks: RefCell::new(Vec::new()),
            next: Cell::new(0),
            end: Cell::new(0),
            earlier: Cell::new(0),
        }
    }

    /// Bytes of memory held (used or not).
    pub(crate) fn capacity(&self) -> usize {
        self.chunks
            .borrow()
            .iter()
            .map(|chunk| chunk.layout.size())
            .sum()
    }

    /// `len` numbers with arbitrary but initialized content.
    #[inline]
    pub(crate) fn scalars<T: Scalar>(&self, len: usize) -> &mut [T] {
        self.take(len)
    }

    /// `len` indices with arbitrary but initialized content.
    #[inline]
    pub(crate) fn indices(&self, len: usize) -> &mut [u32] {
        self.take(len)
    }

    /// Only for types of which any bytes are a value and that hold no padding: the two callers above.
    #[inline]
    #[allow(
        clippy::mut_from_ref,
        reason = "a bump arena: each call hands out other bytes"
    )]
    fn take<T: Copy>(&self, len: usize) -> &mut [T] {
        const { assert!(align_of::<T>() <= ALIGN) };
        let bytes = len
            .checked_mul(size_of::<T>())
            .and_then(|b| b.checked_next_multiple_of(ALIGN));
        let Some(bytes) = bytes else {
            handle_alloc_error(Layout::new::<u8>())
        };
        let mut start = self.next.get();
        if bytes > self.end.get() - start {
            self.grow(bytes);
            start = self.next.get();
        }
        self.next.set(start + bytes);
        let pointer = if bytes == 0 {
            NonNull::<T>::dangling().as_ptr()
        } else {
            start as *mut T
        };
        // SAFETY: `start` is a multiple of 64 inside a chunk that has `bytes >= len * size_of::<T>()` left; `next` moved past it,
        // so no other slice covers these bytes until `reset`, which needs `&mut self` and so ends every borrow. The bytes
        // were zeroed when the chunk was made, and since then only whole values of padding-free types were written to them. The
        // address was exposed in `grow`.
        unsafe { std::slice::from_raw_parts_mut(pointer, len) }
    }

    #[cold]
    fn grow(&self, bytes: usize) {
        let mut chunks = self.chunks.borrow_mut();
        if let Some(last) = chunks.last() {
            let start = last.start.as_ptr().expose_provenance();
            self.earlier
                .set(self.earlier.get() + (self.next.get() - start));
        }
        let size = bytes.max(
            chunks
                .last()
                .map_or(FIRST_CHUNK, |last| last.layout.size().saturating_mul(2)),
        );
        self.enter(&mut chunks, size);
    }

    fn enter(&self, chunks: &mut Vec<Chunk>, size: usize) {
        let chunk = Chunk::new(size);
        let start = chunk.start.as_ptr().expose_provenance();
        self.next.set(start);
        self.end.set(start + size);
        chunks.push(chunk);
    }

    /// Takes everything back. After a step that needed several chunks there is one that holds them all.
    #[inline]
    pub(crate) fn reset(&mut self) {
        let chunks = self.chunks.get_mut();
        match chunks.as_slice() {
            [] => {}
            [only] => self.next.set(only.start.as_ptr().expose_provenance()),
            _ => self.merge(),
        }
    }

    #[cold]
    fn merge(&mut self) {
        let mut chunks = std::mem::take(self.chunks.get_mut());
        let used = self.earlier.get()
            + chunks
                .last()
                .map_or(0, |last| self.next.get() - last.start.as_ptr().addr());
        chunks.clear();
        // An eighth of head room, so that steps of slightly varying size settle on one chunk.
        self.enter(
            &mut chunks,
            (used + used / 8).next_multiple_of(ALIGN).max(FIRST_CHUNK),
        );
        self.earlier.set(0);
        *self.chunks.get_mut() = chunks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_aligned_disjoint_and_survive_growth() {
        let arena = NumberArena::new();
        let mut kept: Vec<&mut [f32]> = Vec::new();
        for n in [1, 0, 17, 5000, 3, 100_000, 1] {
            let slice = arena.scalars::<f32>(n);
            assert!(n == 0 || slice.as_ptr().addr().is_multiple_of(ALIGN));
            slice.fill(n as f32);
            kept.push(slice);
        }
        for slice in &kept {
            assert!(slice.iter().all(|&x| x == slice.len() as f32));
        }
    }

    #[test]
    fn it_settles_on_one_chunk() {
        let mut arena = NumberArena::new();
        let mut held = Vec::new();
        for _ in 0..4 {
            arena.reset();
            for n in [5000, 70_000, 9, 20_000] {
                arena.scalars::<f64>(n).fill(1.0);
            }
            held.push((arena.chunks.borrow().len(), arena.capacity()));
        }
        assert!(held[0].0 > 1);
        assert_eq!(held[1], held[3]);
        assert_eq!(held[3].0, 1);
    }
}
