//! §5.5, §7.4: control frames, those that are read and those that are written.

use wire::ws::{CloseCode, Reader, Sender, Violation, agrees_on_deflate, write_close, write_ping};

use super::{
    BINARY, BOTH, CLOSE, CONTINUATION, FIN, KEY, LIMITS, PING, PONG, TEXT, assert_passes, assert_refused, frame, read,
    read_pieces,
};

#[test]
fn control_frames_are_short_and_whole() {
    for sender in BOTH {
        for opcode in [CLOSE, PING, PONG] {
            let (text, begun) = (frame(sender, FIN | TEXT, b"a"), frame(sender, BINARY, b"a"));
            for before in [&text, &begun] {
                assert_refused(sender, false, before, &frame(sender, opcode, b""), Violation::ControlFragmented);
                let long = frame(sender, FIN | opcode, &[b'a'; 126]);
                assert_refused(sender, false, before, &long, Violation::ControlTooLong);
            }
        }
        for opcode in [PING, PONG] {
            let bytes = frame(sender, FIN | opcode, &[0xff; 125]);
            assert_eq!(assert_passes(sender, false, &bytes).controls, [(opcode, bytes, vec![0xff; 125])]);
        }
    }
}

#[test]
fn close_frames_carry_nothing_or_a_code_and_a_reason() {
    // §5.5.1, §7.4; https://www.iana.org/assignments/websocket for 1012 to 1014.
    let sendable = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for sender in BOTH {
        assert_eq!(assert_passes(sender, false, &frame(sender, FIN | CLOSE, b"")).controls[0].2, b"");
        assert_refused(sender, false, b"", &frame(sender, FIN | CLOSE, b"\x03"), Violation::CloseTruncated);
        for code in 0..=u16::MAX {
            let bytes = frame(sender, FIN | CLOSE, &code.to_be_bytes());
            let refused = read(sender, false, &bytes).1;
            assert_eq!(refused, (!sendable(code)).then_some(Violation::CloseCodeInvalid { code }));
            assert_eq!(CloseCode::parse(code).map(CloseCode::number), sendable(code).then_some(code));
        }
        let reason = "Auf Wiedersehen, sch\u{f6}n war's";
        let bytes = frame(sender, FIN | CLOSE, &[b"\x03\xe8", reason.as_bytes()].concat());
        let seen = assert_passes(sender, false, &bytes);
        assert_eq!(seen.controls, [(CLOSE, bytes, [b"\x03\xe8", reason.as_bytes()].concat())]);
        for reason in [&b"\xff"[..], b"cut off \xe2\x98"] {
            let bytes = frame(sender, FIN | CLOSE, &[b"\x03\xe8", reason].concat());
            assert_refused(sender, false, &frame(sender, FIN | TEXT, b"x"), &bytes, Violation::TextInvalid);
        }
    }
}

#[test]
fn what_follows_a_close_frame_means_nothing() {
    // §1.4; a close frame may come in the middle of a message.
    for sender in BOTH {
        let before = [frame(sender, TEXT, b"a"), frame(sender, FIN | CLOSE, b"\x03\xe9")].concat();
        let bytes = [&before[..], b"\xff\xff\xff\xff, whatever it is"].concat();
        for len in [1, 3, bytes.len()] {
            let mut reader = Reader::new(sender, LIMITS, false);
            let (seen, violation) = read_pieces(&mut reader, &bytes, &[len]);
            assert_eq!((seen.meaningless, violation), (bytes.len() - before.len(), None));
            assert!(reader.is_closed());
        }
    }
}

#[test]
fn an_offender_is_told_what_it_did() {
    // §7.4.1
    for (violation, code) in [
        (Violation::ReservedBits, 1002),
        (Violation::MaskMissing, 1002),
        (Violation::CloseTruncated, 1002),
        (Violation::TextInvalid, 1007),
        (Violation::FrameTooLarge { max: 1 }, 1009),
        (Violation::MessageTooLarge { max: 1 }, 1009),
    ] {
        assert_eq!(violation.close_code().number(), code, "{violation}");
    }
}

#[test]
fn what_is_written_is_read() {
    for (sender, mask) in [(Sender::Server, None), (Sender::Client, Some(KEY))] {
        for length in [0, 1, 7, 8, 124, 125] {
            let mut out = Vec::new();
            write_ping(&mut out, &vec![b'p'; length], mask);
            assert_eq!(out, frame(sender, FIN | PING, &vec![b'p'; length]));
            assert_eq!(assert_passes(sender, false, &out).controls, [(PING, out, vec![b'p'; length])]);
        }
        let mut out = Vec::new();
        write_close(&mut out, CloseCode::GOING_AWAY, "bye", mask);
        assert_eq!(out, frame(sender, FIN | CLOSE, b"\x03\xe9bye"));
        assert_passes(sender, false, &[frame(sender, CONTINUATION | BINARY, b""), out].concat());
    }
}

#[test]
fn deflate_is_agreed_on_where_the_answer_names_it() {
    // §9.1, RFC 7692 §7
    for (value, expected) in [
        ("permessage-deflate", true),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=15", true),
        ("x-a; b=\"1\" ,  permessage-deflate;client_max_window_bits", true),
        ("Permessage-Deflate", true),
        ("", false),
        ("permessage-bzip2", false),
        ("x-a; permessage-deflate", false),
        ("permessage-deflate2, x", false),
    ] {
        assert_eq!(agrees_on_deflate(value.as_bytes()), expected, "{value}");
    }
}
