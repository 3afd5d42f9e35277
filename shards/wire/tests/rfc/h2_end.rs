//! One end of a connection of HTTP/2, with a peer that is a list of bytes: what the modules on RFC 9113 and RFC 9218
//! have in common.

use std::sync::Arc;

use wire::h2::frame::{END_HEADERS, END_STREAM, FrameHeader, HEADER_BYTES, Kind, settings};
use wire::h2::{
    Config, Connection, ConnectionError, ErrorCode, Event, Incoming, Output, PREFACE, ResetBy, Role, StreamKey,
};
use wire::{Method, ResponseHead};

/// `GET http://a/`, as a block that changes no table.
pub(crate) const GET: &[u8] = b"\x82\x84\x86\x01\x01a";
/// `POST http://a/`
pub(crate) const POST: &[u8] = b"\x83\x84\x86\x01\x01a";
/// Status 200.
pub(crate) const OK: &[u8] = b"\x88";
/// Status 100.
pub(crate) const CONTINUE: &[u8] = b"\x08\x03100";
/// `x: y`
pub(crate) const TRAILERS: &[u8] = b"\x00\x01x\x01y";

/// `content-length`, to be put behind a block.
pub(crate) fn content_length(length: &str) -> Vec<u8> {
    [b"\x0f\x0d".as_slice(), &[length.len() as u8], length.as_bytes()].concat()
}

/// A frame as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { length: payload.len() as u32, kind, flags, stream };
    [&header.encode(), payload].concat()
}

/// A HEADERS frame with a whole block.
pub(crate) fn headers(stream: u32, block: &[u8], end: bool) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS | if end { END_STREAM } else { 0 }, stream, block)
}

