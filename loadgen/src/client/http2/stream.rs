//! One request and its answer: a stream, as a client sees it.
//!
//! ```text
//!         request                       the answer's HEADERS            END_STREAM
//!  idle ───────────▶ waiting for a head ────────────────────▶ body ─────────────────▶ gone
//!                          │ ▲ 1xx                             │ trailers               ▲
//!                          │ └─┘                               └────────────────────────┤
//!                          └─────────────── RST_STREAM of either side ──────────────────┘
//! ```
//! What is left of the request's body is sent beside it, as the windows allow.

use std::collections::VecDeque;

use crate::{
    client::protocol::{Answered, Body, Key},
    load::Target,
};

/// Interim answers before the final one.
const INTERIMS_MAX: u32 = 64;

/// One stream.
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) key: Key,
    pub(super) target: &'static Target,
    /// What is left of the request's body.
    pub(super) unsent: &'static [u8],
    /// Bytes that the server takes of it.
    pub(super) send_window: i64,
    /// Whether it is among those that have something to send, and are not held up by their window.
    pub(super) is_sending: bool,
    /// Bytes of the answer's body that were read, and for which the server has no new room yet.
    pub(super) unreturned_bytes: u32,
    /// Of the final answer; 0 before its head.
    status: u16,
    content_length: Option<u64>,
    body: Body,
    interims: u32,
}

/// What a block of fields said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Fields {
    pub(super) status: Option<u16>,
    pub(super) content_length: Option<u64>,
    /// What it has that no answer may have.
    pub(super) wrong: Option<&'static str>,
    /// Whether a field without a colon before it has come: no pseudo-header field may follow.
    has_regular: bool,
}

impl Fields {
    /// Looks at one field. RFC 9113 §8.2, §8.3
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) {
        let wrong = match name {
            [b':', ..] if self.has_regular => Some("a pseudo-header field behind other fields"),
            b":status" if self.status.is_some() => Some("two statuses"),
            b":status" => {
                self.status = number(value).filter(|status| (100..600).contains(status)).map(|status| status as u16);
                self.status.is_none().then_some("a status that is none")
            }
            [b':', ..] => Some("a pseudo-header field that no answer has"),
            b"content-length" => {
                let length = number(value);
                let differs = self.content_length.is_some() && self.content_length != length;
                self.content_length = length;
                (length.is_none() || differs).then_some("a content-length that is none, or two that differ")
            }
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Some("a field of HTTP/1's connections")
            }
            [] => Some("a field without a name"),
            _ if name.iter().any(|byte| byte.is_ascii_uppercase() || *byte <= b' ' || *byte >= 0x7f) => {
                Some("a field whose name is not in lower case")
            }
            _ => None,
        };
        self.has_regular |= !name.starts_with(b":");
        self.wrong = self.wrong.or(wrong);
    }
}

/// Digits only.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl Stream {
    pub(super) fn new(id: u32, key: Key, target: &'static Target, send_window: i64) -> Self {
        Self {
            id,
            key,
            target,
            unsent: target.body,
            send_window,
            is_sending: false,
            unreturned_bytes: 0,
            status: 0,
            content_length: None,
            body: Body::new(target),
            interims: 0,
        }
    }

    /// Takes the fields of a head or of trailers; what is wrong with them, if anything is.
    pub(super) fn handle_fields(&mut self, fields: &Fields, end_stream: bool) -> Option<&'static str> {
        if fields.wrong.is_some() {
            return fields.wrong;
        }
        if self.status != 0 {
            // Trailers. RFC 9113 §8.1
            return match (fields.status, end_stream) {
                (Some(_), _) => Some("a status in trailers"),
                (None, false) => Some("trailers that do not end the answer"),
                (None, true) => None,
            };
        }
        match fields.status {
            None => Some("a head without a status"),
            // Nobody asked for another protocol. RFC 9113 §8.6
            Some(101) => Some("an answer 101"),
            Some(100..200) if end_stream => Some("an interim answer that ends the stream"),
            Some(100..200) => {
                self.interims += 1;
                (self.interims > INTERIMS_MAX).then_some("interim answers without an end")
            }
            Some(status) => {
                self.status = status;
                self.content_length = fields.content_length;
                None
            }
        }
    }

    /// Takes a piece of the body.
    pub(super) fn handle_data(&mut self, data: &[u8]) -> Option<&'static str> {
        if self.status == 0 {
            return Some("a body before its head");
        }
        self.body.add(data);
        None
    }

    /// Holds the answer that is complete against what was expected, and against itself.
    pub(super) fn answered(&mut self) -> Result<Answered, &'static str> {
        // What has no body may still say how long it would be. RFC 9110 §8.6
        let has_body = !self.target.to_head && !matches!(self.status, 204 | 304);
        if has_body && self.content_length.is_some_and(|length| length != self.body.bytes()) {
            return Err("a body of another length than its head said");
        }
        let unexpected = self.body.judge(self.target, self.status);
        Ok(Answered { key: self.key, status: Some(self.status), unexpected, last: false })
    }
}

/// The streams of a connection: each has a slot as long as it lives, and is found by its id.
#[derive(Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// The slots of ids in order, from `first_id` on in steps of two; [`GONE`] where the stream has ended.
    by_id: VecDeque<u32>,
    /// The lowest id that may still live.
    first_id: u32,
}

const GONE: u32 = u32::MAX;

/// Where an id stands.
pub(super) enum Place {
    Live(usize),
    /// Its stream has ended.
    Gone,
    /// No stream was begun with it.
    Idle,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { first_id: 1, ..Self::default() }
    }

    /// The id of the next stream; none when they have run out. RFC 9113 §5.1.1
    pub(super) fn next_id(&self) -> Option<u32> {
        let id = u64::from(self.first_id) + 2 * self.by_id.len() as u64;
        u32::try_from(id).ok().filter(|id| *id < 1 << 31)
    }

    pub(super) fn insert(&mut self, stream: Stream) -> usize {
        debug_assert_eq!(Some(stream.id), self.next_id(), "ids are given in order");
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.by_id.push_back(slot);
        self.slots[slot as usize] = Some(stream);
        slot as usize
    }

    pub(super) fn place(&self, id: u32) -> Place {
        if id.is_multiple_of(2) {
            return Place::Idle;
        }
        let Some(offset) = id.checked_sub(self.first_id) else { return Place::Gone };
        match self.by_id.get(offset as usize / 2) {
            None => Place::Idle,
            Some(&GONE) => Place::Gone,
            Some(slot) => Place::Live(*slot as usize),
        }
    }

    pub(super) fn at(&mut self, slot: usize) -> Option<&mut Stream> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<Stream> {
        let stream = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot as u32);
        self.by_id[(stream.id - self.first_id) as usize / 2] = GONE;
        while self.by_id.front() == Some(&GONE) {
            self.by_id.pop_front();
            self.first_id += 2;
        }
        Some(stream)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Stream)> {
        self.slots.iter_mut().enumerate().filter_map(|(slot, stream)| Some((slot, stream.as_mut()?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}
