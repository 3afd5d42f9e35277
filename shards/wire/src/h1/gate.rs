//! The gate: what a head that obeys the grammar must also obey before anyone trusts it.
//!
//! Target and authority are taken apart, Connection is read, and the one question that decides whether two readers
//! agree on where a message ends, its framing, is answered or the message refused. Nothing behind the gate checks
//! again.

use crate::authority::Authority;
use crate::field::FieldLines;
use crate::head::ConnectionOptions;
use crate::octet::{is_token_byte, is_white_space};
use crate::path::{self, canonicalize};
use crate::{BodyLength, FieldName, FramingError, Method, RequestError, RequestHead, ResponseError, ResponseHead};
use crate::{Scheme, Span, Target, Version};

/// Makes a request's head trusted. `unframed` is the body of a request that has neither Content-Length nor Transfer-Encoding.
pub(crate) fn admit_request(bytes: &[u8], head: &mut RequestHead, unframed: BodyLength) -> Result<(), RequestError> {
    split_target(bytes, head)?;
    check_host(bytes, head)?;
    if head.fields.present.contains(FieldName::Connection) {
        read_connection(bytes, &head.fields, &mut head.connection).map_err(|fault| match fault {
            OptionFault::Invalid { at } => RequestError::ConnectionOptionInvalid { at },
            OptionFault::TooMany { at } => RequestError::ConnectionOptionsTooMany { at },
        })?;
    }
    head.body = framing(bytes, &head.fields, head.version)?.unwrap_or(unframed);
    if head.version != Version::Http10 && head.fields.present.contains(FieldName::Expect) {
        check_expectations(bytes, head)?;
    }
    Ok(())
}

/// RFC 9110 §10.1.1. An HTTP/1.0 client cannot mean it, and without a body there is nothing to wait for. What else is
/// expected, nobody here can promise.
fn check_expectations(bytes: &[u8], head: &mut RequestHead) -> Result<(), RequestError> {
    for field in head.fields.lines.iter().filter(|field| field.token == FieldName::Expect) {
        for member in members(field.value, bytes) {
            if !member.is_empty() && !member.of(bytes).eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::ExpectationUnknown { at: member.start });
            }
            head.expect_continue |= !member.is_empty();
        }
    }
    head.expect_continue &= !matches!(head.body, BodyLength::None | BodyLength::Exact(0));
    Ok(())
}

/// Makes a response's head trusted. `unframed` is the body of a response that has neither of the fields.
pub(crate) fn admit_response(bytes: &[u8], head: &mut ResponseHead, unframed: BodyLength) -> Result<(), ResponseError> {
    if head.fields.present.contains(FieldName::Connection) {
        read_connection(bytes, &head.fields, &mut head.connection).map_err(|fault| match fault {
            OptionFault::Invalid { at } => ResponseError::ConnectionOptionInvalid { at },
            OptionFault::TooMany { at } => ResponseError::ConnectionOptionsTooMany { at },
        })?;
    }
    head.framing = framing(bytes, &head.fields, head.version)?.unwrap_or(unframed);
    Ok(())
}

/// Recognises the target's form and takes it apart. RFC 9112 §3.2
fn split_target(bytes: &[u8], head: &mut RequestHead) -> Result<(), RequestError> {
    let target = head.target_span.of(bytes);
    let (at, end) = (head.target_span.start, head.target_span.end as usize);
    match (head.method, target) {
        (Method::Connect, authority) => {
            if authority.starts_with(b"/") {
                return Err(RequestError::TargetForm { at });
            }
            head.target = Target::Authority;
            adopt_authority(head, head.target_span, bytes).ok_or(RequestError::AuthorityInvalid { at })?;
            // RFC 9110 §9.3.6: there is no default port.
            if head.port.is_none() {
                return Err(RequestError::AuthorityInvalid { at });
            }
        }
        (_, [b'/', ..]) => {
            head.target = Target::Origin;
            split_path(head, at as usize, end, bytes)?;
        }
        (Method::Options, b"*") => {
            head.target = Target::Asterisk;
            head.path = head.target_span;
        }
        (_, absolute) => {
            let (scheme, prefix_len) = scheme(absolute, at)?;
            head.target = Target::Absolute(scheme);
            let authority_start = at as usize + prefix_len;
            let authority_len = absolute[prefix_len..].iter().position(|byte| matches!(byte, b'/' | b'?'));
            let authority_end = authority_len.map_or(end, |len| authority_start + len);
            let authority = Span::new(authority_start, authority_end);
            adopt_authority(head, authority, bytes).ok_or(RequestError::AuthorityInvalid { at: authority.start })?;
            split_path(head, authority_end, end, bytes)?;
        }
    }
    Ok(())
}

