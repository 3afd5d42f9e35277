//! The scalar reading of a head: byte by byte, slow, exact.
//!
//! It runs when the fast reader stopped at something: either it finds the fault that the fast reader cannot name, or it
//! accepts what the fast reader does not know (minor versions above 1, a status without the space behind it).
//! It is the definition of what this crate accepts; tests hold the fast reader against it. Trailer sections, which are
//! rare, are read by it alone.

use crate::error::StartLinePart;
use crate::field::FieldLines;
use crate::octet::{is_target_byte, is_token_byte, is_value_byte, is_white_space};
use crate::{BodyError, Field, FieldName, RequestError, ResponseError, Span, SyntaxError, Version};

/// Why a reading stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing is wrong with the bytes so far, and more are needed.
    Partial,
    Fault(Fault),
}

/// What is wrong, for whichever message is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax(SyntaxError),
    VersionUnsupported { at: u32 },
    StatusInvalid { at: u32 },
    StartLineTooLong { max: u32 },
    FieldsTooMany { max: u16 },
}

/// A request line, `method SP request-target SP HTTP-version CRLF`. RFC 9112 §3
pub(super) struct RequestLine {
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) version: Version,
    /// Offset after the CRLF.
    pub(super) end: usize,
}

/// A status line, `HTTP-version SP status-code SP [ reason-phrase ] CRLF`. RFC 9112 §4
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: Span,
    /// Offset after the CRLF.
    pub(super) end: usize,
}

pub(super) fn request_line(bytes: &[u8], start: usize, bytes_max: u32) -> Result<RequestLine, Stop> {
    within_line(bytes, start, bytes_max, |cursor| {
        let method = cursor.run(StartLinePart::Method, is_token_byte)?;
        cursor.space(StartLinePart::Method)?;
        let target = cursor.run(StartLinePart::Target, is_target_byte)?;
        cursor.space(StartLinePart::Target)?;
        let version = cursor.version()?;
        cursor.line_end(StartLinePart::Version)?;
        Ok(RequestLine { method, target, version, end: cursor.at })
    })
}

pub(super) fn status_line(bytes: &[u8], start: usize, bytes_max: u32) -> Result<StatusLine, Stop> {
    within_line(bytes, start, bytes_max, |cursor| {
        let version = cursor.version()?;
        cursor.space(StartLinePart::Version)?;
        let status_start = cursor.at;
        let mut status = 0;
        for _ in 0..3 {
            status = status * 10 + cursor.digit(StartLinePart::Status)?;
        }
        if status < 100 {
            return Err(Stop::Fault(Fault::StatusInvalid { at: status_start as u32 }));
        }
        // Servers leave out the space before an empty reason often enough, and nothing hangs on it.
        if cursor.peek()? != b'\r' {
            cursor.space(StartLinePart::Status)?;
        }
        let reason = cursor.skip(is_value_byte)?;
        cursor.line_end(StartLinePart::Reason)?;
        Ok(StatusLine { version, status, reason, end: cursor.at })
    })
}

/// Reads field lines from `start` to the empty line that ends the section, and returns the offset after it. RFC 9112 §5
pub(super) fn field_lines(bytes: &[u8], start: usize, fields_max: u16, fields: &mut FieldLines) -> Result<usize, Stop> {
    let mut cursor = Cursor { bytes, at: start };
    loop {
        let line_start = cursor.at;
        match cursor.peek()? {
            b'\r' | b'\n' => {
                cursor.crlf()?;
                return Ok(cursor.at);
            }
            b' ' | b'\t' => return Err(SyntaxError::FoldedLine { at: cursor.offset() }.into()),
            b':' => return Err(SyntaxError::NameEmpty { at: cursor.offset() }.into()),
            _ if fields.lines.len() >= usize::from(fields_max) => {
                return Err(Stop::Fault(Fault::FieldsTooMany { max: fields_max }));
            }
            _ => {}
        }
        let name = cursor.skip(is_token_byte)?;
        match cursor.peek()? {
            b':' => cursor.at += 1,
            b' ' | b'\t' => return Err(SyntaxError::SpaceBeforeColon { at: cursor.offset() }.into()),
            byte => return Err(SyntaxError::NameByte { at: cursor.offset(), byte }.into()),
        }
        cursor.skip(is_white_space)?;
        let rest = cursor.skip(is_value_byte)?;
        let trailing = rest.of(bytes).iter().rev().take_while(|&&byte| is_white_space(byte)).count();
        let value = Span { end: rest.end - trailing as u32, ..rest };
        match cursor.peek()? {
            b'\r' | b'\n' => cursor.crlf()?,
            byte => return Err(SyntaxError::ValueByte { at: cursor.offset(), byte }.into()),
        }
        let line = Span::new(line_start, cursor.at);
        fields.push(Field { name, value, line, token: FieldName::of(name.of(bytes)), never_indexed: false });
    }
}

