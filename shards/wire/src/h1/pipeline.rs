//! The client's end of a connection that carries several requests at once: which answer is whose. RFC 9112 §9.3.2
//!
//! Answers come in the order of the requests, and nothing in them says to which they belong. So the order is kept here, and
//! whatever casts doubt on it ends the connection: bytes that no request awaits, an answer that was there before its request
//! was sent, a head or body that is malformed. Requests without a body only: their ends need no watching.
//!
//! Whoever waits is known by a [`Ticket`]. One that no longer wants its answer is [forsaken](Pipeline::forsake): the answer
//! still has to be read, by whomever.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::body::{Decoded, Decoder};
use super::client::INFORMATIONAL_MAX;
use super::read::{HeadScan, Parsed, parse_response};
use crate::{BodyError, BodyLength, FieldName, Limits, Method, ResponseError, ResponseHead, Trailers};

/// A request's place in the order of a pipeline. No two requests of one connection have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// The requests of one connection that await their answers, in order. `T` is what the caller keeps with each.
#[derive(Debug)]
pub struct Pipeline<T> {
    waiting: VecDeque<Waiting<T>>,
    /// The ticket of the first of them, which is also the number of requests that have been answered.
    first: u64,
    answer: Answer,
    decoder: Decoder,
    scan: HeadScan,
    informational: u8,
    /// Bytes of the connection that were taken for answers.
    consumed: u64,
    /// Whether anything of an answer has come since the connection last had nothing to answer.
    touched: bool,
    /// Requests that this connection may carry, as far as is known.
    requests_max: u64,
    state: State,
    lesson: Option<Lesson>,
}

/// One request.
#[derive(Debug)]
struct Waiting<T> {
    method: Method,
    /// Bytes that had come before it was sent: its answer cannot be among them.
    not_before: u64,
    is_forsaken: bool,
    tag: T,
}

/// Where the answer stands that is due.
///
/// ```text
///              parse_head: final
///   ┌─► Head ───────────────────► Body ─┐ decode_body
///   │   └─┘ parse_head: 1xx        │ ▲──┘
///   └──────────────────────────────┘ finish
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Head,
    Body,
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The answer that is being read is the last one.
    Last,
    /// That answer has been read: the others will have none.
    Ended,
    /// It ended, or is to end, for another reason.
    Broken,
}

/// What has become of the requests that are not answered, once the connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The server said that it would answer no more, so that it must not have acted on them. RFC 9112 §9.6
    Unread,
    /// The connection had been idle and died before anything of an answer came: it looked alive, and was not.
    Stale,
    /// Nobody knows: only those that are safe to repeat may be sent again.
    Unknown,
}

/// What a connection has shown of how many requests its server lets it carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// So many.
    Ends(u32),
    /// More than was believed.
    GoesOn,
}

impl<T> Pipeline<T> {
    /// A connection on which nothing has been sent, and which may carry at most `requests_max` requests, if that is known.
    #[must_use]
    pub fn new(requests_max: Option<u32>) -> Pipeline<T> {
        Pipeline {
            waiting: VecDeque::new(),
            first: 0,
            answer: Answer::Head,
            decoder: Decoder::new(BodyLength::None, &Limits::default()),
            scan: HeadScan::default(),
            informational: 0,
            consumed: 0,
            touched: false,
            requests_max: requests_max.map_or(u64::MAX, u64::from),
            state: State::Open,
            lesson: None,
        }
    }

