//! Reading heads: httparse's vectorised pass first, then checks that close what it leaves open, then the gate.
//!
//! httparse accepts more than this crate does (bare line feeds, fragments, bytes beyond ASCII in a target) and less
//! (minor versions above 1). So its result counts only if the lines that it found tile the head exactly, each ending in
//! CRLF. In every other case `grammar` reads the head again, slowly, and its word is final.

use std::mem::MaybeUninit;

use super::gate;
use super::grammar::{self, Stop};
use crate::field::FieldLines;
use crate::{Field, FieldName, Limits, Method, RequestError, RequestHead, ResponseError, ResponseHead, Span};
use crate::{SyntaxError, Version};

/// How far a parser came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head is complete and takes so many bytes.
    Complete(usize),
    /// Nothing is wrong so far; the same bytes and some more are needed.
    Partial,
}

/// Fields that the fast reader has room for: its table lies on the stack, 32 bytes each. A head with more is read
/// slowly.
const FIELDS_FAST: usize = 128;

/// How many empty lines before a request line are forgiven. RFC 9112 §2.2 asks for at least one, because old clients
/// send one too many after a body.
const EMPTY_LINES_MAX: usize = 2;

/// Reads the request head at the start of `bytes` into `head`, whose former content is forgotten. Offsets in `head`
/// count from the start of `bytes`. Unless the result is `Complete`, `head` means nothing, except that its method is
/// right if the request line was.
///
/// # Errors
/// The first violation of the grammar, of `limits`, or of the rules that make a request unambiguous. Some are reported
/// before the head is complete, all when it is, and limits as soon as they are reached. More bytes never turn an error
/// into anything else.
pub fn parse_request(bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Parsed, RequestError> {
    let window = window(bytes, limits);
    head.clear();
    let Some(start) = skip_empty_lines(window)? else {
        return partial(bytes, limits).ok_or(RequestError::HeadTooLarge { max: limits.head_bytes_max });
    };
    let parsed = match fast_request(window, start, limits, head) {
        Some(parsed) => parsed,
        None => exact_request(window, start, limits, head)?,
    };
    match parsed {
        Parsed::Complete(len) => {
            head.len = len as u32;
            if len > limits.target_bytes_max as usize && head.target_span.len() > limits.target_bytes_max as usize {
                return Err(RequestError::TargetTooLong { max: limits.target_bytes_max });
            }
            if let Some(at) = large_field(&head.fields, len, limits) {
                return Err(RequestError::FieldTooLarge { at, max: limits.field_bytes_max });
            }
            gate::admit_request(window, head)?;
            Ok(parsed)
        }
        Parsed::Partial => partial(bytes, limits).ok_or(RequestError::HeadTooLarge { max: limits.head_bytes_max }),
    }
}

/// Reads the response head at the start of `bytes` into `head`, in the manner of [`parse_request`].
///
/// # Errors
/// The first violation of the grammar, of `limits`, or of the rules that make a response unambiguous.
pub fn parse_response(bytes: &[u8], limits: &Limits, head: &mut ResponseHead) -> Result<Parsed, ResponseError> {
    let window = window(bytes, limits);
    head.clear();
    if let Some(b'\r' | b'\n') = window.first() {
        return Err(SyntaxError::EmptyLine { at: 0 }.into());
    }
    let parsed = match fast_response(window, limits, head) {
        Some(parsed) => parsed,
        None => exact_response(window, limits, head)?,
    };
    match parsed {
        Parsed::Complete(len) => {
            head.len = len as u32;
            if let Some(at) = large_field(&head.fields, len, limits) {
                return Err(ResponseError::FieldTooLarge { at, max: limits.field_bytes_max });
            }
            gate::admit_response(window, head)?;
            Ok(parsed)
        }
        Parsed::Partial => partial(bytes, limits).ok_or(ResponseError::HeadTooLarge { max: limits.head_bytes_max }),
    }
}

/// As [`parse_request`], with the slow reader only and without the gate: what tests and fuzz targets hold the fast
/// reader against.
///
/// # Errors
/// The first violation of the grammar or of `limits`.
pub fn parse_request_by_grammar(bytes: &[u8], limits: &Limits, head: &mut RequestHead) -> Result<Parsed, RequestError> {
    let window = window(bytes, limits);
    head.clear();
    let parsed = match skip_empty_lines(window)? {
        Some(start) => exact_request(window, start, limits, head)?,
        None => Parsed::Partial,
    };
    match parsed {
        Parsed::Complete(_) => Ok(parsed),
        Parsed::Partial => partial(bytes, limits).ok_or(RequestError::HeadTooLarge { max: limits.head_bytes_max }),
    }
}

/// Remembers how far a head that is still partial has been parsed, so that it is parsed again only when a line or a
/// limit has been reached: a head ends with a line, and so its outcome changes only there.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Bytes that have been seen to be partial.
    partial_bytes: usize,
}

