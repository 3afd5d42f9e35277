//! Decoding bodies: which bytes of the connection are the body, and where it ends. RFC 9112 §6 and §7
//!
//! The decoder never copies data. Each call names at most one run of data inside the bytes it was given, so that a
//! caller can pass on slices of its receive buffer.

use std::ops::Range;

use super::grammar::{self, Stop};
use crate::octet::is_value_byte;
use crate::{BodyError, BodyLength, Limits, SyntaxError, Trailers};

/// Bytes of extensions that one chunk may have. Nobody uses them; they are dropped.
const CHUNK_EXTENSION_BYTES_MAX: u32 = 1 << 10;
/// Bytes of extensions that a whole body may have, so that they do not outweigh the data (CVE-2023-39326).
const EXTENSION_BYTES_MAX: u32 = 16 << 10;
/// Hexadecimal digits that a chunk size may have: as many as 64 bits take.
const SIZE_DIGITS_MAX: u8 = 16;

/// Finds the data of one body after another in the bytes of a connection.
#[derive(Debug, Clone)]
pub struct Decoder {
    state: State,
    limits: Limits,
    /// Data bytes of this body so far.
    received: u64,
    /// Extension bytes of this body so far.
    extension_bytes: u32,
    /// Present, and then kept, once a body had trailers: few have, and every connection has a decoder.
    trailing: Option<Box<Trailing>>,
}

/// The trailer section of a body.
#[derive(Debug, Clone, Default)]
struct Trailing {
    /// The raw section, as far as it has come.
    section: Vec<u8>,
    trailers: Trailers,
}

/// Where in a body the next byte stands.
///
/// ```text
///   Exact ──remaining 0──► Complete          UntilClose ──handle_eof──► Complete
///
///   Size ──digit──► Size ──CR──► SizeLf ──LF, size > 0──► Data ──► DataCr ──► DataLf ──► Size
///     │                  ▲           └────LF, size = 0──► Trailer ──empty line──► Complete
///     └─;─► Extension ─CR┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Exact {
        /// Above 0.
        remaining: u64,
    },
    UntilClose,
    Size {
        size: u64,
        digits: u8,
    },
    /// White space after a size: only a semicolon may follow.
    ExtensionSpace {
        size: u64,
        bytes: u32,
    },
    Extension {
        size: u64,
        bytes: u32,
    },
    SizeLf {
        size: u64,
    },
    Data {
        /// Above 0.
        remaining: u64,
    },
    DataCr,
    DataLf,
    Trailer,
    Complete,
    Failed(BodyError),
}

/// What one call found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the input that are dealt with, framing and data. Fewer than all only if the body is complete or another
    /// run of data follows.
    pub consumed: usize,
    /// Where the data lies in the input, inside the consumed bytes. May be empty.
    pub data: Range<usize>,
    /// Whether the body ended.
    pub complete: bool,
}

impl Decoder {
    /// A decoder for a body of that length. Trailers are held to the bounds of a head.
    #[must_use]
    pub fn new(length: BodyLength, limits: &Limits) -> Decoder {
        Decoder { state: State::starting(length), limits: *limits, received: 0, extension_bytes: 0, trailing: None }
    }

    /// Turns to the next body and keeps the memory.
    pub fn reset(&mut self, length: BodyLength, limits: &Limits) {
        self.state = State::starting(length);
        self.limits = *limits;
        self.received = 0;
        self.extension_bytes = 0;
        if let Some(trailing) = &mut self.trailing {
            trailing.section.clear();
            trailing.trailers.clear();
        }
    }