pub(crate) fn data(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    frame(Kind::Data, if end { END_STREAM } else { 0 }, stream, payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn rst_stream(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(Kind::RstStream, 0, stream, &code.0.to_be_bytes())
}

pub(crate) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    settings::write(&mut out, entries);
    out
}

/// Splits bytes into frames.
#[track_caller]
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(header) = bytes.first_chunk::<HEADER_BYTES>() {
        let FrameHeader { length, kind, flags, stream } = FrameHeader::parse(header);
        let (payload, rest) = bytes[HEADER_BYTES..].split_at(length as usize);
        frames.push(Frame { kind, flags, stream, payload: payload.to_vec() });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was reported, or did what it is for without a word.
    Taken,
    /// The caller was told of nothing, and nothing was answered.
    Ignored,
    /// The stream was reset with this code.
    Stream(ErrorCode),
    /// The connection ended with this code.
    Connection(ErrorCode),
}

/// One end.
pub(crate) struct End {
    pub(crate) connection: Connection,
    pub(crate) incoming: Incoming,
    pub(crate) now_us: u64,
}

impl End {
    /// An end whose peer has said its preface and empty SETTINGS, and has acknowledged ours.
    pub(crate) fn new(config: Config) -> End {
        End::with_settings(config, &[])
    }

    pub(crate) fn server() -> End {
        End::new(Config::server())
    }

    pub(crate) fn client() -> End {
        End::new(Config::client())
    }

    pub(crate) fn with_settings(config: Config, entries: &[(u16, u32)]) -> End {
        let mut end = End::bare(config);
        end.greet(entries);
        end
    }

    /// An end to which nobody has said anything.
    pub(crate) fn bare(config: Config) -> End {
        End { connection: Connection::new(Arc::new(config)), incoming: Incoming::default(), now_us: 1_000_000 }
    }

    /// The peer's preface and SETTINGS.
    pub(crate) fn greet(&mut self, entries: &[(u16, u32)]) {
        let mut out = Vec::new();
        assert_eq!(self.connection.poll_output(&mut out), None);
        if !out.starts_with(PREFACE) {
            self.feed(PREFACE);
        }
        assert_eq!(self.feed(&settings(entries)), [Event::Settings]);
        assert_eq!(self.feed(&frame(Kind::Settings, 1, 0, b"")), []);
        assert!(self.connection.settings_acknowledged());
        self.sent();
    }

    /// Hands bytes in; content is released at once.
    pub(crate) fn try_feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ConnectionError> {
        let events = self.try_feed_and_hold(bytes)?;
        for event in &events {
            if let Event::Data { stream, range, .. } = event {
                self.connection.release(*stream, range.len());
            }
        }
        Ok(events)
    }

    /// Hands bytes in; content is held.
    pub(crate) fn try_feed_and_hold(&mut self, bytes: &[u8]) -> Result<Vec<Event>, ConnectionError> {
        let (mut at, mut events) = (0, Vec::new());
        loop {
            let handled = self.connection.handle_bytes(&bytes[at..], &mut self.incoming, self.now_us)?;
            let base = at;
            at += handled.consumed;
            match handled.event {
                Some(Event::Data { stream, range, end }) => {
                    let range = base + range.start..base + range.end;
                    assert!(range.end <= at);
                    events.push(Event::Data { stream, range, end });
                }
                Some(event) => events.push(event),
                None => {
                    assert_eq!(at, bytes.len(), "all is consumed where nothing is told");
                    return Ok(events);
                }
            }
        }
    }

    #[track_caller]
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.try_feed(bytes).unwrap()
    }

    #[track_caller]
    pub(crate) fn feed_and_hold(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.try_feed_and_hold(bytes).unwrap()
    }

    /// Everything that goes out now, content being zeros.
    pub(crate) fn sent(&mut self) -> Vec<Frame> {
        let mut out = Vec::new();
        while let Some(output) = self.connection.poll_output(&mut out) {
            match output {
                Output::Data { bytes, .. } => out.resize(out.len() + bytes, 0),
                Output::Trailers { stream } => {
                    self.connection.send_trailers(stream, &wire::Trailers::default()).unwrap();
                }
            }
        }
        let from = if out.starts_with(PREFACE) { PREFACE.len() } else { 0 };
        frames(&out[from..])
    }

    /// What goes out of one kind.
    pub(crate) fn sent_of(&mut self, kind: Kind) -> Vec<Frame> {
        self.sent().into_iter().filter(|frame| frame.kind == kind).collect()
    }

    /// A request comes; the stream that it opens.
    #[track_caller]
    pub(crate) fn ask(&mut self, id: u32, block: &[u8], end: bool) -> StreamKey {
        match self.feed(&headers(id, block, end))[..] {
            [Event::Head { stream, end: is_end }] if stream.id == id && is_end == end => stream,
            ref other => panic!("{other:?}"),
        }
    }

    /// A request goes out; the stream that it opens.
    pub(crate) fn request(&mut self, method: Method, end: bool) -> StreamKey {
        let text = match method {
            Method::Head => "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Get => "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            _ => "POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        };
        let head = crate::request(text.as_bytes());
        let edits = wire::h1::Edits::new();
        let reached = (wire::Scheme::Http, b"a".as_slice());
        self.connection.send_request(&head, text.as_bytes(), &edits, reached, end).unwrap()
    }

    /// Answers 200.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: StreamKey, end: bool) {
        let text = b"HTTP/1.1 200 OK\r\n\r\n";
        let head: ResponseHead = crate::response(text);
        let edits = wire::h1::Edits::new();
        let framing = wire::h1::ResponseFraming::Chunked;
        self.connection.send_response(stream, &head, text, &edits, framing, end).unwrap();
    }

    /// Hands bytes in and says what became of them.
    pub(crate) fn outcome(&mut self, bytes: &[u8]) -> Outcome {
        self.sent();
        let events = match self.try_feed(bytes) {
            Ok(events) => events,
            Err(error) => {
                let goaway = self.sent().pop().unwrap();
                assert_eq!((goaway.kind, goaway.stream), (Kind::GoAway, 0));
                assert_eq!(goaway.payload[4..], error.code().0.to_be_bytes(), "{error}");
                assert_eq!(self.try_feed(b"x"), Err(error), "nothing is read any more");
                return Outcome::Connection(error.code());
            }
        };
        if let Some(reset) = self.sent_of(Kind::RstStream).first() {
            let code = ErrorCode(u32::from_be_bytes(reset.payload[..].try_into().unwrap()));
            let told =
                |event: &Event| matches!(event, Event::Reset { by: ResetBy::Us, code: told, .. } if *told == code);
            assert!(events.is_empty() || events.iter().any(told), "{events:?}");
            return Outcome::Stream(code);
        }
        if events.is_empty() { Outcome::Ignored } else { Outcome::Taken }
    }
}

/// A configuration with another role, for tables that hold for both.
pub(crate) fn config(role: Role) -> Config {
    match role {
        Role::Server => Config::server(),
        Role::Client => Config::client(),
    }
}
