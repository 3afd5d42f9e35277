//! DATA: content of a stream. RFC 9113 §6.1
//!
//! The payload is never gathered: it is passed on as it comes, so that there is nothing to parse but the header and the
//! length of the padding, one byte in front.

use super::{END_STREAM, FrameError, FrameHeader, HEADER_BYTES, Kind, PADDED};

/// On a stream, and with the length of the padding if the flags say so.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_stream()?;
    if header.has(PADDED) && header.length == 0 { Err(header.length_error()) } else { Ok(()) }
}

/// Bytes of content in a frame whose padding is `padding` bytes long, the byte that says so not counted.
///
/// # Errors
/// If the padding is longer than what is there.
pub fn content_bytes(header: FrameHeader, padding: u8) -> Result<u32, FrameError> {
    let rest = header.length.checked_sub(1 + u32::from(padding));
    rest.ok_or(FrameError::Padding { kind: Kind::Data })
}

/// The header of a frame without padding. The content follows.
#[inline]
#[must_use]
pub fn header(stream: u32, length: u32, end_stream: bool) -> [u8; HEADER_BYTES] {
    let flags = if end_stream { END_STREAM } else { 0 };
    FrameHeader { length, kind: Kind::Data, flags, stream }.encode()
}
