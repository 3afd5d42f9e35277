#!/bin/bash
# Holds many idle connections over several workers while another connection's traffic goes on, and tells that traffic's
# latency without them and beside them.
#
#   perf/many-idle.sh [CONNECTIONS [WORKERS]]        150000 over 9 by default
#
# A process has 20,000 descriptors at most here (fs.nr_open), so that one worker cannot hold them all: each listens on a
# port of its own, on the first core, and each has a load generator that holds its share from many addresses. Needs the
# release builds of ringway and loadgen ($RINGWAY, $LOADGEN), and an nginx for the upstream. The report goes to standard
# output; memory is the workers' own (Pss), before and with the connections.
set -eu
connections=${1:-150000} workers=${2:-9}
ringway=${RINGWAY:-target/release/ringway} loadgen=${LOADGEN:-target/release/loadgen}
rate=${RATE:-5000} active=32 seconds=10
share=$((connections / workers))
work=$(mktemp -d) pids=""
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || :; done; wait; rm -rf "$work"' EXIT
ulimit -n 20000

mkdir -p "$work/www"; head -c 128 /dev/zero | tr '\0' 'x' > "$work/www/small"
cat > "$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 19000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
       client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
       server { listen 127.0.0.1:9599 backlog=4096; root $work/www; } }
CONF
PATH="$PATH:/usr/sbin" taskset -c 1 nginx -c "$work/nginx.conf" 2>/dev/null & pids="$pids $!"

servers=""
for worker in $(seq 0 $((workers - 1))); do
    cat > "$work/$worker.toml" <<CONF
access_log = "off"
[[listeners]]
address = "127.0.0.1:$((9500 + worker))"
[upstreams.app]
servers = ["127.0.0.1:9599"]
idle_connections = 1024
[[routes]]
upstream = "app"
[shards]
count = 1
pin = false
[limits]
connections = 19500
[timeouts]
keep_alive = "1h"
[admin]
address = "off"
[metrics]
enabled = false
CONF
    taskset -c 0 "$ringway" serve --no-supervisor --config "$work/$worker.toml" > "$work/$worker.log" 2>&1 &
    pids="$pids $!" servers="$servers $!"
    until curl -fs "http://127.0.0.1:$((9500 + worker))/small" -o /dev/null; do
        kill -0 "$!" || { cat "$work/$worker.log" >&2; exit 1; }
        sleep 0.05
    done
done

memory() { for pid in $servers; do awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"; done | awk '{ sum += $1 } END { print sum }'; }
latency() {
    taskset -c 1 "$loadgen" http://127.0.0.1:9500/small -c $active --rate "$rate" --arrivals poisson --warm-up 2s -d ${seconds}s --threads 1 \
        --quiet --json "$work/active.json" > /dev/null
    python3 - "$work/active.json" "$1" <<'PY'
import json, sys
run = json.load(open(sys.argv[1]))["summary"]
at = {point["percent"]: point["us"] for point in run["latency"]["percentiles"]}
print(f'{sys.argv[2]:<16} {run["requests_per_second"]:6.0f} a second, {run["errors"]} errors, '
      f'p50 {at[50.0]:.0f} us, p99 {at[99.0]:.0f} us, p99.9 {at[99.9]:.0f} us', flush=True)
PY
}
for round in 1 2 3; do latency "without, $round:"; done
before=$(memory)
for worker in $(seq 0 $((workers - 1))); do
    "$loadgen" idle "http://127.0.0.1:$((9500 + worker))/small" -c "$share" --per-address 5000 --open-rate 600 --open-timeout 3m --request \
        -d 1h > "$work/idle.$worker" 2>&1 & pids="$pids $!"
done
held() { ss -Htn state established '( sport >= :9500 and sport < :9599 )' | wc -l; }
until [ "$(held)" -ge $((share * workers)) ]; do sleep 1; done
echo "held: $(held) connections by $workers workers of Ringway"
for pid in $servers; do printf '%s ' "$(ls "/proc/$pid/fd" | wc -l)"; done; echo "descriptors of each"
with=$(memory)
echo "user memory of the workers: $before KiB without, $with KiB with them: $(((with - before) * 1024 / (share * workers))) B a connection"
for round in 1 2 3; do latency "beside them, $round:"; done
echo "held at the end: $(held)"
