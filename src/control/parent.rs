//! Whom this process serves under: a supervisor, a service manager, or nobody. They are told the same things.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::Level;

use super::handle::{ReloadOutcome, UpgradeOutcome};
use super::heritage::Heritage;
use super::status::Crashes;
use crate::config::{Kept, Written};
use crate::listen::Sockets;
use crate::supervisor::link::{self, Link, Received};
use crate::supervisor::message::{Answer, Order, Report, TAKE_OVER_VERSION};
use crate::systemd::Notifier;
use crate::telemetry::log;

/// Orders of the supervisor that may wait to be obeyed.
const ORDERS_MAX: usize = 32;

/// What a supervisor has a worker begin with.
#[derive(Debug)]
pub(crate) struct Assignment {
    link: Link,
    pub(super) sockets: Sockets,
    pub(super) generation: u64,
    pub(super) heritage: Heritage,
    pub(super) crashes: Crashes,
    /// Whether another worker serves until this one is ready.
    pub(super) follows: bool,
    /// The configuration to begin with, if it is not the one on the disk.
    pub(crate) handed: Option<Handed>,
    /// Whether people at a terminal are told that all is well.
    pub(crate) announce: bool,
}

/// A configuration on its way from one worker to another, with what was made of the files with certificates that it names. A
/// version that does not know of these passes them over.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    #[serde(flatten)]
    pub(crate) written: Written,
    #[serde(default)]
    pub(crate) kept: Kept,
}

/// Whoever is told how things are.
pub(super) enum Parent {
    /// The supervisor that has started this process.
    Supervisor(Box<Line>),
    /// A service manager, if there is one.
    Service { notifier: Notifier },
}

/// The line to the supervisor.
pub(super) struct Line {
    link: Arc<Link>,
    /// What the supervisor orders, as the thread has received it that waits for it.
    orders: mpsc::Receiver<(Order, Vec<OwnedFd>)>,
    /// Requests that wait for its answer.
    asked: HashMap<u64, Waiting>,
    next_id: u64,
}

/// Who waits for an answer of the supervisor.
pub(super) enum Waiting {
    Reload(Vec<oneshot::Sender<ReloadOutcome>>),
    Upgrade(oneshot::Sender<UpgradeOutcome>),
}

/// What the parent wants.
#[derive(Debug)]
pub(super) enum Wish {
    Reload,
    ReopenLogs,
    /// Finish and end.
    Stop,
    /// Finish and end, while another generation accepts from these listeners.
    Retire(Vec<String>),
    /// What a generation before this one said of itself earlier, which this one has, and what it says now.
    Inherit(Box<(Heritage, Heritage)>),
    /// Nothing more: that is what came of a reload that took the supervisor.
    Reloaded(ReloadOutcome),
    /// The supervisor is gone.
    Orphaned,
}

impl Assignment {
    /// Receives what the supervisor has left on standard input.
    ///
    /// # Errors
    /// When nobody has: this is no command for people.
    pub(crate) fn receive() -> anyhow::Result<Assignment> {
        let link = Link::from_descriptor(rustix::stdio::stdin().try_clone_to_owned()?);
        let mut descriptors = Vec::new();
        let mut handed = None;
        loop {
            match link.receive(true).context("only a supervisor starts workers")? {
                Received::Message(Order::Sockets, some) => descriptors.extend(some),
                Received::Message(Order::Configuration, mut file) => {
                    let file = file.pop().context("the configuration is missing")?;
                    handed = Some(link::read_file(&file).context("the configuration handed over is not readable")?);
                }
                Received::Message(Order::Start { generation, sockets, announce, crashes, follows }, mut heritage) => {
                    let sockets = Sockets::received(sockets, &mut descriptors.into_iter());
                    let sockets = sockets.context("listening sockets are missing")?;
                    let heritage = match heritage.pop() {
                        Some(file) => {
                            link::read_file(&file).context("what the worker before has left is not readable")?
                        }
                        None => Heritage::default(),
                    };
                    return Ok(Assignment { link, sockets, generation, heritage, crashes, follows, handed, announce });
                }
                Received::Message(order, _) => bail!("a start was expected, not {order:?}"),
                Received::Unknown(error) => bail!("a start was expected: {error}"),
                Received::End => bail!("the supervisor is gone"),
            }
        }
    }

    /// Another copy of the line, on which a failure can be told when the assignment is used up.
    pub(crate) fn line(&self) -> io::Result<FailureLine> {
        Ok(FailureLine(Link::from_descriptor(self.link.as_fd().try_clone_to_owned()?)))
    }

