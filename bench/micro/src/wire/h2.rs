//! A request and its answer over HTTP/2: for `shards/wire/src/h2`. What is measured is a server's end in steady state,
//! the tables of both ends filled, 32 streams at a time as a load generator has them.

use std::hint::black_box;
use std::sync::Arc;

use wire::h1::{Edits, ResponseFraming, parse_request, parse_response};
use wire::h2::frame::{Kind, MAX_31_BITS, settings, window_update};
use wire::h2::{Config, Connection, Event, Incoming, Output, PREFACE, StreamKey};
use wire::{Limits, RequestHead, ResponseHead, Scheme};

use super::h1::{REQUEST, RESPONSE};

/// A request of a load generator.
const SMALL_REQUEST: &[u8] =
    b"GET /small HTTP/1.1\r\nHost: 127.0.0.1:8443\r\nUser-Agent: h2load nghttp2/1.52.0\r\n\r\n";
/// A server's answer to that.
const SMALL_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Server: nginx/1.22.1\r\n\
Date: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
Content-Type: text/plain\r\n\
Content-Length: 128\r\n\r\n";
/// Streams at a time.
pub const STREAMS: usize = 32;
/// Bytes of the answer's content.
const CONTENT: [u8; 128] = [b'x'; 128];

/// What is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// As a load generator does.
    Small,
    /// As a browser and a server do.
    Browser,
}

/// A server's end, and what a client sends to it.
pub struct Server {
    connection: Connection,
    incoming: Incoming,
    /// One request for each stream at a time, as the client writes it once its table is filled. Their ids are put in.
    requests: Vec<u8>,
    request_bytes: usize,
    next_stream: u32,
    response: ResponseHead,
    response_text: &'static [u8],
    edits: Edits,
    streams: Vec<StreamKey>,
    out: Vec<u8>,
    update: Vec<u8>,
}

impl Server {
    /// An end that has seen enough of such requests to know them.
    #[must_use]
    pub fn new(kinds: Kinds) -> Server {
        let (request, response_text) = match kinds {
            Kinds::Small => (SMALL_REQUEST, SMALL_RESPONSE),
            Kinds::Browser => (REQUEST, RESPONSE),
        };
        let mut response = ResponseHead::new();
        parse_response(response_text, &Limits::default(), &mut response).expect("a response as it should be");
        let mut server = Server {
            connection: Connection::new(Arc::new(Config::server())),
            incoming: Incoming::default(),
            requests: Vec::new(),
            request_bytes: 0,
            next_stream: 1,
            response,
            response_text,
            edits: Edits::new(),
            streams: Vec::new(),
            out: Vec::with_capacity(1 << 16),
            update: Vec::new(),
        };
        server.greet(request);
        (0..4).for_each(|_| server.exchange());
        server
    }

    /// The client's preface, and its requests until they look alike.
    fn greet(&mut self, request: &[u8]) {
        let mut hello = PREFACE.to_vec();
        settings::write(&mut hello, &[(settings::INITIAL_WINDOW_SIZE, MAX_31_BITS)]);
        self.feed(&hello);
        let mut head = RequestHead::new();
        parse_request(request, &Limits::default(), &mut head).expect("a request as it should be");
        let mut client = Connection::new(Arc::new(Config::client()));
        let mut sent = Vec::new();
        client.poll_output(&mut sent);
        for _ in 0..4 {
            sent.clear();
            let reached = (Scheme::Https, b"".as_slice());
            let asked = client.send_request(&head, request, &Edits::new(), reached, true);
            asked.expect("the first streams can be opened");
            client.poll_output(&mut sent);
            self.feed(&sent);
            self.answer();
        }
        self.next_stream = 9;
        self.request_bytes = sent.len();
        self.requests = sent.repeat(STREAMS);
        window_update::write(&mut self.update, 0, (STREAMS * CONTENT.len()) as u32);
    }

