//! HEADERS: the beginning of a header block, perhaps the whole. RFC 9113 §6.2

use super::{END_HEADERS, END_STREAM, FrameError, FrameHeader, HEADER_BYTES, Kind, PADDED, continuation};

/// Fields of RFC 7540's priorities stand before the block. They are skipped. RFC 9113 §5.3.2
pub const PRIORITY: u8 = 0x20;
/// How many bytes they take.
const PRIORITY_BYTES: usize = 5;

/// On a stream, with room for what the flags say.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_stream()?;
    let padding = u32::from(header.has(PADDED));
    let priority = if header.has(PRIORITY) { PRIORITY_BYTES as u32 } else { 0 };
    if header.length < padding + priority { Err(header.length_error()) } else { Ok(()) }
}

/// The part of the header block that the frame carries.
///
/// # Errors
/// If the padding is longer than what is there.
pub fn fragment(header: FrameHeader, payload: &[u8]) -> Result<&[u8], FrameError> {
    let content = header.unpadded(payload)?;
    let skipped = if header.has(PRIORITY) { PRIORITY_BYTES } else { 0 };
    content.get(skipped..).ok_or(FrameError::Padding { kind: Kind::Headers })
}

/// Makes room for a frame's header at the end of `out`; the block is to be appended, and then [`finish`] be called with
/// what this returned.
#[inline]
#[must_use]
pub fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

/// Frames the header block that stands in `out` behind the room that [`begin`] made at `start`: one HEADERS frame, and
/// as many CONTINUATION frames behind it as payloads of at most `payload_bytes_max` ask for.
pub fn finish(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: bool, payload_bytes_max: u32) {
    let block = start + HEADER_BYTES;
    let length = out.len() - block;
    let max = payload_bytes_max as usize;
    let mut flags = if end_stream { END_STREAM } else { 0 };
    if length <= max {
        flags |= END_HEADERS;
    } else {
        continuation::split(out, block + max, stream, max);
    }
    let header = FrameHeader { length: length.min(max) as u32, kind: Kind::Headers, flags, stream };
    out[start..block].copy_from_slice(&header.encode());
}
