//! How things stand, as plain data: what the admin API answers and `ringway status` shows.

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
    /// How reloads have gone.
    pub(crate) reloads: Reloads,
    /// Workers that fell, if a supervisor has seen any.
    pub(crate) crashes: Crashes,
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