/// Reads a start line of at most `bytes_max` bytes. The cursor sees no more than these; if it would have to, the line
/// is too long, unless the bytes so far simply end earlier.
fn within_line<T>(
    bytes: &[u8],
    start: usize,
    bytes_max: u32,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let end_max = start + bytes_max as usize;
    let cut = bytes.len() >= end_max;
    let mut cursor = Cursor { bytes: if cut { &bytes[..end_max] } else { bytes }, at: start };
    match read(&mut cursor) {
        Err(Stop::Partial) if cut => Err(Stop::Fault(Fault::StartLineTooLong { max: bytes_max })),
        outcome => outcome,
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn offset(&self) -> u32 {
        self.at as u32
    }

    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Partial)
    }

    /// Skips the longest run of such bytes, possibly none. The byte after it must be there.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool) -> Result<Span, Stop> {
        let start = self.at;
        while wanted(self.peek()?) {
            self.at += 1;
        }
        Ok(Span::new(start, self.at))
    }

    /// Skips a run of at least one such byte in the start line.
    fn run(&mut self, part: StartLinePart, wanted: impl Fn(u8) -> bool) -> Result<Span, Stop> {
        let run = self.skip(wanted)?;
        if run.is_empty() {
            return Err(self.start_line_fault(part)?);
        }
        Ok(run)
    }

    fn space(&mut self, part: StartLinePart) -> Result<(), Stop> {
        self.exactly(b' ', part)
    }

    fn exactly(&mut self, wanted: u8, part: StartLinePart) -> Result<(), Stop> {
        if self.peek()? != wanted {
            return Err(self.start_line_fault(part)?);
        }
        self.at += 1;
        Ok(())
    }

    fn digit(&mut self, part: StartLinePart) -> Result<u16, Stop> {
        let byte = self.peek()?;
        if !byte.is_ascii_digit() {
            return Err(self.start_line_fault(part)?);
        }
        self.at += 1;
        Ok(u16::from(byte - b'0'))
    }

    /// `HTTP/` DIGIT `.` DIGIT, in capitals. RFC 9112 §2.3
    fn version(&mut self) -> Result<Version, Stop> {
        let start = self.offset();
        for &letter in b"HTTP/" {
            self.exactly(letter, StartLinePart::Version)?;
        }
        let major = self.digit(StartLinePart::Version)?;
        self.exactly(b'.', StartLinePart::Version)?;
        let minor = self.digit(StartLinePart::Version)?;
        match (major, minor) {
            (1, 0) => Ok(Version::Http10),
            (1, _) => Ok(Version::Http11),
            _ => Err(Stop::Fault(Fault::VersionUnsupported { at: start })),
        }
    }

    fn line_end(&mut self, part: StartLinePart) -> Result<(), Stop> {
        match self.peek()? {
            b'\r' | b'\n' => self.crlf(),
            _ => Err(self.start_line_fault(part)?),
        }
    }

    /// CRLF, where it is known that one of the two stands.
    fn crlf(&mut self) -> Result<(), Stop> {
        if self.peek()? == b'\n' {
            return Err(SyntaxError::BareLf { at: self.offset() }.into());
        }
        match self.bytes.get(self.at + 1) {
            None => Err(Stop::Partial),
            Some(b'\n') => {
                self.at += 2;
                Ok(())
            }
            Some(_) => Err(SyntaxError::BareCr { at: self.offset() }.into()),
        }
    }

    fn start_line_fault(&self, part: StartLinePart) -> Result<Stop, Stop> {
        let (at, byte) = (self.offset(), self.peek()?);
        Ok(SyntaxError::StartLine { part, at, byte }.into())
    }
}

impl From<SyntaxError> for Stop {
    fn from(error: SyntaxError) -> Stop {
        Stop::Fault(Fault::Syntax(error))
    }
}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> RequestError {
        match fault {
            Fault::Syntax(error) => RequestError::Syntax(error),
            Fault::VersionUnsupported { at } => RequestError::VersionUnsupported { at },
            Fault::StartLineTooLong { max } => RequestError::StartLineTooLong { max },
            Fault::FieldsTooMany { max } => RequestError::FieldsTooMany { max },
            Fault::StatusInvalid { .. } => unreachable!("a request has no status"),
        }
    }
}

impl From<Fault> for ResponseError {
    fn from(fault: Fault) -> ResponseError {
        match fault {
            Fault::Syntax(error) => ResponseError::Syntax(error),
            Fault::VersionUnsupported { at } => ResponseError::VersionUnsupported { at },
            Fault::StatusInvalid { at } => ResponseError::StatusInvalid { at },
            Fault::StartLineTooLong { max } => ResponseError::StartLineTooLong { max },
            Fault::FieldsTooMany { max } => ResponseError::FieldsTooMany { max },
        }
    }
}

impl From<Fault> for BodyError {
    fn from(fault: Fault) -> BodyError {
        match fault {
            Fault::Syntax(error) => BodyError::Trailer(error),
            Fault::FieldsTooMany { max } => BodyError::TrailersTooMany { max },
            _ => unreachable!("a trailer section has no start line"),
        }
    }
}
