//! Optimizers, schedules and clipping for tiegrad.
