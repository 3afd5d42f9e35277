//! What the two ends have told each other in SETTINGS. RFC 9113 §6.5

use super::error::ConnectionError;
use super::frame::settings as frame;
use super::frame::{Kind, PAYLOAD_BYTES_DEFAULT};

/// The window with which streams and the connection begin. RFC 9113 §6.9.2
pub const WINDOW_BYTES_DEFAULT: u32 = (1 << 16) - 1;
/// The dynamic table with which both ends begin. RFC 9113 §6.5.2
pub const TABLE_BYTES_DEFAULT: u32 = 4096;

/// What the peer takes: the values of RFC 9113 §6.5.2 until it has said something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// Bytes of the dynamic table with which it decodes.
    pub table_bytes_max: u32,
    /// Streams that may be open at once; without bound until it says one.
    pub streams_max: u32,
    /// The window with which streams begin.
    pub stream_window_bytes: u32,
    /// Bytes of the largest payload.
    pub frame_bytes_max: u32,
    /// Bytes of the largest header list; advice.
    pub header_list_bytes_max: u32,
    /// Whether it takes CONNECT with a `:protocol`. RFC 8441
    pub extended_connect: bool,
}

impl Default for PeerSettings {
    fn default() -> PeerSettings {
        PeerSettings {
            table_bytes_max: TABLE_BYTES_DEFAULT,
            streams_max: u32::MAX,
            stream_window_bytes: WINDOW_BYTES_DEFAULT,
            frame_bytes_max: PAYLOAD_BYTES_DEFAULT,
            header_list_bytes_max: u32::MAX,
            extended_connect: false,
        }
    }
}

impl PeerSettings {
    /// These settings after those of a frame, in its order. `by_server` says who sent them.
    ///
    /// # Errors
    /// A value outside its range, or one that this sender may not say.
    pub(super) fn after(mut self, payload: &[u8], by_server: bool) -> Result<PeerSettings, ConnectionError> {
        for entry in frame::entries(payload) {
            let (id, value) = entry?;
            match id {
                frame::HEADER_TABLE_SIZE => self.table_bytes_max = value,
                // RFC 9113 §6.5.2: a server never takes a push.
                frame::ENABLE_PUSH if by_server && value != 0 => {
                    return Err(ConnectionError::Contradiction { kind: Kind::Settings });
                }
                frame::MAX_CONCURRENT_STREAMS => self.streams_max = value,
                frame::INITIAL_WINDOW_SIZE => self.stream_window_bytes = value,
                frame::MAX_FRAME_SIZE => self.frame_bytes_max = value,
                frame::MAX_HEADER_LIST_SIZE => self.header_list_bytes_max = value,
                // RFC 8441 §3: once 1, never 0 again.
                frame::ENABLE_CONNECT_PROTOCOL if self.extended_connect && value == 0 => {
                    return Err(ConnectionError::Contradiction { kind: Kind::Settings });
                }
                frame::ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
                _ => {}
            }
        }
        Ok(self)
    }
}
