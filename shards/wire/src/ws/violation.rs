//! What an end of a WebSocket can get wrong.

use thiserror::Error;

use super::CloseCode;

/// Why a direction cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// A reserved bit that no agreed extension gives a meaning. RFC 6455 §5.2
    #[error("a reserved bit is set")]
    ReservedBits,
    /// An opcode that is reserved. RFC 6455 §5.2
    #[error("opcode {opcode:#x} is reserved")]
    OpcodeUnknown {
        /// The opcode.
        opcode: u8,
    },
    /// A frame of a client that is not masked. RFC 6455 §5.1
    #[error("a frame of the client is not masked")]
    MaskMissing,
    /// A frame of a server that is masked. RFC 6455 §5.1
    #[error("a frame of the server is masked")]
    MaskUnexpected,
    /// A length in more bytes than it takes. RFC 6455 §5.2
    #[error("the length is not written in the fewest bytes")]
    LengthNotMinimal,
    /// A length of 2⁶³ or more. RFC 6455 §5.2
    #[error("the most significant bit of the length is set")]
    LengthInvalid,
    /// A control frame that is not the whole of its message. RFC 6455 §5.5
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A control frame with more than 125 bytes. RFC 6455 §5.5
    #[error("a control frame is too long")]
    ControlTooLong,
    /// A continuation where there is nothing to continue. RFC 6455 §5.4
    #[error("a continuation of no message")]
    ContinuationUnexpected,
    /// A message that begins before the last one has ended. RFC 6455 §5.4
    #[error("a message inside of another one")]
    MessageInterrupted,
    /// A close frame with one byte. RFC 6455 §5.5.1
    #[error("a close frame with half a code")]
    CloseTruncated,
    /// A code that may not be sent. RFC 6455 §7.4
    #[error("close code {code} may not be sent")]
    CloseCodeInvalid {
        /// The code.
        code: u16,
    },
    /// A text, or the reason of a close frame, that is not UTF-8. RFC 6455 §8.1
    #[error("text that is not UTF-8")]
    TextInvalid,
    /// A frame that is longer than the limit.
    #[error("a frame of more than {max} bytes")]
    FrameTooLarge {
        /// The limit.
        max: u64,
    },
    /// A message that is longer than the limit.
    #[error("a message of more than {max} bytes")]
    MessageTooLarge {
        /// The limit.
        max: u64,
    },
}

impl Violation {
    /// What the offender is told. RFC 6455 §7.4.1
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Violation::TextInvalid => CloseCode::INVALID_DATA,
            Violation::FrameTooLarge { .. } | Violation::MessageTooLarge { .. } => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}
