#!/usr/bin/env bash
# Cold build of a program that only depends on the library: seconds of wall and CPU time. Needs a filled registry cache (run it twice
# on a fresh machine, and count the second).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/src"
cat > "$dir/Cargo.toml" <<TOML
[package]
name = "w1"
version = "0.1.0"
edition = "2024"
[dependencies]
tiegrad = { path = "$root/crates/tiegrad" }
[workspace]
TOML
cat > "$dir/src/main.rs" <<'RS'
use tiegrad::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut params = Params::<f32>::new();
    let net = (Linear::new(&mut params, 4, 8, &mut rng), ReLU, Linear::new(&mut params, 8, 1, &mut rng));
    let (x, y) = (Array2::<f32>::ones((2, 4)), Array2::<f32>::zeros((2, 1)));
    let (mut tape, mut opt) = (Tape::new(), SGD::new(0.01));
    for _ in 0..100 {
        let g = tape.record(&mut params);
        let loss = net.forward(g.input(&x)).mse_loss(g.input(&y)).backward()?;
        opt.step(&mut params)?;
        params.zero_grad();
        println!("{loss}");
    }
    Ok(())
}
RS
cd "$dir"
cargo fetch --quiet
TIMEFORMAT='cold release build: %R s wall, %U s user + %S s system'
time cargo build --release --quiet --target-dir "$dir/target"
echo "packages in Cargo.lock: $(grep -c '^name = ' Cargo.lock)"
strip -o "$dir/stripped" "$dir/target/release/w1"
echo "stripped program: $(stat -c %s "$dir/stripped") bytes"
