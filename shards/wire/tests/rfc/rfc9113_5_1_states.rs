//! RFC 9113 §5.1: every kind of frame in every state of a stream, as one table; and the ids of streams.

use wire::Method;
use wire::h2::frame::{END_HEADERS, END_STREAM, Kind};
use wire::h2::{Culprit, ErrorCode, Event, ResetBy, Role};

use crate::h2_end::{
    End, GET, OK, Outcome, POST, TRAILERS, config, data, frame, frames, headers, rst_stream, window_update,
};

const PROTOCOL: Outcome = Outcome::Connection(ErrorCode::PROTOCOL_ERROR);
const CLOSED: Outcome = Outcome::Connection(ErrorCode::STREAM_CLOSED);
const SIZE: Outcome = Outcome::Connection(ErrorCode::FRAME_SIZE_ERROR);
use Outcome::{Ignored, Stream, Taken};

/// The frames of the table, on stream 1.
fn row(name: &str) -> Vec<u8> {
    match name {
        "DATA" => data(1, b"abc", false),
        "DATA, END_STREAM" => data(1, b"abc", true),
        "DATA, empty, END_STREAM" => data(1, b"", true),
        "HEADERS" => headers(1, TRAILERS, false),
        "HEADERS, END_STREAM" => headers(1, TRAILERS, true),
        "PRIORITY" => frame(Kind::Priority, 0, 1, &[0, 0, 0, 3, 5]),
        "PRIORITY, short" => frame(Kind::Priority, 0, 1, &[0, 0, 0, 3]),
        "RST_STREAM" => rst_stream(1, ErrorCode::CANCEL),
        "WINDOW_UPDATE" => window_update(1, 10),
        "WINDOW_UPDATE of 0" => window_update(1, 0),
        "WINDOW_UPDATE too far" => window_update(1, (1 << 31) - 1),
        "CONTINUATION" => frame(Kind::Continuation, END_HEADERS, 1, TRAILERS),
        "PUSH_PROMISE" => frame(Kind::PushPromise, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]),
        "SETTINGS on a stream" => frame(Kind::Settings, 0, 1, b""),
        "PING on a stream" => frame(Kind::Ping, 0, 1, &[0; 8]),
        "GOAWAY on a stream" => frame(Kind::GoAway, 0, 1, &[0; 8]),
        "of an unknown kind" => frame(Kind::Unknown(0xbe), 0xff, 1, b"what"),
        other => panic!("{other}"),
    }
}

/// The states of the columns, in which stream 1 of a server is.
const STATES: [&str; 7] =
    ["idle", "open", "half-closed (local)", "half-closed (remote)", "ended", "reset by the peer", "reset by us"];

fn server_in(state: &str) -> End {
    let mut end = End::server();
    let whole = matches!(state, "half-closed (remote)" | "ended");
    if state == "idle" {
        return end;
    }
    let stream = end.ask(1, if whole { GET } else { POST }, whole);
    match state {
        "half-closed (local)" | "ended" => end.answer(stream, true),
        "reset by the peer" => {
            let reset = Event::Reset { stream, code: ErrorCode::CANCEL, by: ResetBy::Peer };
            assert_eq!(end.feed(&rst_stream(1, ErrorCode::CANCEL)), [reset]);
        }
        "reset by us" => end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us),
        _ => {}
    }
    assert_eq!(
        end.connection.active(),
        usize::from(matches!(state, "open" | "half-closed (local)") || state == "half-closed (remote)")
    );
    end
}

