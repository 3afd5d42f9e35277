//! The PROXY protocol, versions 1 and 2: who a connection was opened for, told by a proxy before the connection's own bytes.
//!
//! Sections (§) are those of HAProxy's `doc/proxy-protocol.txt`, which is the specification. Whether a peer may be believed is
//! not known here; the reader is strict nevertheless, because a header with two readings is a forged address in one of them.
//! What the specification lets a receiver choose:
//!
//! - a header of version 2 is at most [`V2_BYTES_MAX`] long, its TLVs included;
//! - TLVs have to fill what is left of the header exactly; their contents are not interpreted, but for the checksum, which is
//!   verified if there is one, and of which there is at most one;
//! - datagram protocols and families that are none of ours count as unknown: who opened the connection is then its peer.

mod crc32c;
mod encode;
mod v1;
mod v2;

use core::net::SocketAddr;

use thiserror::Error;

pub use encode::{Announced, encode_v1, encode_v2};

/// What a header of version 1 begins with: the word, and the blank behind it. §2.1
pub const V1_SIGNATURE: &[u8] = b"PROXY ";
/// What a header of version 2 begins with. §2.2
pub const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of the longest header of version 1, the end of its line included. §2.1
pub const V1_BYTES_MAX: usize = 107;
/// Bytes of the longest header of version 2 that is accepted. Addresses take 216 at most; the rest is for TLVs, among which names
/// and identifiers of connections are the longest in use.
pub const V2_BYTES_MAX: usize = 4096;

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Who the connection was opened for.
    pub origin: Origin,
    /// The version that it came in.
    pub version: Version,
}

/// The version of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// Who a connection was opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The proxy itself, to see whether it is answered. The connection's own addresses count.
    Local,
    /// Somebody of whom the proxy cannot tell more. The connection's own addresses count.
    Unknown,
    /// A client that came to the proxy by TCP. Both addresses are of one family.
    Tcp {
        /// The client's address.
        source: SocketAddr,
        /// The address that it had connected to.
        destination: SocketAddr,
    },
    /// A client that came to the proxy over a Unix socket.
    Unix,
}

/// What a beginning of a connection has told so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// It may become a header: more bytes are needed.
    Partial,
    /// It is none.
    Absent,
    /// A whole header, and how many bytes it takes.
    Complete(Header, usize),
}

/// Why a header is refused. The connection is not to be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The line of version 1 does not end within [`V1_BYTES_MAX`] bytes. §2.1
    #[error("a line of more than {V1_BYTES_MAX} bytes")]
    LineTooLong,
    /// The line of version 1 does not have the form that it has to have, to the byte. §2.1
    #[error("a malformed line")]
    Line,
    /// A header of version 2 that says it is of another version. §2.2
    #[error("an unknown version")]
    Version,
    /// Neither LOCAL nor PROXY. §2.2
    #[error("an unknown command")]
    Command,
    /// An address family or a transport protocol without a meaning. §2.2
    #[error("an unknown family or transport")]
    Family,
    /// The header is longer than [`V2_BYTES_MAX`].
    #[error("a header of {0} bytes")]
    TooLong(usize),
    /// The header has no room for the addresses of its family. §2.2
    #[error("addresses cut short")]
    Addresses,
    /// The lengths of the TLVs do not add up to what is left. §2.2
    #[error("a malformed TLV")]
    Tlv,
    /// The checksum is wrong, of the wrong length, or there a second time. §2.2.3
    #[error("a wrong checksum")]
    Checksum,
}

/// Reads a header, if `bytes`, the first of a connection, begin with one. What was read in vain is read again when more has
/// come: a line is short, and of version 2 only 16 bytes are looked at before the whole is there.
///
/// # Errors
/// What is wrong with a header that was begun: told as soon as it shows, in version 1 with the end of the line.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let begins = |signature: &[u8]| bytes.starts_with(signature) || signature.starts_with(bytes);
    match bytes.len() {
        0 => Ok(Parsed::Partial),
        _ if begins(V2_SIGNATURE) => v2::parse(bytes),
        _ if begins(V1_SIGNATURE) => v1::parse(bytes),
        _ => Ok(Parsed::Absent),
    }
}
