"""How long a shard stands still for a reload: python3 run.py RINGWAY, with an HTTP server listening on 127.0.0.1:19000.

Ten thousand routes with a host each, over a hundred upstreams or over ten thousand, two shards, 64 connections of wrk at work.
Every reload changes a limit, so that a new Plan is put in force; the figure is the one in the log."""
import re, signal, subprocess, sys, tempfile, time, pathlib

RELOADS = 50


def config(upstreams, fields):
    lines = ['listeners = [{ address = "127.0.0.1:18080" }]', f'limits = {{ fields = {fields} }}', 'shards = { count = 2 }',
             '[upstreams.app]', 'servers = ["127.0.0.1:19000"]']
    for number in range(upstreams):
        lines += [f'[upstreams.u{number}]', 'servers = ["127.0.0.1:19000"]']
    lines += ['[[routes]]', 'upstream = "app"']
    for number in range(10_000):
        lines += ['[[routes]]', f'host = "h{number}.test"', f'upstream = "u{number % upstreams}"']
    return '\n'.join(lines)


def run(binary, upstreams):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, 'ringway.toml')
        file.write_text(config(upstreams, 50))
        log = open(pathlib.Path(folder, 'log'), 'w+')
        proxy = subprocess.Popen([binary, 'serve', '--no-supervisor', '--config', str(file)], stdout=log, stderr=log)
        time.sleep(3)
        load = subprocess.Popen(['wrk', '-t1', '-c64', f'-d{RELOADS}s', 'http://127.0.0.1:18080/'], stdout=subprocess.PIPE, text=True)
        for number in range(RELOADS):
            file.write_text(config(upstreams, 51 + number))
            proxy.send_signal(signal.SIGHUP)
            time.sleep(0.8)
        print(f'{upstreams} upstreams')
        print(re.sub(r'(?m)^', '  ', load.communicate()[0].strip()))
        proxy.terminate()
        proxy.wait()
        log.seek(0)
        stops = sorted(int(stop) for stop in re.findall(r'stopped_us_max=(\d+)', log.read()))
        print(f'  {len(stops)} reloads, longest stop of a shard in µs: median {stops[len(stops) // 2]}, '
              f'p90 {stops[len(stops) * 9 // 10]}, max {stops[-1]}')


for upstreams in (100, 10_000):
    run(sys.argv[1], upstreams)
