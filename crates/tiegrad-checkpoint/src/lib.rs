//! Checkpoints of tiegrad in the safetensors format.
