//! The end of a connection: GOAWAY, in two steps where there is time. RFC 9113 §6.8

use super::frames::PING_OF_LEAVING;
use super::{Connection, ConnectionError, ErrorCode};
use crate::h2::config::Role;
use crate::h2::frame::goaway::GoAway;
use crate::h2::frame::{MAX_31_BITS, ping};

/// Whether we are going, and whether the peer knows up to where we take streams.
///
/// ```text
///   Staying ──drain──► Announced ──PING answered, or drain_now──► Left
///      └───────────────go_away, or not calm, or an error──────────►┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    Staying,
    /// The peer was told to open no more streams; those that it opens before it reads this are taken.
    Announced,
    /// The peer was told which stream is the last one.
    Left {
        last_stream: u32,
    },
}

impl Leaving {
    /// Whether frames on that stream of the peer are to be ignored.
    #[inline]
    pub(super) fn ignores(self, stream: u32) -> bool {
        matches!(self, Leaving::Left { last_stream } if stream > last_stream)
    }
}

impl Connection {
    /// Announces the end: the peer is told to open no more streams, and only when it must have read this, which one is
    /// the last. So no request is lost that was under way. Streams go on to their ends. RFC 9113 §6.8
    pub fn drain(&mut self) {
        if self.leaving != Leaving::Staying || self.failed.is_some() {
            return;
        }
        if self.config.role == Role::Client {
            // The streams of a server are pushes, which there are none of: nothing can cross.
            return self.go_away(ErrorCode::NO_ERROR);
        }
        GoAway { last_stream: MAX_31_BITS, code: ErrorCode::NO_ERROR }.write(&mut self.frames);
        ping::write(&mut self.frames, PING_OF_LEAVING, false);
        self.leaving = Leaving::Announced;
    }

    /// The second step of [`drain`](Self::drain), whether the peer has answered or not: streams that it opens from now
    /// on are ignored.
    pub fn drain_now(&mut self) {
        self.drain();
        self.left_is_known();
    }

    /// Tells the peer that no more streams are taken, from now on. Those under way go on.
    pub fn go_away(&mut self, code: ErrorCode) {
        if self.failed.is_some() || matches!(self.leaving, Leaving::Left { .. }) {
            return;
        }
        self.leave(code);
    }

    /// Whether the connection has announced its end, or the peer has.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::Staying || self.peer_last_stream.is_some()
    }

    /// Whether nothing is left to be done but to send what is [ready](Self::wants_output), and to close.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let is_over = match self.config.role {
            Role::Server => matches!(self.leaving, Leaving::Left { .. }),
            Role::Client => self.is_leaving(),
        };
        self.failed.is_some() || (is_over && self.streams.is_empty())
    }

    /// The peer has read the announcement, so that no stream can be on its way that it opened before.
    pub(super) fn left_is_known(&mut self) {
        if self.leaving == Leaving::Announced {
            self.leave(ErrorCode::NO_ERROR);
        }
    }

    /// The first threshold of a budget was passed: the peer is told, once.
    #[inline]
    pub(super) fn keep_calm(&mut self) {
        if self.counters.calm().is_some() && !self.is_calm_told {
            self.is_calm_told = true;
            self.leave(ErrorCode::ENHANCE_YOUR_CALM);
        }
    }

    /// The peer did what ends the connection.
    #[cold]
    pub(super) fn fail(&mut self, error: ConnectionError) {
        self.leave(error.code());
        self.failed = Some(error);
    }

    fn leave(&mut self, code: ErrorCode) {
        // RFC 9113 §6.8: the last stream never rises.
        let last_stream = match self.leaving {
            Leaving::Left { last_stream } => last_stream,
            Leaving::Staying | Leaving::Announced => self.highest_remote,
        };
        GoAway { last_stream, code }.write(&mut self.frames);
        self.leaving = Leaving::Left { last_stream };
    }
}
