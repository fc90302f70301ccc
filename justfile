# Thin aliases: every recipe is one command that can be typed without just.

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

# Instructions of the W1 step, by callgrind: repeatable where times are not.
count-w1:
    cargo build --release -p tiegrad-benches --bin w1
    valgrind --tool=callgrind --callgrind-out-file=target/w1.callgrind target/release/w1 20000

# Cold build of a program that only depends on the library.
build-time:
    benches/build-time.sh

# Kernels, arena and tape memory under AddressSanitizer. The kernels' matmul tests run every path that the machine has.
asan:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test --target x86_64-unknown-linux-gnu -p tiegrad-kernels -p tiegrad-arena -p tiegrad-autodiff -p tiegrad-check --lib --tests
