//! What one generation leaves to the next: counters, so that what is counted does not fall; what its shards have learned of
//! the servers; the addresses behind names, so that a worker that takes the place of a fallen one need not wait for the DNS;
//! the keys of session tickets, so that clients come back with what they were given before.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use engine::{Condition, ServerHealth};
use plan::Address;
use plan::tls::TicketKey;
use serde::{Deserialize, Serialize};
use tls::TicketKeys;

use crate::discovery::Drains;
use crate::telemetry::metrics::Carried;

/// Counters that tell how things are and not what has happened: they begin anew.
const GAUGES: [&str; 4] = ["connections_open", "ring_sockets_open", "plan_swap_ns_max", "overloaded"];

/// All of it. A field that a generation does not know, or does not have, is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Heritage {
    /// Counters by name (`exchanges{completed}`), all shards together.
    pub(crate) counters: BTreeMap<String, u64>,
    /// What each shard has learned.
    pub(crate) shards: Vec<Vec<Learned>>,
    /// Addresses by name.
    pub(crate) hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Servers that an operator wants to get no new requests.
    pub(crate) drains: Drains,
    /// What is counted by listener, route, upstream and server.
    pub(crate) metrics: Carried,
    /// The keys of session tickets, where they were drawn at random.
    pub(crate) tickets: Option<LeftTickets>,
}

/// Keys of session tickets. They are never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftTickets {
    /// In base64, the one that makes tickets first.
    keys: Vec<String>,
    /// For how long that one has.
    age_ms: u64,
}

impl fmt::Debug for LeftTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeftTickets(…)")
    }
}

impl LeftTickets {
    /// `keys`, the first of which has made tickets for so long.
    pub(super) fn new(keys: &TicketKeys, age: Duration) -> LeftTickets {
        let keys = keys.secret_keys().iter().map(|key| BASE64.encode(key.0));
        LeftTickets { keys: keys.collect(), age_ms: age.as_millis() as u64 }
    }

    /// The same; `None` if they are no keys.
    pub(super) fn take(&self) -> Option<(TicketKeys, Duration)> {
        let key = |text: &String| Some(TicketKey(BASE64.decode(text).ok()?.try_into().ok()?));
        let keys: Vec<TicketKey> = self.keys.iter().map(key).collect::<Option<_>>()?;
        Some((TicketKeys::given(&keys)?, Duration::from_millis(self.age_ms)))
    }
}

/// What a shard has learned of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Learned {
    upstream: String,
    /// `127.0.0.1:80`, or `unix:/path`.
    server: String,
    failures: u32,
    ejections: u32,
    out_for_ms: Option<u64>,
    ejection_ms: u64,
}

impl Heritage {
    /// What the shard in this place is to know. Where there are more shards than before, several know the same.
    pub(super) fn of_shard(&self, shard: usize) -> Vec<ServerHealth> {
        match self.shards.len() {
            0 => Vec::new(),
            count => self.shards[shard % count].iter().filter_map(Learned::to_health).collect(),
        }
    }

    /// Adds what an earlier generation has counted since it `gave` what this one began with.
    pub(super) fn add_since(&mut self, gave: &Heritage, last: &Heritage) {
        for (name, value) in &last.counters {
            let since = value.saturating_sub(gave.counters.get(name).copied().unwrap_or(0));
            if since > 0 {
                *self.counters.entry(name.clone()).or_default() += since;
            }
        }
    }
}

/// Whether what is counted by this name goes on in the next generation.
pub(super) fn goes_on(name: &str) -> bool {
    !GAUGES.contains(&name)
}

impl Learned {
    pub(super) fn from_health(health: &ServerHealth) -> Learned {
        let condition = &health.condition;
        Learned {
            upstream: health.upstream.clone(),
            server: health.address.to_string(),
            failures: condition.failures,
            ejections: condition.ejections,
            out_for_ms: condition.out_for.map(|left| left.as_millis() as u64),
            ejection_ms: condition.ejection.as_millis() as u64,
        }
    }

    fn to_health(&self) -> Option<ServerHealth> {
        let address = match self.server.strip_prefix("unix:") {
            Some(path) => Address::Unix(path.into()),
            None => Address::Tcp(self.server.parse().ok()?),
        };
        let condition = Condition {
            failures: self.failures,
            ejections: self.ejections,
            out_for: self.out_for_ms.map(Duration::from_millis),
            ejection: Duration::from_millis(self.ejection_ms),
        };
        Some(ServerHealth { upstream: self.upstream.clone(), address, condition })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_survives_the_way() {
        let condition = Condition {
            failures: 3,
            ejections: 2,
            out_for: Some(Duration::from_millis(1_500)),
            ejection: Duration::from_secs(20),
        };
        for address in [Address::Tcp("[::1]:80".parse().unwrap()), Address::Unix("/run/app.sock".into())] {
            let health = ServerHealth { upstream: "app".to_owned(), address, condition };
            let heritage = Heritage { shards: vec![vec![Learned::from_health(&health)]], ..Heritage::default() };
            let read: Heritage = serde_json::from_str(&serde_json::to_string(&heritage).unwrap()).unwrap();
            assert_eq!(read.of_shard(7), [health]);
        }
        assert_eq!(serde_json::from_str::<Heritage>("{\"later\": 1}").unwrap(), Heritage::default());
    }

    #[test]
    fn ticket_keys_survive_the_way_and_are_not_shown() {
        let keys = TicketKeys::random().rotated();
        let left = LeftTickets::new(&keys, Duration::from_secs(90));
        let heritage = Heritage { tickets: Some(left), ..Heritage::default() };
        let text = serde_json::to_string(&heritage).unwrap();
        let read: Heritage = serde_json::from_str(&text).unwrap();
        assert_eq!(read.tickets.unwrap().take(), Some((keys.clone(), Duration::from_secs(90))));
        let secret = BASE64.encode(keys.secret_keys()[0].0);
        assert!(text.contains(&secret) && !format!("{heritage:?}").contains(&secret));
    }

    #[test]
    fn what_an_old_generation_still_counts_is_added_once() {
        let counted = |value| Heritage { counters: [("x".to_owned(), value)].into(), ..Heritage::default() };
        let mut inherited = counted(10);
        inherited.add_since(&counted(10), &counted(13));
        assert_eq!(inherited, counted(13));
    }
}
