//! Two ends of a connection of HTTP/2 against each other. The input is a list of operations: the client asks, either
//! end sends content and trailers, bytes arrive in pieces, streams are reset, an end leaves, a byte is damaged. As long
//! as nothing was damaged, each end must understand exactly what the other said, and everything that was begun must
//! come to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::h1::{Decoder, Edits, ResponseFraming, parse_request, parse_response};
use wire::h2::{Config, Connection, Culprit, ErrorCode, Event, Incoming, Output, StreamKey};
use wire::{BodyLength, Limits, RequestHead, ResponseHead, Scheme, Trailers};

const CLIENT: usize = 0;
const SERVER: usize = 1;
const REQUEST: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n";
const EARLY: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

/// Panics if a property does not hold for the operations of `input`.
pub fn check(input: &[u8]) {
    let [choice, operations @ ..] = input else { return };
    let mut pair = Pair::new(*choice);
    for operation in operations.chunks_exact(2) {
        pair.now_us += 500;
        pair.apply(operation[0], operation[1]);
        if pair.is_over {
            return;
        }
    }
    pair.finish();
}

/// One direction of a stream.
#[derive(Default)]
struct Message {
    /// `None` if this was only heard: of a stream that nobody opened, and that damage has made.
    key: Option<StreamKey>,
    queued: Vec<u8>,
    sent: usize,
    is_head_sent: bool,
    is_ended: bool,
    has_trailers: bool,
    understood: Vec<u8>,
    is_head_understood: bool,
    is_end_understood: bool,
}

struct End {
    connection: Connection,
    incoming: Incoming,
    arriving: Vec<u8>,
    held: Vec<(StreamKey, usize)>,
    /// What this end sends.
    messages: BTreeMap<u32, Message>,
    gone: Vec<u32>,
}

struct Pair {
    ends: [End; 2],
    now_us: u64,
    is_damaged: bool,
    is_over: bool,
}

impl Pair {
    fn new(choice: u8) -> Pair {
        let end = |mut config: Config| {
            config.streams_max = 1 + u32::from(choice & 3) * 4;
            config.decoder_table_bytes = u32::from(choice >> 4) * 512;
            config.stream_window_bytes = if choice & 4 == 0 { 0 } else { 100_000 };
            config.connection_window_bytes = if choice & 8 == 0 { 0 } else { 1 << 20 };
            End {
                connection: Connection::new(Arc::new(config)),
                incoming: Incoming::default(),
                arriving: Vec::new(),
                held: Vec::new(),
                messages: BTreeMap::new(),
                gone: Vec::new(),
            }
        };
        Pair { ends: [end(Config::client()), end(Config::server())], now_us: 1, is_damaged: false, is_over: false }
    }

    fn apply(&mut self, operation: u8, argument: u8) {
        let who = usize::from(operation >> 7);
        match operation & 15 {
            0 => self.ask(argument),
            1 | 2 => self.go_on(who, argument, usize::from(argument) * 300),
            3 => self.go_on(who, argument, usize::from(argument % 4)),
            4..7 => self.send(who, usize::from(argument % 8)),
            7..10 => self.arrive(who, usize::from(argument)),
            10 => self.arrive(who, usize::MAX),
            11 => self.release(who, usize::from(argument)),
            12 => self.reset(who, usize::from(argument)),
            13 => _ = self.ends[who].connection.ping(),
            14 if argument < 16 => self.ends[who].connection.drain(),
            15 if argument < 128 => self.damage(who, argument),
            _ => self.release(who, usize::MAX),
        }
    }

    fn ask(&mut self, argument: u8) {
        let client = &mut self.ends[CLIENT];
        if client.connection.streams_available() == 0 {
            return;
        }
        let mut head = RequestHead::new();
        parse_request(REQUEST, &Limits::default(), &mut head).expect("a request as it should be");
        let end = argument & 1 == 0;
        let asked = client.connection.send_request(&head, REQUEST, &Edits::new(), (Scheme::Http, b""), end);
        let key = asked.expect("a stream was available");
        let message = Message { key: Some(key), is_head_sent: true, is_ended: end, ..Message::default() };
        client.messages.insert(key.id, message);
    }

    /// The message of that number that is not ended goes on.
    fn go_on(&mut self, who: usize, argument: u8, bytes: usize) {
        let End { connection, messages, .. } = &mut self.ends[who];
        let open = messages.values_mut().filter_map(|message| message.key.zip(Some(message)));
        let mut open = open.filter(|(_, message)| !message.is_ended);
        let Some((key, message)) = open.nth(usize::from(argument >> 2) % 8) else { return };
        if !message.is_head_sent {
            let text = if argument & 1 == 0 { EARLY } else { RESPONSE };
            let mut head = ResponseHead::new();
            parse_response(text, &Limits::default(), &mut head).expect("a response as it should be");
            let sent = if argument & 1 == 0 {
                connection.send_informational(key, &head, text)
            } else {
                message.is_head_sent = true;
                message.is_ended = argument & 2 == 0;
                let (edits, framing) = (Edits::new(), ResponseFraming::Chunked);
                connection.send_response(key, &head, text, &edits, framing, message.is_ended)
            };
            return sent.expect("the stream is there");
        }
        message.queued.resize(message.queued.len() + bytes, argument);
        message.is_ended = argument & 3 == 0;
        connection.queue_data(key, bytes, message.is_ended).expect("the stream is there");
        if argument & 3 == 1 {
            connection.queue_trailers(key).expect("the stream is there");
            (message.is_ended, message.has_trailers) = (true, true);
        }
    }

