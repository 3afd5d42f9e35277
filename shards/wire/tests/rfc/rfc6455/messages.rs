//! §5.4, §5.6, §8.1: fragments, and what a text is; RFC 7692 §6: compressed messages.

use wire::ws::{Limits, Piece, Reader, Sender, Violation};

use super::{
    BINARY, BOTH, CONTINUATION, FIN, LIMITS, PING, RSV1, TEXT, assert_passes, assert_refused, frame, read_pieces,
};

#[test]
fn a_message_may_be_of_many_frames_with_control_frames_between_them() {
    for sender in BOTH {
        let data = [
            frame(sender, TEXT, b"He"),
            frame(sender, CONTINUATION, b""),
            frame(sender, CONTINUATION, b"l"),
            frame(sender, FIN | CONTINUATION, b"lo"),
        ];
        let ping = frame(sender, FIN | PING, b"!");
        let bytes = [&data[0], &ping, &data[1], &data[2], &ping, &ping, &data[3], &frame(sender, FIN | BINARY, b"x")];
        let seen = assert_passes(sender, false, &bytes.map(|part| &part[..]).concat());
        assert_eq!(seen.data, [data.concat(), frame(sender, FIN | BINARY, b"x")].concat());
        assert_eq!(seen.controls, vec![(PING, ping, b"!".to_vec()); 3]);
    }
}

#[test]
fn messages_do_not_interleave() {
    for sender in BOTH {
        let (whole, begun) = (frame(sender, FIN | TEXT, b"a"), frame(sender, BINARY, b"a"));
        for opcode in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
            assert_refused(sender, false, &begun, &frame(sender, opcode, b""), Violation::MessageInterrupted);
        }
        for opcode in [CONTINUATION, FIN | CONTINUATION] {
            assert_refused(sender, false, b"", &frame(sender, opcode, b"a"), Violation::ContinuationUnexpected);
            assert_refused(sender, false, &whole, &frame(sender, opcode, b"a"), Violation::ContinuationUnexpected);
        }
    }
}

