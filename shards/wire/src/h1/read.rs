//! Reading heads: the fast reader first, the exact one where that one stops, then the gate.
//!
//! `fast` accepts nothing that the grammar does not, but less: it does not know minor versions above 1, nor what is wrong
//! with a head. Of whatever it stops at, `grammar` reads the head again, slowly, and its word is final.

use super::grammar::{self, Stop};
use super::{fast, gate};
use crate::field::FieldLines;
use crate::{BodyLength, Limits, Method, RequestError, RequestHead, ResponseError, ResponseHead, SyntaxError};

/// How far a parser came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head is complete and takes so many bytes.
    Complete(usize),
    /// Nothing is wrong so far; the same bytes and some more are needed.
    Partial,
}

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
        Ok(len) => Parsed::Complete(len),
        Err(fast::Stop::Partial) => Parsed::Partial,
        Err(fast::Stop::Unclear) => exact_request(window, start, limits, head)?,
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
            // RFC 9112 §6.3: a request without a framing field has no body; it is never delimited by close.
            gate::admit_request(window, head, BodyLength::None)?;
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
        Ok(len) => Parsed::Complete(len),
        Err(fast::Stop::Partial) => Parsed::Partial,
        Err(fast::Stop::Unclear) => exact_response(window, limits, head)?,
    };
    match parsed {
        Parsed::Complete(len) => {
            head.len = len as u32;
            if let Some(at) = large_field(&head.fields, len, limits) {
                return Err(ResponseError::FieldTooLarge { at, max: limits.field_bytes_max });
            }
            gate::admit_response(window, head, BodyLength::UntilClose)?;
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

/// The length of the head.
#[inline]
fn fast_request(bytes: &[u8], start: usize, limits: &Limits, head: &mut RequestHead) -> Result<usize, fast::Stop> {
    let line = fast::request_line(bytes, start)?;
    if line.end - start > limits.start_line_bytes_max as usize {
        return Err(fast::Stop::Unclear);
    }
    head.method = line.method;
    head.method_span = line.method_span;
    head.target_span = line.target;
    head.version = line.version;
    fast::field_lines(bytes, line.end, limits.fields_max, &mut head.fields)
}

#[inline]
fn fast_response(bytes: &[u8], limits: &Limits, head: &mut ResponseHead) -> Result<usize, fast::Stop> {
    let line = fast::status_line(bytes)?;
    if line.end > limits.start_line_bytes_max as usize {
        return Err(fast::Stop::Unclear);
    }
    head.version = line.version;
    head.status = line.status;
    head.reason = line.reason;
    fast::field_lines(bytes, line.end, limits.fields_max, &mut head.fields)
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
    head.fields.clear();
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
    head.fields.clear();
    match grammar::field_lines(bytes, line.end, limits.fields_max, &mut head.fields) {
        Ok(len) => Ok(Parsed::Complete(len)),
        Err(Stop::Partial) => Ok(Parsed::Partial),
        Err(Stop::Fault(fault)) => Err(fault.into()),
    }
}
