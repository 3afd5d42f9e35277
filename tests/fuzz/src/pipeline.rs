//! A shared connection under operations: requests sent, answers in pieces, some of them nobody's.
//!
//! As long as nothing was damaged, an answer that has been read whole is the one to the request that it is taken for. And
//! whatever was damaged, no answer begins with bytes that were there before its request was sent.

use std::collections::VecDeque;

use wire::h1::pipeline::{Fate, Ticket};
use wire::h1::{Parsed, Pipeline};
use wire::{Limits, Method, ResponseHead};

/// Operations of one run.
const OPERATIONS_MAX: usize = 512;

/// Two bytes of the input are an operation and its argument.
pub fn check(input: &[u8]) {
    let mut world = World::new();
    for operation in input.chunks_exact(2).take(OPERATIONS_MAX) {
        world.run(operation[0], operation[1]);
        if world.is_over {
            return;
        }
    }
}

/// A request, as the world knows it.
#[derive(Debug, Clone, Copy)]
struct Asked {
    id: u32,
    method: Method,
    /// Bytes that had arrived when it was sent.
    arrived_before: usize,
}

struct World {
    pipeline: Pipeline<Asked>,
    tickets: Vec<Ticket>,
    /// What the server has not answered.
    unanswered: VecDeque<Asked>,
    /// On its way to the client, and arrived there without being read.
    wire: VecDeque<u8>,
    arrived: Vec<u8>,
    /// Bytes that have arrived in all, and that were read.
    arrived_bytes: usize,
    read_bytes: usize,
    /// Where the answer began that is being read, and its body so far.
    began_at: Option<usize>,
    body: Vec<u8>,
    head: ResponseHead,
    next_id: u32,
    /// The server has said, or done, what a right one would not have.
    is_damaged: bool,
    /// The server has ended the connection.
    has_closed: bool,
    is_over: bool,
}

impl World {
    fn new() -> World {
        World {
            pipeline: Pipeline::new(None),
            tickets: Vec::new(),
            unanswered: VecDeque::new(),
            wire: VecDeque::new(),
            arrived: Vec::new(),
            arrived_bytes: 0,
            read_bytes: 0,
            began_at: None,
            body: Vec::new(),
            head: ResponseHead::new(),
            next_id: 0,
            is_damaged: false,
            has_closed: false,
            is_over: false,
        }
    }

    fn run(&mut self, operation: u8, argument: u8) {
        match operation % 9 {
            0 | 1 => self.ask(argument),
            2 | 3 => self.answer(argument),
            4 => self.arrive(usize::from(argument)),
            5 => self.read(),
            6 => self.forsake(argument),
            7 => self.damage(argument),
            _ => self.end(),
        }
    }

    fn ask(&mut self, argument: u8) {
        if !self.pipeline.is_open() {
            return;
        }
        let method = if argument % 8 == 0 { Method::Head } else { Method::Get };
        let asked = Asked { id: self.next_id, method, arrived_before: self.arrived_bytes };
        self.next_id += 1;
        self.tickets.push(self.pipeline.expect(method, self.arrived_bytes as u64, asked));
        self.unanswered.push_back(asked);
    }

    fn answer(&mut self, argument: u8) {
        if self.has_closed {
            return;
        }
        let Some(asked) = self.unanswered.pop_front() else { return };
        let body = asked.id.to_string().repeat(usize::from(argument >> 4));
        let has_body = asked.method != Method::Head;
        let framing = argument % 8;
        let text = match framing {
            0 | 1 => {
                let body = if has_body && !body.is_empty() {
                    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
                } else {
                    "0\r\n\r\n".into()
                };
                let body = if has_body { body } else { String::new() };
                format!("HTTP/1.1 200 {}\r\nTransfer-Encoding: chunked\r\n\r\n{body}", asked.id)
            }
            2 => format!("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 {}\r\n\r\n", asked.id),
            3 => format!("HTTP/1.1 304 {}\r\nContent-Length: 9\r\n\r\n", asked.id),
            4 => format!("HTTP/1.1 200 {}\r\nKeep-Alive: max={}\r\nContent-Length: 0\r\n\r\n", asked.id, argument >> 4),
            _ => {
                let length = body.len();
                let close = if argument == 255 { "Connection: close\r\n" } else { "" };
                self.has_closed = argument == 255;
                let body = if has_body { body } else { String::new() };
                format!("HTTP/1.1 200 {}\r\n{close}Content-Length: {length}\r\n\r\n{body}", asked.id)
            }
        };
        self.wire.extend(text.as_bytes());
    }

