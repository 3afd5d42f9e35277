//! The control thread: opens the listening sockets, starts the shards, watches them, and stops them.

mod fleet;
#[allow(dead_code, reason = "reloads, upgrades and the admin API are about to ask by it")]
mod handle;
mod listeners;
mod panics;
mod status;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use engine::{Backend, Command};
use plan::{Address, Io, Plan};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::discovery::{Discovery, Resolution};
use fleet::{Event, Fleet};
use listeners::Listeners;

pub(crate) use handle::{Handle, ReloadOutcome, Request, UpgradeOutcome};
pub(crate) use status::{Crashes, Phase, Reloads, Status};

/// What came of a start, told once every shard accepts connections.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The addresses that are listened on, in the order of the Plan; where it asked for port 0, with the port it got.
    pub(crate) listening: Vec<Address>,
    /// The core that each shard is pinned to, if it is.
    pub(crate) cores: Vec<Option<usize>>,
    /// What they move bytes by.
    pub(crate) backend: Backend,
}

/// Serves `plan`, with the servers that `discovery` knows by name, until SIGTERM or SIGINT has been obeyed. Calls `on_ready`
/// once every shard accepts connections.
pub(crate) fn serve(mut plan: Plan, discovery: Discovery, on_ready: impl FnOnce(&Ready)) -> anyhow::Result<()> {
    let backend = backend(plan.shards.io)?;
    panics::log_them();
    // Before any shard starts, so that an order to stop that comes during the start is not lost.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _context = runtime.enter();
    let mut orders = Orders::new().context("signals cannot be received")?;

    // The admin API gets a clone of the handle here, and its task is spawned on this runtime.
    let (handle, requests) = Handle::new();
    let moved_away = signal(SignalKind::user_defined1()).context("signals cannot be received")?;
    tokio::spawn(reopen_logs(moved_away, handle));
    let mut listeners = Listeners::open(&plan)?;
    let resolution = runtime.block_on(Resolution::start(discovery, &mut plan))?;
    let plan = Arc::new(plan);
    let mut fleet = Fleet::start(&plan, backend, &mut listeners)?;
    let served = runtime.block_on(async {
        fleet.wait_until_ready().await?;
        let ready = Ready { listening: listeners.addresses(), cores: fleet.cores(), backend };
        on_ready(&ready);
        let mut control = Control {
            fleet: &mut fleet,
            orders: &mut orders,
            requests,
            resolution,
            plan,
            ready,
            began: Began::now(),
            phase: Phase::Serving,
        };
        control.run().await
    });
    fleet.join();
    served
}

/// The control loop and what it looks after.
struct Control<'a> {
    fleet: &'a mut Fleet,
    orders: &'a mut Orders,
    requests: mpsc::Receiver<Request>,
    resolution: Resolution,
    plan: Arc<Plan>,
    ready: Ready,
    began: Began,
    phase: Phase,
}

/// When this worker began, by both clocks.
struct Began {
    at: Instant,
    unix_s: u64,
}

impl Began {
    fn now() -> Began {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Began { at: Instant::now(), unix_s: unix.as_secs() }
    }
}

impl Control<'_> {
    /// Serves until an order to stop has been obeyed, or a shard has ended without one.
    async fn run(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = self.orders.stop() => break,
                Some(event) = self.fleet.events.recv() => {
                    if let Event::Ended { shard, result } = event {
                        return Err(fleet::ended_too_early(shard, result));
                    }
                }
                Some(request) = self.requests.recv() => {
                    if self.answer(request) {
                        break;
                    }
                }
                change = self.resolution.changed() => {
                    let (upstream, servers) = (change.upstream, change.servers);
                    self.fleet.order(|_| Command::Addresses { upstream, servers: servers.clone() }).await;
                }
            }
        }
        self.drain().await
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        let drain = self.plan.timeouts.drain;
        self.phase = Phase::Draining;
        tracing::info!(within_s = drain.as_secs_f64(), "stopping: exchanges under way are finished");
        self.fleet.order(|_| Command::Drain(drain)).await;
        let mut left = self.fleet.count();
        while left > 0 {
            tokio::select! {
                event = self.fleet.events.recv() => match event {
                    Some(Event::Ended { result, .. }) => {
                        result?;
                        left -= 1;
                    }
                    Some(Event::Ready { .. }) => {}
                    None => break,
                },
                Some(request) = self.requests.recv() => {
                    self.answer(request);
                }
                // Who asks twice does not want to wait.
                () = self.orders.stop() => anyhow::bail!("stopped at once by a second order, with exchanges under way"),
            }
        }
        Ok(())
    }

    /// Does what is asked for; tells whether that was the order to stop.
    fn answer(&mut self, request: Request) -> bool {
        match request {
            Request::Stop => return true,
            Request::Status(to) => {
                let _ = to.send(self.status());
            }
            Request::Reload(to) => {
                let _ = to.send(ReloadOutcome::Refused { reason: "not built yet".to_owned() });
            }
            Request::Upgrade(to) => {
                let _ = to.send(UpgradeOutcome::Refused { reason: "not built yet".to_owned() });
            }
            Request::ReopenLogs => self.fleet.reopen_logs(),
        }
        false
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            generation: 1,
            supervised: false,
            phase: self.phase,
            started_unix_s: self.began.unix_s,
            uptime_s: self.began.at.elapsed().as_secs(),
            config: None,
            listening: self.ready.listening.iter().map(ToString::to_string).collect(),
            io: format!("{:?}", self.ready.backend),
            shards: self.fleet.statuses(),
            reloads: Reloads::default(),
            crashes: Crashes::default(),
        }
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

/// Has the log files opened anew whenever `moved_away` comes: SIGUSR1, as for nginx.
async fn reopen_logs(mut moved_away: Signal, handle: Handle) {
    while moved_away.recv().await.is_some() {
        if handle.reopen_logs().await.is_err() {
            return;
        }
    }
}

/// The orders that come by signal.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
}

impl Orders {
    fn new() -> anyhow::Result<Orders> {
        Ok(Orders { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for an order to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
