//! Scripted peers, origins and a harness for end-to-end tests.
//!
//! A test stands on both sides of the proxy: it is the client, and it is the origin. Everything here is blocking sockets
//! and threads, so that a test reads as the story that it tells, and shares no code with the proxy, so that the two cannot
//! make the same mistake. Every wait has a bound ([`deadline::DEADLINE`]) and says what it waited for.
//!
//! - [`Config`] writes a configuration; [`Ringway`] runs the proxy with it and looks at it from outside: its log, its
//!   access records, its descriptors, its memory;
//! - [`Peer`] is one connection, driven byte by byte: the client's end, or the origin's;
//! - [`Origin`] accepts connections, runs a script on each and keeps what it received; [`standard`] is the origin that most
//!   tests want;
//! - [`Message`] and [`Head`] are HTTP/1.1 as seen by a reader that changes nothing;
//! - [`pattern`] is an endless body that is verified without being kept;
//! - [`DnsServer`] answers for names as the test says;
//! - [`FaultProxy`] stands between two ends and does one thing wrong, at one byte; [`scripted`] are exchanges to do it to, and
//!   what may come of them; [`astray`] asks whether each answer reaches who asked;
//! - [`Authority`] signs certificates and, as an [`Ocsp`] responder, says whether they are revoked; [`TlsFront`] speaks TLS for a [`Peer`];
//! - [`Http2Client`] speaks HTTP/2 as it is told, frame by frame;
//! - [`SlowClients`] come by the thousand and send or read a byte a second;
//! - [`Nginx`], [`PythonServer`] and [`Haproxy`] are servers that we did not write, [`WebSocketServer`] and [`WebSocketClients`] both ends of
//!   WebSockets, [`Prometheus`] a reader of metrics, and [`Scrape`] a page of
//!   these.

pub mod address;
pub mod astray;
pub mod certificate;
pub mod config;
pub mod deadline;
pub mod dns;
pub mod fault;
pub mod frames;
pub mod http2;
pub mod message;
pub mod ocsp;
pub mod origin;
pub mod pattern;
pub mod peer;
pub mod process;
pub mod prometheus;
pub mod random;
pub mod ringway;
pub mod scrape;
pub mod scripted;
pub mod servers;
pub mod slow;
pub mod standard;
pub mod tls_front;
pub mod turn;
pub mod websockets;

pub use address::{Address, Port};
pub use certificate::Authority;
pub use config::Config;
pub use deadline::{DEADLINE, Gate, eventually};
pub use dns::DnsServer;
pub use fault::{Fault, FaultProxy};
pub use http2::Http2Client;
pub use message::{Framing, Head, Message};
pub use ocsp::{Ocsp, OcspStatus};
pub use origin::Origin;
pub use peer::Peer;
pub use process::Process;
pub use prometheus::{Prometheus, promtool};
pub use random::Random;
pub use ringway::Ringway;
pub use scrape::Scrape;
pub use servers::{Haproxy, Nginx, PythonServer};
pub use slow::SlowClients;
pub use tls_front::TlsFront;
pub use turn::Turn;
pub use websockets::{WebSocketClients, WebSocketServer};
