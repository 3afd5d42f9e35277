//! How much a client may send or hold, and how long it may take. Each has a safe default.

use std::time::Duration;

/// Bounds on sizes and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's or a response's head, start line and blank line included. More from a client is answered with
    /// 431 (414 where the request line alone is too long), more from an upstream is a 502. 1 KiB to 1 MiB.
    pub head_bytes_max: u32,
    /// Number of header fields of a head, and of a trailer section; more is answered with 431. 1 to 1,000.
    pub fields_max: u16,
    /// Bytes of a request's body after decoding; more is answered with 413.
    pub body_bytes_max: u64,
    /// Client connections that a shard holds at once; beyond it, accepting pauses.
    pub connections_max: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { head_bytes_max: 32 << 10, fields_max: 100, body_bytes_max: 1 << 40, connections_max: 100_000 }
    }
}

/// Bounds on time spent on the client's side. Those on the upstream's side stand in [`crate::Upstream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a request's first byte (for the first request: from the accept) to the end of its head. Progress does not
    /// extend it. Ends in 408.
    pub head: Duration,
    /// How long a request's body, or a response that the client does not read, may stand still.
    pub body_idle: Duration,
    /// How long a connection may be idle between two exchanges.
    pub keep_alive: Duration,
    /// How long exchanges may go on after the order to stop.
    pub drain: Duration,
    /// How long a tunnel (a WebSocket) may be without a byte in either direction.
    pub tunnel_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            head: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(600),
        }
    }
}
