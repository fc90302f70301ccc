//! Passes over touched slots as few long stretches of the slab.

use std::fmt;
use std::ops::Range;

use crate::id::ParamId;
use crate::places::{self, Place};

/// A stretch of the slabs that belongs to touched, selected parameters only.
///
/// Values, gradients and optimizer state have it at the same elements. See [`Grads::runs`](crate::Grads::runs).
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// # let mut params = Params::<f32>::new();
/// # for len in [3, 20, 1] {
/// #     params.insert_with(Shape::new(&[len])?, |_| {});
/// # }
/// # let (values, grads) = params.split_mut();
/// # grads.prepare(values);
/// # for index in 0..3 {
/// #     grads.touch(index);
/// # }
/// // Parameters of 3, 20 and 1 elements; the second is left out.
/// let second = values.slots()[1].id;
/// let runs: Vec<_> = grads.runs(values, |id| Some(id) != second)?.collect();
/// assert_eq!((runs[0].range.clone(), runs[0].slots.clone()), (0..16, 0..1));
/// assert_eq!((runs[1].range.clone(), runs[1].slots.clone()), (48..64, 2..3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Its elements, padding included: a multiple of 16 of them.
    pub range: Range<usize>,
    /// The slots that lie in it, one behind the other, all live.
    pub slots: Range<usize>,
}

/// The iterator that [`Grads::runs`](crate::Grads::runs) returns; it allocates nothing.
///
/// ```
/// # use tiegrad_arena::{Params, Shape};
/// # let mut params = Params::<f32>::new();
/// # for len in [3, 20, 1] {
/// #     params.insert_with(Shape::new(&[len])?, |_| {});
/// # }
/// # let (values, grads) = params.split_mut();
/// # grads.prepare(values);
/// # for index in 0..3 {
/// #     grads.touch(index);
/// # }
/// // Three parameters with gradients that lie side by side: one stretch.
/// let mut runs = grads.runs(values, |_| true)?;
/// assert_eq!(runs.next().map(|run| run.slots), Some(0..3));
/// assert!(runs.next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Runs<'a, F> {
    places: &'a [Place],
    marks: &'a [u32],
    epoch: u32,
    keep: F,
    next: usize,
}

impl<'a, F: FnMut(ParamId) -> bool> Runs<'a, F> {
    pub(crate) fn new(places: &'a [Place], marks: &'a [u32], epoch: u32, keep: F) -> Self {
        Self {
            places,
            marks,
            epoch,
            keep,
            next: 0,
        }
    }

    /// Start and padded end of slot `index`, if it is touched and selected.
    #[inline]
    fn wanted(&mut self, index: usize) -> Option<Range<usize>> {
        let place = self.places.get(index)?;
        let touched = self.marks.get(index) == Some(&self.epoch);
        (touched && place.id.is_some_and(&mut self.keep))
            .then(|| place.offset..place.offset + places::padded(place.shape.len()))
    }
}

impl<F: FnMut(ParamId) -> bool> Iterator for Runs<'_, F> {
    type Item = Run;

    #[inline]
    fn next(&mut self) -> Option<Run> {
        let (start, mut range) = loop {
            let index = self.next;
            if index >= self.places.len() {
                return None;
            }
            self.next += 1;
            if let Some(range) = self.wanted(index) {
                break (index, range);
            }
        };
        // A slot that does not lie right behind the last one starts a run of its own, at the next call.
        while self
            .places
            .get(self.next)
            .is_some_and(|place| place.offset == range.end)
            && let Some(more) = self.wanted(self.next)
        {
            range.end = more.end;
            self.next += 1;
        }
        Some(Run {
            range,
            slots: start..self.next,
        })
    }
}

impl<F> fmt::Debug for Runs<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}
