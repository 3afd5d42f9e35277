//! RFC 9113 §8.1: messages over frames: informational responses, content and its length, trailers, and what ends where.

use wire::Method;
use wire::h2::frame::{Kind, settings as ids};
use wire::h2::{Config, ErrorCode, Event, ResetBy, SendError};

use crate::h2_end::{CONTINUE, End, GET, OK, Outcome, POST, TRAILERS, content_length, data, headers};

const MALFORMED: Outcome = Outcome::Stream(ErrorCode::PROTOCOL_ERROR);

/// §8.1.1: more or less content than was announced.
#[test]
fn content_is_as_long_as_was_said() {
    let post = |length: &str| headers(1, &[POST, &content_length(length)].concat(), false);
    let rows: [(&str, Vec<Vec<u8>>, Outcome); 9] = [
        ("3", vec![data(1, b"abc", true)], Outcome::Taken),
        ("3", vec![data(1, b"ab", false), data(1, b"c", false), data(1, b"", true)], Outcome::Taken),
        ("3", vec![data(1, b"abc", false), headers(1, TRAILERS, true)], Outcome::Taken),
        ("0", vec![data(1, b"", true)], Outcome::Taken),
        ("3", vec![data(1, b"abcd", false)], MALFORMED),
        ("3", vec![data(1, b"abc", false), data(1, b"d", true)], MALFORMED),
        ("3", vec![data(1, b"ab", true)], MALFORMED),
        ("3", vec![headers(1, TRAILERS, true)], MALFORMED),
        ("0", vec![data(1, b"a", true)], MALFORMED),
    ];
    for (length, frames, expected) in rows {
        let mut end = End::server();
        end.feed(&post(length));
        let (last, first) = frames.split_last().unwrap();
        first.iter().for_each(|frame| assert_ne!(end.outcome(frame), MALFORMED));
        assert_eq!(end.outcome(last), expected, "{length}: {frames:?}");
        assert_eq!(end.connection.held(), 0);
    }
    // Of the content that is too long nothing is passed on, and the rest is thrown away.
    let mut end = End::server();
    end.feed(&post("3"));
    let bytes = data(1, b"abcd", true);
    assert!(matches!(end.feed(&bytes[..9])[..], [Event::Reset { by: ResetBy::Us, .. }]));
    assert_eq!(end.feed(&bytes[9..]), []);
}

/// §8.1: a second header block ends the message.
#[test]
fn trailers_end_the_message() {
    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    end.feed(&data(1, b"abc", false));
    assert_eq!(end.feed(&headers(1, TRAILERS, true)), [Event::Trailers { stream }]);
    assert_eq!(end.incoming.trailers.bytes(), b"x: y\r\n\r\n");
    assert_eq!(end.outcome(&headers(1, TRAILERS, true)), Outcome::Stream(ErrorCode::STREAM_CLOSED));
}

/// §8.1, RFC 9110 §15.2
#[test]
fn informational_responses_come_before_the_final_one() {
    let mut end = End::client();
    let stream = end.request(Method::Post, false);
    for _ in 0..8 {
        assert_eq!(end.feed(&headers(1, CONTINUE, false)), [Event::Informational { stream }]);
        assert_eq!(end.incoming.response.status(), 100);
    }
    assert_eq!(end.outcome(&headers(1, CONTINUE, false)), MALFORMED, "a ninth");

    let mut end = End::client();
    let stream = end.request(Method::Get, true);
    end.feed(&headers(1, b"\x08\x03103", false));
    assert_eq!(end.feed(&headers(1, OK, true)), [Event::Head { stream, end: true }]);

    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    end.connection.send_continue(stream).unwrap();
    let text = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    end.connection.send_informational(stream, &crate::response(text), text).unwrap();
    end.answer(stream, true);
    let sent = end.sent_of(Kind::Headers);
    assert_eq!(sent.iter().map(|frame| frame.flags & 1).collect::<Vec<_>>(), [0, 0, 1]);
}

/// RFC 9110 §6.4.1: no content in what answers HEAD, and in 204 and 304.
#[test]
fn answers_without_content_have_none() {
    let with_length = [OK, &content_length("5")].concat();
    type Row<'a> = (Method, &'a [u8], &'a [u8], bool, Outcome);
    let rows: [Row<'_>; 6] = [
        (Method::Head, &with_length, b"", true, Outcome::Taken),
        (Method::Head, &with_length, b"abcde", true, MALFORMED),
        (Method::Get, &with_length, b"abcde", true, Outcome::Taken),
        (Method::Get, &with_length, b"abc", true, MALFORMED),
        (Method::Get, b"\x89", b"", true, Outcome::Taken),
        (Method::Get, b"\x8b", b"a", false, MALFORMED),
    ];
    for (method, block, content, ends, expected) in rows {
        let mut end = End::client();
        end.request(method, true);
        assert_eq!(end.outcome(&headers(1, block, false)), Outcome::Taken);
        assert_eq!(end.outcome(&data(1, content, ends)), expected, "{method:?} {content:?}");
    }
    // The head alone.
    for (method, expected) in [(Method::Head, Outcome::Taken), (Method::Get, MALFORMED)] {
        let mut end = End::client();
        end.request(method, true);
        assert_eq!(end.outcome(&headers(1, &with_length, true)), expected);
    }
}

