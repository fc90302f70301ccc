//! A CPU engine for training neural networks in which ties cannot break.
