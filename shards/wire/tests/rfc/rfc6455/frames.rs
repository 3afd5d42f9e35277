//! §5.1 to §5.3: the head of a frame, and who masks.

use wire::ws::{Sender, Violation};

use super::{BINARY, BOTH, CLOSE, FIN, KEY, PING, RSV1, TEXT, assert_passes, assert_refused, frame};

#[test]
fn the_examples_of_section_5_7_pass() {
    for (sender, bytes) in [
        (Sender::Server, &b"\x81\x05Hello"[..]),
        (Sender::Client, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
        (Sender::Server, b"\x01\x03Hel\x80\x02lo"),
    ] {
        let seen = assert_passes(sender, false, bytes);
        assert_eq!((&seen.data[..], seen.controls.len()), (bytes, 0));
    }
    let ping = assert_passes(Sender::Server, false, b"\x89\x05Hello");
    assert_eq!(ping.controls, [(PING, b"\x89\x05Hello".to_vec(), b"Hello".to_vec())]);
    let pong = assert_passes(Sender::Client, false, b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(pong.controls[0].2, b"Hello");
    for length in [256, 65_536] {
        let bytes = frame(Sender::Server, FIN | BINARY, &vec![7; length]);
        assert_eq!(assert_passes(Sender::Server, false, &bytes).data, bytes);
    }
}

#[test]
fn a_client_masks_and_a_server_does_not() {
    // §5.1
    let (client, server) = (frame(Sender::Client, FIN | TEXT, b"a"), frame(Sender::Server, FIN | TEXT, b"a"));
    assert_refused(Sender::Client, false, b"", &server, Violation::MaskMissing);
    assert_refused(Sender::Server, false, b"", &client, Violation::MaskUnexpected);
    let (client, server) = (frame(Sender::Client, FIN | PING, b""), frame(Sender::Server, FIN | CLOSE, b""));
    assert_refused(Sender::Client, false, &frame(Sender::Client, FIN | TEXT, b"ok"), &server, Violation::MaskMissing);
    assert_refused(Sender::Server, false, b"", &client, Violation::MaskUnexpected);
}

#[test]
fn lengths_are_written_in_the_fewest_bytes() {
    // §5.2
    for (head, expected) in [
        (&b"\x82\x7e\x00\x7d"[..], Violation::LengthNotMinimal),
        (b"\x82\x7e\x00\x00", Violation::LengthNotMinimal),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", Violation::LengthNotMinimal),
        (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", Violation::LengthInvalid),
        (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", Violation::LengthInvalid),
    ] {
        assert_refused(Sender::Server, false, b"", head, expected);
        let mut masked = head.to_vec();
        masked[1] |= 0x80;
        masked.extend(KEY);
        assert_refused(Sender::Client, false, b"", &masked, expected);
    }
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        for sender in BOTH {
            let bytes = frame(sender, FIN | BINARY, &vec![0xff; length]);
            assert_eq!(assert_passes(sender, false, &bytes).data, bytes);
        }
    }
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    // §5.2
    for sender in BOTH {
        let good = frame(sender, FIN | TEXT, b"before");
        for opcode in (0x3..=0x7).chain(0xb..=0xf) {
            let bad = frame(sender, FIN | opcode, b"");
            assert_refused(sender, true, &good, &bad, Violation::OpcodeUnknown { opcode });
        }
        for bits in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] {
            assert_refused(sender, true, &good, &frame(sender, FIN | bits | TEXT, b""), Violation::ReservedBits);
        }
        assert_refused(sender, false, &good, &frame(sender, FIN | RSV1 | TEXT, b""), Violation::ReservedBits);
    }
}

#[test]
fn what_is_larger_than_allowed_is_refused_by_its_head() {
    for sender in BOTH {
        let allowed = frame(sender, FIN | BINARY, &vec![1; 1 << 20]);
        let head =
            &frame(sender, FIN | BINARY, &vec![1; (1 << 20) + 1])[..14 - if sender == Sender::Client { 0 } else { 4 }];
        assert_refused(sender, false, &allowed[..], head, Violation::FrameTooLarge { max: 1 << 20 });
    }
}
