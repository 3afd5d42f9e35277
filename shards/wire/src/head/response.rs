//! The head of a response.

use super::{BodyLength, ConnectionOptions, Method, Version, common_accessors};
use crate::field::FieldLines;
use crate::{Field, FieldName, FieldNames, Span};

/// A response's head after every check. Offsets refer to the bytes that it was parsed from.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    pub(crate) version: Version,
    /// 100 to 999.
    pub(crate) status: u16,
    pub(crate) reason: Span,
    pub(crate) fields: FieldLines,
    /// What the fields say about the body: `Exact`, `Chunked`, or `UntilClose` where they say nothing.
    pub(crate) framing: BodyLength,
    pub(crate) connection: ConnectionOptions,
    pub(crate) len: u32,
}

common_accessors!(ResponseHead);

impl ResponseHead {
    /// A head to be filled by a parser.
    #[must_use]
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// Forgets the response and keeps the memory.
    pub fn clear(&mut self) {
        let ResponseHead { mut fields, mut connection, .. } = std::mem::take(self);
        fields.clear();
        connection.clear();
        *self = ResponseHead { fields, connection, ..ResponseHead::default() };
    }

    /// The status code, 100 to 999.
    #[inline]
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; may be empty.
    #[inline]
    #[must_use]
    pub fn reason(&self) -> Span {
        self.reason
    }

    /// Whether another response to the same request follows. RFC 9110 §15.2
    #[inline]
    #[must_use]
    pub fn is_informational(&self) -> bool {
        self.status < 200
    }

    /// How the end of the body is found if this answers a request of that method. RFC 9112 §6.3
    #[must_use]
    pub fn body_for(&self, request_method: Method) -> BodyLength {
        match self.status {
            100..200 | 204 | 304 => BodyLength::None,
            _ if request_method == Method::Head => BodyLength::None,
            200..300 if request_method == Method::Connect => BodyLength::None,
            _ => self.framing,
        }
    }

    /// What the fields say about the body's length, even where there is no body: the length that a GET would have had
    /// in the answer to a HEAD.
    #[inline]
    #[must_use]
    pub fn framing(&self) -> BodyLength {
        self.framing
    }
}
