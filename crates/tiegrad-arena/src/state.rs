//! What an optimizer remembers about each parameter.

use std::fmt;

use ndarray::{ArrayBase, ArrayViewD, Data, Dimension};
use tiegrad_kernels::buffer::AlignedBuf;
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::places::{self, Place, Places};
use crate::values::Values;

/// An optimizer's state: named slabs (`exp_avg`, `momentum_buffer` …) parallel to the values, and a step counter per slot.
///
/// It follows the arena by id: after [`sync`](Self::sync), what belongs to live parameters is where they are now, that of
/// removed ones is gone, and that of new ones is zero; but what was [forked](crate::Params::fork) from a parameter that the state knew
/// begins with a copy of that one's.
///
/// ```
/// use tiegrad_arena::{Params, Shape, State};
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert_with(Shape::new(&[3])?, |_| {});
/// let mut state = State::new(["exp_avg", "exp_avg_sq"]);
/// state.sync(params.values());
/// let ([avg, avg_sq], steps) = state.parts_mut();
/// avg[1] = 0.5;
/// avg_sq[1] = 0.25;
/// steps[id.index()] += 1;
/// assert_eq!(state.tensor(id, "exp_avg")?.to_vec_of(), [0.0, 0.5, 0.0]);
/// assert_eq!(state.step(id)?, 1);
/// # trait ToVec { fn to_vec_of(&self) -> Vec<f32>; }
/// # impl ToVec for ndarray::ArrayViewD<'_, f32> { fn to_vec_of(&self) -> Vec<f32> { self.iter().copied().collect() } }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct State<T> {
    names: Vec<Box<str>>,
    slabs: Vec<AlignedBuf<T>>,
    steps: Vec<u64>,
    places: Places,
}

