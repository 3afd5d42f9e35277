//! HTTP/1.1 and HTTP/1.0 on the wire. RFC 9112
//!
//! Bytes come in through [`parse_request`] and [`parse_response`] and through a [`Decoder`]; they go out through
//! [`write`]. [`ServerConnection`] and [`ClientConnection`] join these into the two ends of a connection that carries one
//! exchange after another, and decide framing and persistence. Each could be used without the ones above it.

pub mod body;
pub mod client;
pub mod edits;
mod encode;
mod gate;
mod grammar;
mod read;
pub mod server;
pub mod write;

pub use body::{Decoded, Decoder, Trailers};
pub use client::ClientConnection;
pub use edits::{EditError, Edits};
pub use read::{Parsed, parse_request, parse_response};
pub use server::{Next, ServerConnection};
pub use write::{ChunkSize, ConnectionOption, DataFraming, OutputError, ResponseFraming};

/// The scalar reading of a request head, without the checks on what it means: whether `bytes` begin with a head that obeys
/// the grammar, and its length. Slow; public so that tests and fuzz targets can hold the fast reader against it.
///
/// # Errors
/// The first violation of the grammar or of `limits`.
#[doc(hidden)]
pub fn parse_request_by_grammar(
    bytes: &[u8],
    limits: &crate::Limits,
    head: &mut crate::RequestHead,
) -> Result<Parsed, crate::RequestError> {
    read::parse_request_by_grammar(bytes, limits, head)
}