    /// Whether another request may be sent. Not behind a HEAD: servers are known to send a body with its answer, which would
    /// be taken for the next one.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
            && self.first + (self.waiting.len() as u64) < self.requests_max
            && self.waiting.back().is_none_or(|last| last.method != Method::Head)
    }

    /// Takes note of a request without a body that is sent behind all others. `received` bytes of the connection have come so
    /// far, read or not.
    ///
    /// # Panics
    /// If none may be sent.
    pub fn expect(&mut self, method: Method, received: u64, tag: T) -> Ticket {
        assert!(self.is_open(), "a request on a connection that takes none");
        if self.waiting.is_empty() {
            self.touched = false;
        }
        let ticket = Ticket(self.first + self.waiting.len() as u64);
        self.waiting.push_back(Waiting { method, not_before: received, is_forsaken: false, tag });
        ticket
    }

    /// Requests that are not answered whole.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all requests have been answered whole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the answer that is due is this request's.
    #[must_use]
    pub fn is_due(&self, ticket: Ticket) -> bool {
        ticket.0 == self.first && !self.waiting.is_empty()
    }

    /// What is kept with this request, until it has been answered whole.
    pub fn tag(&mut self, ticket: Ticket) -> Option<&mut T> {
        let place = usize::try_from(ticket.0.checked_sub(self.first)?).ok()?;
        self.waiting.get_mut(place).map(|waiting| &mut waiting.tag)
    }

    /// What is kept with the request whose answer is due, and whether it has been forsaken.
    pub fn due(&mut self) -> Option<(&mut T, bool)> {
        self.waiting.front_mut().map(|due| (&mut due.tag, due.is_forsaken))
    }

    /// What is kept with each request that somebody waits for, in order.
    pub fn live(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.iter_mut().filter(|waiting| !waiting.is_forsaken).map(|waiting| &mut waiting.tag)
    }

    /// Nobody waits for this answer any more. It has to be read all the same.
    pub fn forsake(&mut self, ticket: Ticket) {
        let place = ticket.0.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)) {
            waiting.is_forsaken = true;
        }
    }

    /// Reads the next head of the answer that is due, as [`super::ClientConnection::parse_head`]. `bytes` begin where what was
    /// read before ended.
    ///
    /// # Errors
    /// As there; also for an answer that was there before its request was sent. The connection has to be closed.
    ///
    /// # Panics
    /// If that answer's final head has been read.
    pub fn parse_head(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut ResponseHead,
    ) -> Result<Parsed, ResponseError> {
        assert!(self.answer == Answer::Head, "one final head to an answer");
        if bytes.is_empty() {
            return Ok(Parsed::Partial);
        }
        self.touched = true;
        let parsed = self.next_head(bytes, limits, head);
        match parsed {
            Ok(Parsed::Complete(len)) => self.consumed += len as u64,
            Ok(Parsed::Partial) => {}
            Err(_) => self.break_off(),
        }
        parsed
    }

    fn next_head(&mut self, bytes: &[u8], limits: &Limits, head: &mut ResponseHead) -> Result<Parsed, ResponseError> {
        let due = self.waiting.front().ok_or(ResponseError::Unsolicited)?;
        // What is over has no answers either: they would not have been meant for whom they are taken for.
        if matches!(self.state, State::Ended | State::Broken) || self.consumed < due.not_before {
            return Err(ResponseError::Unsolicited);
        }
        let method = due.method;
        if !self.scan.is_promising(bytes, limits) {
            return Ok(Parsed::Partial);
        }
        let parsed = parse_response(bytes, limits, head);
        self.scan.note(bytes, &parsed);
        if let Ok(Parsed::Complete(_)) = parsed {
            if head.status() == 101 {
                return Err(ResponseError::SwitchUnasked);
            }
            if head.is_informational() {
                self.admit_informational()?;
            } else {
                self.begin_body(bytes, head, method, limits);
            }
        }
        parsed
    }

    fn admit_informational(&mut self) -> Result<(), ResponseError> {
        if self.informational == INFORMATIONAL_MAX {
            return Err(ResponseError::InformationalTooMany { max: INFORMATIONAL_MAX });
        }
        self.informational += 1;
        Ok(())
    }

    fn begin_body(&mut self, bytes: &[u8], head: &ResponseHead, method: Method, limits: &Limits) {
        let length = head.body_for(method);
        self.decoder.reset(length, limits);
        self.answer = Answer::Body;
        let number = self.first + 1;
        if !head.persistent() || length == BodyLength::UntilClose {
            self.state = State::Last;
            self.learn(Lesson::Ends(u32::try_from(number).unwrap_or(u32::MAX)));
            return;
        }
        if number == self.requests_max {
            self.requests_max = u64::MAX;
            self.learn(Lesson::GoesOn);
        }
        if let Some(left) = head.value(FieldName::KeepAlive, bytes).and_then(requests_left) {
            let end = number.saturating_add(u64::from(left));
            if end != self.requests_max {
                self.requests_max = end;
                self.learn(Lesson::Ends(u32::try_from(end).unwrap_or(u32::MAX)));
            }
        }
    }

    /// Goes on with the body of the answer that is due, as [`Decoder::decode`].
    ///
    /// # Errors
    /// As there. The connection has to be closed.
    ///
    /// # Panics
    /// If that answer's head has not been read.
    pub fn decode_body(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        assert!(self.answer == Answer::Body, "a body follows its head");
        let decoded = self.decoder.decode(input);
        match &decoded {
            Ok(decoded) => self.consumed += decoded.consumed as u64,
            Err(_) => self.break_off(),
        }
        decoded
    }

    /// Whether the next bytes are a head's, and not those of the body of the answer that is due.
    #[must_use]
    pub fn is_head_due(&self) -> bool {
        self.answer == Answer::Head
    }

    /// Whether the answer that is due has come whole; [`Pipeline::finish`] then turns to the next one.
    #[inline]
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.answer == Answer::Body && self.decoder.is_complete()
    }

    /// The trailers of an answer that has come whole.
    #[must_use]
    pub fn trailers(&self) -> Option<&Trailers> {
        self.decoder.trailers()
    }

    /// Data bytes of the body that is being read, so far.
    #[must_use]
    pub fn body_received(&self) -> u64 {
        self.decoder.received()
    }

    /// Turns to the next answer, and returns what was kept with the request that has been answered.
    ///
    /// # Panics
    /// If the answer that is due has not come whole.
    pub fn finish(&mut self) -> T {
        assert!(self.is_whole(), "an answer ends before the next one begins");
        let answered = self.waiting.pop_front().expect("an answer has its request");
        self.first += 1;
        self.answer = Answer::Head;
        self.informational = 0;
        if self.state == State::Last {
            self.state = State::Ended;
        }
        answered.tag
    }

    /// The server will send nothing more.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless that was the end of an answer, or nothing was awaited.
    pub fn handle_eof(&mut self) -> Result<(), BodyError> {
        let ended = match self.answer {
            Answer::Body => self.decoder.handle_eof(),
            Answer::Head if self.waiting.is_empty() => Ok(()),
            Answer::Head => Err(BodyError::Truncated),
        };
        if ended.is_err() && self.first > 0 && self.state == State::Open && self.touched {
            self.learn(Lesson::Ends(u32::try_from(self.first).unwrap_or(u32::MAX)));
        }
        self.state = match self.state {
            State::Last if ended.is_ok() => State::Last,
            State::Last | State::Ended => State::Ended,
            State::Open | State::Broken => State::Broken,
        };
        ended
    }

    /// No more requests are sent, and what is not answered will not be.
    pub fn break_off(&mut self) {
        self.state = State::Broken;
    }

    /// Whether no answer will come any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ended | State::Broken)
    }

    /// What has become of those that are not answered, now that the connection is over.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match self.state {
            State::Ended => Fate::Unread,
            _ if self.first > 0 && !self.touched => Fate::Stale,
            _ => Fate::Unknown,
        }
    }

    /// Whether there is something to learn.
    #[must_use]
    pub fn has_lesson(&self) -> bool {
        self.lesson.is_some()
    }

    /// What there is to learn of the server since this was last asked.
    pub fn take_lesson(&mut self) -> Option<Lesson> {
        self.lesson.take()
    }

    fn learn(&mut self, lesson: Lesson) {
        self.lesson = Some(lesson);
    }
}

/// `max` of a Keep-Alive field (RFC 2068 §19.7.1.1, and what servers make of it): requests that may follow.
fn requests_left(value: &[u8]) -> Option<u32> {
    let parameters = value.split(|byte| *byte == b',').filter_map(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        Some((parts.next()?.trim_ascii(), parts.next()?.trim_ascii()))
    });
    let max = parameters.filter(|(name, _)| name.eq_ignore_ascii_case(b"max")).map(|(_, value)| value).next()?;
    std::str::from_utf8(max).ok()?.parse().ok()
}
