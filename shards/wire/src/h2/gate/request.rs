//! A request's head, field by field. RFC 9113 §8.3.1

use super::{Excess, HeadError, MalformedHead, Reader, lines};
use crate::authority::Authority;
use crate::h1::gate;
use crate::hpack::{HeaderField, Name, Pseudo};
use crate::octet::{is_target, is_token};
use crate::{BodyLength, FieldName, Limits, Method, RequestError, RequestHead, Scheme, Span, Version};

pub(super) struct RequestReader<'a> {
    head: &'a mut RequestHead,
    bytes: &'a mut Vec<u8>,
    /// What the pseudo-header fields say: they may come in any order, and the text begins with the method.
    pseudo: &'a mut Vec<u8>,
    /// Where in `pseudo` each stands; `None` for those that have not come.
    places: [Option<Span>; Pseudo::COUNT],
    /// The crumbs so far, as one line's value.
    cookie: &'a mut Vec<u8>,
    crumbs: u16,
    /// Whether a crumb is not to be indexed.
    cookie_never_indexed: bool,
    limits: &'a Limits,
    /// The start line is written: no pseudo-header field may follow.
    begun: bool,
    /// CONNECT, extended or not: what follows the head is no message.
    tunnel: bool,
    /// That of the scheme; 0 where there is none.
    default_port: u16,
    has_host: bool,
}

impl Reader for RequestReader<'_> {
    #[inline]
    fn take(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        let name = match field.key {
            Name::Field(name) => name,
            Name::Pseudo(pseudo) => return self.take_pseudo(pseudo, field),
            Name::Invalid => return Err(lines::invalid_name(field)),
        };
        if !self.begun {
            self.begin()?;
        }
        lines::check(name, field)?;
        match name {
            FieldName::Cookie => self.take_crumb(field),
            FieldName::Host => self.take_host(field),
            FieldName::ContentLength if self.tunnel => Err(MalformedHead::LengthOfTunnel.into()),
            _ => lines::push(self.bytes, &mut self.head.fields, self.limits, name, field),
        }
    }
}

