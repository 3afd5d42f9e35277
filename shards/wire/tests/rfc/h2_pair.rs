//! Two ends of a connection of HTTP/2 in virtual time: requests and answers of all shapes, while turns are lost,
//! merged, split at any byte and delayed by what a seed says. Each must understand exactly what the other said, no
//! window may ever be exceeded by a model that only counts frames, and when the last turn has passed, nothing may be
//! left undone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use wire::h1::{Edits, ResponseFraming};
use wire::h2::frame::{FrameHeader, HEADER_BYTES, Kind, MAX_31_BITS, settings};
use wire::h2::{Config, Connection, Culprit, ErrorCode, Event, Incoming, Output, PREFACE, Role, StreamKey};
use wire::{Method, Scheme, Trailers};

/// A generator of numbers that is the same everywhere: Marsaglia's xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    fn is_lucky(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }
}

/// One direction of a stream as its sender means it.
#[derive(Default)]
struct Message {
    /// Content, as far as the connection was told of it.
    queued: Vec<u8>,
    /// How much of that it has asked for.
    sent: usize,
    /// Content that is to be queued yet.
    left: usize,
    is_head_sent: bool,
    has_trailers: bool,
    is_ended: bool,
    /// As the receiver understood it.
    understood: Vec<u8>,
    is_head_understood: bool,
    is_end_understood: bool,
    were_trailers_understood: bool,
}

/// What the model of flow control knows of one direction: what frames on the wire have granted and used.
struct Model {
    /// By stream; 0 is the connection.
    windows: BTreeMap<u32, i64>,
    /// The window with which streams begin, and what the other end has been told it is, in the order in which this will
    /// be acknowledged.
    initial: i64,
    pending: VecDeque<i64>,
}

impl Model {
    fn new() -> Model {
        Model { windows: BTreeMap::from([(0, 65_535)]), initial: 65_535, pending: VecDeque::new() }
    }

    fn window(&mut self, stream: u32) -> &mut i64 {
        self.windows.entry(stream).or_insert(self.initial)
    }

    /// The sender of content puts a frame on the wire.
    fn sent(&mut self, header: FrameHeader) {
        if header.kind == Kind::Data {
            for stream in [0, header.stream] {
                let window = self.window(stream);
                *window -= i64::from(header.length);
                assert!(*window >= 0, "window of stream {stream} exceeded");
            }
        }
        // It obeys settings from the moment on at which it says so.
        if header.kind == Kind::Settings && header.flags & 1 == 1 {
            let initial = self.pending.pop_front().expect("an acknowledgement of what was said");
            let change = initial - self.initial;
            self.windows.iter_mut().filter(|(stream, _)| **stream != 0).for_each(|(_, window)| *window += change);
            self.initial = initial;
        }
    }

    /// The receiver of content says something that reaches the sender. What is on the way does not count yet.
    fn arrived(&mut self, header: FrameHeader, payload: &[u8]) {
        if header.kind == Kind::WindowUpdate {
            let increment = i64::from(u32::from_be_bytes(payload.try_into().unwrap()) & MAX_31_BITS);
            let window = self.window(header.stream);
            *window += increment;
            assert!(increment > 0 && *window <= i64::from(MAX_31_BITS));
        }
        if header.kind == Kind::Settings && header.flags & 1 == 0 {
            let said = settings::entries(payload).map(|entry| entry.unwrap());
            let before = self.pending.back().copied().unwrap_or(self.initial);
            let window = said.filter(|(id, _)| *id == settings::INITIAL_WINDOW_SIZE).last();
            self.pending.push_back(window.map_or(before, |(_, value)| i64::from(value)));
        }
    }
}

/// Cuts a direction's bytes into frames, however they come.
struct Cutter {
    bytes: Vec<u8>,
    /// Bytes of the preface that are to come.
    preface: usize,
}

impl Cutter {
    fn new(is_client: bool) -> Cutter {
        Cutter { bytes: Vec::new(), preface: if is_client { PREFACE.len() } else { 0 } }
    }

    fn push(&mut self, bytes: &[u8], mut each: impl FnMut(FrameHeader, &[u8])) {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
        let mut at = 0;
        while let Some(header) = self.bytes[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            let end = at + HEADER_BYTES + header.length as usize;
            if self.bytes.len() < end {
                break;
            }
            each(header, &self.bytes[at + HEADER_BYTES..end]);
            at = end;
        }
        self.bytes.drain(..at);
    }
}

