//! What a peer can get wrong in a head.

use thiserror::Error;

use crate::hpack::{HpackError, Pseudo};
use crate::{FieldName, RequestError, ResponseError};

/// Why a head or a trailer section is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The block cannot be decoded. Connection error COMPRESSION_ERROR (RFC 9113 §4.3).
    #[error("{0}")]
    Compression(#[from] HpackError),
    /// A block that is far larger than what is allowed. It was not decoded to its end, so that the connection ends: connection
    /// error ENHANCE_YOUR_CALM.
    #[error("header block is far too large")]
    Excessive,
    /// The message breaks the rules of HTTP/2. Stream error PROTOCOL_ERROR (RFC 9113 §8.1.1).
    #[error("malformed message: {0}")]
    Malformed(#[from] MalformedHead),
    /// The request breaks a rule that all versions share. Offsets are of its text.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The response breaks a rule that all versions share. Offsets are of its text.
    #[error("{0}")]
    Response(#[from] ResponseError),
    /// The message is sound so far, and larger than is allowed.
    #[error("{0}")]
    TooLarge(#[from] Excess),
}

impl HeadError {
    /// Whether the connection cannot go on; else the stream alone ends.
    #[must_use]
    pub fn is_connection_error(&self) -> bool {
        matches!(self, HeadError::Compression(_) | HeadError::Excessive)
    }

    /// The status code that tells a client, where the connection goes on (RFC 9113 §8.1.1 lets a server answer before it resets
    /// the stream). For a response it is what the client behind us is told.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            HeadError::Request(error) => error.status(),
            HeadError::Response(_) => 502,
            HeadError::TooLarge(Excess::Target { .. }) => 414,
            HeadError::TooLarge(_) | HeadError::Excessive => 431,
            HeadError::Malformed(_) | HeadError::Compression(_) => 400,
        }
    }
}

/// A limit that a head or a trailer section does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Excess {
    /// Bytes of all fields, 32 more for each of them.
    #[error("head is longer than {max} bytes")]
    Head {
        /// The limit.
        max: u32,
    },
    /// Number of fields.
    #[error("head has more than {max} fields")]
    Fields {
        /// The limit.
        max: u16,
    },
    /// Number of fields into which a cookie is split.
    #[error("cookie has more than {max} crumbs")]
    Crumbs {
        /// The limit.
        max: u16,
    },
    /// Bytes of one field.
    #[error("field is longer than {max} bytes")]
    Field {
        /// The limit.
        max: u32,
    },
    /// Bytes of a request's path and query.
    #[error("request target is longer than {max} bytes")]
    Target {
        /// The limit.
        max: u32,
    },
}

/// A rule of HTTP/2 that a message breaks. RFC 9113 §8
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MalformedHead {
    /// A pseudo-header field that nobody knows. RFC 9113 §8.3
    #[error("unknown pseudo-header field")]
    PseudoUnknown,
    /// A pseudo-header field behind another field. RFC 9113 §8.3
    #[error("{} behind a field", .0.as_str())]
    PseudoLate(Pseudo),
    /// A pseudo-header field for the second time. RFC 9113 §8.3
    #[error("repeated {}", .0.as_str())]
    PseudoRepeated(Pseudo),
    /// A pseudo-header field that is not for this kind of message. RFC 9113 §8.1, §8.3 and §8.5
    #[error("{} where it has no meaning", .0.as_str())]
    PseudoMisplaced(Pseudo),
    /// A pseudo-header field that has to be there. RFC 9113 §8.3.1 and §8.3.2
    #[error("no {}", .0.as_str())]
    PseudoMissing(Pseudo),
    /// A pseudo-header field with a value that it cannot have.
    #[error("invalid {}", .0.as_str())]
    PseudoInvalid(Pseudo),
    /// A name that is empty, or has a capital or another byte that no name has. RFC 9113 §8.2.1
    #[error("invalid field name")]
    NameInvalid,
    /// A value with a control character, or with white space at either end. RFC 9113 §8.2.1
    #[error("invalid field value")]
    ValueInvalid,
    /// A field that speaks of a connection of HTTP/1. RFC 9113 §8.2.2
    #[error("{} in HTTP/2", .0.as_str())]
    ConnectionField(FieldName),
    /// A TE that says anything but `trailers`. RFC 9113 §8.2.2
    #[error("TE that says more than trailers")]
    Te,
    /// A Content-Length above 0, and the stream has ended. RFC 9113 §8.1.1
    #[error("Content-Length of a message that has no content")]
    LengthUnkept,
    /// A Content-Length in a request to CONNECT, behind which stands no message. RFC 9110 §9.3.6
    #[error("Content-Length of a tunnel")]
    LengthOfTunnel,
    /// An informational response that ends the stream. RFC 9113 §8.1
    #[error("informational response that ends the stream")]
    InformationalLast,
}
