//! What the shards tell when they are asked how things stand, put together.
//!
//! [`Control::survey`] is what the admin API's status comes from. Counters are read where they lie. What only a shard knows it tells through its mailbox; one that does not within
//! [`PATIENCE`] is stuck, and the status says so. The control loop does not wait for that: the survey goes on beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::{ServerSnapshot, Snapshot, Standing};
use plan::tls::Stapling;
use plan::{Balance, Plan};
use tokio::sync::oneshot;

use super::reload::WARNINGS_MAX;
use super::status::{
    Certificates, Phase, Reloads, RouteStatus, ServerState, ServerStatus, ShardStatus, Status, Totals, UpstreamStatus,
};
use super::{Control, io_name};
use crate::certs;
use crate::discovery::Resolution;
use crate::telemetry::metrics::Digest;

/// How long a shard may take to answer. Its loop turns in far less than a hundredth of it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A question to all shards, under way.
struct Survey {
    /// By shard; none where the mailbox was full.
    answers: Vec<Option<oneshot::Receiver<Snapshot>>>,
    /// What is known of each server beside what the shards tell.
    named: BTreeMap<String, String>,
    digest: Digest,
}

impl Control {
    /// Tells how things stand, when the shards have told what only they know.
    pub(super) fn survey(&mut self, to: oneshot::Sender<Status>) {
        let digest = self.metrics.digest();
        let mut status = self.status(&digest);
        let survey = Survey { answers: self.fleet.survey(), named: named(&self.plan, &self.resolution), digest };
        tokio::spawn(async move {
            survey.complete(&mut status).await;
            let _ = to.send(status);
        });
    }

    /// The Plan in force, with the servers that its upstreams have now.
    pub(super) fn plan_now(&self) -> Arc<Plan> {
        if self.moved.is_empty() {
            return Arc::clone(&self.plan);
        }
        let mut plan = Plan::clone(&self.plan);
        for (upstream, servers) in &self.moved {
            plan.upstreams[usize::from(upstream.0)].servers.clone_from(servers);
        }
        Arc::new(plan)
    }

    fn certificates(&self) -> Certificates {
        let hosts = || self.plan.tls.iter().flat_map(|tls| &tls.hosts).flat_map(|host| &host.certificates);
        let all: BTreeMap<&str, i64> =
            hosts().map(|certificate| (certificate.name.as_str(), certificate.not_after_unix_s)).collect();
        let wanted = hosts().filter(|certificate| certificate.stapling != Stapling::Off);
        let to_staple: BTreeSet<&str> = wanted.map(|certificate| certificate.name.as_str()).collect();
        let first = all.iter().min_by_key(|(_, until)| **until);
        // Files that are wrong, as they were when they were read; and what expires, as it is now.
        let told = self.certs.warnings.iter().cloned();
        let told = told.chain(self.plan.tls.iter().flat_map(|tls| certs::expiring(tls, SystemTime::now())));
        Certificates {
            count: all.len(),
            first_to_expire: first.map(|(name, _)| (*name).to_owned()),
            expires_unix_s: first.map(|(_, until)| *until),
            to_staple: to_staple.len(),
            stapled: self.handshakes.stapling.shown().len(),
            warnings: told.take(WARNINGS_MAX).collect(),
        }
    }

    fn status(&self, digest: &Digest) -> Status {
        let (counters, shards) = (self.fleet.counters(&self.inherited.counters), self.fleet.statuses());
        Status {
            totals: Totals { latency: digest.latency.clone(), ..totals(&counters, &shards) },
            routes: routes(&self.plan, digest),
            upstreams: Vec::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            generation: self.generation,
            supervised: self.parent.is_supervisor(),
            phase: self.phase,
            started_unix_s: self.began.unix_s,
            uptime_s: self.began.at.elapsed().as_secs(),
            config: self.asked.config.as_ref().map(|path| path.display().to_string()),
            listening: self.ready.listening.clone(),
            io: io_name(self.ready.backend).to_owned(),
            shards,
            counters,
            reloads: Reloads { plans_retired: self.retired.len(), ..self.reloads.clone() },
            certificates: self.certificates(),
            crashes: self.crashes.clone(),
        }
    }
}

