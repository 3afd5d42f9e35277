//! What HTTP/2's connections went through.

use serde::{Deserialize, Serialize};

/// Counts of connections and of their streams, within the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Http2Counts {
    /// Connections that were made.
    pub connections: u64,
    /// Requests that were sent: each has a stream of its own.
    pub streams: u64,
    /// Streams that the server reset.
    pub resets_received: u64,
    /// Streams that were reset here: what came was no answer, or not in time.
    pub resets_sent: u64,
    /// Connections that the server ended with a GOAWAY.
    pub go_aways: u64,
}

impl Http2Counts {
    /// Whether nothing was counted, as in a run that spoke another protocol.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.connections += other.connections;
        self.streams += other.streams;
        self.resets_received += other.resets_received;
        self.resets_sent += other.resets_sent;
        self.go_aways += other.go_aways;
    }
}
