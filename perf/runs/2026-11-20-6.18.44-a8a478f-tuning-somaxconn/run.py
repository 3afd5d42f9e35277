"""What somaxconn does in a burst of connections: unshare -n python3 run.py RINGWAY, as root; needs nginx.

One shard, stopped for 0.3 s while 2,000 clients connect at once, each to send one request; as a reload, a page fault or a
neighbour on the core would hold it up. somaxconn is set in this network namespace, and nowhere else."""
import os, pathlib, selectors, signal, socket, subprocess, sys, tempfile, time

CLIENTS, STOPPED_S, ROUNDS = 2000, 0.3, 3
SOMAXCONN = pathlib.Path('/proc/sys/net/core/somaxconn')
NGINX = '''daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;
events {{ worker_connections 8192; }}
http {{ access_log off; server {{ listen 127.0.0.1:19000 backlog=4096; location / {{ return 200 "hello"; }} }} }}'''
RINGWAY = '''listeners = [{ address = "127.0.0.1:18080" }]
shards = { count = 1 }
[upstreams.app]
servers = ["127.0.0.1:19000"]
[[routes]]
upstream = "app"'''


def overflows():
    names, values = [line.split()[1:] for line in open('/proc/net/netstat') if line.startswith('TcpExt:')]
    return int(values[names.index('ListenOverflows')])


def wait_for(port):
    while True:
        try:
            return socket.create_connection(('127.0.0.1', port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)


def burst(proxy):
    """Seconds from the burst to each client's answer, in order."""
    selector, answered = selectors.DefaultSelector(), []
    os.kill(proxy.pid, signal.SIGSTOP)
    began = time.monotonic()
    for _ in range(CLIENTS):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(('127.0.0.1', 18080))
        selector.register(client, selectors.EVENT_WRITE)
    is_stopped = True
    while len(answered) < CLIENTS:
        if is_stopped and time.monotonic() - began > STOPPED_S:
            os.kill(proxy.pid, signal.SIGCONT)
            is_stopped = False
        for key, events in selector.select(0.01):
            client = key.fileobj
            if events & selectors.EVENT_WRITE:
                client.send(b'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
                selector.modify(client, selectors.EVENT_READ)
            elif client.recv(4096).startswith(b'HTTP/1.1 200'):
                answered.append(time.monotonic() - began)
                selector.unregister(client)
                client.close()
            else:
                sys.exit('a client got no answer')
        if time.monotonic() - began > 20:
            sys.exit(f'{CLIENTS - len(answered)} clients wait after 20 s')
    return answered


def main(binary):
    subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, 'nginx.conf').write_text(NGINX.format(folder))
        pathlib.Path(folder, 'ringway.toml').write_text(RINGWAY)
        log = open(pathlib.Path(folder, 'log'), 'w')
        SOMAXCONN.write_text('4096')
        nginx = subprocess.Popen(['nginx', '-c', f'{folder}/nginx.conf', '-p', folder], stdout=log, stderr=log)
        wait_for(19000)
        for _ in range(ROUNDS):
            for somaxconn in (128, 1024, 4096):
                SOMAXCONN.write_text(str(somaxconn))
                proxy = subprocess.Popen([binary, 'serve', '--no-supervisor', '--config', f'{folder}/ringway.toml'],
                                         stdout=log, stderr=log)
                wait_for(18080)
                before = overflows()
                answered = burst(proxy)
                late = sum(seconds > 1 for seconds in answered)
                print(f'somaxconn {somaxconn:5}: answered after {answered[CLIENTS // 2]:.2f} s (median), '
                      f'{answered[CLIENTS * 99 // 100]:.2f} s (99 of 100), {answered[-1]:.2f} s (last); '
                      f'{late} of {CLIENTS} after 1 s or more; ListenOverflows +{overflows() - before}', flush=True)
                proxy.terminate()
                proxy.wait()
        nginx.terminate()
        nginx.wait()


main(sys.argv[1])
