//! A growable buffer of scalars whose data starts on a 64-byte boundary (a cache line, an AVX-512 register).
//!
//! Asking the allocator for 64-byte alignment would cost the cheap way to grow: Rust's `realloc` on such a block is
//! "allocate, copy, free". So a block is asked for with 16 bytes, which every allocator gives and can grow in place
//! (`mremap` for large blocks), and the data starts at the first 64-byte boundary inside it.

use std::alloc::{self, Layout};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::slice;

use crate::scalar::Scalar;

/// The boundary, in bytes, on which the data of an [`AlignedBuf`] starts.
///
/// ```
/// use tiegrad_kernels::buffer::{ALIGN, AlignedBuf};
/// assert_eq!(AlignedBuf::<f64>::zeroed(1).as_ptr() as usize % ALIGN, 0);
/// ```
pub const ALIGN: usize = 64;

/// What the allocator is asked for.
const BLOCK_ALIGN: usize = 16;

/// A growable, 64-byte-aligned buffer of scalars; it dereferences to a slice.
///
/// ```
/// use tiegrad_kernels::buffer::AlignedBuf;
///
/// let mut buf = AlignedBuf::<f32>::zeroed(3);
/// buf[1] = 2.0;
/// buf.resize_zeroed(5);
/// assert_eq!(&buf[..], &[0.0, 2.0, 0.0, 0.0, 0.0]);
/// assert_eq!(buf.as_ptr() as usize % 64, 0);
/// ```
pub struct AlignedBuf<T> {
    /// Where the data starts, on a 64-byte boundary. Dangling while `cap` is 0.
    data: NonNull<T>,
    /// Bytes between the start of the block and `data`: 0, 16, 32 or 48.
    lead: usize,
    /// Elements that fit behind `data`; 0 means that there is no block.
    cap: usize,
    /// Initialized elements, at most `cap`.
    len: usize,
    owns: PhantomData<T>,
}

// SAFETY: the buffer owns its block alone, so it may go wherever a `T` may go.
unsafe impl<T: Send> Send for AlignedBuf<T> {}
// SAFETY: a shared buffer only hands out shared slices.
unsafe impl<T: Sync> Sync for AlignedBuf<T> {}

/// The memory for a buffer could not be had.
///
/// ```
/// use tiegrad_kernels::buffer::AlignedBuf;
///
/// let error = AlignedBuf::<f64>::new().try_reserve(usize::MAX).unwrap_err();
/// assert_eq!(error.to_string(), format!("no memory for {} elements of 8 bytes", usize::MAX));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    elements: usize,
    size: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no memory for {} elements of {} bytes",
            self.elements, self.size
        )
    }
}

impl std::error::Error for OutOfMemory {}

impl<T: Scalar> AlignedBuf<T> {
    /// An empty buffer; allocates nothing.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// assert!(AlignedBuf::<f32>::new().is_empty());
    /// ```
    #[inline]
    pub const fn new() -> Self {
        Self {
            data: Self::DANGLING,
            lead: 0,
            cap: 0,
            len: 0,
            owns: PhantomData,
        }
    }

    /// `len` zeros. The system's zero pages are used as they are, so that a large buffer costs nothing until it is written.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// assert_eq!(&*AlignedBuf::<f64>::zeroed(2), &[0.0, 0.0]);
    /// ```
    pub fn zeroed(len: usize) -> Self {
        let mut buf = Self::new();
        buf.resize_zeroed(len);
        buf
    }

    /// An empty buffer with room for `capacity` elements.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let buf = AlignedBuf::<f32>::with_capacity(10);
    /// assert!(buf.is_empty() && buf.capacity() == 10);
    /// ```
    pub fn with_capacity(capacity: usize) -> Self {
        let mut buf = Self::new();
        or_abort(buf.grow(capacity, false));
        buf
    }

    /// Makes room for `additional` more elements, at least doubling the capacity when it has to grow.
    ///
    /// Memory that cannot be had ends the process, as with `Vec`; see [`try_reserve`](Self::try_reserve).
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::<f32>::new();
    /// buf.reserve(10);
    /// assert!(buf.is_empty() && buf.capacity() >= 10);
    /// ```
    pub fn reserve(&mut self, additional: usize) {
        or_abort(self.try_reserve(additional));
    }

