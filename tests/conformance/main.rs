//! What RFC 9112 and RFC 9110 demand of a proxy, raw bytes in, raw bytes out. One module for each section, and tables of several
//! hundred requests (`requests/`).
//!
//! Where the RFC lets a recipient choose between leniency and refusal, Ringway refuses: what one recipient repairs and the
//! next one does not is how requests are smuggled.

mod judge;
mod requests;
mod responses;
mod rfc9110_7_2_host;
mod rfc9112_2_message;
mod rfc9112_3_request_line;
mod rfc9112_5_fields;
mod rfc9112_6_body;
mod rfc9112_7_chunked;
mod rfc9112_9_connections;

/// The proxy that Cargo built.
const BINARY: &str = env!("CARGO_BIN_EXE_ringway");
