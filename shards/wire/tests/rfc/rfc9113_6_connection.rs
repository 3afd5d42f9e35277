//! RFC 9113 §6.5 to §6.8: SETTINGS, PING and GOAWAY; §3.5 and §9.1, leaving in two steps.

use wire::Method;
use wire::h2::frame::{ACK, Kind, MAX_31_BITS, settings as ids};
use wire::h2::{Config, Culprit, ErrorCode, Event, Role, SendError};

use crate::h2_end::{End, Frame, GET, OK, Outcome, POST, config, data, frame, headers, settings};

const PROTOCOL: Outcome = Outcome::Connection(ErrorCode::PROTOCOL_ERROR);

fn goaway(last_stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(Kind::GoAway, 0, 0, &[last_stream.to_be_bytes(), code.0.to_be_bytes()].concat())
}

/// The last stream and the code of each GOAWAY.
fn goaways(sent: &[Frame]) -> Vec<(u32, ErrorCode)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let frames = sent.iter().filter(|frame| frame.kind == Kind::GoAway);
    frames.map(|frame| (number(&frame.payload[..4]), ErrorCode(number(&frame.payload[4..])))).collect()
}

/// §6.5.3
#[test]
fn settings_are_acknowledged_one_by_one() {
    let mut end = End::server();
    end.feed(&[settings(&[]), settings(&[(ids::MAX_FRAME_SIZE, 20_000)]), settings(&[])].concat());
    let sent = end.sent();
    assert!(sent.iter().all(|frame| (frame.kind, frame.flags, frame.payload.len()) == (Kind::Settings, ACK, 0)));
    assert_eq!(sent.len(), 3);
    assert_eq!(end.connection.peer_settings().frame_bytes_max, 20_000);
    assert_eq!(end.outcome(&frame(Kind::Settings, ACK, 0, b"")), Outcome::Ignored, "one too many is not worth a word");
}

/// §6.5.2, RFC 8441 §3, RFC 9218 §2.1
#[test]
fn settings_have_ranges() {
    let flow = Outcome::Connection(ErrorCode::FLOW_CONTROL_ERROR);
    let rows = [
        (ids::HEADER_TABLE_SIZE, u32::MAX, Outcome::Taken),
        (ids::ENABLE_PUSH, 0, Outcome::Taken),
        (ids::ENABLE_PUSH, 1, Outcome::Taken),
        (ids::ENABLE_PUSH, 2, PROTOCOL),
        (ids::MAX_CONCURRENT_STREAMS, 0, Outcome::Taken),
        (ids::MAX_CONCURRENT_STREAMS, u32::MAX, Outcome::Taken),
        (ids::INITIAL_WINDOW_SIZE, 0, Outcome::Taken),
        (ids::INITIAL_WINDOW_SIZE, MAX_31_BITS, Outcome::Taken),
        (ids::INITIAL_WINDOW_SIZE, MAX_31_BITS + 1, flow),
        (ids::MAX_FRAME_SIZE, 16_383, PROTOCOL),
        (ids::MAX_FRAME_SIZE, 16_384, Outcome::Taken),
        (ids::MAX_FRAME_SIZE, (1 << 24) - 1, Outcome::Taken),
        (ids::MAX_FRAME_SIZE, 1 << 24, PROTOCOL),
        (ids::MAX_HEADER_LIST_SIZE, 0, Outcome::Taken),
        (ids::ENABLE_CONNECT_PROTOCOL, 2, PROTOCOL),
        (ids::NO_RFC7540_PRIORITIES, 1, Outcome::Taken),
        (ids::NO_RFC7540_PRIORITIES, 2, PROTOCOL),
        (0x7, u32::MAX, Outcome::Taken),
        (0xbaba, u32::MAX, Outcome::Taken),
    ];
    for (id, value, outcome) in rows {
        assert_eq!(End::server().outcome(&settings(&[(id, value)])), outcome, "{id:#x} {value}");
    }
    // A server says nothing of pushes but that there are none, and takes nothing back.
    assert_eq!(End::client().outcome(&settings(&[(ids::ENABLE_PUSH, 1)])), PROTOCOL);
    assert_eq!(End::client().outcome(&settings(&[(ids::ENABLE_PUSH, 0)])), Outcome::Taken);
    let mut end = End::with_settings(Config::client(), &[(ids::ENABLE_CONNECT_PROTOCOL, 1)]);
    assert!(end.connection.peer_settings().extended_connect);
    assert_eq!(end.outcome(&settings(&[(ids::ENABLE_CONNECT_PROTOCOL, 0)])), PROTOCOL);
}

