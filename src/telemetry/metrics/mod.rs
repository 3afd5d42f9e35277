//! Metrics: what the shards counted, told to Prometheus and whoever else asks.
//!
//! The way of a number: [`registry`] makes the cells that a shard writes, one for each shard and set of labels, and finds
//! them again when a reload names the same things; [`snapshot`] sums them over the shards when somebody asks, and adds what is
//! known of the process ([`process`]); [`digest`] is what the admin API's status has of it; [`exposition`] writes that down in the asker's format. [`catalogue`] lists every
//! metric with its type, labels and meaning; the snapshot and docs/metrics.md are held against it.
//!
//! Nothing here is on a request's way. The lock is the control plane's own: a shard never takes it.

pub(crate) mod catalogue;
mod digest;
mod exposition;
mod process;
mod registry;
mod snapshot;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use engine::{Counters, ListenerTally, ServerTally, Tallies};
use plan::{Plan, Server, UpstreamId};

pub(crate) use digest::Digest;
pub(crate) use exposition::{Format, render};
use registry::Registry;
pub(crate) use registry::{Carried, LogTally, NO_ROUTE, OTHER};
pub(crate) use snapshot::Snapshot;

/// All metrics of this worker. Clones are the same metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Metrics of a worker with so many shards, none of which has counted anything yet.
    pub(crate) fn new(shards: usize) -> Metrics {
        Metrics(Arc::new(Mutex::new(Registry::new(shards))))
    }

    /// What a shard counts of itself.
    pub(crate) fn counters(&self, shard: usize) -> Arc<Counters> {
        self.registry().counters(shard)
    }

    /// The cells for everything that `plan` names, one set for each shard. What an earlier Plan has named as well keeps its
    /// cells and goes on counting; what this one does not name is told no more.
    pub(crate) fn tallies(&self, plan: &Plan) -> Vec<Tallies> {
        self.registry().tallies(plan)
    }

    /// The cells for the servers that an upstream consists of from now on, one set for each shard.
    pub(crate) fn servers(&self, plan: &Plan, upstream: UpstreamId, servers: &[Server]) -> Vec<Vec<Arc<ServerTally>>> {
        self.registry().servers(plan, upstream, servers)
    }

    /// What is counted by a shard of the listener at this address, as the Plan has it; nothing if metrics are off.
    pub(crate) fn listener(&self, shard: usize, address: &str) -> Option<Arc<ListenerTally>> {
        self.registry().listener(shard, address)
    }

    /// A reload has done what was asked.
    pub(crate) fn count_reload(&self) {
        self.registry().reloads.done += 1;
    }

    /// Another configuration is in force.
    pub(crate) fn note_load(&self) {
        self.registry().reloads.loaded = SystemTime::now();
    }

    /// A configuration was refused; that before it stays in force.
    pub(crate) fn count_refused_reload(&self) {
        self.registry().reloads.refused += 1;
    }

    /// What came of a question to an issuer, or of an answer in a file, in a word.
    pub(crate) fn count_ocsp(&self, outcome: &str) {
        *self.registry().ocsp.entry(outcome.to_owned()).or_default() += 1;
    }

    /// The certificates that are shown with an answer of OCSP, and until when that is good, in seconds since 1970.
    pub(crate) fn note_staples(&self, staples: Vec<(String, i64)>) {
        self.registry().note_staples(staples);
    }

    /// How many files of certificates are wrong, so that what was read before goes on.
    pub(crate) fn note_broken_files(&self, count: usize) {
        self.registry().broken_files = count;
    }

    /// Which worker this is of those that its supervisor has started, and how many of these fell.
    pub(crate) fn set_generation(&self, generation: u64, crashes: u64) {
        let mut registry = self.registry();
        (registry.generation, registry.crashes) = (generation, crashes);
    }

    /// The cells of the access log's target with this name.
    pub(crate) fn access_log(&self, name: &str) -> Arc<LogTally> {
        self.registry().log(name)
    }

    /// What is counted by route, upstream and server, for the status.
    pub(crate) fn digest(&self) -> Digest {
        digest::take(&self.registry())
    }

    /// All values as they stand.
    pub(crate) fn snapshot(&self) -> Snapshot {
        snapshot::take(&self.registry())
    }

    /// What is counted so far, for the worker that comes after this one.
    pub(crate) fn carry(&self) -> Carried {
        self.registry().carry()
    }

    /// Goes on from what the worker before has counted, so that no counter begins anew at an upgrade. To be called once, after
    /// the first [`Metrics::tallies`].
    pub(crate) fn take_over(&self, carried: &Carried) {
        self.registry().take_over(carried);
    }

    /// All values as text, and what type of text that is, for a request with this `Accept`.
    pub(crate) fn expose(&self, accept: Option<&str>) -> (String, &'static str) {
        let format = Format::accepted(accept);
        (render(&self.snapshot(), format), format.content_type())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic while it was held left numbers, and these are whole at any moment.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
