//! What the first bytes of a connection begin.
//!
//! A port may serve several protocols, whose first bytes no two of them share for long. Which of them are looked for is the
//! caller's choice: what is not looked for does not delay the others by a byte, and is judged as the bytes of whoever remains.
//!
//! ```text
//! "PROXY "                               PROXY protocol, version 1
//! \r\n\r\n\0\r\nQUIT\n                   PROXY protocol, version 2
//! 0x16 0x03                              a TLS record with a handshake message (RFC 8446 §5.1)
//! PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n       the preface of HTTP/2 (RFC 9113 §3.4)
//! a character of a token, or CR or LF    HTTP/1 (RFC 9112 §2.2, §3)
//! ```

use crate::proxy_protocol::{V1_SIGNATURE, V2_SIGNATURE};

/// What a client of HTTP/2 sends first. RFC 9113 §3.4
pub const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The type of a record with a handshake message, and the major version that all records of SSL 3.0 and TLS have.
const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];

/// What is looked for besides HTTP/1, which is what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Headers of the PROXY protocol.
    pub proxy: bool,
    /// Handshakes of TLS.
    pub tls: bool,
    /// The preface of HTTP/2.
    pub http2: bool,
}

impl Wanted {
    /// Everything there is.
    pub const ALL: Wanted = Wanted { proxy: true, tls: true, http2: true };
}

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// A header of the PROXY protocol, version 1.
    ProxyV1,
    /// A header of the PROXY protocol, version 2.
    ProxyV2,
    /// A handshake of TLS.
    Tls,
    /// HTTP/2 without TLS.
    Http2,
    /// What an HTTP/1 request may begin with. Whether it is one, its parser says.
    Http1,
    /// Nothing of these.
    Unknown,
}

/// What `bytes`, the first of a connection, begin; `None` while more are needed, which is at most as long as the longest
/// signature that is `wanted`.
#[must_use]
pub fn opening(bytes: &[u8], wanted: Wanted) -> Option<Opening> {
    let signatures = [
        (wanted.proxy, V1_SIGNATURE, Opening::ProxyV1),
        (wanted.proxy, V2_SIGNATURE, Opening::ProxyV2),
        (wanted.tls, TLS_HANDSHAKE, Opening::Tls),
        (wanted.http2, HTTP2_PREFACE, Opening::Http2),
    ];
    let first = *bytes.first()?;
    for (_, signature, opening) in signatures.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
        if bytes.starts_with(signature) {
            return Some(opening);
        }
        if signature.starts_with(bytes) {
            return None;
        }
    }
    // RFC 9112 §2.2: empty lines before a request are to be ignored, or refused by whoever reads requests.
    let may_be_request = first == b'\r' || first == b'\n' || is_token_char(first);
    Some(if may_be_request { Opening::Http1 } else { Opening::Unknown })
}

/// RFC 9110 §5.6.2
fn is_token_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