impl Survey {
    /// Waits for the shards and completes `status` by what they tell.
    async fn complete(self, status: &mut Status) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut snapshots = Vec::new();
        for (shard, answer) in status.shards.iter_mut().zip(self.answers) {
            let snapshot = match answer {
                Some(answer) => tokio::time::timeout_at(deadline, answer).await.ok().and_then(Result::ok),
                None => None,
            };
            // One that has ended while others still drain has nothing to answer.
            shard.ticks &= snapshot.is_some() || status.phase == Phase::Draining;
            snapshots.extend(snapshot);
        }
        add_cpu_times(&mut status.shards);
        status.upstreams = upstreams(&snapshots, &self.named, &self.digest);
    }
}

/// What `counters`, by their names, and the shards' gauges say together.
fn totals(counters: &BTreeMap<String, u64>, shards: &[ShardStatus]) -> Totals {
    let count = |name: &str| counters.get(name).copied().unwrap_or_default();
    let family = |name: &str| {
        let member = |counter: &str| Some(counter.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?.to_owned());
        counters.iter().filter_map(|(counter, value)| Some((member(counter)?, *value))).collect::<BTreeMap<_, _>>()
    };
    let outcomes = family("exchanges");
    Totals {
        connections_accepted: count("connections_accepted"),
        connections_open: shards.iter().map(|shard| shard.connections_open).sum(),
        exchanges: outcomes.values().sum(),
        outcomes,
        limits: family("limits"),
        upstream_connects: count("upstream_connects"),
        upstream_reuses: count("upstream_reuses"),
        upstream_retries: count("upstream_retries"),
        upstream_ejections: count("upstream_ejections"),
        tunnels: count("tunnels"),
        bytes_received: count("ring_bytes_received"),
        bytes_sent: count("ring_bytes_sent"),
        records_dropped: count("records_dropped"),
        latency: Vec::new(),
    }
}

/// The routes of `plan`, as they are configured.
fn routes(plan: &Plan, digest: &Digest) -> Vec<RouteStatus> {
    let upstream = |route: &plan::Route| plan.upstreams[usize::from(route.upstream.0)].name.clone();
    let status = |route: &plan::Route| {
        let counted = digest.route(&route.name);
        RouteStatus {
            name: route.name.clone(),
            hosts: route.hosts.iter().map(ToString::to_string).collect(),
            path: route.path.to_string(),
            priority: route.priority,
            upstream: upstream(route),
            requests: counted.map(|counted| counted.requests),
            server_errors: counted.map_or(0, |counted| counted.server_errors),
            failures: counted.map_or(0, |counted| counted.failures),
            latency: counted.map_or_else(Vec::new, |counted| counted.latency.clone()),
        }
    };
    plan.routes.routes().iter().map(status).collect()
}

/// The names of servers that have one, by upstream and address.
fn named(plan: &Plan, resolution: &Resolution) -> BTreeMap<String, String> {
    let key = |(id, address, name): (plan::UpstreamId, plan::Address, &str)| {
        let upstream = plan.upstreams.get(usize::from(id.0))?;
        Some((server_key(&upstream.name, &address.to_string()), name.to_owned()))
    };
    resolution.named().filter_map(key).collect()
}

fn server_key(upstream: &str, address: &str) -> String {
    format!("{upstream} {address}")
}

