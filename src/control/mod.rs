//! The control thread: has the shards started, watches them, and obeys.
//!
//! It is told what to do by signals, by the parent ([`parent`]: a supervisor, or a service manager), and through [`handle`] by
//! the rest of the control plane. [`reload`] is how another configuration comes into force, [`fleet`] the shards,
//! [`heritage`] what the next generation of this process goes on with, [`status`] how things stand.

mod fleet;
mod handle;
mod handshakes;
mod heritage;
mod orders;
mod panics;
mod parent;
mod reload;
mod stapling;
mod status;
mod survey;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use engine::{Backend, Command, Drain};
use plan::{Address, Io, Plan, Server, UpstreamId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;

use crate::admin;
use crate::asked::Asked;
use crate::config::{Certs, Loaded, Written};
use crate::discovery::{Change, FirstAnswers, Resolution};
use crate::listen::Sockets;
use crate::systemd::Activated;
use crate::telemetry::metrics::Metrics;
use fleet::{Event, Fleet};
use handshakes::Handshakes;
use orders::{Order, Orders};
use parent::{Parent, Wish};
use reload::{Prepared, Read, Reading};
use stapling::Answered;
use watch::Watch;

pub(crate) use handle::{DrainOrder, Ending, Handle, ReloadOutcome, Request, UpgradeOutcome};
pub(crate) use heritage::Heritage;
pub(crate) use parent::Assignment;
pub(crate) use reload::tell_outcome;
pub(crate) use status::{
    Crashes, Heads, LatencyBucket, Phase, Reloads, RouteStatus, ServerState, ServerStatus, ShardStatus, Status,
    UpstreamStatus,
};
pub(crate) use survey::balance;

/// How long the end waits for answers of the admin API to be given.
const ANSWERS_MAX: Duration = Duration::from_secs(2);
/// How long the generation before this one may take to say what it has counted, before what is told goes without it.
const LAST_WORD_MAX: Duration = Duration::from_secs(1);
/// How often the shards are asked whether they move and what they know.
const PULSE: Duration = Duration::from_secs(1);
/// What to serve, and for whom.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) asked: Asked,
    /// What was asked for, as it was read.
    pub(crate) loaded: Loaded,
    /// What the supervisor has this process begin with, if there is one.
    pub(crate) assignment: Option<Assignment>,
}

/// What came of a start, told once every shard accepts connections.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The addresses that are listened on, in the order of the Plan; where it asked for port 0, with the port it got.
    pub(crate) listening: Vec<String>,
    /// The core that each shard is pinned to, if it is.
    pub(crate) cores: Vec<Option<usize>>,
    /// What they move bytes by.
    pub(crate) backend: Backend,
    /// Where the admin API listens, if it does.
    pub(crate) admin: Option<Address>,
}

/// Serves until an order to stop has been obeyed. Calls `on_ready` once every shard accepts connections.
pub(crate) fn serve(start: Start, on_ready: impl FnOnce(&Ready)) -> anyhow::Result<()> {
    let backend = backend(start.loaded.plan.shards.io)?;
    panics::log_them();
    // Before any shard starts, so that an order to stop that comes during the start is not lost.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    let orders = Orders::new().context("signals cannot be received")?;
    let is_alone = start.assignment.is_none();
    let (mut control, sockets) = runtime.block_on(Control::new(start, backend, orders))?;
    let files = is_alone.then(|| sockets.files(None));
    let served = runtime.block_on(async {
        control.open(sockets).await?;
        on_ready(&control.ready);
        let served = control.run().await;
        control.give_answers().await;
        served
    });
    control.fleet.join();
    // Its last word.
    control.leave();
    if let Some(files) = files {
        files.remove();
    }
    served
}

/// The control loop and what it looks after.
struct Control {
    asked: Asked,
    /// The configuration in force, as it was read.
    read: Read,
    /// The same, as text.
    written: Written,
    /// The Plan in force.
    plan: Arc<Plan>,
    /// Servers of upstreams whose addresses have changed since the Plan came into force.
    moved: HashMap<UpstreamId, Vec<Server>>,
    /// Plans that exchanges may still finish with. They are held until nobody else does, so that no shard drops one.
    retired: Vec<Arc<Plan>>,
    fleet: Fleet,
    handshakes: Handshakes,
    orders: Orders,
    parent: Parent,
    requests: mpsc::Receiver<Request>,
    /// Until this generation ends, or another takes its place: who looks at a drain shall see it.
    admin: Option<admin::Server>,
    /// What the admin API still owes.
    answers: Option<admin::Answers>,
    resolution: Resolution,
    watch: Option<Watch>,
    /// What there is to know of the files with certificates, and who notices that they change.
    certs: Certs,
    certs_watch: Option<Watch>,
    reading: Option<Reading>,
    /// Who asked for a reload while one was under way.
    queued: Option<Vec<oneshot::Sender<ReloadOutcome>>>,
    pulse: Interval,
    reloads: Reloads,
    ready: Ready,
    began: Began,
    phase: Phase,
    /// Orders to stop.
    stops: u32,
    generation: u64,
    crashes: Crashes,
    metrics: Metrics,
    /// What earlier generations have counted.
    inherited: Heritage,
    /// Whether that is all that they had counted when this one became ready. Nobody is told a figure before.
    is_whole: tokio::sync::watch::Sender<bool>,
    /// To be given out when connections are accepted.
    handle: Handle,
}

