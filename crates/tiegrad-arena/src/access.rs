//! Looking at the parameters of an arena: which there are, their values and gradients.

use ndarray::{ArrayViewD, ArrayViewMutD};
use tiegrad_kernels::scalar::Scalar;

use crate::error::ArenaError;
use crate::id::ParamId;
use crate::params::Params;
use crate::places;
use crate::slot::ParamInfo;

impl<T: Scalar> Params<T> {
    /// Whether the id is of a parameter that is here.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert!(params.contains(id));
    /// params.remove(id)?;
    /// assert!(!params.contains(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn contains(&self, id: ParamId) -> bool {
        self.values
            .slots
            .get(id.index())
            .is_some_and(|slot| slot.id == Some(id))
    }

    /// How many parameters there are (tied ones are one).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.values.live
    }

    /// Whether there are none.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert!(!params.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many elements the parameters have together.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.num_elements(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn num_elements(&self) -> usize {
        self.values.elements
    }

    /// The ids of all parameters, in slot order.
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert!(params.ids().eq([id]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ids(&self) -> impl Iterator<Item = ParamId> + Clone + '_ {
        self.values.slots.iter().filter_map(|slot| slot.id)
    }

    /// What is known about a parameter.
    ///
    /// # Errors
    /// [`ArenaError::Stale`], [`ArenaError::Foreign`] or [`ArenaError::Dead`].
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.info(id)?.shape, [2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn info(&self, id: ParamId) -> Result<&ParamInfo, ArenaError> {
        self.values.slot(id).map(|slot| &slot.info)
    }

    /// Whether training should change the parameter.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert!(params.requires_grad(id)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn requires_grad(&self, id: ParamId) -> Result<bool, ArenaError> {
        self.info(id).map(|info| info.requires_grad)
    }

    /// Freezes a parameter (`false`) or thaws it (`true`). A gradient that is there already stays.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.set_requires_grad(id, false)?;
    /// assert!(!params.requires_grad(id)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_requires_grad(
        &mut self,
        id: ParamId,
        requires_grad: bool,
    ) -> Result<(), ArenaError> {
        self.values.set_requires_grad(id, requires_grad)
    }

    /// The value of a parameter, not copied.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.value(id)?[[1]], 1.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value(&self, id: ParamId) -> Result<ArrayViewD<'_, T>, ArenaError> {
        self.values.view(id)
    }

    /// The value of a parameter, to be changed.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.value_mut(id)?[[1]] = 3.0;
    /// assert_eq!(params.as_slice(id)?, [1.0, 3.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn value_mut(&mut self, id: ParamId) -> Result<ArrayViewMutD<'_, T>, ArenaError> {
        self.values.view_mut(id)
    }

    /// The gradient of a parameter, not copied: `None` until a backward pass has reached it.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.grad(id)?, None);
    /// # let (values, grads) = params.split();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[values.slot(id)?.range()].fill(0.5);
    /// assert_eq!(params.grad(id)?, Some(ndarray::aview1(&[0.5, 0.5]).into_dyn()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grad(&self, id: ParamId) -> Result<Option<ArrayViewD<'_, T>>, ArenaError> {
        let shape = &self.info(id)?.shape;
        self.grads
            .slice(id)
            .map(|grad| places::view(id, shape, grad))
            .transpose()
    }

    /// As [`grad`](Self::grad), to be changed.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let (values, grads) = params.split();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[values.slot(id)?.range()].fill(0.5);
    /// if let Some(mut grad) = params.grad_mut(id)? {
    ///     grad *= 2.0;
    /// }
    /// assert_eq!(params.grad_slice(id)?, Some(&[1.0, 1.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn grad_mut(&mut self, id: ParamId) -> Result<Option<ArrayViewMutD<'_, T>>, ArenaError> {
        let shape = self.info(id)?.shape;
        self.grads
            .slice_mut(id)
            .map(|grad| places::view_mut(id, &shape, grad))
            .transpose()
    }

    /// The value of a parameter, row-major.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// assert_eq!(params.as_slice(id)?, [1.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn as_slice(&self, id: ParamId) -> Result<&[T], ArenaError> {
        self.values.slice(id)
    }

    /// As [`as_slice`](Self::as_slice), to be changed.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// params.as_mut_slice(id)?[0] = 2.0;
    /// assert_eq!(params.as_slice(id)?, [2.0, 1.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn as_mut_slice(&mut self, id: ParamId) -> Result<&mut [T], ArenaError> {
        self.values.slice_mut(id)
    }

    /// The gradient of a parameter, row-major: `None` until a backward pass has reached it.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    ///
    /// ```
    /// # use tiegrad_arena::{Params, Shape};
    /// # let mut params = Params::<f32>::new();
    /// # let id = params.insert_with(Shape::new(&[2])?, |w| w.fill(1.0));
    /// # let (values, grads) = params.split();
    /// # grads.prepare(values);
    /// # grads.touch(id.index());
    /// # grads.slab_mut()[values.slot(id)?.range()].fill(0.5);
    /// assert_eq!(params.grad_slice(id)?, Some(&[0.5, 0.5][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn grad_slice(&self, id: ParamId) -> Result<Option<&[T]>, ArenaError> {
        self.info(id)?;
        Ok(self.grads.slice(id))
    }
}
