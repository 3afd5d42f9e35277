//! Protocols without sockets: heads, framing and connections as plain values.
//!
//! The crate turns bytes of a peer into trusted values, once, and trusted values back into bytes. It refuses to know
//! where bytes come from or go to: there is no socket here, no clock, no thread, no random number, and no allocation
//! per message once buffers have grown to their working size. What it needs to decide, it is told as an argument; what
//! it decides, it returns. So every rule of the protocol can be tested and fuzzed by calling a function.
//!
//! A parsed head holds no bytes. It holds [`Span`]s, offsets into the buffer that it was parsed from, so that the
//! buffer may lie in a kernel's receive ring, in a pooled block, or in a test's array, and no lifetime ties the two
//! together. Whoever reads a span hands in the same bytes again.
//!
//! The path through the files, in the order in which a message meets them:
//!
//! - [`span`] and [`field`]: offsets, and header fields with names interned to small tokens;
//! - [`head`]: the trusted heads, [`RequestHead`] and [`ResponseHead`], and what they say;
//! - [`authority`]: `host:port`, the one value that routing and framing both depend on;
//! - [`path`]: the one canonical form of a path;
//! - [`h1`]: HTTP/1.1 and 1.0 on the wire. Inside, `read` runs the `fast` reader and where that stops the exact one,
//!   `grammar`; `gate` makes their result trusted, [`h1::body`] decodes bodies and `encode` frames them again,
//!   [`h1::edits`] and [`h1::write`] put heads on the wire, and [`h1::server`] and [`h1::client`] are the state machines
//!   of the two ends of a connection;
//! - [`hpack`] and [`h2`]: HTTP/2 on the wire. A block of compressed fields becomes the text of a head of HTTP/1 and the same
//!   trusted heads, [`h2::gate`], and those become blocks, [`h2::write`], so that nothing behind them knows two forms of a
//!   message. [`h2::frame`] has a file for each kind of frame, and [`h2::Connection`] is the state machine of either end of a
//!   connection;
//! - `selection`: which fields of a head are passed on, in either version;
//! - [`ws`]: WebSocket's frames, held to their rules while they pass through a tunnel;
//! - [`detect`]: what the first bytes of a connection begin; [`proxy_protocol`] and [`tls_hello`]: what may stand ahead of the
//!   first message, who the connection was opened for and which server a TLS client asks for;
//! - `octet` and `word`: what a byte may stand for, and runs of bytes searched eight at a time, for all of these;
//! - [`error`]: everything that a peer can get wrong, by name and place.
//!
//! Strictness is a security property: a message that two readers could understand in two ways is refused, even where a
//! specification lets a recipient be lenient, because the second reader is the server behind this proxy.

#![forbid(unsafe_code)]

pub mod authority;
pub mod detect;
pub mod error;
pub mod field;
pub mod h1;
pub mod h2;
pub mod head;
pub mod hpack;
mod octet;
pub mod path;
pub mod proxy_protocol;
mod selection;
pub mod span;
pub mod tls_hello;
mod trailers;
mod word;
pub mod ws;

pub use error::{BodyError, FramingError, PathError, RequestError, ResponseError, SyntaxError};
pub use field::{Field, FieldName, FieldNames};
pub use head::{BodyLength, Limits, Method, RequestHead, ResponseHead, Scheme, Target, Version};
pub use span::Span;
pub use trailers::Trailers;
