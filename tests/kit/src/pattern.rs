//! An endless body that is made and verified piece by piece.
//!
//! The byte at each offset is fixed, so that the receiver needs only the offset to judge what it received. The period is a
//! prime number near 1 MiB: a piece that was lost, doubled or moved by any power of two is noticed.

use std::sync::OnceLock;

const PERIOD: usize = 1_048_573;

/// Appends the `length` bytes that stand at `offset` to `out`.
pub fn append(out: &mut Vec<u8>, mut offset: u64, mut length: usize) {
    while length > 0 {
        let piece = stretch(offset, length);
        out.extend_from_slice(piece);
        offset += piece.len() as u64;
        length -= piece.len();
    }
}

/// The first `length` bytes.
#[must_use]
pub fn bytes(length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length);
    append(&mut out, 0, length);
    out
}

/// The longest stretch from `offset`, of at most `length_max` bytes, that lies in memory as one piece.
#[must_use]
pub fn stretch(offset: u64, length_max: usize) -> &'static [u8] {
    let table = table();
    let start = usize::try_from(offset % PERIOD as u64).expect("the remainder is small");
    &table[start..PERIOD.min(start + length_max)]
}

/// Judges a body as it arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Bytes received so far.
    pub length: u64,
    /// Offset of the first byte that was not the pattern's.
    pub wrong_at: Option<u64>,
}

impl Check {
    /// Takes the next bytes.
    pub fn update(&mut self, mut received: &[u8]) {
        while !received.is_empty() {
            let expected = stretch(self.length, received.len());
            let (piece, rest) = received.split_at(expected.len());
            if self.wrong_at.is_none() && piece != expected {
                let at = piece.iter().zip(expected).take_while(|(a, b)| a == b).count();
                self.wrong_at = Some(self.length + at as u64);
            }
            self.length += piece.len() as u64;
            received = rest;
        }
    }

    /// Whether exactly the first `length` bytes of the pattern were received.
    #[must_use]
    pub fn is_whole(&self, length: u64) -> bool {
        self.wrong_at.is_none() && self.length == length
    }

    /// Demands that exactly the first `length` bytes of the pattern were received.
    ///
    /// # Panics
    /// If they were not.
    #[track_caller]
    pub fn assert_whole(&self, length: u64) {
        assert!(self.is_whole(length), "{length} bytes of the pattern were to come, not {self:?}");
    }
}

fn table() -> &'static [u8] {
    static TABLE: OnceLock<Vec<u8>> = OnceLock::new();
    TABLE.get_or_init(|| {
        // Marsaglia's xorshift64, "Xorshift RNGs", 2003.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut table = Vec::with_capacity(PERIOD + 8);
        while table.len() < PERIOD {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            table.extend_from_slice(&state.to_le_bytes());
        }
        table.truncate(PERIOD);
        table
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_taken_in_any_pieces_is_whole() {
        let body = bytes(3 * PERIOD + 5);
        for piece in [1_000, 4_096, 65_536, body.len()] {
            let mut check = Check::default();
            body.chunks(piece).for_each(|piece| check.update(piece));
            check.assert_whole(body.len() as u64);
        }
    }

    #[test]
    fn a_wrong_a_lost_and_a_moved_byte_are_noticed() {
        let mut body = bytes(200_000);
        body[150_000] ^= 1;
        let mut check = Check::default();
        check.update(&body);
        assert_eq!(check.wrong_at, Some(150_000));

        let mut lost = bytes(200_000);
        lost.drain(65_536..131_072);
        let mut check = Check::default();
        check.update(&lost);
        assert!(check.wrong_at.is_some());
    }
}
