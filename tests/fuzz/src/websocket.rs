//! A direction of a WebSocket: one byte chooses sender, limits and extension, one the size of the pieces, the rest is what is
//! sent.

use wire::ws::{CloseCode, Limits, Opcode, Piece, Reader, Sender, Violation, write_close, write_ping};

/// What comes of a stream, and how it ends.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    data: Vec<u8>,
    controls: Vec<(u8, Vec<u8>)>,
    is_closed: bool,
    violation: Option<Violation>,
}

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let [choice, piece, bytes @ ..] = input else { return };
    let sender = if choice & 1 == 0 { Sender::Client } else { Sender::Server };
    let limits = match choice & 2 {
        0 => Limits { frame_bytes_max: 1 << 40, message_bytes_max: 1 << 40 },
        _ => Limits { frame_bytes_max: 20, message_bytes_max: 50 },
    };
    let reader = || Reader::new(sender, limits, choice & 4 != 0);
    let whole = read(reader(), bytes, bytes.len().max(1));
    let pieces = read(reader(), bytes, usize::from(*piece) + 1);
    assert_eq!(
        (&pieces.controls, pieces.is_closed, pieces.violation),
        (&whole.controls, whole.is_closed, whole.violation)
    );
    if whole.violation.is_none() {
        assert_eq!(pieces.data.len(), whole.data.len(), "only heads are held back");
    }
    assert!(pieces.data.starts_with(&whole.data), "of a bad frame more may have passed in pieces");
    agrees_with_a_naive_reader(sender, limits, choice & 4 != 0, bytes, &whole);
    takes_ours_between_frames(sender, limits, choice & 4 != 0, bytes, usize::from(*piece) + 1);
}

fn read(mut reader: Reader, bytes: &[u8], len: usize) -> Outcome {
    let mut outcome = Outcome { data: vec![], controls: vec![], is_closed: false, violation: None };
    for mut piece in bytes.chunks(len) {
        while !piece.is_empty() {
            let read = match reader.read(piece) {
                Ok(read) => read,
                Err(violation) => {
                    assert_eq!(reader.read(piece).map(|read| read.taken), Err(violation), "it stays");
                    return Outcome { violation: Some(violation), ..outcome };
                }
            };
            assert!(read.taken > 0 && read.taken <= piece.len());
            match read.piece {
                Piece::Data => outcome.data.extend(&piece[..read.taken]),
                Piece::Head(head) => outcome.data.extend(head),
                Piece::Control(control) => {
                    assert!(control.payload().len() <= 125 && control.bytes.len() <= 131);
                    outcome.controls.push((control.opcode as u8, control.payload().to_vec()));
                    outcome.is_closed |= control.opcode == Opcode::Close;
                }
                Piece::Held => assert_eq!(read.taken, piece.len()),
                Piece::Meaningless => assert!(outcome.is_closed),
            }
            piece = &piece[read.taken..];
        }
    }
    outcome
}

/// Reads frame by frame with all of the bytes at hand, and texts once they are whole.
fn agrees_with_a_naive_reader(sender: Sender, limits: Limits, deflate: bool, bytes: &[u8], outcome: &Outcome) {
    let (mut rest, mut controls, mut message) = (bytes, Vec::new(), None::<(bool, Vec<u8>)>);
    while let Some((first, payload, after)) = naive_frame(rest, sender) {
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        if opcode >= 8 {
            let close = opcode == 8;
            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let fits = !close || payload.is_empty() || code.is_some_and(|code| CloseCode::parse(code).is_some());
            if !fin || first & 0x70 != 0 || payload.len() > 125 || opcode > 10 || !fits {
                assert!(outcome.violation.is_some());
                return;
            }
            if close && std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_err() {
                assert_eq!(outcome.violation, Some(Violation::TextInvalid));
                return;
            }
            controls.push((opcode, payload));
            if close {
                assert_eq!((&outcome.controls, outcome.violation), (&controls, None));
                return;
            }
        } else {
            let (is_text, mut so_far) = match (opcode, message.take()) {
                (0, Some(message)) if first & 0x40 == 0 => message,
                (1 | 2, None) if first & 0x40 == 0 || deflate => (opcode == 1 && first & 0x40 == 0, vec![]),
                _ => return assert!(outcome.violation.is_some()),
            };
            let len = payload.len() as u64;
            so_far.extend(payload);
            if first & 0x30 != 0 || len > limits.frame_bytes_max || so_far.len() as u64 > limits.message_bytes_max {
                return assert!(outcome.violation.is_some());
            }
            let text = std::str::from_utf8(&so_far);
            let is_good =
                text.as_ref().is_ok_and(|_| true) || (!fin && text.is_err_and(|error| error.error_len().is_none()));
            if is_text && !is_good {
                return assert_eq!(outcome.violation, Some(Violation::TextInvalid));
            }
            if !fin {
                message = Some((is_text, so_far));
            }
        }
        rest = after;
    }
    // What is left is no whole frame: the reader may have found something wrong with its beginning.
    assert!(outcome.controls == controls || outcome.violation.is_some());
}

/// The frame that `bytes` begin with: its first byte, its payload, what follows. `None` if it is not whole, or its head is wrong.
fn naive_frame(bytes: &[u8], sender: Sender) -> Option<(u8, Vec<u8>, &[u8])> {
    let (start, mut rest) = bytes.split_first_chunk::<2>()?;
    let len = match start[1] & 0x7f {
        126 => {
            let (len, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            usize::from(u16::from_be_bytes(*len))
        }
        127 => {
            let (len, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            usize::try_from(u64::from_be_bytes(*len)).ok()?
        }
        len => usize::from(len),
    };
    let is_minimal = match start[1] & 0x7f {
        126 => len >= 126,
        127 => len >= 65_536,
        _ => true,
    };
    let is_masked = start[1] & 0x80 != 0;
    if !is_minimal || is_masked != (sender == Sender::Client) {
        return None;
    }
    let mut key = [0; 4];
    if is_masked {
        (key, rest) = rest.split_first_chunk::<4>().map(|(key, rest)| (*key, rest))?;
    }
    let payload = rest.get(..len)?.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((start[0], payload, &rest[len..]))
}

/// Frames of ours that are put in wherever the reader allows change nothing for whoever reads the result.
fn takes_ours_between_frames(sender: Sender, limits: Limits, deflate: bool, bytes: &[u8], len: usize) {
    let mask = (sender == Sender::Client).then_some([1, 2, 3, 4]);
    let (mut ping, mut close) = (Vec::new(), Vec::new());
    write_ping(&mut ping, b"ours", mask);
    write_close(&mut close, CloseCode::GOING_AWAY, "", mask);
    let mut reader = Reader::new(sender, limits, deflate);
    let (mut out, mut count) = (Vec::new(), 0);
    for mut piece in bytes.chunks(len) {
        if reader.frame_left() == 0 {
            out.extend(&ping);
            count += 1;
        }
        while !piece.is_empty() {
            let Ok(read) = reader.read(piece) else { return };
            match read.piece {
                Piece::Data => out.extend(&piece[..read.taken]),
                Piece::Head(head) => out.extend(head),
                // Only data frames go on, so that the count is of ours.
                Piece::Control(_) | Piece::Held | Piece::Meaningless => {}
            }
            piece = &piece[read.taken..];
        }
    }
    if reader.frame_left() == 0 {
        out.extend(&close);
        let seen = read(Reader::new(sender, limits, deflate), &out, out.len());
        assert_eq!(seen.violation, None);
        assert_eq!((seen.controls.len(), seen.is_closed), (count + 1, true));
    }
}
