//! Lines out of bytes that may be split anywhere.

use super::reader::Malformed;

/// The part of a line that has come so far.
#[derive(Debug, Default)]
pub(in crate::client) struct Lines {
    partial: Vec<u8>,
    /// Whether `partial` is a line that was given out, and is to be forgotten.
    given: bool,
}

impl Lines {
    /// Whether no part of a line is kept.
    pub(in crate::client) fn is_empty(&self) -> bool {
        self.given || self.partial.is_empty()
    }

    /// The next line, without its end, and the bytes of `input` that it took; `None` when it is not complete, and `input` is
    /// then kept. A line of more than `bytes_max`, its end included, is `too_large`.
    #[inline]
    pub(in crate::client) fn take<'a>(
        &'a mut self,
        input: &'a [u8],
        bytes_max: usize,
        too_large: Malformed,
    ) -> Result<Option<(&'a [u8], usize)>, Malformed> {
        if std::mem::take(&mut self.given) {
            self.partial.clear();
        }
        let end = memchr::memchr(b'\n', input);
        let taken = end.map_or(input.len(), |end| end + 1);
        if self.partial.len() + taken > bytes_max {
            return Err(too_large);
        }
        let line = if end.is_some() && self.partial.is_empty() {
            &input[..taken]
        } else {
            self.partial.extend_from_slice(&input[..taken]);
            if end.is_none() {
                return Ok(None);
            }
            self.given = true;
            &self.partial
        };
        // A recipient may take a bare line feed for a line's end; this one does not. RFC 9112 §2.2
        let line = line.strip_suffix(b"\r\n").ok_or(Malformed::BareLineFeed)?;
        Ok(Some((line, taken)))
    }
}