    /// Goes on at `input`, the bytes that follow those consumed before.
    ///
    /// # Errors
    /// The first violation of the coding or of a bound. The body cannot be decoded any further; every later call
    /// returns the same error.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, BodyError> {
        let mut at = 0;
        let mut data = 0..0;
        while at < input.len() {
            match self.state {
                State::Complete => break,
                State::Failed(error) => return Err(error),
                State::Exact { .. } | State::UntilClose | State::Data { .. } if !data.is_empty() => break,
                State::Exact { .. } | State::UntilClose | State::Data { .. } => {
                    let taken = self.take_data(input.len() - at);
                    data = at..at + taken;
                    at += taken;
                }
                _ => match self.step(&input[at..]) {
                    Ok(taken) => at += taken,
                    Err(error) => {
                        self.state = State::Failed(error);
                        return Err(error);
                    }
                },
            }
        }
        match self.state {
            State::Failed(error) => Err(error),
            state => Ok(Decoded { consumed: at, data, complete: state == State::Complete }),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] if the body had not.
    pub fn handle_eof(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Complete => Ok(()),
            State::UntilClose => {
                self.state = State::Complete;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(BodyError::Truncated);
                Err(BodyError::Truncated)
            }
        }
    }

    /// Whether the body has ended.
    #[inline]
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Data bytes still to come, where that is known.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Exact { remaining } => Some(remaining),
            State::Complete => Some(0),
            _ => None,
        }
    }

    /// Data bytes that follow at once and without framing between them: the rest of the body, or of the chunk.
    #[inline]
    #[must_use]
    pub fn run(&self) -> u64 {
        match self.state {
            State::Exact { remaining } | State::Data { remaining } => remaining,
            _ => 0,
        }
    }

    /// Takes note of `bytes` of the [`run`](Self::run) that the caller moved on without showing them.
    ///
    /// # Panics
    /// If the run is shorter.
    pub fn pass(&mut self, bytes: u64) {
        assert!(bytes <= self.run(), "{bytes} bytes passed of a run of {}", self.run());
        let bytes = usize::try_from(bytes).expect("what moves at once fits memory");
        if bytes > 0 {
            self.take_data(bytes);
        }
    }

    /// Data bytes so far.
    #[inline]
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The trailers that came with a complete body, if there were any that may be passed on.
    #[must_use]
    pub fn trailers(&self) -> Option<&Trailers> {
        self.trailing.as_ref().map(|trailing| &trailing.trailers).filter(|trailers| !trailers.is_empty())
    }

    /// Takes data out of `available` bytes, above 0, in a state that has data.
    #[inline]
    fn take_data(&mut self, available: usize) -> usize {
        let take = |remaining: u64| usize::try_from(remaining).map_or(available, |remaining| remaining.min(available));
        let taken = match self.state {
            State::Exact { remaining } | State::Data { remaining } => take(remaining),
            _ => available,
        };
        self.state = match self.state {
            State::Exact { remaining } if remaining == taken as u64 => State::Complete,
            State::Exact { remaining } => State::Exact { remaining: remaining - taken as u64 },
            State::Data { remaining } if remaining == taken as u64 => State::DataCr,
            State::Data { remaining } => State::Data { remaining: remaining - taken as u64 },
            state => state,
        };
        self.received += taken as u64;
        taken
    }

    /// Consumes framing at the start of `input`, which is not empty; returns how much.
    fn step(&mut self, input: &[u8]) -> Result<usize, BodyError> {
        let byte = input[0];
        self.state = match self.state {
            State::Size { size, digits } => self.size_byte(byte, size, digits)?,
            State::ExtensionSpace { size, bytes } => match byte {
                b';' => State::Extension { size, bytes: self.extension_byte(bytes)? },
                b' ' | b'\t' => State::ExtensionSpace { size, bytes: self.extension_byte(bytes)? },
                _ => return Err(BodyError::ChunkSize { byte }),
            },
            State::Extension { size, bytes } => match byte {
                b'\r' => State::SizeLf { size },
                b'\n' => return Err(BodyError::LineEnd { byte }),
                _ if is_value_byte(byte) => State::Extension { size, bytes: self.extension_byte(bytes)? },
                _ => return Err(BodyError::ChunkExtension { byte }),
            },
            State::SizeLf { size: 0 } if byte == b'\n' => State::Trailer,
            State::SizeLf { size } if byte == b'\n' => State::Data { remaining: size },
            State::DataCr if byte == b'\r' => State::DataLf,
            State::DataLf if byte == b'\n' => State::Size { size: 0, digits: 0 },
            State::SizeLf { .. } | State::DataCr | State::DataLf => return Err(BodyError::LineEnd { byte }),
            State::Trailer => return self.trailer_bytes(input),
            State::Exact { .. } | State::UntilClose | State::Data { .. } | State::Complete | State::Failed(_) => {
                unreachable!("states without framing are handled by the caller")
            }
        };
        Ok(1)
    }

    /// `chunk-size = 1*HEXDIG`. RFC 9112 §7.1
    fn size_byte(&mut self, byte: u8, size: u64, digits: u8) -> Result<State, BodyError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if digits == 0 => return Err(BodyError::ChunkSize { byte }),
            b'\r' => return Ok(State::SizeLf { size }),
            b'\n' => return Err(BodyError::LineEnd { byte }),
            b';' => return Ok(State::Extension { size, bytes: self.extension_byte(0)? }),
            b' ' | b'\t' => return Ok(State::ExtensionSpace { size, bytes: self.extension_byte(0)? }),
            _ => return Err(BodyError::ChunkSize { byte }),
        };
        if digits == SIZE_DIGITS_MAX {
            return Err(BodyError::ChunkSizeTooLong);
        }
        Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
    }

    /// Counts one more byte of extensions; returns the count of this chunk's.
    fn extension_byte(&mut self, chunk_bytes: u32) -> Result<u32, BodyError> {
        self.extension_bytes += 1;
        if chunk_bytes == CHUNK_EXTENSION_BYTES_MAX || self.extension_bytes > EXTENSION_BYTES_MAX {
            return Err(BodyError::ChunkExtensionsTooLong);
        }
        Ok(chunk_bytes + 1)
    }

    /// Gathers the trailer section line by line, since it may come in pieces, and reads it once it is whole.
    fn trailer_bytes(&mut self, input: &[u8]) -> Result<usize, BodyError> {
        let has_begun = self.trailing.as_ref().is_some_and(|trailing| !trailing.section.is_empty());
        if !has_begun && input.starts_with(b"\r\n") {
            self.state = State::Complete;
            return Ok(2);
        }
        let Trailing { section, trailers } = &mut **self.trailing.get_or_insert_default();
        let line_end = memchr::memchr(b'\n', input).map(|at| at + 1);
        let piece = &input[..line_end.unwrap_or(input.len())];
        let max = self.limits.head_bytes_max;
        if section.len() + piece.len() > max as usize {
            return Err(BodyError::TrailersTooLarge { max });
        }
        section.extend_from_slice(piece);
        if line_end.is_some() {
            if !section.ends_with(b"\r\n") {
                return Err(SyntaxError::BareLf { at: section.len() as u32 - 1 }.into());
            }
            if *section == b"\r\n" || section.ends_with(b"\r\n\r\n") {
                read_trailers(section, &self.limits, trailers)?;
                section.clear();
                self.state = State::Complete;
            }
        }
        Ok(piece.len())
    }
}

impl State {
    fn starting(length: BodyLength) -> State {
        match length {
            BodyLength::None | BodyLength::Exact(0) => State::Complete,
            BodyLength::Exact(remaining) => State::Exact { remaining },
            BodyLength::Chunked => State::Size { size: 0, digits: 0 },
            BodyLength::UntilClose => State::UntilClose,
        }
    }
}

/// Reads a whole trailer section, its empty line included.
fn read_trailers(section: &[u8], limits: &Limits, trailers: &mut Trailers) -> Result<(), BodyError> {
    trailers.clear();
    let (bytes, fields) = trailers.parts();
    bytes.extend_from_slice(section);
    match grammar::field_lines(bytes, 0, limits.fields_max, fields) {
        Ok(_) => {}
        Err(Stop::Fault(fault)) => return Err(fault.into()),
        Err(Stop::Partial) => return Err(BodyError::Truncated),
    }
    trailers.retain_allowed();
    Ok(())
}
