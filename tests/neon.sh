#!/usr/bin/env bash
# Tests compiled for aarch64 and run under qemu, with the NEON path forced (TIEGRAD_SIMD=portable: the portable one). The test
# `the_level_is_the_one_asked_for` fails if that path was not taken. On an aarch64 machine they run without qemu.
#
#   tests/neon.sh [arguments of `cargo test`; without any: -p tiegrad-kernels --lib]
#
# On x86-64 it needs `apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross`, and a standard library for aarch64:
# `rustup target add aarch64-unknown-linux-gnu`. Where that is not there, Debian's newest rustc and its library for arm64 are fetched (150 MB)
# and unpacked below the target directory; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- -p tiegrad-kernels --lib
export TIEGRAD_SIMD=${TIEGRAD_SIMD:-neon}
if [ "$(uname -m)" = aarch64 ]; then
    exec cargo test --locked "$@"
fi

triple=aarch64-unknown-linux-gnu
for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v $tool > /dev/null || { echo "$tool is missing: the first lines of $0 say what to install" >&2; exit 1; }
done
mkdir -p "${CARGO_TARGET_DIR:-target}/neon"
dir=$(cd "${CARGO_TARGET_DIR:-target}/neon" && pwd)

# A compiler of Debian unstable below $dir, in a package database of its own.
fetch() {
    mkdir -p "$dir"/apt/etc/apt/{apt.conf.d,preferences.d,sources.list.d} "$dir"/apt/var/{lib/apt/lists/partial,lib/dpkg,cache/apt/archives/partial} "$dir"/{debs,root}
    : > "$dir/apt/var/lib/dpkg/status"
    # Mirrors may lag behind the week for which a list of packages is valid.
    echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg check-valid-until=no] http://deb.debian.org/debian sid main' > "$dir/apt/etc/apt/sources.list"
    cat > "$dir/apt.conf" <<CONF
Dir "$dir/apt/";
Dir::State::status "$dir/apt/var/lib/dpkg/status";
APT::Architecture "amd64";
APT::Architectures {"amd64";"arm64";};
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
    export APT_CONFIG=$dir/apt.conf
    apt-get update
    # What rustc runs on, but not another C compiler.
    packages=$(apt-get install -s --no-install-recommends rustc libstd-rust-dev:arm64 | awk '/^Inst/ { print $2 }' | grep -vE ':arm64$|^(gcc|cpp|binutils)')
    # shellcheck disable=SC2086 # names, one a word
    (cd "$dir/debs" && apt-get download $packages libstd-rust-dev:arm64)
    for package in "$dir"/debs/*.deb; do
        dpkg-deb -x "$package" "$dir/root"
    done
    rm -r "$dir/debs"
    unset APT_CONFIG
    # It brings its own C library, which it is run with; programs that it makes use this machine's.
    cat > "$dir/rustc.part" <<RUSTC
#!/bin/sh
exec "$dir/root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$dir/root/usr/lib/x86_64-linux-gnu" "$dir/root/usr/bin/rustc" "\$@"
RUSTC
    chmod +x "$dir/rustc.part"
    mv "$dir/rustc.part" "$dir/rustc"
}
if ! ls "$(rustc --print target-libdir --target $triple)"/libstd-* > /dev/null 2>&1; then
    [ -x "$dir/rustc" ] || fetch
    export RUSTC=$dir/rustc
    "$RUSTC" --version
fi

export CARGO_TARGET_DIR=$dir
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
cargo test --locked --target $triple "$@"