/// When this worker began, by both clocks.
struct Began {
    at: Instant,
    unix_s: u64,
}

/// What happens next.
enum Turn {
    Order(Order),
    Wish(Wish),
    Shard(Event),
    Request(Request),
    Addresses(Change),
    Read(Result<Box<Prepared>, String>),
    Changed,
    CertsChanged,
    Answered(Answered),
    Pulse,
}

impl Control {
    /// Everything but connections: names looked up, shards started and ready.
    async fn new(start: Start, backend: Backend, orders: Orders) -> anyhow::Result<(Control, Sockets)> {
        let Start { asked, loaded, mut assignment } = start;
        let (generation, crashes) = assignment
            .as_ref()
            .map_or((1, Crashes::default()), |assignment| (assignment.generation, assignment.crashes.clone()));
        let is_whole =
            tokio::sync::watch::Sender::new(assignment.as_ref().is_none_or(|assignment| !assignment.follows));
        // What the disk has may have changed while nobody was there to notice.
        let is_latest = assignment.as_ref().is_none_or(|assignment| assignment.handed.is_none());
        let inherited =
            assignment.as_mut().map(|assignment| std::mem::take(&mut assignment.heritage)).unwrap_or_default();
        let (parent, sockets) = match assignment {
            Some(assignment) => assignment.into_parent()?,
            None => {
                let shards = loaded.plan.shards.count;
                let sockets = Sockets::open(&loaded.plan.listeners, shards, &mut Activated::from_environment())?;
                (Parent::service(), sockets)
            }
        };
        let (written, certs) = (loaded.written.clone(), loaded.certs.clone());
        let read = Read::new(loaded);
        let asked_now: Vec<String> = read.plan.listeners.iter().map(|listener| listener.address.to_string()).collect();
        anyhow::ensure!(sockets.asked() == asked_now, "the listeners have changed during the start");

        let mut plan = read.plan.clone();
        let mut resolution = Resolution::new(inherited.drains.clone());
        let mut first = FirstAnswers::known(inherited.hosts.clone());
        let unknown = resolution.unknown_hosts(&read.discovery, &first);
        first.add(FirstAnswers::look_up(&read.discovery, &unknown).await?);
        resolution.follow(read.discovery.clone(), &mut plan, &first)?;
        let plan = Arc::new(plan);
        let metrics = Metrics::new(usize::from(plan.shards.count));
        let mut handshakes = Handshakes::new(inherited.tickets.as_ref());
        let parties = handshakes.prepare(&plan)?;
        let mut fleet = Fleet::start(&plan, &parties, backend, &inherited, &metrics)?;
        metrics.take_over(&inherited.metrics);
        metrics.set_generation(generation, crashes.count);
        fleet.wait_until_ready().await?;

        let watch = match (&asked.config, read.process.watch) {
            (Some(path), true) => Some(Watch::new(path, !is_latest)?),
            _ => None,
        };
        let began = Began::now();
        let reloads = Reloads { loaded_unix_s: began.unix_s, ..Reloads::default() };
        let (handle, requests) = Handle::new(metrics.clone(), is_whole.subscribe());
        let ready = Ready { listening: sockets.addresses(), cores: fleet.cores(), backend, admin: None };
        let pulse = tokio::time::interval(parent.tick_interval_max().map_or(PULSE, |max| max.min(PULSE)));
        let mut control = Control {
            asked,
            read,
            written,
            plan,
            moved: HashMap::new(),
            retired: Vec::new(),
            fleet,
            handshakes,
            orders,
            parent,
            requests,
            admin: None,
            answers: None,
            resolution,
            watch,
            certs: Certs::default(),
            certs_watch: None,
            reading: None,
            queued: None,
            pulse,
            reloads,
            ready,
            began,
            phase: Phase::Starting,
            stops: 0,
            generation,
            crashes,
            metrics,
            inherited,
            is_whole,
            handle,
        };
        control.tell_staples();
        control.count_answers(&certs);
        control.follow_certs(certs);
        Ok((control, sockets))
    }

