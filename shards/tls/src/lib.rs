//! TLS without sockets: bytes in, bytes out.
//!
//! The crate conducts handshakes with rustls, and protects records itself, with the keys that the handshake gave: from the
//! buffer in which they came straight to where the plaintext is wanted, and from where the plaintext lies straight into what
//! is sent. It knows no sockets, no HTTP, no files, no threads; memory for bytes is the caller's, so that an idle connection
//! holds its keys and nothing else.
//!
//! # The path through the files
//! [`acceptor`] (which policy a client meets; [`tickets`], how it comes back) → [`session`] (one connection; the crate's front) → `handshake.rs` (until keys are
//! agreed on, all by rustls) → `traffic.rs` (records from then on, and the little that peers still tell each other) →
//! `record.rs` (one record sealed or opened), `pace.rs` (how large records are). [`negotiated`] tells what was agreed on,
//! [`error`] why a connection has failed. [`ocsp`] judges what an issuer says of a certificate.
//!
//! # Why records are protected here
//! rustls's connections copy what they decrypt into memory of their own and what they encrypt out of it, record by record.
//! rustls gives the traffic's keys away for those who protect records elsewhere ([`rustls::kernel`], meant for the Linux
//! kernel's TLS), and goes on answering what needs its key schedule: updates of keys, and tickets that a server hands out. What
//! is left to do is RFC 8446 §5 and RFC 5246 §6.2, in `record.rs`.
//! Data there and back takes half the time of rustls's connections, buffered or not, in records of 128 bytes, and two thirds in records
//! of 16 KiB (`bench/micro/benches/tls/session.rs`: 0.61 against 1.30 and 1.36 µs, 6.6 against 10.5 and 9.7 µs).

#![forbid(unsafe_code)]

pub mod acceptor;
pub mod connector;
pub mod error;
mod handshake;
pub mod identity;
pub mod negotiated;
pub mod ocsp;
mod pace;
mod provider;
mod record;
pub mod session;
#[cfg(test)]
mod tests;
pub mod tickets;
mod traffic;

pub use acceptor::{Acceptor, AcceptorError, Host, certify};
pub use connector::{Connector, ConnectorError};
pub use error::{Error, Reason};
pub use identity::{Identity, IdentityError};
pub use negotiated::{Group, Negotiated, Version};
pub use rustls;
pub use session::{Progress, Session};
pub use tickets::TicketKeys;
