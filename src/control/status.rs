//! How things stand, as plain data: what the admin API answers and `ringway status` shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One worker's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The version of this program.
    pub(crate) version: String,
    /// The worker's process.
    pub(crate) pid: u32,
    /// Which worker this is of those that its supervisor has started, from 1; 1 where there is no supervisor.
    pub(crate) generation: u64,
    /// Whether a supervisor holds the listening sockets and would start another worker if this one fell.
    pub(crate) supervised: bool,
    /// What it is at.
    pub(crate) phase: Phase,
    /// When it began, in seconds since 1970.
    pub(crate) started_unix_s: u64,
    /// How long it has run.
    pub(crate) uptime_s: u64,
    /// The configuration file or folder; none for the embedded default.
    pub(crate) config: Option<String>,
    /// Where it listens.
    pub(crate) listening: Vec<String>,
    /// By which interface of the kernel it moves bytes: `io_uring` or `epoll`.
    pub(crate) io: String,
    /// Its shards.
    pub(crate) shards: Vec<ShardStatus>,
    /// What has been counted by all shards, and by the generations before this one (`exchanges{completed}`).
    pub(crate) counters: BTreeMap<String, u64>,
    /// How reloads have gone.
    pub(crate) reloads: Reloads,
    /// What is shown to clients that speak TLS.
    #[serde(default)]
    pub(crate) certificates: Certificates,
    /// Workers that fell, if a supervisor has seen any.
    pub(crate) crashes: Crashes,
    /// What all shards have counted since the worker's start.
    pub(crate) totals: Totals,
    /// The routes, as they are configured.
    pub(crate) routes: Vec<RouteStatus>,
    /// The upstreams, in the order of the Plan.
    pub(crate) upstreams: Vec<UpstreamStatus>,
}

/// What all shards have counted. Times of counting differ between shards by microseconds, so sums may be off by requests
/// that were just then under way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    /// Client connections accepted.
    pub(crate) connections_accepted: u64,
    /// Client connections open now.
    pub(crate) connections_open: u64,
    /// Exchanges that have ended, however they did.
    pub(crate) exchanges: u64,
    /// Exchanges by how they ended, without those that never did.
    pub(crate) outcomes: BTreeMap<String, u64>,
    /// Limits that were met.
    pub(crate) limits: BTreeMap<String, u64>,
    /// Connections opened to upstreams.
    pub(crate) upstream_connects: u64,
    /// Requests that went over a connection that had been used before.
    pub(crate) upstream_reuses: u64,
    /// Requests that were sent again.
    pub(crate) upstream_retries: u64,
    /// Servers that were left out for a time because they kept failing.
    pub(crate) upstream_ejections: u64,
    /// Tunnels opened.
    pub(crate) tunnels: u64,
    /// Bytes received on all sockets.
    pub(crate) bytes_received: u64,
    /// Bytes sent on all sockets.
    pub(crate) bytes_sent: u64,
    /// Access records that were dropped because the writer fell behind.
    pub(crate) records_dropped: u64,
    /// How long exchanges took, shortest first, from the end of a request's head to the end of its answer; empty while that
    /// is not measured.
    #[serde(default)]
    pub(crate) latency: Vec<LatencyBucket>,
}

/// How many took longer than one bound, and no longer than another. Buckets that are empty are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LatencyBucket {
    /// The lower bound, in µs.
    pub(crate) from_us: u64,
    /// The upper bound; none for what is longer than all bounds.
    pub(crate) to_us: Option<u64>,
    /// How many they were.
    pub(crate) count: u64,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouteStatus {
    /// What records and metrics call it.
    pub(crate) name: String,
    /// The hosts that it is for; none for any.
    pub(crate) hosts: Vec<String>,
    /// The path that it is for: a prefix, or exact where `=` stands before it.
    pub(crate) path: String,
    /// What decides between routes for the same request; the largest wins.
    pub(crate) priority: i32,
    /// The upstream that it leads to.
    pub(crate) upstream: String,
    /// Requests that took it; none while they are not counted by route.
    pub(crate) requests: Option<u64>,
    /// Those of them that were answered with a status of 500 or above.
    #[serde(default)]
    pub(crate) server_errors: u64,
    /// Those of them that did not complete.
    #[serde(default)]
    pub(crate) failures: u64,
    /// How long they took, as that of all exchanges.
    #[serde(default)]
    pub(crate) latency: Vec<LatencyBucket>,
}

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UpstreamStatus {
    /// Its name.
    pub(crate) name: String,
    /// How requests are spread over its servers.
    pub(crate) balance: String,
    /// Connections to it that are open, idle ones included.
    pub(crate) connections: u64,
    /// Requests that were sent to it, each attempt counted; none while they are not counted by upstream.
    #[serde(default)]
    pub(crate) requests: Option<u64>,
    /// Requests that were sent again.
    #[serde(default)]
    pub(crate) retries: u64,
    /// How long the heads of its answers took, from the end of a request.
    #[serde(default)]
    pub(crate) latency: Vec<LatencyBucket>,
    /// Its servers.
    pub(crate) servers: Vec<ServerStatus>,
}

