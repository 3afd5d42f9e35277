//! The cells of all shards, by what they count.
//!
//! A set of labels has one cell for each shard, so that no two threads write the same cache line, and keeps them for as long
//! as the configuration names it: a reload resets nothing. The number of sets has a bound for each kind of subject. What
//! comes beyond it is counted together under the label `other`, and how many there are is a metric itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use engine::{Count, Counters, ListenerTally, RouteTally, ServerTally, Tallies, UpstreamTallies, UpstreamTally};
use plan::{LatencyBuckets, Plan, Server, UpstreamId};
use serde::{Deserialize, Serialize};

use super::super::access;

/// What everything beyond the bound is called.
pub(crate) const OTHER: &str = "other";
/// What requests are put down to that met no route.
pub(crate) const NO_ROUTE: &str = "none";

/// Everything that is counted in this worker.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) shards: Vec<Arc<Counters>>,
    /// What the workers before this one counted in all their shards.
    pub(super) earlier: Counters,
    pub(super) listeners: Series<ListenerTally>,
    pub(super) routes: Series<RouteTally>,
    pub(super) upstreams: Series<UpstreamTally>,
    pub(super) servers: Series<ServerTally>,
    /// Of the access log's targets. Each has one writer, which no shard is.
    pub(super) logs: Series<LogTally>,
    pub(super) latency: LatencyBuckets,
    pub(super) reloads: Reloads,
    /// Until when each certificate is valid, in seconds since 1970; the soonest first.
    pub(super) certificates: Vec<(String, i64)>,
    /// Until when what is stapled to them is good, in the same way.
    pub(super) staples: Vec<(String, i64)>,
    /// What came of questions to issuers.
    pub(super) ocsp: BTreeMap<String, u64>,
    /// Files of certificates that are wrong.
    pub(super) broken_files: usize,
    /// Series of one kind.
    bound: usize,
    pub(super) generation: u64,
    pub(super) crashes: u64,
}

/// How one target of the access log does.
#[derive(Debug, Default)]
pub(crate) struct LogTally {
    /// Records that it did not take, because its disk is full for instance.
    pub(crate) records: Count,
}

/// How reloads have gone.
#[derive(Debug)]
pub(super) struct Reloads {
    pub(super) done: u64,
    pub(super) refused: u64,
    /// When the configuration in force was loaded.
    pub(super) loaded: SystemTime,
}

/// The values of the labels that tell one subject from another of its kind.
pub(super) type Labels = Vec<String>;

/// The cells of one kind of subject.
#[derive(Debug)]
pub(super) struct Series<T> {
    /// What of it no two sets of labels share.
    cells: BTreeMap<Labels, Cells<T>>,
    /// Number of labels that a set has.
    labels: usize,
    /// What is beyond the bound; made when something is.
    other: Option<Cells<T>>,
    /// Sets of labels that are named and have no cells of their own. They stay here for as long as they are named: who writes
    /// their cells goes on writing the same.
    pub(super) folded: BTreeSet<Labels>,
}

/// The cells of one subject.
#[derive(Debug)]
pub(super) struct Cells<T> {
    shards: Vec<Arc<T>>,
    /// What the workers before this one counted.
    earlier: Option<Box<T>>,
}

/// What a worker has counted, for the one that comes after it. What rises and falls is not part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Carried {
    totals: Counts,
    listeners: Vec<(Labels, Counts)>,
    routes: Vec<(Labels, Counts)>,
    upstreams: Vec<(Labels, Counts)>,
    servers: Vec<(Labels, Counts)>,
    logs: Vec<(Labels, Counts)>,
    reloads: [u64; 2],
    ocsp: BTreeMap<String, u64>,
}

/// Counts in a fixed order, of which most are 0: a histogram has many buckets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// How many there are. Another version may count other things.
    of: u32,
    /// Those that are not 0, with their places.
    some: Vec<(u32, u64)>,
}

