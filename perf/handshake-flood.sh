#!/bin/bash
# What a flood of TLS handshakes does to the clients that are there already: their latency without it and beside it.
#
#   perf/handshake-flood.sh [HANDSHAKES [REQUESTS]]     500 and 10000 a second by default
#
# One shard on the first core; upstream, clients and flood share the second. Established clients ask at random times (Poisson), latency
# counted from when a request was due; of the flood each connection has a full handshake and one request. Needs the release builds of
# ringway and loadgen ($RINGWAY, $LOADGEN), nginx and openssl. Three rounds of five seconds each.
set -eu
handshakes=${1:-500} requests=${2:-10000}
ringway=${RINGWAY:-target/release/ringway} loadgen=${LOADGEN:-target/release/loadgen}
work=$(mktemp -d) pids=""
trap 'for pid in $pids; do kill "$pid" 2>/dev/null || :; done; wait; rm -rf "$work"' EXIT
chmod 755 "$work"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -addext basicConstraints=critical,CA:FALSE -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
mkdir "$work/www"; head -c 128 /dev/zero | tr '\0' 'x' > "$work/www/small"
cat > "$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log /dev/null;
events { worker_connections 4000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 1h;
       client_body_temp_path $work/b; proxy_temp_path $work/p; fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
       server { listen 127.0.0.1:9599 backlog=4096; root $work/www; } }
CONF
PATH="$PATH:/usr/sbin" taskset -c 1 nginx -c "$work/nginx.conf" 2>/dev/null & pids="$pids $!"
cat > "$work/ringway.toml" <<CONF
access_log = "off"
[[listeners]]
address = "127.0.0.1:9500"
tls = true
[tls]
certificate = "certificate.pem"
key = "key.pem"
[upstreams.app]
servers = ["127.0.0.1:9599"]
[[routes]]
upstream = "app"
[shards]
count = 1
pin = false
[admin]
address = "off"
[metrics]
enabled = false
CONF
taskset -c 0 "$ringway" serve --no-supervisor --config "$work/ringway.toml" > "$work/ringway.log" 2>&1 & pids="$pids $!"
until curl -fs --cacert "$work/certificate.pem" --resolve localhost:9500:127.0.0.1 https://localhost:9500/small -o /dev/null; do
    kill -0 "$!" || { cat "$work/ringway.log" >&2; exit 1; }
    sleep 0.05
done

run() {
    taskset -c 1 "$loadgen" https://127.0.0.1:9500/small --ca-file "$work/certificate.pem" --sni localhost --threads 1 --quiet \
        --json "$work/$1.json" "${@:2}" > /dev/null
}
tell() {
    python3 - "$work/$1.json" "$2" <<'PY'
import json, sys
run = json.load(open(sys.argv[1]))["summary"]
at = {point["percent"]: point["us"] for point in run["latency"]["percentiles"]}
print(f'{sys.argv[2]:<24} {run["requests_per_second"]:8.0f} a second, {run["errors"]} errors, '
      f'p50 {at[50.0]:.0f} us, p99 {at[99.0]:.0f} us, p99.9 {at[99.9]:.0f} us')
PY
}
run full --connections 64 --duration 3s; tell full "as fast as it goes:"
for round in 1 2 3; do
    run quiet --connections 32 --rate "$requests" --arrivals poisson --warm-up 1s --duration 5s
    tell quiet "round $round, without:"
    run flood --connections 64 --connection-per-request --no-resumption --rate "$handshakes" --duration 8s & flood=$!
    sleep 1
    run beside --connections 32 --rate "$requests" --arrivals poisson --warm-up 1s --duration 5s
    wait $flood
    tell beside "round $round, beside it:"
    tell flood "round $round, the flood:"
done
