//! How the rest of the control plane (signals, the admin API, the watcher of files) asks the control loop for something.

use std::sync::Arc;

use plan::Plan;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::status::Status;
use crate::discovery::DrainError;
use crate::profile::{self, Profile, ProfileError, Profiler};
use crate::telemetry::metrics::Metrics;

/// Requests that may wait for the control loop; who asks for more waits.
const REQUESTS_MAX: usize = 32;

/// Asks the control loop. May be cloned and kept for as long as the process lives.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    requests: mpsc::Sender<Request>,
    metrics: Metrics,
    /// Whether what earlier generations have counted is in it.
    is_whole: watch::Receiver<bool>,
    profiler: Profiler,
}

/// What the control loop is asked for. An answer that nobody waits for any more is dropped.
#[derive(Debug)]
pub(crate) enum Request {
    /// Read the configuration again and serve by it.
    Reload(oneshot::Sender<ReloadOutcome>),
    /// Become what the executable on the disk is now.
    Upgrade(oneshot::Sender<UpgradeOutcome>),
    /// End once the exchanges under way have.
    Stop,
    /// Open the log files anew, since they were moved away.
    ReopenLogs,
    /// How things stand.
    Status(oneshot::Sender<Status>),
    /// What is served.
    Plan(oneshot::Sender<Arc<Plan>>),
    /// Whether a server is to get new requests.
    Drain(DrainOrder, oneshot::Sender<Result<bool, DrainError>>),
}

/// An order about one server.
#[derive(Debug)]
pub(crate) struct DrainOrder {
    /// The name of its upstream.
    pub(crate) upstream: String,
    /// Its address, as text.
    pub(crate) server: String,
    /// Whether it is to get no new requests.
    pub(crate) draining: bool,
    /// Whether even the last one may be drained.
    pub(crate) force: bool,
}

/// What came of a reload. Whoever asked is told when it is in force, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum ReloadOutcome {
    /// The shards serve by the new configuration; no connection was touched.
    Swapped {
        /// The longest that a shard stood still for it, in µs.
        stopped_us_max: u64,
    },
    /// The configuration says what it said before.
    Unchanged,
    /// A new generation of the worker serves by it; the old one drains.
    NewGeneration {
        /// Its number.
        generation: u64,
    },
    /// Nothing has changed.
    Refused {
        /// Why, in full: for an invalid file, every error with its line.
        reason: String,
    },
}

/// What came of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum UpgradeOutcome {
    /// The new executable serves; the old generation drains.
    Upgraded {
        /// The number of the generation that serves now.
        generation: u64,
        /// What the new executable says of its version.
        version: String,
    },
    /// Nothing has changed.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The control loop has ended, and with it whatever was asked for.
#[derive(Debug, thiserror::Error)]
#[error("ringway is ending")]
pub(crate) struct Ending;

impl Handle {
    /// A handle, and where its requests arrive.
    pub(crate) fn new(metrics: Metrics, is_whole: watch::Receiver<bool>) -> (Handle, mpsc::Receiver<Request>) {
        let (requests, arriving) = mpsc::channel(REQUESTS_MAX);
        (Handle { requests, metrics, is_whole, profiler: Profiler::new() }, arriving)
    }

    /// What is counted. It is read without asking the control loop.
    pub(crate) async fn metrics(&self) -> &Metrics {
        self.whole().await;
        &self.metrics
    }

    /// Waits until no count will fall behind what the generation before has told.
    async fn whole(&self) {
        // The control loop may have ended: then there is nothing to wait for.
        let _ = self.is_whole.clone().wait_for(|is_whole| *is_whole).await;
    }

    /// Takes a profile of this process. The control loop is not asked for it.
    pub(crate) async fn profile(&self, order: profile::Order) -> Result<Profile, ProfileError> {
        self.profiler.take(order).await
    }

    /// Reads the configuration again. Answers when the result is in force.
    pub(crate) async fn reload(&self) -> Result<ReloadOutcome, Ending> {
        self.ask(Request::Reload).await
    }

    /// Replaces the running program by the executable on the disk. Answers when that serves.
    pub(crate) async fn upgrade(&self) -> Result<UpgradeOutcome, Ending> {
        self.ask(Request::Upgrade).await
    }

    /// How things stand.
    pub(crate) async fn status(&self) -> Result<Status, Ending> {
        self.whole().await;
        self.ask(Request::Status).await
    }

    /// What is served.
    pub(crate) async fn plan(&self) -> Result<Arc<Plan>, Ending> {
        self.ask(Request::Plan).await
    }

    /// Has a server get no new requests, or get them again; tells whether that changed anything.
    pub(crate) async fn drain(&self, order: DrainOrder) -> Result<Result<bool, DrainError>, Ending> {
        self.ask(|answer| Request::Drain(order, answer)).await
    }

    /// Orders the end; exchanges under way are finished first.
    pub(crate) async fn stop(&self) -> Result<(), Ending> {
        self.requests.send(Request::Stop).await.map_err(|_| Ending)
    }

    /// Has the log files opened anew.
    pub(crate) async fn reopen_logs(&self) -> Result<(), Ending> {
        self.requests.send(Request::ReopenLogs).await.map_err(|_| Ending)
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Ending> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| Ending)?;
        answered.await.map_err(|_| Ending)
    }
}
