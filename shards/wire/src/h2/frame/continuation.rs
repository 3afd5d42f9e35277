//! CONTINUATION: the rest of a header block. RFC 9113 §6.10

use super::{END_HEADERS, FrameError, FrameHeader, Kind};

/// On a stream.
pub(super) fn check(header: FrameHeader) -> Result<(), FrameError> {
    header.on_stream()
}

/// Puts what stands in `out` from `from` on into frames with payloads of at most `max` bytes. Heads that need this are
/// rare.
pub(super) fn split(out: &mut Vec<u8>, from: usize, stream: u32, max: usize) {
    let rest = out.split_off(from);
    let mut fragments = rest.chunks(max).peekable();
    while let Some(fragment) = fragments.next() {
        let flags = if fragments.peek().is_none() { END_HEADERS } else { 0 };
        let length = fragment.len() as u32;
        out.extend_from_slice(&FrameHeader { length, kind: Kind::Continuation, flags, stream }.encode());
        out.extend_from_slice(fragment);
    }
}
