//! WebSocket: what passes through a tunnel that was opened for it, looked at frame by frame. RFC 6455
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| length  (7) |  length of 16 or 64 bits, if  |
//! |I|S|S|S|  (4)  |A|             |  (7) is 126 or 127            |
//! |N|V|V|V|       |S|             +- - - - - - - - - - - - - - - -+
//! | |1|2|3|       |K|             |  masking key, if MASK is set  |
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |  payload …                                                    |
//! ```
//!
//! A [`Reader`] follows one direction and holds it to the rules. What it has read passes on as it lies: a payload is neither
//! unmasked nor masked anew, and of a text no more is looked at than whether it is UTF-8. Only the head of a frame is held back
//! until it is whole, so that of a frame that breaks a rule nothing has passed, and a control frame, which the caller may wish
//! to answer or to swallow.
//!
//! A control frame of our own ([`write_ping`], [`write_close`]) may stand between any two frames (§5.4), and nowhere else:
//! [`Reader::frame_left`] tells where that is.
//!
//! Of the extensions only permessage-deflate (RFC 7692) is known: where the two ends have agreed on it ([`agrees_on_deflate`]),
//! RSV1 marks a message as compressed. Its bytes are counted as they pass, and whether it is UTF-8 once decompressed is not looked
//! at.

mod control;
mod extension;
mod frame;
mod handshake;
mod reader;
mod text;
mod violation;

pub use control::{CONTROL_PAYLOAD_BYTES_MAX, CloseCode, write_close, write_ping};
pub use extension::agrees_on_deflate;
pub use frame::{Opcode, Sender};
pub use handshake::Key;
pub use reader::{Control, Limits, Piece, Read, Reader};
pub use violation::Violation;
