//! A growable array whose data is 64-byte aligned.

use crate::scalar::Scalar;
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// What data is aligned to: a cache line, and the widest vector.
const ALIGN: usize = 64;
/// What the allocator is asked for. At this alignment the system allocator grows large blocks in place
/// (`mremap`); at 64 it would copy.
const BASE_ALIGN: usize = 16;

/// A growable array of scalars with 64-byte aligned data; dereferences to a slice.
///
/// Growing asks for a 16-byte aligned block that is larger by 64 bytes and starts the data at the first
/// aligned address in it, so that large arrays grow without a second copy in memory.
///
/// ```
/// use tiegrad_kernels::AlignedBuf;
/// let mut b = AlignedBuf::<f32>::zeroed(3);
/// b.extend_from_slice(&[1.0, 2.0]);
/// assert_eq!(&*b, &[0.0, 0.0, 0.0, 1.0, 2.0]);
/// assert_eq!(b.as_ptr() as usize % 64, 0);
/// ```
pub struct AlignedBuf<T: Scalar> {
    /// The data (dangling, and aligned, while nothing is allocated).
    data: NonNull<T>,
    /// Bytes from the start of the block to the data.
    offset: usize,
    len: usize,
    /// Elements that fit from `data` on; 0: nothing is allocated.
    capacity: usize,
    owns: PhantomData<T>,
}

// SAFETY: the buffer owns its data, and scalars are Send and Sync.
unsafe impl<T: Scalar> Send for AlignedBuf<T> {}
// SAFETY: as above; shared access only reads.
unsafe impl<T: Scalar> Sync for AlignedBuf<T> {}

impl<T: Scalar> AlignedBuf<T> {
    /// An empty buffer, which allocates nothing.
    pub const fn new() -> Self {
        AlignedBuf {
            data: dangling(),
            offset: 0,
            len: 0,
            capacity: 0,
            owns: PhantomData,
        }
    }

    /// A buffer of `len` zeros. Large ones come as untouched pages.
    ///
    /// ```
    /// assert_eq!(&*tiegrad_kernels::AlignedBuf::<f64>::zeroed(2), &[0.0, 0.0]);
    /// ```
    pub fn zeroed(len: usize) -> Self {
        let mut b = Self::new();
        b.allocate(len, true);
        b.len = len;
        b
    }

    /// An empty buffer with room for `capacity` elements.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut b = Self::new();
        b.allocate(capacity, false);
        b
    }

    /// Elements that fit without growing.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes room for `additional` more elements; grows at least by half, so that pushing is amortized O(1).
    ///
    /// ```
    /// let mut b = tiegrad_kernels::AlignedBuf::<f32>::new();
    /// b.reserve(10);
    /// assert!(b.capacity() >= 10 && b.is_empty());
    /// ```
    pub fn reserve(&mut self, additional: usize) {
        let Some(need) = self.len.checked_add(additional) else {
            capacity_overflow()
        };
        if need > self.capacity {
            self.grow(need.max(self.capacity + self.capacity / 2));
        }
    }

    /// Sets the length: elements beyond the old one are zero, elements beyond the new one are dropped.
    ///
    /// ```
    /// let mut b = tiegrad_kernels::AlignedBuf::<f32>::new();
    /// b.extend_from_slice(&[1.0, 2.0]);
    /// b.resize_zeroed(1);
    /// b.resize_zeroed(3);
    /// assert_eq!(&*b, &[1.0, 0.0, 0.0]);
    /// ```
    pub fn resize_zeroed(&mut self, len: usize) {
        if self.capacity == 0 {
            self.allocate(len, true);
        } else if len > self.len {
            self.reserve(len - self.len);
            // SAFETY: `reserve` made room for `len` elements; all-zero bytes are a zero of every scalar.
            unsafe {
                self.data
                    .as_ptr()
                    .add(self.len)
                    .write_bytes(0, len - self.len)
            };
        }
        self.len = len;
    }

    /// Appends a copy of `values`.
    pub fn extend_from_slice(&mut self, values: &[T]) {
        self.reserve(values.len());
        // SAFETY: `reserve` made room behind `len`, which `values` cannot overlap: `self` is borrowed exclusively.
        unsafe {
            let end = self.data.as_ptr().add(self.len);
            end.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
        self.len += values.len();
    }

    /// Drops all elements and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The first allocation.
    fn allocate(&mut self, capacity: usize, zero: bool) {
        if capacity == 0 {
            return;
        }
        let layout = layout::<T>(capacity);
        // SAFETY: the layout has a size above 0.
        let base = unsafe {
            if zero {
                alloc_zeroed(layout)
            } else {
                alloc(layout)
            }
        };
        let Some(base) = NonNull::new(base) else {
            handle_alloc_error(layout)
        };
        self.adopt(base, capacity);
    }

    fn grow(&mut self, capacity: usize) {
        if self.capacity == 0 {
            return self.allocate(capacity, false);
        }
        let new = layout::<T>(capacity);
        let old_offset = self.offset;
        // SAFETY: the block was allocated with this layout, and the new size is above 0 and does not overflow.
        let base = unsafe { realloc(self.base(), layout::<T>(self.capacity), new.size()) };
        let Some(base) = NonNull::new(base) else {
            handle_alloc_error(new)
        };
        self.adopt(base, capacity);
        if self.offset != old_offset {
            // SAFETY: both ranges lie in the new block, which holds the elements at the old offset.
            unsafe {
                let from = base.as_ptr().add(old_offset).cast::<T>();
                self.data.as_ptr().copy_from(from, self.len);
            }
        }
    }

    /// Takes over a block made with `layout(capacity)`.
    fn adopt(&mut self, base: NonNull<u8>, capacity: usize) {
        self.offset = base.as_ptr().align_offset(ALIGN);
        // SAFETY: `layout` adds ALIGN bytes, and the offset is below that.
        self.data = unsafe { base.add(self.offset) }.cast();
        self.capacity = capacity;
    }

    fn base(&self) -> *mut u8 {
        self.data.as_ptr().cast::<u8>().wrapping_sub(self.offset)
    }
}