    pub(super) fn into_parent(self) -> anyhow::Result<(Parent, Sockets)> {
        let link = Arc::new(self.link);
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let thread = std::thread::Builder::new().name("supervisor-line".to_owned());
        let line = Arc::clone(&link);
        thread.spawn(move || receive(&line, &sender)).context("the supervisor cannot be listened to")?;
        let line = Line { link, orders, asked: HashMap::new(), next_id: 0 };
        Ok((Parent::Supervisor(Box::new(line)), self.sockets))
    }
}

/// Passes on what comes until the supervisor is gone, or the worker is about to be.
fn receive(link: &Link, orders: &mpsc::Sender<(Order, Vec<OwnedFd>)>) {
    loop {
        match link.receive(true) {
            Ok(Received::Message(order, descriptors)) => {
                if orders.blocking_send((order, descriptors)).is_err() {
                    return;
                }
            }
            Ok(Received::Unknown(error)) => tracing::warn!(error, "the supervisor says something unknown"),
            Ok(Received::End) | Err(_) => return,
        }
    }
}

/// A line on which nothing but a failure is told.
pub(crate) struct FailureLine(Link);

impl FailureLine {
    /// Tells the supervisor why this process does not go on.
    pub(crate) fn fail(&self, error: &anyhow::Error) {
        // It notices the end in any case.
        let _ = self.0.send(&Report::Failed { reason: format!("{error:#}") }, &[]);
    }
}

impl Parent {
    pub(super) fn service() -> Parent {
        Parent::Service { notifier: Notifier::from_environment() }
    }

    pub(super) fn is_supervisor(&self) -> bool {
        matches!(self, Parent::Supervisor(_))
    }

    /// Connections are accepted, by what is `in_force`: the configuration, and what was made of the files that it names. A drain
    /// may take so long.
    pub(super) fn ready(&self, drain: Duration, log_level: Level, in_force: (&Written, &Kept)) {
        match self {
            Parent::Supervisor(line) => {
                let (drain_ms, log_level) = (drain.as_millis() as u64, Some(log::word(log_level)));
                let ready = Report::Ready { take_over_version: TAKE_OVER_VERSION, drain_ms, log_level };
                line.tell_written(&ready, in_force);
            }
            Parent::Service { notifier } => notifier.ready("serving"),
        }
    }

    pub(super) fn reloading(&self) {
        match self {
            Parent::Supervisor(line) => line.tell(&Report::Reloading),
            Parent::Service { notifier } => notifier.reloading(),
        }
    }

    /// That is over; with the configuration `changed`, if another one is in force.
    pub(super) fn reloaded(&self, changed: Option<(&Written, &Kept)>, drain: Duration, log_level: Level) {
        let (drain_ms, log_level) = (drain.as_millis() as u64, Some(log::word(log_level)));
        let report = Report::Reloaded { changed: changed.is_some(), drain_ms, log_level };
        match self {
            Parent::Supervisor(line) => match changed {
                Some(in_force) => line.tell_written(&report, in_force),
                None => line.tell(&report),
            },
            Parent::Service { notifier } => notifier.ready("serving"),
        }
    }

    /// All shards move.
    pub(super) fn tick(&self) {
        match self {
            Parent::Supervisor(line) => line.tell(&Report::Ticking),
            Parent::Service { notifier } => notifier.tick(),
        }
    }

    pub(super) fn stopping(&self) {
        if let Parent::Service { notifier } = self {
            notifier.stopping();
        }
    }

    /// What the next generation is to know, if one can come.
    pub(super) fn leave(&self, heritage: impl FnOnce() -> Heritage) {
        let Parent::Supervisor(line) = self else { return };
        match link::file_of(&heritage()) {
            Ok(file) => line.tell_with(&Report::Heritage, Some(&file)),
            Err(error) => tracing::warn!(%error, "what the next worker is to know cannot be written down"),
        }
    }

    /// How often it wants to hear that all shards move.
    pub(super) fn tick_interval_max(&self) -> Option<Duration> {
        match self {
            Parent::Supervisor(_) => None,
            Parent::Service { notifier } => notifier.watchdog_interval(),
        }
    }

    /// Waits for its next wish. May be dropped and called again.
    pub(super) async fn wish(&mut self) -> Wish {
        match self {
            Parent::Supervisor(line) => line.wish().await,
            Parent::Service { .. } => std::future::pending().await,
        }
    }

