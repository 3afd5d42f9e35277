//! The control thread: opens the listening sockets, starts the shards, watches them, and stops them.

mod listeners;
mod panics;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use core_affinity::CoreId;
use engine::{Backend, Command, Counters, RingConfig, Sender, Spec};
use plan::{AccessLog, Address, Io, Plan};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::discovery::{Discovery, Resolution};
use crate::telemetry::access::AccessWriter;
use listeners::Listeners;

/// A shard whose mailbox is full is given this many times a moment to empty it.
const MOMENTS_MAX: u32 = 200;
const MOMENT: Duration = Duration::from_millis(5);

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

    let mut listeners = Listeners::open(&plan)?;
    let mut resolution = runtime.block_on(Resolution::start(discovery, &mut plan))?;
    let plan = Arc::new(plan);
    let mut fleet = Fleet::start(&plan, backend, &mut listeners)?;
    let served = runtime.block_on(async {
        fleet.wait_until_ready().await?;
        on_ready(&Ready { listening: listeners.addresses(), cores: fleet.cores(), backend });
        fleet.run(&mut orders, &mut resolution, plan.timeouts.drain).await
    });
    fleet.join();
    served
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

/// The shards of this worker.
struct Fleet {
    shards: Vec<Running>,
    events: mpsc::UnboundedReceiver<Event>,
    writer: Option<AccessWriter>,
}

struct Running {
    thread: Option<JoinHandle<()>>,
    core: Option<CoreId>,
    commands: Option<Sender<Command>>,
}

/// What a shard's thread tells.
enum Event {
    Ready { shard: usize, commands: Sender<Command> },
    Ended { shard: usize, result: anyhow::Result<()> },
}

impl Fleet {
    fn start(plan: &Arc<Plan>, backend: Backend, listeners: &mut Listeners) -> anyhow::Result<Fleet> {
        let (sender, events) = mpsc::unbounded_channel();
        let cores = if plan.shards.pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        let mut writer = (plan.access_log == AccessLog::Json).then(AccessWriter::new);
        let mut shards = Vec::new();
        for shard in 0..usize::from(plan.shards.count) {
            let spec = Spec {
                plan: Arc::clone(plan),
                listeners: listeners.of_shard(shard)?,
                recorder: writer.as_mut().map(AccessWriter::recorder),
                counters: Arc::<Counters>::default(),
                ring: RingConfig { backend, ..RingConfig::default() },
            };
            let core = (!cores.is_empty()).then(|| cores[shard % cores.len()]);
            let sender = sender.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || run_shard(shard, core, spec, &sender))
                .context("a shard's thread cannot be started")?;
            shards.push(Running { thread: Some(thread), core, commands: None });
        }
        if let Some(writer) = &mut writer {
            writer.start()?;
        }
        Ok(Fleet { shards, events, writer })
    }

    fn cores(&self) -> Vec<Option<usize>> {
        self.shards.iter().map(|shard| shard.core.map(|core| core.id)).collect()
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        while self.shards.iter().any(|shard| shard.commands.is_none()) {
            match self.events.recv().await {
                Some(Event::Ready { shard, commands }) => self.shards[shard].commands = Some(commands),
                Some(Event::Ended { shard, result }) => {
                    return Err(ended_too_early(shard, result));
                }
                None => anyhow::bail!("the shards' threads ended without a word"),
            }
        }
        Ok(())
    }

    /// Serves until an order to stop has been obeyed, or a shard has ended without one.
    async fn run(&mut self, orders: &mut Orders, resolution: &mut Resolution, drain: Duration) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = orders.stop() => break,
                Some(Event::Ended { shard, result }) = self.events.recv() => return Err(ended_too_early(shard, result)),
                change = resolution.changed() => {
                    let (upstream, servers) = (change.upstream, change.servers);
                    self.order(|| Command::Addresses { upstream, servers: servers.clone() }).await;
                }
            }
        }
        tracing::info!(within_s = drain.as_secs_f64(), "stopping: exchanges under way are finished");
        self.order(|| Command::Drain(drain)).await;
        let mut left = self.shards.len();
        while left > 0 {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Ended { result, .. }) => {
                        result?;
                        left -= 1;
                    }
                    Some(Event::Ready { .. }) => {}
                    None => break,
                },
                // Who asks twice does not want to wait.
                () = orders.stop() => anyhow::bail!("stopped at once by a second order, with exchanges under way"),
            }
        }
        Ok(())
    }

    async fn order(&mut self, command: impl Fn() -> Command) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let Some(commands) = &mut shard.commands else { continue };
            let mut refused = commands.send(command()).err();
            for _ in 0..MOMENTS_MAX {
                let Some(command) = refused.take() else { break };
                tokio::time::sleep(MOMENT).await;
                refused = commands.send(command).err();
            }
            if refused.is_some() {
                tracing::error!(shard = index, "a shard does not take commands any more");
            }
        }
    }

    /// Waits for the shards' threads, if they were told to end, and writes the last access records.
    fn join(&mut self) {
        for shard in &mut self.shards {
            // A shard whose master is gone ends at once.
            shard.commands = None;
        }
        for shard in &mut self.shards {
            if let Some(thread) = shard.thread.take() {
                // What went wrong in it was told as an event.
                let _ = thread.join();
            }
        }
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
    }
}

fn run_shard(shard: usize, core: Option<CoreId>, spec: Spec, events: &mpsc::UnboundedSender<Event>) {
    if let Some(core) = core
        && !core_affinity::set_for_current(core)
    {
        tracing::warn!(shard, core = core.id, "the shard could not be pinned");
    }
    let ready = events.clone();
    let run = || {
        engine::run(spec, move |commands| {
            // Nobody listens if another shard failed to start; then this one is told to end.
            let _ = ready.send(Event::Ready { shard, commands });
        })
    };
    let result = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(anyhow::Error::from),
        Err(_) => Err(anyhow::anyhow!("it panicked; the log says where")),
    };
    let _ = events.send(Event::Ended { shard, result });
}

fn ended_too_early(shard: usize, result: anyhow::Result<()>) -> anyhow::Error {
    match result {
        Ok(()) => anyhow::anyhow!("shard {shard} ended without an order"),
        Err(error) => error.context(format!("shard {shard} failed")),
    }
}
