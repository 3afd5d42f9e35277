//! A session against a server's bytes, by the sections of RFC 9113.

use proptest::prelude::*;

use super::{Session, frame};
use crate::{
    client::protocol::{Answered, Event, Failure, GoAway, Key},
    load::Target,
    record::ErrorKind,
    scenario::Expect,
};

const WINDOW_BYTES: u32 = 1 << 20;

fn target(body: &'static [u8]) -> &'static Target {
    let field = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    let fields = vec![
        field(":method", "GET"),
        field(":scheme", "http"),
        field(":authority", "127.0.0.1:8080"),
        field(":path", "/small"),
    ];
    let (usual, last) = (&b""[..], &b""[..]);
    let target =
        Target { usual, last, fields: fields.leak(), body, to_head: false, expect: Expect::default(), weight: 1 };
    Box::leak(Box::new(target))
}

/// A frame of the server's.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write_head(&mut bytes, payload.len(), kind, flags, stream);
    bytes.extend_from_slice(payload);
    bytes
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write_settings(&mut bytes, entries);
    bytes
}

/// `:status: 200`, by its index in the static table.
const OK: &[u8] = &[0x88];

fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(1, flags | frame::END_HEADERS, stream, block)
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, payload)
}

fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// A session with so many requests under way, whose keys are 0, 1, ….
fn asked(requests: u32) -> Session {
    let mut session = Session::new(WINDOW_BYTES);
    session.open(&mut Vec::new());
    let target = target(b"");
    (0..requests).for_each(|key| session.request(target, Key(key), &mut Vec::new()));
    session
}

/// What bytes mean that come in pieces of this length.
fn events(session: &mut Session, bytes: &[u8], piece: usize) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        let mut input = piece;
        while !input.is_empty() {
            let received = session.receive(input)?;
            input = &input[received.consumed..];
            events.extend(received.event);
        }
    }
    Ok(events)
}

fn answer(key: u32, status: u16) -> Event {
    Event::Answered(Answered { key: Key(key), status: Some(status), unexpected: None, last: false })
}

