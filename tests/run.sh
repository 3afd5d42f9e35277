#!/bin/sh
# The one command: names and installs what the tests need, then runs every test.
#
#   tests/run.sh            everything that CI runs
#   tests/run.sh --long     and the tests of minutes: a gigabyte each way; the storm of reloads, upgrades and
#                           kills, alone: cargo test --release --test long storm -- --nocapture
#   tests/run.sh --soak [N] nothing but random exchanges and faults against a release build, for N minutes or an hour
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
    --long) tests/install.sh --long ;;
    *) tests/install.sh ;;
esac

if [ "${1:-}" = "--soak" ]; then
    exec cargo test --release --test soak -- "${2:-60}"
fi

# With nextest each test has a process of its own, and those that fill the machine run alone; cargo test takes their place.
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast
else
    cargo test --workspace --no-fail-fast --lib --bins --tests
fi
cargo test --workspace --doc

# Once more on the second backend: what touches sockets. Each backend is the other's oracle.
if cargo nextest --version >/dev/null 2>&1; then
    RINGWAY_IO=epoll cargo nextest run --no-fail-fast -p ringway -p ringway-ring \
        -E 'binary(kernel) | binary(e2e) | binary(conformance)'
else
    RINGWAY_IO=epoll cargo test --no-fail-fast -p ringway-ring --test kernel
    RINGWAY_IO=epoll cargo test --no-fail-fast -p ringway --test e2e --test conformance
fi

# Some seconds of each fuzz target, so that the targets keep building and finding nothing.
if [ -x tests/fuzz/run.sh ]; then
    tests/fuzz/run.sh smoke
fi

if [ "${1:-}" = "--long" ]; then
    cargo test --release --test long -- --test-threads=1 --nocapture
fi