/// What is told is what was configured, and no more than that.
#[test]
fn our_settings_say_what_differs() {
    let said = |config: Config| {
        let sent = End::bare(config).sent();
        let entries: Vec<(u16, u32)> = ids::entries(&sent[0].payload).map(Result::unwrap).collect();
        entries
    };
    let list = (ids::MAX_HEADER_LIST_SIZE, 32 << 10);
    assert_eq!(said(Config::server()), [(ids::MAX_CONCURRENT_STREAMS, 128), (ids::NO_RFC7540_PRIORITIES, 1), list]);
    let config = Config {
        extended_connect: true,
        stream_window_bytes: 70_000,
        frame_bytes_max: 1 << 15,
        decoder_table_bytes: 100,
        ..Config::client()
    };
    let rest = [(ids::INITIAL_WINDOW_SIZE, 70_000), (ids::MAX_FRAME_SIZE, 1 << 15), list];
    assert_eq!(said(config.clone())[..2], [(ids::HEADER_TABLE_SIZE, 100), (ids::ENABLE_PUSH, 0)]);
    assert_eq!(said(config.clone())[2..], rest);
    assert!(said(Config { role: Role::Server, ..config }).contains(&(ids::ENABLE_CONNECT_PROTOCOL, 1)));
}

/// §6.5.2: how many streams we open is for the peer to say; before it has, it is taken to allow a hundred.
#[test]
fn a_client_opens_no_more_streams_than_the_server_takes() {
    let mut end = End::bare(Config::client());
    assert_eq!(end.connection.streams_available(), 100);
    end.greet(&[(ids::MAX_CONCURRENT_STREAMS, 2)]);
    assert_eq!(end.connection.streams_available(), 2);
    end.request(Method::Get, true);
    end.request(Method::Get, true);
    let head = crate::request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let edits = wire::h1::Edits::new();
    let reached = (wire::Scheme::Http, b"a".as_slice());
    let refused = end.connection.send_request(&head, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &edits, reached, true);
    assert_eq!(refused, Err(SendError::Unavailable));
    end.feed(&headers(1, OK, true));
    assert_eq!(end.connection.streams_available(), 1);
    end.feed(&settings(&[(ids::MAX_CONCURRENT_STREAMS, 0)]));
    assert_eq!(end.connection.streams_available(), 0, "fewer than are open");
}

/// §4.2: frames of content are no longer than the peer takes.
#[test]
fn frames_are_no_longer_than_the_peer_takes() {
    let config = Config { data_frame_bytes_max: 1 << 20, ..Config::server() };
    for (told, expected) in [(16_384, 16_384), (30_000, 30_000)] {
        let mut end = End::with_settings(config.clone(), &[(ids::MAX_FRAME_SIZE, told)]);
        let stream = end.ask(1, GET, true);
        end.answer(stream, false);
        end.connection.queue_data(stream, 60_000, true).unwrap();
        assert_eq!(end.sent_of(Kind::Data)[0].payload.len(), expected);
    }
}

/// §6.7
#[test]
fn pings_are_answered_with_what_they_carry() {
    let mut end = End::server();
    end.feed(&frame(Kind::Ping, 0, 0, b"whatever"));
    let sent = end.sent();
    assert_eq!((sent[0].kind, sent[0].flags, &sent[0].payload[..]), (Kind::Ping, ACK, b"whatever".as_slice()));
    assert_eq!(end.outcome(&frame(Kind::Ping, ACK, 0, b"whatever")), Outcome::Ignored, "an answer to no question");

    assert!(end.connection.ping());
    assert!(!end.connection.ping(), "one at a time");
    let asked = end.sent_of(Kind::Ping);
    assert_eq!(end.feed(&frame(Kind::Ping, ACK, 0, &asked[0].payload)), [Event::Pong]);
    assert_eq!(end.feed(&frame(Kind::Ping, ACK, 0, &asked[0].payload)), []);
    assert!(end.connection.ping());
}

/// §6.8: no request is lost that was on its way when the server began to leave.
#[test]
fn a_server_leaves_in_two_steps() {
    let mut end = End::server();
    let first = end.ask(1, GET, true);
    end.connection.drain();
    end.connection.drain();
    let sent = end.sent();
    assert_eq!(goaways(&sent), [(MAX_31_BITS, ErrorCode::NO_ERROR)]);
    let ping = sent.iter().find(|frame| frame.kind == Kind::Ping).expect("how else to know that it was read");
    let second = end.ask(3, POST, false);
    assert!(!end.connection.is_drained());
    end.feed(&frame(Kind::Ping, ACK, 0, &ping.payload));
    assert_eq!(goaways(&end.sent()), [(3, ErrorCode::NO_ERROR)]);

    // What comes now nobody wants, and nobody is told; but it counts.
    assert_eq!(end.outcome(&headers(5, &[POST, b"\x40\x01a\x01b"].concat(), false)), Outcome::Ignored);
    assert_eq!(end.outcome(&data(5, b"abc", true)), Outcome::Ignored);
    assert_eq!(
        end.outcome(&headers(3, b"\xbe", true)),
        Outcome::Taken,
        "trailers, of an entry that the ignored head made"
    );
    end.answer(first, true);
    assert!(!end.connection.is_drained());
    end.answer(second, true);
    assert!(end.connection.is_drained());
    assert_eq!(goaways(&end.sent()), []);
}

