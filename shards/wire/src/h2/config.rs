//! What one end of a connection allows.

use super::budget::{Budget, BudgetKind, Budgets};
use super::frame::{MAX_31_BITS, PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX};
use super::settings::{TABLE_BYTES_DEFAULT, WINDOW_BYTES_DEFAULT};
use crate::Limits;

/// Which end of the connection this is. RFC 9113 §3.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Requests come in.
    Server,
    /// Requests go out.
    Client,
}

/// What is allowed on a connection, and what is told to the peer in SETTINGS. One of these serves many connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which end this is.
    pub role: Role,
    /// Bounds of heads and trailers. `head_bytes_max` is what SETTINGS_MAX_HEADER_LIST_SIZE says.
    pub heads: Limits,
    /// Streams of the peer that may be open at once (server); streams of ours that we open at once (client).
    pub streams_max: u32,
    /// Bytes that a stream of the peer may send before any were taken off our hands. At least 65,535, which every peer
    /// takes for granted.
    pub stream_window_bytes: u32,
    /// To what that may grow when the path holds more, and `held_bytes_max` leaves room for it.
    pub stream_window_bytes_max: u32,
    /// Bytes that the peer may send on all streams together, beyond those that lie in the caller's hands. At least
    /// 65,535.
    pub connection_window_bytes: u32,
    /// To what that may grow.
    pub connection_window_bytes_max: u32,
    /// Bytes that may lie in the caller's hands. Slow streams hold up no others if that is enough for the windows with
    /// which `streams_max` streams begin and for the connection's largest window; windows grow by what is more than that.
    pub held_bytes_max: u32,
    /// Bytes of the largest frame that is taken: 16,384 to 16,777,215. Frames other than DATA are gathered in memory.
    pub frame_bytes_max: u32,
    /// Bytes of content that go out in one frame, and so in one turn of a stream.
    pub data_frame_bytes_max: u32,
    /// Bytes of the table with which the peer's header blocks are decoded.
    pub decoder_table_bytes: u32,
    /// Bytes of the table with which ours are encoded, at most.
    pub encoder_table_bytes_max: u32,
    /// Whether CONNECT with a `:protocol` is taken. RFC 8441; server only.
    pub extended_connect: bool,
    /// What a peer may ask for that brings it nothing.
    pub budgets: Budgets,
}

impl Config {
    /// Safe defaults for the side of the clients: small windows that grow, 128 streams, 16 MiB in hand.
    #[must_use]
    pub fn server() -> Config {
        Config {
            role: Role::Server,
            heads: Limits::default(),
            streams_max: 128,
            stream_window_bytes: WINDOW_BYTES_DEFAULT,
            stream_window_bytes_max: 1 << 20,
            connection_window_bytes: 1 << 19,
            connection_window_bytes_max: 1 << 21,
            held_bytes_max: 1 << 24,
            frame_bytes_max: PAYLOAD_BYTES_DEFAULT,
            data_frame_bytes_max: PAYLOAD_BYTES_DEFAULT,
            decoder_table_bytes: TABLE_BYTES_DEFAULT,
            encoder_table_bytes_max: TABLE_BYTES_DEFAULT,
            extended_connect: false,
            budgets: Budgets::default(),
        }
    }

    /// The window with which streams begin: peers rely on the default before they know ours.
    #[inline]
    pub(super) fn initial_window_bytes(&self) -> u32 {
        self.stream_window_bytes.clamp(WINDOW_BYTES_DEFAULT, MAX_31_BITS)
    }

    /// By how many bytes the windows of streams may grow, all together, so that those of all others still fit.
    #[inline]
    pub(super) fn growth_bytes_max(&self) -> u32 {
        let begun_with = self.streams_max.saturating_mul(self.initial_window_bytes());
        self.held_bytes_max.saturating_sub(begun_with).saturating_sub(self.connection_window_bytes_max)
    }

    /// Bytes of the largest payload that is taken.
    #[inline]
    pub(super) fn payload_bytes_max(&self) -> u32 {
        self.frame_bytes_max.clamp(PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX)
    }

    /// Safe defaults for the side of the upstreams: connections are few and carry the streams of many clients, of which
    /// some are slow.
    #[must_use]
    pub fn client() -> Config {
        let mut budgets = Budgets::default();
        // An upstream that is overloaded refuses what it gets, and one that restarts ends all it has.
        budgets.set(BudgetKind::Resets, Budget { calm: 5_000, close: 10_000, per_second: 1_000 });
        Config {
            role: Role::Client,
            streams_max: 256,
            stream_window_bytes: 1 << 17,
            stream_window_bytes_max: 1 << 22,
            connection_window_bytes: 1 << 21,
            connection_window_bytes_max: 1 << 23,
            held_bytes_max: 1 << 26,
            budgets,
            ..Config::server()
        }
    }
}
