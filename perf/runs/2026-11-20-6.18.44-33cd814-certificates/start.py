# Starts `ringway` with a folder of one certificate and with one of ten thousand (P-256, `openssl req -x509`, each with its key in one
# file), configured by one.toml and certs.toml: a listener with TLS, one shard, [tls] certificates = "one" or "certs".
# python3 start.py PATH-OF-RINGWAY
import subprocess,time,sys,socket,re,os
b=sys.argv[1]
for n in ['one','certs','one','certs','certs']:
    t=time.monotonic()
    p=subprocess.Popen([b,'serve','--no-supervisor','--config',f'{n}.toml'],stdout=subprocess.PIPE,stderr=subprocess.DEVNULL,text=True)
    for line in p.stdout:
        if 'stop' in line: break
    ready=time.monotonic()-t
    time.sleep(1)
    st=open(f'/proc/{p.pid}/status').read(); rss=int(re.search(r'VmRSS:\s+(\d+)',st)[1])
    cpu=sum(int(x) for x in open(f'/proc/{p.pid}/stat').read().split()[13:15])/os.sysconf('SC_CLK_TCK')
    host='host-1.example.com' if n=='one' else 'host-9777.example.com'
    out=subprocess.run(['openssl','s_client','-connect','127.0.0.1:18443','-servername',host],stdin=subprocess.DEVNULL,capture_output=True,text=True).stdout
    ok=('CN = '+host) in out
    print(f'{n}: ready in {ready:.3f} s, resident {rss} KiB, {cpu:.2f} s of CPU in the first second after, shown {ok}',flush=True)
    p.terminate(); p.wait()