    /// Lets connections in.
    async fn open(&mut self, sockets: Sockets) -> anyhow::Result<()> {
        sockets.listen(&self.plan.listeners, self.ready.backend)?;
        // It takes the place of the one before: late, since whatever fails before leaves that one reachable.
        let (handle, takes_over) = (self.handle.clone(), self.generation > 1);
        (self.admin, self.answers) = admin::Server::start(&self.read.admin, handle, takes_over)?.unzip();
        self.ready.admin = self.admin.as_ref().map(|server| server.address().clone());
        self.fleet.accept(sockets, &self.metrics).await?;
        self.phase = Phase::Serving;
        let in_force = (&self.written, &self.certs.kept);
        self.parent.ready(self.plan.timeouts.drain, self.read.log_level, in_force);
        if !*self.is_whole.borrow() {
            let is_whole = self.is_whole.clone();
            tokio::spawn(async move {
                tokio::time::sleep(LAST_WORD_MAX).await;
                is_whole.send_replace(true);
            });
        }
        Ok(())
    }

    /// Serves until an order to end has been obeyed, or a shard has ended without one.
    async fn run(&mut self) -> anyhow::Result<()> {
        while self.fleet.is_alive() {
            let turn = tokio::select! {
                order = self.orders.next() => Turn::Order(order),
                wish = self.parent.wish() => Turn::Wish(wish),
                Some(event) = self.fleet.events.recv() => Turn::Shard(event),
                Some(request) = self.requests.recv() => Turn::Request(request),
                change = self.resolution.changed() => Turn::Addresses(change),
                read = Reading::done(&mut self.reading) => Turn::Read(read),
                () = Watch::noticed(&mut self.watch) => Turn::Changed,
                () = Watch::noticed(&mut self.certs_watch) => Turn::CertsChanged,
                answered = self.handshakes.stapling.answered() => Turn::Answered(answered),
                _ = self.pulse.tick() => Turn::Pulse,
            };
            self.take(turn).await?;
        }
        Ok(())
    }

    async fn take(&mut self, turn: Turn) -> anyhow::Result<()> {
        match turn {
            Turn::Order(Order::Stop) | Turn::Wish(Wish::Stop) => self.stop().await?,
            Turn::Wish(Wish::Orphaned) => self.lose_parent().await?,
            Turn::Wish(Wish::Retire(passed_on)) => self.retire(&passed_on).await,
            Turn::Order(Order::Reload) | Turn::Wish(Wish::Reload) => self.begin_reload(None),
            Turn::Changed => {
                tracing::info!("the configuration's files have changed");
                self.begin_reload(None);
            }
            Turn::CertsChanged => self.begin_renewal(),
            Turn::Order(Order::ReopenLogs) | Turn::Wish(Wish::ReopenLogs) => self.fleet.reopen_logs(),
            Turn::Order(Order::Upgrade) => self.parent.want_upgrade(oneshot::channel().0),
            Turn::Wish(Wish::Inherit(both)) => {
                self.inherited.add_since(&both.0, &both.1);
                self.metrics.take_over(&both.1.metrics.since(&both.0.metrics));
                self.is_whole.send_replace(true);
            }
            Turn::Wish(Wish::Reloaded(outcome)) => self.note_reload(&outcome),
            Turn::Request(request) => self.answer(request).await?,
            Turn::Addresses(change) => {
                let Change { upstream, servers } = change;
                let tallies = self.metrics.servers(&self.plan, upstream, &servers);
                let command = |shard: usize| {
                    let (servers, tallies) = (servers.clone(), tallies[shard].clone());
                    Command::Addresses { upstream, servers, tallies }
                };
                self.fleet.order(command).await;
                self.moved.insert(upstream, servers);
            }
            Turn::Read(read) => self.finish_reload(read).await,
            Turn::Shard(event) => {
                if let Some((shard, result)) = self.fleet.hear(event) {
                    match self.phase {
                        Phase::Draining => result?,
                        _ => return Err(fleet::ended_too_early(shard, result)),
                    }
                }
            }
            Turn::Answered(answered) => {
                let outcome = self.handshakes.stapling.take(answered);
                self.metrics.count_ocsp(outcome);
            }
            Turn::Pulse => {
                self.beat();
                self.refresh_handshakes().await;
            }
        }
        Ok(())
    }