    /// [`reserve`](Self::reserve) for sizes that come from outside.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the allocator refuses; the buffer is then as it was.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::<f32>::new();
    /// assert!(buf.try_reserve(10).is_ok());
    /// assert!(buf.try_reserve(usize::MAX).is_err());
    /// ```
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), OutOfMemory> {
        if additional <= self.cap - self.len {
            return Ok(());
        }
        let need = self
            .len
            .checked_add(additional)
            .ok_or(Self::refused(additional))?;
        // Amortized growth where it can be had, else exactly what was asked for.
        let generous = need.max(self.cap.saturating_mul(2));
        self.grow(generous, false)
            .or_else(|_| self.grow(need, false))
    }

    /// Makes the buffer `len` long: cut, or filled up with zeros.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::from(&[1.0f32, 2.0][..]);
    /// buf.resize_zeroed(1);
    /// buf.resize_zeroed(3);
    /// assert_eq!(&*buf, &[1.0, 0.0, 0.0]);
    /// ```
    pub fn resize_zeroed(&mut self, len: usize) {
        or_abort(self.try_resize_zeroed(len));
    }

    /// [`resize_zeroed`](Self::resize_zeroed) for sizes that come from outside.
    ///
    /// # Errors
    /// [`OutOfMemory`] when the allocator refuses; the buffer is then as it was.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::from(&[1.0f32][..]);
    /// assert!(buf.try_resize_zeroed(usize::MAX).is_err());
    /// assert_eq!(&*buf, &[1.0]);
    /// ```
    pub fn try_resize_zeroed(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len > self.len {
            if self.cap == 0 {
                self.grow(len, true)?;
            } else {
                self.try_reserve(len - self.len)?;
                // SAFETY: `self.len..len` lies within the capacity, and all-zero bytes are the scalar zero for each of
                // the four (sealed) scalar types.
                unsafe { ptr::write_bytes(self.data.as_ptr().add(self.len), 0, len - self.len) };
            }
        }
        self.len = len;
        Ok(())
    }

    /// Appends a copy of `values`.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::zeroed(1);
    /// buf.extend_from_slice(&[1.0f32, 2.0]);
    /// assert_eq!(&*buf, &[0.0, 1.0, 2.0]);
    /// ```
    pub fn extend_from_slice(&mut self, values: &[T]) {
        self.reserve(values.len());
        // SAFETY: `reserve` made room for `values.len()` elements behind `len`; a borrowed slice cannot lie in this
        // buffer, which is borrowed exclusively.
        unsafe {
            ptr::copy_nonoverlapping(
                values.as_ptr(),
                self.data.as_ptr().add(self.len),
                values.len(),
            )
        };
        self.len += values.len();
    }

    /// Shortens the buffer to `len`; does nothing where it is shorter already. Keeps the capacity.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::<f32>::zeroed(5);
    /// buf.truncate(2);
    /// assert_eq!((buf.len(), buf.capacity()), (2, 5));
    /// ```
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Empties the buffer and keeps its capacity.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::<f32>::zeroed(5);
    /// buf.clear();
    /// assert_eq!((buf.len(), buf.capacity()), (0, 5));
    /// ```
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// How many elements fit without growing.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// assert_eq!(AlignedBuf::<f32>::zeroed(5).capacity(), 5);
    /// ```
    #[inline]
    pub fn capacity(&self) -> usize {
        self.cap
    }

    /// The elements.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// assert_eq!(AlignedBuf::<f32>::zeroed(2).as_slice(), [0.0, 0.0]);
    /// ```
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        self
    }

    /// The elements, to be written.
    ///
    /// ```
    /// # use tiegrad_kernels::AlignedBuf;
    /// let mut buf = AlignedBuf::<f32>::zeroed(2);
    /// buf.as_mut_slice().fill(1.0);
    /// assert_eq!(&*buf, &[1.0, 1.0]);
    /// ```
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self
    }

    const DANGLING: NonNull<T> = {
        assert!(
            size_of::<T>() > 0 && align_of::<T>() <= BLOCK_ALIGN && !std::mem::needs_drop::<T>()
        );
        match NonNull::new(ptr::without_provenance_mut(ALIGN)) {
            Some(pointer) => pointer,
            None => NonNull::dangling(),
        }
    };

    /// Gives the buffer a block of `cap` elements (more than now), zeroed where asked and there was none.
    fn grow(&mut self, cap: usize, zeroed: bool) -> Result<(), OutOfMemory> {
        if cap <= self.cap {
            return Ok(());
        }
        let layout = block::<T>(cap).ok_or(Self::refused(cap))?;
        let base = match (self.block(), zeroed) {
            (None, false) => {
                // SAFETY: `layout` is not empty: it holds at least one element.
                unsafe { alloc::alloc(layout) }
            }
            (None, true) => {
                // SAFETY: as above.
                unsafe { alloc::alloc_zeroed(layout) }
            }
            (Some((base, old)), _) => {
                // SAFETY: `base` was allocated with `old`; `block` made sure that the new size fits an `isize`.
                unsafe { alloc::realloc(base, old, layout.size()) }
            }
        };
        let Some(base) = NonNull::new(base) else {
            return Err(Self::refused(cap));
        };
        let lead = base.as_ptr().addr().wrapping_neg() % ALIGN;
        if self.cap != 0 && lead != self.lead {
            // SAFETY: both places hold `len` elements within the new block, which is at least as long as the old one;
            // `copy` allows them to overlap.
            unsafe {
                ptr::copy(
                    base.add(self.lead).as_ptr(),
                    base.add(lead).as_ptr(),
                    self.len * size_of::<T>(),
                )
            };
        }
        // SAFETY: the block is at least 48 bytes longer than its elements, and `lead` is at most 48.
        self.data = unsafe { base.add(lead) }.cast();
        self.lead = lead;
        self.cap = cap;
        Ok(())
    }

    fn refused(elements: usize) -> OutOfMemory {
        OutOfMemory {
            elements,
            size: size_of::<T>(),
        }
    }
}