const fn dangling<T>() -> NonNull<T> {
    // Not an address of anything; zero-length slices only need it to be aligned and not null.
    NonNull::without_provenance(ALIGN_NONZERO)
}

const ALIGN_NONZERO: std::num::NonZeroUsize = std::num::NonZeroUsize::new(ALIGN).unwrap();

fn layout<T>(capacity: usize) -> Layout {
    let bytes = capacity
        .checked_mul(size_of::<T>())
        .and_then(|b| b.checked_add(ALIGN));
    match bytes.map(|b| Layout::from_size_align(b, BASE_ALIGN)) {
        Some(Ok(layout)) => layout,
        _ => capacity_overflow(),
    }
}

#[cold]
#[allow(clippy::panic)] // as Vec does: no memory could hold it
fn capacity_overflow() -> ! {
    panic!("capacity overflow")
}

impl<T: Scalar> Drop for AlignedBuf<T> {
    fn drop(&mut self) {
        if self.capacity != 0 {
            // SAFETY: the block was allocated with this layout.
            unsafe { dealloc(self.base(), layout::<T>(self.capacity)) };
        }
    }
}

impl<T: Scalar> Deref for AlignedBuf<T> {
    type Target = [T];
    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements are initialized (or `len` is 0 and the pointer aligned and not null).
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<T: Scalar> DerefMut for AlignedBuf<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl<T: Scalar> Clone for AlignedBuf<T> {
    fn clone(&self) -> Self {
        let mut b = Self::with_capacity(self.len);
        b.extend_from_slice(self);
        b
    }
}

impl<T: Scalar> Default for AlignedBuf<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> fmt::Debug for AlignedBuf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: Scalar> PartialEq for AlignedBuf<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any run of operations leaves what a `Vec` would hold, aligned.
        #[test]
        fn behaves_as_a_vec(ops in prop::collection::vec((0..4_u8, 0..3000_usize), 0..40)) {
            let mut v: Vec<f64> = Vec::new();
            let mut b = AlignedBuf::<f64>::new();
            for (op, n) in ops {
                match op {
                    0 => { v.resize(n, 0.0); b.resize_zeroed(n) }
                    1 => {
                        let x: Vec<f64> = (0..n).map(|i| (i + v.len()) as f64).collect();
                        v.extend_from_slice(&x);
                        b.extend_from_slice(&x);
                    }
                    2 => b.reserve(n),
                    _ => b = b.clone(),
                }
                prop_assert_eq!(&*b, &v[..]);
                prop_assert_eq!(b.as_ptr() as usize % ALIGN, 0);
                prop_assert!(b.capacity() >= b.len());
            }
        }
    }

    #[test]
    fn large_arrays_grow() {
        let mut b = AlignedBuf::<f32>::zeroed(1 << 20);
        b[77] = 7.0;
        b.resize_zeroed(1 << 24);
        assert_eq!((b[77], b[(1 << 24) - 1]), (7.0, 0.0));
        assert_eq!(b.as_ptr() as usize % ALIGN, 0);
    }
}
