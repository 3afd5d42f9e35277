//! The head of a frame. RFC 6455 §5.2

use super::Violation;
use super::control::CONTROL_PAYLOAD_BYTES_MAX;

/// Bytes of the longest head: two, a length of 64 bits, a masking key.
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// Whose frames they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client, all of whose frames are masked. §5.3
    Client,
    /// The server, none of whose are.
    Server,
}

/// What a frame is. §11.8
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that was begun.
    Continuation = 0x0,
    /// The beginning of a text.
    Text = 0x1,
    /// The beginning of a message of bytes.
    Binary = 0x2,
    /// The closing handshake. §5.5.1
    Close = 0x8,
    /// A sign of life that asks for one. §5.5.2
    Ping = 0x9,
    /// A sign of life. §5.5.3
    Pong = 0xa,
}

impl Opcode {
    fn parse(bits: u8) -> Result<Opcode, Violation> {
        Ok(match bits {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            opcode => return Err(Violation::OpcodeUnknown { opcode }),
        })
    }

    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// A head that fits its sender. Whether it fits the message that it is a part of, the reader knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    /// The last frame of its message.
    pub(super) is_final: bool,
    /// RSV1, by which permessage-deflate marks the first frame of a compressed message. RFC 7692 §6
    pub(super) rsv1: bool,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub(super) length: u64,
    /// Bytes of the head itself.
    pub(super) len: usize,
}

impl Head {
    /// The head that `bytes` begin with; `None` while more of it is needed.
    #[inline]
    pub(super) fn parse(bytes: &[u8], sender: Sender) -> Result<Option<Head>, Violation> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let (is_final, rsv1) = (first & 0x80 != 0, first & 0x40 != 0);
        // RFC 6455 §5.2: an extension would have to give them a meaning, and RFC 7692 takes RSV1 alone.
        if first & 0x30 != 0 {
            return Err(Violation::ReservedBits);
        }
        let opcode = Opcode::parse(first & 0x0f)?;
        let is_masked = second & 0x80 != 0;
        // RFC 6455 §5.1
        match (sender, is_masked) {
            (Sender::Client, false) => return Err(Violation::MaskMissing),
            (Sender::Server, true) => return Err(Violation::MaskUnexpected),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode.is_control() {
            check_control(is_final, rsv1, short)?;
        }
        let Some((length, key)) = length(short, rest)? else { return Ok(None) };
        let mut len = bytes.len() - key.len();
        let mut mask = None;
        if is_masked {
            let Some(key) = key.first_chunk() else { return Ok(None) };
            mask = Some(*key);
            len += key.len();
        }
        Ok(Some(Head { opcode, is_final, rsv1, mask, length, len }))
    }
}

/// RFC 6455 §5.5; RFC 7692 §6.1: only data frames are compressed.
fn check_control(is_final: bool, rsv1: bool, short: u8) -> Result<(), Violation> {
    match () {
        () if rsv1 => Err(Violation::ReservedBits),
        () if !is_final => Err(Violation::ControlFragmented),
        () if usize::from(short) > CONTROL_PAYLOAD_BYTES_MAX => Err(Violation::ControlTooLong),
        () => Ok(()),
    }
}

/// The payload's length, and what follows it. RFC 6455 §5.2: the fewest bytes that hold it, and no sign.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), rest, 126)
        }
        127 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), rest, 1 << 16)
        }
        short => (u64::from(short), rest, 0),
    };
    match length {
        _ if length >> 63 != 0 => Err(Violation::LengthInvalid),
        _ if length < least => Err(Violation::LengthNotMinimal),
        _ => Ok(Some((length, rest))),
    }
}