impl Registry {
    pub(super) fn new(shards: usize) -> Registry {
        Registry {
            shards: std::iter::repeat_with(Arc::default).take(shards).collect(),
            earlier: Counters::default(),
            listeners: Series::new(1),
            routes: Series::new(1),
            upstreams: Series::new(1),
            servers: Series::new(2),
            logs: Series::new(1),
            latency: LatencyBuckets::default(),
            reloads: Reloads { done: 0, refused: 0, loaded: SystemTime::now() },
            certificates: Vec::new(),
            staples: Vec::new(),
            ocsp: BTreeMap::new(),
            broken_files: 0,
            bound: usize::MAX,
            generation: 1,
            crashes: 0,
        }
    }

    pub(super) fn counters(&self, shard: usize) -> Arc<Counters> {
        Arc::clone(&self.shards[shard])
    }

    pub(super) fn tallies(&mut self, plan: &Plan) -> Vec<Tallies> {
        let shards = self.shards.len();
        self.latency = plan.metrics.latency;
        let bound = plan.metrics.series_max as usize;
        self.bound = bound;
        self.certificates = bounded(certificates(plan), bound);
        let logs = plan.access_logs.targets.iter().map(|target| vec![access::name(&target.place)]);
        self.logs.name(logs.collect(), usize::MAX, 1);
        if !plan.metrics.enabled {
            self.forget();
            return vec![Tallies::default(); shards];
        }
        let listeners = plan.listeners.iter().map(|listener| vec![listener.address.to_string()]);
        self.listeners.name(listeners.collect(), bound, shards);
        let routes = plan.routes.routes().iter().map(|route| vec![route.name.clone()]);
        let mut routes =
            self.routes.name([vec![NO_ROUTE.to_owned()]].into_iter().chain(routes).collect(), bound, shards);
        let upstreams = plan.upstreams.iter().map(|upstream| vec![upstream.name.clone()]);
        let upstreams = self.upstreams.name(upstreams.collect(), bound, shards);
        let named = plan.upstreams.iter().map(|upstream| server_labels(&upstream.name, &upstream.servers));
        let servers = self.servers.name(named.flatten().collect(), bound, shards);
        let unrouted = routes.remove(0);
        let of_shard = |shard: usize| {
            let mut servers = servers.iter().map(|cells| Arc::clone(&cells[shard]));
            let upstreams = upstreams.iter().zip(&plan.upstreams).map(|(cells, policy)| UpstreamTallies {
                upstream: Arc::clone(&cells[shard]),
                servers: servers.by_ref().take(policy.servers.len()).collect(),
            });
            Tallies {
                routes: routes.iter().map(|cells| Arc::clone(&cells[shard])).collect(),
                unrouted: Some(Arc::clone(&unrouted[shard])),
                upstreams: upstreams.collect(),
            }
        };
        (0..shards).map(of_shard).collect()
    }

    pub(super) fn listener(&self, shard: usize, address: &str) -> Option<Arc<ListenerTally>> {
        self.listeners.find(&vec![address.to_owned()]).map(|cells| Arc::clone(&cells.shards[shard]))
    }

    pub(super) fn servers(&mut self, plan: &Plan, id: UpstreamId, servers: &[Server]) -> Vec<Vec<Arc<ServerTally>>> {
        let shards = self.shards.len();
        if !plan.metrics.enabled {
            return vec![Vec::new(); shards];
        }
        let name = &plan.upstreams[usize::from(id.0)].name;
        let named = server_labels(name, servers).collect();
        let cells = self.servers.rename(|labels| labels[0] == *name, named, plan.metrics.series_max as usize, shards);
        (0..shards).map(|shard| cells.iter().map(|cells| Arc::clone(&cells[shard])).collect()).collect()
    }

    /// What is counted of the target of the access log with this name. A Plan has few, and no client can make more.
    pub(super) fn log(&mut self, name: &str) -> Arc<LogTally> {
        Arc::clone(&self.logs.cells_of(vec![name.to_owned()], usize::MAX, 1).shards[0])
    }

