//! How terms are joined: in lanes, the lanes of a block pairwise, and blocks as a balanced tree would.

use crate::scalar::Scalar;
use crate::simd::{array, prefetch};

/// How partial results are joined.
pub(crate) trait Join<T: Scalar>: Sync {
    const START: T;
    fn join(a: T, b: T) -> T;
}

pub(crate) struct Plus;
impl<T: Scalar> Join<T> for Plus {
    const START: T = T::ZERO;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a + b
    }
}

pub(crate) struct Max;
impl<T: Scalar> Join<T> for Max {
    const START: T = T::NEG_INFINITY;
    #[inline(always)]
    fn join(a: T, b: T) -> T {
        a.maximum(b)
    }
}

/// Joins values as a balanced tree would, in the order they come: value 2^i - 1 meets those before it in runs
/// of powers of two. The error of a sum grows with the logarithm of its length.
pub(crate) struct Tree<T> {
    runs: [T; usize::BITS as usize],
    count: usize,
}

impl<T: Scalar> Tree<T> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Tree {
            runs: [T::ZERO; usize::BITS as usize],
            count: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn push<J: Join<T>>(&mut self, mut x: T) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            x = J::join(self.runs[level], x);
            level += 1;
        }
        self.runs[level] = x;
        self.count += 1;
    }

    #[inline(always)]
    pub(crate) fn finish<J: Join<T>>(&self) -> T {
        let mut result = J::START;
        let mut first = true;
        for level in 0..(usize::BITS - self.count.leading_zeros()) as usize {
            if self.count >> level & 1 == 1 {
                let run = self.runs[level];
                result = if first { run } else { J::join(run, result) };
                first = false;
            }
        }
        result
    }
}

/// Half of the lanes of a sum: additions that do not wait for each other.
const HALF: usize = 16;
/// Terms that are added in lanes, 16 to each, before the pairwise sum.
pub(crate) const SUM_BLOCK: usize = 16 * 2 * HALF;

/// Joins at most `BLOCK` values.
#[inline(always)]
pub(crate) fn lanes<T: Scalar, J: Join<T>>(x: &[T]) -> T {
    block_fold([x], J::START, None, &|[x]| x, &J::join)
}

/// The sum of `f` over slices of equal length, read together as by [`block_fold`].
#[inline(always)]
pub(crate) fn block_sum<T: Scalar, const K: usize>(
    x: [&[T]; K],
    ahead: Option<usize>,
    f: &impl Fn([T; K]) -> T,
) -> T {
    block_fold(x, T::ZERO, ahead, f, &|a, b| a + b)
}

/// `f` of slices of equal length, read together, joined in lanes, and the lanes pairwise. What lies `ahead` elements further is asked for, of the first two
/// slices.
#[inline(always)]
pub(crate) fn block_fold<T: Scalar, const K: usize>(
    x: [&[T]; K],
    start: T,
    ahead: Option<usize>,
    f: &impl Fn([T; K]) -> T,
    join: &impl Fn(T, T) -> T,
) -> T {
    // Arrays by value, and chunks of a fixed size: what the compiler makes vectors of, in every one of the copies.
    let (chunks, rest) = (
        x.map(|x| x.as_chunks::<{ 2 * HALF }>().0),
        x.map(|x| x.as_chunks::<{ 2 * HALF }>().1),
    );
    let (mut low, mut high) = ([start; HALF], [start; HALF]);
    for c in 0..chunks[0].len() {
        let x: [_; K] = array(|k| &chunks[k][c]);
        if let Some(ahead) = ahead {
            for x in x.iter().take(2) {
                prefetch(x.as_ptr().wrapping_add(ahead), x.len());
            }
        }
        low = array(|l| join(low[l], f(array(|k| x[k][l]))));
        high = array(|l| join(high[l], f(array(|k| x[k][HALF + l]))));
    }
    // Through memory, so that the compiler, which would choose its vectors to suit the last steps, chooses them to suit the loop above.
    let mut lanes = std::hint::black_box([low, high]);
    let lanes = lanes.as_flattened_mut();
    for l in 0..rest[0].len() {
        lanes[l] = join(lanes[l], f(array(|k| rest[k][l])));
    }
    for half in [16, 8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] = join(lanes[l], lanes[l + half]);
        }
    }
    lanes[0]
}
