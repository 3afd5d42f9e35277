//! GOAWAY: no more streams beyond one. RFC 9113 §6.8

use super::{FrameError, FrameHeader, Kind, MAX_31_BITS, be32};
use crate::h2::error::ErrorCode;

const LENGTH_MIN: u32 = 8;

/// What the frame says. What may stand behind, for people to read, is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoAway {
    /// The highest stream of the recipient that the sender may have acted on.
    pub last_stream: u32,
    /// Why.
    pub code: ErrorCode,
}

/// On the connection, with eight bytes at least.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_connection()?;
    if header.length < LENGTH_MIN { Err(header.length_error()) } else { Ok(()) }
}

impl GoAway {
    /// Reads the payload. The header has been checked.
    #[must_use]
    pub fn parse(payload: &[u8]) -> GoAway {
        GoAway { last_stream: be32(payload) & MAX_31_BITS, code: ErrorCode(be32(&payload[4..])) }
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&FrameHeader { length: LENGTH_MIN, kind: Kind::GoAway, flags: 0, stream: 0 }.encode());
        out.extend_from_slice(&self.last_stream.to_be_bytes());
        out.extend_from_slice(&self.code.0.to_be_bytes());
    }
}
