//! How terms are joined: in lanes, the lanes of a block pairwise, and blocks as a balanced tree would.

use crate::scalar::Scalar;
use crate::simd::{array, prefetch};
use std::hint::black_box;

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

/// The sum of `f` over slices of equal length, read together as by [`block_fold`].
#[inline(always)]
pub(crate) fn block_sum<T: Scalar, const K: usize>(
    x: [&[T]; K],
    ahead: Option<usize>,
    f: impl Fn([T; K]) -> T,
) -> T {
    block_fold::<T, Plus, K>(x, ahead, &JoinOf(f))
}

/// How lanes take elements in that stand at the same places of K slices, as many as there are lanes. A trait and not a closure: what is long is not
/// always inlined, and would then be compiled for the baseline.
pub(crate) trait Step<T, J, const K: usize> {
    fn step<const N: usize>(&self, lanes: &mut [T; N], x: [&[T; N]; K]);
}

/// By joining what a short function gives for them.
pub(crate) struct JoinOf<F>(pub F);

impl<T: Scalar, J: Join<T>, F: Fn([T; K]) -> T, const K: usize> Step<T, J, K> for JoinOf<F> {
    #[inline(always)]
    fn step<const N: usize>(&self, lanes: &mut [T; N], x: [&[T; N]; K]) {
        let before = *lanes;
        *lanes = array(|l| J::join(before[l], self.0(array(|k| x[k][l]))));
    }
}

/// Slices of equal length, read together: each element goes into one of 32 lanes, and those of what fills no 32 into one of 16, 8, 4 or a single lane, on the way on which the lanes
/// are joined pairwise. What lies `ahead` elements further is asked for, of the first two slices.
#[inline(always)]
pub(crate) fn block_fold<T: Scalar, J: Join<T>, const K: usize>(
    x: [&[T]; K],
    ahead: Option<usize>,
    step: &impl Step<T, J, K>,
) -> T {
    // Arrays by value, and chunks of a fixed size: what the compiler makes vectors of, in every one of the copies.
    let (chunks, mut rest) = (
        x.map(|x| x.as_chunks::<{ 2 * HALF }>().0),
        x.map(|x| x.as_chunks::<{ 2 * HALF }>().1),
    );
    let (mut low, mut high) = ([J::START; HALF], [J::START; HALF]);
    for c in 0..chunks[0].len() {
        let x: [_; K] = array(|k| &chunks[k][c]);
        if let Some(ahead) = ahead {
            for x in x.iter().take(2) {
                prefetch(x.as_ptr().wrapping_add(ahead), x.len());
            }
        }
        step.step(&mut low, array(|k| part(x[k], 0)));
        step.step(&mut high, array(|k| part(x[k], HALF)));
    }
    if let Some(ahead) = ahead {
        for x in rest.iter().take(2) {
            prefetch(x.as_ptr().wrapping_add(ahead), x.len());
        }
    }
    // What fills no chunk goes into as many lanes as there are left, where it fills those.
    take(&mut rest, &mut low, step);
    let lanes: [T; HALF] = through_memory(array(|l| J::join(low[l], high[l])));
    let mut lanes: [T; 8] = halved::<T, J, _, _>(lanes);
    take(&mut rest, &mut lanes, step);
    let mut lanes: [T; 4] = halved::<T, J, _, _>(lanes);
    take(&mut rest, &mut lanes, step);
    let mut lane: [T; 1] = halved::<T, J, 2, 1>(halved::<T, J, 4, 2>(lanes));
    for l in 0..rest[0].len() {
        step.step(&mut lane, array(|k| part(rest[k], l)));
    }
    lane[0]
}

/// The same lanes, by way of memory, so that the compiler, which would choose its vectors to suit the last steps of a sum, chooses them to suit the loop before.
#[inline(always)]
pub(crate) fn through_memory<T: Copy>(lanes: [T; HALF]) -> [T; HALF] {
    /// Not across two lines of the cache, where the stack may happen to begin so: a vector that was just written to both takes about 10 ns more to be read in parts.
    #[derive(Clone, Copy)]
    #[repr(align(64))]
    struct Aligned<T>([T; HALF]);
    black_box(Aligned(lanes)).0
}

/// N elements from `at` on.
#[inline(always)]
fn part<T, const N: usize>(x: &[T], at: usize) -> &[T; N] {
    &x[at..at + N].as_chunks().0[0]
}

/// As many elements as there are lanes, into these, if there are so many.
#[inline(always)]
fn take<T: Scalar, J: Join<T>, const K: usize, const N: usize>(
    rest: &mut [&[T]; K],
    lanes: &mut [T; N],
    step: &impl Step<T, J, K>,
) {
    if rest[0].len() >= N {
        step.step(lanes, array(|k| part(rest[k], 0)));
        *rest = array(|k| &rest[k][N..]);
    }
}

/// Half as many lanes.
#[inline(always)]
pub(crate) fn halved<T: Scalar, J: Join<T>, const N: usize, const H: usize>(
    lanes: [T; N],
) -> [T; H] {
    array(|l| J::join(lanes[l], lanes[H + l]))
}
