//! The head of a request.

use super::{BodyLength, ConnectionOptions, Method, Version, common_accessors};
use crate::field::FieldLines;
use crate::{Field, FieldName, FieldNames, Span};

/// A request's head after every check. Offsets refer to the bytes that it was parsed from.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    pub(crate) method: Method,
    pub(crate) method_span: Span,
    pub(crate) target: Target,
    pub(crate) target_span: Span,
    pub(crate) version: Version,
    pub(crate) fields: FieldLines,
    /// Invariant: a valid `host [":" port]`, or empty. `None` only in HTTP/1.0.
    pub(crate) authority: Option<Span>,
    /// The authority without its port.
    pub(crate) host: Span,
    pub(crate) port: Option<u16>,
    /// As it was sent. Empty where the target has no path of its own.
    pub(crate) path: Span,
    pub(crate) query: Option<Span>,
    /// Path and query, if the path was not sent in canonical form; else empty.
    pub(crate) rewritten: Vec<u8>,
    /// Bytes of the path in `rewritten`.
    pub(crate) rewritten_path: u32,
    pub(crate) body: BodyLength,
    pub(crate) connection: ConnectionOptions,
    pub(crate) expect_continue: bool,
    pub(crate) len: u32,
}

/// The form of a request's target. RFC 9112 §3.2
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute(Scheme),
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only.
    Asterisk,
}

/// The scheme of an absolute-form target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The port that an authority without one means.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

common_accessors!(RequestHead);

impl RequestHead {
    /// A head to be filled by a parser.
    #[must_use]
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// Forgets the request and keeps the memory.
    pub fn clear(&mut self) {
        let RequestHead { mut fields, mut connection, mut rewritten, .. } = std::mem::take(self);
        fields.clear();
        connection.clear();
        rewritten.clear();
        *self = RequestHead { fields, connection, rewritten, ..RequestHead::default() };
    }

    /// The method.
    #[inline]
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method as it was sent, a token.
    #[inline]
    #[must_use]
    pub fn method_name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.method_span.of(bytes)
    }

    /// The target's form.
    #[inline]
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The target as it was sent.
    #[inline]
    #[must_use]
    pub fn target_span(&self) -> Span {
        self.target_span
    }

    /// Where the effective authority stands: in an absolute-form or authority-form target, otherwise in the Host field.
    /// Valid `host [":" port]`, or empty where the Host field is. `None` only if an HTTP/1.0 client named none.
    #[inline]
    #[must_use]
    pub fn authority(&self) -> Option<Span> {
        self.authority
    }

    /// The effective host without the port; an IPv6 address keeps its brackets. Empty where the client named none.
    #[inline]
    #[must_use]
    pub fn host<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.host.of(bytes)
    }

    /// The effective authority's port, where it has one.
    #[inline]
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The path, in its canonical form ([`path`](crate::path)). An absolute-form target without one means `/`, or, with
    /// OPTIONS and no query, the server as a whole: `*` (RFC 9112 §3.2.4). Empty for CONNECT.
    #[inline]
    #[must_use]
    pub fn path<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.rewritten.is_empty() {
            return &self.rewritten[..self.rewritten_path as usize];
        }
        if !self.path.is_empty() {
            return self.path.of(bytes);
        }
        match self.target {
            Target::Authority => b"",
            _ if self.method == Method::Options && self.query.is_none() => b"*",
            _ => b"/",
        }
    }

    /// The query without its question mark.
    #[inline]
    #[must_use]
    pub fn query(&self) -> Option<Span> {
        self.query
    }

    /// Path and query in one slice, the path in its canonical form, the query as it was sent. Where the path is only implied, as in `http://host?query`, the
    /// slice begins with the question mark, or is what [`path`](Self::path) says if there is no query either.
    #[inline]
    #[must_use]
    pub fn path_and_query<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.rewritten.is_empty() {
            return &self.rewritten;
        }
        match self.query {
            Some(query) => &bytes[self.path.start as usize..query.end as usize],
            None => self.path(bytes),
        }
    }

    /// How the end of the body is found; never `UntilClose`.
    #[inline]
    #[must_use]
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Whether the client may be waiting for 100 (Continue) before it sends the body. RFC 9110 §10.1.1
    #[inline]
    #[must_use]
    pub fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// Whether the path was sent in another than its canonical form.
    #[inline]
    pub(crate) fn is_rewritten(&self) -> bool {
        !self.rewritten.is_empty()
    }

    /// The protocols that the client would switch to, its favourite first; none unless [`upgrade`](Self::upgrade).
    pub fn protocols<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.lines.iter().filter(|field| self.upgrade() && field.token == FieldName::Upgrade);
        let members = fields.flat_map(move |field| field.value.of(bytes).split(|&byte| byte == b','));
        members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
    }

    /// Whether the client asks to switch protocols: an Upgrade field that Connection names (RFC 9110 §7.8), or an extended
    /// CONNECT of HTTP/2, which is read as one (RFC 8441 §4).
    #[must_use]
    pub fn upgrade(&self) -> bool {
        let upgrade = FieldName::Upgrade;
        // A server ignores an Upgrade in an HTTP/1.0 request.
        self.version != Version::Http10
            && self.connection.known.contains(upgrade)
            && self.fields.present.contains(upgrade)
    }
}
