//! WebSockets that a route looks into.

use std::time::Duration;

/// How the frames of a route's WebSockets are held to RFC 6455, and how its ends are seen to be alive. Without it the tunnel is
/// not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocket {
    /// Bytes of a frame's payload, in either direction. 1 to [`WebSocket::message_bytes_max`].
    pub frame_bytes_max: u64,
    /// Bytes of a message's payload, in either direction; of a compressed message, as they pass. 1 byte to 1 TiB.
    pub message_bytes_max: u64,
    /// For how long nothing may come from an end until it is sent a ping. Zero sends none.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub pong_timeout: Duration,
}

impl Default for WebSocket {
    fn default() -> WebSocket {
        WebSocket {
            frame_bytes_max: 16 << 20,
            message_bytes_max: 16 << 20,
            ping_interval: Duration::from_secs(30),
            pong_timeout: Duration::from_secs(20),
        }
    }
}
