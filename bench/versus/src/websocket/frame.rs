//! Frames of one whole binary message. RFC 6455 §5.2

use anyhow::{bail, ensure};

/// FIN, and opcode 2: a binary message in one frame.
const WHOLE_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
/// Lengths that stand for a longer field behind them.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
const MASK_BYTES: usize = 4;
/// The mask of every frame from a client (§5.3). A server unmasks whatever it is; random ones would only cost the load.
const MASK: [u8; MASK_BYTES] = [0x37, 0xfa, 0x21, 0x3d];

/// Where a frame's parts lie in the bytes that begin with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    mask: Option<[u8; MASK_BYTES]>,
    payload_at: usize,
    payload_bytes: usize,
}

impl Frame {
    /// Reads the head of the frame that `bytes` begin with; `None` while it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        ensure!(*first == WHOLE_BINARY, "expected a binary message in one frame, got {first:#04x}");
        let (payload_bytes, length_bytes) = match (*second & LENGTH_BITS, rest) {
            (LENGTH_16, [a, b, ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 2),
            (LENGTH_64, [a, b, c, d, e, f, g, h, ..]) => (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8),
            (LENGTH_16 | LENGTH_64, _) => return Ok(None),
            (length, _) => (u64::from(length), 0),
        };
        let masked = second & MASKED != 0;
        let mask = match rest.get(length_bytes..length_bytes + MASK_BYTES) {
            _ if !masked => None,
            None => return Ok(None),
            Some(mask) => Some([mask[0], mask[1], mask[2], mask[3]]),
        };
        let payload_at = 2 + length_bytes + if masked { MASK_BYTES } else { 0 };
        let Ok(payload_bytes) = usize::try_from(payload_bytes) else { bail!("a frame of {payload_bytes} bytes") };
        Ok(Some(Self { mask, payload_at, payload_bytes }))
    }

    /// All its bytes.
    pub(super) fn length_bytes(&self) -> usize {
        self.payload_at + self.payload_bytes
    }

    /// The message, unmasked where it lies. `bytes` have to hold all of the frame.
    pub(super) fn payload<'a>(&self, bytes: &'a mut [u8]) -> &'a mut [u8] {
        let payload = &mut bytes[self.payload_at..self.length_bytes()];
        if let Some(mask) = self.mask {
            apply_mask(mask, payload);
        }
        payload
    }
}

/// Appends a frame with `payload`, as a server sends it.
pub(super) fn write(out: &mut Vec<u8>, payload: &[u8]) {
    write_head(out, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame with `payload`, as a client sends it.
pub(super) fn write_masked(out: &mut Vec<u8>, payload: &[u8]) {
    write_head(out, payload.len(), MASKED);
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(MASK, &mut out[start..]);
}

fn write_head(out: &mut Vec<u8>, payload_bytes: usize, masked: u8) {
    out.push(WHOLE_BINARY);
    match u16::try_from(payload_bytes) {
        Ok(length @ 0..=125) => out.push(masked | length as u8),
        Ok(length) => {
            out.push(masked | LENGTH_16);
            out.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            out.push(masked | LENGTH_64);
            out.extend_from_slice(&(payload_bytes as u64).to_be_bytes());
        }
    }
}

fn apply_mask(mask: [u8; MASK_BYTES], payload: &mut [u8]) {
    for piece in payload.chunks_mut(MASK_BYTES) {
        piece.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 6455 §5.7, with opcode 2 for 1: "Hello", unmasked and masked.
        let mut plain = *b"\x82\x05Hello";
        let frame = Frame::parse(&plain).unwrap().unwrap();
        assert_eq!(frame.length_bytes(), 7);
        assert_eq!(frame.payload(&mut plain), b"Hello");
        let mut masked = *b"\x82\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
        assert_eq!(Frame::parse(&masked).unwrap().unwrap().payload(&mut masked), b"Hello");
    }

    #[test]
    fn what_is_written_is_read_however_long() {
        for payload_bytes in [0, 1, 125, 126, 16 << 10, 65_535, 65_536] {
            let payload: Vec<u8> = (0..payload_bytes).map(|n| n as u8).collect();
            for write in [write, write_masked] {
                let mut bytes = Vec::new();
                write(&mut bytes, &payload);
                for whole in 0..bytes.len().min(14) {
                    let parsed = Frame::parse(&bytes[..whole]).unwrap();
                    assert!(parsed.is_none_or(|frame| frame.length_bytes() == bytes.len()), "{payload_bytes}, {whole}");
                }
                let frame = Frame::parse(&bytes).unwrap().unwrap();
                assert_eq!(frame.length_bytes(), bytes.len());
                assert_eq!(frame.payload(&mut bytes), payload);
            }
        }
    }

    #[test]
    fn other_frames_are_refused() {
        for first in [0x81, 0x02, 0x88, 0xc2] {
            assert!(Frame::parse(&[first, 0]).is_err(), "{first:#04x}");
        }
    }
}
