"""What the congestion control costs where there is no congestion: unshare -n python3 run.py RINGWAY, as root; needs nginx and wrk.

Bodies of 1 MiB to 16 readers and of 64 KiB to 64, through one shard over loopback; the setting is this network namespace's alone.
The algorithms take turns, round by round."""
import os, pathlib, re, resource, socket, statistics, subprocess, sys, tempfile, time

ROUNDS, SECONDS = 5, 2
VALUES = ('cubic', 'bbr')
BODIES = (('1m', 16), ('64k', 64))
IPV4 = pathlib.Path('/proc/sys/net/ipv4')
NGINX = '''daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; keepalive_requests 1000000;
server {{ listen 127.0.0.1:19000; root {0}/www; }} }}'''
RINGWAY = '''listeners = [{ address = "127.0.0.1:18080" }]
shards = { count = 1 }
[upstreams.app]
servers = ["127.0.0.1:19000"]
[[routes]]
upstream = "app"'''


def wait_for(port):
    while True:
        try:
            return socket.create_connection(('127.0.0.1', port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)


def cpu_s(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def load(proxy, nginx, body, connections):
    """Of one load: the proxy's CPU in µs a request, that of all three, requests a second, the 99th percentile."""
    children = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    proxy_s, nginx_s, wrk_s = cpu_s(proxy.pid), cpu_s(nginx.pid), children()
    text = subprocess.run(['taskset', '-c', '1', 'wrk', '-t1', f'-c{connections}', f'-d{SECONDS}s', '--latency',
                           f'http://127.0.0.1:18080/{body}'], stdout=subprocess.PIPE, text=True, check=True).stdout
    requests = int(re.search(r'(\d+) requests in', text)[1])
    own = cpu_s(proxy.pid) - proxy_s
    return own / requests * 1e6, (own + cpu_s(nginx.pid) - nginx_s + children() - wrk_s) / requests * 1e6, requests / SECONDS


def main(binary):
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'www').mkdir()
        pathlib.Path(folder, 'www/1m').write_bytes(b'x' * 2**20)
        pathlib.Path(folder, 'www/64k').write_bytes(b'x' * 2**16)
        os.chmod(folder, 0o755)
        pathlib.Path(folder, 'nginx.conf').write_text(NGINX.format(folder))
        pathlib.Path(folder, 'ringway.toml').write_text(RINGWAY)
        log = open(pathlib.Path(folder, 'log'), 'w')
        nginx = subprocess.Popen(['taskset', '-c', '1', 'nginx', '-c', f'{folder}/nginx.conf', '-p', folder], stdout=log, stderr=log)
        def start():
            proxy = subprocess.Popen(['taskset', '-c', '0', binary, 'serve', '--no-supervisor', '--config', f'{folder}/ringway.toml'],
                                     stdout=log, stderr=log)
            wait_for(18080)
            return proxy

        wait_for(19000)
        proxy = start()
        results = {(body, value): [] for body in BODIES for value in VALUES}
        for number in range(ROUNDS + 1):
            for body in BODIES:
                for value in VALUES:
                    (IPV4 / 'tcp_congestion_control').write_text(value)
                    # Connections of the last load keep their algorithm, those to the upstream too: a new proxy has none.
                    proxy.terminate()
                    proxy.wait()
                    proxy = start()
                    figures = load(proxy, nginx, *body)
                    if number:  # The first round warms up.
                        results[body, value].append(figures)
        for ((body, connections), value), figures in results.items():
            own, all_three, rate = ([round(f, 1) for f in column] for column in zip(*figures))
            print(f'{body:>3} at {connections}, {value:5}: proxy {statistics.median(own):6.1f} µs a request ({min(own)}-{max(own)}), '
                  f'all three {statistics.median(all_three):6.1f} ({min(all_three)}-{max(all_three)}), '
                  f'{statistics.median(rate):.0f} requests/s ({min(rate):.0f}-{max(rate):.0f})', flush=True)
        for process in (proxy, nginx):
            process.terminate()
            process.wait()


main(sys.argv[1])
