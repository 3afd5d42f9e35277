//! Frames of WebSockets (RFC 6455 §5.2), written and read byte by byte, right or wrong.

use std::io;

use crate::Peer;

/// The last frame of its message, or the only one.
pub const FIN: u8 = 0x80;
/// More of a message.
pub const CONTINUATION: u8 = 0x0;
/// The beginning of a text.
pub const TEXT: u8 = 0x1;
/// The beginning of a message of bytes.
pub const BINARY: u8 = 0x2;
/// The closing handshake.
pub const CLOSE: u8 = 0x8;
/// A question whether somebody is there.
pub const PING: u8 = 0x9;
/// The answer to it.
pub const PONG: u8 = 0xa;

/// What clients mask with here.
const KEY: [u8; 4] = [0x5a, 0x00, 0xff, 0x13];

/// A frame that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    pub first: u8,
    /// Whether it was masked.
    pub is_masked: bool,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        let code = (self.first == FIN | CLOSE).then(|| self.payload.first_chunk().copied());
        code.flatten().map(u16::from_be_bytes)
    }
}

/// A frame of a client.
#[must_use]
pub fn of_client(first: u8, payload: &[u8]) -> Vec<u8> {
    let masked: Vec<u8> = payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    [&head(first, 0x80, payload.len())[..], &KEY, &masked].concat()
}

/// A frame of a server.
#[must_use]
pub fn of_server(first: u8, payload: &[u8]) -> Vec<u8> {
    [&head(first, 0, payload.len())[..], payload].concat()
}

fn head(first: u8, mask: u8, len: usize) -> Vec<u8> {
    let mut head = vec![first];
    match len {
        0..126 => head.push(mask | len as u8),
        126..65_536 => {
            head.push(mask | 126);
            head.extend((len as u16).to_be_bytes());
        }
        _ => {
            head.push(mask | 127);
            head.extend((len as u64).to_be_bytes());
        }
    }
    head
}

impl Peer {
    /// Receives a frame of a WebSocket.
    ///
    /// # Errors
    /// Those of the socket, a time-out, or an end before the frame's.
    pub fn read_frame(&mut self) -> io::Result<Frame> {
        let start = self.read_bytes(2)?;
        let len = match start[1] & 0x7f {
            126 => self.read_bytes(2)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            127 => self.read_bytes(8)?.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
            len => usize::from(len),
        };
        let is_masked = start[1] & 0x80 != 0;
        let key = if is_masked { self.read_bytes(4)? } else { vec![0] };
        let payload = self.read_bytes(len)?;
        let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        Ok(Frame { first: start[0], is_masked, payload })
    }
}
