//! The shards of this worker: their threads, mailboxes, counters, and what they know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use core_affinity::CoreId;
use engine::{
    Accepting, Backend, Command, Counters, Drain, NextOutlet, Reply, Report, RingConfig, Sender, ServerHealth,
    Snapshot, Spec,
};
use plan::Plan;
use tokio::sync::{mpsc, oneshot};

use super::handshakes::Parties;
use super::heritage::{self, Heritage, Learned};
use super::status::ShardStatus;
use crate::listen::{Socket, Sockets};
use crate::telemetry::access::AccessWriter;
use crate::telemetry::metrics::Metrics;

/// A shard whose mailbox is full is given this many times a moment to empty it.
const MOMENTS_MAX: u32 = 200;
const MOMENT: Duration = Duration::from_millis(5);
/// A shard that has not answered for so long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(3);

/// The shards of this worker.
pub(super) struct Fleet {
    shards: Vec<Running>,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    writer: AccessWriter,
}

struct Running {
    thread: Option<JoinHandle<()>>,
    core: Option<CoreId>,
    commands: Option<Sender<Command>>,
    counters: Arc<Counters>,
    /// The addresses of the listeners that its sockets belong to, in their order.
    listening: Vec<String>,
    /// When it was asked for a report that has not come yet.
    asked: Option<Instant>,
    /// Whether it was told that it is stuck.
    is_stuck: bool,
    health: Vec<ServerHealth>,
    has_ended: bool,
}

/// What a shard's thread tells.
pub(super) enum Event {
    Ready { shard: usize, commands: Sender<Command> },
    Reported { shard: usize, report: Report },
    Ended { shard: usize, result: anyhow::Result<()> },
}

impl Fleet {
    /// Starts the shards of `plan`, which know what those before them have left.
    pub(super) fn start(
        plan: &Arc<Plan>,
        parties: &Parties,
        backend: Backend,
        left: &Heritage,
        metrics: &Metrics,
    ) -> anyhow::Result<Fleet> {
        let (sender, events) = mpsc::unbounded_channel();
        let cores = if plan.shards.pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
        let mut writer = AccessWriter::default();
        let mut outlets = writer.apply(plan, usize::from(plan.shards.count), metrics)?.into_iter();
        let mut shards = Vec::new();
        for (shard, tallies) in metrics.tallies(plan).into_iter().enumerate() {
            let counters = metrics.counters(shard);
            let health = left.of_shard(shard);
            let spec = Spec {
                plan: Arc::clone(plan),
                acceptor: parties.acceptor.clone(),
                connectors: Arc::clone(&parties.connectors),
                outlets: outlets.next().unwrap_or_default(),
                counters: Arc::clone(&counters),
                tallies,
                health: health.clone(),
                ring: RingConfig { backend, time_ticks: plan.metrics.enabled, ..RingConfig::default() },
            };
            let core = (!cores.is_empty()).then(|| cores[shard % cores.len()]);
            let events = sender.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{shard}"))
                .spawn(move || run_shard(shard, core, spec, &events))
                .context("a shard's thread cannot be started")?;
            shards.push(Running {
                thread: Some(thread),
                core,
                commands: None,
                counters,
                listening: Vec::new(),
                asked: None,
                is_stuck: false,
                health,
                has_ended: false,
            });
        }
        Ok(Fleet { shards, events, sender, writer })
    }

    pub(super) fn cores(&self) -> Vec<Option<usize>> {
        self.shards.iter().map(|shard| shard.core.map(|core| core.id)).collect()
    }

