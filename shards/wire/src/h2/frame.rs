//! Frames: nine bytes of header, then a payload of a form that the kind decides. RFC 9113 §4.1
//!
//! One file for each kind, with what its payload says, how it is written, and the rules that it must keep wherever it
//! stands. Whether it may stand where it does is for the connection to judge. The rules that need no more than the nine
//! bytes are checked before the payload has come ([`FrameHeader::check`]), so that nothing is gathered that will be
//! refused anyway.

pub mod continuation;
pub mod data;
pub mod goaway;
pub mod headers;
pub mod ping;
pub mod priority;
pub mod priority_update;
pub mod push_promise;
pub mod rst_stream;
pub mod settings;
pub mod window_update;

use thiserror::Error;

use super::error::ErrorCode;

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 9;
/// Bytes of a payload that every endpoint takes, before any settings and after: SETTINGS_MAX_FRAME_SIZE begins here.
/// RFC 9113 §6.5.2
pub const PAYLOAD_BYTES_DEFAULT: u32 = 1 << 14;
/// What SETTINGS_MAX_FRAME_SIZE can reach: the length has 24 bits.
pub const PAYLOAD_BYTES_MAX: u32 = (1 << 24) - 1;
/// The highest id of a stream, and the largest window: both have 31 bits.
pub const MAX_31_BITS: u32 = (1 << 31) - 1;

/// The first nine bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of the payload; 24 bits.
    pub length: u32,
    /// What the payload is.
    pub kind: Kind,
    /// Their meaning depends on the kind.
    pub flags: u8,
    /// The stream, 31 bits; 0 is the connection.
    pub stream: u32,
}

/// The kinds of frames. RFC 9113 §6, RFC 9218 §7.1
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Content.
    Data,
    /// The beginning of a header block, perhaps the whole.
    Headers,
    /// Priorities by RFC 7540: read and ignored.
    Priority,
    /// The end of one stream, at once.
    RstStream,
    /// What the sender takes.
    Settings,
    /// Refused.
    PushPromise,
    /// Asks for an answer with the same eight bytes.
    Ping,
    /// No more streams beyond one.
    GoAway,
    /// More may be sent.
    WindowUpdate,
    /// The rest of a header block.
    Continuation,
    /// Priority of a stream by RFC 9218.
    PriorityUpdate,
    /// Of an extension that is not known here: ignored. RFC 9113 §5.5
    Unknown(u8),
}

/// What is wrong with a frame wherever it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The payload cannot have this length.
    #[error("{kind:?} frame with a payload of {length} bytes")]
    Length {
        /// The frame's kind.
        kind: Kind,
        /// Bytes of its payload.
        length: u32,
    },
    /// A frame of the connection on a stream, or a stream's on the connection.
    #[error("{kind:?} frame on stream {stream}")]
    Stream {
        /// The frame's kind.
        kind: Kind,
        /// Where it stood.
        stream: u32,
    },
    /// More padding than payload. RFC 9113 §6.1
    #[error("{kind:?} frame with more padding than payload")]
    Padding {
        /// The frame's kind.
        kind: Kind,
    },
    /// A setting outside its range.
    #[error("setting {id} has the value {value}")]
    Setting {
        /// Its identifier.
        id: u16,
        /// Its value.
        value: u32,
    },
    /// Push was not allowed. RFC 9113 §6.6 and §8.4
    #[error("PUSH_PROMISE where push is disabled")]
    Push,
}

impl FrameError {
    /// The code that tells the peer.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            FrameError::Length { .. } => ErrorCode::FRAME_SIZE_ERROR,
            // RFC 9113 §6.5.2: a window above 2^31-1 is the one value with a code of its own.
            FrameError::Setting { id: settings::INITIAL_WINDOW_SIZE, .. } => ErrorCode::FLOW_CONTROL_ERROR,
            FrameError::Stream { .. } | FrameError::Padding { .. } | FrameError::Setting { .. } | FrameError::Push => {
                ErrorCode::PROTOCOL_ERROR
            }
        }
    }
}