/// One end and what is on the way to it.
struct End {
    connection: Connection,
    incoming: Incoming,
    /// On the way to this end.
    arriving: Vec<u8>,
    /// What this end sends, as frames.
    sending: Cutter,
    /// What has arrived here, as frames.
    arrived: Cutter,
    /// Received content that was not released.
    held: Vec<(StreamKey, usize)>,
    keys: BTreeMap<u32, StreamKey>,
    /// Messages that this end sends, by stream.
    messages: BTreeMap<u32, Message>,
    /// Streams that this end has reset, or knows to be reset.
    gone: Vec<u32>,
}

impl End {
    fn new(config: Config) -> End {
        End {
            incoming: Incoming::default(),
            arriving: Vec::new(),
            sending: Cutter::new(config.role == Role::Client),
            arrived: Cutter::new(config.role == Role::Server),
            connection: Connection::new(Arc::new(config)),
            held: Vec::new(),
            keys: BTreeMap::new(),
            messages: BTreeMap::new(),
            gone: Vec::new(),
        }
    }
}

struct Pair {
    ends: [End; 2],
    /// Of the direction that each end sends in.
    models: [Model; 2],
    dice: Dice,
    now_us: u64,
    resets: bool,
    asked: usize,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;
const REQUEST: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nX-Long: 0123456789\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n";
const EARLY: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bounded = |mut config: Config| {
            config.streams_max = [1, 3, 100][dice.roll(3) as usize];
            config.stream_window_bytes = [0, 70_000, 200_000][dice.roll(3) as usize];
            config.stream_window_bytes_max = config.stream_window_bytes.max(65_535) << dice.roll(4);
            config.connection_window_bytes = [0, 100_000, 1_000_000][dice.roll(3) as usize];
            config.held_bytes_max = 1 << 20;
            config.frame_bytes_max = [16_384, 20_000][dice.roll(2) as usize];
            config.data_frame_bytes_max = [100, 16_384, 1 << 20][dice.roll(3) as usize];
            config.decoder_table_bytes = [0, 64, 4096][dice.roll(3) as usize];
            config
        };
        let ends = [End::new(bounded(Config::client())), End::new(bounded(Config::server()))];
        let resets = dice.is_lucky(2);
        Pair { ends, models: [Model::new(), Model::new()], dice, now_us: 5, resets, asked: 0 }
    }

    fn step(&mut self) {
        self.now_us += self.dice.roll(3_000);
        let who = self.dice.roll(2) as usize;
        match self.dice.roll(12) {
            0 if self.asked < 12 => self.ask(),
            0..3 => self.queue(who),
            3..5 => self.send(who, 3),
            5..9 => self.arrive(who, 1_000),
            9 => self.release(who, 3),
            10 if self.resets && self.dice.is_lucky(4) => self.reset(who),
            11 if self.dice.is_lucky(20) => _ = self.ends[who].connection.ping(),
            _ => {}
        }
    }

    fn message(&mut self) -> Message {
        let left = match self.dice.roll(5) {
            0 | 1 => 0,
            2 => self.dice.roll(300),
            3 => self.dice.roll(70_000),
            _ if self.dice.is_lucky(3) => self.dice.roll(300_000),
            _ => 1,
        };
        Message { left: left as usize, has_trailers: self.dice.is_lucky(3), ..Message::default() }
    }

    /// The client asks.
    fn ask(&mut self) {
        if self.ends[CLIENT].connection.streams_available() == 0 {
            return;
        }
        let mut message = self.message();
        message.is_head_sent = true;
        let end = message.left == 0 && !message.has_trailers && self.dice.is_lucky(2);
        message.is_ended = end;
        let head = crate::request(REQUEST);
        let client = &mut self.ends[CLIENT];
        let reached = (Scheme::Https, b"".as_slice());
        let key = client.connection.send_request(&head, REQUEST, &Edits::new(), reached, end).unwrap();
        client.keys.insert(key.id, key);
        client.messages.insert(key.id, message);
        self.asked += 1;
    }

    /// An end goes on with one of its messages.
    fn queue(&mut self, who: usize) {
        let open: Vec<u32> =
            self.ends[who].messages.iter().filter(|(_, message)| !message.is_ended).map(|(id, _)| *id).collect();
        if open.is_empty() {
            return;
        }
        let id = open[self.dice.roll(open.len() as u64) as usize];
        let key = self.ends[who].keys[&id];
        let (count, is_early, is_joined) =
            (self.dice.roll(30_000) as usize, self.dice.is_lucky(4), self.dice.is_lucky(2));
        let byte = self.dice.roll(256) as u8;
        let End { connection, messages, .. } = &mut self.ends[who];
        let message = messages.get_mut(&id).unwrap();
        if !message.is_head_sent {
            if is_early {
                connection.send_informational(key, &crate::response(EARLY), EARLY).unwrap();
                return;
            }
            let end = message.left == 0 && !message.has_trailers && is_joined;
            let head = crate::response(RESPONSE);
            connection.send_response(key, &head, RESPONSE, &Edits::new(), ResponseFraming::Chunked, end).unwrap();
            message.is_head_sent = true;
            message.is_ended = end;
            return;
        }
        let count = count.min(message.left);
        message.left -= count;
        message.queued.resize(message.queued.len() + count, byte);
        let is_last = message.left == 0 && !message.has_trailers && (is_joined || count == 0);
        connection.queue_data(key, count, is_last).unwrap();
        message.is_ended = is_last;
        if message.left == 0 && message.has_trailers {
            connection.queue_trailers(key).unwrap();
            message.is_ended = true;
        }
    }

    /// What an end has to send goes on its way, not necessarily all of it.
    fn send(&mut self, who: usize, give_up_one_in: u64) {
        let mut out = Vec::new();
        loop {
            let End { connection, messages, .. } = &mut self.ends[who];
            let output = connection.poll_output(&mut out);
            match output {
                Some(Output::Data { stream, bytes, .. }) => {
                    let message = messages.get_mut(&stream.id).unwrap();
                    out.extend_from_slice(&message.queued[message.sent..message.sent + bytes]);
                    message.sent += bytes;
                }
                Some(Output::Trailers { stream }) => connection.send_trailers(stream, &trailers()).unwrap(),
                None => break,
            }
            // Trailers that were given leave with the next poll.
            if give_up_one_in > 0 && self.dice.is_lucky(give_up_one_in) {
                break;
            }
        }
        let models = &mut self.models;
        self.ends[who].sending.push(&out, |header, _| models[who].sent(header));
        self.ends[1 - who].arriving.extend_from_slice(&out);
    }

    /// Some of what is on the way to an end arrives.
    fn arrive(&mut self, who: usize, at_least: usize) {
        let there = self.ends[who].arriving.len();
        let count = match self.dice.roll(4) {
            0 => self.dice.roll(12) as usize,
            1 => self.dice.roll(20_000) as usize,
            _ => there,
        };
        let count = count.max(if at_least > 1_000 { at_least } else { 0 }).min(there);
        let bytes: Vec<u8> = self.ends[who].arriving.drain(..count).collect();
        let models = &mut self.models;
        self.ends[who].arrived.push(&bytes, |header, payload| models[who].arrived(header, payload));
        let mut at = 0;
        loop {
            let End { connection, incoming, .. } = &mut self.ends[who];
            let handled = connection.handle_bytes(&bytes[at..], incoming, self.now_us).unwrap();
            let base = at;
            at += handled.consumed;
            match handled.event {
                Some(event) => self.understand(who, event, &bytes[base..]),
                None => break,
            }
        }
        assert_eq!(at, bytes.len());
    }

    fn understand(&mut self, who: usize, event: Event, bytes: &[u8]) {
        match event {
            Event::Head { stream, end } => {
                if who == SERVER {
                    assert_eq!(self.ends[SERVER].incoming.request.method(), Method::Post);
                    let answer = self.message();
                    let server = &mut self.ends[SERVER];
                    assert!(!server.keys.contains_key(&stream.id), "an id is used once");
                    server.keys.insert(stream.id, stream);
                    server.messages.insert(stream.id, answer);
                } else {
                    assert_eq!(self.ends[CLIENT].incoming.response.status(), 200);
                }
                let message = self.heard(who, stream);
                assert!(!message.is_head_understood);
                message.is_head_understood = true;
                message.is_end_understood = end;
            }
            Event::Informational { stream } => {
                assert_eq!(self.ends[CLIENT].incoming.response.status(), 103);
                assert!(!self.heard(who, stream).is_head_understood);
            }
            Event::Data { stream, range, end } => {
                self.ends[who].held.push((stream, range.len()));
                assert!(end || !range.is_empty());
                let message = self.heard(who, stream);
                assert!(message.is_head_understood && !message.is_end_understood);
                message.understood.extend_from_slice(&bytes[range]);
                message.is_end_understood = end;
            }
            Event::Trailers { stream } => {
                assert!(!self.ends[who].incoming.trailers.is_empty());
                let message = self.heard(who, stream);
                assert!(!message.is_end_understood);
                (message.is_end_understood, message.were_trailers_understood) = (true, true);
            }
            Event::Reset { stream, code, .. } => {
                assert!(self.resets || code == ErrorCode::REFUSED_STREAM, "{code}");
                self.forget(who, stream.id);
            }
            Event::Settings | Event::Pong => {}
            other => panic!("{other:?}"),
        }
    }

    /// The message that this end hears on a stream.
    fn heard(&mut self, who: usize, stream: StreamKey) -> &mut Message {
        assert!(!self.ends[who].gone.contains(&stream.id), "nothing is told of a stream that is gone");
        self.ends[1 - who].messages.get_mut(&stream.id).unwrap()
    }

    fn forget(&mut self, who: usize, id: u32) {
        self.ends[who].gone.push(id);
        // Neither end goes on with it; what the other has queued it will throw away when it learns of this.
        self.ends[who].messages.entry(id).or_default().is_ended = true;
    }

    fn release(&mut self, who: usize, one_in: u64) {
        let End { connection, held, .. } = &mut self.ends[who];
        let dice = &mut self.dice;
        held.retain(|(stream, bytes)| {
            let is_released = dice.is_lucky(one_in);
            if is_released {
                connection.release(*stream, *bytes);
            }
            !is_released
        });
    }

    fn reset(&mut self, who: usize) {
        let streams: Vec<StreamKey> = self.ends[who].connection.streams().collect();
        let Some(stream) = streams.get(self.dice.roll(8) as usize) else { return };
        self.ends[who].connection.reset(*stream, ErrorCode::CANCEL, Culprit::Us);
        self.forget(who, stream.id);
    }

    /// Everything that is under way comes to its end.
    fn finish(&mut self) {
        for _ in 0..20_000 {
            self.now_us += 1_000;
            for who in [CLIENT, SERVER] {
                self.queue(who);
                self.send(who, 0);
                self.arrive(1 - who, usize::MAX);
                self.release(1 - who, 1);
            }
            let is_quiet = self
                .ends
                .iter()
                .all(|end| end.arriving.is_empty() && !end.connection.wants_output() && end.connection.active() == 0);
            if is_quiet && self.ends.iter().all(|end| end.messages.values().all(|message| message.is_ended)) {
                return self.check();
            }
        }
        panic!(
            "something is stuck: {:?}",
            self.ends.each_ref().map(|end| (
                end.connection.active(),
                end.connection.wants_output(),
                end.connection.held()
            ))
        );
    }

    fn check(&self) {
        for end in &self.ends {
            assert_eq!(end.connection.held(), 0, "all that came was released");
            assert_eq!(end.connection.calm(), None);
            for (id, message) in &end.messages {
                assert!(message.queued.starts_with(&message.understood), "stream {id}");
                if !self.ends.iter().any(|end| end.gone.contains(id)) {
                    assert_eq!(message.understood, message.queued, "stream {id}");
                    assert!(message.is_head_understood && message.is_end_understood, "stream {id}");
                    assert_eq!(message.were_trailers_understood, message.has_trailers, "stream {id}");
                }
            }
        }
    }
}

fn trailers() -> Trailers {
    let mut decoder = wire::h1::Decoder::new(wire::BodyLength::Chunked, &wire::Limits::default());
    decoder.decode(b"0\r\nX-Sum: 1\r\n\r\n").unwrap();
    decoder.trailers().unwrap().clone()
}

fn run(seed: u64) {
    let mut pair = Pair::new(seed);
    let steps = 50 + pair.dice.roll(400);
    for _ in 0..steps {
        pair.step();
    }
    pair.finish();
}

#[test]
fn both_ends_understand_each_other_whatever_the_turns() {
    let count = std::env::var("H2_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000);
    for seed in 1..=count {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
