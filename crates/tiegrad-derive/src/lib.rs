//! #[derive(Module)] for tiegrad.
