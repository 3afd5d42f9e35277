//! HTTP/2 on the wire. RFC 9113
//!
//! - [`gate`]: blocks of compressed fields become heads that are trusted, in the one form that all versions share;
//! - [`mod@write`]: heads become blocks.

pub mod gate;
pub mod write;

pub use gate::{Asked, Excess, HeadDecoder, HeadError, MalformedHead};
pub use write::HeadEncoder;