    fn arrive(&mut self, count: usize) {
        let count = count.min(self.wire.len());
        self.arrived.extend(self.wire.drain(..count));
        self.arrived_bytes += count;
    }

    /// Reads as far as it goes.
    fn read(&mut self) {
        while !self.is_over {
            if self.pipeline.is_whole() {
                self.finish();
                continue;
            }
            if self.arrived.is_empty() {
                return;
            }
            let taken = match self.pipeline.is_head_due() {
                true => self.read_head(),
                false => self.read_body(),
            };
            if taken == 0 {
                return;
            }
            self.arrived.drain(..taken);
            self.read_bytes += taken;
        }
    }

    fn read_head(&mut self) -> usize {
        match self.pipeline.parse_head(&self.arrived, &Limits::default(), &mut self.head) {
            Ok(Parsed::Partial) => 0,
            Ok(Parsed::Complete(len)) => {
                self.began_at.get_or_insert(self.read_bytes);
                len
            }
            Err(error) => {
                assert!(self.is_damaged, "{error}");
                assert!(self.pipeline.is_over() && !self.pipeline.is_open());
                self.is_over = true;
                0
            }
        }
    }

    fn read_body(&mut self) -> usize {
        match self.pipeline.decode_body(&self.arrived) {
            Ok(decoded) => {
                self.body.extend_from_slice(&self.arrived[decoded.data]);
                decoded.consumed
            }
            Err(error) => {
                assert!(self.is_damaged, "{error}");
                self.is_over = true;
                0
            }
        }
    }

    fn finish(&mut self) {
        let asked = self.pipeline.finish();
        let began_at = self.began_at.take().expect("an answer has its beginning");
        assert!(began_at >= asked.arrived_before, "an answer from before its request");
        let body = std::mem::take(&mut self.body);
        if !self.is_damaged {
            let id = asked.id.to_string();
            assert_eq!(body, id.repeat(body.len() / id.len()).as_bytes(), "another's answer");
            assert!(asked.method != Method::Head || body.is_empty());
        }
        if self.pipeline.is_over() {
            assert!(self.is_damaged || self.has_closed);
            assert_eq!(self.pipeline.fate(), Fate::Unread);
            self.is_over = true;
        }
    }

    fn forsake(&mut self, argument: u8) {
        if let Some(ticket) = self.tickets.get(usize::from(argument)) {
            let before = self.pipeline.len();
            self.pipeline.forsake(*ticket);
            assert_eq!(self.pipeline.len(), before, "it is read all the same");
        }
    }

    /// Turns a bit on the wire, or puts an answer there that nobody asked for.
    fn damage(&mut self, argument: u8) {
        self.is_damaged = true;
        if argument & 1 == 0 {
            self.wire.extend(b"HTTP/1.1 200 Astray\r\nContent-Length: 6\r\n\r\nastray");
        } else if let Some(last) = self.wire.len().checked_sub(1) {
            self.wire[usize::from(argument >> 1).min(last)] ^= 1 << (argument & 7);
        }
    }

    fn end(&mut self) {
        self.arrive(usize::MAX);
        self.read();
        if self.is_over {
            return;
        }
        let is_done = self.pipeline.is_empty();
        let ended = self.pipeline.handle_eof();
        assert!(self.is_damaged || ended.is_ok() == is_done);
        assert!(!self.pipeline.is_open());
        self.is_over = true;
    }
}
