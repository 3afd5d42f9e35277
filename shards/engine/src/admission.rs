//! Which clients are let in: how many connections an address has, and how often it has broken the rules.
//!
//! Both count per shard, and neither costs anything while its limit is not asked for or nothing has happened. Peers whose
//! word is trusted, and those on Unix sockets, are not counted: they speak for many.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use ring::Instant;

use crate::outcome::{Error, Kind, Side};

/// Whom connections and breaches are put down to: an IPv4 address, or the /64 network of an IPv6 address, since a single
/// host commonly has a whole one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(NonZeroU64);

impl ClientKey {
    pub(crate) fn of(address: IpAddr) -> ClientKey {
        let bits = match address.to_canonical() {
            // Where IPv6 has the prefix `0:ffff::/32`, which belongs to nobody.
            IpAddr::V4(address) => 0xffff << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        ClientKey(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }
}

/// How many connections each client has. As large as the number of connections, which has its limit.
#[derive(Debug, Default)]
pub(crate) struct Census(RefCell<HashMap<ClientKey, u32>>);

impl Census {
    /// Counts one more connection of `client`, unless it has `connections_max` already.
    pub(crate) fn enter(&self, client: ClientKey, connections_max: u32) -> bool {
        let mut clients = self.0.borrow_mut();
        let connections = clients.entry(client).or_default();
        let enters = *connections < connections_max;
        *connections += u32::from(enters);
        enters
    }

    /// Counts one less.
    pub(crate) fn leave(&self, client: ClientKey) {
        let mut clients = self.0.borrow_mut();
        if let Some(connections) = clients.get_mut(&client) {
            *connections -= 1;
            if *connections == 0 {
                clients.remove(&client);
            }
        }
    }
}

/// How a score counts one breach of the protocol.
const BREACH: u32 = 100;
/// How it counts a client that left before its answer. Browsers do so whenever their user moves on, so it takes a flood
/// to matter.
const DEPARTURE: u32 = 1;
/// The time in which a score as high as the limit decays to nothing.
const MEMORY: Duration = Duration::from_secs(60);
/// The table's size. The least of a set makes room, so that who floods it with addresses displaces the innocent first.
const SETS: usize = 512;
const WAYS: usize = 8;

/// What a failure says against the client that caused it.
fn weight(error: &Error) -> u32 {
    match (error.side, error.kind) {
        // Who uploads too large a file breaks no rule of the protocol.
        (Side::Client, Kind::TooLarge) if error.status == 413 => 0,
        (Side::Client, Kind::Malformed | Kind::TooLarge | Kind::TimedOut) => BREACH,
        (Side::Client, Kind::Gone) => DEPARTURE,
        _ => 0,
    }
}

/// Scores of clients that break the protocol. Each decays steadily; one that passes the limit is doubled, so that it takes
/// the decay a minute to bring it below again, and until then the client is refused.
///
/// The table is allocated when the first breach happens, and never grows.
#[derive(Debug, Default)]
pub(crate) struct Glitches {
    sets: RefCell<Vec<[Option<Score>; WAYS]>>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Score {
    client: ClientKey,
    points: u32,
    at: Instant,
}

impl Score {
    fn points_at(&self, now: Instant, limit: u32) -> u32 {
        let elapsed_ms = now.saturating_duration_since(self.at).as_millis();
        let decayed = elapsed_ms * u128::from(limit) / MEMORY.as_millis();
        self.points.saturating_sub(u32::try_from(decayed).unwrap_or(u32::MAX))
    }
}

impl Glitches {
    /// Puts `error` down to `client`. Returns whether it is refused from now on.
    pub(crate) fn note(&self, client: ClientKey, error: &Error, glitches_max: u32, now: Instant) -> bool {
        let (weight, limit) = (weight(error), glitches_max * BREACH);
        if weight == 0 || limit == 0 {
            return false;
        }
        let mut sets = self.sets.borrow_mut();
        if sets.is_empty() {
            sets.resize(SETS, [None; WAYS]);
        }
        let points = |entry: &Option<Score>| entry.as_ref().map_or(0, |score| score.points_at(now, limit));
        let set = &mut sets[self.set_of(client)];
        let own = set.iter().position(|entry| entry.is_some_and(|score| score.client == client));
        let least = (0..WAYS).min_by_key(|way| points(&set[*way])).unwrap_or(0);
        let entry = &mut set[own.unwrap_or(least)];
        let before = if own.is_some() { points(entry) } else { 0 };
        let after = before + weight;
        let crossed = before <= limit && after > limit;
        // What comes on connections that are still open does not lengthen the time.
        let points = if crossed { 2 * limit } else { after.min(2 * limit) };
        *entry = Some(Score { client, points, at: now });
        crossed
    }

    /// Whether connections of `client` are to be closed.
    pub(crate) fn refuses(&self, client: ClientKey, glitches_max: u32, now: Instant) -> bool {
        let sets = self.sets.borrow();
        let Some(set) = sets.get(self.set_of(client)) else { return false };
        let limit = glitches_max * BREACH;
        let score = set.iter().flatten().find(|score| score.client == client);
        limit > 0 && score.is_some_and(|score| score.points_at(now, limit) > limit)
    }

    /// Whether nobody has broken a rule yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.borrow().is_empty()
    }

    fn set_of(&self, client: ClientKey) -> usize {
        // A client does not know the hash, and so cannot choose whose set it shares.
        self.hasher.hash_one(client) as usize % SETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> ClientKey {
        ClientKey::of(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }

    #[test]
    fn connections_are_counted_and_forgotten() {
        let (census, client) = (Census::default(), key("192.0.2.1"));
        assert!(census.enter(client, 2) && census.enter(client, 2) && !census.enter(client, 2));
        assert!(census.enter(key("192.0.2.2"), 2));
        census.leave(client);
        assert!(census.enter(client, 2));
        for client in [client, client, key("192.0.2.2")] {
            census.leave(client);
        }
        assert!(census.0.borrow().is_empty());
    }

    #[test]
    fn who_breaks_the_rules_too_often_is_refused_for_a_minute() {
        let (glitches, client, start) = (Glitches::default(), key("192.0.2.1"), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let notes: Vec<_> = (0..5).map(|_| glitches.note(client, &Error::CLIENT_MALFORMED, 3, start)).collect();
        assert_eq!(notes, [false, false, false, true, false]);
        assert!(glitches.refuses(client, 3, start) && glitches.refuses(client, 3, at(59)));
        assert!(!glitches.refuses(client, 3, at(60)));
        assert!(!glitches.refuses(key("192.0.2.2"), 3, start));
    }

    #[test]
    fn a_breach_now_and_then_is_forgotten() {
        let (glitches, client, start) = (Glitches::default(), key("192.0.2.1"), Instant::now());
        for minute in 0..100 {
            for _ in 0..3 {
                let now = start + minute * Duration::from_secs(60);
                assert!(!glitches.note(client, &Error::CLIENT_MALFORMED, 3, now));
            }
        }
    }

    #[test]
    fn departures_count_for_little_and_honest_failures_for_nothing() {
        let (glitches, client, now) = (Glitches::default(), key("192.0.2.1"), Instant::now());
        assert!((0..100).all(|_| !glitches.note(client, &Error::CLIENT_TRUNCATED, 1, now)));
        assert!(glitches.note(client, &Error::CLIENT_TRUNCATED, 1, now));
        let other = key("192.0.2.2");
        assert!((0..1000).all(|_| !glitches.note(other, &Error::UPSTREAM_GONE, 1, now)));
        assert!((0..1000).all(|_| !glitches.note(other, &Error::CLIENT_MALFORMED, 0, now)), "there is no limit");
    }

    #[test]
    fn a_flood_of_addresses_does_not_displace_the_worst() {
        let (glitches, worst, now) = (Glitches::default(), key("192.0.2.1"), Instant::now());
        while !glitches.note(worst, &Error::CLIENT_MALFORMED, 3, now) {}
        for address in 0..100_000_u32 {
            glitches.note(ClientKey::of(IpAddr::from(address.to_be_bytes())), &Error::CLIENT_MALFORMED, 3, now);
        }
        assert!(glitches.refuses(worst, 3, now));
        assert_eq!(glitches.sets.borrow().len(), SETS);
    }
}