impl<T> AlignedBuf<T> {
    /// Start and layout of the block, if there is one.
    fn block(&self) -> Option<(*mut u8, Layout)> {
        if self.cap == 0 {
            return None;
        }
        // SAFETY: `data` lies `lead` bytes behind the start of the block.
        let base = unsafe { self.data.as_ptr().cast::<u8>().sub(self.lead) };
        block::<T>(self.cap).map(|layout| (base, layout))
    }
}

/// The block for `cap` elements: room to move the data to the next 64-byte boundary included.
fn block<T>(cap: usize) -> Option<Layout> {
    let bytes = cap
        .checked_mul(size_of::<T>())?
        .checked_add(ALIGN - BLOCK_ALIGN)?;
    Layout::from_size_align(bytes, BLOCK_ALIGN).ok()
}

/// Ends the process where memory is out, as the standard collections do.
fn or_abort(result: Result<(), OutOfMemory>) {
    if let Err(refused) = result {
        let bytes = refused
            .elements
            .saturating_mul(refused.size)
            .min(isize::MAX as usize - (BLOCK_ALIGN - 1));
        alloc::handle_alloc_error(Layout::from_size_align(bytes, 1).unwrap_or(Layout::new::<u8>()));
    }
}

impl<T> Drop for AlignedBuf<T> {
    fn drop(&mut self) {
        if let Some((base, layout)) = self.block() {
            // SAFETY: `base` was allocated with `layout`; scalars need no drop.
            unsafe { alloc::dealloc(base, layout) };
        }
    }
}

