//! The module tree, layers and initializers of tiegrad.
