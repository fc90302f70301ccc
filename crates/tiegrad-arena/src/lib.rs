//! The parameter arena of tiegrad: ParamId, Params, gradients, Shape.
