"""A client of HTTP/2 that does as it is told: frame by frame, right or wrong.

Arguments: address (`host:port` or `unix:path`), and for TLS the authority's certificate, the name to ask for and the protocols to offer,
with commas between them. Each line of standard input is an order in JSON, each line of standard output
its result. Frames are made by hyperframe and heads by hpack; nothing keeps it from breaking the rules.
"""

import json
import socket
import ssl
import sys
import time

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

LIMIT_S = 30
ADDRESS, TLS = sys.argv[1], sys.argv[2:]


def period():
    """One period of the pattern, as pattern.rs makes it."""
    state, table, mask = 0x2545F4914F6CDD1D, bytearray(), (1 << 64) - 1
    while len(table) < 1_048_573:
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        table += state.to_bytes(8, "little")
    return bytes(table[:1_048_573])


PERIOD = period()


def pattern(start, length):
    start %= len(PERIOD)
    return (PERIOD[start:] + PERIOD * (length // len(PERIOD) + 1))[:length]


class Stream:
    def __init__(self, window):
        self.status, self.headers, self.informational, self.trailers = None, [], [], None
        self.bytes, self.is_pattern, self.text = 0, True, b""
        self.ended, self.reset, self.window, self.held = False, None, window, False

    def told(self):
        return {
            "status": self.status, "headers": self.headers, "informational": self.informational, "trailers": self.trailers,
            "bytes": self.bytes, "is_pattern": self.is_pattern, "text": self.text.decode("latin-1"), "ended": self.ended,
            "reset": self.reset,
        }


class Client:
    def __init__(self):
        if ADDRESS.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(ADDRESS[5:])
        else:
            host, port = ADDRESS.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        self.protocol = None
        if TLS:
            context = ssl.create_default_context(cafile=TLS[0])
            if TLS[2]:
                context.set_alpn_protocols(TLS[2].split(","))
            self.socket = context.wrap_socket(self.socket, server_hostname=TLS[1])
            self.protocol = self.socket.selected_alpn_protocol()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.received, self.block, self.out = b"", None, b""
        self.streams, self.next = {}, 1
        self.settings, self.goaways, self.pongs = {}, [], 0
        self.closed, self.window, self.initial, self.acknowledged = False, 65535, 65535, 0
        self.auto = True

    def send(self, data):
        """Sends without ceasing to read, lest both ends wait for each other."""
        self.out += data
        deadline = time.monotonic() + LIMIT_S
        while self.out and not self.closed:
            self.socket.settimeout(0.02)
            try:
                sent = self.socket.send(self.out[: 1 << 16])
                self.out = self.out[sent:]
            except (TimeoutError, ssl.SSLWantWriteError, BlockingIOError):
                self.read(0)
                if time.monotonic() > deadline:
                    raise TimeoutError("nothing can be sent")
            except OSError:
                while self.read(1):
                    pass
                self.closed = True

    def read(self, timeout_s):
        """Takes what has come within the time; False if nothing has."""
        if self.closed:
            return False
        self.socket.settimeout(max(timeout_s, 0.001))
        try:
            data = self.socket.recv(1 << 16)
        except (TimeoutError, ssl.SSLWantReadError, BlockingIOError):
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.received += data
        while len(self.received) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self.received[:9]))
            if len(self.received) < 9 + length:
                break
            frame.parse_body(memoryview(self.received[9 : 9 + length]))
            self.received = self.received[9 + length :]
            self.heed(frame)
        return True

    def until(self, is_so):
        deadline = time.monotonic() + LIMIT_S
        while not is_so() and not self.closed:
            if not self.read(0.2) and time.monotonic() > deadline:
                raise TimeoutError("nothing comes")

    def heed(self, frame):
        stream = self.streams.get(frame.stream_id)
        if isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.acknowledged += 1
                return
            for key, value in frame.settings.items():
                self.settings[key] = value
                if key == SettingsFrame.INITIAL_WINDOW_SIZE:
                    for each in self.streams.values():
                        each.window += value - self.initial
                    self.initial = value
            ack = SettingsFrame(0)
            ack.flags.add("ACK")
            self.send(ack.serialize())
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs += 1
            elif self.auto:
                ack = PingFrame(0, frame.opaque_data)
                ack.flags.add("ACK")
                self.send(ack.serialize())
        elif isinstance(frame, GoAwayFrame):
            self.goaways.append([frame.error_code, frame.last_stream_id])
        elif isinstance(frame, WindowUpdateFrame):
            if frame.stream_id == 0:
                self.window += frame.window_increment
            elif stream:
                stream.window += frame.window_increment
        elif isinstance(frame, RstStreamFrame):
            if stream:
                stream.reset = frame.error_code
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self.block = (self.block or b"") + frame.data
            if isinstance(frame, HeadersFrame):
                self.block_ends = "END_STREAM" in frame.flags
            if "END_HEADERS" in frame.flags:
                fields = [[str(name), str(value)] for name, value in self.decoder.decode(self.block)]
                self.block = None
                if stream:
                    self.head(stream, fields)
                    stream.ended = stream.ended or self.block_ends
        elif isinstance(frame, DataFrame):
            size = frame.flow_controlled_length
            if stream:
                stream.is_pattern = stream.is_pattern and frame.data == pattern(stream.bytes, len(frame.data))
                stream.bytes += len(frame.data)
                if len(stream.text) < 4096:
                    stream.text += frame.data[:4096]
                stream.ended = stream.ended or "END_STREAM" in frame.flags
            if size and self.auto:
                grants = WindowUpdateFrame(0, size).serialize()
                if stream and not stream.ended and not stream.held:
                    grants += WindowUpdateFrame(frame.stream_id, size).serialize()
                self.send(grants)

    def head(self, stream, fields):
        if fields and fields[0][0] == ":status":
            status = int(fields[0][1])
            if status < 200:
                stream.informational.append([status, fields[1:]])
            else:
                stream.status, stream.headers = status, fields[1:]
        else:
            stream.trailers = fields

    # Orders.

    def greet(self, settings=None, **_):
        frame = SettingsFrame(0, settings={int(key): value for key, value in (settings or {}).items()})
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame.serialize())
        self.until(lambda: self.acknowledged > 0)
        return {"settings": {str(key): value for key, value in self.settings.items()}, "protocol": self.protocol}

    def block_of(self, fields):
        return self.encoder.encode([(name, value) for name, value in fields], huffman=True)

    def open(self, fields, end=True, hold=False, **_):
        number, self.next = self.next, self.next + 2
        self.streams[number] = Stream(self.initial)
        self.streams[number].held = hold
        block = self.block_of(fields)
        pieces = [block[at : at + 16000] for at in range(0, len(block), 16000)] or [b""]
        first = HeadersFrame(number, pieces[0])
        if end:
            first.flags.add("END_STREAM")
        frames = [first] + [ContinuationFrame(number, piece) for piece in pieces[1:]]
        frames[-1].flags.add("END_HEADERS")
        self.send(b"".join(frame.serialize() for frame in frames))
        return {"stream": number}

    def data(self, stream, start=0, length=0, end=False, text=None, **_):
        of, sent = self.streams[stream], 0
        whole = text.encode("latin-1") if text is not None else None
        length = len(whole) if whole is not None else length
        while True:
            self.until(lambda: (min(of.window, self.window) > 0) or sent == length or of.reset is not None)
            if of.reset is not None or self.closed:
                break
            size = min(length - sent, of.window, self.window, 16384)
            piece = whole[sent : sent + size] if whole is not None else pattern(start + sent, size)
            frame = DataFrame(stream, piece)
            of.window, self.window, sent = of.window - size, self.window - size, sent + size
            if sent == length and end:
                frame.flags.add("END_STREAM")
            self.send(frame.serialize())
            if sent == length:
                break
        return {"sent": sent, "reset": of.reset}

    def fill(self, stream, **_):
        """Sends until nothing goes any more."""
        of, sent, deadline = self.streams[stream], 0, 0
        while time.monotonic() < deadline or not deadline:
            size = min(of.window, self.window, 16384)
            if size <= 0:
                deadline = deadline or time.monotonic() + 0.5
                self.read(0.05)
                continue
            of.window, self.window, sent, deadline = of.window - size, self.window - size, sent + size, 0
            self.send(DataFrame(stream, pattern(sent - size, size)).serialize())
        return {"sent": sent}

    def trail(self, stream, fields, **_):
        frame = HeadersFrame(stream, self.block_of(fields))
        for flag in ("END_STREAM", "END_HEADERS"):
            frame.flags.add(flag)
        self.send(frame.serialize())
        return {}

    def wait(self, stream, till="end", length=0, **_):
        of = self.streams[stream]
        done = {
            "end": lambda: of.ended,
            "head": lambda: of.status is not None,
            "informational": lambda: len(of.informational) > length,
            "bytes": lambda: of.bytes >= length,
            "reset": lambda: False,
        }[till]
        self.until(lambda: done() or of.reset is not None)
        return of.told() | {"closed": self.closed, "goaways": self.goaways}

    def grant(self, stream, length, **_):
        """Lets a stream that was held send so much more."""
        self.send(WindowUpdateFrame(stream, length).serialize())
        return {}

    def reset(self, stream, code=8, **_):
        self.send(RstStreamFrame(stream, code).serialize())
        return {}

    def frames(self, hex, times=1, **_):
        """Sends bytes as they are, again and again."""
        self.send(bytes.fromhex(hex) * times)
        return {}

    def flood(self, kind, times, **_):
        """Requests by the thousand, each of which comes to nothing."""
        fields = [[":method", "GET"], [":scheme", "http"], [":path", "/length/1"], [":authority", "test"]]
        out = []
        for _ in range(times):
            number, self.next = self.next, self.next + 2
            head = HeadersFrame(number, self.block_of(fields))
            head.flags.add("END_HEADERS")
            head.flags.add("END_STREAM")
            rest = {
                "too_many": lambda: b"",
                "rapid_reset": lambda: RstStreamFrame(number, 8).serialize(),
                # An increment of zero on a stream is an error of the stream, for which the server has to reset it.
                "made_you_reset": lambda: bytes([0, 0, 4, 8, 0]) + number.to_bytes(4, "big") + bytes(4),
                # Content behind the end of the request is another.
                "data_after_end": lambda: DataFrame(number, b"x").serialize(),
            }[kind]
            out.append(head.serialize() + rest())
        self.send(b"".join(out))
        return {}

    def ping(self, **_):
        """Whether everything before was read: the answer to a ping, or the end."""
        before = self.pongs
        self.send(PingFrame(0, b"question").serialize())
        self.until(lambda: self.pongs > before)
        return {"pong": self.pongs > before, "goaways": self.goaways, "closed": self.closed}

    def end(self, **_):
        """Waits for the end of the connection."""
        self.until(lambda: False)
        return {"goaways": self.goaways, "closed": self.closed}

    def told(self, seconds=0, **_):
        """What has come of the connection as a whole, at once or when something more has been told."""
        before = len(self.goaways)
        self.until(lambda: seconds == 0 or len(self.goaways) > before)
        return {"goaways": self.goaways, "closed": self.closed}

    def quiet(self, **_):
        """From here on nothing is acknowledged and no window opened."""
        self.auto = False
        return {}


client = Client()
for line in sys.stdin:
    order = json.loads(line)
    try:
        result = getattr(client, order.pop("do"))(**order)
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), flush=True)
