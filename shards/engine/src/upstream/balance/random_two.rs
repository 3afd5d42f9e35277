//! The power of two choices (Mitzenmacher 2001): of two servers taken at random, by weight, the less loaded one. It spreads
//! load nearly as evenly as [`super::least_connections`], without every shard running to the same server.

use super::{Servers, first_usable, is_less_loaded};
use crate::random::Random;

/// Draws for one choice before the list is searched instead: more than that is needed only where most are ejected.
const DRAWS_MAX: usize = 16;

pub(crate) struct RandomTwo {
    /// The sum of the weights up to and including each server's.
    sums: Vec<u64>,
    random: Random,
}

impl RandomTwo {
    pub(super) fn new(weights: &[u32], random: Random) -> RandomTwo {
        let sums = weights.iter().scan(0, |sum, weight| {
            *sum += u64::from(*weight);
            Some(*sum)
        });
        RandomTwo { sums: sums.collect(), random }
    }

    pub(super) fn pick(&mut self, servers: &impl Servers) -> Option<usize> {
        let first = match self.draw(servers, None) {
            Some(first) => first,
            None => first_usable(servers, self.random.below(servers.count().max(1) as u64) as usize)?,
        };
        let Some(second) = self.draw(servers, Some(first)) else { return Some(first) };
        Some(if is_less_loaded(servers, second, first) { second } else { first })
    }

    /// A usable server other than `not`, if a few draws find one.
    fn draw(&mut self, servers: &impl Servers, not: Option<usize>) -> Option<usize> {
        let total = *self.sums.last()?;
        (0..DRAWS_MAX).find_map(|_| {
            let at = self.random.below(total);
            let server = self.sums.partition_point(|sum| *sum <= at);
            (Some(server) != not && servers.is_usable(server)).then_some(server)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixed;
    use super::*;

    #[test]
    fn the_less_loaded_of_two_is_picked() {
        let mut servers = Fixed::new(&[1, 1]);
        servers.active = vec![3, 2];
        let mut balancer = RandomTwo::new(&servers.weights, Random::with_seed(1));
        assert!((0..100).all(|_| balancer.pick(&servers) == Some(1)));
    }

    #[test]
    fn load_that_stays_is_spread_within_a_few() {
        let mut servers = Fixed::new(&[1; 20]);
        let mut balancer = RandomTwo::new(&servers.weights, Random::with_seed(2));
        for _ in 0..20_000 {
            let picked = balancer.pick(&servers).unwrap();
            servers.active[picked] += 1;
        }
        // Theory: the fullest of n is within about log log n / log 2 of the mean.
        assert!(servers.active.iter().all(|active| active.abs_diff(1000) <= 8), "{:?}", servers.active);
    }

    #[test]
    fn weights_shift_the_spread() {
        let mut servers = Fixed::new(&[3, 1, 1, 1]);
        let mut balancer = RandomTwo::new(&servers.weights, Random::with_seed(3));
        for _ in 0..6_000 {
            let picked = balancer.pick(&servers).unwrap();
            servers.active[picked] += 1;
        }
        assert!(servers.active[0].abs_diff(3_000) < 100, "{:?}", servers.active);
    }
}
