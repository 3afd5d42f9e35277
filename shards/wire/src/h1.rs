//! HTTP/1.1 and HTTP/1.0 on the wire. RFC 9112
//!
//! Bytes come in through [`parse_request`] and [`parse_response`] and through a [`Decoder`]; they go out through
//! [`mod@write`]. [`ServerConnection`] and [`ClientConnection`] join these into the two ends of a connection that
//! carries one exchange after another, and decide framing and persistence; a [`Pipeline`] is the client's end where
//! several are under way. Each could be used without the ones above it.

pub mod body;
pub mod client;
pub mod edits;
mod encode;
mod fast;
pub(crate) mod gate;
mod grammar;
pub mod pipeline;
mod read;
pub mod server;
pub mod write;

pub use crate::Trailers;
pub use body::{Decoded, Decoder};
pub use client::ClientConnection;
pub use edits::{EditError, Edits, Line};
pub use pipeline::Pipeline;
#[doc(hidden)]
pub use read::parse_request_by_grammar;
pub use read::{Parsed, parse_request, parse_response};
pub use server::{Next, ServerConnection};
pub use write::{ChunkSize, ConnectionOption, DataFraming, OutputError, ResponseFraming};
