# Thin aliases: every recipe is one command that can be typed without just.

# This list.
default:
    @just --list

# What CI runs.
ci:
    .ci/run

# All tests, as the README says.
test:
    cargo test --workspace

# Train on the embedded text.
train *ARGS:
    cargo run --release -- {{ARGS}}

# Training steps: W1 (4-8-1 net), W2 (784-512-512-10), W3 (the GPT).
bench-steps *ARGS:
    cargo bench -p tiegrad-benches --bench steps -- {{ARGS}}

# Matrix products against other libraries: shapes, types, forms, threads=2, random=200 (see the program's first lines).
bench-matmul *ARGS:
    cargo bench -p tiegrad-benches --bench matmul -- {{ARGS}}

# Elementwise and row-wise kernels against copies, libmvec, ndarray and a C loop.
bench-elementwise *ARGS:
    cargo bench -p tiegrad-benches --bench elementwise -- {{ARGS}}

# The largest error of every function over all f32 (about ten minutes on two cores), and over millions of f64.
ulp *FUNCTIONS='all':
    cargo run --release -p tiegrad-kernels --example ulp -- {{FUNCTIONS}}
    cargo run --release -p tiegrad-kernels --example ulp -- {{FUNCTIONS}} --f64

# Instructions of the W1 step, by callgrind: repeatable where times are not.
count-w1:
    benches/count-w1.sh

# What names, selections and prints of 10,000 layers cost.
bench-tree:
    cargo run --release -p tiegrad-benches --bin tree

# Cold build of a program that only depends on the library.
build-time:
    benches/build-time.sh

# Kernels compiled for aarch64 and run under qemu, on the NEON path. The first lines of the script say what it needs.
test-neon *ARGS:
    tests/neon.sh {{ARGS}}

# Kernels, arena and tape memory under AddressSanitizer. The kernels' matmul tests run every path that the machine has.
asan:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --target x86_64-unknown-linux-gnu -p tiegrad-kernels -p tiegrad-arena -p tiegrad-autodiff -p tiegrad-check --lib --tests