impl HeadScan {
    /// Whether parsing could say more than the last time.
    #[inline]
    pub(super) fn is_promising(&mut self, bytes: &[u8], limits: &Limits) -> bool {
        if self.partial_bytes == 0 {
            return true;
        }
        let seen = self.partial_bytes.min(bytes.len());
        let crosses = |limit: usize| seen < limit && limit <= bytes.len();
        let promising = memchr::memchr(b'\n', &bytes[seen..]).is_some()
            || crosses(limits.head_bytes_max as usize)
            || crosses(limits.start_line_bytes_max as usize + 2 * EMPTY_LINES_MAX);
        self.partial_bytes = bytes.len();
        promising
    }

    /// Takes notice of what parsing said.
    #[inline]
    pub(super) fn note<E>(&mut self, bytes: &[u8], parsed: &Result<Parsed, E>) {
        self.partial_bytes = match parsed {
            Ok(Parsed::Partial) => bytes.len(),
            _ => 0,
        };
    }
}

/// The bytes that a head may take. What lies beyond is never looked at, so that the outcome does not depend on how much
/// arrived at once.
fn window<'a>(bytes: &'a [u8], limits: &Limits) -> &'a [u8] {
    &bytes[..bytes.len().min(limits.head_bytes_max as usize)]
}

/// Offset of the first field that is larger than the limit. A head of `len` bytes that keeps the limit itself has none.
#[inline]
fn large_field(fields: &FieldLines, len: usize, limits: &Limits) -> Option<u32> {
    let bytes_max = limits.field_bytes_max as usize;
    let mut large = fields.lines.iter().filter(|field| field.line.len() > bytes_max);
    if len > bytes_max { large.next().map(|field| field.line.start) } else { None }
}

/// `Partial`, unless the limit leaves no room for the rest.
fn partial(bytes: &[u8], limits: &Limits) -> Option<Parsed> {
    (bytes.len() < limits.head_bytes_max as usize).then_some(Parsed::Partial)
}

/// Offset of the request line, or `None` if more bytes are needed.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, SyntaxError> {
    let mut at = 0;
    loop {
        match bytes[at..] {
            [b'\n', ..] => return Err(SyntaxError::BareLf { at: at as u32 }),
            [b'\r', b'\n', ..] if at == 2 * EMPTY_LINES_MAX => return Err(SyntaxError::EmptyLine { at: at as u32 }),
            [b'\r', b'\n', ..] => at += 2,
            [b'\r', _, ..] => return Err(SyntaxError::BareCr { at: at as u32 }),
            [] | [b'\r'] => return Ok(None),
            _ => return Ok(Some(at)),
        }
    }
}

/// `None` if the slow reader has to decide.
#[inline]
fn fast_request(bytes: &[u8], start: usize, limits: &Limits, head: &mut RequestHead) -> Option<Parsed> {
    let mut table = [const { MaybeUninit::uninit() }; FIELDS_FAST];
    let table = &mut table[..FIELDS_FAST.min(usize::from(limits.fields_max))];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(&bytes[start..], table) {
        Ok(httparse::Status::Complete(len)) => {
            let (method, target) = (request.method?, request.path?);
            let method_span = Span::new(start, start + method.len());
            let target_start = start + method.len() + 1;
            let target_span = Span::new(target_start, target_start + target.len());
            let line_end = target_start + target.len() + " HTTP/1.1\r\n".len();
            let strict = !target.bytes().fold(false, |bad, byte| bad | (byte == b'#') | (byte >= 0x80))
                && line_end - start <= limits.start_line_bytes_max as usize
                && push_strict(bytes, line_end, start + len, request.headers, &mut head.fields);
            if !strict {
                return None;
            }
            head.method = Method::parse(method.as_bytes());
            head.method_span = method_span;
            head.target_span = target_span;
            head.version = version(request.version?);
            Some(Parsed::Complete(start + len))
        }
        Ok(httparse::Status::Partial) => fast_partial(bytes.len() - start, limits),
        Err(_) => None,
    }
}