#[test]
fn a_server_that_cannot_wait_leaves_at_once() {
    let mut end = End::server();
    end.ask(1, GET, true);
    end.connection.drain_now();
    assert_eq!(goaways(&end.sent()), [(MAX_31_BITS, ErrorCode::NO_ERROR), (1, ErrorCode::NO_ERROR)]);
    let mut end = End::server();
    end.connection.go_away(ErrorCode::ENHANCE_YOUR_CALM);
    end.connection.go_away(ErrorCode::NO_ERROR);
    end.connection.drain();
    assert_eq!(goaways(&end.sent()), [(0, ErrorCode::ENHANCE_YOUR_CALM)]);
    assert!(end.connection.is_drained());
    // An error still says what it is, and names no higher stream.
    assert_eq!(end.feed(&headers(1, GET, true)), []);
    assert!(end.try_feed(&data(9, b"", false)).is_err());
    assert_eq!(goaways(&end.sent()), [(0, ErrorCode::PROTOCOL_ERROR)]);
}

/// §6.8: those above the last stream were not acted on, and may be tried elsewhere.
#[test]
fn a_client_learns_what_was_not_processed() {
    let mut end = End::client();
    let streams: Vec<_> = (0..3).map(|_| end.request(Method::Get, true)).collect();
    let told = |last_stream| Event::GoAway { last_stream, code: ErrorCode::NO_ERROR };
    assert_eq!(end.feed(&goaway(MAX_31_BITS, ErrorCode::NO_ERROR)), [told(MAX_31_BITS)]);
    assert_eq!((end.connection.streams_available(), end.connection.active()), (0, 3));
    assert_eq!(end.feed(&goaway(3, ErrorCode::NO_ERROR)), [told(3)]);
    assert_eq!(end.connection.active(), 2);
    end.connection.reset(streams[2], ErrorCode::CANCEL, Culprit::Us);
    assert_eq!(end.sent_of(Kind::RstStream), [], "it is gone");
    end.feed(&headers(1, OK, true));
    assert!(!end.connection.is_drained());
    end.feed(&headers(3, OK, true));
    assert!(end.connection.is_drained());
    assert_eq!(end.outcome(&goaway(5, ErrorCode::NO_ERROR)), PROTOCOL, "the last stream never rises");
}

#[test]
fn a_client_leaves_when_its_streams_have_ended() {
    let mut end = End::client();
    end.request(Method::Get, true);
    end.connection.drain();
    assert_eq!(goaways(&end.sent()), [(0, ErrorCode::NO_ERROR)]);
    assert_eq!(end.connection.streams_available(), 0);
    assert!(!end.connection.is_drained());
    end.feed(&headers(1, OK, true));
    assert!(end.connection.is_drained());
}

/// §5.4.1: the connection's error is told once, with the last stream that was acted on, and nothing else happens any
/// more.
#[test]
fn an_error_is_told_and_is_the_end() {
    for role in [Role::Server, Role::Client] {
        let mut end = End::new(config(role));
        let stream = if role == Role::Server { end.ask(7, GET, true) } else { end.request(Method::Get, true) };
        end.sent();
        let error = end.try_feed(&frame(Kind::Data, 0, 0, b"")).unwrap_err();
        let last = if role == Role::Server { 7 } else { 0 };
        assert_eq!(goaways(&end.sent()), [(last, ErrorCode::PROTOCOL_ERROR)]);
        assert_eq!(end.try_feed(b""), Err(error));
        assert!(end.connection.is_drained());
        assert!(end.connection.queue_data(stream, 1, false).is_err());
        assert_eq!(end.connection.streams_available(), 0);
        assert!(!end.connection.ping());
        end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
        end.connection.drain();
        assert_eq!(end.sent(), []);
    }
}

/// §7
#[test]
fn codes_have_names() {
    assert_eq!(ErrorCode::HTTP_1_1_REQUIRED.name(), Some("HTTP_1_1_REQUIRED"));
    assert_eq!(ErrorCode::NO_ERROR.to_string(), "NO_ERROR");
    assert_eq!((ErrorCode(0xe).name(), ErrorCode(0xe).to_string()), (None, "0xe".to_owned()));
}
