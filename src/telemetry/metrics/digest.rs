//! What the status of a worker has of its metrics: by route, upstream and server, summed over the shards.

use std::collections::HashMap;

use engine::{Count, Histogram, RouteTally, UpstreamTally};

use super::registry::{Cells, Labels, Registry};
use super::snapshot::sum;
use crate::control::{Heads, LatencyBucket};

/// All of it. What is counted together with others, beyond `metrics.series_max`, is not told apart and missing.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    /// How long all exchanges took.
    pub(crate) latency: Vec<LatencyBucket>,
    routes: HashMap<String, RouteDigest>,
    upstreams: HashMap<String, UpstreamDigest>,
    servers: HashMap<Labels, Heads>,
}

/// One route's.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteDigest {
    pub(crate) requests: u64,
    /// Those that were answered with a status of 500 or above.
    pub(crate) server_errors: u64,
    /// Those that did not complete.
    pub(crate) failures: u64,
    pub(crate) latency: Vec<LatencyBucket>,
}

/// One upstream's.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamDigest {
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    /// How long the heads of answers took.
    pub(crate) latency: Vec<LatencyBucket>,
}

impl Digest {
    pub(crate) fn route(&self, name: &str) -> Option<&RouteDigest> {
        self.routes.get(name)
    }

    pub(crate) fn upstream(&self, name: &str) -> Option<&UpstreamDigest> {
        self.upstreams.get(name)
    }

    pub(crate) fn server(&self, upstream: &str, address: &str) -> Option<Heads> {
        self.servers.get(&vec![upstream.to_owned(), address.to_owned()]).copied()
    }
}

/// The place of 5xx among the classes of statuses.
const SERVER_ERRORS: usize = RouteTally::CLASSES.len() - 1;

/// Takes it.
pub(super) fn take(registry: &Registry) -> Digest {
    let all = registry.routes.iter().flat_map(|(_, cells)| cells.all().map(|tally| &tally.latency).collect::<Vec<_>>());
    Digest {
        latency: latency(all),
        routes: registry.routes.own().map(|(labels, cells)| (labels[0].clone(), route(cells))).collect(),
        upstreams: registry.upstreams.own().map(|(labels, cells)| (labels[0].clone(), upstream(cells))).collect(),
        servers: registry
            .servers
            .own()
            .map(|(labels, cells)| {
                let heads =
                    Heads { count: sum(cells, |tally| &tally.heads), sum_us: sum(cells, |tally| &tally.heads_us) };
                (labels.clone(), heads)
            })
            .collect(),
    }
}

fn route(cells: &Cells<RouteTally>) -> RouteDigest {
    let total = |counts: fn(&RouteTally) -> &[Count]| cells.all().flat_map(counts).map(Count::value).sum();
    RouteDigest {
        requests: total(|tally| &tally.responses),
        server_errors: total(|tally| &tally.responses[SERVER_ERRORS..]),
        failures: total(|tally| &tally.failures),
        latency: latency(cells.all().map(|tally| &tally.latency)),
    }
}

fn upstream(cells: &Cells<UpstreamTally>) -> UpstreamDigest {
    UpstreamDigest {
        requests: sum(cells, |tally| &tally.requests),
        retries: sum(cells, |tally| &tally.retries),
        latency: latency(cells.all().map(|tally| &tally.head_latency)),
    }
}

/// The sums of `histograms`, without the buckets that are empty.
fn latency<'a>(histograms: impl IntoIterator<Item = &'a Histogram>) -> Vec<LatencyBucket> {
    let mut counts = vec![0_u64; Histogram::BUCKETS];
    for histogram in histograms {
        counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
    }
    let bound_us = |bucket: usize| Histogram::bound(bucket).map(|bound| bound.as_micros() as u64);
    let from_us = |bucket: usize| bucket.checked_sub(1).and_then(bound_us).unwrap_or(0);
    let told = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
    told.map(|(bucket, count)| LatencyBucket { from_us: from_us(bucket), to_us: bound_us(bucket), count }).collect()
}
