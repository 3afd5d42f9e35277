//! Reads responses: bytes in, heads, pieces of bodies and ends out. No socket, no clock.
//!
//! ```text
//! StatusLine ─► Fields ─┬─► Exact ───────────────────────────► StatusLine
//!      ▲                ├─► ChunkSize ─► ChunkData ─► ChunkEnd
//!      │                │       ▲  └─► Trailers ─► ●     │
//!      └── 1xx ─────────┤       └────────────────────────┘
//!                       ├─► UntilClose ─► ● at the connection's end
//!                       └─► ● (HEAD, 204, 304)
//! ```
//!
//! It is strict: what RFC 9112 lets a recipient tolerate, such as a bare line feed, is refused, because a server that is
//! tested should not send it.

use super::{
    field::{self, Connection, TransferEncoding},
    line::Lines,
};

/// Bytes of a head, or of a trailer section, at most.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Fields of a head, or of a trailer section, at most.
pub const FIELDS_MAX: usize = 256;
/// Bytes of a line with a chunk's size and its extensions at most.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// Interim responses (1xx) before a final one at most.
pub const INTERIMS_MAX: usize = 16;

/// Why what arrived is no HTTP/1.1 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages tell")]
pub enum Malformed {
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    #[error("a status line that is not `HTTP/1.x NNN reason`")]
    StatusLine,
    #[error("a status outside 100 to 599")]
    Status,
    #[error("a field line that is not `name: value`")]
    Field,
    #[error("a field line that continues the one before (obs-fold)")]
    Folded,
    #[error("more than {HEAD_BYTES_MAX} bytes of head or trailers")]
    HeadTooLarge,
    #[error("more than {FIELDS_MAX} fields")]
    TooManyFields,
    #[error("more than {INTERIMS_MAX} interim responses")]
    TooManyInterims,
    #[error("a Content-Length that is no number, or a second one")]
    ContentLength,
    #[error("both Transfer-Encoding and Content-Length")]
    BothLengths,
    #[error("a Transfer-Encoding other than `chunked`, or where there may be none")]
    TransferEncoding,
    #[error("a chunk's size that is no hexadecimal number, or too large")]
    ChunkSize,
    #[error("a chunk that does not end with its size")]
    ChunkEnd,
    #[error("a 101 that nobody asked for")]
    Switched,
    #[error("bytes that answer no request")]
    Unsolicited,
}

/// What a call of [`Reader::read`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// Bytes of the input that were used. What is left belongs to the next call.
    pub consumed: usize,
    /// What they meant.
    pub piece: Piece<'a>,
}