    /// Asks for a new generation, by the configuration on the disk. Gives `askers` back if there is no supervisor to ask.
    pub(super) fn want_generation(
        &mut self,
        askers: Vec<oneshot::Sender<ReloadOutcome>>,
    ) -> Result<(), Vec<oneshot::Sender<ReloadOutcome>>> {
        let Parent::Supervisor(line) = self else { return Err(askers) };
        line.ask(Waiting::Reload(askers), |id| Report::NewGeneration { id });
        Ok(())
    }

    /// Asks for the executable on the disk to take over.
    pub(super) fn want_upgrade(&mut self, asker: oneshot::Sender<UpgradeOutcome>) {
        match self {
            Parent::Supervisor(line) => line.ask(Waiting::Upgrade(asker), |id| Report::Upgrade { id }),
            Parent::Service { .. } => {
                let reason = "there is no supervisor (--no-supervisor): restart it instead".to_owned();
                let _ = asker.send(UpgradeOutcome::Refused { reason });
            }
        }
    }

    /// Waits for what came of a reload that took the supervisor; `None` once whoever asked for something that a supervisor does
    /// has an answer. Other wishes come too late then.
    pub(super) async fn settled(&mut self) -> Option<ReloadOutcome> {
        let Parent::Supervisor(line) = self else { return None };
        while !line.asked.is_empty() {
            let (order, descriptors) = line.orders.recv().await?;
            if let Some(Wish::Reloaded(outcome)) = line.understand(order, &descriptors) {
                return Some(outcome);
            }
        }
        None
    }

    /// Has everything end. Returns whether that is for somebody else to order.
    pub(super) fn want_stop(&self) -> bool {
        match self {
            Parent::Supervisor(line) => {
                line.tell(&Report::Stop);
                true
            }
            Parent::Service { .. } => false,
        }
    }
}

impl Line {
    fn tell(&self, report: &Report) {
        self.tell_with(report, None);
    }

    fn tell_with(&self, report: &Report, file: Option<&OwnedFd>) {
        let beside: Vec<_> = file.map(AsFd::as_fd).into_iter().collect();
        if let Err(error) = self.link.send(report, &beside) {
            tracing::warn!(?report, %error, "the supervisor cannot be told");
        }
    }

    /// Tells it, and the configuration that is in force now.
    fn tell_written(&self, report: &Report, (written, kept): (&Written, &Kept)) {
        let file = link::file_of(&Handed { written: written.clone(), kept: kept.clone() });
        let file = file.inspect_err(|error| tracing::warn!(%error, "the configuration cannot be handed over")).ok();
        self.tell_with(report, file.as_ref());
    }

    fn ask(&mut self, waiting: Waiting, report: impl FnOnce(u64) -> Report) {
        self.next_id += 1;
        self.asked.insert(self.next_id, waiting);
        self.tell(&report(self.next_id));
    }

    async fn wish(&mut self) -> Wish {
        loop {
            let Some((order, descriptors)) = self.orders.recv().await else { return Wish::Orphaned };
            if let Some(wish) = self.understand(order, &descriptors) {
                return wish;
            }
        }
    }

    fn understand(&mut self, order: Order, descriptors: &[OwnedFd]) -> Option<Wish> {
        match order {
            Order::Reload => Some(Wish::Reload),
            Order::ReopenLogs => Some(Wish::ReopenLogs),
            Order::Stop => Some(Wish::Stop),
            Order::Retire { passed_on } => Some(Wish::Retire(passed_on)),
            Order::Inherit => {
                let [given, last] = descriptors else { return None };
                let both = link::read_file(given).and_then(|given| Ok((given, link::read_file(last)?)));
                both.inspect_err(|error| tracing::warn!(%error, "what an earlier worker has left is not readable"))
                    .ok()
                    .map(|both| Wish::Inherit(Box::new(both)))
            }
            Order::Answer { id, answer } => self.settle(id, answer),
            Order::Sockets | Order::Configuration | Order::Start { .. } => None,
        }
    }

    fn settle(&mut self, id: u64, answer: Answer) -> Option<Wish> {
        // Who asked may have gone.
        match (self.asked.remove(&id), answer) {
            (Some(Waiting::Reload(askers)), Answer::Reload(outcome)) => {
                for asker in askers {
                    let _ = asker.send(outcome.clone());
                }
                Some(Wish::Reloaded(outcome))
            }
            (Some(Waiting::Upgrade(asker)), Answer::Upgrade(outcome)) => {
                let _ = asker.send(outcome);
                None
            }
            _ => None,
        }
    }
}
