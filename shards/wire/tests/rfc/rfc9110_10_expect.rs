//! RFC 9110 §10.1.1 and §15.2: Expect, 100 (Continue) and the other informational responses.

use wire::h1::{Edits, Next, Parsed, ServerConnection};
use wire::{BodyLength, Limits, RequestError, RequestHead};

use crate::{refuse_requests, request, response};

fn server(bytes: &str) -> ServerConnection {
    let mut server = ServerConnection::new();
    let parsed = server.parse_head(bytes.as_bytes(), &Limits::default(), &mut RequestHead::new());
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())));
    server
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[test]
fn an_expectation_counts_only_with_a_body_to_wait_for() {
    let rows = [
        (EXPECTING, true),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-Continue\r\n\r\n", true),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", false),
        ("POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n", false),
        ("POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nExpect: else\r\n\r\n", false),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue, 100-continue\r\n\r\n", true),
    ];
    for (bytes, expected) in rows {
        assert_eq!(request(bytes.as_bytes()).expect_continue(), expected, "{bytes:?}");
        let mut out = Vec::new();
        assert_eq!(server(bytes).write_continue(&mut out), expected);
        assert_eq!(out, if expected { CONTINUE } else { b"" });
    }
}

#[test]
fn what_nobody_can_promise_is_not_promised() {
    let at = "POST / HTTP/1.1\r\nHost: x\r\nExpect: ".len() as u32;
    for (value, offset) in [("else", 0), ("100-continue, else", 14), ("100-continue;a=b", 0), ("\"100-continue\"", 0)] {
        let bytes = format!("POST / HTTP/1.1\r\nHost: x\r\nExpect: {value}\r\nContent-Length: 3\r\n\r\n");
        let error = RequestError::ExpectationUnknown { at: at + offset };
        refuse_requests(&[(bytes.as_bytes(), error, 417)]);
    }
}

#[test]
fn an_http_1_0_expectation_is_not_passed_on() {
    let bytes = b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    let mut out = Vec::new();
    let none = wire::h1::ConnectionOption::None;
    wire::h1::write::write_request(&mut out, &request(bytes), bytes, &Edits::new(), b"", none);
    assert_eq!(out, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
}

#[test]
fn continue_is_sent_once_and_only_while_it_is_awaited() {
    let mut out = Vec::new();
    let mut once = server(EXPECTING);
    assert!(once.write_continue(&mut out));
    assert!(!once.write_continue(&mut out));
    let upstream = b"HTTP/1.1 100 Continue\r\n\r\n";
    once.write_informational(&mut out, &response(upstream), upstream);
    assert_eq!(out, CONTINUE, "the upstream's 100 after our own is dropped");

    let mut begun = server(EXPECTING);
    begun.decode_body(b"a").unwrap();
    assert!(!begun.write_continue(&mut out), "the client did not wait");
    let mut answered = server(EXPECTING);
    answered.write_own(&mut out, 404, "", b"", &Edits::new());
    assert!(!answered.write_continue(&mut out), "the final response came first");
}

#[test]
fn a_final_answer_to_a_waiting_client_closes_the_connection() {
    let mut out = Vec::new();
    let mut waiting = server(EXPECTING);
    waiting.write_own(&mut out, 417, "", b"", &Edits::new());
    assert_eq!(out, b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(waiting.next(), Next::Close);

    let mut told = server(EXPECTING);
    told.write_continue(&mut out);
    told.write_own(&mut out, 404, "", b"", &Edits::new());
    assert_eq!(told.next(), Next::Drain, "its body is on the way");
}

#[test]
fn informational_responses_are_passed_on_to_1_1_and_never_to_1_0() {
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
    let mut out = Vec::new();
    let mut modern = server("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    modern.write_informational(&mut out, &response(hints), hints);
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert!(modern.response_awaited() && modern.persistent());
    out.clear();
    server("GET / HTTP/1.0\r\n\r\n").write_informational(&mut out, &response(hints), hints);
    assert!(out.is_empty());

    let upstream = b"HTTP/1.1 100 Go\r\n\r\n";
    let mut passed = server(EXPECTING);
    passed.write_informational(&mut out, &response(upstream), upstream);
    assert_eq!(out, b"HTTP/1.1 100 Go\r\n\r\n");
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    passed.write_head(&mut out, &response(answer), answer, &Edits::new(), BodyLength::Exact(0));
    passed.finish(&mut out, None).unwrap();
    assert_eq!(passed.next(), Next::Drain);
}
