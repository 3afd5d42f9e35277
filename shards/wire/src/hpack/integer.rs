//! Numbers that begin within a byte. RFC 7541 §5.1

use super::HpackError;

/// Bytes behind the first that a number may have. Four leave room for 2²⁸, more than a block has bytes or a table entries.
const CONTINUATION_BYTES_MAX: usize = 4;

/// The rest of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte, which stays.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, HpackError> {
        let (&byte, rest) = self.0.split_first().ok_or(HpackError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    /// The next `len` bytes.
    #[inline]
    pub(super) fn take(&mut self, len: u32) -> Result<&'a [u8], HpackError> {
        let (taken, rest) = self.0.split_at_checked(len as usize).ok_or(HpackError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The number that begins with the low `prefix_bits` bits of the next byte.
    #[inline]
    pub(super) fn integer(&mut self, prefix_bits: u32) -> Result<u32, HpackError> {
        let max = (1 << prefix_bits) - 1;
        let first = u32::from(self.byte()?) & max;
        if first < max { Ok(first) } else { self.continued(max) }
    }

    fn continued(&mut self, first: u32) -> Result<u32, HpackError> {
        let mut value = first;
        for index in 0..CONTINUATION_BYTES_MAX {
            let byte = self.byte()?;
            value += u32::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(HpackError::IntegerTooLarge)
    }
}

/// Appends a number that begins with the low `prefix_bits` bits of a byte whose other bits are those of `pattern`.
#[inline]
pub(super) fn encode(value: u32, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let max = (1 << prefix_bits) - 1;
    if value < max {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for prefix_bits in 4..=7 {
            for value in (0..70_000).chain([(1 << 28) - 1, 1 << 28]) {
                let mut bytes = Vec::new();
                encode(value, prefix_bits, 0, &mut bytes);
                let mut input = Input(&bytes);
                assert_eq!(input.integer(prefix_bits), Ok(value));
                assert!(input.0.is_empty());
                assert_eq!(Input(&bytes[..bytes.len() - 1]).integer(prefix_bits), Err(HpackError::Truncated));
            }
        }
    }

    #[test]
    fn a_number_of_many_bytes_is_refused() {
        assert_eq!(Input(&[0x1f, 0xff, 0xff, 0xff, 0x7f]).integer(5), Ok((1 << 28) - 1 + 31));
        assert_eq!(Input(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0]).integer(5), Err(HpackError::IntegerTooLarge));
        // Zeros behind the number are no better.
        assert_eq!(Input(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0]).integer(5), Err(HpackError::IntegerTooLarge));
        assert_eq!(Input(&[0x1f, 0x80, 0x80, 0x80, 0]).integer(5), Ok(31));
    }
}
