//! Walking several strided arrays of one shape together.

use crate::MAX_RANK;
use crate::scalar::Scalar;

/// Elements that strided operands are gathered into, so that inner loops see contiguous data.
pub(crate) const BLOCK: usize = 256;

/// The sizes and strides of `N` arrays of one shape, with dimensions of size 1 dropped and neighbours merged
/// where all arrays allow it. The rank is at least 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<const N: usize> {
    pub(crate) rank: usize,
    pub(crate) dims: [usize; MAX_RANK],
    pub(crate) strides: [[usize; MAX_RANK]; N],
}

impl<const N: usize> Walk<N> {
    /// # Panics
    /// If a list of strides has not the length of the shape, or that is above `MAX_RANK`.
    pub(crate) fn new(shape: &[usize], strides: [&[usize]; N]) -> Self {
        assert!(shape.len() <= MAX_RANK, "more than MAX_RANK dimensions");
        for s in strides {
            assert_eq!(s.len(), shape.len(), "strides and shape differ in length");
        }
        let mut w = Walk {
            rank: 0,
            dims: [1; MAX_RANK],
            strides: [[0; MAX_RANK]; N],
        };
        for (d, &n) in shape.iter().enumerate() {
            if n != 1 {
                w.push(n, strides.map(|s| s[d]));
            }
        }
        w.rank = w.rank.max(1);
        w
    }

    /// Appends a dimension, merged into the last one where that is possible.
    fn push(&mut self, n: usize, strides: [usize; N]) {
        let last = self.rank.wrapping_sub(1);
        if self.rank > 0 && (0..N).all(|a| self.strides[a][last] == strides[a].wrapping_mul(n)) {
            self.dims[last] *= n;
        } else {
            self.rank += 1;
            self.dims[self.rank - 1] = n;
        }
        for a in 0..N {
            self.strides[a][self.rank - 1] = strides[a];
        }
    }

    /// The same elements with the dimensions that `first` says before the others, each in their order.
    pub(crate) fn partition(&self, first: impl Fn(usize) -> bool) -> (Self, Self) {
        let mut parts = [Walk {
            rank: 0,
            dims: [1; MAX_RANK],
            strides: [[0; MAX_RANK]; N],
        }; 2];
        for d in 0..self.rank {
            let part = &mut parts[usize::from(!first(d))];
            part.push(self.dims[d], self.strides.map(|s| s[d]));
        }
        parts[0].rank = parts[0].rank.max(1);
        parts[1].rank = parts[1].rank.max(1);
        (parts[0], parts[1])
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// The last dimension's size.
    pub(crate) fn row_len(&self) -> usize {
        self.dims[self.rank - 1]
    }

    /// The last dimension's stride in array `a`.
    pub(crate) fn row_stride(&self, a: usize) -> usize {
        self.strides[a][self.rank - 1]
    }

    /// The number of rows: of runs along the last dimension.
    pub(crate) fn rows(&self) -> usize {
        self.dims[..self.rank - 1].iter().product()
    }

    /// A cursor at row `row`.
    #[inline(always)]
    pub(crate) fn cursor(&self, row: usize) -> Cursor<'_, N> {
        let mut c = Cursor {
            walk: self,
            index: [0; MAX_RANK],
            at: [0; N],
        };
        let mut rest = row;
        for d in (0..self.rank - 1).rev() {
            c.index[d] = rest % self.dims[d];
            rest /= self.dims[d];
            for a in 0..N {
                c.at[a] += c.index[d] * self.strides[a][d];
            }
        }
        c
    }

    /// Panics unless array `a`, of `len` elements, holds all that the walk reaches.
    pub(crate) fn check(&self, a: usize, len: usize) {
        let mut last = 0_usize;
        for d in 0..self.rank {
            if self.dims[d] == 0 {
                return;
            }
            last = last.saturating_add((self.dims[d] - 1).saturating_mul(self.strides[a][d]));
        }
        assert!(last < len, "strides reach beyond the slice");
    }
}

/// Where a row starts in each array.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a, const N: usize> {
    walk: &'a Walk<N>,
    index: [usize; MAX_RANK],
    pub(crate) at: [usize; N],
}

impl<const N: usize> Cursor<'_, N> {
    /// Moves to the next row; after the last one, to the first.
    #[inline(always)]
    pub(crate) fn next(&mut self) {
        let w = self.walk;
        for d in (0..w.rank - 1).rev() {
            self.index[d] += 1;
            if self.index[d] < w.dims[d] {
                for a in 0..N {
                    self.at[a] += w.strides[a][d];
                }
                return;
            }
            self.index[d] = 0;
            for a in 0..N {
                self.at[a] -= (w.dims[d] - 1) * w.strides[a][d];
            }
        }
    }
}

/// Whether no two index tuples of these sizes and strides meet at one place (a sufficient test).
pub(crate) fn disjoint(sizes: &[usize], strides: &[usize]) -> bool {
    // Dimensions from the smallest stride up: each must step over all that the smaller ones reach.
    let mut seen = [false; MAX_RANK];
    let mut reach = 0_usize;
    loop {
        let next = (0..sizes.len())
            .filter(|&d| !seen[d] && sizes[d] > 1)
            .min_by_key(|&d| strides[d]);
        let Some(d) = next else { return true };
        if strides[d] <= reach {
            return false;
        }
        seen[d] = true;
        reach = reach.saturating_add((sizes[d] - 1).saturating_mul(strides[d]));
    }
}

/// An operand that is read in runs of at most [`BLOCK`] elements with one stride, as slices: of itself, or of room after a gather.
pub(crate) struct Staged<'a, T> {
    x: &'a [T],
    stride: usize,
    room: [T; BLOCK],
    /// Where the run began, and how long it was, that is in the room: what repeats is not gathered again.
    held: (usize, usize),
}

impl<'a, T: Scalar> Staged<'a, T> {
    #[inline(always)]
    pub(crate) fn new(x: &'a [T], stride: usize) -> Self {
        Staged {
            x,
            stride,
            room: [T::ZERO; BLOCK],
            held: (0, 0),
        }
    }

    /// `n <= BLOCK` elements from `at` on.
    #[inline(always)]
    pub(crate) fn run(&mut self, at: usize, n: usize) -> &[T] {
        let Staged { x, stride, .. } = *self;
        if stride == 1 {
            return &x[at..at + n];
        }
        let room = &mut self.room[..n];
        if self.held != (at, n) {
            self.held = (at, n);
            if stride == 0 {
                room.fill(x[at]);
            } else if let Some(last) = n.checked_sub(1) {
                let x = &x[at..=at + last * stride];
                for i in 0..n {
                    room[i] = x[i * stride];
                }
            }
        }
        room
    }
}
