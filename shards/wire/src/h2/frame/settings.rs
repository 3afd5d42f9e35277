//! SETTINGS: what the sender takes. RFC 9113 §6.5

use super::{ACK, FrameError, FrameHeader, Kind, MAX_31_BITS, PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX, be32};

/// Bytes of the dynamic table with which the sender decodes.
pub const HEADER_TABLE_SIZE: u16 = 0x1;
/// Whether the sender takes PUSH_PROMISE.
pub const ENABLE_PUSH: u16 = 0x2;
/// Streams of the recipient that may be open at once.
pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
/// The window with which streams begin.
pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
/// Bytes of the largest payload.
pub const MAX_FRAME_SIZE: u16 = 0x5;
/// Bytes of the largest header list; advice.
pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// Whether the sender takes CONNECT with a `:protocol`. RFC 8441 §3
pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
/// Whether the sender ignores the priorities of RFC 7540. RFC 9218 §2.1
pub const NO_RFC7540_PRIORITIES: u16 = 0x9;

/// Bytes of one setting.
const SETTING_BYTES: u32 = 6;

/// On the connection, whole settings, and none in an acknowledgement.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_connection()?;
    let is_whole = header.length.is_multiple_of(SETTING_BYTES);
    if is_whole && (header.length == 0 || !header.has(ACK)) { Ok(()) } else { Err(header.length_error()) }
}

/// The settings in the order of the frame, each checked against its range; the header has been checked. Those without a
/// name here are among them: they are to be ignored. RFC 9113 §6.5.2
pub fn entries(payload: &[u8]) -> impl Iterator<Item = Result<(u16, u32), FrameError>> {
    payload.chunks_exact(SETTING_BYTES as usize).map(|entry| {
        let (id, value) = (u16::from_be_bytes([entry[0], entry[1]]), be32(&entry[2..]));
        let is_valid = match id {
            ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL | NO_RFC7540_PRIORITIES => value <= 1,
            INITIAL_WINDOW_SIZE => value <= MAX_31_BITS,
            MAX_FRAME_SIZE => (PAYLOAD_BYTES_DEFAULT..=PAYLOAD_BYTES_MAX).contains(&value),
            _ => true,
        };
        if is_valid { Ok((id, value)) } else { Err(FrameError::Setting { id, value }) }
    })
}

/// Appends a frame with these settings.
pub fn write(out: &mut Vec<u8>, settings: &[(u16, u32)]) {
    let length = settings.len() as u32 * SETTING_BYTES;
    out.extend_from_slice(&FrameHeader { length, kind: Kind::Settings, flags: 0, stream: 0 }.encode());
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends an acknowledgement.
pub fn write_ack(out: &mut Vec<u8>) {
    out.extend_from_slice(&FrameHeader { length: 0, kind: Kind::Settings, flags: ACK, stream: 0 }.encode());
}
