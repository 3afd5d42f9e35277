//! The client's side of a connection: what is said ([`protocol`]), in what ([`tls`]) and through what ([`socket`]).

pub mod http1;
pub mod http2;
pub mod protocol;
pub mod socket;
pub mod tls;
pub mod websocket;
