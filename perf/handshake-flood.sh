#!/bin/bash
# What a flood of TLS handshakes does to the clients that are there already: their latency without it and beside it.
#
#   perf/handshake-flood.sh [HANDSHAKES [ROUNDS]]     500 a second and 3 rounds by default
#
# The shard has the first core to itself, in real time (which takes root): what else runs on the machine does not count. Upstream, clients and
# attackers share the second, which is dealt out by rank, since a client that waits for its own core would count as the shard's delay: the
# measured clients come first and the upstream after them, in real time; the attackers get what is left (SCHED_IDLE).
#
# Established clients ask at random times (Poisson), latency counted from when a request was due, at 20 % of what the shard could do:
# five times the rate would fill its core, by the CPU time that a request costs it when it is busy. The attackers, in turn:
#
#   hello     one connection after another, evenly; each says a ClientHello and leaves when it is answered. It costs the attacker nothing,
#             and the shard the most that anybody can have it do: the signature and the exchange of keys
#   bursts    the same, 64 at once
#   whole     whole handshakes without resumption, each with one request, by the load generator, at most 4 under way
#
# Needs the release builds of ringway and loadgen ($RINGWAY, $LOADGEN), nginx, openssl, python3.
set -eu
handshakes=${1:-500} rounds=${2:-3} seconds=3
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
PATH="$PATH:/usr/sbin" taskset -c 1 chrt -f 1 nginx -c "$work/nginx.conf" 2>/dev/null & pids="$pids $!"
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
taskset -c 0 chrt -f 1 "$ringway" serve --no-supervisor --config "$work/ringway.toml" > "$work/ringway.log" 2>&1 & pids="$pids $!"
proxy=$!
until curl -fs --cacert "$work/certificate.pem" --resolve localhost:9500:127.0.0.1 https://localhost:9500/small -o /dev/null; do
    kill -0 "$proxy" || { cat "$work/ringway.log" >&2; exit 1; }
    sleep 0.05
done

cat > "$work/hello.py" <<'PY'
"""Says one ClientHello over and over, each time on a connection of its own. Arguments: how many a second, how many at once, for how long."""
import selectors, socket, ssl, sys, time
rate, burst, seconds = float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
context = ssl.create_default_context()
outgoing = ssl.MemoryBIO()
try:
    context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
except ssl.SSLWantReadError:
    hello = outgoing.read()
selector = selectors.DefaultSelector()
begun = answered = 0
start = time.monotonic()
while (now := time.monotonic() - start) < seconds:
    if begun + burst <= now * rate:
        for _ in range(burst):
            peer = socket.create_connection(("127.0.0.1", 9500))
            peer.sendall(hello)
            selector.register(peer, selectors.EVENT_READ)
        begun += burst
    for key, _ in selector.select(max(0, (begun + burst) / rate - now)):
        answered += len(key.fileobj.recv(65536)) > 0
        selector.unregister(key.fileobj)
        key.fileobj.close()
print(answered / seconds)
PY

# CPU time of the shard's process so far, in ms.
cpu_ms() { awk '{ print ($14 + $15) * 10 }' "/proc/$proxy/stat"; }
load() {
    taskset -c 1 chrt "$1" "$2" "$loadgen" https://127.0.0.1:9500/small --ca-file "$work/certificate.pem" --sni localhost --threads 1 --quiet \
        --json "$work/$3.json" "${@:4}" > /dev/null
}
clients() { load -f 2 "$1" --connections 32 --rate "$requests" --arrivals poisson --warm-up 500ms --duration "${seconds}s"; }
attack() {
    case $1 in
        without) ;;
        hello) taskset -c 1 chrt -i 0 python3 "$work/hello.py" "$handshakes" 1 $((seconds + 2)) > "$work/answered" & ;;
        bursts) taskset -c 1 chrt -i 0 python3 "$work/hello.py" "$handshakes" 64 $((seconds + 2)) > "$work/answered" & ;;
        whole) load -i 0 flood --connections 4 --connection-per-request --no-resumption --rate "$handshakes" --duration $((seconds + 2))s & ;;
    esac
}
tell() {
    python3 - "$work" "$@" <<'PY'
import json, os, sys
work, round_, name, cpu_ms, seconds = sys.argv[1:]
summary = lambda name: json.load(open(f"{work}/{name}.json"))["summary"]
run = summary("measured")
at = {point["percent"]: point["us"] for point in run["latency"]["percentiles"]}
flood = 0 if name == "without" else summary("flood")["requests_per_second"] if name == "whole" else float(open(f"{work}/answered").read())
print(f'round {round_}, {name:<8} {run["requests_per_second"]:6.0f} a second, {run["errors"]} errors, p50 {at[50.0]:4.0f} us, p90 {at[90.0]:4.0f}, '
      f'p99 {at[99.0]:5.0f}, p99.9 {at[99.9]:5.0f}; {flood:4.0f} handshakes a second; the shard\'s core {int(cpu_ms) / 10 / float(seconds):.0f} % busy')
with open(f"{work}/results", "a") as results:
    print(name, at[99.0], file=results)
PY
}

before=$(cpu_ms)
load -f 2 closed --connections 64 --duration 3s
requests=$(python3 - "$work/closed.json" $(($(cpu_ms) - before)) <<'PY'
import json, sys
run = json.load(open(sys.argv[1]))["summary"]
print(int(run["requests_per_second"] * 3 / (int(sys.argv[2]) / 1000) / 5))
PY
)
echo "a busy shard's request takes $((200000 / requests)) us: 20 % of what its core can do are $requests a second"
for round in $(seq "$rounds"); do
    for name in without hello bursts whole; do
        attack $name; attacker=$!
        sleep 0.7
        before=$(cpu_ms)
        clients measured
        spent=$(($(cpu_ms) - before))
        if [ $name != without ]; then wait "$attacker"; fi
        tell "$round" $name "$spent" "$seconds.5"
    done
done
python3 - "$work/results" <<'PY'
import statistics, sys
rounds = {}
for line in open(sys.argv[1]):
    name, p99 = line.split()
    rounds.setdefault(name, []).append(float(p99))
for name in ["hello", "bursts", "whole"]:
    ratios = [beside / without for beside, without in zip(rounds[name], rounds["without"])]
    print(f"p99 beside {name}: {statistics.median(ratios):.2f} x that without ({min(ratios):.2f} to {max(ratios):.2f})")
PY