    pub(super) fn note_staples(&mut self, staples: Vec<(String, i64)>) {
        self.staples = bounded(staples, self.bound);
    }

    fn forget(&mut self) {
        self.listeners = Series::new(1);
        self.routes = Series::new(1);
        self.upstreams = Series::new(1);
        self.servers = Series::new(2);
    }

    pub(super) fn carry(&self) -> Carried {
        let totals = self.shards.iter().map(|counters| &**counters).chain([&self.earlier]).map(totals);
        Carried {
            totals: Counts::sum(totals),
            listeners: self.listeners.carry(),
            routes: self.routes.carry(),
            upstreams: self.upstreams.carry(),
            servers: self.servers.carry(),
            logs: self.logs.carry(),
            reloads: [self.reloads.done, self.reloads.refused],
            ocsp: self.ocsp.clone(),
        }
    }

    pub(super) fn take_over(&mut self, carried: &Carried) {
        carried.totals.add_to(totals(&self.earlier));
        self.listeners.take_over(&carried.listeners);
        self.routes.take_over(&carried.routes);
        self.upstreams.take_over(&carried.upstreams);
        self.servers.take_over(&carried.servers);
        self.logs.take_over(&carried.logs);
        self.reloads.done += carried.reloads[0];
        self.reloads.refused += carried.reloads[1];
        for (outcome, count) in &carried.ocsp {
            *self.ocsp.entry(outcome.clone()).or_default() += count;
        }
    }
}

fn server_labels<'a>(upstream: &'a str, servers: &'a [Server]) -> impl Iterator<Item = Labels> + 'a {
    servers.iter().map(move |server| vec![upstream.to_owned(), server.address.to_string()])
}

/// Until when the certificates of `plan` are valid.
fn certificates(plan: &Plan) -> Vec<(String, i64)> {
    let hosts = plan.tls.iter().flat_map(|tls| &tls.hosts);
    let all: BTreeMap<&str, i64> = hosts
        .flat_map(|host| &host.certificates)
        .map(|certificate| (certificate.name.as_str(), certificate.not_after_unix_s))
        .collect();
    all.into_iter().map(|(name, until)| (name.to_owned(), until)).collect()
}

/// The soonest first: as many as the bound allows by themselves, and the first of the rest.
fn bounded(mut times: Vec<(String, i64)>, bound: usize) -> Vec<(String, i64)> {
    times.sort_by_key(|(_, until)| *until);
    if let Some(rest) = times.get_mut(bound) {
        OTHER.clone_into(&mut rest.0);
    }
    times.truncate(bound.saturating_add(1));
    times
}

impl<T: Default> Series<T> {
    fn new(labels: usize) -> Series<T> {
        Series { cells: BTreeMap::new(), labels, other: None, folded: BTreeSet::new() }
    }

    /// The cells of each of `named`, by shard. All others are forgotten.
    fn name(&mut self, named: Vec<Labels>, bound: usize, shards: usize) -> Vec<Vec<Arc<T>>> {
        self.rename(|_| true, named, bound, shards)
    }

    /// The cells of each of `named`, by shard. Of those that are `replaced`, all others are forgotten.
    fn rename(
        &mut self,
        replaced: impl Fn(&Labels) -> bool,
        named: Vec<Labels>,
        bound: usize,
        shards: usize,
    ) -> Vec<Vec<Arc<T>>> {
        let kept: BTreeSet<&Labels> = named.iter().collect();
        self.cells.retain(|labels, _| !replaced(labels) || kept.contains(labels));
        self.folded.retain(|labels| !replaced(labels) || kept.contains(labels));
        drop(kept);
        named.into_iter().map(|labels| self.cells_of(labels, bound, shards).shards.clone()).collect()
    }

