//! The tape of tiegrad: Tape, Graph, Var, ops and their rules.
