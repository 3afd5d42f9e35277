//! `shards/tls`.

pub mod session;
