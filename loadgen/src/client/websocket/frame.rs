//! Frames. RFC 6455 §5.2

use super::malformed;
use crate::client::protocol::Failure;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A part of a frame that arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// The input was used up.
    More,
    /// A frame begins.
    Header(Opcode),
    /// Bytes of its payload.
    Payload(Opcode, &'a [u8]),
    /// It is complete; `last` says that its message is, too.
    End { opcode: Opcode, last: bool },
}

/// Reads a server's frames, which are not masked.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; 10],
    header_bytes: usize,
    frame: Option<Frame>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: Opcode,
    last: bool,
    left: u64,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Frames {
    /// The next part of `input`, and how many bytes it took. A frame's end takes none of the frame behind it.
    pub(super) fn read<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Part<'a>), Failure> {
        let Some(frame) = &mut self.frame else { return self.read_header(input) };
        let payload = &input[..input.len().min(usize::try_from(frame.left).unwrap_or(usize::MAX))];
        frame.left -= payload.len() as u64;
        if !payload.is_empty() {
            return Ok((payload.len(), Part::Payload(frame.opcode, payload)));
        }
        if frame.left > 0 {
            return Ok((0, Part::More));
        }
        let (opcode, last) = (frame.opcode, frame.last);
        self.frame = None;
        Ok((0, Part::End { opcode, last }))
    }

    /// Whether a frame is complete whose end was not told yet.
    pub(super) fn is_complete(&self) -> bool {
        self.frame.is_some_and(|frame| frame.left == 0)
    }

    fn read_header<'a>(&mut self, input: &[u8]) -> Result<(usize, Part<'a>), Failure> {
        let mut used = 0;
        loop {
            let needed = match (self.header_bytes, self.header[1] & 0x7f) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if self.header_bytes == needed {
                break;
            }
            let Some(byte) = input.get(used) else { return Ok((used, Part::More)) };
            self.header[self.header_bytes] = *byte;
            self.header_bytes += 1;
            used += 1;
        }
        self.header_bytes = 0;
        let frame = header(&self.header)?;
        self.frame = Some(frame);
        Ok((used, Part::Header(frame.opcode)))
    }
}

fn header(header: &[u8; 10]) -> Result<Frame, Failure> {
    let last = header[0] & 0x80 != 0;
    if header[0] & 0x70 != 0 {
        return Err(malformed("a reserved bit without an extension"));
    }
    let opcode = match header[0] & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(malformed("an opcode that does not exist")),
    };
    if header[1] & 0x80 != 0 {
        // RFC 6455 §5.1
        return Err(malformed("a masked frame from a server"));
    }
    let left = match header[1] {
        126 => u64::from(u16::from_be_bytes([header[2], header[3]])),
        127 => {
            u64::from_be_bytes([header[2], header[3], header[4], header[5], header[6], header[7], header[8], header[9]])
        }
        short => u64::from(short),
    };
    let shortest = match header[1] {
        126 => 126,
        127 => 1 << 16,
        _ => 0,
    };
    if left < shortest || left > i64::MAX as u64 {
        return Err(malformed("a length in more bytes than it needs, or too large"));
    }
    if opcode.is_control() && (!last || left > 125) {
        // RFC 6455 §5.5
        return Err(malformed("a control frame in pieces, or too long"));
    }
    Ok(Frame { opcode, last, left })
}

/// Appends one masked frame, the last of its message. RFC 6455 §5.3
pub(super) fn write_frame(output: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    output.push(0x80 | opcode as u8);
    match payload.len() {
        length @ 0..126 => output.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            output.push(0x80 | 126);
            output.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            output.push(0x80 | 127);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    output.extend_from_slice(&mask);
    let start = output.len();
    output.extend_from_slice(payload);
    let (words, rest) = output[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    rest.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}
