//! RFC 9113 §3.4 and §4: the preface, frames and header blocks.

use wire::h2::frame::{
    ACK, END_HEADERS, END_STREAM, FrameHeader, HEADER_BYTES, Kind, PADDED, headers as headers_frame,
};
use wire::h2::{Config, ConnectionError, ErrorCode, Event, PREFACE, Role};

use crate::h2_end::{End, GET, OK, Outcome, POST, config, data, frame, frames, headers, settings};

/// §3.4: client and server begin with SETTINGS, the client after 24 bytes that no HTTP/1 server takes for a request.
#[test]
fn both_ends_begin_with_their_preface() {
    let mut end = End::bare(Config::server());
    let sent = end.sent();
    assert_eq!((sent[0].kind, sent[0].flags, sent[0].stream), (Kind::Settings, 0, 0));
    assert_eq!(sent[1].kind, Kind::WindowUpdate, "the connection's window can be widened by no setting");
    assert_eq!(end.feed(&[PREFACE.as_slice(), &settings(&[])].concat()), [Event::Settings]);
    assert_eq!(end.sent()[0].flags, ACK);

    let mut end = End::bare(Config::client());
    let mut out = Vec::new();
    assert_eq!(end.connection.poll_output(&mut out), None);
    assert!(out.starts_with(PREFACE));
    let sent = frames(&out[PREFACE.len()..]);
    assert_eq!(sent[0].kind, Kind::Settings);
    assert!(sent[0].payload.starts_with(&[0, 2, 0, 0, 0, 0]), "no pushes");
}

#[test]
fn what_is_no_preface_is_refused_at_the_first_byte() {
    for bytes in ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSN", "X", "PRI * HTTP/1.1"] {
        let mut end = End::bare(Config::server());
        assert_eq!(end.try_feed(bytes.as_bytes()), Err(ConnectionError::Preface), "{bytes}");
        let mut end = End::bare(Config::server());
        let wrong = bytes.bytes().zip(PREFACE).position(|(byte, expected)| byte != *expected).unwrap();
        for (at, byte) in bytes.bytes().enumerate().take(wrong + 1) {
            assert_eq!(end.try_feed(&[byte]).is_err(), at == wrong, "{bytes}: byte {at}");
        }
    }
    for first in [frame(Kind::Ping, 0, 0, &[0; 8]), frame(Kind::Settings, ACK, 0, b""), headers(1, GET, true)] {
        let mut end = End::bare(Config::server());
        end.feed(PREFACE);
        assert_eq!(end.outcome(&first), Outcome::Connection(ErrorCode::PROTOCOL_ERROR));
        assert_eq!(End::bare(Config::client()).outcome(&first), Outcome::Connection(ErrorCode::PROTOCOL_ERROR));
    }
}

/// §4.1: the reserved bit is ignored.
#[test]
fn headers_of_frames_are_read_as_they_are_written() {
    let header = FrameHeader { length: 0x01_02_03, kind: Kind::Headers, flags: 0x25, stream: 0x7a0b_0c0d };
    let bytes = header.encode();
    assert_eq!(bytes, [1, 2, 3, 1, 0x25, 0x7a, 0x0b, 0x0c, 0x0d]);
    assert_eq!(FrameHeader::parse(&bytes), header);
    assert_eq!(FrameHeader::parse(&[1, 2, 3, 1, 0x25, 0xfa, 0x0b, 0x0c, 0x0d]), header);
    for kind in 0..=255 {
        assert_eq!(Kind::of(kind).byte(), kind);
    }
}

/// §4.2, and the lengths that each kind demands: all of this is known when nine bytes have come.
#[test]
fn lengths_are_judged_before_the_payload_comes() {
    let size = ErrorCode::FRAME_SIZE_ERROR;
    let rows = [
        (Kind::Data, 0, 1, 16_385, size),
        (Kind::Data, PADDED, 1, 0, size),
        (Kind::Headers, 0, 1, 16_385, size),
        (Kind::Headers, PADDED, 1, 0, size),
        (Kind::Headers, headers_frame::PRIORITY, 1, 4, size),
        (Kind::Headers, headers_frame::PRIORITY | PADDED, 1, 5, size),
        (Kind::RstStream, 0, 1, 3, size),
        (Kind::RstStream, 0, 1, 5, size),
        (Kind::Settings, 0, 0, 5, size),
        (Kind::Settings, 0, 0, 16_386, size),
        (Kind::Settings, ACK, 0, 6, size),
        (Kind::Ping, 0, 0, 7, size),
        (Kind::Ping, ACK, 0, 9, size),
        (Kind::GoAway, 0, 0, 7, size),
        (Kind::WindowUpdate, 0, 0, 3, size),
        (Kind::WindowUpdate, 0, 1, 5, size),
        (Kind::PriorityUpdate, 0, 0, 3, size),
        (Kind::Unknown(0xaa), 0, 0, 16_385, size),
    ];
    for (kind, flags, stream, length, code) in rows {
        let header = FrameHeader { length, kind, flags, stream }.encode();
        for role in [Role::Server, Role::Client] {
            let mut end = End::new(config(role));
            assert_eq!(end.outcome(&header), Outcome::Connection(code), "{kind:?} {flags:#x} of {length} bytes");
        }
    }
    // A larger frame is taken by who says so.
    let mut end = End::new(Config { frame_bytes_max: 20_000, ..Config::server() });
    end.ask(1, POST, false);
    assert_eq!(end.outcome(&data(1, &[0; 20_000], false)), Outcome::Taken);
    assert_eq!(end.outcome(&data(1, &[0; 20_001], false)), Outcome::Connection(size));
}