    /// Takes as many requests as there are streams at a time, answers each, and puts the answers on the wire.
    pub fn exchange(&mut self) {
        const STREAM_AT: usize = 5;
        for request in self.requests.chunks_exact_mut(self.request_bytes) {
            request[STREAM_AT..STREAM_AT + 4].copy_from_slice(&self.next_stream.to_be_bytes());
            self.next_stream += 2;
        }
        let requests = std::mem::take(&mut self.requests);
        self.feed(black_box(&requests));
        self.requests = requests;
        let update = std::mem::take(&mut self.update);
        self.feed(&update);
        self.update = update;
        assert_eq!(self.streams.len(), STREAMS);
        self.answer();
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        loop {
            let handled = self.connection.handle_bytes(&bytes[at..], &mut self.incoming, 1_000_000);
            let handled = handled.expect("frames as they should be");
            at += handled.consumed;
            match handled.event {
                Some(Event::Head { stream, .. }) => self.streams.push(stream),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn answer(&mut self) {
        for stream in self.streams.drain(..) {
            let (head, framing) = (&self.response, ResponseFraming::Exact(CONTENT.len() as u64));
            let answered =
                self.connection.send_response(stream, head, black_box(self.response_text), &self.edits, framing, false);
            answered
                .and_then(|()| self.connection.queue_data(stream, CONTENT.len(), true))
                .expect("the stream is there");
        }
        self.out.clear();
        while let Some(output) = self.connection.poll_output(&mut self.out) {
            let Output::Data { bytes, .. } = output else { panic!("no trailers were queued") };
            self.out.extend_from_slice(&CONTENT[..bytes]);
        }
        black_box(&self.out);
    }

    /// The frames that went out last, by kind.
    #[must_use]
    pub fn sent(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        let mut rest = &self.out[..];
        while let Some((header, behind)) = rest.split_first_chunk() {
            let header = wire::h2::frame::FrameHeader::parse(header);
            kinds.push(header.kind);
            rest = &behind[header.length as usize..];
        }
        kinds
    }
}

/// A connection over which content comes in frames of 16 KiB and goes out again, as large bodies do.
pub struct Relay {
    connection: Connection,
    incoming: Incoming,
    stream: Option<StreamKey>,
    frame: Vec<u8>,
    out: Vec<u8>,
    update: Vec<u8>,
}

impl Default for Relay {
    fn default() -> Relay {
        let mut relay = Relay {
            connection: Connection::new(Arc::new(Config::server())),
            incoming: Incoming::default(),
            stream: None,
            frame: Vec::new(),
            out: Vec::with_capacity(1 << 16),
            update: Vec::new(),
        };
        let mut hello = PREFACE.to_vec();
        settings::write(&mut hello, &[]);
        let start = wire::h2::frame::headers::begin(&mut hello);
        hello.extend_from_slice(b"\x83\x84\x86\x01\x01a");
        wire::h2::frame::headers::finish(&mut hello, start, 1, false, 16_384);
        relay.feed(&hello);
        let text = b"HTTP/1.1 200 OK\r\n\r\n";
        let mut head = ResponseHead::new();
        parse_response(text, &Limits::default(), &mut head).expect("a response as it should be");
        let stream = relay.stream.expect("a request came");
        let answered =
            relay.connection.send_response(stream, &head, text, &Edits::new(), ResponseFraming::Chunked, false);
        answered.expect("the stream is there");
        relay.frame.extend_from_slice(&wire::h2::frame::data::header(1, Self::FRAME_BYTES as u32, false));
        relay.frame.resize(relay.frame.len() + Self::FRAME_BYTES, b'x');
        for stream in [0, 1] {
            window_update::write(&mut relay.update, stream, Self::FRAME_BYTES as u32);
        }
        relay
    }
}

impl Relay {
    const FRAME_BYTES: usize = 16 << 10;

    /// Takes a frame, releases it, and sends one as long.
    pub fn relay(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        self.feed(black_box(&frame));
        self.frame = frame;
        let stream = self.stream.expect("a request came");
        self.connection.queue_data(stream, Self::FRAME_BYTES, false).expect("the stream is there");
        self.out.clear();
        while self.connection.poll_output(&mut self.out).is_some() {}
        black_box(&self.out);
        let update = std::mem::take(&mut self.update);
        self.feed(&update);
        self.update = update;
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        loop {
            let handled = self.connection.handle_bytes(&bytes[at..], &mut self.incoming, 1_000_000);
            let handled = handled.expect("frames as they should be");
            at += handled.consumed;
            match handled.event {
                Some(Event::Head { stream, .. }) => self.stream = Some(stream),
                Some(Event::Data { stream, range, .. }) => self.connection.release(stream, range.len()),
                Some(_) => {}
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_answered() {
        for kinds in [Kinds::Small, Kinds::Browser] {
            let mut server = Server::new(kinds);
            for _ in 0..100 {
                server.exchange();
                let sent = server.sent();
                assert_eq!(sent.iter().filter(|kind| **kind == Kind::Headers).count(), STREAMS);
                assert_eq!(sent.iter().filter(|kind| **kind == Kind::Data).count(), STREAMS);
            }
        }
        let mut relay = Relay::default();
        for _ in 0..10_000 {
            relay.relay();
            assert_eq!(&relay.out[relay.out.len() - 9..][..4], [0, 0x40, 0, 0]);
        }
    }
}
