//! The limits that an exchange or a connection can meet, by the names under which they are configured.

/// A limit that was met. It stands in the access record of the exchange that met it, and is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Limit {
    /// Bytes of a head.
    HeadBytes,
    /// Bytes of a request's target.
    UriBytes,
    /// Number of fields.
    Fields,
    /// Bytes of one field.
    FieldBytes,
    /// Bytes of a request's body.
    BodyBytes,
    /// Bytes a second of a client.
    BodyRate,
    /// Connections of a shard: accepting paused.
    Connections,
    /// Connections of one address: one more was closed.
    ConnectionsPerClient,
    /// Requests of one connection: it was closed after the last.
    RequestsPerConnection,
    /// Breaches of the protocol by one address: a connection from there was closed.
    GlitchesPerClient,
    /// The time for a head.
    HeadTime,
    /// The time that a body may stand still on the client's side.
    BodyIdle,
    /// The time for a whole exchange.
    RequestTime,
    /// The time that a connection may be idle.
    KeepAlive,
    /// The time that ready work may wait: a request was refused.
    QueueTime,
    /// Connections to one upstream.
    UpstreamConnections,
    /// The time for connecting to a server.
    UpstreamConnect,
    /// The time for the head of an answer.
    UpstreamHead,
    /// The time that a body may stand still on the upstream's side.
    UpstreamBodyIdle,
    /// Bytes a second of a server.
    UpstreamBodyRate,
    /// The time that the upstream may be silent in a stream of events.
    StreamIdle,
    /// The time for a stream of events.
    StreamTime,
    /// Bytes of a WebSocket's frame.
    WebSocketFrame,
    /// Bytes of a WebSocket's message.
    WebSocketMessage,
    /// The time that an end of a WebSocket may take to answer a ping.
    WebSocketPong,
    /// Descriptors, memory or ports of the system.
    System,
    /// The time for what was under way when the shard was told to stop.
    Drain,
}

impl Limit {
    /// All names, in the order of the limits: section and key of the configuration, where there is one.
    pub const NAMES: [&'static str; 27] = [
        "limits.head_bytes",
        "limits.uri_bytes",
        "limits.fields",
        "limits.field_bytes",
        "limits.body_bytes",
        "limits.body_rate_min",
        "limits.connections",
        "limits.connections_per_client",
        "limits.requests_per_connection",
        "limits.glitches_per_client",
        "timeouts.head",
        "timeouts.body_idle",
        "timeouts.request",
        "timeouts.keep_alive",
        "overload.queue_time",
        "upstreams.connections",
        "upstreams.connect_timeout",
        "upstreams.head_timeout",
        "upstreams.body_idle_timeout",
        "upstreams.body_rate_min",
        "routes.stream_idle_timeout",
        "routes.stream_timeout",
        "routes.websocket.frame_bytes",
        "routes.websocket.message_bytes",
        "routes.websocket.pong_timeout",
        "system",
        "timeouts.drain",
    ];

    /// Its place in [`Limit::NAMES`].
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Limit::NAMES[self.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_name() {
        assert_eq!(Limit::HeadBytes.as_str(), "limits.head_bytes");
        assert_eq!(Limit::HeadTime.as_str(), "timeouts.head");
        assert_eq!(Limit::QueueTime.as_str(), "overload.queue_time");
        assert_eq!(Limit::UpstreamBodyRate.as_str(), "upstreams.body_rate_min");
        assert_eq!(Limit::WebSocketPong.as_str(), "routes.websocket.pong_timeout");
        assert_eq!(Limit::System.as_str(), "system");
        assert_eq!(Limit::Drain.index() + 1, Limit::NAMES.len());
    }
}
