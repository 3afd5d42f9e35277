//! What the crate promises, section by section of RFC 9112, 9113, 9218, 9110, 7541 and 6455 and of what may stand ahead of HTTP, then as properties over
//! generated messages.
//! One binary: the modules share the tables' readers below.

// The name under which the rest of the workspace knows the crate.
extern crate ringway_wire as wire;

mod detect;
mod h2_budgets;
mod h2_end;
mod h2_pair;
mod hpack;
mod hpack_properties;
mod hpack_python;
mod properties;
mod proxy_protocol;
mod rfc6455;
mod rfc7541_c_examples;
mod rfc7541_hpack;
mod rfc9110_10_expect;
mod rfc9110_7_forwarding;
mod rfc9112_2_message;
mod rfc9112_3_request_line;
mod rfc9112_4_status_line;
mod rfc9112_5_fields;
mod rfc9112_6_framing;
mod rfc9112_7_chunked;
mod rfc9112_9_connections;
mod rfc9113_4_frames;
mod rfc9113_5_1_states;
mod rfc9113_5_2_flow_control;
mod rfc9113_6_connection;
mod rfc9113_8_messages;
mod rfc9113_8_requests;
mod rfc9113_8_responses;
mod rfc9113_8_writing;
mod rfc9218_priorities;
mod security;
mod tls_hello;

use wire::h1::{Parsed, parse_request, parse_response};
use wire::{Limits, RequestError, RequestHead, ResponseError, ResponseHead};

/// Parses a whole request head, which must take all the bytes.
#[track_caller]
fn request(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = parse_request(bytes, &Limits::default(), &mut head);
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{}", bytes.escape_ascii());
    assert_eq!(head.len(), bytes.len());
    head
}

/// Parses a whole response head, which must take all the bytes.
#[track_caller]
fn response(bytes: &[u8]) -> ResponseHead {
    let mut head = ResponseHead::new();
    let parsed = parse_response(bytes, &Limits::default(), &mut head);
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{}", bytes.escape_ascii());
    assert_eq!(head.len(), bytes.len());
    head
}

/// Rows of malformed requests: the bytes, the fault, the status that tells the client. Each is parsed whole, then byte
/// by byte; the fault must be the same, and must never be preceded by acceptance.
#[track_caller]
fn refuse_requests(rows: &[(&[u8], RequestError, u16)]) {
    for &(bytes, fault, status) in rows {
        let mut head = RequestHead::new();
        let whole = parse_request(bytes, &Limits::default(), &mut head);
        assert_eq!(whole, Err(fault), "{}", bytes.escape_ascii());
        assert_eq!(fault.status(), status, "{fault}");
        for end in 0..bytes.len() {
            match parse_request(&bytes[..end], &Limits::default(), &mut head) {
                Ok(Parsed::Partial) => {}
                early => assert_eq!(early, Err(fault), "{}", bytes[..end].escape_ascii()),
            }
        }
    }
}

/// The same for responses.
#[track_caller]
fn refuse_responses(rows: &[(&[u8], ResponseError)]) {
    for &(bytes, fault) in rows {
        let mut head = ResponseHead::new();
        let whole = parse_response(bytes, &Limits::default(), &mut head);
        assert_eq!(whole, Err(fault), "{}", bytes.escape_ascii());
        for end in 0..bytes.len() {
            match parse_response(&bytes[..end], &Limits::default(), &mut head) {
                Ok(Parsed::Partial) => {}
                early => assert_eq!(early, Err(fault), "{}", bytes[..end].escape_ascii()),
            }
        }
    }
}
