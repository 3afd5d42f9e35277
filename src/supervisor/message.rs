//! What supervisor and worker say to each other.
//!
//! A generation may be of another version than its supervisor, for as long as an upgrade takes. Whoever does not know a
//! message passes it over ([`super::link::Link::receive`]), so that new ones may be added; those that are here keep their
//! meaning.

use serde::{Deserialize, Serialize};

use crate::control::{Crashes, ReloadOutcome, UpgradeOutcome};
use crate::listen::Manifest;

/// The form in which a supervisor hands itself over to the next one. A worker says which one its own program understands.
pub(crate) const TAKE_OVER_VERSION: u32 = 1;

/// From the supervisor to a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Some of the listening sockets, in their order.
    Sockets,
    /// The configuration to begin with, as another worker has read it, instead of the one on the disk: a file in memory.
    Configuration,
    /// All sockets have been sent: begin. With the heritage of the worker before, if there was one.
    Start {
        /// Which worker this is, counted from 1.
        generation: u64,
        /// What the sockets are.
        sockets: Manifest,
        /// Whether people at a terminal are told that all is well.
        announce: bool,
        /// Workers that fell before it.
        crashes: Crashes,
        /// Whether another worker serves until this one is ready, and will say then what it has counted ([`Order::Inherit`]).
        #[serde(default)]
        follows: bool,
    },
    /// Read the configuration again.
    Reload,
    /// Open the log files anew.
    ReopenLogs,
    /// Finish what is under way and end. A second such order ends it at once.
    Stop,
    /// The same, for the sake of another generation, which accepts from these listeners.
    Retire {
        /// Their addresses, as the configuration has them.
        passed_on: Vec<String>,
    },
    /// What a generation before this one said of itself earlier, which this one has, and what it says now.
    Inherit,
    /// What came of a request.
    Answer {
        /// Which.
        id: u64,
        /// What came of it.
        answer: Answer,
    },
}

/// From a worker to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// Connections are accepted. Comes with the configuration as it was read, a file in memory.
    Ready {
        /// See [`TAKE_OVER_VERSION`].
        take_over_version: u32,
        /// How long a drain may take.
        drain_ms: u64,
        /// What the configuration says of the program log, which the supervisor writes to as well.
        #[serde(default)]
        log_level: Option<String>,
    },
    /// The start, or what came after it, has failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// All shards move.
    Ticking,
    /// What the next generation is to know: a file in memory.
    Heritage,
    /// The configuration is about to be read again.
    Reloading,
    /// That is over. Comes with the configuration, if another one is in force.
    Reloaded {
        /// Whether another configuration is in force than before.
        changed: bool,
        /// How long a drain may take.
        drain_ms: u64,
        /// What the configuration in force says of the program log.
        #[serde(default)]
        log_level: Option<String>,
    },
    /// The configuration is valid and wants a new generation.
    NewGeneration {
        /// By which the answer is known.
        id: u64,
    },
    /// Somebody wants the executable on the disk to take over.
    Upgrade {
        /// By which the answer is known.
        id: u64,
    },
    /// Somebody wants all to end.
    Stop,
}

/// What came of a worker's request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// To [`Report::NewGeneration`].
    Reload(ReloadOutcome),
    /// To [`Report::Upgrade`].
    Upgrade(UpgradeOutcome),
}