impl FrameHeader {
    /// Reads a header. Every nine bytes are one; the reserved bit before the stream is ignored. RFC 9113 §4.1
    #[inline]
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> FrameHeader {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        FrameHeader {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & MAX_31_BITS,
        }
    }

    /// The nine bytes.
    #[inline]
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        debug_assert!(self.length <= PAYLOAD_BYTES_MAX && self.stream <= MAX_31_BITS);
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind.byte(), self.flags, s0, s1, s2, s3]
    }

    /// Whether all of these flags are set.
    #[inline]
    #[must_use]
    pub fn has(self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Holds the header against what its kind demands: the stream, and lengths that are known.
    ///
    /// # Errors
    /// The first rule that is broken.
    #[inline]
    pub fn check(self) -> Result<(), FrameError> {
        match self.kind {
            Kind::Data => data::check(self),
            Kind::Headers => headers::check(self),
            Kind::Priority => priority::check(self),
            Kind::RstStream => rst_stream::check(self),
            Kind::Settings => settings::check(self),
            Kind::PushPromise => push_promise::check(self),
            Kind::Ping => ping::check(self),
            Kind::GoAway => goaway::check(self),
            Kind::WindowUpdate => window_update::check(self),
            Kind::Continuation => continuation::check(self),
            Kind::PriorityUpdate => priority_update::check(self),
            Kind::Unknown(_) => Ok(()),
        }
    }

    fn length_is(self, length: u32) -> Result<(), FrameError> {
        if self.length == length { Ok(()) } else { Err(self.length_error()) }
    }

    fn length_error(self) -> FrameError {
        FrameError::Length { kind: self.kind, length: self.length }
    }

    fn on_stream(self) -> Result<(), FrameError> {
        if self.stream != 0 { Ok(()) } else { Err(self.stream_error()) }
    }

    fn on_connection(self) -> Result<(), FrameError> {
        if self.stream == 0 { Ok(()) } else { Err(self.stream_error()) }
    }

    fn stream_error(self) -> FrameError {
        FrameError::Stream { kind: self.kind, stream: self.stream }
    }

    /// The payload without its padding and the length of that, where the flag `PADDED` says that there is some.
    /// RFC 9113 §6.1 and §6.2
    fn unpadded(self, payload: &[u8]) -> Result<&[u8], FrameError> {
        if !self.has(PADDED) {
            return Ok(payload);
        }
        let Some((&padding, rest)) = payload.split_first() else { return Err(self.length_error()) };
        let content = rest.len().checked_sub(usize::from(padding));
        content.map(|content| &rest[..content]).ok_or(FrameError::Padding { kind: self.kind })
    }
}

/// The stream's half of the sender ends with this frame: DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// The frame answers one of the recipient: SETTINGS and PING.
pub const ACK: u8 = 0x1;
/// The header block ends with this frame: HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// A byte with the length of the padding comes first, the padding last: DATA and HEADERS.
pub const PADDED: u8 = 0x8;

impl Kind {
    /// The kind of that number.
    #[inline]
    #[must_use]
    pub fn of(byte: u8) -> Kind {
        match byte {
            0x0 => Kind::Data,
            0x1 => Kind::Headers,
            0x2 => Kind::Priority,
            0x3 => Kind::RstStream,
            0x4 => Kind::Settings,
            0x5 => Kind::PushPromise,
            0x6 => Kind::Ping,
            0x7 => Kind::GoAway,
            0x8 => Kind::WindowUpdate,
            0x9 => Kind::Continuation,
            0x10 => Kind::PriorityUpdate,
            other => Kind::Unknown(other),
        }
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Kind::Data => 0x0,
            Kind::Headers => 0x1,
            Kind::Priority => 0x2,
            Kind::RstStream => 0x3,
            Kind::Settings => 0x4,
            Kind::PushPromise => 0x5,
            Kind::Ping => 0x6,
            Kind::GoAway => 0x7,
            Kind::WindowUpdate => 0x8,
            Kind::Continuation => 0x9,
            Kind::PriorityUpdate => 0x10,
            Kind::Unknown(byte) => byte,
        }
    }
}

/// Four bytes at the start of `bytes`, most significant first. The caller has checked the length.
fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
