//! A client's address decides, by its hash modulo the weights (as nginx's `ip_hash`): cheap and without a table, but nearly
//! every client changes servers when the list does. See [`super::consistent_hash`] for the other bargain.

use super::{Servers, first_usable, hash};

/// Hashes that are tried before the list is searched.
const HASHES_MAX: u64 = 20;

pub(crate) struct SourceHash {
    /// The sum of the weights up to and including each server's.
    sums: Vec<u64>,
}

impl SourceHash {
    pub(super) fn new(weights: &[u32]) -> SourceHash {
        let sums = weights.iter().scan(0, |sum, weight| {
            *sum += u64::from(*weight);
            Some(*sum)
        });
        SourceHash { sums: sums.collect() }
    }

    pub(super) fn pick(&self, servers: &impl Servers, key: u64) -> Option<usize> {
        let total = *self.sums.last()?;
        let place = |attempt| {
            let at = hash::again(key, attempt) % total;
            self.sums.partition_point(|sum| *sum <= at)
        };
        // Those of an ejected server scatter over all others, and come back when it does.
        let found = (0..HASHES_MAX).map(place).find(|server| servers.is_usable(*server));
        found.or_else(|| first_usable(servers, place(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, spread};
    use super::*;

    #[test]
    fn a_key_stays_with_its_server_and_keys_spread_by_weight() {
        let servers = Fixed::new(&[2, 1, 1]);
        let balancer = SourceHash::new(&servers.weights);
        let counts = spread(&servers, 40_000, |servers, key| {
            let picked = balancer.pick(servers, key);
            assert_eq!(balancer.pick(servers, key), picked);
            picked
        });
        let expected = [20_000_u32, 10_000, 10_000];
        assert!(counts.iter().zip(expected).all(|(count, expected)| count.abs_diff(expected) < 600), "{counts:?}");
    }

    #[test]
    fn an_ejection_moves_only_the_keys_of_the_ejected_and_scatters_them() {
        let all = Fixed::new(&[1; 5]);
        let balancer = SourceHash::new(&all.weights);
        let mut fewer = all.clone();
        fewer.usable[2] = false;
        let counts = spread(&all, 10_000, |all, key| {
            let before = balancer.pick(all, key);
            let after = balancer.pick(&fewer, key);
            assert!(before == Some(2) || after == before, "a key moved without need");
            after
        });
        assert!(counts.iter().enumerate().all(|(n, count)| n == 2 || count.abs_diff(2_500) < 250), "{counts:?}");
    }
}
