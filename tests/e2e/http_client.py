"""Drives the proxy with Python's own HTTP client: many requests of each kind over one connection."""

import http.client
import sys

host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, port, timeout=20)
connection.connect()
socket = connection.sock


def exchange(method, target, body=None, **options):
    connection.request(method, target, body=body, **options)
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, (method, target, response.status, content)
    assert connection.sock is socket, f"{method} {target}: the connection was not kept"
    return response, content


for size in (0, 1, 100, 65536, 300000):
    response, content = exchange("GET", f"/length/{size}")
    assert len(content) == size, (size, len(content))
    response, content = exchange("GET", f"/chunked/{size}")
    assert len(content) == size, (size, len(content))
    response, content = exchange("HEAD", f"/length/{size}")
    assert content == b"" and response.headers["Content-Length"] == str(size)

body = bytes(100000)
response, _ = exchange("POST", "/length/3", body=body)
assert response.headers["X-Body"].split()[0] == "100000", response.headers

pieces = (bytes([65 + n % 26]) * n for n in range(1, 200))
response, _ = exchange("PUT", "/length/3", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
assert response.headers["X-Body"].split()[0] == str(sum(range(1, 200))), response.headers

connection.close()
print("done")
