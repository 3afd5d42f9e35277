//! What a shard has done, counted by the shard alone and read by anyone.

use std::fmt;
use std::sync::Arc;

use ring::{Count, Histogram};
use tls::{Negotiated, Reason};
use wire::h2::BudgetKind;

use crate::handler::Breach;
use crate::outcome::{Limit, Outcome};
use crate::refusal::Refusal;

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
    /// Requests that were sent over shared connections.
    pub coalesced_requests: Count,
    /// The sends in which these left.
    pub coalesced_batches: Count,
    /// Those of them that were sent again because their connection failed them or was held up.
    pub coalesced_resent: Count,
    /// Handshakes of TLS that were completed, in the order of [`Negotiated::kind`].
    pub tls_handshakes: [Count; Negotiated::KINDS],
    /// Those that failed, in the order of [`Reason::NAMES`].
    pub tls_handshakes_failed: [Count; Reason::NAMES.len()],
    /// Connections that were refused by their first bytes, in the order of [`Refusal::WORDS`].
    pub refusals: [Count; Refusal::WORDS.len()],
    /// Headers of the PROXY protocol that were believed.
    pub proxy_headers: Count,
    /// Connections of TLS that were passed through to a server.
    pub passthroughs: Count,
    /// Connections of clients that speak HTTP/2.
    pub http2_connections: Count,
    /// Requests that came over these.
    pub http2_requests: Count,
    /// Streams that clients took back (RST_STREAM).
    pub http2_resets_received: Count,
    /// Streams that were broken off towards clients, answers without the rest of their request included.
    pub http2_resets_sent: Count,
    /// Clients that were told to go for doing too much of something, in the order of [`BudgetKind::NAMES`].
    pub http2_budgets: [Count; BudgetKind::NAMES.len()],
    /// Tunnels opened: upgrades and CONNECTs that an upstream has agreed to, and connections that were passed through.
    pub tunnels: Count,
    /// Tunnels open; rises and falls.
    pub tunnels_open: Count,
    /// WebSockets among them that are looked into.
    pub websockets: Count,
    /// Pings that were sent to their ends.
    pub websocket_pings: Count,
    /// Those that ended because one of their ends broke a rule, in the order of [`Breach::WORDS`].
    pub websocket_breaches: [Count; Breach::WORDS.len()],
    /// How long work that was ready waited for its turn, as the probes found that are sent while requests come.
    pub queue_time: Histogram,
    /// Whether new requests are refused because that takes too long: 1, or 0.
    pub shedding: Count,
    /// Limits that were met, in the order of [`Limit::NAMES`].
    pub limits: [Count; Limit::NAMES.len()],
    /// Clients that broke the rules so often that their connections are refused for a while.
    pub clients_cut_off: Count,
    /// Times another Plan was taken.
    pub plan_swaps: Count,
    /// The longest that sessions had to wait for one, in ns.
    pub plan_swap_ns_max: Count,
    /// Access records that were dropped because the writer fell behind.
    pub records_dropped: Count,
}

/// Counts something among those that are open, until it is dropped.
pub(crate) struct Open<'a>(&'a Count);

impl Open<'_> {
    pub(crate) fn new(open: &Count) -> Open<'_> {
        open.add(1);
        Open(open)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

impl Counters {
    /// Exchanges that ended, however they did.
    #[must_use]
    pub fn exchanges_ended(&self) -> u64 {
        self.exchanges.iter().map(Count::value).sum()
    }

    /// Counts a limit that was met.
    pub(crate) fn hit(&self, limit: Limit) {
        self.limits[limit.index()].add(1);
    }

    /// All counters as they stand, for whoever shows them.
    pub fn readings(&self) -> impl Iterator<Item = Reading> + '_ {
        let ring = &self.ring;
        let singles = [
            ("connections_accepted", &self.connections_accepted),
            ("connections_open", &self.connections_open),
            ("upstream_connects", &self.upstream_connects),
            ("upstream_reuses", &self.upstream_reuses),
            ("upstream_retries", &self.upstream_retries),
            ("upstream_retries_denied", &self.upstream_retries_denied),
            ("upstream_failovers", &self.upstream_failovers),
            ("upstream_ejections", &self.upstream_ejections),
            ("coalesced_requests", &self.coalesced_requests),
            ("coalesced_batches", &self.coalesced_batches),
            ("coalesced_resent", &self.coalesced_resent),
            ("proxy_headers", &self.proxy_headers),
            ("passthroughs", &self.passthroughs),
            ("http2_connections", &self.http2_connections),
            ("http2_requests", &self.http2_requests),
            ("http2_resets_received", &self.http2_resets_received),
            ("http2_resets_sent", &self.http2_resets_sent),
            ("tunnels", &self.tunnels),
            ("websockets", &self.websockets),
            ("websocket_pings", &self.websocket_pings),
            ("clients_cut_off", &self.clients_cut_off),
            ("plan_swaps", &self.plan_swaps),
            ("plan_swap_ns_max", &self.plan_swap_ns_max),
            ("records_dropped", &self.records_dropped),
            ("ring_enters", &ring.enters),
            ("ring_entries", &ring.entries),
            ("ring_completions", &ring.completions),
            ("ring_bytes_received", &ring.bytes_received),
            ("ring_bytes_sent", &ring.bytes_sent),
            ("ring_bytes_spliced", &ring.bytes_spliced),
            ("ring_bytes_copied_out", &ring.bytes_copied_out),
            ("ring_receives_starved", &ring.receives_starved),
            ("ring_overflows", &ring.overflows),
            ("ring_accept_pauses", &ring.accept_pauses),
            ("ring_pipes_shrunk", &ring.pipes_shrunk),
            ("ring_pipes_refused", &ring.pipes_refused),
            ("ring_panics", &ring.panics),
            ("ring_sockets_open", &ring.sockets_open),
        ];
        let singles = singles.map(|(name, count)| Reading { name, member: None, value: count.value() });
        let handshakes = self.tls_handshakes.iter().map(Count::value).sum();
        let handshakes = [Reading { name: "tls_handshakes", member: None, value: handshakes }];
        let exchanges = family("exchanges", &Outcome::WORDS, &self.exchanges);
        let limits = family("limits", &Limit::NAMES, &self.limits);
        let failed = family("tls_handshakes_failed", &Reason::NAMES, &self.tls_handshakes_failed);
        let refusals = family("refusals", &Refusal::WORDS, &self.refusals);
        let breaches = family("websocket_breaches", &Breach::WORDS, &self.websocket_breaches);
        let budgets = family("http2_budgets", &BudgetKind::NAMES, &self.http2_budgets);
        exchanges
            .chain(limits)
            .chain(failed)
            .chain(handshakes)
            .chain(refusals)
            .chain(breaches)
            .chain(budgets)
            .chain(singles)
    }
}

fn family<'a>(
    name: &'static str,
    members: &'static [&'static str],
    counts: &'a [Count],
) -> impl Iterator<Item = Reading> + 'a {
    let pairs = members.iter().zip(counts);
    pairs.map(move |(member, count)| Reading { name, member: Some(member), value: count.value() })
}

/// One counter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The counter, or the family that it belongs to.
    pub name: &'static str,
    /// Which of the family.
    pub member: Option<&'static str>,
    /// How far it has counted.
    pub value: u64,
}

impl fmt::Display for Reading {
    /// `exchanges{completed}=5`, `connections_accepted=7`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "{}{{{member}}}={}", self.name, self.value),
            None => write!(f, "{}={}", self.name, self.value),
        }
    }
}