impl<T> Deref for AlignedBuf<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements behind `data` are initialized (none while it dangles, aligned and not null).
        unsafe { slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for AlignedBuf<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl<T: Scalar> Clone for AlignedBuf<T> {
    /// A copy with exactly the capacity that it needs.
    fn clone(&self) -> Self {
        Self::from(&self[..])
    }

    /// Copies into the memory that is there already, where it suffices.
    fn clone_from(&mut self, source: &Self) {
        self.clear();
        self.extend_from_slice(source);
    }
}

impl<T: Scalar> From<&[T]> for AlignedBuf<T> {
    fn from(values: &[T]) -> Self {
        let mut buf = Self::with_capacity(values.len());
        buf.extend_from_slice(values);
        buf
    }
}

impl<T: Scalar> Default for AlignedBuf<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for AlignedBuf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for AlignedBuf<T> {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any run of operations leaves what a `Vec` would hold, aligned.
        #[test]
        fn behaves_as_a_vec(ops in prop::collection::vec((0..6_u8, 0..3000_usize), 0..40)) {
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
                    3 => { v.truncate(n); b.truncate(n) }
                    4 => { let mut copy = AlignedBuf::zeroed(n); copy.clone_from(&b); b = copy }
                    _ => b = b.clone(),
                }
                prop_assert_eq!(&*b, &v[..]);
                prop_assert!(aligned(&b));
                prop_assert!(b.capacity() >= b.len());
            }
        }
    }

    fn aligned<T>(buf: &AlignedBuf<T>) -> bool {
        buf.as_ptr().addr().is_multiple_of(ALIGN)
    }

    #[test]
    fn empty_buffers_hold_no_memory_and_are_aligned() {
        let buf = AlignedBuf::<f64>::new();
        assert!(aligned(&buf) && buf.is_empty() && buf.capacity() == 0);
        assert!(AlignedBuf::<f32>::zeroed(0).is_empty());
        assert!(AlignedBuf::<f32>::default().clone().is_empty());
    }

    /// Growing in steps of every size keeps what was there, whether the block moved, stayed, or changed its lead.
    #[test]
    fn growth_keeps_contents_and_alignment() {
        let mut buf = AlignedBuf::<f32>::new();
        let mut model = Vec::new();
        let mut others = Vec::new();
        for step in 0..200 {
            let piece: Vec<f32> = (0..step * 7 % 97)
                .map(|i| (step * 1000 + i) as f32)
                .collect();
            buf.extend_from_slice(&piece);
            model.extend_from_slice(&piece);
            // Other blocks in between, so that the allocator has to move this one now and then.
            others.push(AlignedBuf::<f32>::zeroed(step + 1));
            assert!(aligned(&buf));
            assert_eq!(&buf[..], &model[..]);
            assert!(buf.capacity() >= buf.len());
        }
        assert!(
            others
                .iter()
                .all(|other| aligned(other) && other.iter().all(|&x| x == 0.0))
        );
    }

    #[test]
    fn resizing_zeroes_what_was_used_before() {
        let mut buf = AlignedBuf::<f64>::zeroed(10);
        buf.fill(3.0);
        buf.truncate(4);
        buf.resize_zeroed(8);
        assert_eq!(&buf[..], &[3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
        buf.resize_zeroed(2);
        assert_eq!(&buf[..], &[3.0, 3.0]);
        buf.clear();
        buf.resize_zeroed(100_000);
        assert!(buf.iter().all(|&x| x == 0.0) && aligned(&buf));
    }

    #[test]
    fn with_capacity_grows_no_more() {
        let mut buf = AlignedBuf::<f32>::with_capacity(1000);
        let start = buf.as_ptr();
        buf.resize_zeroed(1000);
        assert_eq!(
            (buf.as_ptr(), buf.len(), buf.capacity()),
            (start, 1000, 1000)
        );
    }

    #[test]
    fn clones_are_independent() {
        let mut buf = AlignedBuf::from(&[1.0f32, 2.0, 3.0][..]);
        let copy = buf.clone();
        buf[0] = 9.0;
        assert_eq!(&copy[..], &[1.0, 2.0, 3.0]);
        let mut target = AlignedBuf::zeroed(64);
        let start = target.as_ptr();
        target.clone_from(&buf);
        assert_eq!(target, buf);
        assert_eq!(target.as_ptr(), start);
    }

    #[test]
    fn large_blocks_grow_and_stay_right() {
        let mut buf = AlignedBuf::<f32>::zeroed(1 << 20);
        buf[(1 << 20) - 1] = 5.0;
        buf.resize_zeroed(3 << 20);
        assert_eq!(
            (buf[(1 << 20) - 1], buf[1 << 20], buf[(3 << 20) - 1]),
            (5.0, 0.0, 0.0)
        );
        assert!(aligned(&buf));
    }

    #[test]
    fn impossible_sizes_are_errors_and_change_nothing() {
        let mut buf = AlignedBuf::from(&[1.0f64][..]);
        for size in [usize::MAX, usize::MAX / 8, isize::MAX as usize / 8] {
            assert!(buf.try_reserve(size).is_err());
            assert!(buf.try_resize_zeroed(size).is_err());
        }
        assert_eq!(&buf[..], &[1.0]);
    }

    #[test]
    fn goes_to_other_threads() {
        let buf = AlignedBuf::from(&[1.0f32, 2.0][..]);
        let sum = std::thread::spawn(move || buf.iter().sum::<f32>())
            .join()
            .unwrap();
        assert_eq!(sum, 3.0);
    }
}
