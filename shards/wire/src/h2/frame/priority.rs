//! PRIORITY: priorities by RFC 7540, which RFC 9113 §5.3.2 has taken back. Read, counted and ignored.

use super::{FrameError, FrameHeader};

/// On a stream. The length is the only fault of a frame on a stream that concerns this stream alone (§6.3), so that it
/// is left to the connection: see [`is_length_right`].
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_stream()
}

/// Whether the payload has the five bytes that it must have. If not, that is an error of the stream. RFC 9113 §6.3
#[must_use]
pub fn is_length_right(header: FrameHeader) -> bool {
    header.length == 5
}