/// One server of an upstream, as all shards together see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerStatus {
    /// Where it is.
    pub(crate) address: String,
    /// The name that led to the address, if one did.
    pub(crate) name: Option<String>,
    /// Its share, relative to the others'.
    pub(crate) weight: u16,
    /// Whether it gets requests.
    pub(crate) state: ServerState,
    /// Shards that have ejected it: each judges by what it has seen itself.
    pub(crate) ejected_by_shards: u32,
    /// How long the longest of these ejections goes on, in ms.
    pub(crate) ejected_for_ms: u64,
    /// Requests that are with it.
    pub(crate) active: u64,
    /// Connections that wait for a request.
    pub(crate) idle_connections: u64,
    /// Requests that it was chosen for.
    pub(crate) requests: u64,
    /// Those of them that it failed.
    pub(crate) failures: u64,
    /// Answers whose heads came, and how long these took together, in µs; none while that is not measured.
    #[serde(default)]
    pub(crate) heads: Option<Heads>,
}

/// Heads of answers, for a mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heads {
    /// How many came.
    pub(crate) count: u64,
    /// How long they took together, in µs.
    pub(crate) sum_us: u64,
}

/// Whether a server gets requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerState {
    /// From every shard.
    Up,
    /// From some shards; others have ejected it.
    Impaired,
    /// From none: all have ejected it.
    Ejected,
    /// No new ones, by an operator's order.
    Draining,
    /// No shard has told.
    Unknown,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// Not every shard accepts connections yet.
    Starting,
    /// All do.
    Serving,
    /// It accepts no more, and ends when its exchanges have.
    Draining,
}

/// One shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardStatus {
    /// The core that it is pinned to, if it is.
    pub(crate) core: Option<usize>,
    /// Whether it has answered lately. A shard that has not is stuck.
    pub(crate) ticks: bool,
    /// Client connections accepted since its start.
    pub(crate) connections_accepted: u64,
    /// Client connections open now.
    pub(crate) connections_open: u64,
    /// Exchanges that have ended, however they did.
    pub(crate) exchanges: u64,
    /// How often it has taken another Plan.
    pub(crate) plan_swaps: u64,
    /// The longest that it stood still for one, in ns.
    pub(crate) plan_swap_ns_max: u64,
    /// Bytes received on all sockets.
    pub(crate) bytes_received: u64,
    /// Bytes sent on all sockets.
    pub(crate) bytes_sent: u64,
    /// Turns of its loop: calls of io_uring_enter or epoll_wait.
    pub(crate) turns: u64,
    /// Completions reaped.
    pub(crate) completions: u64,
    /// CPU time that its thread has used, in µs; none where the kernel does not tell.
    pub(crate) cpu_us: Option<u64>,
    /// How long its thread was ready to run and had no core, in µs.
    pub(crate) cpu_waited_us: Option<u64>,
}

/// How reloads have gone since the worker's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloads {
    /// Those that are in force, or were.
    pub(crate) done: u64,
    /// Those that were refused.
    pub(crate) refused: u64,
    /// When the configuration in force was read, in seconds since 1970.
    pub(crate) loaded_unix_s: u64,
    /// Why the last reload was refused; none if it was not.
    pub(crate) last_refusal: Option<String>,
    /// Plans that were replaced and that exchanges still finish with.
    pub(crate) plans_retired: usize,
}

/// The certificates that clients are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Certificates {
    /// How many there are.
    pub(crate) count: usize,
    /// The file of the one that expires first.
    pub(crate) first_to_expire: Option<String>,
    /// When that is, in seconds since 1970.
    pub(crate) expires_unix_s: Option<i64>,
    /// How many of them are to be shown with an answer of OCSP.
    #[serde(default)]
    pub(crate) to_staple: usize,
    /// How many of these are.
    #[serde(default)]
    pub(crate) stapled: usize,
    /// What there is to warn of: certificates that expire soon, files that are wrong and have left the old certificate in place.
    pub(crate) warnings: Vec<String>,
}

/// Workers that fell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Crashes {
    /// How many, since the supervisor's start.
    pub(crate) count: u64,
    /// Of these, how many in a row, one soon after the other: more than a few are a crash loop.
    pub(crate) in_a_row: u32,
    /// How the last one ended.
    pub(crate) last: Option<String>,
}