fn upstreams(snapshots: &[Snapshot], named: &BTreeMap<String, String>, digest: &Digest) -> Vec<UpstreamStatus> {
    // While a reload goes through the shards some tell of another Plan; the first one's is what is shown.
    let Some(first) = snapshots.first() else { return Vec::new() };
    let agreeing: Vec<&Snapshot> = snapshots.iter().filter(|told| Arc::ptr_eq(&told.plan, &first.plan)).collect();
    let status = |(index, policy): (usize, &plan::Upstream)| {
        let told: Vec<_> = agreeing.iter().map(|snapshot| &snapshot.upstreams[index]).collect();
        let mut servers: BTreeMap<String, Vec<&ServerSnapshot>> = BTreeMap::new();
        let mut order = Vec::new();
        for server in told.iter().flat_map(|upstream| &upstream.servers) {
            let address = server.address.to_string();
            if !servers.contains_key(&address) {
                order.push(address.clone());
            }
            servers.entry(address).or_default().push(server);
        }
        let server = |address: &String| {
            let name = named.get(&server_key(&policy.name, address)).cloned();
            let heads = digest.server(&policy.name, address);
            let together = together(address, name, servers.get(address).map_or(&[], Vec::as_slice));
            ServerStatus { heads, ..together }
        };
        let counted = digest.upstream(&policy.name);
        UpstreamStatus {
            name: policy.name.clone(),
            balance: balance(&policy.balance).to_owned(),
            connections: told.iter().map(|upstream| u64::from(upstream.connections)).sum(),
            requests: counted.map(|counted| counted.requests),
            retries: counted.map_or(0, |counted| counted.retries),
            latency: counted.map_or_else(Vec::new, |counted| counted.latency.clone()),
            servers: order.iter().map(server).collect(),
        }
    };
    first.plan.upstreams.iter().enumerate().map(status).collect()
}

/// One server, as the shards see it together.
fn together(address: &str, name: Option<String>, told: &[&ServerSnapshot]) -> ServerStatus {
    let sum = |of: fn(&ServerSnapshot) -> u64| told.iter().map(|server| of(server)).sum();
    let out = |server: &&&ServerSnapshot| server.standing != Standing::Up;
    let ejected = told.iter().filter(out).count();
    let left = told.iter().map(|server| match server.standing {
        Standing::Ejected(left) => left,
        Standing::Up | Standing::OnTrial => Duration::ZERO,
    });
    let state = match ejected {
        _ if told.is_empty() => ServerState::Unknown,
        _ if told.iter().any(|server| server.draining) => ServerState::Draining,
        0 => ServerState::Up,
        ejected if ejected == told.len() => ServerState::Ejected,
        _ => ServerState::Impaired,
    };
    ServerStatus {
        address: address.to_owned(),
        name,
        weight: told.first().map_or(0, |server| server.weight),
        state,
        ejected_by_shards: u32::try_from(ejected).unwrap_or(u32::MAX),
        ejected_for_ms: left.max().unwrap_or_default().as_millis() as u64,
        active: sum(|server| u64::from(server.active)),
        idle_connections: sum(|server| u64::from(server.idle_connections)),
        requests: sum(|server| server.requests),
        failures: sum(|server| server.failures),
        heads: None,
    }
}

/// The word of the configuration.
pub(crate) fn balance(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "round_robin",
        Balance::LeastConnections => "least_connections",
        Balance::RandomTwo => "random_two",
        Balance::SourceHash => "source_hash",
        Balance::ConsistentHash(_) => "consistent_hash",
    }
}

/// Adds what the kernel tells of the shards' threads: proc_pid_schedstat(5), in ns.
fn add_cpu_times(shards: &mut [ShardStatus]) {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.filter_map(Result::ok) {
        let read = |file: &str| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let name = read("comm");
        let index = name.trim_end().strip_prefix("shard-").and_then(|index| index.parse::<usize>().ok());
        let Some(shard) = index.and_then(|index| shards.get_mut(index)) else { continue };
        let times = read("schedstat");
        let mut times = times.split_whitespace().map(|ns| ns.parse::<u64>().ok().map(|ns| ns / 1000));
        shard.cpu_us = times.next().flatten();
        shard.cpu_waited_us = times.next().flatten();
    }
}