/// Texts, and whether they are UTF-8.
const TEXTS: [(&[u8], bool); 20] = [
    (b"", true),
    (b"ascii", true),
    ("\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes(), true),
    ("\u{10ffff}\u{fffd}\0".as_bytes(), true),
    (b"\xf4\x8f\xbf\xbf", true),
    (b"\xed\x9f\xbf\xee\x80\x80", true),
    // Surrogates, beyond U+10FFFF, more bytes than needed, bytes that begin nothing.
    (b"\xed\xa0\x80", false),
    (b"edited \xed\xbf\xbf", false),
    (b"\xf4\x90\x80\x80", false),
    (b"\xf5\x80\x80\x80", false),
    (b"\xc0\xaf", false),
    (b"\xe0\x80\xaf", false),
    (b"\xf0\x80\x80\xaf", false),
    (b"\x80", false),
    (b"\xff", false),
    (b"a\xc3(", false),
    // Cut off.
    (b"a\xc3", false),
    (b"\xe2\x98", false),
    (b"\xf0\x9f\x98", false),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", false),
];

#[test]
fn a_text_is_utf_8_however_it_is_cut_into_frames() {
    for (text, is_valid) in TEXTS {
        for sender in BOTH {
            for at in 0..=text.len() {
                let (start, end) = text.split_at(at);
                let bytes = [frame(sender, TEXT, start), frame(sender, FIN | CONTINUATION, end)].concat();
                for len in 1..=bytes.len() {
                    let (seen, violation) = read_pieces(&mut Reader::new(sender, LIMITS, false), &bytes, &[len]);
                    let expected = if is_valid { None } else { Some(Violation::TextInvalid) };
                    assert_eq!(violation, expected, "{} cut at {at}, in pieces of {len}", text.escape_ascii());
                    assert!(bytes.starts_with(&seen.data) && (seen.data.len() == bytes.len()) == is_valid);
                }
            }
            let bytes = [frame(sender, BINARY, text), frame(sender, FIN | CONTINUATION, b"\xff")].concat();
            assert_passes(sender, false, &bytes);
        }
    }
}

#[test]
fn a_character_may_be_cut_by_a_long_masked_run() {
    let text = "\u{1f980}".repeat(4_000);
    for start in 0..4 {
        let payload = [&b"abcd"[..start], text.as_bytes()].concat();
        let bytes = frame(Sender::Client, FIN | TEXT, &payload);
        for len in [1, 511, 512, 513, 4_093, bytes.len()] {
            let (seen, violation) = read_pieces(&mut Reader::new(Sender::Client, LIMITS, false), &bytes, &[len]);
            assert_eq!((seen.data.len(), violation), (bytes.len(), None), "in pieces of {len}");
        }
    }
}

#[test]
fn a_compressed_message_says_so_in_its_first_frame_and_is_not_read() {
    // RFC 7692 §6, §7.2.3
    for sender in BOTH {
        let parts = [
            frame(sender, RSV1 | TEXT, b"\xf2\x48"),
            frame(sender, CONTINUATION, b"\xcd"),
            frame(sender, FIN, b"\xc9\xc9\x07\x00"),
        ];
        assert_passes(sender, true, &[parts.concat(), frame(sender, FIN | TEXT, b"plain")].concat());
        let plain = frame(sender, FIN | TEXT, b"\xff");
        assert_refused(sender, true, &parts.concat(), &plain, Violation::TextInvalid);
        for later in [RSV1 | CONTINUATION, FIN | RSV1 | CONTINUATION] {
            assert_refused(sender, true, &parts[0], &frame(sender, later, b"a"), Violation::ReservedBits);
        }
        assert_refused(sender, true, b"", &frame(sender, FIN | RSV1 | PING, b"a"), Violation::ReservedBits);
    }
}

#[test]
fn a_message_is_bounded_as_the_sum_of_its_frames() {
    let limits = Limits { frame_bytes_max: 10, message_bytes_max: 25 };
    for sender in BOTH {
        let fragments = [frame(sender, BINARY, &[0; 10]), frame(sender, CONTINUATION, &[0; 10])].concat();
        let refused = |last: &[u8]| {
            let bytes = [&fragments[..], last].concat();
            let whole = read_pieces(&mut Reader::new(sender, limits, false), &bytes, &[usize::MAX]).1;
            assert_eq!(read_pieces(&mut Reader::new(sender, limits, false), &bytes, &[1]).1, whole);
            whole
        };
        assert_eq!(refused(&frame(sender, FIN | CONTINUATION, &[0; 5])), None);
        let beyond = Some(Violation::MessageTooLarge { max: 25 });
        assert_eq!(refused(&frame(sender, FIN | CONTINUATION, &[0; 6])), beyond);
        assert_eq!(refused(&frame(sender, CONTINUATION, &[0; 11])), Some(Violation::FrameTooLarge { max: 10 }));
        let next = [frame(sender, FIN | CONTINUATION, &[0; 5]), frame(sender, FIN | BINARY, &[0; 10])].concat();
        assert_eq!(refused(&next), None, "the next message counts anew");
    }
}

#[test]
fn it_is_known_where_a_frame_may_be_put_in() {
    let bytes = frame(Sender::Server, FIN | BINARY, &[7; 300]);
    let mut reader = Reader::new(Sender::Server, LIMITS, false);
    assert!(matches!(reader.read(&bytes[..3]).unwrap().piece, Piece::Held));
    assert_eq!(reader.frame_left(), 0, "of the head nothing has passed");
    let read = reader.read(&bytes[3..]).unwrap();
    assert!(matches!(read.piece, Piece::Head(head) if head == &bytes[..4]));
    assert_eq!((read.taken, reader.frame_left()), (1, 300));
    assert_eq!((reader.read(&bytes[4..104]).unwrap().taken, reader.frame_left()), (100, 200));
    assert_eq!((reader.read(&bytes[104..]).unwrap().taken, reader.frame_left()), (200, 0));
}

#[test]
fn of_a_frame_that_breaks_a_rule_nothing_has_passed_unless_it_had_begun_to() {
    let text = frame(Sender::Server, FIN | TEXT, b"good\xff");
    let mut reader = Reader::new(Sender::Server, LIMITS, false);
    assert_eq!(reader.read(&text).map(|read| read.taken), Err(Violation::TextInvalid));
    assert_eq!(reader.frame_left(), 0);
    let good = frame(Sender::Server, FIN | TEXT, b"before");
    let mut reader = Reader::new(Sender::Server, LIMITS, false);
    let both = [&good[..], &text].concat();
    assert_eq!(reader.read(&both).map(|read| read.taken), Ok(good.len()));
    assert_eq!(reader.frame_left(), 0);
    assert_eq!(reader.read(&both[good.len()..]).map(|read| read.taken), Err(Violation::TextInvalid));
    let mut reader = Reader::new(Sender::Server, LIMITS, false);
    assert_eq!(reader.read(&text[..4]).map(|read| read.taken), Ok(4));
    assert_eq!(reader.read(&text[4..]).map(|read| read.taken), Err(Violation::TextInvalid));
    assert_ne!(reader.frame_left(), 0, "its end will not come");
}