#[test]
fn section_3_4_the_preface_comes_first() {
    let mut output = Vec::new();
    Session::new(WINDOW_BYTES).open(&mut output);
    assert!(output.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    let http1 = events(&mut asked(1), b"HTTP/1.1 400 Bad Request\r\n\r\n", 3).unwrap_err();
    assert_eq!(http1.kind, ErrorKind::ProtocolRefused);
    let other = events(&mut asked(1), &frame(6, 0, 0, &[0; 8]), 99).unwrap_err();
    assert_eq!(other.kind, ErrorKind::Malformed, "a PING before SETTINGS");
    let mut silent = asked(1);
    assert_eq!(silent.end().unwrap_err().kind, ErrorKind::ProtocolRefused);
}

#[test]
fn answers_come_in_any_order_and_in_any_pieces() {
    let bytes = [
        settings(&[]),
        head(3, 0, OK),
        data(3, 0, b"hel"),
        head(1, frame::END_STREAM, &[0x89]),
        // Padded, and its end in a frame of its own.
        data(3, frame::PADDED, b"\x02lo\0\0"),
        data(3, frame::END_STREAM, b""),
    ]
    .concat();
    for piece in 1..bytes.len() {
        let events = events(&mut asked(2), &bytes, piece).unwrap();
        assert_eq!(events, [Event::Begun(Key(1)), answer(0, 204), answer(1, 200)], "{piece}");
    }
}

#[test]
fn section_4_3_and_6_10_a_block_may_be_in_several_frames() {
    let block = b"\x88\x5c\x01\x35";
    let pieces = |stream| {
        [settings(&[]), frame(1, 0, 1, &block[..2]), frame(9, frame::END_HEADERS, stream, &block[2..])].concat()
    };
    assert_eq!(events(&mut asked(1), &pieces(1), 99).unwrap(), [Event::Begun(Key(0))]);
    assert_eq!(events(&mut asked(2), &pieces(3), 99).unwrap_err().kind, ErrorKind::Malformed);
    let between = [settings(&[]), frame(1, 0, 1, OK), frame(6, 0, 0, &[0; 8])].concat();
    assert_eq!(events(&mut asked(1), &between, 99).unwrap_err().kind, ErrorKind::Malformed);
}

#[test]
fn section_5_1_2_and_6_5_the_server_says_how_many_streams_it_takes() {
    let mut session = asked(1);
    assert_eq!(session.streams_max(), 100);
    events(&mut session, &settings(&[(3, 7)]), 99).unwrap();
    assert_eq!(session.streams_max(), 7);
    let mut replies = Vec::new();
    session.reply(&mut replies, 99);
    assert_eq!(replies, frame(4, frame::ACK, 0, b""));
}

#[test]
fn section_6_4_a_reset_concerns_one_request() {
    let bytes = [settings(&[]), frame(3, 0, 1, &7_u32.to_be_bytes()), head(3, frame::END_STREAM, OK)].concat();
    let events = events(&mut asked(2), &bytes, 5).unwrap();
    let Event::Failed(Key(0), failure) = &events[0] else { panic!("{events:?}") };
    assert_eq!((failure.kind, &*failure.detail), (ErrorKind::StreamReset, "REFUSED_STREAM"));
    assert_eq!(events[1], answer(1, 200));
}

#[test]
fn section_6_7_a_ping_is_answered() {
    let mut session = asked(1);
    events(&mut session, &[settings(&[]), frame(6, 0, 0, b"12345678")].concat(), 2).unwrap();
    let mut replies = Vec::new();
    session.reply(&mut replies, 99);
    assert!(replies.ends_with(&frame(6, frame::ACK, 0, b"12345678")));
}

#[test]
fn section_6_8_go_away_tells_what_was_not_processed() {
    let told = |code| events(&mut asked(3), &[settings(&[]), go_away(3, code)].concat(), 99).unwrap();
    let unprocessed = vec![Key(2)];
    assert_eq!(told(0), [Event::GoAway(GoAway { unprocessed: unprocessed.clone(), failure: None })]);
    let failure = Some(Failure::new(ErrorKind::GoneAway, "ENHANCE_YOUR_CALM"));
    assert_eq!(told(11), [Event::GoAway(GoAway { unprocessed, failure })]);
}

#[test]
fn section_6_9_a_body_is_sent_as_the_windows_allow() {
    let body: &'static [u8] = vec![b'x'; 100_000].leak();
    let mut session = asked(0);
    session.request(target(body), Key(0), &mut Vec::new());
    let sent = |session: &mut Session| {
        let mut output = Vec::new();
        session.reply(&mut output, 1 << 20);
        output.iter().filter(|byte| **byte == b'x').count()
    };
    events(&mut session, &settings(&[(4, 30_000)]), 99).unwrap();
    assert_eq!(sent(&mut session), 30_000, "what the stream takes");
    assert_eq!(sent(&mut session), 0);
    let update = |stream, bytes: u32| frame(8, 0, stream, &bytes.to_be_bytes());
    events(&mut session, &update(1, 1 << 20), 99).unwrap();
    assert_eq!(sent(&mut session), 35_535, "what the connection takes");
    events(&mut session, &update(0, 1 << 20), 99).unwrap();
    let mut output = Vec::new();
    session.reply(&mut output, 1 << 20);
    let last = frame::HEAD_BYTES + (100_000 - 65_535) % frame::PAYLOAD_BYTES_MAX;
    assert_eq!(output[output.len() - last + 4], frame::END_STREAM);
    assert_eq!(events(&mut session, &update(1, 0), 99).unwrap_err().kind, ErrorKind::Malformed);
}

#[test]
fn section_6_9_windows_are_opened_again_when_half_is_used() {
    let mut session = asked(1);
    let piece = data(1, 0, &[0; 16 << 10]);
    events(&mut session, &[settings(&[]), head(1, 0, OK)].concat(), 99).unwrap();
    let mut output = Vec::new();
    session.reply(&mut output, 99);
    for received in 1..=64 {
        output.clear();
        events(&mut session, &piece, 5000).unwrap();
        session.reply(&mut output, 99);
        // Both windows are as large, so that both are opened at the same time.
        assert_eq!(output.len(), if received == 33 { 2 * 13 } else { 0 }, "{received}");
    }
}

#[test]
fn section_8_1_and_8_2_what_is_no_answer_fails_alone() {
    let other = head(3, frame::END_STREAM, OK);
    for (wrong, what) in [
        (data(1, 0, b"x"), "before its head"),
        (head(1, frame::END_STREAM, b""), "without a status"),
        (head(1, frame::END_STREAM, &[0x88, 0x88]), "two statuses"),
        (head(1, 0, b"\x88\x0f\x0d\x02\x31\x78"), "content-length"),
        (head(1, 0, b"\x88\x00\x0aconnection\x05close"), "HTTP/1"),
        (head(1, 0, b"\x88\x00\x01X\x01y"), "lower case"),
        (head(1, 0, b"\x5c\x01\x35\x88"), "behind other fields"),
        ([head(1, 0, b"\x88\x5c\x01\x35"), data(1, frame::END_STREAM, b"1234")].concat(), "another length"),
        ([head(1, 0, OK), head(1, 0, b"\x00\x01a\x01b")].concat(), "do not end"),
    ] {
        let events = events(&mut asked(2), &[settings(&[]), wrong, other.clone()].concat(), 7).unwrap();
        let failed = |event: &Event| match event {
            Event::Failed(Key(0), failure) => failure.kind == ErrorKind::Malformed && failure.detail.contains(what),
            _ => false,
        };
        assert!(events.iter().any(failed), "{what}: {events:?}");
        assert_eq!(events.last(), Some(&answer(1, 200)), "{what}");
    }
}

#[test]
fn section_8_1_an_interim_answer_and_trailers_are_passed_over() {
    let bytes = [
        settings(&[]),
        // 103, whose status has no index.
        head(1, 0, b"\x08\x03103"),
        head(1, 0, OK),
        data(1, 0, b"x"),
        head(1, frame::END_STREAM, b"\x00\x01a\x01b"),
    ];
    let events = events(&mut asked(1), &bytes.concat(), 99).unwrap();
    assert_eq!(events, [Event::Begun(Key(0)), Event::Begun(Key(0)), answer(0, 200)]);
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_the_request() {
    let mut session = asked(0);
    session.request(target(vec![b'x'; 200_000].leak()), Key(5), &mut Vec::new());
    session.reply(&mut Vec::new(), 1 << 20);
    let bytes = [settings(&[]), head(1, frame::END_STREAM, OK)].concat();
    assert_eq!(events(&mut session, &bytes, 99).unwrap(), [answer(5, 200)]);
    let mut output = Vec::new();
    session.reply(&mut output, 1 << 20);
    assert!(output.ends_with(&frame(3, 0, 1, &frame::CANCEL.to_be_bytes())));
}

#[test]
fn what_concerns_the_connection_ends_it() {
    for wrong in [
        head(5, 0, OK),
        head(2, 0, OK),
        head(0, 0, OK),
        data(5, 0, b"x"),
        data(1, frame::PADDED, b"\x05abc"),
        frame(5, frame::END_HEADERS, 1, &[0, 0, 0, 2, 0x88]),
        frame(4, 0, 0, &[0; 5]),
        frame(4, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff]),
        frame(6, 0, 0, &[0; 7]),
        frame(8, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        head(1, 0, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        head(1, 0, &[0xbe]),
        [0x01, 0, 0, 0, 0, 0, 0, 0, 1].to_vec(),
    ] {
        let outcome = events(&mut asked(2), &[settings(&[]), wrong.clone()].concat(), 99);
        assert_eq!(outcome.unwrap_err().kind, ErrorKind::Malformed, "{wrong:?}");
    }
}

#[test]
fn a_request_that_was_given_up_concerns_nobody() {
    let mut session = asked(2);
    session.cancel(Key(0));
    let bytes = [settings(&[]), head(1, 0, OK), data(1, frame::END_STREAM, b"late"), head(3, frame::END_STREAM, OK)];
    assert_eq!(events(&mut session, &bytes.concat(), 99).unwrap(), [answer(1, 200)]);
    assert!(session.end().is_ok());
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused_in_any_pieces(
        frames in proptest::collection::vec((0..10_u8, any::<u8>(), 0..6_u32, proptest::collection::vec(any::<u8>(), 0..20)), 0..8),
        piece in 1..30_usize,
    ) {
        let mut bytes = settings(&[]);
        for (kind, flags, stream, payload) in frames {
            bytes.extend(frame(kind, flags, stream, &payload));
        }
        let outcome = |piece| {
            let mut session = asked(3);
            events(&mut session, &bytes, piece).map_err(|failure| failure.kind)
        };
        // An error hides the events of its own piece from this test alone, so that only whole outcomes are held together.
        prop_assert_eq!(outcome(piece), outcome(usize::MAX));
    }
}