#[test]
fn every_frame_in_every_state() {
    let stream_closed = Stream(ErrorCode::STREAM_CLOSED);
    let malformed = Stream(ErrorCode::PROTOCOL_ERROR);
    // idle, open, half-closed (local), half-closed (remote), ended, reset by the peer, reset by us
    let table: [(&str, [Outcome; 7]); 17] = [
        ("DATA", [PROTOCOL, Taken, Taken, stream_closed, CLOSED, CLOSED, Ignored]),
        ("DATA, END_STREAM", [PROTOCOL, Taken, Taken, stream_closed, CLOSED, CLOSED, Ignored]),
        ("DATA, empty, END_STREAM", [PROTOCOL, Taken, Taken, stream_closed, CLOSED, CLOSED, Ignored]),
        // On an idle stream the fields are those of a request, of which all are missing: it is answered with 400.
        ("HEADERS", [Taken, malformed, malformed, stream_closed, CLOSED, CLOSED, Ignored]),
        ("HEADERS, END_STREAM", [Taken, Taken, Taken, stream_closed, CLOSED, CLOSED, Ignored]),
        ("PRIORITY", [Ignored; 7]),
        ("PRIORITY, short", {
            let of_stream = Stream(ErrorCode::FRAME_SIZE_ERROR);
            [SIZE, of_stream, of_stream, of_stream, SIZE, SIZE, SIZE]
        }),
        ("RST_STREAM", [PROTOCOL, Taken, Taken, Taken, Ignored, Ignored, Ignored]),
        ("WINDOW_UPDATE", [PROTOCOL, Ignored, Ignored, Ignored, Ignored, Ignored, Ignored]),
        ("WINDOW_UPDATE of 0", [PROTOCOL, malformed, malformed, malformed, Ignored, Ignored, Ignored]),
        ("WINDOW_UPDATE too far", {
            let of_stream = Stream(ErrorCode::FLOW_CONTROL_ERROR);
            [PROTOCOL, of_stream, of_stream, of_stream, Ignored, Ignored, Ignored]
        }),
        ("CONTINUATION", [PROTOCOL; 7]),
        ("PUSH_PROMISE", [PROTOCOL; 7]),
        ("SETTINGS on a stream", [PROTOCOL; 7]),
        ("PING on a stream", [PROTOCOL; 7]),
        ("GOAWAY on a stream", [PROTOCOL; 7]),
        ("of an unknown kind", [Ignored; 7]),
    ];
    for (name, outcomes) in table {
        for (state, expected) in STATES.into_iter().zip(outcomes) {
            let mut end = server_in(state);
            assert_eq!(end.outcome(&row(name)), expected, "{name} in state {state}");
        }
    }
}

#[test]
fn a_frame_means_the_same_byte_by_byte() {
    for name in
        ["DATA", "DATA, END_STREAM", "HEADERS", "HEADERS, END_STREAM", "WINDOW_UPDATE of 0", "RST_STREAM", "PRIORITY"]
    {
        for state in STATES {
            let whole = server_in(state).outcome(&row(name));
            let mut end = server_in(state);
            end.sent();
            let bytes = row(name);
            let mut seen = Ignored;
            for byte in &bytes {
                match end.try_feed(&[*byte]) {
                    Ok(events) if events.is_empty() => {}
                    Ok(_) if seen == Ignored => seen = Taken,
                    Ok(_) => {}
                    Err(error) => {
                        seen = Outcome::Connection(error.code());
                        break;
                    }
                }
            }
            if let Some(reset) = end.sent_of(Kind::RstStream).first() {
                seen = Stream(ErrorCode(u32::from_be_bytes(reset.payload[..].try_into().unwrap())));
            }
            assert_eq!(seen, whole, "{name} in state {state}");
        }
    }
}

/// The states of a client's stream, in which stream 1 is; and what answers may come in them.
#[test]
fn every_frame_in_every_state_of_a_client() {
    let client_in = |state: &str| {
        let mut end = End::client();
        match state {
            "idle" => {}
            "awaiting, request open" => _ = end.request(Method::Post, false),
            "awaiting" => _ = end.request(Method::Get, true),
            "answered" => {
                end.request(Method::Get, true);
                end.feed(&headers(1, OK, false));
            }
            "ended" => {
                end.request(Method::Get, true);
                end.feed(&headers(1, OK, true));
            }
            "reset by us" => {
                let stream = end.request(Method::Get, true);
                end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
            }
            other => panic!("{other}"),
        }
        end.sent();
        end
    };
    let states = ["idle", "awaiting, request open", "awaiting", "answered", "ended", "reset by us"];
    let malformed = Stream(ErrorCode::PROTOCOL_ERROR);
    let table: [(&str, Vec<u8>, [Outcome; 6]); 8] = [
        ("DATA", data(1, b"abc", false), [PROTOCOL, malformed, malformed, Taken, CLOSED, Ignored]),
        ("200", headers(1, OK, false), [PROTOCOL, Taken, Taken, malformed, CLOSED, Ignored]),
        ("200, END_STREAM", headers(1, OK, true), [PROTOCOL, Taken, Taken, Taken, CLOSED, Ignored]),
        ("100", headers(1, b"\x08\x03100", false), [PROTOCOL, Taken, Taken, malformed, CLOSED, Ignored]),
        ("100, END_STREAM", headers(1, b"\x08\x03100", true), [PROTOCOL, malformed, malformed, Taken, CLOSED, Ignored]),
        ("RST_STREAM", rst_stream(1, ErrorCode::CANCEL), [PROTOCOL, Taken, Taken, Taken, Ignored, Ignored]),
        ("WINDOW_UPDATE", window_update(1, 1), [PROTOCOL, Ignored, Ignored, Ignored, Ignored, Ignored]),
        ("HEADERS on a stream of the server", headers(2, OK, true), [PROTOCOL; 6]),
    ];
    for (name, bytes, outcomes) in table {
        for (state, expected) in states.into_iter().zip(outcomes) {
            // As trailers, these blocks have a pseudo-header field, which is no more right than one without END_STREAM.
            let expected = if state == "answered" && name.contains("00") { malformed } else { expected };
            assert_eq!(client_in(state).outcome(&bytes), expected, "{name}: {state}");
        }
    }
}