/// The scheme of an absolute-form target and the length of `scheme://`.
fn scheme(target: &[u8], at: u32) -> Result<(Scheme, usize), RequestError> {
    let has_prefix = |prefix: &[u8]| target.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if has_prefix(b"http://") {
        Ok((Scheme::Http, "http://".len()))
    } else if has_prefix(b"https://") {
        Ok((Scheme::Https, "https://".len()))
    } else if target.windows(3).any(|three| three == b"://") {
        Err(RequestError::SchemeUnknown { at })
    } else {
        Err(RequestError::TargetForm { at })
    }
}

/// Takes path and query apart, and brings the path to its canonical form.
fn split_path(head: &mut RequestHead, start: usize, end: usize, bytes: &[u8]) -> Result<(), RequestError> {
    let (path_len, is_canonical) = path::measure(&bytes[start..end]);
    let path_end = start + path_len;
    head.path = Span::new(start, path_end);
    head.query = (path_end < end).then(|| Span::new(path_end + 1, end));
    if is_canonical {
        return Ok(());
    }
    let path = head.path.of(bytes);
    canonicalize(path, &mut head.rewritten).map_err(|error| error.shifted(start as u32))?;
    head.rewritten_path = head.rewritten.len() as u32;
    if head.rewritten == path {
        head.rewritten.clear();
    } else if head.query.is_some() {
        head.rewritten.extend_from_slice(&bytes[head.path.end as usize..end]);
    }
    Ok(())
}

fn adopt_authority(head: &mut RequestHead, authority: Span, bytes: &[u8]) -> Option<()> {
    let parts = Authority::parse(authority.of(bytes))?;
    head.authority = Some(authority);
    head.host = Span { start: authority.start, end: authority.start + parts.host.len() as u32 };
    head.port = parts.port;
    Some(())
}

/// Exactly one valid Host since HTTP/1.1, at most one in HTTP/1.0 (RFC 9112 §3.2), and none that contradicts the target.
/// RFC 9112 §3.2.2 lets a proxy ignore a contradicting Host; a server behind us might not.
fn check_host(bytes: &[u8], head: &mut RequestHead) -> Result<(), RequestError> {
    if head.fields.repeated.contains(FieldName::Host) {
        return Err(RequestError::HostRepeated { at: second(&head.fields, FieldName::Host) });
    }
    let Some(value) = head.fields.first(FieldName::Host).map(|field| field.value) else {
        return match head.version {
            Version::Http10 => Ok(()),
            _ => Err(RequestError::HostMissing),
        };
    };
    let disagrees = RequestError::HostDisagrees { at: value.start };
    let invalid = RequestError::HostInvalid { at: value.start };
    match head.target {
        Target::Origin | Target::Asterisk if value.is_empty() => {
            // RFC 9110 §7.2: what a client sends whose target has no authority.
            head.authority = Some(value);
            head.host = value;
            Ok(())
        }
        Target::Origin | Target::Asterisk => adopt_authority(head, value, bytes).ok_or(invalid),
        Target::Absolute(_) | Target::Authority if value.is_empty() => Err(disagrees),
        Target::Absolute(_) | Target::Authority => {
            let named = Authority::parse(value.of(bytes)).ok_or(invalid)?;
            let effective = Authority { host: head.host.of(bytes), port: head.port };
            let default_port = match head.target {
                Target::Absolute(scheme) => scheme.default_port(),
                _ => head.port.unwrap_or_default(),
            };
            if named.same(&effective, default_port) { Ok(()) } else { Err(disagrees) }
        }
    }
}

enum OptionFault {
    Invalid { at: u32 },
    TooMany { at: u32 },
}

/// Reads all Connection fields as one list. RFC 9110 §7.6.1
fn read_connection(bytes: &[u8], fields: &FieldLines, options: &mut ConnectionOptions) -> Result<(), OptionFault> {
    for field in fields.lines.iter().filter(|field| field.token == FieldName::Connection) {
        // Nearly always one name that is known: `keep-alive`.
        match FieldName::of(field.value.of(bytes)) {
            FieldName::Other => {}
            known => {
                options.known.insert(known);
                continue;
            }
        }
        for member in members(field.value, bytes) {
            let name = member.of(bytes);
            match FieldName::of(name) {
                // RFC 9110 §5.6.1.2: a recipient ignores empty members.
                FieldName::Other if name.is_empty() => {}
                FieldName::Other if name.eq_ignore_ascii_case(b"close") => options.close = true,
                FieldName::Other if !name.iter().all(|&byte| is_token_byte(byte)) => {
                    return Err(OptionFault::Invalid { at: member.start });
                }
                FieldName::Other if options.others.len() == ConnectionOptions::OTHERS_MAX => {
                    return Err(OptionFault::TooMany { at: member.start });
                }
                FieldName::Other => options.others.push(member),
                known => options.known.insert(known),
            }
        }
    }
    Ok(())
}

