//! Where requests go.

use std::time::Duration;

use crate::Address;

/// A group of servers that can each answer the same requests. Requests are spread over them round robin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name that the configuration gave it; it appears in logs and records.
    pub name: String,
    /// The servers, at least one.
    pub servers: Vec<Server>,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long the response's head may take, counted from the moment at which the request was sent whole.
    pub head_timeout: Duration,
    /// How long a body may stand still, in either direction.
    pub body_idle_timeout: Duration,
    /// Bytes a second that a server must take of a request's body, or send of an answer's, on average after
    /// [`crate::Timeouts::body_rate_grace`]. 0, the default, sets no bound: a stream of events may trickle.
    pub body_rate_min: u32,
    /// How long an unused connection is kept.
    pub keep_alive_timeout: Duration,
    /// How many unused connections a shard keeps to this upstream, all its servers together; 0 keeps none.
    pub idle_connections_max: u32,
    /// How many connections a shard opens to this upstream, in use and idle together. A request that finds none free
    /// waits for at most `connect_timeout`, then gets 503.
    pub connections_max: u32,
}

impl Upstream {
    /// An upstream of these servers, with the default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, servers: Vec<Server>) -> Upstream {
        Upstream {
            name: name.into(),
            servers,
            connect_timeout: Duration::from_secs(2),
            head_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(60),
            body_rate_min: 0,
            keep_alive_timeout: Duration::from_secs(30),
            idle_connections_max: 512,
            connections_max: 16_384,
        }
    }
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub address: Address,
}
