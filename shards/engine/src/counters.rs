//! What a shard has done, counted by the shard alone and read by anyone.

use std::sync::Arc;

use ring::Count;

use crate::outcome::Outcome;

/// The counters of one shard.
#[derive(Debug, Default)]
pub struct Counters {
    /// What was asked of the kernel.
    pub ring: Arc<ring::Counters>,
    /// Client connections accepted.
    pub connections_accepted: Count,
    /// Client connections open; rises and falls.
    pub connections_open: Count,
    /// Exchanges by how they ended, in the order of [`Outcome::WORDS`].
    pub exchanges: [Count; Outcome::WORDS.len()],
    /// Connections opened to upstreams.
    pub upstream_connects: Count,
    /// Requests that went over a connection that had been used before.
    pub upstream_reuses: Count,
    /// Requests that were sent again, because a kept connection had died, or another server was asked.
    pub upstream_retries: Count,
    /// Retries that the budget did not allow.
    pub upstream_retries_denied: Count,
    /// Requests that went on to the next server because one could not be connected to.
    pub upstream_failovers: Count,
    /// Servers that were left out for a time because they kept failing.
    pub upstream_ejections: Count,
    /// Tunnels opened: upgrades and CONNECTs that an upstream has agreed to.
    pub tunnels: Count,
    /// Access records that were dropped because the writer fell behind.
    pub records_dropped: Count,
}

impl Counters {
    /// Exchanges that ended, however they did.
    #[must_use]
    pub fn exchanges_ended(&self) -> u64 {
        self.exchanges.iter().map(Count::value).sum()
    }
}