/// §5.1.1
#[test]
fn ids_rise_and_are_odd() {
    let mut end = End::server();
    end.ask(5, GET, true);
    assert_eq!(end.outcome(&headers(3, GET, true)), CLOSED, "those below are closed");
    assert_eq!(End::server().outcome(&headers(2, GET, true)), PROTOCOL);
    assert_eq!(End::server().outcome(&headers(0, GET, true)), PROTOCOL);
    let mut end = End::server();
    end.ask((1 << 31) - 1, GET, true);

    let mut end = End::client();
    let ids: Vec<u32> = (0..3).map(|_| end.request(Method::Get, true).id).collect();
    assert_eq!(ids, [1, 3, 5]);
}

/// §5.1.2
#[test]
fn streams_beyond_the_limit_are_refused_and_may_be_tried_again() {
    let mut end = End::new(wire::h2::Config { streams_max: 2, ..config(Role::Server) });
    let first = end.ask(1, GET, true);
    end.ask(3, GET, true);
    assert_eq!(end.outcome(&headers(5, POST, false)), Stream(ErrorCode::REFUSED_STREAM));
    // What was on its way is not at fault.
    assert_eq!(end.outcome(&data(5, b"abc", false)), Ignored);
    assert_eq!(end.outcome(&headers(5, TRAILERS, true)), Ignored);
    assert_eq!(end.outcome(&data(5, b"abc", true)), CLOSED, "after its end nothing can be on its way");

    let mut end = End::new(wire::h2::Config { streams_max: 2, ..config(Role::Server) });
    end.ask(1, GET, true);
    let second = end.ask(3, GET, true);
    end.answer(second, true);
    end.ask(5, GET, true);
    assert_eq!(end.connection.active(), 2);
    assert_eq!(first.slot + second.slot, 1, "slots are used again, from the lowest");
}

/// A half of a stream that has ended is not ended twice, and a stream is gone when both have.
#[test]
fn a_stream_ends_when_both_halves_have() {
    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    end.answer(stream, false);
    end.connection.queue_data(stream, 3, true).unwrap();
    let sent = end.sent();
    assert_eq!(
        sent.last().map(|frame| (frame.kind, frame.flags, frame.payload.len())),
        Some((Kind::Data, END_STREAM, 3))
    );
    assert_eq!(end.connection.active(), 1, "the request goes on");
    assert!(end.connection.queue_data(stream, 1, false).is_err());
    assert_eq!(end.feed(&data(1, b"", true)), [Event::Data { stream, range: 0..0, end: true }]);
    assert_eq!(end.connection.active(), 0);
    assert!(end.connection.queue_data(stream, 1, false).is_err());
    end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    assert_eq!(frames(b""), end.sent(), "a stream that is gone cannot be reset");
}

/// Of the streams that were reset the last hundred or so are remembered; of those before nobody can tell any more, so
/// nothing is held against the peer but a budget.
#[test]
fn resets_are_forgotten_in_order() {
    let mut end = End::server();
    for id in (1..=401).step_by(2) {
        let stream = end.ask(id, POST, false);
        end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    }
    for id in [1, 3, 101, 301, 401] {
        assert_eq!(end.outcome(&data(id, b"late", false)), Ignored, "{id}");
    }
    let stream = end.ask(403, GET, true);
    end.answer(stream, true);
    assert_eq!(end.outcome(&data(403, b"never", false)), CLOSED);
}
