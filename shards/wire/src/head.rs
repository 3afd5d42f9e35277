//! The trusted heads, and what they say.
//!
//! A [`RequestHead`] or [`ResponseHead`] is filled only by this crate's readers, after every rule has been checked; its
//! fields are private so that nobody else can make one that was not. Both are meant to be kept and filled again:
//! `clear` keeps the memory.

mod request;
mod response;

pub use request::{RequestHead, Scheme, Target};
pub use response::ResponseHead;

use crate::{Field, FieldName, FieldNames, Span};

/// Bounds that a head must keep, and those of a trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, start line and blank line included. Trailer sections have the same bound.
    pub head_bytes_max: u32,
    /// Bytes of the start line, CRLF included.
    pub start_line_bytes_max: u32,
    /// Fields of a head, and of a trailer section.
    pub fields_max: u16,
    /// Bytes of a request's target.
    pub target_bytes_max: u32,
    /// Bytes of one field line of a head, from its name to its CRLF.
    pub field_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes_max: 32 << 10,
            start_line_bytes_max: 16 << 10,
            fields_max: 100,
            target_bytes_max: 8 << 10,
            field_bytes_max: 16 << 10,
        }
    }
}

/// The method of a request. Those without a name of their own are `Other`; their bytes are in
/// [`RequestHead::method_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// The method of that name. Names are case-sensitive (RFC 9110 §9.1); whether the bytes are a token is checked
    /// elsewhere.
    #[inline]
    #[must_use]
    pub fn parse(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// The name; empty for `Other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
            Method::Other => "",
        }
    }

    /// Whether the client asks for no change of state. RFC 9110 §9.2.1
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }

    /// Whether sending the request twice has the effect of sending it once. RFC 9110 §9.2.2. An unknown method is taken
    /// not to be.
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }
}

/// The version of a message. HTTP/1.2 to 1.9, which nobody has defined, count as 1.1 (RFC 9110 §2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2. RFC 9113
    Http2,
}

/// How the end of a body is found. RFC 9112 §6.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// So many bytes; 0 is a body that is there and empty.
    Exact(u64),
    /// In chunks, of which the last says so.
    Chunked,
    /// Until the connection ends. Responses only.
    UntilClose,
}

/// Fields that concern one connection only and are never forwarded as they are. RFC 9110 §7.6.1
pub(crate) const HOP_BY_HOP: FieldNames = FieldNames::of(&[
    FieldName::Connection,
    FieldName::KeepAlive,
    FieldName::ProxyConnection,
    FieldName::Te,
    FieldName::TransferEncoding,
    FieldName::Upgrade,
    FieldName::Http2Settings,
]);

/// Fields that a Connection field cannot name away: those that frame and route the message, those that say who the
/// client is, and those that later readers trust. A sender that names one of these is not obeyed (CVE-2025-48865).
pub(crate) const NOT_NOMINABLE: FieldNames = FieldNames::of(&[
    FieldName::Host,
    FieldName::ContentLength,
    FieldName::ContentType,
    FieldName::ContentEncoding,
    FieldName::ContentRange,
    FieldName::Trailer,
    FieldName::Expect,
    FieldName::Range,
    FieldName::CacheControl,
    FieldName::Vary,
    FieldName::MaxForwards,
    FieldName::Via,
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
    FieldName::Authorization,
    FieldName::ProxyAuthorization,
    FieldName::WwwAuthenticate,
    FieldName::ProxyAuthenticate,
    FieldName::Cookie,
    FieldName::SetCookie,
    FieldName::Origin,
]);

/// What the Connection fields of a message say. RFC 9110 §7.6.1
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionOptions {
    /// `close` is among them.
    pub(crate) close: bool,
    /// Interned names among them; `KeepAlive` and `Upgrade` double as options.
    pub(crate) known: FieldNames,
    /// The other names, where they stand.
    pub(crate) others: Vec<Span>,
}

impl ConnectionOptions {
    /// How many names without a token are accepted; more is an attack on the comparisons they cost.
    pub(crate) const OTHERS_MAX: usize = 16;

    pub(crate) fn clear(&mut self) {
        self.close = false;
        self.known = FieldNames::EMPTY;
        self.others.clear();
    }

    /// The interned names to leave out of a forwarded message.
    #[inline]
    pub(crate) fn removed(&self) -> FieldNames {
        self.known.difference(NOT_NOMINABLE).union(HOP_BY_HOP)
    }

    /// Whether a field without a token of its own was named.
    #[inline]
    pub(crate) fn names(&self, field: &Field, bytes: &[u8]) -> bool {
        self.others.iter().any(|other| other.of(bytes).eq_ignore_ascii_case(field.name.of(bytes)))
    }

    /// Whether the sender means to go on with the connection. RFC 9112 §9.3
    pub(crate) fn persistent(&self, version: Version) -> bool {
        !self.close && (version != Version::Http10 || self.known.contains(FieldName::KeepAlive))
    }
}

/// Accessors that both heads have in common, with one text.
macro_rules! common_accessors {
    ($head:ty) => {
        impl $head {
            /// The message's version.
            #[inline]
            #[must_use]
            pub fn version(&self) -> Version {
                self.version
            }

            /// All fields in the order in which they were sent.
            #[inline]
            #[must_use]
            pub fn fields(&self) -> &[Field] {
                &self.fields.lines
            }

            /// The names that occur.
            #[inline]
            #[must_use]
            pub fn names(&self) -> FieldNames {
                self.fields.present
            }

            /// The first field of that name.
            #[inline]
            #[must_use]
            pub fn field(&self, name: FieldName) -> Option<&Field> {
                self.fields.first(name)
            }

            /// The value of the first field of that name.
            #[inline]
            #[must_use]
            pub fn value<'a>(&self, name: FieldName, bytes: &'a [u8]) -> Option<&'a [u8]> {
                self.fields.first(name).map(|field| field.value.of(bytes))
            }

            /// The first field of a name that may have no token.
            #[must_use]
            pub fn field_named(&self, name: &[u8], bytes: &[u8]) -> Option<&Field> {
                match FieldName::of(name) {
                    FieldName::Other => self.fields.lines.iter().find(|field| {
                        field.token == FieldName::Other && field.name.of(bytes).eq_ignore_ascii_case(name)
                    }),
                    token => self.fields.first(token),
                }
            }

            /// Whether the sender means to go on with the connection after this exchange. RFC 9112 §9.3
            #[inline]
            #[must_use]
            pub fn persistent(&self) -> bool {
                self.connection.persistent(self.version)
            }

            /// Names without a token that the Connection fields declare to concern this connection only.
            #[must_use]
            pub fn nominated(&self) -> &[Span] {
                &self.connection.others
            }

            /// Bytes of the head, empty lines before it and the blank line after it included: the body begins here.
            #[inline]
            #[must_use]
            #[expect(clippy::len_without_is_empty, reason = "the length of a part of a message, not of a collection")]
            pub fn len(&self) -> usize {
                self.len as usize
            }
        }
    };
}
use common_accessors;
