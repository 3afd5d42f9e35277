//! What passed through a shard, by listener, route, upstream and server.
//!
//! The cells are made by the control thread, which sums those of all shards when it is asked; a shard alone writes its own, by
//! relaxed stores. Where metrics are off there are none, and nothing is written.
//!
//! A request that is proxied and completes touches eight cache lines here, all of them in the core's first cache where
//! traffic is: one of the listener, two of the route (its first line, and one of latencies), four of the upstream (its first
//! line, one of each histogram, and one sum) and one of the server. The time of a latency is the tick's: none is read for it.

use std::sync::Arc;
use std::time::Duration;

use plan::RouteId;
use ring::{Count, Histogram};
use tls::Reason;

use crate::outcome::Outcome;

/// The cells of one shard, by the places that their subjects have in the Plan.
#[derive(Debug, Clone, Default)]
pub struct Tallies {
    /// By route, in the order of the table.
    pub routes: Vec<Arc<RouteTally>>,
    /// Requests that met no route: refused before, or nothing is configured for them.
    pub unrouted: Option<Arc<RouteTally>>,
    /// By upstream.
    pub upstreams: Vec<UpstreamTallies>,
}

/// The cells of one upstream and its servers.
#[derive(Debug, Clone)]
pub struct UpstreamTallies {
    /// The upstream as a whole.
    pub upstream: Arc<UpstreamTally>,
    /// By server, in the order of the Plan.
    pub servers: Vec<Arc<ServerTally>>,
}

impl Tallies {
    /// The cells of this route, or of those requests that met none.
    pub(crate) fn route(&self, id: Option<RouteId>) -> Option<&RouteTally> {
        match id {
            Some(id) => self.routes.get(id.0 as usize).map(|tally| &**tally),
            None => self.unrouted.as_deref(),
        }
    }
}

/// What came in by one listener.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ListenerTally {
    /// Connections accepted, also those that were closed at once because of a limit.
    pub connections: Count,
    /// Connections open; rises and falls.
    pub connections_open: Count,
    /// Requests, also those whose heads were refused.
    pub requests: Count,
}

/// What clients asked of one route, and got.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct RouteTally {
    /// Requests by the class of their answers' status: 1xx to 5xx.
    pub responses: [Count; RouteTally::CLASSES.len()],
    /// Bytes of the requests' bodies, and of tunnels from the client.
    pub request_body_bytes: Count,
    /// Bytes of the answers' bodies, and of tunnels to the client.
    pub response_body_bytes: Count,
    /// From the end of a request's head to the end of its answer; for a tunnel, to its opening. It counts every request.
    pub latency: Histogram,
    /// Requests by outcome, in the order of [`Outcome::WORDS`]. Those that completed are not counted: they are the rest.
    pub failures: [Count; Outcome::WORDS.len()],
}

impl RouteTally {
    /// What the classes of statuses are called.
    pub const CLASSES: [&'static str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    /// Counts one request that has ended. As with [`Count::add`], only the owning thread may call it.
    pub fn note(&self, status: u16, outcome: Outcome, body_bytes: (u64, u64), latency: Duration) {
        // RFC 9110 §15: a status beyond the classes is taken for a server error.
        let class = usize::from(status / 100).clamp(1, RouteTally::CLASSES.len()) - 1;
        self.responses[class].add(1);
        let (received, sent) = body_bytes;
        self.request_body_bytes.add(received);
        self.response_body_bytes.add(sent);
        self.latency.record(latency);
        if outcome != Outcome::Completed {
            self.failures[outcome.index()].add(1);
        }
    }
}

/// How one upstream was used.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct UpstreamTally {
    /// Requests that were sent, each attempt counted.
    pub requests: Count,
    /// Connections that were opened, or tried to be.
    pub connects: Count,
    /// Requests that went over a connection which had been used before.
    pub reuses: Count,
    /// Connections that exist or are being opened; rises and falls.
    pub connections: Count,
    /// Connections that wait for a request; rises and falls.
    pub connections_idle: Count,
    /// Requests that were sent again.
    pub retries: Count,
    /// Retries that the budget did not allow.
    pub retries_denied: Count,
    /// From a request's end to the end of its answer's head; an answer that comes before counts from the head's sending.
    pub head_latency: Histogram,
    /// From the sending of a request's head to the end of its answer. Tunnels and answers that break off are not counted.
    pub total_latency: Histogram,
    /// Requests that went on to the next server because one could not be connected to.
    pub failovers: Count,
    /// Servers that were left out for a time because they kept failing.
    pub ejections: Count,
    /// Requests that were sent over shared connections.
    pub coalesced_requests: Count,
    /// The sends in which these left.
    pub coalesced_batches: Count,
    /// Those of them that were sent again because their connection failed them or was held up.
    pub coalesced_resent: Count,
    /// Shared connections that were held up by an answer.
    pub coalesced_stalls: Count,
    /// Shared connections open; rises and falls.
    pub coalesced_connections: Count,
    /// Handshakes of TLS that were completed: full ones, and those that resumed a session.
    pub tls_handshakes: [Count; 2],
    /// Those that failed, in the order of [`Reason::NAMES`].
    pub tls_handshakes_failed: [Count; Reason::NAMES.len()],
    /// From an open connection to the end of the handshake over it.
    pub tls_latency: Histogram,
}

/// How one server was used.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ServerTally {
    /// Requests that were sent to it, each attempt counted.
    pub requests: Count,
    /// Requests that count against it: refused or broken connections, time-outs, statuses that the policy names.
    pub failures: Count,
    /// Requests that are with it or on their way; rises and falls.
    pub active: Count,
    /// Whether it is ejected: 1, or 0.
    pub ejected: Count,
    /// Answers whose heads came.
    pub heads: Count,
    /// How long these took together, in µs, as [`UpstreamTally::head_latency`] has it. A mean tells the slow server from
    /// the others; a histogram for each would cost a cache line a request and a kilobyte a server and shard.
    pub heads_us: Count,
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;
    use crate::outcome::Error;

    #[test]
    fn what_every_request_writes_lies_together() {
        const LINE: usize = 64;
        assert!(offset_of!(RouteTally, latency) + size_of::<Count>() <= LINE);
        assert!(offset_of!(UpstreamTally, head_latency) + size_of::<Count>() <= LINE);
        assert_eq!((size_of::<ListenerTally>(), size_of::<ServerTally>()), (LINE, LINE));
    }

    #[test]
    fn a_request_is_counted_once_in_each_family() {
        let tally = RouteTally::default();
        let latency = Duration::from_micros(70);
        for (status, outcome) in [
            (101, Outcome::Completed),
            (200, Outcome::Completed),
            (200, Outcome::Failed(Error::UPSTREAM_GONE)),
            (502, Outcome::Failed(Error::UPSTREAM_GONE)),
            (999, Outcome::Completed),
            (0, Outcome::Completed),
        ] {
            tally.note(status, outcome, (3, 5), latency);
        }
        assert_eq!(tally.responses.each_ref().map(Count::value), [2, 2, 0, 0, 2]);
        assert_eq!((tally.request_body_bytes.value(), tally.response_body_bytes.value()), (18, 30));
        assert_eq!(tally.latency.counts().sum::<u64>(), 6);
        let failed = tally.failures.iter().zip(Outcome::WORDS).filter(|(count, _)| count.value() > 0);
        let failed: Vec<_> = failed.map(|(count, word)| (word, count.value())).collect();
        assert_eq!(failed, [("upstream_gone", 2)]);
    }
}
