//! Heads as browsers and servers send them, and a body in chunks: for `shards/wire/src/h1`.

use std::hint::black_box;

use wire::h1::{ClientConnection, Decoder, Edits, Parsed, ServerConnection, parse_request, parse_response};
use wire::{BodyLength, Limits, RequestHead, ResponseHead};

/// A browser's request.
pub const REQUEST: &[u8] = b"GET /articles/2026/11/on-measuring?page=2 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Referer: https://www.example.com/articles\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
Connection: keep-alive\r\n\r\n";

/// A server's answer.
pub const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx/1.22.1\r\n\
Date: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
Content-Type: text/html; charset=utf-8\r\n\
Content-Length: 128\r\n\
Connection: keep-alive\r\n\
Cache-Control: max-age=60\r\n\
ETag: \"5f3-1a2b3c\"\r\n\r\n";

/// A kibibyte in one chunk of a body that goes on.
const CHUNK_BYTES: usize = 1024;

/// Both heads, read; the state that one exchange after the other reuses.
pub struct Heads {
    limits: Limits,
    request: RequestHead,
    response: ResponseHead,
    edits: Edits,
    out: Vec<u8>,
}

impl Default for Heads {
    fn default() -> Heads {
        let mut heads = Heads {
            limits: Limits::default(),
            request: RequestHead::new(),
            response: ResponseHead::new(),
            edits: Edits::new(),
            out: Vec::with_capacity(4096),
        };
        heads.parse_request();
        heads.parse_response();
        heads.edit();
        heads
    }
}

impl Heads {
    /// Reads the request's head.
    pub fn parse_request(&mut self) {
        let parsed = parse_request(black_box(REQUEST), &self.limits, &mut self.request);
        assert!(matches!(parsed, Ok(Parsed::Complete(REQUEST_BYTES))));
    }

    /// Reads the response's head.
    pub fn parse_response(&mut self) {
        let parsed = parse_response(black_box(RESPONSE), &self.limits, &mut self.response);
        assert!(matches!(parsed, Ok(Parsed::Complete(RESPONSE_BYTES))));
    }

    /// Edits as a proxy makes them for each request: fields of its own, and one that a route removes.
    pub fn edit(&mut self) {
        self.edits.clear();
        let edited = (self.edits.remove_named(black_box(b"x-debug")))
            .and_then(|()| self.edits.append(b"X-Forwarded-For", black_box(b"192.0.2.10")))
            .and_then(|()| self.edits.append(b"X-Forwarded-Proto", black_box(b"https")))
            .and_then(|()| self.edits.append(b"X-Request-Id", black_box(b"018f3a6e7b2c4d5e9f00112233445566")));
        assert!(edited.is_ok());
    }

    /// Writes the request's head for an upstream, on a connection of its own.
    pub fn write_request(&mut self) {
        self.out.clear();
        let mut connection = ClientConnection::new();
        connection.write_head(&mut self.out, &self.request, black_box(REQUEST), &self.edits, b"");
        black_box(&self.out);
    }

    /// Answers a request that was just read with the response's head.
    pub fn write_response(&mut self) {
        self.out.clear();
        let mut connection = ServerConnection::new();
        let read = connection.parse_head(black_box(REQUEST), &self.limits, &mut self.request);
        assert!(matches!(read, Ok(Parsed::Complete(_))));
        connection.write_head(&mut self.out, &self.response, black_box(RESPONSE), &self.edits, BodyLength::Exact(128));
        black_box(&self.out);
    }
}

const REQUEST_BYTES: usize = REQUEST.len();
const RESPONSE_BYTES: usize = RESPONSE.len();

/// A body in chunks, without end.
pub struct Chunks {
    decoder: Decoder,
    chunk: Vec<u8>,
}

impl Default for Chunks {
    fn default() -> Chunks {
        let limits = Limits::default();
        let chunk = [format!("{CHUNK_BYTES:x}\r\n").as_bytes(), &[b'x'; CHUNK_BYTES], b"\r\n"].concat();
        Chunks { decoder: Decoder::new(BodyLength::Chunked, &limits), chunk }
    }
}

impl Chunks {
    /// Takes the next chunk.
    pub fn decode(&mut self) {
        let mut rest = black_box(&self.chunk[..]);
        while !rest.is_empty() {
            let decoded = self.decoder.decode(rest).expect("a chunk as it should be");
            assert!(decoded.consumed > 0);
            rest = &rest[decoded.consumed..];
        }
    }
}
