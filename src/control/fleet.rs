//! The shards of this worker: their threads, mailboxes and counters.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use core_affinity::CoreId;
use engine::{Backend, Command, Counters, RingConfig, Sender, Spec};
use plan::Plan;
use tokio::sync::mpsc;

use super::listeners::Listeners;
use super::status::ShardStatus;
use crate::telemetry::access::AccessWriter;

/// A shard whose mailbox is full is given this many times a moment to empty it.
const MOMENTS_MAX: u32 = 200;
const MOMENT: Duration = Duration::from_millis(5);

/// The shards of this worker.
pub(super) struct Fleet {
    shards: Vec<Running>,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    writer: AccessWriter,
}

struct Running {
    thread: Option<JoinHandle<()>>,
    core: Option<CoreId>,
    commands: Option<Sender<Command>>,
    counters: Arc<Counters>,
}

/// What a shard's thread tells.
pub(super) enum Event {
    Ready { shard: usize, commands: Sender<Command> },
    Ended { shard: usize, result: anyhow::Result<()> },
}

impl Fleet {
    pub(super) fn start(plan: &Arc<Plan>, backend: Backend, listeners: &mut Listeners) -> anyhow::Result<Fleet> {
        let (sender, events) = mpsc::unbounded_channel();
        let cores = if plan.shards.pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        let mut writer = AccessWriter::default();
        let mut outlets = writer.apply(plan, usize::from(plan.shards.count))?.into_iter();
        let mut shards = Vec::new();
        for shard in 0..usize::from(plan.shards.count) {
            let counters = Arc::<Counters>::default();
            let spec = Spec {
                plan: Arc::clone(plan),
                listeners: listeners.of_shard(shard)?,
                outlets: outlets.next().unwrap_or_default(),
                counters: Arc::clone(&counters),
                ring: RingConfig { backend, ..RingConfig::default() },
            };
            let core = (!cores.is_empty()).then(|| cores[shard % cores.len()]);
            let sender = sender.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || run_shard(shard, core, spec, &sender))
                .context("a shard's thread cannot be started")?;
            shards.push(Running { thread: Some(thread), core, commands: None, counters });
        }
        Ok(Fleet { shards, events, writer })
    }

    pub(super) fn cores(&self) -> Vec<Option<usize>> {
        self.shards.iter().map(|shard| shard.core.map(|core| core.id)).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn statuses(&self) -> Vec<ShardStatus> {
        let status = |shard: &Running| ShardStatus {
            core: shard.core.map(|core| core.id),
            ticks: true,
            connections_accepted: shard.counters.connections_accepted.value(),
            connections_open: shard.counters.connections_open.value(),
            exchanges: shard.counters.exchanges_ended(),
            plan_swaps: 0,
            plan_swap_ns_max: 0,
        };
        self.shards.iter().map(status).collect()
    }

    pub(super) async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
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

    /// Gives every shard the command that `command` makes for it.
    pub(super) async fn order(&mut self, command: impl Fn(usize) -> Command) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            let Some(commands) = &mut shard.commands else { continue };
            let mut refused = commands.send(command(index)).err();
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
    pub(super) fn join(&mut self) {
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
        std::mem::take(&mut self.writer).finish();
    }

    /// Has the files of the access log opened anew.
    pub(super) fn reopen_logs(&self) {
        self.writer.reopen();
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

pub(super) fn ended_too_early(shard: usize, result: anyhow::Result<()>) -> anyhow::Error {
    match result {
        Ok(()) => anyhow::anyhow!("shard {shard} ended without an order"),
        Err(error) => error.context(format!("shard {shard} failed")),
    }
}
