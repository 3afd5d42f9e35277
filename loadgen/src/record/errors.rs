//! Errors, counted by kind.

use std::{array, collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// What went wrong with a request, or with the connection for it.
///
/// Each failed request counts once, under the first kind that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Nobody listens there.
    ConnectRefused,
    /// The connection was not made in time.
    ConnectTimedOut,
    /// The connection failed otherwise: no route, no free port, no descriptor left.
    ConnectFailed,
    /// The TLS handshake failed, or TLS found an error later.
    Tls,
    /// The peer does not speak the protocol that was asked for: it chose none or another by ALPN, or answered in another.
    ProtocolRefused,
    /// The peer reset the connection.
    Reset,
    /// The peer reset the request's stream, and the connection went on.
    StreamReset,
    /// The peer ended the connection for an error (GOAWAY), or before it had answered anything, and did not process the request.
    GoneAway,
    /// The peer closed the connection before the answer was complete.
    ClosedEarly,
    /// What came is not the protocol.
    Malformed,
    /// An answer with another status than expected.
    UnexpectedStatus,
    /// A body of another length than expected.
    UnexpectedLength,
    /// A body with another hash than expected.
    UnexpectedHash,
    /// The answer was not complete in time.
    TimedOut,
    /// A scheduled request that was not sent, because as many as allowed were outstanding.
    Dropped,
    /// Anything else, such as an error of the local system.
    Other,
}

impl ErrorKind {
    /// All kinds, in the order of a request's life.
    pub const ALL: [Self; 16] = [
        Self::ConnectRefused,
        Self::ConnectTimedOut,
        Self::ConnectFailed,
        Self::Tls,
        Self::ProtocolRefused,
        Self::Reset,
        Self::StreamReset,
        Self::GoneAway,
        Self::ClosedEarly,
        Self::Malformed,
        Self::UnexpectedStatus,
        Self::UnexpectedLength,
        Self::UnexpectedHash,
        Self::TimedOut,
        Self::Dropped,
        Self::Other,
    ];

    /// The words for readers.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connection refused",
            Self::ConnectTimedOut => "connecting timed out",
            Self::ConnectFailed => "connecting failed",
            Self::Tls => "TLS failed",
            Self::ProtocolRefused => "protocol refused",
            Self::Reset => "connection reset",
            Self::StreamReset => "stream reset",
            Self::GoneAway => "connection given up (GOAWAY)",
            Self::ClosedEarly => "closed before the answer's end",
            Self::Malformed => "malformed answer",
            Self::UnexpectedStatus => "unexpected status",
            Self::UnexpectedLength => "unexpected length",
            Self::UnexpectedHash => "unexpected hash",
            Self::TimedOut => "timed out",
            Self::Dropped => "not sent: too many outstanding",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.words())
    }
}

/// How many errors there were of each kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "BTreeMap<ErrorKind, u64>", into = "BTreeMap<ErrorKind, u64>")]
pub struct ErrorCounts([u64; ErrorKind::ALL.len()]);

impl ErrorCounts {
    /// Counts one.
    pub fn add(&mut self, kind: ErrorKind) {
        self.0[kind as usize] += 1;
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.0 = array::from_fn(|kind| self.0[kind] + other.0[kind]);
    }

    /// How many there were of one kind.
    #[must_use]
    pub fn of(&self, kind: ErrorKind) -> u64 {
        self.0[kind as usize]
    }

    /// How many there were of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The kinds that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (ErrorKind, u64)> + '_ {
        ErrorKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, count)| *count > 0)
    }
}

impl From<BTreeMap<ErrorKind, u64>> for ErrorCounts {
    fn from(counts: BTreeMap<ErrorKind, u64>) -> Self {
        let mut all = Self::default();
        for (kind, count) in counts {
            all.0[kind as usize] = count;
        }
        all
    }
}

impl From<ErrorCounts> for BTreeMap<ErrorKind, u64> {
    fn from(counts: ErrorCounts) -> Self {
        counts.iter().collect()
    }
}