    fn cells_of(&mut self, labels: Labels, bound: usize, shards: usize) -> &Cells<T> {
        let has_room = self.cells.len() < bound && !self.folded.contains(&labels);
        if has_room || self.cells.contains_key(&labels) {
            return self.cells.entry(labels).or_insert_with(|| Cells::new(shards));
        }
        self.folded.insert(labels);
        self.other.get_or_insert_with(|| Cells::new(shards))
    }

    /// The cells of a subject that is named.
    fn find(&self, labels: &Labels) -> Option<&Cells<T>> {
        self.cells.get(labels).or_else(|| self.other.as_ref().filter(|_| self.folded.contains(labels)))
    }

    /// All subjects with their labels; what is beyond the bound last.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Labels, &Cells<T>)> {
        let other = self.other.iter().map(|cells| (vec![OTHER.to_owned(); self.labels], cells));
        self.cells.iter().map(|(labels, cells)| (labels.clone(), cells)).chain(other)
    }

    /// Those that have cells of their own.
    pub(super) fn own(&self) -> impl Iterator<Item = (&Labels, &Cells<T>)> {
        self.cells.iter()
    }

    /// Sets of labels that have cells of their own.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }
}

impl<T: Rising + Default> Series<T> {
    fn carry(&self) -> Vec<(Labels, Counts)> {
        self.iter().map(|(labels, cells)| (labels, Counts::sum(cells.all().map(T::rising)))).collect()
    }

    fn take_over(&mut self, carried: &[(Labels, Counts)]) {
        for (labels, counts) in carried {
            let is_other = labels.iter().all(|label| label == OTHER);
            let own = self.cells.get_mut(labels);
            // What the configuration names no more was dropped here, as a reload would have dropped it.
            if let Some(cells) = own.or(self.other.as_mut().filter(|_| is_other)) {
                counts.add_to(cells.earlier.get_or_insert_default().rising());
            }
        }
    }
}

impl<T: Default> Cells<T> {
    fn new(shards: usize) -> Cells<T> {
        Cells { shards: std::iter::repeat_with(Arc::default).take(shards).collect(), earlier: None }
    }

    /// The cells of all shards, and what the workers before counted.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.shards.iter().map(|cell| &**cell).chain(self.earlier.as_deref())
    }
}

/// Cells whose counters that only rise can be carried over to another worker.
pub(super) trait Rising {
    /// These counters, always in the same order.
    fn rising(&self) -> impl Iterator<Item = &Count>;
}

impl Rising for ListenerTally {
    fn rising(&self) -> impl Iterator<Item = &Count> {
        [&self.connections, &self.requests].into_iter()
    }
}

impl Rising for RouteTally {
    fn rising(&self) -> impl Iterator<Item = &Count> {
        let bytes = [&self.request_body_bytes, &self.response_body_bytes];
        self.responses.iter().chain(bytes).chain(self.latency.cells()).chain(&self.failures)
    }
}

impl Rising for UpstreamTally {
    fn rising(&self) -> impl Iterator<Item = &Count> {
        let counts = [&self.requests, &self.connects, &self.reuses, &self.retries, &self.retries_denied];
        let rare = [&self.failovers, &self.ejections, &self.coalesced_resent, &self.coalesced_stalls];
        let coalesced = [&self.coalesced_requests, &self.coalesced_batches];
        counts
            .into_iter()
            .chain(rare)
            .chain(coalesced)
            .chain(self.head_latency.cells())
            .chain(self.total_latency.cells())
            .chain(&self.tls_handshakes)
            .chain(&self.tls_handshakes_failed)
            .chain(self.tls_latency.cells())
    }
}

impl Rising for ServerTally {
    fn rising(&self) -> impl Iterator<Item = &Count> {
        [&self.requests, &self.failures, &self.heads, &self.heads_us].into_iter()
    }
}

impl Rising for LogTally {
    fn rising(&self) -> impl Iterator<Item = &Count> {
        [&self.records].into_iter()
    }
}