#[inline]
fn fast_response(bytes: &[u8], limits: &Limits, head: &mut ResponseHead) -> Option<Parsed> {
    let mut table = [const { MaybeUninit::uninit() }; FIELDS_FAST];
    let table = &mut table[..FIELDS_FAST.min(usize::from(limits.fields_max))];
    let mut response = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, table) {
        Ok(httparse::Status::Complete(len)) => {
            // httparse hides a reason phrase with bytes beyond ASCII, so its end is found by the lines around it.
            let line_end = match response.headers.first() {
                Some(first) => offset_in(bytes, first.name.as_bytes()),
                None => len - 2,
            };
            let reason_start = "HTTP/1.1 200 ".len().min(line_end - 2);
            let strict = line_end <= limits.start_line_bytes_max as usize
                && response.code? >= 100
                && push_strict(bytes, line_end, len, response.headers, &mut head.fields);
            if !strict {
                return None;
            }
            head.status = response.code?;
            head.reason = Span::new(reason_start, line_end - 2);
            head.version = version(response.version?);
            Some(Parsed::Complete(len))
        }
        Ok(httparse::Status::Partial) => fast_partial(bytes.len(), limits),
        Err(_) => None,
    }
}

/// A partial head that is short enough for its start line to be in order; of a longer one the slow reader decides
/// whether the start line is what makes it long.
fn fast_partial(head_bytes: usize, limits: &Limits) -> Option<Parsed> {
    (head_bytes < limits.start_line_bytes_max as usize).then_some(Parsed::Partial)
}

/// Takes over httparse's fields. False if the start line, the fields and the blank line do not tile the head, each with
/// CRLF at its end: then a bare LF stood somewhere. Between a value and its CRLF httparse leaves only white space, and
/// CR only before LF.
#[inline]
fn push_strict(
    bytes: &[u8],
    start_line_end: usize,
    len: usize,
    headers: &[httparse::Header<'_>],
    fields: &mut FieldLines,
) -> bool {
    let ends_in_crlf = |end: usize| bytes[..end].ends_with(b"\r\n");
    let mut line_start = start_line_end;
    let mut strict = ends_in_crlf(start_line_end) && ends_in_crlf(len);
    for (index, header) in headers.iter().enumerate() {
        let name_start = offset_in(bytes, header.name.as_bytes());
        let value_start = offset_in(bytes, header.value);
        let line_end = match headers.get(index + 1) {
            Some(next) => offset_in(bytes, next.name.as_bytes()),
            None => len - 2,
        };
        let value_end = value_start + header.value.len();
        strict &= name_start == line_start && ends_in_crlf(line_end) && value_end + 2 <= line_end;
        if !strict {
            fields.clear();
            return false;
        }
        fields.push(Field {
            name: Span::new(name_start, name_start + header.name.len()),
            value: Span::new(value_start, value_end),
            line: Span::new(line_start, line_end),
            token: FieldName::of(header.name.as_bytes()),
        });
        line_start = line_end;
    }
    strict && line_start == len - 2
}

/// Offset of `part` in `bytes`, of which it is a slice.
#[inline]
fn offset_in(bytes: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - bytes.as_ptr().addr()
}

fn version(minor: u8) -> Version {
    match minor {
        0 => Version::Http10,
        _ => Version::Http11,
    }
}

#[cold]
fn exact_request(bytes: &[u8], start: usize, limits: &Limits, head: &mut RequestHead) -> Result<Parsed, RequestError> {
    let line = match grammar::request_line(bytes, start, limits.start_line_bytes_max) {
        Ok(line) => line,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(Stop::Fault(fault)) => return Err(fault.into()),
    };
    head.method = Method::parse(line.method.of(bytes));
    head.method_span = line.method;
    head.target_span = line.target;
    head.version = line.version;
    match grammar::field_lines(bytes, line.end, limits.fields_max, &mut head.fields) {
        Ok(len) => Ok(Parsed::Complete(len)),
        Err(Stop::Partial) => Ok(Parsed::Partial),
        Err(Stop::Fault(fault)) => Err(fault.into()),
    }
}

#[cold]
fn exact_response(bytes: &[u8], limits: &Limits, head: &mut ResponseHead) -> Result<Parsed, ResponseError> {
    let line = match grammar::status_line(bytes, 0, limits.start_line_bytes_max) {
        Ok(line) => line,
        Err(Stop::Partial) => return Ok(Parsed::Partial),
        Err(Stop::Fault(fault)) => return Err(fault.into()),
    };
    head.version = line.version;
    head.status = line.status;
    head.reason = line.reason;
    match grammar::field_lines(bytes, line.end, limits.fields_max, &mut head.fields) {
        Ok(len) => Ok(Parsed::Complete(len)),
        Err(Stop::Partial) => Ok(Parsed::Partial),
        Err(Stop::Fault(fault)) => Err(fault.into()),
    }
}
