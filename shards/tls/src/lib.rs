//! TLS without sockets: bytes in, bytes out.
//!
//! The crate conducts handshakes with rustls, and protects records itself, with the keys that the handshake gave: from the
//! buffer in which they came straight to where the plaintext is wanted, and from where the plaintext lies straight into what
//! is sent. It knows no sockets, no HTTP, no files, no threads; memory for bytes is the caller's.
//!
//! # The path through the files
//! [`acceptor`] (which policy a client meets), [`tickets`] (how it comes back).

#![forbid(unsafe_code)]

pub mod acceptor;
mod provider;
pub mod tickets;

pub use acceptor::{Acceptor, AcceptorError, Host, certify};
pub use rustls;
pub use tickets::TicketKeys;