    /// Does what the rest of the control plane asks for.
    async fn answer(&mut self, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Stop if self.parent.want_stop() => {}
            Request::Stop => self.stop().await?,
            Request::Status(to) => self.survey(to),
            Request::Plan(to) => _ = to.send(self.plan_now()),
            Request::Drain(order, to) => {
                let DrainOrder { upstream, server, draining, force } = order;
                _ = to.send(self.resolution.drain(&upstream, &server, draining, force));
            }
            Request::Reload(to) => self.begin_reload(Some(to)),
            Request::Upgrade(to) => self.parent.want_upgrade(to),
            Request::ReopenLogs => self.fleet.reopen_logs(),
        }
        Ok(())
    }

    /// Obeys an order to end. Who asks twice does not want to wait.
    async fn stop(&mut self) -> anyhow::Result<()> {
        self.stops += 1;
        anyhow::ensure!(self.stops < 2, "stopped at once by a second order, with exchanges under way");
        let within = self.plan.timeouts.drain;
        self.phase = Phase::Draining;
        self.parent.stopping();
        tracing::info!(within_s = within.as_secs_f64(), "stopping: exchanges under way are finished");
        self.fleet.order(|_| Command::Drain(Drain::stop(within))).await;
        Ok(())
    }

    /// Another generation serves: ends when nobody needs this one any more. Nobody waits for that, so that connections may
    /// take their time to be idle when they are closed.
    async fn retire(&mut self, passed_on: &[String]) {
        let within = self.plan.timeouts.drain;
        self.phase = Phase::Draining;
        tracing::info!(within_s = within.as_secs_f64(), "another generation serves: exchanges under way are finished");
        // The other one answers for both from now on, and waits to hear what was counted here.
        self.admin = None;
        self.leave();
        self.fleet.retire(within, passed_on).await;
    }

    async fn lose_parent(&mut self) -> anyhow::Result<()> {
        self.parent = Parent::service();
        if self.phase != Phase::Draining {
            tracing::error!("the supervisor is gone: nothing but an end can follow");
            self.stop().await?;
        }
        Ok(())
    }

    /// Whoever has asked for what ends this process is to learn what came of it.
    async fn give_answers(&mut self) {
        self.admin = None;
        // Requests that wait get no other answer than that.
        self.requests = mpsc::channel(1).1;
        let answers = self.answers.take();
        let given = async {
            while let Some(outcome) = self.parent.settled().await {
                self.note_reload(&outcome);
            }
            if let Some(mut answers) = answers {
                answers.given().await;
            }
        };
        if tokio::time::timeout(ANSWERS_MAX, given).await.is_err() {
            tracing::debug!("some who asked by the admin API go without an answer");
        }
    }

    /// Looks after what takes care of itself, once in a while.
    fn beat(&mut self) {
        self.retired.retain(|plan| Arc::strong_count(plan) > 1);
        for warning in self.handshakes.warnings(&self.plan).into_iter().take(reload::WARNINGS_MAX) {
            tracing::warn!("{warning}");
        }
        if self.fleet.ticks() {
            self.parent.tick();
        }
        self.leave();
        self.fleet.ask();
    }

    /// Tells what the next generation is to go on with.
    fn leave(&self) {
        self.parent.leave(|| Heritage {
            counters: self.fleet.counters(&self.inherited.counters),
            shards: self.fleet.learned(),
            drains: self.resolution.drains().clone(),
            metrics: self.metrics.carry(),
            hosts: self.resolution.known().map(|(host, addresses)| (host.to_owned(), addresses.to_vec())).collect(),
            tickets: self.handshakes.left_tickets(),
        });
    }
}

impl Began {
    fn now() -> Began {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Began { at: Instant::now(), unix_s: unix.as_secs() }
    }
}

/// As the configuration writes it.
pub(crate) fn io_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Auto => "auto",
        Backend::IoUring => "io_uring",
        Backend::Epoll => "epoll",
    }
}

/// What all shards run on: asked once, so that they agree and one line of the log tells why.
fn backend(io: Io) -> anyhow::Result<Backend> {
    if io == Io::Epoll {
        return Ok(Backend::Epoll);
    }
    match engine::probe() {
        Ok(features) => {
            if !features.bundles {
                tracing::info!(
                    "this kernel fills one buffer a receive (Linux 6.10 fills several): large bodies cost a little more"
                );
            }
            Ok(features.backend)
        }
        Err(error) if io == Io::Auto && error.leaves_epoll() => {
            tracing::warn!("serving by epoll, which costs a little more: {error}");
            Ok(Backend::Epoll)
        }
        Err(error) => Err(error.into()),
    }
}
