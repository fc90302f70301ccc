//! The training steps that the benchmarks time, each exactly the work that `docs/performance.md` states.
