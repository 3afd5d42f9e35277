//! How an exchange ends: whose doing, what kind, and what the client is told.

use std::io;

pub use crate::limit::Limit;

/// Who caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client, or the network towards it.
    Client,
    /// The upstream server, or the network towards it.
    Upstream,
    /// Ringway itself: its configuration or its limits.
    Ringway,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message broke the rules of its protocol.
    Malformed,
    /// A message exceeded a limit.
    TooLarge,
    /// A deadline passed.
    TimedOut,
    /// A connection could not be opened.
    Refused,
    /// A connection ended or was reset before its time.
    Gone,
    /// Nothing is configured for this request.
    NoRoute,
    /// A limit on connections is reached.
    NoCapacity,
    /// The upstream has no server: no name of one has an address.
    NoServer,
    /// A request for something that Ringway does not do.
    Unsupported,
    /// A request that has come through here too often.
    Loop,
    /// A tunnel was without a byte for too long.
    TunnelIdle,
    /// There is more to do than can be done in time.
    Overloaded,
    /// A request over a connection whose handshake was for another host.
    Misdirected,
}

/// Why an exchange did not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{side:?} {kind:?} ({status})")]
pub struct Error {
    /// Whose doing it was.
    pub side: Side,
    /// What it was.
    pub kind: Kind,
    /// The status that tells the client, if no response has begun.
    pub status: u16,
    /// Whether the request may be sent again, because no server can have acted on it, or because acting twice does no harm.
    pub retry_safe: bool,
    /// The limit that was met, if one was.
    pub limit: Option<Limit>,
}

impl Error {
    /// An error after which nothing may be sent again.
    #[must_use]
    pub const fn new(side: Side, kind: Kind, status: u16) -> Error {
        Error { side, kind, status, retry_safe: false, limit: None }
    }

    /// The error, as the consequence of a limit.
    #[must_use]
    pub const fn by(mut self, limit: Limit) -> Error {
        self.limit = Some(limit);
        self
    }

    /// The client's connection failed.
    pub(crate) fn client_gone(_: io::Error) -> Error {
        // The status is for the record alone: nobody is there to read it (nginx's 499).
        Error::new(Side::Client, Kind::Gone, 499)
    }

    /// The client's connection has ended before the answer's turn.
    pub(crate) const CLIENT_LEFT: Error = Error::new(Side::Client, Kind::Gone, 499);
    /// The upstream's connection ended or failed.
    pub(crate) const UPSTREAM_GONE: Error = Error::new(Side::Upstream, Kind::Gone, 502);
    /// The upstream broke the protocol.
    pub(crate) const UPSTREAM_MALFORMED: Error = Error::new(Side::Upstream, Kind::Malformed, 502);
    /// The upstream has no server, or none that has not been tried.
    pub(crate) const NO_SERVER: Error = Error::new(Side::Ringway, Kind::NoServer, 503);
    /// The client broke the protocol.
    pub(crate) const CLIENT_MALFORMED: Error = Error::new(Side::Client, Kind::Malformed, 400);
    /// The client ended its side in the middle of a request.
    pub(crate) const CLIENT_TRUNCATED: Error = Error::new(Side::Client, Kind::Gone, 499);
}

/// How an exchange ended; one word in the access record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The response was handed over whole.
    Completed,
    /// It did not come to that.
    Failed(Error),
}

impl Outcome {
    /// All words of [`Outcome::as_str`], in the order of [`Outcome::index`].
    pub const WORDS: [&'static str; 18] = [
        "completed",
        "client_malformed",
        "client_too_large",
        "client_timeout",
        "client_gone",
        "upstream_malformed",
        "upstream_timeout",
        "upstream_refused",
        "upstream_gone",
        "no_route",
        "no_capacity",
        "no_server",
        "client_unsupported",
        "loop_detected",
        "tunnel_idle",
        "overloaded",
        "request_timeout",
        "client_misdirected",
    ];

    /// The outcome's place in [`Outcome::WORDS`].
    #[must_use]
    pub fn index(self) -> usize {
        let Outcome::Failed(error) = self else { return 0 };
        match (error.side, error.kind) {
            (_, Kind::TunnelIdle) => 14,
            (Side::Client, Kind::Unsupported) => 12,
            (Side::Client, Kind::Misdirected) => 17,
            (Side::Ringway, Kind::Loop) => 13,
            (Side::Client, Kind::TooLarge) => 2,
            (Side::Client, Kind::TimedOut) => 3,
            (Side::Client, Kind::Gone) => 4,
            (Side::Client, _) => 1,
            (Side::Upstream, Kind::TimedOut) => 6,
            (Side::Upstream, Kind::Refused) => 7,
            (Side::Upstream, Kind::Gone) => 8,
            (Side::Upstream, _) => 5,
            (Side::Ringway, Kind::NoRoute) => 9,
            (Side::Ringway, Kind::NoServer) => 11,
            (Side::Ringway, Kind::Overloaded) => 15,
            (Side::Ringway, Kind::TimedOut) => 16,
            (Side::Ringway, _) => 10,
        }
    }

    /// The word that the access record carries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Outcome::WORDS[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_word() {
        let failed = |side, kind| Outcome::Failed(Error::new(side, kind, 0)).as_str();
        assert_eq!(Outcome::Completed.as_str(), "completed");
        assert_eq!(failed(Side::Client, Kind::Malformed), "client_malformed");
        assert_eq!(failed(Side::Client, Kind::TooLarge), "client_too_large");
        assert_eq!(failed(Side::Client, Kind::TimedOut), "client_timeout");
        assert_eq!(failed(Side::Client, Kind::Gone), "client_gone");
        assert_eq!(failed(Side::Upstream, Kind::Malformed), "upstream_malformed");
        assert_eq!(failed(Side::Upstream, Kind::TimedOut), "upstream_timeout");
        assert_eq!(failed(Side::Upstream, Kind::Refused), "upstream_refused");
        assert_eq!(failed(Side::Upstream, Kind::Gone), "upstream_gone");
        assert_eq!(failed(Side::Ringway, Kind::NoRoute), "no_route");
        assert_eq!(failed(Side::Ringway, Kind::NoCapacity), "no_capacity");
        assert_eq!(failed(Side::Ringway, Kind::NoServer), "no_server");
        assert_eq!(failed(Side::Client, Kind::Unsupported), "client_unsupported");
        assert_eq!(failed(Side::Ringway, Kind::Loop), "loop_detected");
        assert_eq!(failed(Side::Client, Kind::TunnelIdle), "tunnel_idle");
        assert_eq!(failed(Side::Ringway, Kind::Overloaded), "overloaded");
        assert_eq!(failed(Side::Ringway, Kind::TimedOut), "request_timeout");
        assert_eq!(failed(Side::Client, Kind::Misdirected), "client_misdirected");
    }
}
