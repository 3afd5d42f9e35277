"""Drives the proxy with Python's own HTTP/2 stack (h2): many requests of each kind over one connection."""

import socket
import sys

import h2.config
import h2.connection
import h2.events

host, port = sys.argv[1], int(sys.argv[2])
sock = socket.create_connection((host, port), timeout=20)
connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
connection.initiate_connection()
sock.sendall(connection.data_to_send())
answers, ended, uploads = {}, set(), {}


def ask(method, path, body=b"", **headers):
    stream = connection.get_next_available_stream_id()
    fields = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path), *headers.items()]
    connection.send_headers(stream, fields, end_stream=not body)
    answers[stream] = {"headers": {}, "length": 0, "trailers": None}
    if body:
        uploads[stream] = body
    return stream


def step():
    for stream, body in list(uploads.items()):
        while body:
            room = min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size, len(body))
            if room <= 0:
                break
            connection.send_data(stream, body[:room], end_stream=room == len(body))
            body = body[room:]
        uploads[stream] = body
        if not body:
            del uploads[stream]
    sock.sendall(connection.data_to_send())
    data = sock.recv(65536)
    assert data, "the connection ended"
    for event in connection.receive_data(data):
        if isinstance(event, h2.events.ResponseReceived):
            answers[event.stream_id]["headers"] = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answers[event.stream_id]["length"] += len(event.data)
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            ended.add(event.stream_id)
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            raise AssertionError(event)


wanted = {}
for size in (0, 1, 100, 16384, 65536, 300000):
    wanted[ask("GET", f"/length/{size}")] = (size, None)
    wanted[ask("GET", f"/chunked/{size}")] = (size, None)
    wanted[ask("HEAD", f"/length/{size}")] = (0, None)
    if size:
        wanted[ask("POST", "/length/3", bytes(size))] = (3, size)
        wanted[ask("PUT", "/chunked/3", bytes(size), **{"content-length": str(size)})] = (3, size)
while len(ended) < len(wanted):
    step()
for stream, (length, body) in wanted.items():
    answer = answers[stream]
    assert answer["headers"][":status"] == "200" and answer["length"] == length, (stream, answer)
    if body is not None:
        assert answer["headers"]["x-body"].split()[0] == str(body), (stream, answer)
print("done")
