//! What an end of a WebSocket has done wrong, as it is counted and told.

use wire::ws::{CloseCode, Violation};

use crate::outcome::{Error, Kind, Limit, Side};

/// Which end of a WebSocket broke which kind of rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Breach {
    /// The client broke the protocol (1002).
    ClientProtocol,
    /// The client sent text that is not UTF-8 (1007).
    ClientText,
    /// The client sent too large a frame or message (1009).
    ClientSize,
    /// The upstream broke the protocol.
    UpstreamProtocol,
    /// The upstream sent text that is not UTF-8.
    UpstreamText,
    /// The upstream sent too large a frame or message.
    UpstreamSize,
}

impl Breach {
    /// A word for each, in their order.
    pub const WORDS: [&'static str; 6] =
        ["client_protocol", "client_text", "client_size", "upstream_protocol", "upstream_text", "upstream_size"];

    /// Its place in [`Breach::WORDS`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    pub(super) fn of(side: Side, violation: Violation) -> Breach {
        match (side, violation.close_code()) {
            (Side::Client, CloseCode::INVALID_DATA) => Breach::ClientText,
            (Side::Client, CloseCode::TOO_BIG) => Breach::ClientSize,
            (Side::Client, _) => Breach::ClientProtocol,
            (_, CloseCode::INVALID_DATA) => Breach::UpstreamText,
            (_, CloseCode::TOO_BIG) => Breach::UpstreamSize,
            (_, _) => Breach::UpstreamProtocol,
        }
    }
}

/// How the exchange ends. The status has been sent; this one is for whoever compares.
pub(super) fn error(side: Side, violation: Violation) -> Error {
    let limit = match violation {
        Violation::FrameTooLarge { .. } => Some(Limit::WebSocketFrame),
        Violation::MessageTooLarge { .. } => Some(Limit::WebSocketMessage),
        _ => None,
    };
    let error = match (side, limit) {
        (Side::Client, Some(_)) => Error::new(Side::Client, Kind::TooLarge, 413),
        (Side::Client, None) => Error::CLIENT_MALFORMED,
        (_, _) => Error::UPSTREAM_MALFORMED,
    };
    Error { limit, ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_breach_has_its_word() {
        for (side, violation, word) in [
            (Side::Client, Violation::MaskMissing, "client_protocol"),
            (Side::Client, Violation::TextInvalid, "client_text"),
            (Side::Client, Violation::FrameTooLarge { max: 1 }, "client_size"),
            (Side::Upstream, Violation::MaskUnexpected, "upstream_protocol"),
            (Side::Upstream, Violation::TextInvalid, "upstream_text"),
            (Side::Upstream, Violation::MessageTooLarge { max: 1 }, "upstream_size"),
        ] {
            assert_eq!(Breach::WORDS[Breach::of(side, violation).index()], word);
        }
    }
}
