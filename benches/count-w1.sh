#!/bin/sh
# Instructions of one W1 step, by valgrind's callgrind: the difference between 21,000 and 1,000 steps, so that the program's start does not count.
set -eu
cd "$(dirname "$0")/.."
cargo build --release -p tiegrad-benches --bin w1
target=${CARGO_TARGET_DIR:-target}
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$target/release/w1" "$1" 2>&1 | awk '/Collected/ { print $4 }'
}
few=$(count 1000)
many=$(count 21000)
awk "BEGIN { print ($many - $few) / 20000, \"instructions a step\" }"
