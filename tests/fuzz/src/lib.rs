//! The properties that the fuzz targets check, one module for each target.
//!
//! Not to panic is the least of them. Each module holds the code against something independent: the fast reader against
//! the scalar grammar and against httparse alone, a message against its own reading after it was written anew, a body
//! in pieces against the body in one piece and against a naive decoder, the two ends of a connection against each other, in either version,
//! frames of HTTP/2 in pieces against the same in one,
//! the answers of a shared connection against the ids of their requests, a line of the PROXY protocol against
//! one read word by word, a block of HPACK against a decoder that goes bit by bit, a head of HTTP/2 against the reading of its
//! text as HTTP/1 and against its own after it was written anew, a ClientHello against itself in other records, an answer of
//! OCSP against those that were signed, a WebSocket's frames against a reader that has them whole, and what a session of TLS gives out against what
//! rustls's own connection was given to send.

pub mod chunked;
pub mod connection;
pub mod h2_frames;
pub mod h2_heads;
pub mod h2_operations;
pub mod hpack;
pub mod loadgen_response;
pub mod ocsp;
pub mod path;
pub mod pipeline;
pub mod proxy_protocol;
pub mod request_head;
pub mod response_head;
pub mod tls_hello;
pub mod tls_session;
pub mod websocket;

use wire::Limits;

/// Limits that the first byte of an input chooses: ordinary ones, or so small that each of them is met.
fn limits(choice: u8) -> Limits {
    match choice % 3 {
        0 => Limits {
            head_bytes_max: 128,
            start_line_bytes_max: 48,
            fields_max: 4,
            target_bytes_max: 32,
            field_bytes_max: 40,
        },
        1 => Limits { head_bytes_max: 8192, start_line_bytes_max: 4096, fields_max: 300, ..Limits::default() },
        _ => Limits::default(),
    }
}

/// Limits with room for what a writer adds to any message that was parsed within [`limits`].
const ROOMY: Limits = Limits {
    head_bytes_max: 1 << 20,
    start_line_bytes_max: 1 << 20,
    fields_max: 1000,
    target_bytes_max: 1 << 20,
    field_bytes_max: 1 << 20,
};
