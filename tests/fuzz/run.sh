#!/bin/sh
# Builds and runs the fuzz targets with libFuzzer on the stable toolchain; no cargo-fuzz, no nightly.
#
#   run.sh smoke                   every target for some seconds, from its seeds: the same inputs each time, so that
#                                  a change is judged by itself and not by what the day's dice found
#   run.sh TARGET [ARGUMENTS]      one target until it finds something, with arguments for libFuzzer
#                                  (-max_total_time=600, -jobs=4, or a file to run again)
#
# What a run learns stays in corpus/TARGET, what it finds in artifacts/TARGET. Neither is committed; a find that is
# fixed becomes a row of a test in shards/wire/tests, or a file in seeds/TARGET.
set -eu
cd "$(dirname "$0")"

targets="request_head response_head chunked connection h2_frames h2_operations path pipeline proxy_protocol tls_hello tls_session ocsp hpack h2_heads loadgen_response websocket"
host=$(rustc -vV | sed -n 's/^host: //p')

# The coverage instrumentation that libFuzzer steers by. Naming the target keeps the flags away from build scripts.
flags="--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module"
for pass in level=4 inline-8bit-counters pc-table trace-compares; do
    flags="$flags -Cllvm-args=-sanitizer-coverage-$pass"
done

build() {
    RUSTFLAGS="$flags" cargo build --quiet --release --locked --target "$host" "$@"
    built="${CARGO_TARGET_DIR:-target}/$host/release"
}

run() {
    target=$1
    shift
    mkdir -p "corpus/$target" "artifacts/$target"
    "$built/$target" -artifact_prefix="artifacts/$target/" -max_len=4096 "$@"
}

case "${1:-}" in
smoke)
    build --bins
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    for target in $targets; do
        echo "fuzz: $target"
        mkdir "$scratch/$target"
        # A run of most targets takes microseconds, and a handshake of TLS a hundred times as long.
        runs=300000
        if [ "$target" = tls_session ]; then runs=15000; fi
        set -- -seed=1 -runs="$runs" -max_total_time=60 -verbosity=0 -print_final_stats=1
        if run "$target" "$@" "$scratch/$target" "seeds/$target" >"$scratch/log" 2>&1; then
            grep number_of_executed_units "$scratch/log"
        else
            cat "$scratch/log"
            exit 1
        fi
    done
    ;;
request_head | response_head | chunked | connection | h2_frames | h2_operations | path | pipeline | proxy_protocol | tls_hello | tls_session | ocsp | hpack | h2_heads | loadgen_response | websocket)
    target=$1
    shift
    build --bin "$target"
    # A file to run again stands in the place of the corpus.
    for argument in "$@"; do
        if [ -f "$argument" ]; then
            run "$target" "$@"
            exit
        fi
    done
    run "$target" "$@" "corpus/$target" "seeds/$target"
    ;;
*)
    echo "usage: run.sh smoke | TARGET [ARGUMENTS]; targets: $targets" >&2
    exit 2
    ;;
esac