/// What Content-Length and Transfer-Encoding say, or `None` if neither is there. RFC 9112 §6.3
fn framing(bytes: &[u8], fields: &FieldLines, version: Version) -> Result<Option<BodyLength>, FramingError> {
    const FRAMING: crate::FieldNames = crate::FieldNames::of(&[FieldName::ContentLength, FieldName::TransferEncoding]);
    if fields.present.intersection(FRAMING).is_empty() {
        return Ok(None);
    }
    if let Some(coding) = fields.first(FieldName::TransferEncoding) {
        let at = coding.name.start;
        // RFC 9112 §6.1: such a message was tampered with, or its sender cannot frame.
        if version == Version::Http10 {
            return Err(FramingError::CodingInHttp10 { at });
        }
        if fields.present.contains(FieldName::ContentLength) {
            return Err(FramingError::LengthWithCoding { at });
        }
        return transfer_codings(bytes, fields).map(Some);
    }
    if fields.repeated.contains(FieldName::ContentLength) {
        return Err(FramingError::LengthRepeated { at: second(fields, FieldName::ContentLength) });
    }
    let value = fields.first(FieldName::ContentLength).map_or(Span::default(), |field| field.value);
    content_length(value, bytes).map(|length| Some(BodyLength::Exact(length)))
}

/// One decimal number. RFC 9110 §8.6 lets a recipient collapse a list of equal ones; we do not, since nobody needs it.
fn content_length(value: Span, bytes: &[u8]) -> Result<u64, FramingError> {
    let invalid = FramingError::LengthInvalid { at: value.start };
    let digits = value.of(bytes);
    if digits.is_empty() {
        return Err(invalid);
    }
    let mut length = 0u64;
    for (index, &digit) in digits.iter().enumerate() {
        match digit {
            b'0'..=b'9' => {
                let next = length.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(digit - b'0')));
                length = next.ok_or(invalid)?;
            }
            b',' => return Err(FramingError::LengthRepeated { at: value.start + index as u32 }),
            _ => return Err(invalid),
        }
    }
    Ok(length)
}

/// All Transfer-Encoding fields are one list (RFC 9110 §5.3), and that list has to be `chunked`, once and alone.
fn transfer_codings(bytes: &[u8], fields: &FieldLines) -> Result<BodyLength, FramingError> {
    let mut unknown = None;
    let mut chunked = None;
    let mut last = None;
    for field in fields.lines.iter().filter(|field| field.token == FieldName::TransferEncoding) {
        for member in members(field.value, bytes) {
            let at = member.start;
            let coding = member.of(bytes);
            // Parameters are part of the grammar, but no coding that we know has any.
            let name_len = coding.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(coding.len());
            let parameters = coding[name_len..].trim_ascii_start();
            if name_len == 0 || !(parameters.is_empty() || parameters.starts_with(b";")) {
                return Err(FramingError::CodingInvalid { at });
            }
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            if is_chunked && chunked.replace(at).is_some() {
                return Err(FramingError::ChunkedRepeated { at });
            }
            if !is_chunked && unknown.is_none() {
                unknown = Some(at);
            }
            last = Some((at, is_chunked));
        }
    }
    match (last, unknown) {
        (Some((_, true)), None) => Ok(BodyLength::Chunked),
        (Some((_, true)), Some(at)) => Err(FramingError::CodingUnknown { at }),
        (Some((at, false)), _) => Err(FramingError::ChunkedNotLast { at }),
        (None, _) => unreachable!("a value has at least one member, if only an empty one"),
    }
}

/// The members of a comma-separated list, without white space around them; an empty value has one empty member.
pub(crate) fn members(value: Span, bytes: &[u8]) -> impl Iterator<Item = Span> {
    let mut start = value.start;
    value.of(bytes).split(|&byte| byte == b',').map(move |member| {
        let end = start + member.len() as u32;
        let leading = member.iter().take_while(|&&byte| is_white_space(byte)).count();
        let trailing = member[leading..].iter().rev().take_while(|&&byte| is_white_space(byte)).count();
        let span = Span { start: start + leading as u32, end: end - trailing as u32 };
        start = end + 1;
        span
    })
}

/// Offset of the name of the second field of that name.
fn second(fields: &FieldLines, name: FieldName) -> u32 {
    fields.lines.iter().filter(|field| field.token == name).nth(1).map_or(0, |field| field.name.start)
}
