//! From a changed file to shards that serve by it, without touching a connection.
//!
//! Reading, checking and looking names up is done beside the control loop; then the Plan is replaced within it. What
//! listeners, the number of shards or the way of moving bytes say cannot be changed in a running worker: that is for a new
//! generation. A file that is wrong changes nothing.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::{Command, NextPlan, Origin, Reply};
use plan::{Plan, Server, UpstreamId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::handle::ReloadOutcome;
use super::handshakes::Parties;
use super::status::Phase;
use super::watch::Watch;
use super::{Began, Control};
use crate::config::{Admin, Certs, Discovery, Keep, Loaded, Process, Written};
use crate::discovery::FirstAnswers;
use crate::telemetry::log;

/// How long shards may take to serve by another Plan before that is worth a line in the log.
const TAKEN_MAX: Duration = Duration::from_secs(5);
/// Warnings that are told at once.
pub(super) const WARNINGS_MAX: usize = 50;

/// A configuration as it was read, before names became addresses: what the next one is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) plan: Plan,
    pub(super) discovery: Discovery,
    pub(super) process: Process,
    pub(super) admin: Admin,
    pub(super) log_level: tracing::Level,
}

/// A configuration that is ready to be served by.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) read: Read,
    /// As it was written.
    pub(super) written: Written,
    /// Of the files with certificates.
    pub(super) certs: Certs,
    /// Of the names that nobody followed before.
    pub(super) first: FirstAnswers,
}

/// What a configuration asks for, compared with the one in force.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Nothing,
    /// The Plan can be replaced.
    Plan,
    /// Only another generation can do that: what it is.
    Generation(&'static str),
}

impl Read {
    pub(super) fn new(loaded: Loaded) -> Read {
        let Loaded { plan, log_level, discovery, process, admin, certs: _, written: _ } = loaded;
        Read { plan, discovery, process, admin, log_level }
    }

    /// How `next` differs from this.
    pub(super) fn difference(&self, next: &Read) -> Difference {
        let (plan, other) = (&self.plan, &next.plan);
        if plan.listeners != other.listeners {
            Difference::Generation("listeners")
        } else if plan.shards.count != other.shards.count {
            Difference::Generation("shards.count")
        } else if plan.shards != other.shards {
            Difference::Generation("shards.io or shards.pin")
        } else if (&self.process.user, &self.process.group) != (&next.process.user, &next.process.group) {
            Difference::Generation("process.user or process.group")
        } else if self.admin.address != next.admin.address {
            Difference::Generation("admin.address")
        } else if !plan.metrics.has_the_cells_of(&other.metrics) {
            Difference::Generation("metrics.enabled or metrics.series_max")
        } else if self == next {
            Difference::Nothing
        } else {
            Difference::Plan
        }
    }
}

/// A reload under way, beside the loop.
pub(super) struct Reading {
    work: JoinHandle<Result<Box<Prepared>, String>>,
    /// Whether names were looked up already.
    has_looked_up: bool,
    askers: Vec<oneshot::Sender<ReloadOutcome>>,
}

