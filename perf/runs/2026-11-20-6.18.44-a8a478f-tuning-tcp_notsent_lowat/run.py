"""What tcp_notsent_lowat costs and saves: unshare -n python3 run.py RINGWAY, as root; needs nginx and wrk.

Bodies of 1 MiB through one shard, CUBIC, loopback: 16 readers as fast as they can (wrk), and then 100 that ask and read
nothing. Both settings are this network namespace's alone. Values take turns, round by round."""
import os, pathlib, socket, statistics, subprocess, sys, tempfile, time, re

ROUNDS, SECONDS, SLOW = 4, 2, 100
VALUES = (4294967295, 131072, 16384)
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


def socket_mib():
    """Memory of all TCP sockets of the machine; what others have of it is noise of some pages."""
    text = open('/proc/net/sockstat').read()
    return int(re.search(r'TCP:.* mem (\d+)', text)[1]) * 4096 / 2**20


def fast(proxy):
    before, began = cpu_s(proxy.pid), time.monotonic()
    load = subprocess.run(['taskset', '-c', '1', 'wrk', '-t1', '-c16', f'-d{SECONDS}s', '--latency', 'http://127.0.0.1:18080/1m'],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    requests = int(re.search(r'(\d+) requests in', load)[1])
    p99 = re.search(r'99%\s+(\S+)', load)[1]
    return (cpu_s(proxy.pid) - before) / requests * 1e6, requests / (time.monotonic() - began), p99


def slow():
    before = socket_mib()
    clients = [socket.create_connection(('127.0.0.1', 18080)) for _ in range(SLOW)]
    for client in clients:
        client.sendall(b'GET /1m HTTP/1.1\r\nHost: a\r\n\r\n')
    time.sleep(0.7)
    held = socket_mib() - before
    for client in clients:
        client.close()
    return held


def main(binary):
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    (IPV4 / 'tcp_congestion_control').write_text('cubic')
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'www').mkdir()
        pathlib.Path(folder, 'www/1m').write_bytes(b'x' * 2**20)
        os.chmod(folder, 0o755)
        pathlib.Path(folder, 'nginx.conf').write_text(NGINX.format(folder))
        pathlib.Path(folder, 'ringway.toml').write_text(RINGWAY)
        log = open(pathlib.Path(folder, 'log'), 'w')
        nginx = subprocess.Popen(['taskset', '-c', '1', 'nginx', '-c', f'{folder}/nginx.conf', '-p', folder], stdout=log, stderr=log)
        proxy = subprocess.Popen(['taskset', '-c', '0', binary, 'serve', '--no-supervisor', '--config', f'{folder}/ringway.toml'],
                                 stdout=log, stderr=log)
        wait_for(19000), wait_for(18080)
        results = {value: ([], [], [], []) for value in VALUES}
        for number in range(ROUNDS + 1):
            for value in VALUES:
                (IPV4 / 'tcp_notsent_lowat').write_text(str(value))
                figures = (*fast(proxy), slow())
                if number:  # The first round warms up.
                    for kept, figure in zip(results[value], figures):
                        kept.append(figure)
        for value, (cpu, rate, p99, held) in results.items():
            print(f'{value:10}: CPU {statistics.median(cpu):4.0f} µs a request ({min(cpu):.0f}-{max(cpu):.0f}), '
                  f'{statistics.median(rate):5.0f} requests/s ({min(rate):.0f}-{max(rate):.0f}), 99 % within {", ".join(p99)}; '
                  f'{SLOW} that read nothing hold {statistics.median(held):.1f} MiB ({min(held):.1f}-{max(held):.1f})', flush=True)
        for process in (proxy, nginx):
            process.terminate()
            process.wait()


main(sys.argv[1])