impl<T: Scalar> State<T> {
    /// State with slabs of these names; takes no memory for them before the first [`sync`](Self::sync).
    ///
    /// ```
    /// use tiegrad_arena::State;
    ///
    /// let state = State::<f32>::new(["momentum_buffer"]);
    /// assert!(state.names().eq(["momentum_buffer"]));
    /// ```
    pub fn new<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(|name| name.as_ref().into()).collect();
        let slabs = names.iter().map(|_| AlignedBuf::new()).collect();
        Self {
            names,
            slabs,
            steps: Vec::new(),
            places: Places::default(),
        }
    }

    /// Follows the arena's layout: one compare when it has not changed.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// params.insert_with(Shape::SCALAR, |_| {});
    /// state.sync(params.values());
    /// assert_eq!(state.steps().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn sync(&mut self, values: &Values<T>) {
        if self.places.layout != values.layout() {
            self.follow(Places::of(values));
        }
    }

    /// The slabs in the order of their names, for one fused pass over all. Slabs there are not come out empty.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// let [avg, avg_sq] = state.slabs_mut();
    /// avg.iter_mut().zip(avg_sq).for_each(|(m, v)| (*m, *v) = (1.0, 2.0));
    /// assert_eq!(state.slab(1).map(|v| v[0]), Some(2.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slabs_mut<const N: usize>(&mut self) -> [&mut [T]; N] {
        self.parts_mut().0
    }

    /// [`slabs_mut`](Self::slabs_mut), and the step counters by slot index.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// let ([avg, _], steps) = state.parts_mut();
    /// steps[id.index()] += 1;
    /// avg[0] = 0.1;
    /// assert_eq!(state.step(id), Ok(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn parts_mut<const N: usize>(&mut self) -> ([&mut [T]; N], &mut [u64]) {
        let mut slabs = self.slabs.iter_mut();
        (
            std::array::from_fn(|_| {
                slabs
                    .next()
                    .map_or_else(Default::default, |slab| slab.as_mut_slice())
            }),
            &mut self.steps,
        )
    }

    /// One slab, by its place in the list of names.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert_eq!(state.slab(0).map(|slab| slab.len()), Some(16));
    /// assert_eq!(state.slab(2), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn slab(&self, index: usize) -> Option<&[T]> {
        self.slabs.get(index).map(|slab| slab.as_slice())
    }

    /// How many steps each slot has had.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert_eq!(state.steps(), [0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn steps(&self) -> &[u64] {
        &self.steps
    }

    /// The step counters, to be changed.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// state.steps_mut()[id.index()] = 3;
    /// assert_eq!(state.step(id), Ok(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn steps_mut(&mut self) -> &mut [u64] {
        &mut self.steps
    }

    /// The names of the slabs.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert!(state.names().eq(["exp_avg", "exp_avg_sq"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.names.iter().map(|name| &**name)
    }

    /// The parameters that this state knows, in slot order.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert!(state.ids().eq([id]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + '_ {
        self.places.slots.iter().filter_map(|place| place.id)
    }

    /// The parameter whose state `id` has after the next [`sync`](Self::sync) with these values: its own, or, for one that this state has not
    /// seen yet, that which it was [forked](crate::Params::fork) from. `None` for one that will begin at zero.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// let (copy, new) = (params.fork(id)?, params.insert_with(Shape::SCALAR, |_| {}));
    /// assert_eq!([id, copy, new].map(|id| state.source(id, params.values())), [Some(id), Some(id), None]);
    /// state.sync(params.values());
    /// assert_eq!([id, copy, new].map(|id| state.source(id, params.values())), [Some(id), Some(copy), Some(new)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn source(&self, id: ParamId, values: &Values<T>) -> Option<ParamId> {
        let mut source = id;
        while self.places.get(source).is_none() {
            source = values.slot(source).ok()?.forked_from?;
        }
        Some(source)
    }

    /// How many steps a parameter has had.
    ///
    /// # Errors
    /// [`ArenaError::OutOfStep`] for a parameter that was not there at the last `sync`.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert_eq!(state.step(id), Ok(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn step(&self, id: ParamId) -> Result<u64, ArenaError> {
        self.place(id)?;
        Ok(self.steps.get(id.index()).copied().unwrap_or(0))
    }

    /// Sets how many steps a parameter has had (when a checkpoint is loaded).
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// state.set_step(id, 100)?;
    /// assert_eq!(state.step(id), Ok(100));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_step(&mut self, id: ParamId, step: u64) -> Result<(), ArenaError> {
        self.place(id)?;
        if let Some(slot) = self.steps.get_mut(id.index()) {
            *slot = step;
        }
        Ok(())
    }

    /// What slab `name` holds for a parameter, not copied.
    ///
    /// # Errors
    /// [`ArenaError::OutOfStep`] for a parameter that was not there at the last `sync`, [`ArenaError::UnknownTensor`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// assert_eq!(state.tensor(id, "exp_avg")?.shape(), [2]);
    /// assert!(state.tensor(id, "exp_max").is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tensor(&self, id: ParamId, name: &str) -> Result<ArrayViewD<'_, T>, ArenaError> {
        let (place, slab) = (self.place(id)?, self.named(name)?);
        places::view(id, &place.shape, &self.slabs[slab][place.range()])
    }

    /// Sets what slab `name` holds for a parameter.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), and [`ArenaError::Shape`] for an array of another shape than the parameter's; nothing has
    /// changed then.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// state.set_tensor(id, "exp_avg", &ndarray::arr1(&[1.0, 2.0]))?;
    /// assert_eq!(state.tensor(id, "exp_avg")?[[1]], 2.0);
    /// assert!(state.set_tensor(id, "exp_avg", &ndarray::arr1(&[1.0])).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_tensor<S, D>(
        &mut self,
        id: ParamId,
        name: &str,
        value: &ArrayBase<S, D>,
    ) -> Result<(), ArenaError>
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        let (place, slab) = (*self.place(id)?, self.named(name)?);
        if place.shape != *value.shape() {
            return Err(places::mismatch(id, &place.shape, value.shape()));
        }
        for (to, &from) in self.slabs[slab][place.range()].iter_mut().zip(value.iter()) {
            *to = from;
        }
        Ok(())
    }

    /// Forgets everything: zeros, and no steps.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape, State};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let mut state = State::new(["exp_avg", "exp_avg_sq"]);
    /// # state.sync(params.values());
    /// state.set_step(id, 5)?;
    /// state.reset();
    /// assert_eq!(state.step(id), Ok(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset(&mut self) {
        self.slabs.iter_mut().for_each(|slab| slab.fill(T::ZERO));
        self.steps.fill(0);
    }

    fn place(&self, id: ParamId) -> Result<&Place, ArenaError> {
        self.places.get(id).ok_or(ArenaError::OutOfStep {
            call: "`State::sync`",
        })
    }

    fn named(&self, name: &str) -> Result<usize, ArenaError> {
        let index = self.names.iter().position(|known| **known == *name);
        index.ok_or_else(|| ArenaError::UnknownTensor {
            name: name.into(),
            known: self.names.clone().into(),
        })
    }

    #[cold]
    fn follow(&mut self, new: Places) {
        let forks = self.places.forks(&new);
        for slab in &mut self.slabs {
            self.places.carry(slab, &new, &forks);
        }
        let begin: Vec<u64> = forks
            .iter()
            .map(|&(from, _)| self.steps.get(from).copied().unwrap_or(0))
            .collect();
        self.steps.resize(new.slots.len(), 0);
        for (index, step) in self.steps.iter_mut().enumerate() {
            if !self.places.keeps(index, &new) {
                *step = 0;
            }
        }
        for ((_, to), begin) in forks.into_iter().zip(begin) {
            if let Some(step) = self.steps.get_mut(to) {
                *step = begin;
            }
        }
        self.places = new;
    }
}

impl<T: Scalar> Clone for State<T> {
    fn clone(&self) -> Self {
        Self {
            names: self.names.clone(),
            slabs: self.slabs.clone(),
            steps: self.steps.clone(),
            places: self.places.clone(),
        }
    }
}

impl<T: Scalar> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("dtype", &T::DTYPE.name())
            .field("names", &self.names)
            .field("params", &self.ids().count())
            .finish_non_exhaustive()
    }
}
