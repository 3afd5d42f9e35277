//! Framing of a body that is being sent: what surrounds each run of data, and whether the promised length is kept.

use thiserror::Error;

use crate::{BodyLength, Trailers};

/// The end of a line.
pub const CRLF: &[u8] = b"\r\n";
/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What is sent around one run of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFraming {
    /// Before the data.
    pub prefix: ChunkSize,
    /// After the data.
    pub suffix: &'static [u8],
}

impl DataFraming {
    /// Nothing around the data.
    pub const NONE: DataFraming = DataFraming { prefix: ChunkSize::EMPTY, suffix: b"" };
}

/// The size line of a chunk, `{size in hexadecimal} CRLF`, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    bytes: [u8; ChunkSize::BYTES_MAX],
    len: u8,
}

impl ChunkSize {
    /// Bytes of the longest size line.
    pub const BYTES_MAX: usize = 18;
    /// No size line.
    pub const EMPTY: ChunkSize = ChunkSize { bytes: [0; ChunkSize::BYTES_MAX], len: 0 };

    /// The size line of a chunk of `data_bytes` bytes, above 0: a chunk of 0 bytes would end the body.
    #[must_use]
    pub fn new(data_bytes: usize) -> ChunkSize {
        assert!(data_bytes > 0, "an empty chunk ends the body");
        let digits = (usize::BITS - data_bytes.leading_zeros()).div_ceil(4);
        let mut size = ChunkSize::EMPTY;
        for index in 0..digits {
            let nibble = data_bytes >> (4 * (digits - 1 - index)) & 0xf;
            size.bytes[index as usize] = b"0123456789abcdef"[nibble];
        }
        size.bytes[digits as usize..][..2].copy_from_slice(CRLF);
        size.len = digits as u8 + 2;
        size
    }

    /// The bytes to send.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Whether there is nothing to send.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Why a body cannot be sent as its head promised. The connection has to be closed without finishing the message, so
/// that the peer notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutputError {
    /// More data than the head promised.
    #[error("body has more bytes than its Content-Length")]
    TooLong,
    /// Less data than the head promised.
    #[error("body has {missing} bytes less than its Content-Length")]
    TooShort {
        /// Bytes that never came.
        missing: u64,
    },
}

/// The body of one message on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoder {
    /// Nothing can be sent: no head has been written yet.
    #[default]
    Awaiting,
    Exact {
        remaining: u64,
    },
    Chunked,
    UntilClose,
    /// The message is complete.
    Complete,
    /// The promise was broken.
    Failed,
}

impl Encoder {
    pub(super) fn starting(length: BodyLength) -> Encoder {
        match length {
            BodyLength::None => Encoder::Exact { remaining: 0 },
            BodyLength::Exact(remaining) => Encoder::Exact { remaining },
            BodyLength::Chunked => Encoder::Chunked,
            BodyLength::UntilClose => Encoder::UntilClose,
        }
    }

    /// Announces `data_bytes` of data, which the caller sends between the prefix and the suffix.
    pub(super) fn data_framing(&mut self, data_bytes: usize) -> Result<DataFraming, OutputError> {
        match *self {
            Encoder::Exact { remaining } => match remaining.checked_sub(data_bytes as u64) {
                Some(remaining) => {
                    *self = Encoder::Exact { remaining };
                    Ok(DataFraming::NONE)
                }
                None => {
                    *self = Encoder::Failed;
                    Err(OutputError::TooLong)
                }
            },
            Encoder::Chunked if data_bytes > 0 => Ok(DataFraming { prefix: ChunkSize::new(data_bytes), suffix: CRLF }),
            Encoder::Chunked | Encoder::UntilClose => Ok(DataFraming::NONE),
            Encoder::Failed => Err(OutputError::TooLong),
            Encoder::Awaiting | Encoder::Complete => panic!("data without a message that it belongs to"),
        }
    }

    /// Ends the body: writes the last chunk and the trailers where the framing has them. Nothing is left to do for a
    /// message that is complete.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, trailers: Option<&Trailers>) -> Result<(), OutputError> {
        match *self {
            Encoder::Exact { remaining: 0 } | Encoder::UntilClose => {}
            Encoder::Chunked => write_trailers(out, trailers),
            Encoder::Exact { remaining } => {
                *self = Encoder::Failed;
                return Err(OutputError::TooShort { missing: remaining });
            }
            Encoder::Failed => return Err(OutputError::TooLong),
            Encoder::Complete => {}
            Encoder::Awaiting => panic!("the end of a message that has not begun"),
        }
        *self = Encoder::Complete;
        Ok(())
    }
}

/// Writes the end of a chunked body: the last chunk, the trailers, the empty line. RFC 9112 §7.1.2
pub fn write_trailers(out: &mut Vec<u8>, trailers: Option<&Trailers>) {
    let Some(trailers) = trailers else {
        out.extend_from_slice(LAST_CHUNK);
        return;
    };
    out.extend_from_slice(b"0\r\n");
    for field in trailers.fields() {
        out.extend_from_slice(field.line.of(trailers.bytes()));
    }
    out.extend_from_slice(CRLF);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_line_is_hexadecimal_without_leading_zeros() {
        for size in [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, 65_536, usize::MAX >> 1, usize::MAX] {
            assert_eq!(ChunkSize::new(size).as_bytes(), format!("{size:x}\r\n").as_bytes());
        }
    }
}
