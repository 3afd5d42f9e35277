//! The fast reading of a head: one pass over its bytes, a word of eight at a time.
//!
//! It reads heads as they should be, and judges nothing else: at the first byte that it does not expect it stops, and
//! `grammar` reads the head again. What it does accept, it accepts because each byte of the head has been looked at here:
//! lines tile the head and end in CRLF, names are tokens, values are free of control characters.

use crate::field::FieldLines;
use crate::octet::{is_token, is_value_byte, is_white_space};
use crate::word::{Word, find};
use crate::{Field, FieldName, Method, Span, Version};

/// Why the reading stopped before the head's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The lines so far are in order, and more bytes are needed.
    Partial,
    /// The grammar has to decide.
    Unclear,
}

/// `method SP request-target SP HTTP-version CRLF`. RFC 9112 §3
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) method_span: Span,
    pub(super) target: Span,
    pub(super) version: Version,
    /// Offset after the CRLF.
    pub(super) end: usize,
}

/// `HTTP-version SP status-code SP [ reason-phrase ] CRLF`. RFC 9112 §4
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: Span,
    /// Offset after the CRLF.
    pub(super) end: usize,
}

#[inline]
pub(super) fn request_line(bytes: &[u8], start: usize) -> Result<RequestLine, Stop> {
    let method_end = find(bytes, start, |word| word.equal(b' ')).ok_or(Stop::Unclear)?;
    let name = &bytes[start..method_end];
    let method = Method::parse(name);
    if method == Method::Other && !is_token(name) {
        return Err(Stop::Unclear);
    }
    let target_start = method_end + 1;
    let outside_target = |word: Word| word.unusual().or(word.equal(b' ')).or(word.equal(b'#'));
    let target_end =
        find(bytes, target_start, outside_target).filter(|&end| end > target_start).ok_or(Stop::Unclear)?;
    let version = match bytes[target_end..].first_chunk() {
        Some(b" HTTP/1.1\r\n") => Version::Http11,
        Some(b" HTTP/1.0\r\n") => Version::Http10,
        _ => return Err(Stop::Unclear),
    };
    Ok(RequestLine {
        method,
        method_span: Span::new(start, method_end),
        target: Span::new(target_start, target_end),
        version,
        end: target_end + " HTTP/1.1\r\n".len(),
    })
}

#[inline]
pub(super) fn status_line(bytes: &[u8]) -> Result<StatusLine, Stop> {
    let (version, rest) = match bytes.split_first_chunk() {
        Some((b"HTTP/1.1 ", rest)) => (Version::Http11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::Http10, rest),
        _ => return Err(Stop::Unclear),
    };
    let status = match *rest {
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => return Err(Stop::Unclear),
    };
    let reason_start = "HTTP/1.1 200 ".len();
    // Of a line that has not ended, the grammar knows how long it may become.
    let reason_end = text_end(bytes, reason_start).map_err(|_| Stop::Unclear)?;
    Ok(StatusLine { version, status, reason: Span::new(reason_start, reason_end), end: reason_end + 2 })
}

/// Reads field lines from `start` to the empty line that ends the head, and returns the offset after it. RFC 9112 §5
#[inline]
pub(super) fn field_lines(bytes: &[u8], start: usize, fields_max: u16, fields: &mut FieldLines) -> Result<usize, Stop> {
    let mut at = start;
    loop {
        match bytes[at..] {
            [b'\r', b'\n', ..] => return Ok(at + 2),
            [] | [b'\r'] => return Err(Stop::Partial),
            _ if fields.lines.len() >= usize::from(fields_max) => return Err(Stop::Unclear),
            _ => {}
        }
        let Some(colon) = find(bytes, at, |word| word.equal(b':')) else {
            return Err(if is_token(&bytes[at..]) { Stop::Partial } else { Stop::Unclear });
        };
        let name = &bytes[at..colon];
        // The names that are known are tokens, every byte of them.
        let token = FieldName::of(name);
        if token == FieldName::Other && !is_token(name) {
            return Err(Stop::Unclear);
        }
        let mut value_start = colon + 1;
        while bytes.get(value_start).is_some_and(|&byte| is_white_space(byte)) {
            value_start += 1;
        }
        let text_end = text_end(bytes, value_start)?;
        let mut value_end = text_end;
        while value_end > value_start && is_white_space(bytes[value_end - 1]) {
            value_end -= 1;
        }
        let line_end = text_end + 2;
        fields.push(Field {
            name: Span::new(at, colon),
            value: Span::new(value_start, value_end),
            line: Span::new(at, line_end),
            token,
            never_indexed: false,
        });
        at = line_end;
    }
}

/// Offset of the CRLF behind text that begins at `start`: bytes that are visible, white space, or beyond ASCII. RFC 9110 §5.5
#[inline(always)]
fn text_end(bytes: &[u8], start: usize) -> Result<usize, Stop> {
    let mut at = start;
    loop {
        at = find(bytes, at, Word::unusual).ok_or(Stop::Partial)?;
        match bytes[at..] {
            [b'\r', b'\n', ..] => return Ok(at),
            [b'\r'] => return Err(Stop::Partial),
            [byte, ..] if is_value_byte(byte) => at += 1,
            _ => return Err(Stop::Unclear),
        }
    }
}
