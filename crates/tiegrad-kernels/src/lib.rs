//! Numbers on slices for tiegrad: matmul, elementwise, reductions, normalization, attention, threads.
