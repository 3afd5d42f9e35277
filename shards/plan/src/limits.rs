//! How much a client may send or hold, and how long it may take. Each has a safe default.

use std::time::Duration;

/// Bounds on sizes and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's or a response's head, start line and blank line included. More from a client is answered with
    /// 431 (414 where the request line alone is too long), more from an upstream is a 502. 1 KiB to 1 MiB.
    pub head_bytes_max: u32,
    /// Bytes of a request's target; more is answered with 414. 16 bytes to 1 MiB.
    pub uri_bytes_max: u32,
    /// Number of header fields of a head, and of a trailer section; more is answered with 431. 1 to 1,000.
    pub fields_max: u16,
    /// Bytes of one field line of a head; more from a client is answered with 431, more from an upstream is a 502. 64
    /// bytes to 1 MiB. The default has room for the tickets of Kerberos and for the cookies of careless sites.
    pub field_bytes_max: u32,
    /// Bytes of a request's body after decoding; more is answered with 413.
    pub body_bytes_max: u64,
    /// Client connections that a shard holds at once; beyond it, accepting pauses.
    pub connections_max: u32,
    /// Client connections that a shard holds at once from one address (IPv6: from one /64 network); one more is closed at
    /// once. 0, the default, sets no bound: a whole company may stand behind one address.
    pub connections_per_client_max: u32,
    /// Requests that a connection may carry; the answer to the last one says so. 0, the default, sets no bound: a connection
    /// costs no more memory for being old.
    pub requests_per_connection_max: u32,
    /// Breaches of the protocol that a shard takes from one address (IPv6: one /64 network) in a minute. Beyond it, new
    /// connections from there are closed at once, for a minute. 0 sets no bound.
    pub glitches_per_client_max: u32,
    /// Bytes a second that a client must send of a body, or take of an answer, on average after
    /// [`Timeouts::body_rate_grace`]; 0 sets no bound. Time counts only while it is the client that is waited for.
    pub body_rate_min: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes_max: 32 << 10,
            uri_bytes_max: 8 << 10,
            fields_max: 100,
            field_bytes_max: 16 << 10,
            body_bytes_max: 1 << 40,
            connections_max: 100_000,
            connections_per_client_max: 0,
            requests_per_connection_max: 0,
            glitches_per_client_max: 100,
            // As IIS (minBytesPerSecond); half of what Apache asks for (mod_reqtimeout).
            body_rate_min: 240,
        }
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
    /// How much longer than by `body_rate_min` a body may take, an upstream's too.
    pub body_rate_grace: Duration,
    /// From the end of a request's head to the end of its answer. Ends in 504, or in 408 while the request is not whole. Zero,
    /// the default, sets no bound: downloads and streams of events last as long as they last.
    pub request: Duration,
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
            body_rate_grace: Duration::from_secs(10),
            request: Duration::ZERO,
            keep_alive: Duration::from_secs(60),
            drain: Duration::from_secs(30),
            tunnel_idle: Duration::from_secs(600),
        }
    }
}

/// When a shard that has more to do than it can refuses new requests, so that those it takes are answered in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// How long work that is ready may wait for its turn. If it waits longer for a whole `interval`, new requests are answered
    /// with 503 and `Retry-After: 1` until it does not. Zero refuses none.
    pub queue_time: Duration,
    /// How long that has to last.
    pub interval: Duration,
}

impl Default for Overload {
    fn default() -> Overload {
        Overload { queue_time: Duration::from_millis(100), interval: Duration::from_millis(500) }
    }
}
