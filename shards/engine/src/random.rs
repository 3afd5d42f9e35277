//! Randomness for balancing and jitter, never for secrets.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and every seed is a good one.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by the process, another each time.
    pub(crate) fn new() -> Random {
        Random(RandomState::new().hash_one(0_u8))
    }

    #[cfg(test)]
    pub(crate) fn with_seed(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Any bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 8, "a word of them") };
        let word = self.next().to_ne_bytes();
        std::array::from_fn(|index| word[index])
    }

    /// A number below `bound`, which is above 0. The bias of at most `bound` / 2^64 is nobody's concern here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spread_below_their_bound() {
        let mut random = Random::with_seed(42);
        let mut counts = [0_u32; 10];
        (0..10_000).for_each(|_| counts[random.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 150), "{counts:?}");
        assert_ne!(Random::new().next(), Random::new().next());
    }
}
