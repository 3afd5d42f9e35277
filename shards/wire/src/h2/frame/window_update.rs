//! WINDOW_UPDATE: more may be sent, on a stream or on the connection. RFC 9113 §6.9

use super::{FrameError, FrameHeader, Kind, MAX_31_BITS, be32};

const LENGTH: u32 = 4;

/// Four bytes, on a stream or on the connection.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.length_is(LENGTH)
}

/// How many bytes more. The header has been checked. 0 is an error of the stream, or of the connection.
#[must_use]
pub fn increment(payload: &[u8]) -> u32 {
    be32(payload) & MAX_31_BITS
}

/// Appends a frame.
pub fn write(out: &mut Vec<u8>, stream: u32, increment: u32) {
    debug_assert!((1..=MAX_31_BITS).contains(&increment));
    out.extend_from_slice(&FrameHeader { length: LENGTH, kind: Kind::WindowUpdate, flags: 0, stream }.encode());
    out.extend_from_slice(&increment.to_be_bytes());
}