/// §6: frames of the connection stand on no stream, the others on one.
#[test]
fn frames_stand_where_they_belong() {
    let kinds = [Kind::Data, Kind::Headers, Kind::Priority, Kind::RstStream, Kind::PushPromise, Kind::Continuation];
    for kind in kinds {
        let outcome =
            End::server().outcome(&frame(kind, END_HEADERS, 0, &[0; 5][..if kind == Kind::RstStream { 4 } else { 5 }]));
        assert_eq!(outcome, Outcome::Connection(ErrorCode::PROTOCOL_ERROR), "{kind:?}");
    }
    for kind in [Kind::Settings, Kind::Ping, Kind::GoAway, Kind::PriorityUpdate] {
        let mut end = End::server();
        end.ask(1, POST, false);
        let payload = if kind == Kind::Settings { [].as_slice() } else { &[0; 8] };
        assert_eq!(
            end.outcome(&frame(kind, 0, 1, payload)),
            Outcome::Connection(ErrorCode::PROTOCOL_ERROR),
            "{kind:?}"
        );
    }
}

/// §6.1, §6.2: padding and the fields of old priorities are no content.
#[test]
fn padding_is_taken_off() {
    let mut end = End::server();
    let padded = [b"\x03".as_slice(), GET, b"\0\0\0"].concat();
    end.feed(&frame(Kind::Headers, END_HEADERS | END_STREAM | PADDED, 1, &padded));
    assert!(end.incoming.bytes.starts_with(b"GET / HTTP/1.1\r\n"));
    let both = [b"\x02\x80\0\0\0\x10".as_slice(), POST, b"\0\0"].concat();
    let flags = END_HEADERS | PADDED | headers_frame::PRIORITY;
    end.feed(&frame(Kind::Headers, flags, 3, &both));
    assert!(end.incoming.bytes.starts_with(b"POST / HTTP/1.1\r\n"));

    let padded = frame(Kind::Data, PADDED, 3, b"\x04hello\0\0\0\0");
    let events = end.feed(&padded);
    assert!(matches!(&events[..], [Event::Data { range, end: false, .. }] if &padded[range.clone()] == b"hello"));
    // All padding, and the end.
    let events = end.feed(&frame(Kind::Data, PADDED | END_STREAM, 3, b"\x02\0\0"));
    assert!(matches!(&events[..], [Event::Data { range, end: true, .. }] if range.is_empty()));

    let protocol = Outcome::Connection(ErrorCode::PROTOCOL_ERROR);
    let mut end = End::server();
    assert_eq!(end.outcome(&frame(Kind::Headers, END_HEADERS | PADDED, 1, b"\x05\x82\x84\x86")), protocol);
    let mut end = End::server();
    end.ask(1, POST, false);
    assert_eq!(end.outcome(&frame(Kind::Data, PADDED, 1, b"\x03\0\0")), protocol);
    let mut end = End::server();
    let flags = END_HEADERS | PADDED | headers_frame::PRIORITY;
    assert_eq!(end.outcome(&frame(Kind::Headers, flags, 1, b"\x01\0\0\0\0\0")), protocol);
}

/// §4.3, §6.10: a header block is in one piece, on one stream.
#[test]
fn header_blocks_are_gathered() {
    let parts = [
        frame(Kind::Headers, END_STREAM, 1, &GET[..1]),
        frame(Kind::Continuation, 0, 1, &GET[1..2]),
        frame(Kind::Continuation, 0, 1, b""),
        frame(Kind::Continuation, END_HEADERS, 1, &GET[2..]),
    ];
    let bytes = parts.concat();
    for at in 0..=bytes.len() {
        let mut end = End::server();
        let mut events = end.feed(&bytes[..at]);
        events.extend(end.feed(&bytes[at..]));
        assert!(matches!(events[..], [Event::Head { end: true, .. }]), "cut at {at}");
        assert!(end.incoming.bytes.starts_with(b"GET / HTTP/1.1\r\n"));
    }
    let broken = Outcome::Connection(ErrorCode::PROTOCOL_ERROR);
    let between = [
        data(1, b"", false),
        headers(3, GET, true),
        frame(Kind::Continuation, END_HEADERS, 3, &GET[1..]),
        frame(Kind::Ping, 0, 0, &[0; 8]),
        frame(Kind::Settings, 0, 0, b""),
        frame(Kind::Unknown(0x77), 0, 1, b""),
        frame(Kind::Unknown(0x77), 0, 0, b""),
    ];
    for bytes in between {
        let mut end = End::server();
        end.feed(&parts[0]);
        assert_eq!(end.outcome(&bytes), broken);
    }
    let mut end = End::server();
    end.feed(&bytes);
    assert_eq!(end.outcome(&parts[3]), broken, "nothing is left to be continued");
}

