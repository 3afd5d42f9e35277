//! What a connection needs from the protocol that it speaks.
//!
//! A protocol has no socket and no clock: it says how a request is written ([`Protocol::request`]) and what bytes that
//! arrived mean ([`Protocol::receive`]). Another version of HTTP is another variant. Answers come in the order of their
//! requests; a protocol that multiplexes will name in [`Answered`] the request that it answers.

use std::borrow::Cow;

use super::{http1, websocket};
use crate::{load::Target, record::ErrorKind};

/// One connection's side of the protocol that it speaks.
#[derive(Debug)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1(http1::Session),
    /// WebSocket, as a partner of an echo.
    WebSocket(websocket::Session),
}

/// A request's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded {
    /// The same every time, written before the run.
    Prepared(&'static [u8]),
    /// Appended to the output.
    Appended,
}

/// What arrived bytes meant.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes that were used. What is left belongs to the next call.
    pub consumed: usize,
    /// What became complete; if nothing, the input was used up.
    pub event: Option<Event>,
}

/// Something that became complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The peer agreed to the protocol: requests may be sent.
    Opened,
    /// The oldest request has its answer.
    Answered(Answered),
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Its status, where the protocol has any.
    pub status: Option<u16>,
    /// In what it is not as expected.
    pub unexpected: Option<ErrorKind>,
    /// Whether the peer takes no request after it.
    pub last: bool,
}

/// Why a connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it counts as.
    pub kind: ErrorKind,
    /// What happened, in words.
    pub detail: Cow<'static, str>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl Protocol {
    /// Writes what comes before the first request; returns whether requests may follow without waiting for
    /// [`Event::Opened`].
    pub fn open(&mut self, output: &mut Vec<u8>) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::WebSocket(session) => {
                session.open(output);
                false
            }
        }
    }

    /// Writes a request. `last` says that none will follow on this connection.
    #[inline]
    pub fn request(&mut self, target: &'static Target, last: bool, output: &mut Vec<u8>) -> Encoded {
        match self {
            Self::Http1(session) => session.request(target, last),
            Self::WebSocket(session) => {
                session.request(target, output);
                Encoded::Appended
            }
        }
    }

    /// Reads until something is complete, or the input is used up.
    ///
    /// # Errors
    /// The connection is of no use afterwards.
    #[inline]
    pub fn receive(&mut self, input: &[u8]) -> Result<Received, Failure> {
        match self {
            Self::Http1(session) => session.receive(input),
            Self::WebSocket(session) => session.receive(input),
        }
    }

    /// Writes what the protocol itself has to say, such as the answer to a ping; returns whether there was anything.
    pub fn reply(&mut self, output: &mut Vec<u8>) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::WebSocket(session) => session.reply(output),
        }
    }

    /// The connection has ended: an answer that this completes, if any.
    ///
    /// # Errors
    /// If an answer was cut short, or is missing.
    pub fn end(&mut self) -> Result<Option<Answered>, Failure> {
        match self {
            Self::Http1(session) => session.end(),
            Self::WebSocket(session) => session.end().map(|()| None),
        }
    }
}
