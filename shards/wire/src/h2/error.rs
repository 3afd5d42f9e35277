//! Error codes, and everything that ends a connection, by name.

use std::fmt;

use thiserror::Error;

use super::budget::BudgetKind;
use super::frame::{FrameError, Kind};

/// Why a stream or a connection ended, as the wire says it. Any 32 bits are one; unknown codes count as INTERNAL_ERROR.
/// RFC 9113 §7
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong.
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    /// A rule of the protocol was broken that has no code of its own.
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    /// The sender's own fault.
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    /// More was sent than the window allowed, or the window grew too large.
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    /// The SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    /// A frame on a stream whose half of the sender had ended.
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    /// A frame of a wrong length.
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    /// The stream was refused before anything was done with it: it may be tried again.
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    /// The stream is not wanted any more.
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    /// A header block that cannot be decoded.
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    /// The connection that CONNECT made was reset or ended abnormally.
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xa);
    /// The peer makes more work than it is worth.
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xc);
    /// The request has to be made with HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xd);

    /// The name in the registry; `None` for codes without one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the peer did that ends the connection. All streams end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectionError {
    /// The client did not begin with the preface. RFC 9113 §3.4
    #[error("the connection does not begin with the preface of HTTP/2")]
    Preface,
    /// The first frame was another than SETTINGS. RFC 9113 §3.4
    #[error("the first frame is {kind:?} and not SETTINGS")]
    SettingsMissing {
        /// What came instead.
        kind: Kind,
    },
    /// A frame that is wrong wherever it stands.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A payload beyond our SETTINGS_MAX_FRAME_SIZE. RFC 9113 §4.2
    #[error("{kind:?} frame with {length} bytes, of which {max} are allowed")]
    FrameTooLarge {
        /// The frame's kind.
        kind: Kind,
        /// Bytes of its payload.
        length: u32,
        /// The bound.
        max: u32,
    },
    /// Another frame between those of a header block, or CONTINUATION outside of one. RFC 9113 §6.10
    #[error("{kind:?} frame on stream {stream} out of place: a header block is in one piece")]
    HeaderBlockBroken {
        /// The frame's kind.
        kind: Kind,
        /// Its stream.
        stream: u32,
    },
    /// A header block so large that it is not even decoded.
    #[error("header block of more than {max} bytes")]
    HeaderBlockTooLarge {
        /// The bound.
        max: u32,
    },
    /// A header block that stands for far more fields than are allowed, so that it was not decoded to its end.
    #[error("header block of far more fields than are allowed")]
    HeaderListExcessive,
    /// A header block that cannot be decoded, so that the tables of both ends are no longer the same. RFC 9113 §4.3
    #[error("header block cannot be decoded: {0}")]
    Compression(crate::hpack::HpackError),
    /// A frame on a stream that has not begun. RFC 9113 §5.1
    #[error("{kind:?} frame on the idle stream {stream}")]
    StreamIdle {
        /// The frame's kind.
        kind: Kind,
        /// Its stream.
        stream: u32,
    },
    /// A frame on a stream that the peer had ended. RFC 9113 §5.1
    #[error("{kind:?} frame on stream {stream}, which the peer had ended")]
    StreamClosed {
        /// The frame's kind.
        kind: Kind,
        /// Its stream.
        stream: u32,
    },
    /// A new stream whose id is not the client's to choose. RFC 9113 §5.1.1
    #[error("stream {stream} is not a client's to open")]
    StreamId {
        /// The stream.
        stream: u32,
    },
    /// More than the window of a stream (or, where it is 0, of the connection) allowed. RFC 9113 §6.9
    #[error("more data on stream {stream} than its window allows")]
    WindowExceeded {
        /// The stream, or 0.
        stream: u32,
    },
    /// A window beyond 2^31-1: by WINDOW_UPDATE on the connection, or by SETTINGS on a stream. RFC 9113 §6.9
    #[error("the window of stream {stream} grew beyond 2^31-1")]
    WindowOverflow {
        /// The stream, or 0.
        stream: u32,
    },
    /// WINDOW_UPDATE of nothing on the connection. RFC 9113 §6.9
    #[error("WINDOW_UPDATE of nothing")]
    WindowUpdateEmpty,
    /// A server that says it takes pushes, takes CONNECT no longer, or whose GOAWAY names a higher stream than before.
    #[error("{kind:?} frame takes back what was said before, or says what is not the sender's to say")]
    Contradiction {
        /// The frame's kind.
        kind: Kind,
    },
    /// A kind of work was asked for far beyond what it may be, after GOAWAY had said so.
    #[error("too many {}", .0.name())]
    Budget(BudgetKind),
}

impl ConnectionError {
    /// The code that tells the peer.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            ConnectionError::Frame(error) => error.code(),
            ConnectionError::FrameTooLarge { .. } => ErrorCode::FRAME_SIZE_ERROR,
            ConnectionError::Compression(_) => ErrorCode::COMPRESSION_ERROR,
            ConnectionError::StreamClosed { .. } => ErrorCode::STREAM_CLOSED,
            ConnectionError::WindowExceeded { .. } | ConnectionError::WindowOverflow { .. } => {
                ErrorCode::FLOW_CONTROL_ERROR
            }
            ConnectionError::HeaderBlockTooLarge { .. }
            | ConnectionError::HeaderListExcessive
            | ConnectionError::Budget(_) => ErrorCode::ENHANCE_YOUR_CALM,
            ConnectionError::Preface
            | ConnectionError::SettingsMissing { .. }
            | ConnectionError::HeaderBlockBroken { .. }
            | ConnectionError::StreamIdle { .. }
            | ConnectionError::StreamId { .. }
            | ConnectionError::WindowUpdateEmpty
            | ConnectionError::Contradiction { .. } => ErrorCode::PROTOCOL_ERROR,
        }
    }
}