/// §8.1.1: a server may say what is wrong before it resets the stream.
#[test]
fn a_malformed_request_can_be_answered() {
    let mut end = End::server();
    let events = end.feed(&headers(1, b"\x82\x84", false));
    let [Event::Malformed { stream, error }] = events[..] else { panic!("{events:?}") };
    assert_eq!(error.status(), 400);
    assert_eq!(end.feed(&data(1, b"what nobody reads", false)), []);
    assert_eq!(end.connection.held(), 0);
    end.connection.send_status(stream, 400, ("", 0), &wire::h1::Edits::new(), true).unwrap();
    let sent = end.sent();
    assert_eq!([sent[0].kind, sent[1].kind], [Kind::Headers, Kind::RstStream]);
    assert_eq!(sent[1].payload, ErrorCode::NO_ERROR.0.to_be_bytes());
    assert_eq!(end.connection.active(), 0);
    assert_eq!(end.feed(&data(1, b"more of it", true)), []);

    // One that has ended needs no reset.
    let events = end.feed(&headers(3, b"\x82\x84", true));
    let [Event::Malformed { stream, .. }] = events[..] else { panic!("{events:?}") };
    end.connection.send_status(stream, 400, ("", 0), &wire::h1::Edits::new(), true).unwrap();
    assert_eq!(end.sent().len(), 1);

    // With the end behind the answer's content, or before the answer.
    let events = end.feed(&headers(5, b"\x82\x84", false));
    let [Event::Malformed { stream, .. }] = events[..] else { panic!("{events:?}") };
    assert_eq!(end.feed(&headers(5, TRAILERS, true)), []);
    end.connection.send_status(stream, 400, ("text/plain", 3), &wire::h1::Edits::new(), false).unwrap();
    end.connection.queue_data(stream, 3, true).unwrap();
    assert_eq!(end.sent().len(), 2);
    assert_eq!(end.connection.active(), 0);
}

/// A head that is too large is answered too, unless it is so large that it is not even gathered.
#[test]
fn large_heads_are_refused() {
    let field = |bytes: usize| [b"\x00\x01x\x7f".as_slice(), &varint(bytes - 127), &vec![b'~'; bytes]].concat();
    let mut end = End::server();
    let block = [GET, &field(10_000), &field(10_000), &field(10_000), &field(10_000)].concat();
    let bytes = fragments(1, &block);
    let events = end.feed(&bytes);
    assert!(matches!(events[..], [Event::Malformed { error, .. }] if error.status() == 431), "{events:?}");
    let block = [GET, &field(70_000)].concat();
    assert_eq!(End::server().outcome(&fragments(1, &block)), Outcome::Connection(ErrorCode::ENHANCE_YOUR_CALM));
}

/// An integer behind a prefix that is full. RFC 7541 §5.1
fn varint(mut rest: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rest >= 128 {
        bytes.push(128 | (rest % 128) as u8);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// A block in as many frames as it takes.
fn fragments(stream: u32, block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = wire::h2::frame::headers::begin(&mut out);
    out.extend_from_slice(block);
    wire::h2::frame::headers::finish(&mut out, start, stream, true, 16_384);
    out
}

/// RFC 8441: only where the server has said that it takes it; its stream carries bytes both ways.
#[test]
fn an_upgrade_is_an_extended_connect() {
    let text = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let head = crate::request(text);
    let mut edits = wire::h1::Edits::new();
    edits.offer(b"websocket").unwrap();
    let reached = (wire::Scheme::Https, b"a".as_slice());
    let mut client = End::client();
    let refused = client.connection.send_request(&head, text, &edits, reached, false);
    assert_eq!(refused, Err(SendError::ExtendedConnect));

    let mut client = End::with_settings(Config::client(), &[(ids::ENABLE_CONNECT_PROTOCOL, 1)]);
    let mut server = End::new(Config { extended_connect: true, ..Config::server() });
    client.connection.send_request(&head, text, &edits, reached, false).unwrap();
    let asked = &client.sent()[0];
    let stream = server.ask(1, &asked.payload, false);
    assert!(server.incoming.request.upgrade());
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (answer, edits) = (crate::response(switch), wire::h1::Edits::new());
    server.connection.send_response(stream, &answer, switch, &edits, wire::h1::ResponseFraming::None, false).unwrap();
    server.connection.queue_data(stream, 5, false).unwrap();
    let sent = server.sent();
    assert!(matches!(client.feed(&headers(1, &sent[0].payload, false))[..], [Event::Head { end: false, .. }]));
    assert_eq!(client.incoming.response.status(), 101);
    assert!(matches!(client.feed(&data(1, &sent[1].payload, false))[..], [Event::Data { .. }]));
    assert!(matches!(server.feed(&data(1, b"abc", true))[..], [Event::Data { end: true, .. }]));
}

/// Trailers stand behind all content, and are asked for when that has gone out.
#[test]
fn trailers_wait_for_their_turn() {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 4)]);
    let stream = end.ask(1, GET, true);
    end.answer(stream, false);
    end.connection.queue_data(stream, 6, false).unwrap();
    end.connection.queue_trailers(stream).unwrap();
    assert_eq!(end.sent().iter().map(|frame| frame.kind).collect::<Vec<_>>(), [Kind::Headers, Kind::Data]);
    end.feed(&crate::h2_end::window_update(1, 2));
    let mut out = Vec::new();
    assert!(matches!(end.connection.poll_output(&mut out), Some(wire::h2::Output::Data { bytes: 2, end: false, .. })));
    assert_eq!(end.connection.poll_output(&mut out), Some(wire::h2::Output::Trailers { stream }));
    end.connection.send_trailers(stream, &wire::Trailers::default()).unwrap();
    assert_eq!(end.connection.active(), 0);
}
