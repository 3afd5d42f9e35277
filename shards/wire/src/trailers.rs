//! Trailers: fields behind a body. RFC 9110 §6.5

use crate::field::FieldLines;
use crate::{Field, FieldName, FieldNames};

/// The fields of a trailer section that may be passed on.
#[derive(Debug, Clone, Default)]
pub struct Trailers {
    bytes: Vec<u8>,
    fields: FieldLines,
}

/// Fields that frame, route, authenticate or describe content, or that a recipient must know before the content: they
/// have no business in a trailer section, and a recipient that merged them would be deceived. RFC 9110 §6.5.1
const NOT_IN_TRAILERS: FieldNames = FieldNames::of(&[
    FieldName::Host,
    FieldName::Connection,
    FieldName::ContentLength,
    FieldName::TransferEncoding,
    FieldName::Te,
    FieldName::Trailer,
    FieldName::Upgrade,
    FieldName::Http2Settings,
    FieldName::KeepAlive,
    FieldName::ProxyConnection,
    FieldName::ProxyAuthenticate,
    FieldName::ProxyAuthorization,
    FieldName::ProxyAuthenticationInfo,
    FieldName::WwwAuthenticate,
    FieldName::Authorization,
    FieldName::Cookie,
    FieldName::SetCookie,
    FieldName::Expect,
    FieldName::Via,
    FieldName::MaxForwards,
    FieldName::Forwarded,
    FieldName::XForwardedFor,
    FieldName::XForwardedProto,
    FieldName::XForwardedHost,
    FieldName::XForwardedPort,
    FieldName::XForwardedServer,
    FieldName::XForwardedPrefix,
    FieldName::XRealIp,
    FieldName::XRequestId,
    FieldName::Traceparent,
    FieldName::Origin,
    FieldName::Range,
    FieldName::IfMatch,
    FieldName::IfNoneMatch,
    FieldName::IfModifiedSince,
    FieldName::IfUnmodifiedSince,
    FieldName::IfRange,
    FieldName::CacheControl,
    FieldName::Age,
    FieldName::Date,
    FieldName::Expires,
    FieldName::Location,
    FieldName::RetryAfter,
    FieldName::Vary,
    FieldName::ContentType,
    FieldName::ContentEncoding,
    FieldName::ContentLanguage,
    FieldName::ContentLocation,
    FieldName::ContentRange,
    FieldName::ContentDisposition,
]);

impl Trailers {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.lines.is_empty()
    }

    /// The fields. Their spans refer to [`bytes`](Self::bytes).
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields.lines
    }

    /// The bytes that the fields refer to.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Names and values in the order in which they were sent.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.lines.iter().map(|field| (field.name.of(&self.bytes), field.value.of(&self.bytes)))
    }

    /// Forgets them and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    /// Where a reader puts a section: its bytes, and the fields that refer to them.
    pub(crate) fn parts(&mut self) -> (&mut Vec<u8>, &mut FieldLines) {
        (&mut self.bytes, &mut self.fields)
    }

    /// Leaves out what may not stand in a trailer section, once it has been read.
    pub(crate) fn retain_allowed(&mut self) {
        self.fields.lines.retain(|field| !NOT_IN_TRAILERS.contains(field.token));
        self.fields.present = self.fields.present.difference(NOT_IN_TRAILERS);
        self.fields.repeated = self.fields.repeated.difference(NOT_IN_TRAILERS);
    }
}
