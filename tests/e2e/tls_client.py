"""What a client sees of TLS, by Python's ssl.

Arguments: address, port, the authority's certificate, the name to ask for, what to do, and what that needs. Prints what it saw.
"""

import socket
import ssl
import sys
import time

ADDRESS, PORT, AUTHORITY, NAME, DO = sys.argv[1:6]
REST = sys.argv[6:]

context = ssl.create_default_context(cafile=AUTHORITY)


def connect(session=None):
    plain = socket.create_connection((ADDRESS, int(PORT)), timeout=20)
    # A connection that is cut off is told apart from one that ends.
    return context.wrap_socket(plain, server_hostname=NAME, suppress_ragged_eofs=False, session=session)


def ask(tls, path="/", host=NAME, version="1.1"):
    tls.sendall(f"GET {path} HTTP/{version}\r\nHost: {host}\r\n\r\n".encode())


def more(tls):
    return tls.recv(65536) or sys.exit("ended too early")


def answer(tls):
    """The head and a body with a length."""
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += more(tls)
    head, body = seen.split(b"\r\n\r\n", 1)
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        body += more(tls)
    return head.split(b" ", 2)[1].decode(), body


def rest(tls):
    """All that comes until the end, and how that was."""
    seen = b""
    try:
        while data := tls.recv(65536):
            seen += data
        return seen, "end"
    except ssl.SSLEOFError:
        return seen, "cut off"
    except OSError as error:
        return seen, type(error).__name__


if DO == "ask":
    # As often as there are names, over one connection, each for another host.
    tls = connect()
    for host in REST:
        ask(tls, host=host)
        status, body = answer(tls)
        print(status, body.decode().strip())
elif DO == "resume":
    # TLS 1.3 gives its tickets with the first answer.
    first = connect()
    ask(first)
    answer(first)
    again = connect(first.session)
    ask(again)
    answer(again)
    print(first.session_reused, again.session_reused, again.version())
elif DO == "read":
    # An answer that ends with the connection.
    tls = connect()
    ask(tls, path=REST[0], version="1.0")
    seen, how = rest(tls)
    print(how, len(seen))
elif DO == "close":
    # The client's own end is heard, and answered by one.
    tls = connect()
    ask(tls)
    answer(tls)
    tls.unwrap()
    print("closed")
elif DO == "idle":
    # The server's end of a connection that nobody uses.
    tls = connect()
    ask(tls)
    answer(tls)
    print(rest(tls)[1])
elif DO == "cut":
    # A body of which the half comes, and then the connection's end without TLS's.
    tls = connect()
    tls.sendall(f"POST /cut HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100\r\n\r\n".encode() + b"x" * 50)
    time.sleep(0.1)
    tls.shutdown(socket.SHUT_RDWR)
    print("cut")
elif DO == "slow":
    # A first message that comes a byte at a time; the time it took until nobody listened any more.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    except ssl.SSLWantReadError:
        pass
    plain = socket.create_connection((ADDRESS, int(PORT)), timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = time.monotonic()
    try:
        for byte in outgoing.read():
            plain.sendall(bytes([byte]))
            time.sleep(0.01)
        print("served")
    except OSError:
        print("closed", round(time.monotonic() - start, 1))
elif DO == "inject":
    # A request without TLS behind the client's first message.
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=NAME).do_handshake()
    except ssl.SSLWantReadError:
        pass
    plain = socket.create_connection((ADDRESS, int(PORT)), timeout=20)
    plain.sendall(outgoing.read() + f"GET /injected HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    seen = b""
    try:
        while data := plain.recv(65536):
            seen += data
    except OSError:
        pass
    print("HTTP" if b"HTTP/1.1" in seen else "nothing")
