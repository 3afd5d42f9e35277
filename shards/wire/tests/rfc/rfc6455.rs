//! WebSocket frames, section by section of RFC 6455, and what RFC 7692 adds to it.

mod control;
mod frames;
mod messages;
mod properties;

use wire::ws::{Limits, Opcode, Piece, Reader, Sender, Violation};

/// The key of the examples in §5.7.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, message_bytes_max: 1 << 20 };

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// What has come of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Bytes of data frames that passed.
    data: Vec<u8>,
    /// Control frames: what they are, how they came, what they carry.
    controls: Vec<(u8, Vec<u8>, Vec<u8>)>,
    /// Bytes behind a close frame.
    meaningless: usize,
}

/// A frame as `sender` sends it, its length in as few bytes as hold it.
fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = if sender == Sender::Client { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(mask | len as u8),
        len @ ..65_536 => {
            bytes.push(mask | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(mask | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    if sender == Sender::Client {
        bytes.extend(KEY);
        bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        bytes.extend(payload);
    }
    bytes
}

/// Reads `bytes` in pieces of these lengths, over and over.
fn read_pieces(reader: &mut Reader, bytes: &[u8], lengths: &[usize]) -> (Seen, Option<Violation>) {
    let (mut seen, mut rest) = (Seen::default(), bytes);
    for len in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut piece, later) = rest.split_at((*len).clamp(1, rest.len()));
        rest = later;
        while !piece.is_empty() {
            let read = match reader.read(piece) {
                Ok(read) => read,
                Err(violation) => return (seen, Some(violation)),
            };
            assert!(read.taken > 0 && read.taken <= piece.len(), "it always goes on");
            match read.piece {
                Piece::Data => seen.data.extend(&piece[..read.taken]),
                Piece::Head(head) => seen.data.extend(head),
                Piece::Control(control) => {
                    seen.controls.push((control.opcode as u8, control.bytes.to_vec(), control.payload().to_vec()));
                }
                Piece::Held => assert_eq!(read.taken, piece.len(), "what is held back is the end of what has come"),
                Piece::Meaningless => seen.meaningless += read.taken,
            }
            piece = &piece[read.taken..];
        }
    }
    (seen, None)
}

fn read(sender: Sender, deflate: bool, bytes: &[u8]) -> (Seen, Option<Violation>) {
    read_pieces(&mut Reader::new(sender, LIMITS, deflate), bytes, &[usize::MAX])
}

/// Reads `bytes` whole, and cut in two at every place: it is the same.
#[track_caller]
fn assert_passes(sender: Sender, deflate: bool, bytes: &[u8]) -> Seen {
    let (whole, violation) = read(sender, deflate, bytes);
    assert_eq!(violation, None, "{}", bytes.escape_ascii());
    for at in 1..bytes.len().min(300) {
        let mut reader = Reader::new(sender, LIMITS, deflate);
        let cut = read_pieces(&mut reader, bytes, &[at, usize::MAX]);
        let (cut, violation) = cut;
        assert_eq!((&cut.data, &cut.controls, violation), (&whole.data, &whole.controls, None), "cut at {at}");
        assert_eq!(reader.frame_left(), 0, "cut at {at}");
    }
    let (bytewise, violation) = read_pieces(&mut Reader::new(sender, LIMITS, deflate), bytes, &[1]);
    assert_eq!((bytewise, violation), (whole, None), "byte by byte");
    read(sender, deflate, bytes).0
}

/// Reads `good` and then `bad`: whole, and in pieces of every length. All of `good` passes.
#[track_caller]
fn assert_refused(sender: Sender, deflate: bool, good: &[u8], bad: &[u8], expected: Violation) {
    let bytes = [good, bad].concat();
    for len in (1..=bytes.len().min(40)).chain([bytes.len()]) {
        let mut reader = Reader::new(sender, LIMITS, deflate);
        let (seen, violation) = read_pieces(&mut reader, &bytes, &[len]);
        assert_eq!(violation, Some(expected), "{} in pieces of {len}", bytes.escape_ascii());
        assert!(seen.data.starts_with(good) || !seen.controls.is_empty(), "{} in pieces of {len}", good.escape_ascii());
        assert_eq!(reader.read(b"x").map(|read| read.taken), Err(expected), "and that is the end");
    }
}

const BOTH: [Sender; 2] = [Sender::Client, Sender::Server];

#[test]
fn opcodes_are_as_the_registry_has_them() {
    let opcodes = [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];
    assert_eq!(opcodes.map(|opcode| opcode as u8), [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG], "§11.8");
}