impl Reading {
    pub(super) async fn done(reading: &mut Option<Reading>) -> Result<Box<Prepared>, String> {
        let Some(reading) = reading else { return std::future::pending().await };
        (&mut reading.work).await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

impl Control {
    /// Has the configuration read again, and tells `asker` what came of it.
    pub(super) fn begin_reload(&mut self, asker: Option<oneshot::Sender<ReloadOutcome>>) {
        if self.phase == Phase::Draining {
            let reason = "this generation is ending".to_owned();
            asker.map(|asker| asker.send(ReloadOutcome::Refused { reason }));
        } else if self.reading.is_some() {
            // What is being read may be older than what is asked for.
            self.queued.get_or_insert_default().extend(asker);
        } else {
            self.start_reading(asker.into_iter().collect());
        }
    }

    fn start_reading(&mut self, askers: Vec<oneshot::Sender<ReloadOutcome>>) {
        self.parent.reloading();
        let asked = self.asked.clone();
        let work = tokio::spawn(read(move || asked.load()));
        self.reading = Some(Reading { work, has_looked_up: false, askers });
    }

    /// Has the files with certificates read again, and nothing else: what the configuration has become on the disk is not what was
    /// asked for. A certificate whose file is wrong stays as it is.
    pub(super) fn begin_renewal(&mut self) {
        if self.phase == Phase::Draining {
            return;
        }
        if self.reading.is_some() {
            // What is being read may be older.
            self.queued.get_or_insert_default();
            return;
        }
        tracing::info!("files with certificates are read again");
        self.parent.reloading();
        let (asked, written, kept) = (self.asked.clone(), self.written.clone(), self.certs.kept.clone());
        let work = tokio::spawn(read(move || asked.load_again(&written, Some(Keep::Certificates(&kept)))));
        self.reading = Some(Reading { work, has_looked_up: false, askers: Vec::new() });
    }

    /// Makes session tickets with other keys, and shows other answers of OCSP, when it is time.
    pub(super) async fn refresh_handshakes(&mut self) {
        if self.phase != Phase::Serving || self.reading.is_some() {
            return;
        }
        self.handshakes.stapling.ask(&self.read.discovery);
        (0..self.handshakes.stapling.drop_stale()).for_each(|_| self.metrics.count_ocsp("stale"));
        let rotates = self.handshakes.rotate(&self.plan);
        if !rotates && !self.handshakes.stapling.is_due() {
            return;
        }
        let (read, written, certs) = (self.read.clone(), self.written.clone(), self.certs.clone());
        let again = Prepared { read, written, certs, first: FirstAnswers::default() };
        match self.put_in_force(again).await {
            ReloadOutcome::Refused { reason } => {
                tracing::error!("the keys of session tickets and what is stapled stay: {reason}");
            }
            _ if rotates => tracing::info!("session tickets are made with another key"),
            _ => tracing::debug!("other answers of OCSP are stapled"),
        }
    }

    /// Tells until when what is stapled is good.
    pub(super) fn tell_staples(&self) {
        self.metrics.note_staples(self.handshakes.stapling.shown().to_vec());
    }

    /// Counts the answers of OCSP that were read from files.
    pub(super) fn count_answers(&self, certs: &Certs) {
        certs.answers.iter().for_each(|outcome| self.metrics.count_ocsp(outcome));
    }

    /// Tells what there is to warn of, and watches the files.
    pub(super) fn follow_certs(&mut self, certs: Certs) {
        let is_new = |warning: &&String| self.certs.told().all(|told| told != *warning);
        for warning in certs.told().filter(is_new).take(WARNINGS_MAX) {
            tracing::warn!("{warning}");
        }
        let files: Result<BTreeSet<PathBuf>, _> = certs.files.iter().map(std::path::absolute).collect();
        let files = files.unwrap_or_default();
        if files.is_empty() {
            self.certs_watch = None;
        } else if !self.certs_watch.as_ref().is_some_and(|watch| watch.watches(&files)) {
            // What has changed since they were read would be missed.
            let watch = Watch::of(files, true);
            let failed = |error: &anyhow::Error| tracing::error!("changed certificates will not be noticed: {error:#}");
            self.certs_watch = watch.inspect_err(failed).ok();
        }
        self.metrics.note_broken_files(certs.broken);
        self.certs = certs;
    }

    /// A configuration has been read: has it in force, or tells why not.
    pub(super) async fn finish_reload(&mut self, result: Result<Box<Prepared>, String>) {
        let Some(Reading { has_looked_up, askers, .. }) = self.reading.take() else { return };
        let result = match result {
            Ok(prepared) if !has_looked_up => {
                let unknown = self.resolution.unknown_hosts(&prepared.read.discovery, &prepared.first);
                if !unknown.is_empty() && self.read.difference(&prepared.read) == Difference::Plan {
                    let work = tokio::spawn(look_up(prepared, unknown));
                    self.reading = Some(Reading { work, has_looked_up: true, askers });
                    return;
                }
                Ok(prepared)
            }
            result => result,
        };
        self.conclude(result, askers).await;
        if let Some(queued) = self.queued.take() {
            self.start_reading(queued);
        }
    }

    async fn conclude(&mut self, result: Result<Box<Prepared>, String>, askers: Vec<oneshot::Sender<ReloadOutcome>>) {
        if let Ok(prepared) = &result {
            self.count_answers(&prepared.certs);
        }
        let (outcome, askers) = match result {
            Err(reason) => (ReloadOutcome::Refused { reason }, askers),
            Ok(prepared) => match self.read.difference(&prepared.read) {
                Difference::Nothing => {
                    self.follow_certs(prepared.certs);
                    (ReloadOutcome::Unchanged, askers)
                }
                Difference::Plan => (self.put_in_force(*prepared).await, askers),
                Difference::Generation(what) => match self.parent.want_generation(askers) {
                    Ok(()) => {
                        tracing::info!(what, "what has changed wants a new generation");
                        return self.parent.reloaded(None, self.plan.timeouts.drain, self.read.log_level);
                    }
                    Err(askers) => {
                        let reason =
                            format!("a running process cannot change {what}: restart it, or have a supervisor");
                        (ReloadOutcome::Refused { reason }, askers)
                    }
                },
            },
        };
        if let ReloadOutcome::Swapped { .. } = outcome {
            self.reloads.loaded_unix_s = Began::now().unix_s;
            self.metrics.note_load();
        }
        let changed = matches!(outcome, ReloadOutcome::Swapped { .. }).then_some((&self.written, &self.certs.kept));
        self.parent.reloaded(changed, self.plan.timeouts.drain, self.read.log_level);
        self.note_reload(&outcome);
        for asker in askers {
            // It may have gone.
            let _ = asker.send(outcome.clone());
        }
    }

    /// Tells what came of a reload in the log, and counts it. One that made a new generation is counted here all the same: what
    /// is counted in this one is passed on to that.
    pub(super) fn note_reload(&mut self, outcome: &ReloadOutcome) {
        tell_outcome(outcome);
        if let ReloadOutcome::Refused { reason } = outcome {
            self.reloads.refused += 1;
            self.metrics.count_refused_reload();
            self.reloads.last_refusal = Some(reason.clone());
        } else {
            self.reloads.done += 1;
            self.metrics.count_reload();
            self.reloads.last_refusal = None;
        }
    }

    async fn put_in_force(&mut self, prepared: Prepared) -> ReloadOutcome {
        let Prepared { read, written, certs, first } = prepared;
        let mut plan = read.plan.clone();
        if let Some(Err(error)) = self.admin.as_mut().map(|admin| admin.reconfigure(&read.admin)) {
            return ReloadOutcome::Refused { reason: format!("{error:#}") };
        }
        if let Err(error) = self.resolution.follow(read.discovery.clone(), &mut plan, &first) {
            return ReloadOutcome::Refused { reason: format!("{error:#}") };
        }
        let upstreams = origins(&self.plan, &self.moved, &plan);
        let plan = Arc::new(plan);
        let Parties { acceptor, connectors } = match self.handshakes.prepare(&plan) {
            Ok(parties) => parties,
            Err(error) => {
                let (discovery, mut plan) = (self.read.discovery.clone(), self.read.plan.clone());
                let _ = self.resolution.follow(discovery, &mut plan, &FirstAnswers::default());
                return ReloadOutcome::Refused { reason: error.to_string() };
            }
        };
        let mut outlets = match self.fleet.open_logs(&plan, &self.metrics) {
            Ok(outlets) => outlets.into_iter(),
            Err(error) => {
                // Back to the names that are still served.
                let (discovery, mut plan) = (self.read.discovery.clone(), self.read.plan.clone());
                let _ = self.resolution.follow(discovery, &mut plan, &FirstAnswers::default());
                return ReloadOutcome::Refused { reason: format!("{error:#}") };
            }
        };
        let mut tallies = self.metrics.tallies(&plan).into_iter();
        let (sender, mut told) = mpsc::unbounded_channel();
        let command = |_| {
            let sender = sender.clone();
            // Nobody listens any more if this took too long.
            let taken = Reply::new(move |stopped| _ = sender.send(stopped));
            let (plan, upstreams) = (Arc::clone(&plan), Arc::clone(&upstreams));
            let (tallies, outlets) = (tallies.next().unwrap_or_default(), outlets.next().unwrap_or_default());
            let (acceptor, connectors) = (acceptor.clone(), Arc::clone(&connectors));
            Command::Plan(Box::new(NextPlan { plan, tallies, upstreams, outlets, acceptor, connectors, taken }))
        };
        self.fleet.order(command).await;
        drop(sender);
        let mut longest = Duration::ZERO;
        loop {
            match tokio::time::timeout(TAKEN_MAX, told.recv()).await {
                Ok(Some(stopped)) => longest = longest.max(stopped),
                Ok(None) => break,
                Err(_) => {
                    tracing::error!("a shard has not taken the new configuration yet");
                    break;
                }
            }
        }
        log::follow(read.log_level);
        self.watch_as(&read);
        self.tell_staples();
        self.follow_certs(certs);
        self.retired.push(std::mem::replace(&mut self.plan, plan));
        self.read = read;
        self.written = written;
        self.moved.clear();
        ReloadOutcome::Swapped { stopped_us_max: longest.as_micros() as u64 }
    }

    /// Watches the files that the configuration consists of now.
    fn watch_as(&mut self, read: &Read) {
        let Some(path) = self.asked.config.as_ref().filter(|_| read.process.watch) else {
            self.watch = None;
            return;
        };
        if self.watch.as_ref().is_some_and(|watch| watch.is_of(path)) {
            return;
        }
        // What has changed since it was read would be missed.
        let watch = Watch::new(path, true);
        self.watch = watch.inspect_err(|error| tracing::error!("changes will not be noticed: {error:#}")).ok();
    }
}

/// Has the configuration read.
///
/// # Errors
/// All that is wrong with it, for people to read.
async fn read(load: impl FnOnce() -> anyhow::Result<Loaded> + Send + 'static) -> Result<Box<Prepared>, String> {
    let loading = tokio::task::spawn_blocking(move || load().map_err(|error| format!("{error:#}")));
    let mut loaded = loading.await.map_err(|error| error.to_string())??;
    let (written, certs) = (std::mem::take(&mut loaded.written), std::mem::take(&mut loaded.certs));
    Ok(Box::new(Prepared { read: Read::new(loaded), written, certs, first: FirstAnswers::default() }))
}

/// Looks up the names that nobody follows yet.
pub(super) async fn look_up(mut prepared: Box<Prepared>, unknown: Vec<String>) -> Result<Box<Prepared>, String> {
    let first = FirstAnswers::look_up(&prepared.read.discovery, &unknown).await;
    prepared.first = first.map_err(|error| format!("{error:#}"))?;
    Ok(prepared)
}

/// For each upstream of `next`, what it was in `now`, some of whose servers have `moved` since.
pub(super) fn origins(now: &Plan, moved: &HashMap<UpstreamId, Vec<Server>>, next: &Plan) -> Arc<[Origin]> {
    let places = now.upstreams.iter().enumerate().map(|(index, upstream)| (upstream.name.as_str(), index));
    let places: HashMap<&str, usize> = places.collect();
    let origin = |upstream: &plan::Upstream| match places.get(upstream.name.as_str()) {
        None => Origin::New,
        Some(&index) => {
            let before = &now.upstreams[index];
            if before.tls != upstream.tls {
                // Connections that are kept were made by other rules: none of them goes on.
                return Origin::New;
            }
            let id = UpstreamId(index as u16);
            let servers = moved.get(&id).unwrap_or(&before.servers);
            let is_same = *servers == upstream.servers && before.balance == upstream.balance;
            if is_same { Origin::Same(id) } else { Origin::Changed(id) }
        }
    };
    next.upstreams.iter().map(origin).collect()
}

/// Writes down how a reload went.
pub(crate) fn tell_outcome(outcome: &ReloadOutcome) {
    match outcome {
        ReloadOutcome::Swapped { stopped_us_max } => tracing::info!(stopped_us_max, "reloaded"),
        ReloadOutcome::Unchanged => tracing::info!("reloaded: nothing has changed"),
        ReloadOutcome::NewGeneration { generation } => tracing::info!(generation, "reloaded: a new generation serves"),
        ReloadOutcome::Refused { reason } => tracing::error!("not reloaded, nothing has changed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn plan(text: &str) -> Read {
        let text = format!("listeners = [{{ address = '127.0.0.1:80' }}]\n{text}\n[[routes]]\nupstream = 'a'\n");
        Read::new(config::parse("x", &text, 2).expect("valid"))
    }

    #[test]
    fn upstreams_are_known_again_by_their_names() {
        let now = plan("upstreams.a.servers = ['127.0.0.1:1']\nupstreams.b.servers = ['127.0.0.1:2']");
        let next = plan(
            "upstreams.a = { servers = ['127.0.0.1:1'], connect_timeout = '1s' }
             upstreams.aa.servers = ['127.0.0.1:1']
             upstreams.b.servers = ['127.0.0.1:3']",
        );
        assert_eq!(now.difference(&next), Difference::Plan);
        let (a, b) = (UpstreamId(0), UpstreamId(1));
        let known = origins(&now.plan, &HashMap::new(), &next.plan);
        assert_eq!(*known, [Origin::Same(a), Origin::New, Origin::Changed(b)]);
        let moved = [(b, next.plan.upstreams[2].servers.clone())].into();
        assert_eq!(*origins(&now.plan, &moved, &next.plan), [Origin::Same(a), Origin::New, Origin::Same(b)]);
    }

    #[test]
    fn what_a_running_worker_cannot_change_is_told_apart() {
        let base = "upstreams.a.servers = ['127.0.0.1:1']";
        let now = plan(base);
        assert_eq!(now.difference(&plan(base)), Difference::Nothing);
        let mut next = now.clone();
        next.plan.listeners[0].backlog += 1;
        assert_eq!(now.difference(&next), Difference::Generation("listeners"));
        let next = plan(&format!("{base}\nshards.count = 3"));
        assert_eq!(now.difference(&next), Difference::Generation("shards.count"));
        let next = plan(&format!("{base}\nshards.io = 'epoll'"));
        assert_eq!(now.difference(&next), Difference::Generation("shards.io or shards.pin"));
    }
}
