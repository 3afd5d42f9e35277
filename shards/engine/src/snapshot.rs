//! How a shard's upstreams stand: told when it is asked, so that nobody pays for it who does not ask.
//!
//! What happens with every request is counted in [`crate::Counters`], which can be read at any time. This is the rest: what
//! only the shard's own data structures know. The answer also shows that the shard's loop turns.

use std::sync::Arc;
use std::time::Duration;

use plan::{Address, Plan};

/// How one shard's upstreams stand at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The Plan that it serves new requests by.
    pub plan: Arc<Plan>,
    /// Its upstreams, in the order of the Plan.
    pub upstreams: Vec<UpstreamSnapshot>,
}

/// One upstream, as a shard sees it.
#[derive(Debug)]
pub struct UpstreamSnapshot {
    /// Connections to it that are open, idle ones included.
    pub connections: u32,
    /// Its servers, those that names stand for included.
    pub servers: Vec<ServerSnapshot>,
}

/// One server of an upstream, as a shard sees it.
#[derive(Debug)]
pub struct ServerSnapshot {
    /// Where it is.
    pub address: Address,
    /// Its share, relative to the others'.
    pub weight: u16,
    /// Whether it gets no new requests, by an operator's order.
    pub draining: bool,
    /// What the shard thinks of its health.
    pub standing: Standing,
    /// Requests that are with it, or on their way.
    pub active: u32,
    /// Connections that wait for a request.
    pub idle_connections: u32,
    /// Requests that it was chosen for since the shard knows it.
    pub requests: u64,
    /// Those of them that it failed.
    pub failures: u64,
}

/// What a shard thinks of a server's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It gets its share of the requests.
    Up,
    /// It gets none for this long.
    Ejected(Duration),
    /// One request finds out whether it is back.
    OnTrial,
}
