//! What a connection needs from the protocol that it speaks.
//!
//! A protocol has no socket and no clock: it says how a request is written ([`Protocol::request`]) and what bytes that
//! arrived mean ([`Protocol::receive`]). Another version of HTTP is another variant. Each request has a [`Key`], by which its
//! answer names it: only some protocols answer in order.

use std::borrow::Cow;

use ring_crypto::digest;

use super::{http1, http2, websocket};
use crate::{load::Target, record::ErrorKind};

/// Which of a connection's requests is meant. Whoever makes them chooses it, other than those of all that are unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub u32);

/// One connection's side of the protocol that it speaks.
#[derive(Debug)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1(http1::Session),
    /// HTTP/2.
    Http2(Box<http2::Session>),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer agreed to the protocol: requests may be sent.
    Opened,
    /// The answer to a request has begun. Only of protocols whose answers come side by side; in the others an answer begins
    /// with the first byte behind the one before.
    Begun(Key),
    /// A request has its answer.
    Answered(Answered),
    /// A request has failed, and the connection goes on.
    Failed(Key, Failure),
    /// The peer takes no more requests.
    GoAway(GoAway),
}

/// The end of a connection, announced: what is under way is still answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoAway {
    /// Requests that the peer has not processed and will not answer, the oldest first.
    pub unprocessed: Vec<Key>,
    /// Why, if it was for an error.
    pub failure: Option<Failure>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Which request it answers.
    pub key: Key,
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

/// What has come of an answer's body.
#[derive(Default)]
pub(super) struct Body {
    bytes: u64,
    hash: Option<digest::Context>,
}

impl Body {
    /// Nothing yet, of the answer to a request for `target`.
    pub(super) fn new(target: &Target) -> Self {
        Self { bytes: 0, hash: target.expect.body_sha256.map(|_| digest::Context::new(&digest::SHA256)) }
    }

    #[inline]
    pub(super) fn add(&mut self, data: &[u8]) {
        self.bytes += data.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(data);
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// In what an answer of this body and status is not as expected.
    pub(super) fn judge(&mut self, target: &Target, status: u16) -> Option<ErrorKind> {
        if !target.expect.allows(status) {
            return Some(ErrorKind::UnexpectedStatus);
        }
        if target.expect.body_bytes.is_some_and(|bytes| bytes != self.bytes) {
            return Some(ErrorKind::UnexpectedLength);
        }
        let (hash, expected) = (self.hash.take()?, target.expect.body_sha256?);
        (hash.finish().as_ref() != expected).then_some(ErrorKind::UnexpectedHash)
    }
}

impl Protocol {
    /// Writes what comes before the first request; returns whether requests may follow without waiting for
    /// [`Event::Opened`].
    pub fn open(&mut self, output: &mut Vec<u8>) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(session) => {
                session.open(output);
                true
            }
            Self::WebSocket(session) => {
                session.open(output);
                false
            }
        }
    }

    /// How many requests the peer takes at once; it may say so and change its mind while the connection lasts.
    #[inline]
    pub fn requests_max(&self) -> usize {
        match self {
            Self::Http1(_) | Self::WebSocket(_) => usize::MAX,
            Self::Http2(session) => session.streams_max(),
        }
    }

    /// Whether requests stand side by side: one that fails or takes too long does not concern the others, and the connection's
    /// end is announced, not told with the last answer.
    #[inline]
    pub fn multiplexes(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether the connection can have no more requests, however many were answered.
    #[inline]
    pub fn is_spent(&self) -> bool {
        matches!(self, Self::Http2(session) if session.is_spent())
    }

    /// Writes a request. `last` says that none will follow on this connection.
    #[inline]
    pub fn request(&mut self, target: &'static Target, key: Key, last: bool, output: &mut Vec<u8>) -> Encoded {
        match self {
            Self::Http1(session) => session.request(target, key, last),
            Self::Http2(session) => {
                session.request(target, key, output);
                Encoded::Appended
            }
            Self::WebSocket(session) => {
                session.request(target, key, output);
                Encoded::Appended
            }
        }
    }

    /// Gives a request up, where that does not end the connection.
    pub fn cancel(&mut self, key: Key) {
        if let Self::Http2(session) = self {
            session.cancel(key);
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
            Self::Http2(session) => session.receive(input),
            Self::WebSocket(session) => session.receive(input),
        }
    }

    /// Writes what the protocol itself has to say, such as the answer to a ping, and what is left of requests that are written
    /// piece by piece, until `output` has `bytes_max`; returns whether there was anything.
    #[inline]
    pub fn reply(&mut self, output: &mut Vec<u8>, bytes_max: usize) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(session) => {
                session.reply(output, bytes_max);
                !output.is_empty()
            }
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
            Self::Http2(session) => session.end().map(|()| None),
            Self::WebSocket(session) => session.end().map(|()| None),
        }
    }
}
