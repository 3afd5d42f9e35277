//! Names for requests: 128 random bits in hexadecimal.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// A request's name as text.
pub(crate) type RequestId = [u8; 32];

/// A shard's source of names: xoshiro256++ (Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2019). The
/// names have to be unique, not secret.
pub(crate) struct RequestIds(Cell<[u64; 4]>);

impl RequestIds {
    /// Seeded by the system: the standard library draws the keys of its hashers from getrandom(2).
    pub(crate) fn new() -> RequestIds {
        RequestIds(Cell::new(std::array::from_fn(|place| RandomState::new().hash_one(place))))
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut text = [0; 32];
        for (half, bits) in text.chunks_exact_mut(16).zip([self.draw(), self.draw()]) {
            for (place, digit) in half.iter_mut().enumerate() {
                *digit = b"0123456789abcdef"[(bits >> (60 - 4 * place)) as usize & 15];
            }
        }
        text
    }

    /// 128 random bits for other uses.
    pub(crate) fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.draw().to_ne_bytes());
        bytes[8..].copy_from_slice(&self.draw().to_ne_bytes());
        bytes
    }

    fn draw(&self) -> u64 {
        let mut s = self.0.get();
        let drawn = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        self.0.set(s);
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs for the state 1, 2, 3, 4, as the reference implementation gives them.
        let ids = RequestIds(Cell::new([1, 2, 3, 4]));
        assert_eq!([ids.draw(), ids.draw(), ids.draw()], [41_943_041, 58_720_359, 3_588_806_011_781_223]);
    }

    #[test]
    fn names_are_hexadecimal_and_differ() {
        let (one, other) = (RequestIds::new(), RequestIds::new());
        let names: std::collections::HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(names.len(), 2000);
        assert!(names.iter().flatten().all(u8::is_ascii_hexdigit));
    }
}
