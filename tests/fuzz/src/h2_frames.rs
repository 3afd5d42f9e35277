//! Frames of HTTP/2 at one end: two bytes choose the role and the limits, the rest is what the peer says behind its
//! preface, as it is or made into frames. In pieces it has to mean what it means in one, and what is answered has to be
//! frames that keep the peer's windows.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::Trailers;
use wire::h1::{Edits, parse_request};
use wire::h2::frame::{FrameHeader, HEADER_BYTES, Kind, settings};
use wire::h2::{Config, Connection, ConnectionError, Event, Incoming, Output, PREFACE};
use wire::{Limits, RequestHead, Scheme};

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, cut, rest @ ..] = input else { return };
    let said = if choice & 2 == 0 { framed(rest) } else { rest.to_vec() };
    let whole = run(*choice, &said, said.len().max(1));
    let pieces = run(*choice, &said, 1 + usize::from(*cut));
    assert_eq!(whole, pieces);
}

/// What came of it: events, with content as it came in all, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Event>,
    content: BTreeMap<u32, Vec<u8>>,
    error: Option<ConnectionError>,
}

/// Frames whose kinds, flags and streams are mostly sound, and whose payloads are whatever comes.
fn framed(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, flags, stream, length, behind @ ..] = rest {
        let kind = Kind::of(match kind % 16 {
            13.. => 1,
            12 => 0x10,
            11 => 0,
            other => other,
        });
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        let length = match kind {
            Kind::Ping => 8,
            Kind::RstStream | Kind::WindowUpdate => 4,
            Kind::Priority => 5,
            Kind::GoAway => payload.len().max(8),
            Kind::PriorityUpdate => payload.len().max(4),
            Kind::Settings => payload.len() / 6 * 6,
            _ => payload.len(),
        };
        let on_connection = matches!(kind, Kind::Settings | Kind::Ping | Kind::GoAway | Kind::PriorityUpdate);
        let stream = if on_connection { 0 } else { u32::from(*stream) % 12 };
        let mut payload = payload.to_vec();
        payload.resize(length, 0);
        out.extend_from_slice(&FrameHeader { length: length as u32, kind, flags: *flags, stream }.encode());
        out.extend_from_slice(&payload);
        rest = behind;
    }
    out
}

/// Whether no frame is cut short.
fn is_whole(mut said: &[u8]) -> bool {
    while let Some(header) = said.first_chunk::<HEADER_BYTES>() {
        match said.get(HEADER_BYTES + FrameHeader::parse(header).length as usize..) {
            Some(rest) => said = rest,
            None => return false,
        }
    }
    said.is_empty()
}

fn run(choice: u8, said: &[u8], piece: usize) -> Outcome {
    let mut end = End::new(choice);
    let mut hello = if choice & 1 == 0 { PREFACE.to_vec() } else { Vec::new() };
    settings::write(&mut hello, &[(settings::INITIAL_WINDOW_SIZE, 100)]);
    end.feed(&hello);
    for piece in said.chunks(piece) {
        end.feed(piece);
    }
    if end.outcome.error.is_none() && is_whole(said) {
        assert_eq!(end.connection.held(), 0, "all was released");
    }
    end.outcome
}

struct End {
    connection: Connection,
    incoming: Incoming,
    outcome: Outcome,
    is_server: bool,
}

impl End {
    fn new(choice: u8) -> End {
        let is_server = choice & 1 == 0;
        let mut config = if is_server { Config::server() } else { Config::client() };
        config.heads = crate::limits(choice >> 2);
        config.streams_max = 4;
        // What is measured depends on when it came, and a PING that asks for it is no answer.
        config.stream_window_bytes_max = 0;
        let mut connection = Connection::new(Arc::new(config));
        if !is_server {
            let text = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
            let mut head = RequestHead::new();
            parse_request(text, &Limits::default(), &mut head).expect("a request as it should be");
            for end in [false, true] {
                let asked = connection.send_request(&head, text, &Edits::new(), (Scheme::Http, b"a"), end);
                asked.expect("two streams can be opened");
            }
        }
        let outcome = Outcome { events: Vec::new(), content: BTreeMap::new(), error: None };
        End { connection, incoming: Incoming::default(), outcome, is_server }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        loop {
            let handled = match self.connection.handle_bytes(&bytes[at..], &mut self.incoming, 7) {
                Ok(handled) => handled,
                Err(error) => {
                    assert!(self.outcome.error.is_none_or(|before| before == error), "an error is the end");
                    self.outcome.error = Some(error);
                    break;
                }
            };
            let input = &bytes[at..at + handled.consumed];
            at += handled.consumed;
            match handled.event {
                Some(event) => self.take(event, input),
                None => break,
            }
        }
        assert!(at == bytes.len() || self.outcome.error.is_some(), "what is not told of is consumed");
    }

    fn take(&mut self, event: Event, input: &[u8]) {
        match event {
            Event::Data { stream, range, end } => {
                assert!(end || !range.is_empty());
                self.connection.release(stream, range.len());
                self.outcome.content.entry(stream.id).or_default().extend_from_slice(&input[range]);
                if end {
                    self.outcome.events.push(Event::Data { stream, range: 0..0, end });
                }
                return;
            }
            Event::Head { stream, end } if self.is_server => {
                assert!(!self.incoming.bytes.is_empty());
                // Some are answered, with more than the windows hold.
                if stream.id % 3 != 0 {
                    let edits = Edits::new();
                    self.connection.send_status(stream, 200, ("text/plain", 300), &edits, false).expect("it is there");
                    self.connection.queue_data(stream, 300, end).expect("it is there");
                }
            }
            Event::Malformed { stream, error } => {
                let status = error.status();
                assert!(self.is_server && (400..600).contains(&status));
                self.connection.send_status(stream, status, ("", 0), &Edits::new(), true).expect("it is there");
            }
            _ => {}
        }
        self.outcome.events.push(event);
        self.drain();
    }

    /// What is sent is frames, and no content is longer than it was queued.
    fn drain(&mut self) {
        let mut out = Vec::new();
        while let Some(output) = self.connection.poll_output(&mut out) {
            match output {
                Output::Data { bytes, .. } => {
                    assert!((1..=300).contains(&bytes));
                    out.resize(out.len() + bytes, 0);
                }
                Output::Trailers { stream } => {
                    self.connection.send_trailers(stream, &Trailers::default()).expect("it is there");
                }
            }
        }
        let mut rest = &out[if out.starts_with(PREFACE) { PREFACE.len() } else { 0 }..];
        while let Some(header) = rest.first_chunk::<HEADER_BYTES>() {
            let header = FrameHeader::parse(header);
            assert_eq!(header.check(), Ok(()));
            rest = &rest[HEADER_BYTES + header.length as usize..];
        }
        assert!(rest.is_empty(), "half a frame");
    }
}