    pub(super) async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        while self.shards.iter().any(|shard| shard.commands.is_none()) {
            let event = self.events.recv().await.context("the shards' threads ended without a word")?;
            if let Some((shard, result)) = self.hear(event) {
                return Err(ended_too_early(shard, result));
            }
        }
        Ok(())
    }

    /// Gives each shard its listening sockets.
    pub(super) async fn accept(&mut self, sockets: Sockets, metrics: &Metrics) -> anyhow::Result<()> {
        let dealt = sockets.deal(self.shards.len()).context("listening sockets cannot be shared")?;
        let mut dealt: Vec<_> = dealt.into_iter().map(Some).collect();
        for (shard, sockets) in self.shards.iter_mut().zip(&dealt) {
            shard.listening = sockets.iter().flatten().map(|socket| socket.asked.clone()).collect();
        }
        let mut take = |shard: usize| {
            let sockets = dealt[shard].take().into_iter().flatten();
            let accepting = |socket: Socket| {
                let tally = metrics.listener(shard, &socket.asked);
                Accepting { socket: socket.socket, listener: socket.listener, tally }
            };
            sockets.map(accepting).collect()
        };
        self.order(|shard| Command::Accept(take(shard))).await;
        Ok(())
    }

    /// Takes note of what a shard's thread tells. Returns how it ended, if it did.
    pub(super) fn hear(&mut self, event: Event) -> Option<(usize, anyhow::Result<()>)> {
        match event {
            Event::Ready { shard, commands } => {
                self.shards[shard].commands = Some(commands);
                None
            }
            Event::Reported { shard, report } => {
                let shard = &mut self.shards[shard];
                shard.asked = None;
                shard.is_stuck = false;
                shard.health = report.health;
                None
            }
            Event::Ended { shard, result } => {
                self.shards[shard].has_ended = true;
                Some((shard, result))
            }
        }
    }

    /// Whether any shard runs.
    pub(super) fn is_alive(&self) -> bool {
        self.shards.iter().any(|shard| !shard.has_ended)
    }

    /// Gives every shard the command that `command` makes for it.
    pub(super) async fn order(&mut self, mut command: impl FnMut(usize) -> Command) {
        for (index, shard) in self.shards.iter_mut().enumerate().filter(|(_, shard)| !shard.has_ended) {
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

    /// Has every shard finish what is under way, while another process accepts from the listeners `passed_on`.
    pub(super) async fn retire(&mut self, within: Duration, passed_on: &[String]) {
        let drains = self.shards.iter().map(|shard| {
            let listeners = shard.listening.iter().enumerate();
            let passed_on = listeners.filter(|(_, asked)| passed_on.contains(asked)).map(|(index, _)| index).collect();
            Drain { within, idle: within, passed_on }
        });
        let drains: Vec<Drain> = drains.collect();
        self.order(|shard| Command::Drain(drains[shard].clone())).await;
    }

    /// Asks every shard for a report, without waiting.
    pub(super) fn ask(&mut self) {
        for (index, shard) in self.shards.iter_mut().enumerate() {
            if shard.asked.is_some() || shard.has_ended {
                continue;
            }
            let Some(commands) = &mut shard.commands else { continue };
            let events = self.sender.clone();
            // Nobody listens when the worker ends.
            let reply = Reply::new(move |report| _ = events.send(Event::Reported { shard: index, report }));
            if commands.send(Command::Report(reply)).is_ok() {
                shard.asked = Some(Instant::now());
            }
        }
    }

    /// Asks every shard how its upstreams stand, and waits for none of them.
    pub(super) fn survey(&mut self) -> Vec<Option<oneshot::Receiver<Snapshot>>> {
        let ask = |shard: &mut Running| {
            let (answer, answered) = oneshot::channel();
            // Who asked may have gone.
            let reply = Reply::new(move |snapshot| drop(answer.send(snapshot)));
            let commands = shard.commands.as_mut().filter(|_| !shard.has_ended)?;
            commands.send(Command::Survey(reply)).is_ok().then_some(answered)
        };
        self.shards.iter_mut().map(ask).collect()
    }

    /// Whether every shard has answered lately. Says once of one that has not.
    pub(super) fn ticks(&mut self) -> bool {
        let mut all = true;
        for (index, shard) in self.shards.iter_mut().enumerate().filter(|(_, shard)| !shard.has_ended) {
            if !shard.ticks() {
                all = false;
                if !std::mem::replace(&mut shard.is_stuck, true) {
                    tracing::error!(shard = index, "the shard is stuck: it has not answered for a while");
                }
            }
        }
        all
    }

    pub(super) fn statuses(&self) -> Vec<ShardStatus> {
        let status = |shard: &Running| ShardStatus {
            core: shard.core.map(|core| core.id),
            ticks: shard.ticks(),
            connections_accepted: shard.counters.connections_accepted.value(),
            connections_open: shard.counters.connections_open.value(),
            exchanges: shard.counters.exchanges_ended(),
            plan_swaps: shard.counters.plan_swaps.value(),
            plan_swap_ns_max: shard.counters.plan_swap_ns_max.value(),
            bytes_received: shard.counters.ring.bytes_received.value(),
            bytes_sent: shard.counters.ring.bytes_sent.value(),
            turns: shard.counters.ring.enters.value(),
            completions: shard.counters.ring.completions.value(),
            cpu_us: None,
            cpu_waited_us: None,
        };
        self.shards.iter().map(status).collect()
    }

    /// What all shards have counted, on top of what was `inherited`.
    pub(super) fn counters(&self, inherited: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut sums = inherited.clone();
        for reading in self.shards.iter().flat_map(|shard| shard.counters.readings()) {
            if heritage::goes_on(reading.name) && reading.value > 0 {
                let name = match reading.member {
                    Some(member) => format!("{}{{{member}}}", reading.name),
                    None => reading.name.to_owned(),
                };
                *sums.entry(name).or_default() += reading.value;
            }
        }
        sums
    }

    /// What each shard has learned of the servers.
    pub(super) fn learned(&self) -> Vec<Vec<Learned>> {
        self.shards.iter().map(|shard| shard.health.iter().map(Learned::from_health).collect()).collect()
    }

    /// Opens the access logs of `plan`, and returns the outlets of each shard to them.
    ///
    /// # Errors
    /// When one cannot be opened. Then nothing has changed.
    pub(super) fn open_logs(&mut self, plan: &Plan, metrics: &Metrics) -> anyhow::Result<Vec<Vec<NextOutlet>>> {
        self.writer.apply(plan, self.shards.len(), metrics)
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

impl Running {
    fn ticks(&self) -> bool {
        self.asked.is_none_or(|asked| asked.elapsed() < STUCK_AFTER)
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
