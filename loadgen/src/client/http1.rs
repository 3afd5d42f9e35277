//! HTTP/1.1 as a client: requests that were written beforehand, responses read and held against what was expected.

mod field;
mod line;
pub mod reader;

use std::{collections::VecDeque, fmt};

pub(super) use field::{name_and_value, status_line};
pub(super) use line::Lines;
pub use reader::{Malformed, Piece, Reader};

use super::protocol::{Answered, Body, Encoded, Event, Failure, Key, Received};
use crate::{load::Target, record::ErrorKind};

/// One connection's conversation. Requests are answered in order, so that they need no numbers. RFC 9112 §9.3.2
pub struct Session {
    reader: Reader,
    /// Requests that wait for their answer, the oldest first.
    outstanding: VecDeque<(Key, &'static Target)>,
    /// Of the answer under way.
    status: u16,
    body: Body,
}

impl Session {
    /// A conversation in which nothing was said.
    #[must_use]
    pub fn new() -> Self {
        Self { reader: Reader::new(), outstanding: VecDeque::new(), status: 0, body: Body::default() }
    }

    /// Sends a request; `last` asks the server to close the connection after its answer.
    pub fn request(&mut self, target: &'static Target, key: Key, last: bool) -> Encoded {
        self.outstanding.push_back((key, target));
        Encoded::Prepared(if last { target.last } else { target.usual })
    }

    /// Reads until something is complete, or the input is used up.
    ///
    /// # Errors
    /// The connection is of no use afterwards.
    pub fn receive(&mut self, input: &[u8]) -> Result<Received, Failure> {
        let mut consumed = 0;
        while consumed < input.len() || self.reader.is_complete() {
            let Some((_, target)) = self.outstanding.front() else {
                return Err(Malformed::Unsolicited.into());
            };
            let read = self.reader.read(&input[consumed..], target.to_head)?;
            consumed += read.consumed;
            match read.piece {
                Piece::More => break,
                Piece::Head(status) => {
                    self.status = status;
                    self.body = Body::new(target);
                }
                Piece::Data(data) => self.body.add(data),
                Piece::End => return Ok(Received { consumed, event: Some(Event::Answered(self.answered())) }),
            }
        }
        Ok(Received { consumed, event: None })
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// If an answer was cut short, or is missing.
    pub fn end(&mut self) -> Result<Option<Answered>, Failure> {
        if self.reader.ends_with_connection() {
            self.reader = Reader::new();
            return Ok(Some(Answered { last: true, ..self.answered() }));
        }
        if self.outstanding.is_empty() && self.reader.is_between() {
            return Ok(None);
        }
        let detail = if self.reader.is_between() { "before an answer" } else { "within an answer" };
        Err(Failure::new(ErrorKind::ClosedEarly, detail))
    }

    /// Holds the answer that is complete against what was expected.
    fn answered(&mut self) -> Answered {
        let (key, target) = self.outstanding.pop_front().expect("an answer is read only for a request");
        let unexpected = self.body.judge(target, self.status);
        Answered { key, status: Some(self.status), unexpected, last: !self.reader.keeps_alive() }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("reader", &self.reader).field("outstanding", &self.outstanding.len()).finish()
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::new(ErrorKind::Malformed, malformed.to_string())
    }
}

#[cfg(test)]
mod tests;
