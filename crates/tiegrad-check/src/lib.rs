//! Gradient checks for tiegrad.
