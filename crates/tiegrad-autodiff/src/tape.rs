//! [`Tape`]: the memory of a recording, and where a recording begins.

use bumpalo::Bump;
use tiegrad_arena::{Grads, Params, Values};
use tiegrad_kernels::Scalar;

use crate::graph::Graph;
use crate::memory::NumberArena;
use crate::recording::Core;

/// The memory that forward passes are recorded into. It has no type parameter and knows no parameters: one tape serves
/// any number of networks one after the other, and two tapes serve two networks at a time (teacher and pupil).
///
/// Each recording resets the memory and does not free it, so from the second or third step on nothing is allocated on the heap.
///
/// ```
/// use tiegrad_arena::Params;
/// use tiegrad_autodiff::Tape;
///
/// let mut params = Params::<f32>::new();
/// let mut tape = Tape::new();
/// for step in 0..3 {
///     let g = tape.record(&mut params);
///     let x = g.input(&[1.0, 2.0, step as f32]);
///     assert_eq!(x.sum().item()?, 3.0 + step as f32);
/// }
/// # Ok::<(), tiegrad_autodiff::Error>(())
/// ```
pub struct Tape {
    records: Bump,
    numbers: NumberArena,
    rng: RngState,
}

/// The random state of a [`Tape`]: what dropout masks follow from. A mask is a function of (seed, step, number of the
/// dropout op in the step, position), so these 16 bytes are all that a checkpoint has to keep.
///
/// ```
/// use tiegrad_autodiff::{RngState, Tape};
/// let mut tape = Tape::new();
/// tape.set_rng_state(RngState { seed: 7, step: 100 });
/// assert_eq!(tape.rng_state().step, 100);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RngState {
    /// Chosen by the user.
    pub seed: u64,
    /// Counts the recordings with gradients.
    pub step: u64,
}

impl Tape {
    /// A tape without memory; the first recording asks for some.
    ///
    /// ```
    /// let tape = tiegrad_autodiff::Tape::new();
    /// assert_eq!(tape.rng_state().seed, 0);
    /// ```
    pub fn new() -> Tape {
        Tape {
            records: Bump::new(),
            numbers: NumberArena::new(),
            rng: RngState::default(),
        }
    }

    /// Starts a recording with gradients, in training mode.
    ///
    /// The graph borrows the values of `params` shared and their gradients exclusively, so values cannot change between forward
    /// and backward: that is a compile error. The borrow ends with the last use of the graph and its Vars.
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert(&array![2.0, 3.0])?;
    /// let mut tape = Tape::new();
    /// let loss = tape.record(&mut params).param(w).square().sum().backward()?;
    /// assert_eq!(loss, 13.0);
    /// assert_eq!(params.grad_slice(w)?, Some(&[4.0, 6.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn record<'t, T: Scalar>(&'t mut self, params: &'t mut Params<T>) -> Graph<'t, T> {
        let (values, grads) = params.split();
        self.record_into(values, grads)
    }

    /// [`record`](Tape::record) over values that others read too, with gradients of one's own: several worker threads share
    /// `values`, each has its own [`Grads`], and [`Grads::reduce`] sums them in a fixed order.
    ///
    /// ```
    /// # use tiegrad_arena::{Grads, Params}; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert(&array![2.0])?;
    /// let mut mine = Grads::new(params.values());
    /// let mut tape = Tape::new();
    /// tape.record_into(params.values(), &mut mine).param(w).sum().backward()?;
    /// assert!(mine.is_touched(w.index()));
    /// assert!(params.grad(w)?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn record_into<'t, T: Scalar>(
        &'t mut self,
        values: &'t Values<T>,
        grads: &'t mut Grads<T>,
    ) -> Graph<'t, T> {
        grads.prepare(values);
        let rng = self.rng;
        self.rng.step = self.rng.step.wrapping_add(1);
        self.start(values, Some(grads), rng)
    }

    /// Starts a forward pass without gradients, in evaluation mode (no dropout).
    ///
    /// ```
    /// # use tiegrad_arena::Params; use tiegrad_autodiff::Tape; use ndarray::array;
    /// let mut params = Params::<f32>::new();
    /// let w = params.insert(&array![2.0, 3.0])?;
    /// let mut tape = Tape::new();
    /// assert_eq!(tape.eval(&params).param(w).sum().item()?, 5.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn eval<'t, T: Scalar>(&'t mut self, params: &'t Params<T>) -> Graph<'t, T> {
        let rng = self.rng;
        self.start(params.values(), None, rng)
    }

    #[inline]
    fn start<'t, T: Scalar>(
        &'t mut self,
        values: &'t Values<T>,
        grads: Option<&'t mut Grads<T>>,
        rng: RngState,
    ) -> Graph<'t, T> {
        self.records.reset();
        self.numbers.reset();
        let tape: &'t Tape = self;
        let core: &'t Core<'t, T> =
            tape.records
                .alloc(Core::new(&tape.records, &tape.numbers, values, grads, rng));
        Graph::new(core)
    }

    /// Sets the seed of the dropout masks and counts steps from 0 again.
    ///
    /// ```
    /// let mut tape = tiegrad_autodiff::Tape::new();
    /// tape.seed(42);
    /// assert_eq!(tape.rng_state().seed, 42);
    /// ```
    pub fn seed(&mut self, seed: u64) {
        self.rng = RngState { seed, step: 0 };
    }

    /// The random state that the next recording will use.
    ///
    /// ```
    /// assert_eq!(tiegrad_autodiff::Tape::new().rng_state().step, 0);
    /// ```
    pub fn rng_state(&self) -> RngState {
        self.rng
    }

    /// Goes on from a random state that [`Tape::rng_state`] gave: the masks that follow are those that would have followed there.
    ///
    /// ```
    /// use tiegrad_autodiff::Tape;
    /// let (mut a, b) = (Tape::new(), Tape::new());
    /// a.set_rng_state(b.rng_state());
    /// ```
    pub fn set_rng_state(&mut self, state: RngState) {
        self.rng = state;
    }

    /// Bytes that the tape holds (its high-water mark after warm-up).
    ///
    /// ```
    /// assert_eq!(tiegrad_autodiff::Tape::new().capacity(), 0);
    /// ```
    pub fn capacity(&self) -> usize {
        self.records.allocated_bytes() + self.numbers.capacity()
    }
}

impl Default for Tape {
    fn default() -> Tape {
        Tape::new()
    }
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape")
            .field("capacity", &self.capacity())
            .field("rng", &self.rng)
            .finish()
    }
}
