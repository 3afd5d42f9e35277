//! Why a connection was refused before it came to a request.

use wire::detect::{Opening, Wanted, opening};

use crate::outcome::{Error, Kind, Side};

/// Why a connection was refused by what its first bytes were, or were not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// A header of the PROXY protocol, or any connection where one is required, from a peer that may send none.
    ProxyUntrusted,
    /// No header of the PROXY protocol where one is required.
    ProxyMissing,
    /// A malformed header of the PROXY protocol.
    ProxyMalformed,
    /// A malformed handshake of TLS.
    TlsMalformed,
    /// A handshake of TLS that asks for a name which nobody here has.
    TlsUnknownName,
    /// A handshake of TLS where none is expected.
    TlsUnserved,
    /// HTTP without TLS where only TLS is served.
    PlainUnserved,
    /// HTTP/1 where only HTTP/2 is spoken.
    Http1Unserved,
    /// HTTP/2 where it is not spoken.
    Http2Unserved,
    /// Bytes that begin no protocol that is known here.
    Unknown,
}

impl Refusal {
    /// A word for each, in their order.
    pub const WORDS: [&'static str; 10] = [
        "proxy_untrusted",
        "proxy_missing",
        "proxy_malformed",
        "tls_malformed",
        "tls_unknown_name",
        "tls_unserved",
        "plain_unserved",
        "http1_unserved",
        "http2_unserved",
        "unknown_protocol",
    ];

    /// Its place in [`Refusal::WORDS`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Refusal::WORDS[self.index()]
    }

    /// What a connection of HTTP/1 was in truth whose first request is malformed, if that shows.
    pub(crate) fn of_request(bytes: &[u8]) -> Option<Refusal> {
        match opening(bytes, Wanted { proxy: false, ..Wanted::ALL })? {
            Opening::Tls => Some(Refusal::TlsUnserved),
            Opening::Http2 => Some(Refusal::Http2Unserved),
            Opening::Unknown => Some(Refusal::Unknown),
            Opening::Http1 | Opening::ProxyV1 | Opening::ProxyV2 => None,
        }
    }

    /// What the record tells.
    pub(crate) fn error(self) -> Error {
        match self {
            Refusal::TlsUnknownName => Error::new(Side::Ringway, Kind::NoRoute, 404),
            _ => Error::CLIENT_MALFORMED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_word() {
        assert_eq!(Refusal::ProxyUntrusted.as_str(), "proxy_untrusted");
        assert_eq!(Refusal::TlsUnknownName.as_str(), "tls_unknown_name");
        assert_eq!(Refusal::Http2Unserved.as_str(), "http2_unserved");
        assert_eq!(Refusal::Unknown.index() + 1, Refusal::WORDS.len());
    }

    #[test]
    fn what_a_malformed_request_was_shows_in_its_first_bytes() {
        assert_eq!(Refusal::of_request(b"\x16\x03\x01\x02\0"), Some(Refusal::TlsUnserved));
        assert_eq!(Refusal::of_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Some(Refusal::Http2Unserved));
        assert_eq!(Refusal::of_request(b"\0\0\0"), Some(Refusal::Unknown));
        assert_eq!(Refusal::of_request(b"GET /%zz HTTP/1.1\r\n"), None);
        assert_eq!(Refusal::of_request(b""), None);
    }
}