    fn send(&mut self, who: usize, polls: usize) {
        let mut out = Vec::new();
        let End { connection, messages, .. } = &mut self.ends[who];
        for _ in 0..=polls {
            match connection.poll_output(&mut out) {
                Some(Output::Data { stream, bytes, .. }) => {
                    let message = messages.get_mut(&stream.id).expect("a message of ours");
                    out.extend_from_slice(&message.queued[message.sent..message.sent + bytes]);
                    message.sent += bytes;
                }
                Some(Output::Trailers { stream }) => {
                    connection.send_trailers(stream, &trailers()).expect("the stream is there");
                }
                None => break,
            }
        }
        self.ends[1 - who].arriving.extend_from_slice(&out);
    }

    fn arrive(&mut self, who: usize, count: usize) {
        let count = count.min(self.ends[who].arriving.len());
        let bytes: Vec<u8> = self.ends[who].arriving.drain(..count).collect();
        let mut at = 0;
        loop {
            let End { connection, incoming, .. } = &mut self.ends[who];
            let handled = match connection.handle_bytes(&bytes[at..], incoming, self.now_us) {
                Ok(handled) => handled,
                Err(error) => {
                    assert!(self.is_damaged || matches!(error, wire::h2::ConnectionError::Budget(_)), "{error}");
                    self.is_over = true;
                    return;
                }
            };
            let input = &bytes[at..at + handled.consumed];
            at += handled.consumed;
            match handled.event {
                Some(event) => self.understand(who, event, input),
                None => return assert_eq!(at, bytes.len()),
            }
        }
    }

    fn understand(&mut self, who: usize, event: Event, input: &[u8]) {
        let is_damaged = self.is_damaged;
        let [client, server] = &mut self.ends;
        let (end, other) = if who == CLIENT { (client, server) } else { (server, client) };
        match event {
            Event::Head { stream, end: is_end } => {
                if who == SERVER {
                    end.messages.insert(stream.id, Message { key: Some(stream), ..Message::default() });
                }
                let message = other.messages.entry(stream.id).or_default();
                assert!(is_damaged || !message.is_head_understood);
                (message.is_head_understood, message.is_end_understood) = (true, is_end);
            }
            Event::Data { stream, range, end: is_end } => {
                end.held.push((stream, range.len()));
                let message = other.messages.entry(stream.id).or_default();
                assert!(!message.is_end_understood && message.is_head_understood);
                message.understood.extend_from_slice(&input[range]);
                message.is_end_understood = is_end;
                assert!(is_damaged || message.queued.starts_with(&message.understood));
            }
            Event::Trailers { stream } => {
                let message = other.messages.entry(stream.id).or_default();
                assert!(is_damaged || (message.has_trailers && !message.is_end_understood));
                message.is_end_understood = true;
            }
            Event::Malformed { stream, .. } => {
                assert!(is_damaged);
                end.connection.reset(stream, ErrorCode::PROTOCOL_ERROR, Culprit::Peer);
            }
            Event::Reset { stream, .. } => end.forget(stream.id),
            Event::GoAway { last_stream, .. } if who == CLIENT => {
                let unread: Vec<u32> = end.messages.keys().copied().filter(|id| *id > last_stream).collect();
                unread.into_iter().for_each(|id| end.forget(id));
            }
            Event::Informational { .. } | Event::GoAway { .. } | Event::Settings | Event::Pong => {}
        }
    }

    fn release(&mut self, who: usize, which: usize) {
        let End { connection, held, .. } = &mut self.ends[who];
        if which == usize::MAX {
            held.drain(..).for_each(|(stream, bytes)| connection.release(stream, bytes));
        } else if which < held.len() {
            let (stream, bytes) = held.swap_remove(which);
            connection.release(stream, bytes);
        }
    }

    fn reset(&mut self, who: usize, which: usize) {
        let end = &mut self.ends[who];
        let Some(stream) = end.connection.streams().nth(which) else { return };
        end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
        end.forget(stream.id);
    }

    fn damage(&mut self, who: usize, argument: u8) {
        let arriving = &mut self.ends[who].arriving;
        if let Some(last) = arriving.len().checked_sub(1) {
            arriving[usize::from(argument >> 1).min(last)] ^= 1 << (argument & 7);
            self.is_damaged = true;
        }
    }

    /// Everything that was begun comes to its end.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.now_us += 20_000;
            for who in [CLIENT, SERVER] {
                self.go_on(who, 3, 0);
                self.go_on(who, 0, 1);
                self.send(who, usize::MAX - 1);
                self.arrive(1 - who, usize::MAX);
                if self.is_over {
                    return;
                }
                self.release(1 - who, usize::MAX);
            }
            let is_quiet = |end: &End| {
                end.arriving.is_empty()
                    && !end.connection.wants_output()
                    && end.messages.values().all(|message| message.is_ended || message.key.is_none())
            };
            if self.ends.iter().all(is_quiet) {
                return self.check();
            }
        }
        panic!("something is stuck");
    }

    fn check(&self) {
        if self.is_damaged {
            return;
        }
        for end in &self.ends {
            assert_eq!((end.connection.active(), end.connection.held()), (0, 0));
            for (id, message) in &end.messages {
                if !self.ends.iter().any(|end| end.gone.contains(id)) {
                    assert!(message.is_end_understood && message.understood == message.queued, "stream {id}");
                }
            }
        }
    }
}

impl End {
    fn forget(&mut self, id: u32) {
        self.gone.push(id);
        self.messages.entry(id).or_default().is_ended = true;
    }
}

/// Trailers can only be made by reading them.
fn trailers() -> Trailers {
    let mut decoder = Decoder::new(BodyLength::Chunked, &Limits::default());
    decoder.decode(b"0\r\nX-Sum: 1\r\n\r\n").unwrap();
    decoder.trailers().unwrap().clone()
}
