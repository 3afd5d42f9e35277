//! RST_STREAM: the end of one stream, at once. RFC 9113 §6.4

use super::{FrameError, FrameHeader, Kind, be32};
use crate::h2::error::ErrorCode;

const LENGTH: u32 = 4;

/// On a stream, with four bytes.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_stream()?;
    header.length_is(LENGTH)
}

/// Why the stream ended. The header has been checked.
#[must_use]
pub fn code(payload: &[u8]) -> ErrorCode {
    ErrorCode(be32(payload))
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    out.extend_from_slice(&FrameHeader { length: LENGTH, kind: Kind::RstStream, flags: 0, stream }.encode());
    out.extend_from_slice(&code.0.to_be_bytes());
}