impl<'a> RequestReader<'a> {
    pub(super) fn new(
        head: &'a mut RequestHead,
        bytes: &'a mut Vec<u8>,
        pseudo: &'a mut Vec<u8>,
        cookie: &'a mut Vec<u8>,
        limits: &'a Limits,
    ) -> RequestReader<'a> {
        head.clear();
        head.version = Version::Http2;
        bytes.clear();
        pseudo.clear();
        cookie.clear();
        RequestReader {
            head,
            bytes,
            pseudo,
            places: [None; Pseudo::COUNT],
            cookie,
            crumbs: 0,
            cookie_never_indexed: false,
            limits,
            begun: false,
            tunnel: false,
            default_port: 0,
            has_host: false,
        }
    }

    /// The block has ended.
    pub(super) fn finish(mut self, end_stream: bool) -> Result<(), HeadError> {
        if !self.begun {
            self.begin()?;
        }
        let RequestReader { head, bytes, limits, tunnel, .. } = self;
        if self.crumbs > 0 {
            let never_indexed = self.cookie_never_indexed;
            lines::push_known(bytes, &mut head.fields, limits, FieldName::Cookie, self.cookie, never_indexed)?;
        }
        bytes.extend_from_slice(b"\r\n");
        head.len = bytes.len() as u32;
        gate::admit_request(bytes, head, if end_stream { BodyLength::None } else { BodyLength::Chunked })?;
        if let Some(authority) = head.authority.filter(|authority| authority.is_empty()) {
            // RFC 9110 §4.2.1: an identifier of http or https has a host.
            return Err(RequestError::HostInvalid { at: authority.start }.into());
        }
        if tunnel {
            head.body = BodyLength::None;
        } else if end_stream && !matches!(head.body, BodyLength::None | BodyLength::Exact(0)) {
            return Err(MalformedHead::LengthUnkept.into());
        }
        Ok(())
    }

    fn take_pseudo(&mut self, pseudo: Pseudo, field: &HeaderField<'_>) -> Result<(), HeadError> {
        if self.begun {
            return Err(MalformedHead::PseudoLate(pseudo).into());
        }
        if pseudo == Pseudo::Status {
            return Err(MalformedHead::PseudoMisplaced(pseudo).into());
        }
        if !field.clean {
            return Err(MalformedHead::PseudoInvalid(pseudo).into());
        }
        let start = self.pseudo.len();
        self.pseudo.extend_from_slice(field.value);
        match self.places[pseudo as usize].replace(Span::new(start, self.pseudo.len())) {
            None => Ok(()),
            Some(_) => Err(MalformedHead::PseudoRepeated(pseudo).into()),
        }
    }

    /// What a pseudo-header field says that has to be there.
    fn required(&self, pseudo: Pseudo) -> Result<Span, HeadError> {
        self.places[pseudo as usize].ok_or(MalformedHead::PseudoMissing(pseudo).into())
    }

    fn forbid(&self, pseudo: Pseudo) -> Result<(), HeadError> {
        match self.places[pseudo as usize] {
            None => Ok(()),
            Some(_) => Err(MalformedHead::PseudoMisplaced(pseudo).into()),
        }
    }

    /// Writes the start line and what the pseudo-header fields say besides: all of them have come.
    fn begin(&mut self) -> Result<(), HeadError> {
        self.begun = true;
        let method = self.required(Pseudo::Method)?;
        let is_connect = method.of(self.pseudo) == b"CONNECT";
        self.tunnel = is_connect;
        match self.places[Pseudo::Protocol as usize] {
            Some(protocol) if is_connect => self.begin_extended(method, protocol),
            // RFC 8441 §4
            Some(_) => Err(MalformedHead::PseudoMisplaced(Pseudo::Protocol).into()),
            None if is_connect => self.begin_connect(),
            None => self.begin_ordinary(method),
        }
    }

    /// RFC 9113 §8.3.1: a method, a scheme and a path, and for http and https an authority, if only in Host.
    fn begin_ordinary(&mut self, method: Span) -> Result<(), HeadError> {
        let path = self.check_uri(method)?;
        let RequestReader { head, bytes, pseudo, .. } = self;
        let method = method.of(pseudo);
        if !is_token(method) {
            return Err(MalformedHead::PseudoInvalid(Pseudo::Method).into());
        }
        head.method = Method::parse(method);
        write_start_line(head, bytes, method, path.of(pseudo));
        self.write_authority()
    }

    /// RFC 8441 §4: all that another request has, and what the tunnel will carry. In HTTP/1 that is a GET that asks for an upgrade.
    fn begin_extended(&mut self, method: Span, protocol: Span) -> Result<(), HeadError> {
        let path = self.check_uri(method)?;
        // An upgrade has no Host to fall back on in the frames that follow.
        self.required(Pseudo::Authority)?;
        let RequestReader { head, bytes, pseudo, .. } = self;
        if !is_token(protocol.of(pseudo)) {
            return Err(MalformedHead::PseudoInvalid(Pseudo::Protocol).into());
        }
        head.method = Method::Get;
        write_start_line(head, bytes, b"GET", path.of(pseudo));
        self.write_authority()?;
        let RequestReader { head, bytes, pseudo, limits, .. } = self;
        lines::push_known(bytes, &mut head.fields, limits, FieldName::Connection, b"upgrade", false)?;
        lines::push_known(bytes, &mut head.fields, limits, FieldName::Upgrade, protocol.of(pseudo), false)
    }

    /// RFC 9113 §8.5: the authority alone.
    fn begin_connect(&mut self) -> Result<(), HeadError> {
        self.forbid(Pseudo::Scheme)?;
        self.forbid(Pseudo::Path)?;
        let authority = self.required(Pseudo::Authority)?;
        let RequestReader { head, bytes, pseudo, .. } = self;
        let authority = authority.of(pseudo);
        if !is_target(authority) {
            return Err(MalformedHead::PseudoInvalid(Pseudo::Authority).into());
        }
        head.method = Method::Connect;
        write_start_line(head, bytes, b"CONNECT", authority);
        self.write_authority()
    }

    /// Checks scheme and path; returns the path.
    fn check_uri(&mut self, method: Span) -> Result<Span, HeadError> {
        let scheme = self.required(Pseudo::Scheme)?.of(self.pseudo);
        let path_span = self.required(Pseudo::Path)?;
        let path = path_span.of(self.pseudo);
        // Whether the scheme is the connection's nobody can tell who does not know what lies in front of this server.
        self.default_port = match scheme {
            _ if scheme.eq_ignore_ascii_case(b"http") => Scheme::Http.default_port(),
            _ if scheme.eq_ignore_ascii_case(b"https") => Scheme::Https.default_port(),
            _ => return Err(MalformedHead::PseudoInvalid(Pseudo::Scheme).into()),
        };
        if path.len() > self.limits.target_bytes_max as usize {
            return Err(Excess::Target { max: self.limits.target_bytes_max }.into());
        }
        let is_asterisk = path == b"*" && method.of(self.pseudo) == b"OPTIONS";
        if !(path.first() == Some(&b'/') || is_asterisk) || !is_target(path) {
            return Err(MalformedHead::PseudoInvalid(Pseudo::Path).into());
        }
        Ok(path_span)
    }

    /// Host, where :authority says it.
    fn write_authority(&mut self) -> Result<(), HeadError> {
        let Some(authority) = self.places[Pseudo::Authority as usize] else { return Ok(()) };
        let RequestReader { head, bytes, pseudo, limits, .. } = self;
        lines::push_known(bytes, &mut head.fields, limits, FieldName::Host, authority.of(pseudo), false)
    }

    /// A Host beside :authority has to say the same, and is said once. RFC 9113 §8.3.1
    fn take_host(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        let at = self.bytes.len() as u32;
        if self.has_host {
            return Err(RequestError::HostRepeated { at }.into());
        }
        self.has_host = true;
        let Some(authority) = self.places[Pseudo::Authority as usize] else {
            return lines::push(self.bytes, &mut self.head.fields, self.limits, FieldName::Host, field);
        };
        let named = Authority::parse(field.value).ok_or(RequestError::HostInvalid { at })?;
        let effective = Authority::parse(authority.of(self.pseudo)).ok_or(RequestError::AuthorityInvalid { at })?;
        let default_port = if self.default_port > 0 { self.default_port } else { effective.port.unwrap_or_default() };
        match named.same(&effective, default_port) {
            true => Ok(()),
            false => Err(RequestError::HostDisagrees { at }.into()),
        }
    }

    /// RFC 9113 §8.2.3: the parts of a cookie that was split are joined before it goes on.
    fn take_crumb(&mut self, field: &HeaderField<'_>) -> Result<(), HeadError> {
        if self.crumbs == self.limits.fields_max {
            return Err(Excess::Crumbs { max: self.limits.fields_max }.into());
        }
        self.crumbs += 1;
        // An empty one adds nothing: the line would end in the space behind a semicolon.
        if !self.cookie.is_empty() && !field.value.is_empty() {
            self.cookie.extend_from_slice(b"; ");
        }
        self.cookie.extend_from_slice(field.value);
        self.cookie_never_indexed |= field.never_indexed;
        Ok(())
    }
}

fn write_start_line(head: &mut RequestHead, bytes: &mut Vec<u8>, method: &[u8], target: &[u8]) {
    head.method_span = Span::new(0, method.len());
    head.target_span = Span::new(method.len() + 1, method.len() + 1 + target.len());
    for part in [method, b" ", target, b" HTTP/1.1\r\n"] {
        bytes.extend_from_slice(part);
    }
}