/// A part of a response.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The input was used up; more is needed.
    More,
    /// The head of the final response, with its status.
    Head(u16),
    /// Bytes of its body.
    Data(&'a [u8]),
    /// The end of the response.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    StatusLine,
    Fields,
    Exact(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    /// The body is complete, and its end not yet told.
    Complete,
}

/// Reads the responses of one connection, one after the other.
#[derive(Debug)]
pub struct Reader {
    state: State,
    lines: Lines,
    /// Bytes and fields of the head or trailer section under way.
    head_bytes: usize,
    fields: usize,
    interims: usize,
    status: u16,
    minor_version: u8,
    content_length: Option<u64>,
    transfer_encoding: TransferEncoding,
    connection: Connection,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Expects a status line.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::StatusLine,
            lines: Lines::default(),
            head_bytes: 0,
            fields: 0,
            interims: 0,
            status: 0,
            minor_version: 1,
            content_length: None,
            transfer_encoding: TransferEncoding::None,
            connection: Connection::default(),
        }
    }

    /// Reads the next part from `input`. `to_head` says whether the response under way answers a HEAD.
    ///
    /// # Errors
    /// What makes it no response. The connection is of no use afterwards.
    pub fn read<'a>(&mut self, input: &'a [u8], to_head: bool) -> Result<Read<'a>, Malformed> {
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            match self.state {
                State::Complete => {
                    self.state = State::StatusLine;
                    return Ok(Read { consumed, piece: Piece::End });
                }
                State::Exact(left) | State::ChunkData(left) if !rest.is_empty() => {
                    let data = &rest[..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                    let left = left - data.len() as u64;
                    self.state = match self.state {
                        State::Exact(_) if left == 0 => State::Complete,
                        State::Exact(_) => State::Exact(left),
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::ChunkData(left),
                    };
                    return Ok(Read { consumed: consumed + data.len(), piece: Piece::Data(data) });
                }
                State::UntilClose if !rest.is_empty() => {
                    return Ok(Read { consumed: input.len(), piece: Piece::Data(rest) });
                }
                State::Exact(_) | State::ChunkData(_) | State::UntilClose => {
                    return Ok(Read { consumed, piece: Piece::More });
                }
                State::StatusLine | State::Fields | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let Some(line_consumed) = self.read_line(rest, to_head)? else {
                        return Ok(Read { consumed: input.len(), piece: Piece::More });
                    };
                    consumed += line_consumed.consumed;
                    if line_consumed.head {
                        return Ok(Read { consumed, piece: Piece::Head(self.status) });
                    }
                }
            }
        }
    }

    /// Whether the connection's end now would be the end of the response under way, rather than cut it short. RFC 9112 §8
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Whether a response is complete and its end was not told yet, for which [`Self::read`] needs no input.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether no response is under way.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.state == State::StatusLine && self.head_bytes == 0 && self.lines.is_empty()
    }

    /// Whether the server keeps the connection after the response whose head came last. RFC 9112 §9.3
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        !self.connection.close && (self.minor_version == 1 || self.connection.keep_alive)
    }

    /// Reads one line. `None` when it is not complete; all input is then kept.
    fn read_line(&mut self, input: &[u8], to_head: bool) -> Result<Option<LineRead>, Malformed> {
        let (bytes_max, too_large) = match self.state {
            State::ChunkSize => (CHUNK_LINE_BYTES_MAX, Malformed::ChunkSize),
            State::ChunkEnd => (2, Malformed::ChunkEnd),
            _ => (HEAD_BYTES_MAX - self.head_bytes, Malformed::HeadTooLarge),
        };
        // Taken out for as long as the line is looked at, which may lie in it.
        let mut lines = std::mem::take(&mut self.lines);
        let taken = lines.take(input, bytes_max, too_large);
        let outcome = match taken {
            Err(malformed) => Err(malformed),
            Ok(None) => Ok(None),
            Ok(Some((line, consumed))) => {
                self.head_bytes += line.len() + 2;
                self.handle_line(line, to_head).map(|head| Some(LineRead { consumed, head }))
            }
        };
        self.lines = lines;
        outcome
    }

    /// Returns whether the line was the end of a final response's head.
    fn handle_line(&mut self, line: &[u8], to_head: bool) -> Result<bool, Malformed> {
        match self.state {
            State::StatusLine => {
                (self.minor_version, self.status) = field::status_line(line)?;
                self.content_length = None;
                self.transfer_encoding = TransferEncoding::None;
                self.connection = Connection::default();
                self.fields = 0;
                self.state = State::Fields;
            }
            State::Fields if line.is_empty() => return self.end_head(to_head),
            State::Fields => self.handle_field(line)?,
            State::ChunkSize => {
                self.head_bytes = 0;
                self.fields = 0;
                self.state = match field::chunk_size(line)? {
                    0 => State::Trailers,
                    size => State::ChunkData(size),
                };
            }
            State::ChunkEnd if line.is_empty() => self.state = State::ChunkSize,
            State::ChunkEnd => return Err(Malformed::ChunkEnd),
            State::Trailers if line.is_empty() => self.complete(),
            State::Trailers => {
                // A trailer has the grammar of a field and no effect here. RFC 9110 §6.5
                field::name_and_value(line)?;
                self.count_field()?;
            }
            State::Exact(_) | State::ChunkData(_) | State::UntilClose | State::Complete => {
                unreachable!("these states read no lines")
            }
        }
        Ok(false)
    }

    fn handle_field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.count_field()?;
        let (name, value) = field::name_and_value(line)?;
        match name.len() {
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection.add(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // RFC 9112 §6.3 rule 5; equal values might be merged, but a server has no reason to send two.
                let length = field::content_length(value).ok_or(Malformed::ContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(Malformed::ContentLength);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding.add(value)?,
            _ => {}
        }
        Ok(())
    }

    fn count_field(&mut self) -> Result<(), Malformed> {
        self.fields += 1;
        if self.fields > FIELDS_MAX { Err(Malformed::TooManyFields) } else { Ok(()) }
    }

    /// Decides how the body ends. RFC 9112 §6.3
    fn end_head(&mut self, to_head: bool) -> Result<bool, Malformed> {
        self.head_bytes = 0;
        let chunked = self.transfer_encoding == TransferEncoding::Chunked;
        if chunked && self.content_length.is_some() {
            return Err(Malformed::BothLengths);
        }
        let interim_or_204 = self.status < 200 || self.status == 204;
        if chunked && (self.minor_version == 0 || interim_or_204) {
            // RFC 9112 §6.1
            return Err(Malformed::TransferEncoding);
        }
        match self.status {
            101 => return Err(Malformed::Switched),
            100..200 => {
                self.interims += 1;
                if self.interims > INTERIMS_MAX {
                    return Err(Malformed::TooManyInterims);
                }
                self.state = State::StatusLine;
                return Ok(false);
            }
            204 | 304 => self.complete(),
            _ if to_head => self.complete(),
            _ if chunked => self.state = State::ChunkSize,
            _ => match self.content_length {
                Some(0) => self.complete(),
                Some(length) => self.state = State::Exact(length),
                None => self.state = State::UntilClose,
            },
        }
        self.interims = 0;
        Ok(true)
    }

    fn complete(&mut self) {
        self.head_bytes = 0;
        self.state = State::Complete;
    }
}

struct LineRead {
    consumed: usize,
    head: bool,
}