/// What is told of all shards together and only rises.
fn totals(counters: &Counters) -> impl Iterator<Item = &Count> {
    let detected = [&counters.passthroughs, &counters.proxy_headers].into_iter().chain(&counters.refusals);
    let websockets = [&counters.websockets, &counters.websocket_pings].into_iter().chain(&counters.websocket_breaches);
    let singles = [&counters.tunnels, &counters.clients_cut_off, &counters.records_dropped];
    let handshakes = counters.tls_handshakes.iter().chain(&counters.tls_handshakes_failed);
    let http2 = [
        &counters.http2_connections,
        &counters.http2_requests,
        &counters.http2_resets_received,
        &counters.http2_resets_sent,
    ];
    let http2 = http2.into_iter().chain(&counters.http2_budgets);
    counters
        .exchanges
        .iter()
        .chain(&counters.limits)
        .chain(handshakes)
        .chain(singles)
        .chain(detected)
        .chain(websockets)
        .chain(http2)
}

impl Carried {
    /// What was counted after `earlier`, which is what the same worker had carried before.
    pub(crate) fn since(&self, earlier: &Carried) -> Carried {
        Carried {
            totals: self.totals.since(&earlier.totals),
            listeners: since(&self.listeners, &earlier.listeners),
            routes: since(&self.routes, &earlier.routes),
            upstreams: since(&self.upstreams, &earlier.upstreams),
            servers: since(&self.servers, &earlier.servers),
            logs: since(&self.logs, &earlier.logs),
            reloads: std::array::from_fn(|index| self.reloads[index].saturating_sub(earlier.reloads[index])),
            ocsp: {
                let before = |outcome: &String| earlier.ocsp.get(outcome).copied().unwrap_or(0);
                let since =
                    |(outcome, count): (&String, &u64)| (outcome.clone(), count.saturating_sub(before(outcome)));
                self.ocsp.iter().map(since).collect()
            },
        }
    }
}

fn since(later: &[(Labels, Counts)], earlier: &[(Labels, Counts)]) -> Vec<(Labels, Counts)> {
    let earlier: BTreeMap<&Labels, &Counts> = earlier.iter().map(|(labels, counts)| (labels, counts)).collect();
    let counted = later.iter().map(|(labels, counts)| {
        (labels.clone(), earlier.get(labels).map_or_else(|| counts.clone(), |earlier| counts.since(earlier)))
    });
    counted.filter(|(_, counts)| !counts.some.is_empty()).collect()
}

impl Counts {
    /// The sums of counts that several have, each in the same order.
    fn sum<'a>(all: impl Iterator<Item = impl Iterator<Item = &'a Count>>) -> Counts {
        let mut sums: Vec<u64> = Vec::new();
        for counts in all {
            for (place, count) in counts.enumerate() {
                match sums.get_mut(place) {
                    Some(sum) => *sum += count.value(),
                    None => sums.push(count.value()),
                }
            }
        }
        let some = (0..).zip(&sums).filter(|(_, sum)| **sum > 0).map(|(place, sum)| (place, *sum)).collect();
        Counts { of: sums.len() as u32, some }
    }

    fn since(&self, earlier: &Counts) -> Counts {
        let earlier: BTreeMap<u32, u64> = earlier.some.iter().copied().collect();
        let left =
            |(place, count): &(u32, u64)| (*place, count.saturating_sub(earlier.get(place).copied().unwrap_or(0)));
        Counts { of: self.of, some: self.some.iter().map(left).filter(|(_, count)| *count > 0).collect() }
    }

    /// Adds them to these, unless those are others.
    fn add_to<'a>(&self, counts: impl Iterator<Item = &'a Count>) {
        let counts: Vec<&Count> = counts.collect();
        if counts.len() == self.of as usize {
            self.some
                .iter()
                .for_each(|(place, count)| counts.get(*place as usize).into_iter().for_each(|of| of.add(*count)));
        }
    }
}
