//! HTTP/1.1 as a client: requests that were written beforehand, responses read and held against what was expected.

mod field;
mod line;
pub mod reader;

use std::{collections::VecDeque, fmt};

use ring_crypto::digest;

pub(super) use field::{name_and_value, status_line};
pub(super) use line::Lines;
pub use reader::{Malformed, Piece, Reader};

use super::protocol::{Answered, Encoded, Event, Failure, Received};
use crate::{load::Target, record::ErrorKind};

/// One connection's conversation. Requests are answered in order, so that they need no numbers. RFC 9112 §9.3.2
pub struct Session {
    reader: Reader,
    /// Requests that wait for their answer, the oldest first.
    outstanding: VecDeque<&'static Target>,
    /// Of the answer under way.
    status: u16,
    body_bytes: u64,
    hash: Option<digest::Context>,
}

impl Session {
    /// A conversation in which nothing was said.
    #[must_use]
    pub fn new() -> Self {
        Self { reader: Reader::new(), outstanding: VecDeque::new(), status: 0, body_bytes: 0, hash: None }
    }

    /// Sends a request; `last` asks the server to close the connection after its answer.
    pub fn request(&mut self, target: &'static Target, last: bool) -> Encoded {
        self.outstanding.push_back(target);
        Encoded::Prepared(if last { target.last } else { target.usual })
    }

    /// Reads until something is complete, or the input is used up.
    ///
    /// # Errors
    /// The connection is of no use afterwards.
    pub fn receive(&mut self, input: &[u8]) -> Result<Received, Failure> {
        let mut consumed = 0;
        while consumed < input.len() || self.reader.is_complete() {
            let Some(target) = self.outstanding.front() else {
                return Err(Malformed::Unsolicited.into());
            };
            let read = self.reader.read(&input[consumed..], target.to_head)?;
            consumed += read.consumed;
            match read.piece {
                Piece::More => break,
                Piece::Head(status) => {
                    self.status = status;
                    self.body_bytes = 0;
                    self.hash = target.expect.body_sha256.map(|_| digest::Context::new(&digest::SHA256));
                }
                Piece::Data(data) => {
                    self.body_bytes += data.len() as u64;
                    if let Some(hash) = &mut self.hash {
                        hash.update(data);
                    }
                }
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
        let target = self.outstanding.pop_front().expect("an answer is read only for a request");
        let unexpected = if !target.expect.allows(self.status) {
            Some(ErrorKind::UnexpectedStatus)
        } else if target.expect.body_bytes.is_some_and(|bytes| bytes != self.body_bytes) {
            Some(ErrorKind::UnexpectedLength)
        } else if let (Some(hash), Some(expected)) = (self.hash.take(), target.expect.body_sha256)
            && hash.finish().as_ref() != expected
        {
            Some(ErrorKind::UnexpectedHash)
        } else {
            None
        };
        Answered { status: Some(self.status), unexpected, last: !self.reader.keeps_alive() }
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