/// §4.3: a block that cannot be decoded ends the connection, also where nobody wants what it says.
#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    let compression = Outcome::Connection(ErrorCode::COMPRESSION_ERROR);
    assert_eq!(End::server().outcome(&headers(1, b"\xff\xff\xff", true)), compression);
    let mut end = End::server();
    end.ask(1, POST, false);
    assert_eq!(end.outcome(&headers(1, b"\x80", true)), compression);
    let mut end = End::client();
    let stream = end.request(wire::Method::Get, true);
    end.connection.reset(stream, ErrorCode::CANCEL, wire::h2::Culprit::Us);
    assert_eq!(end.outcome(&headers(1, b"\x80", true)), compression);
}

/// §4.3: blocks on streams that are over, or that are refused, have their effect on the table.
#[test]
fn a_block_that_nobody_wants_is_decoded() {
    let added = [OK, b"\x40\x01a\x01b"].concat();
    let mut end = End::client();
    let stream = end.request(wire::Method::Get, true);
    end.request(wire::Method::Get, true);
    end.connection.reset(stream, ErrorCode::CANCEL, wire::h2::Culprit::Us);
    end.feed(&headers(1, &added, true));
    end.feed(&headers(3, &[OK, b"\xbe"].concat(), true));
    assert!(end.incoming.bytes.ends_with(b"\r\na: b\r\n\r\n"), "{}", end.incoming.bytes.escape_ascii());
}

/// §4.3: what is longer than a frame may be continues in the next.
#[test]
fn long_heads_go_out_in_several_frames() {
    for (length, frames_expected) in [(100, 1), (16_300, 1), (20_000, 2), (60_000, 4)] {
        let limits = wire::Limits { head_bytes_max: 100_000, field_bytes_max: 100_000, ..wire::Limits::default() };
        let mut end = End::server();
        let stream = end.ask(1, GET, true);
        let text = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "~".repeat(length));
        let mut head = wire::ResponseHead::new();
        wire::h1::parse_response(text.as_bytes(), &limits, &mut head).unwrap();
        let framing = wire::h1::ResponseFraming::Chunked;
        let edits = wire::h1::Edits::new();
        end.connection.send_response(stream, &head, text.as_bytes(), &edits, framing, true).unwrap();
        let sent = end.sent();
        assert_eq!(sent.len(), frames_expected);
        assert_eq!((sent[0].kind, sent[0].flags & END_STREAM), (Kind::Headers, END_STREAM));
        assert!(sent[1..].iter().all(|frame| frame.kind == Kind::Continuation && frame.flags & END_STREAM == 0));
        assert!(sent.iter().all(|frame| frame.payload.len() <= 16_384 && frame.stream == 1));
        let ends: Vec<bool> = sent.iter().map(|frame| frame.flags & END_HEADERS != 0).collect();
        assert!(ends.iter().rev().skip(1).all(|end| !end) && ends[ends.len() - 1]);

        let mut client = End::new(Config { heads: limits, ..Config::client() });
        client.request(wire::Method::Get, true);
        let bytes: Vec<u8> =
            sent.iter().flat_map(|sent| frame(sent.kind, sent.flags, sent.stream, &sent.payload)).collect();
        assert!(matches!(client.feed(&bytes)[..], [Event::Head { end: true, .. }]));
        assert!(client.incoming.bytes.ends_with(&text.as_bytes()[text.len() - length..]));
    }
}

/// Nothing is gathered but one frame, and a frame of content not at all.
#[test]
fn content_is_told_as_it_comes() {
    let mut end = End::server();
    end.ask(1, POST, false);
    let bytes = data(1, b"0123456789", true);
    assert_eq!(end.feed(&bytes[..HEADER_BYTES]), []);
    assert!(
        matches!(&end.feed(&bytes[HEADER_BYTES..12])[..], [Event::Data { range, end: false, .. }] if *range == (0..3))
    );
    assert!(matches!(&end.feed(&bytes[12..])[..], [Event::Data { range, end: true, .. }] if *range == (0..7)));
}
