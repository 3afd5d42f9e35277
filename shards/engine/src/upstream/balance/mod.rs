//! Which server gets the next request. A balancer is one file here; [`Balancer`] is all of them.
//!
//! A balancer knows nothing of connections: it sees the servers as [`Servers`] shows them, and passes over those that are
//! not to be used. All state is the shard's own.

mod consistent_hash;
mod hash;
mod least_connections;
mod random_two;
mod round_robin;
mod source_hash;

use plan::{Balance, HashKey};
use wire::RequestHead;

use crate::client::Client;
use crate::random::Random;
use consistent_hash::Maglev;
use least_connections::LeastConnections;
use random_two::RandomTwo;
use round_robin::RoundRobin;
use source_hash::SourceHash;

/// What a balancer sees of an upstream's servers, by their place in the list.
pub(crate) trait Servers {
    /// How many there are.
    fn count(&self) -> usize;
    /// The server's share, relative to the others; at least 1.
    fn weight(&self, server: usize) -> u32;
    /// Exchanges under way with it.
    fn active(&self, server: usize) -> u32;
    /// Whether it may get this request.
    fn is_usable(&self, server: usize) -> bool;
}

/// How requests are spread over servers.
pub(crate) enum Balancer {
    RoundRobin(RoundRobin),
    LeastConnections(LeastConnections),
    RandomTwo(RandomTwo),
    SourceHash(SourceHash),
    ConsistentHash(Box<Maglev>),
}

impl Balancer {
    /// A balancer over servers with these names and weights, in the order in which [`Servers`] will show them.
    pub(crate) fn new(policy: &Balance, servers: &[(&str, u32)]) -> Balancer {
        let weights: Vec<u32> = servers.iter().map(|(_, weight)| *weight).collect();
        match policy {
            Balance::RoundRobin => Balancer::RoundRobin(RoundRobin::new(&weights)),
            Balance::LeastConnections => Balancer::LeastConnections(LeastConnections::new(&weights)),
            Balance::RandomTwo => Balancer::RandomTwo(RandomTwo::new(&weights, Random::new())),
            Balance::SourceHash => Balancer::SourceHash(SourceHash::new(&weights)),
            Balance::ConsistentHash(_) => Balancer::ConsistentHash(Box::new(Maglev::new(servers))),
        }
    }

    /// The server for a request with this key; `None` if none is usable.
    pub(crate) fn pick(&mut self, servers: &impl Servers, key: u64) -> Option<usize> {
        if servers.count() == 1 {
            return servers.is_usable(0).then_some(0);
        }
        match self {
            Balancer::RoundRobin(balancer) => balancer.pick(servers, |_| true),
            Balancer::LeastConnections(balancer) => balancer.pick(servers),
            Balancer::RandomTwo(balancer) => balancer.pick(servers),
            Balancer::SourceHash(balancer) => balancer.pick(servers, key),
            Balancer::ConsistentHash(balancer) => balancer.pick(servers, key),
        }
    }
}

/// What a request is balanced by, where that depends on the request; else 0. Every shard computes the same.
pub(crate) fn key(policy: &Balance, client: &Client, head: &RequestHead, bytes: &[u8]) -> u64 {
    let source = || source_key(client);
    match policy {
        Balance::RoundRobin | Balance::LeastConnections | Balance::RandomTwo => 0,
        Balance::SourceHash | Balance::ConsistentHash(HashKey::Source) => source(),
        Balance::ConsistentHash(HashKey::Path) => hash::of(head.path(bytes), 0),
        Balance::ConsistentHash(HashKey::Header(name)) => match head.field_named(name.as_bytes(), bytes) {
            Some(field) => hash::of(field.value.of(bytes), 0),
            None => source(),
        },
    }
}

/// The same for bytes that nobody reads: where the policy asks for more, the client's address has to do.
pub(crate) fn source_key(client: &Client) -> u64 {
    hash::of(client.bytes(), 0)
}

/// Of two servers that are in use, whether the first has fewer exchanges under way for its weight.
fn is_less_loaded(servers: &impl Servers, first: usize, second: usize) -> bool {
    let load = |server: usize, other: usize| u64::from(servers.active(server)) * u64::from(servers.weight(other));
    load(first, second) < load(second, first)
}

/// The first usable server from the `start`-th on, around the list.
fn first_usable(servers: &impl Servers, start: usize) -> Option<usize> {
    let count = servers.count();
    (0..count).map(|step| (start + step) % count).find(|server| servers.is_usable(*server))
}

/// Servers for the tests of the balancers.
#[cfg(test)]
mod tests {
    use super::*;

    /// Servers as a test makes them up.
    #[derive(Clone)]
    pub(super) struct Fixed {
        pub(super) weights: Vec<u32>,
        pub(super) active: Vec<u32>,
        pub(super) usable: Vec<bool>,
    }

    impl Fixed {
        pub(super) fn new(weights: &[u32]) -> Fixed {
            Fixed { weights: weights.to_vec(), active: vec![0; weights.len()], usable: vec![true; weights.len()] }
        }
    }

    impl Servers for Fixed {
        fn count(&self) -> usize {
            self.weights.len()
        }

        fn weight(&self, server: usize) -> u32 {
            self.weights[server]
        }

        fn active(&self, server: usize) -> u32 {
            self.active[server]
        }

        fn is_usable(&self, server: usize) -> bool {
            self.usable[server]
        }
    }

    /// How often each server is picked for these keys.
    pub(super) fn spread(servers: &Fixed, keys: u64, mut pick: impl FnMut(&Fixed, u64) -> Option<usize>) -> Vec<u32> {
        let mut counts = vec![0; servers.count()];
        for key in 0..keys {
            counts[pick(servers, hash::of(&key.to_le_bytes(), 0)).expect("a server is usable")] += 1;
        }
        counts
    }

    fn all() -> [Balance; 5] {
        [
            Balance::RoundRobin,
            Balance::LeastConnections,
            Balance::RandomTwo,
            Balance::SourceHash,
            Balance::ConsistentHash(HashKey::Source),
        ]
    }

    #[test]
    fn no_balancer_picks_an_ejected_server_and_each_finds_the_last_one() {
        let names: Vec<String> = (0..9).map(|n| format!("192.0.2.{n}:80")).collect();
        let servers: Vec<(&str, u32)> =
            names.iter().enumerate().map(|(n, name)| (&name[..], 1 + n as u32 % 3)).collect();
        let weights: Vec<u32> = servers.iter().map(|(_, weight)| *weight).collect();
        for policy in all() {
            let mut balancer = Balancer::new(&policy, &servers);
            let mut random = Random::with_seed(7);
            for round in 0..500_u64 {
                let mut view = Fixed::new(&weights);
                view.usable.iter_mut().for_each(|usable| *usable = random.below(3) == 0);
                let picked = balancer.pick(&view, round.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                match picked {
                    Some(server) => assert!(view.usable[server], "{policy:?} picked an ejected server"),
                    None => assert!(!view.usable.contains(&true), "{policy:?} overlooked a server"),
                }
                view.usable.fill(false);
                view.usable[round as usize % 9] = true;
                assert_eq!(balancer.pick(&view, round), Some(round as usize % 9), "{policy:?}");
            }
        }
    }

    #[test]
    fn no_balancer_finds_a_server_among_none() {
        for policy in all() {
            assert_eq!(Balancer::new(&policy, &[]).pick(&Fixed::new(&[]), 1), None, "{policy:?}");
        }
    }
}
