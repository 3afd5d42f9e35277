//! PING: asks for an answer with the same eight bytes. RFC 9113 §6.7

use super::{ACK, FrameError, FrameHeader, Kind};

/// What a PING carries.
pub type Payload = [u8; 8];

const LENGTH: u32 = 8;

/// On the connection, with eight bytes.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_connection()?;
    header.length_is(LENGTH)
}

/// The eight bytes. The header has been checked.
#[must_use]
pub fn payload(payload: &[u8]) -> Payload {
    let mut bytes = Payload::default();
    bytes.copy_from_slice(payload);
    bytes
}

/// Appends a frame that asks, or answers.
pub fn write(out: &mut Vec<u8>, payload: Payload, is_ack: bool) {
    let flags = if is_ack { ACK } else { 0 };
    out.extend_from_slice(&FrameHeader { length: LENGTH, kind: Kind::Ping, flags, stream: 0 }.encode());
    out.extend_from_slice(&payload);
}
