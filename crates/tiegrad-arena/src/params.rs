//! The arena.

use std::fmt;
use std::panic::Location;

use ndarray::{ArrayBase, ArrayD, Data, Dimension};
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::grads::Grads;
use crate::id::ParamId;
use crate::shape::Shape;
use crate::show::Show;
use crate::values::Values;

/// The parameters of networks, values and gradients. Layers hold [`ParamId`]s into it.
///
/// `clone` and [`cast`](Self::cast) keep ids valid (and copy no gradients), so that the same network runs under a copy: moving
/// averages, target networks, gradient checks in `f64`. What two copies insert afterwards is foreign to each other.
///
/// ```
/// use ndarray::arr2;
/// use tiegrad_arena::Params;
///
/// let mut params = Params::<f32>::new();
/// let id = params.insert(&arr2(&[[1.0, 2.0], [3.0, 4.0]]))?;
/// params.value_mut(id)?[[0, 0]] = 5.0;
/// let precise = params.cast::<f64>();
/// assert_eq!(precise.value(id)?, arr2(&[[5.0, 2.0], [3.0, 4.0]]).into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Params<T> {
    pub(crate) values: Values<T>,
    pub(crate) grads: Grads<T>,
}

impl<T: Scalar> Params<T> {
    /// An empty arena; allocates nothing.
    ///
    /// ```
    /// use tiegrad_arena::Params;
    ///
    /// assert!(Params::<f32>::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self {
            values: Values::new(),
            grads: Grads::default(),
        }
    }

    /// An empty arena with room for `elements` values in one piece (each parameter is padded to a multiple of 16).
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    ///
    /// let mut params = Params::<f32>::with_capacity(32);
    /// let start = params.values().slab().as_ptr();
    /// for _ in 0..2 {
    ///     params.insert_with(Shape::new(&[16])?, |_| {});
    /// }
    /// assert_eq!(params.values().slab().as_ptr(), start);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_capacity(elements: usize) -> Self {
        let mut params = Self::new();
        params.reserve(elements);
        params
    }

    /// Makes room for `elements` more values.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.reserve(1000);
    /// assert_eq!(params.as_slice(id)?, [1.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reserve(&mut self, elements: usize) {
        self.values.slab.reserve(elements);
    }

    /// Inserts a parameter whose values `fill` writes, row-major; they start as zeros. Amortized O(elements).
    ///
    /// Never fails: an arena that is full gives [`ParamId::DEAD`], whose use is a typed error. Where sizes come from outside,
    /// use [`try_insert_with`](Self::try_insert_with).
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    ///
    /// let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::new(&[2, 2])?, |w| w[3] = 1.0);
    /// assert_eq!(params.as_slice(id)?, [0.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn insert_with(&mut self, shape: Shape, fill: impl FnOnce(&mut [T])) -> ParamId {
        self.try_insert_with(shape, fill).unwrap_or(ParamId::DEAD)
    }

    /// [`insert_with`](Self::insert_with) that says why it could not.
    ///
    /// # Errors
    /// [`ArenaError::Full`], [`ArenaError::Memory`], [`ArenaError::TooManyArenas`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let huge = Shape::new(&[1 << 31, 1 << 31])?;
    /// assert!(params.try_insert_with(huge, |_| {}).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn try_insert_with(
        &mut self,
        shape: Shape,
        fill: impl FnOnce(&mut [T]),
    ) -> Result<ParamId, ArenaError> {
        self.values.insert(shape, Location::caller(), fill)
    }

    /// Inserts a copy of an array, in row-major order whatever its strides.
    ///
    /// # Errors
    /// [`ArenaError::BadShape`] for more than 8 dimensions, [`ArenaError::Full`], [`ArenaError::Memory`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let id = params.insert(&ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).t())?;
    /// assert_eq!(params.as_slice(id)?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn insert<S, D>(&mut self, value: &ArrayBase<S, D>) -> Result<ParamId, ArenaError>
    where
        S: Data<Elem = T>,
        D: Dimension,
    {
        let shape = Shape::new(value.shape())?;
        self.try_insert_with(shape, |slice| match value.as_slice() {
            Some(values) => slice.copy_from_slice(values),
            None => slice
                .iter_mut()
                .zip(value.iter())
                .for_each(|(to, &from)| *to = from),
        })
    }

    /// Removes a parameter and returns its value. Its slot and its memory may be used by later insertions; its id is
    /// stale from now on, and who uses it still gets an error that names this line.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`], as for every use of an id.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.remove(id)?, ndarray::arr1(&[1.0, 1.0]).into_dyn());
    /// let error = params.remove(id).unwrap_err().to_string();
    /// assert!(error.contains(&format!("was removed at {}:", file!())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn remove(&mut self, id: ParamId) -> Result<ArrayD<T>, ArenaError> {
        let value = self.value(id)?.into_owned();
        self.values.remove(id, Location::caller())?;
        self.follow();
        Ok(value)
    }

    /// Closes the holes that removals have left and lays the parameters out in slot order. Ids, values and gradients
    /// stay. O(elements); needs the memory of both layouts for the moment.
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    ///
    /// let mut params = Params::<f32>::new();
    /// let [a, b] = [1.0, 2.0].map(|x| params.insert_with(Shape::SCALAR, |w| w[0] = x));
    /// params.remove(a)?;
    /// params.compact();
    /// assert_eq!(params.values().slot(b)?.offset, 0);
    /// assert_eq!(params.as_slice(b)?, [2.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&mut self) {
        self.values.compact();
        self.follow();
    }

    /// The same parameters under the same ids in another scalar type (of a dual number, the real part). Gradients are not
    /// copied. O(elements).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.cast::<f64>().as_slice(id)?, [1.0f64, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cast<U: Scalar>(&self) -> Params<U> {
        Params {
            values: self.values.cast(),
            grads: Grads::default(),
        }
    }

    /// Makes every gradient `None`. O(1): the bytes stay, and the next backward pass overwrites them.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let (values, grads) = params.split();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[values.slot(id)?.range()].fill(0.5);
    /// params.zero_grad();
    /// assert_eq!(params.grad(id)?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn zero_grad(&mut self) {
        self.grads.zero_grad();
    }

    /// Prints a parameter: shape, type, whether it is trained, values (or why the id is of none).
    ///
    /// ```
    /// use tiegrad_arena::{Params, Shape};
    ///
    /// let mut params = Params::<f32>::new();
    /// let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(0.5));
    /// assert_eq!(params.show(id).to_string(), "Parameter([2], float32, requires_grad=true)\n[0.5, 0.5]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn show(&self, id: ParamId) -> Show<'_, T> {
        Show {
            values: &self.values,
            id,
        }
    }

    /// The values: what forward passes read.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.values().slice(id)?, [1.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn values(&self) -> &Values<T> {
        &self.values
    }

    /// The gradients.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert!(!params.grads().is_touched(id.index()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn grads(&self) -> &Grads<T> {
        &self.grads
    }

    /// Values, shared, and gradients, exclusively: what a recording tape borrows. Gradients that were laid out before are laid
    /// out as the values are.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let (values, grads) = params.split();
    /// grads.prepare(values);
    /// assert_eq!(grads.slab().len(), values.slab().len());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn split(&mut self) -> (&Values<T>, &mut Grads<T>) {
        let (values, grads) = self.split_mut();
        (values, grads)
    }

    /// Values and gradients, both exclusively: what an optimizer borrows. Gradients that were laid out before are laid out as
    /// the values are.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let (values, grads) = params.split();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[values.slot(id)?.range()].fill(0.5);
    /// let (values, grads) = params.split_mut();
    /// let range = values.slot(id)?.range();
    /// for (w, g) in values.slab_mut()[range].iter_mut().zip(grads.slice(id).unwrap()) {
    ///     *w -= 0.5 * g;
    /// }
    /// assert_eq!(params.as_slice(id)?, [0.75, 0.75]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn split_mut(&mut self) -> (&mut Values<T>, &mut Grads<T>) {
        self.follow();
        (&mut self.values, &mut self.grads)
    }

    /// The number that stands for where everything lies. It changes whenever an offset may have changed (insert, remove,
    /// compact) and is the same in a copy until one of the two changes; no two different layouts share one.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// let (before, copy) = (params.layout(), params.clone());
    /// params.insert_with(Shape::SCALAR, |_| {});
    /// assert_ne!(params.layout(), before);
    /// assert_eq!(copy.layout(), before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn layout(&self) -> u64 {
        self.values.layout()
    }

    /// Keeps gradients that are there where the values are. Allocates none.
    #[inline]
    fn follow(&mut self) {
        if self.grads.is_laid_out() {
            self.grads.prepare(&self.values);
        }
    }
}

impl<T: Scalar> Clone for Params<T> {
    fn clone(&self) -> Self {
        Self {
            values: self.values.clone(),
            grads: Grads::default(),
        }
    }

    /// Copies into the memory that is there (a target network that is brought up to date). Gradients become `None`.
    fn clone_from(&mut self, source: &Self) {
        self.values.clone_from(&source.values);
        self.grads.zero_grad();
    }
}

impl<T: Scalar> Default for Params<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Scalar> fmt::Debug for Params<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Params")
            .field("dtype", &T::DTYPE.name())
            .field("len", &self.len())
            .field("num_elements", &self.num_elements())
            .finish_non_exhaustive()
    }
}
