//! PRIORITY_UPDATE: the priority of a stream, from the client, at any time. RFC 9218 §7.1

use super::{FrameError, FrameHeader, Kind, MAX_31_BITS, be32};

const LENGTH_MIN: u32 = 4;

/// What the frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriorityUpdate<'a> {
    /// The stream that is meant; the frame itself stands on the connection.
    pub stream: u32,
    /// The value of a Priority field.
    pub value: &'a [u8],
}

/// On the connection, with the stream that is meant.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_connection()?;
    if header.length < LENGTH_MIN { Err(header.length_error()) } else { Ok(()) }
}

impl PriorityUpdate<'_> {
    /// Reads the payload. The header has been checked.
    #[must_use]
    pub fn parse(payload: &[u8]) -> PriorityUpdate<'_> {
        PriorityUpdate { stream: be32(payload) & MAX_31_BITS, value: &payload[LENGTH_MIN as usize..] }
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        let length = LENGTH_MIN + self.value.len() as u32;
        out.extend_from_slice(&FrameHeader { length, kind: Kind::PriorityUpdate, flags: 0, stream: 0 }.encode());
        out.extend_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(self.value);
    }
}
