//! Control frames of our own. RFC 6455 §5.5

use super::frame::Opcode;
use super::text::unmask;

/// Bytes of a control frame's payload. §5.5
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
/// Bytes of a code, before a reason. §5.5.1
pub(super) const CODE_BYTES: usize = 2;

/// Why a WebSocket is closed. §7.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// An end goes away: it stops, or its user has left.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The peer sent a text that is none.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// The peer sent a message that is too big.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// Something went wrong that is not the peer's fault.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);

    /// The code, if it may be sent: those of §7.4.1 and the three that were registered since, and those that libraries (3000 and
    /// up) and applications (4000 and up) have to themselves. 1005, 1006 and 1015 are for interfaces alone.
    #[must_use]
    pub fn parse(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The code as a number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// Writes a ping. `mask` is the masking key, for a frame to a server; to a client there is none (§5.1).
///
/// # Panics
/// If the payload has more than [`CONTROL_PAYLOAD_BYTES_MAX`] bytes.
pub fn write_ping(out: &mut Vec<u8>, payload: &[u8], mask: Option<[u8; 4]>) {
    write_control(out, Opcode::Ping, &[payload], mask);
}

/// Writes a close frame. `mask` is as for [`write_ping`].
///
/// # Panics
/// If the reason has more than 123 bytes.
pub fn write_close(out: &mut Vec<u8>, code: CloseCode, reason: &str, mask: Option<[u8; 4]>) {
    write_control(out, Opcode::Close, &[&code.number().to_be_bytes(), reason.as_bytes()], mask);
}

fn write_control(out: &mut Vec<u8>, opcode: Opcode, payload: &[&[u8]], mask: Option<[u8; 4]>) {
    let len: usize = payload.iter().map(|part| part.len()).sum();
    assert!(len <= CONTROL_PAYLOAD_BYTES_MAX, "a control frame holds that much and no more");
    out.push(0x80 | opcode as u8);
    out.push(if mask.is_some() { 0x80 } else { 0 } | len as u8);
    out.extend_from_slice(mask.as_ref().map_or(&[], |key| key));
    let start = out.len();
    payload.iter().for_each(|part| out.extend_from_slice(part));
    if let Some(key) = mask {
        unmask(&mut out[start..], key);
    }
}
