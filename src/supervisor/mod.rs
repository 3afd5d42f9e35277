//! The supervisor: holds the listening sockets, and sees to it that a worker serves.
//!
//! It is one thread without a runtime, and does as little as it can, since nobody watches over it: it never touches a request,
//! and of the configuration it reads the listeners, the number of shards and the account of the worker. Everything it
//! waits for is a descriptor: signals, the ends of its children among them, and the line to each worker.
//!
//! ```text
//!                    a reload that changes listeners, or an upgrade              it ended
//!   Starting ──ready──▶ Serving ─────── the next generation is ready ──▶ Retiring ──────▶
//!      ▲                   │
//!      └──── back-off ◀────┘ it fell
//! ```
//! Whatever becomes of the workers, the listening sockets stay open, and connections wait in them. [`change`] is how one
//! generation follows another, [`mod@take_over`] how this program becomes its next version, [`message`] what workers are told.

mod account;
mod backoff;
mod change;
pub(crate) mod link;
pub(crate) mod message;
mod program;
pub(crate) mod signals;
mod take_over;
mod worker;

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{WaitOptions, WaitStatus};

use crate::asked::Asked;
use crate::config::{Loaded, Process};
use crate::listen::Sockets;
use crate::systemd::{Activated, Notifier};
use crate::telemetry::log;
use account::Account;
use backoff::Backoff;
use change::Change;
use message::{Order, Report};
pub(crate) use program::{Program, is_successor};
use signals::Signals;
use worker::{Role, Start, Worker};

/// A supervisor at work.
struct Supervisor {
    asked: Asked,
    program: Program,
    notifier: Notifier,
    signals: Signals,
    /// The sockets of the configuration in force.
    sockets: Sockets,
    /// That configuration, as the worker has read it that serves or has served last. It is passed on as it came.
    configuration: Option<OwnedFd>,
    /// As whom a worker runs.
    account: Option<Account>,
    workers: Vec<Worker>,
    /// The number of the latest worker.
    generation: u64,
    backoff: Backoff,
    /// When a worker is to be started, if none is there.
    restart_at: Option<Instant>,
    /// What the last worker that served knew, if it fell.
    heritage: Option<OwnedFd>,
    /// What a worker that fell while its successor was being started had said of itself by then, which that one has, and last.
    left_behind: Option<(OwnedFd, OwnedFd)>,
    /// A change of generation under way.
    change: Option<Change>,
    /// The next worker that is ready is to read the configuration again, since it changed during its start.
    reload_again: bool,
    /// Whether any worker has ever served.
    has_served: bool,
    ending: Option<Ending>,
}

/// The end of everything, once it is ordered.
struct Ending {
    /// What keeps it from being a success.
    failure: Option<String>,
}

/// Serves what `asked` for, which has been read as `loaded`, until an order to stop has been obeyed.
pub(crate) fn serve(asked: Asked, loaded: &Loaded, program: Program) -> anyhow::Result<()> {
    let signals = Signals::new().context("signals cannot be received")?;
    let account = Account::wanted(&loaded.process)?;
    let mut activated = Activated::from_environment();
    let sockets = Sockets::open(&loaded.plan.listeners, loaded.plan.shards.count, &mut activated)?;
    drop(activated);
    let mut supervisor = Supervisor {
        asked,
        program,
        notifier: Notifier::from_environment(),
        signals,
        sockets,
        configuration: None,
        account,
        workers: Vec::new(),
        generation: 0,
        backoff: Backoff::default(),
        restart_at: None,
        heritage: None,
        left_behind: None,
        change: None,
        reload_again: false,
        has_served: false,
        ending: None,
    };
    let started = supervisor.start_worker();
    let served = started.and_then(|()| supervisor.run());
    supervisor.sockets.files(None).remove();
    served
}

/// Goes on where the version before this one, which this process was, has stopped.
pub(crate) fn take_over(asked: Asked, program: Program) -> anyhow::Result<()> {
    let mut supervisor = take_over::receive(asked, program)?;
    let served = supervisor.run();
    supervisor.sockets.files(None).remove();
    served
}

impl Supervisor {
    fn run(&mut self) -> anyhow::Result<()> {
        loop {
            self.wait()?;
            while let Some(signal) = self.signals.next() {
                self.obey(signal)?;
            }
            self.listen_to_workers()?;
            self.keep_time()?;
            if let Some(ending) = &self.ending
                && self.workers.is_empty()
            {
                return ending.failure.as_ref().map_or(Ok(()), |failure| Err(anyhow::anyhow!("{failure}")));
            }
        }
    }

    /// Waits until there is something to do.
    fn wait(&self) -> anyhow::Result<()> {
        let now = Instant::now();
        let dues = self.workers.iter().filter_map(Worker::due).chain(self.restart_at);
        let due = dues.chain(self.change.as_ref().and_then(Change::due)).min();
        let timeout = due.map(|due| due.saturating_duration_since(now) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let links = self.workers.iter().filter(|worker| !worker.is_mute).map(|worker| worker.link.as_fd());
        let watched = links.chain([self.signals.as_fd()]);
        let mut watched: Vec<PollFd<'_>> = watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        match rustix::event::poll(&mut watched, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("the supervisor cannot wait"),
        }
    }

    fn obey(&mut self, signal: Signal) -> anyhow::Result<()> {
        match signal {
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => self.stop(),
            Signal::SIGHUP => self.reload(),
            Signal::SIGUSR1 => self.workers.iter().for_each(|worker| worker.tell(&Order::ReopenLogs, &[])),
            Signal::SIGUSR2 => self.begin_upgrade(None),
            Signal::SIGCHLD => self.reap()?,
            _ => {}
        }
        Ok(())
    }

    fn reload(&mut self) {
        if let Some(worker) = self.serving() {
            worker.tell(&Order::Reload, &[]);
        } else if self.restart_at.take().is_some() {
            // Another configuration is another chance.
            self.begin_reload(None);
            self.restart_if_nobody_serves();
        } else {
            self.reload_again = true;
        }
    }

    fn stop(&mut self) {
        self.restart_at = None;
        self.abandon_change("ringway is ending");
        if self.ending.is_none() {
            self.notifier.stopping();
            self.ending = Some(Ending { failure: None });
            // From now on the workers alone have the sockets, so that these are closed when they are empty.
            self.sockets.let_go();
        }
        // Who is told a second time ends at once.
        self.workers.iter_mut().for_each(|worker| worker.retire(&Order::Stop));
    }

    fn serving(&self) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.is_serving())
    }

    fn listen_to_workers(&mut self) -> anyhow::Result<()> {
        for generation in self.workers.iter().map(|worker| worker.generation).collect::<Vec<_>>() {
            while let Some(report) = self.worker(generation).and_then(Worker::report) {
                self.hear(generation, report.0, report.1)?;
            }
        }
        Ok(())
    }

    fn worker(&mut self, generation: u64) -> Option<&mut Worker> {
        self.workers.iter_mut().find(|worker| worker.generation == generation)
    }

    fn hear(&mut self, generation: u64, report: Report, mut descriptors: Vec<OwnedFd>) -> anyhow::Result<()> {
        let is_going_on = self.ending.is_none();
        let Some(worker) = self.worker(generation) else { return Ok(()) };
        let is_serving = worker.is_serving();
        match report {
            Report::Ready { take_over_version, drain_ms, log_level } => {
                worker.take_over_version = take_over_version;
                worker.drain = Duration::from_millis(drain_ms);
                if matches!(worker.role, Role::Starting(_)) && is_going_on {
                    worker.role = Role::Serving(Instant::now());
                    follow(log_level);
                    self.configuration = descriptors.pop();
                    return self.welcome(generation);
                }
            }
            Report::Failed { reason } => worker.failure = Some(reason),
            Report::Heritage => {
                tracing::debug!(generation, "the worker has told what the next one is to know");
                worker.heritage = descriptors.pop();
                if let Role::Retiring(_) = worker.role {
                    self.pass_on(generation);
                }
            }
            Report::Ticking if is_serving => self.notifier.tick(),
            Report::Reloading if is_serving => {
                // A generation that is being started may have read what was before.
                self.reload_again |= self.change.is_some();
                self.notifier.reloading();
            }
            // So may the one that has taken its place.
            Report::Reloading => self.reload(),
            Report::Reloaded { changed, drain_ms, log_level } => {
                worker.drain = Duration::from_millis(drain_ms);
                if is_serving {
                    follow(log_level);
                    if changed {
                        self.configuration = descriptors.pop();
                    }
                    self.tell_state();
                }
            }
            Report::NewGeneration { id } => self.begin_reload(Some((generation, id))),
            Report::Upgrade { id } => self.begin_upgrade(Some((generation, id))),
            Report::Stop if self.ending.is_none() => self.stop(),
            Report::Stop | Report::Ticking => {}
        }
        Ok(())
    }

    /// A worker is ready: it is the one that serves from now on.
    fn welcome(&mut self, generation: u64) -> anyhow::Result<()> {
        self.has_served = true;
        let is_change = self.change.as_ref().is_some_and(|change| change.starts(generation));
        if is_change {
            self.commit_sockets();
        }
        self.sockets.steer();
        let order = || Order::Retire { passed_on: self.sockets.asked() };
        let others = self.workers.iter_mut().filter(|worker| worker.generation != generation && worker.is_serving());
        others.for_each(|worker| worker.retire(&order()));
        let left_behind = self.left_behind.take().filter(|_| is_change);
        if let (Some((given, last)), Some(heir)) = (left_behind, self.serving()) {
            heir.tell(&Order::Inherit, &[given.as_fd(), last.as_fd()]);
        }
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
        self.tell_state();
        tracing::info!(generation, "a worker serves");
        if is_change { self.finish_change(generation) } else { Ok(()) }
    }

    /// Tells the service manager how things are.
    fn tell_state(&self) {
        let Some(worker) = self.serving() else { return };
        let crashes = self.backoff.crashes();
        let fallen = match crashes.count {
            0 => String::new(),
            count => format!(", {count} fallen before it"),
        };
        self.notifier.ready(&format!("serving: generation {}{fallen}", worker.generation));
    }

    /// Takes note of the ends of all children, our own and those that were left to us as the first process.
    fn reap(&mut self) -> anyhow::Result<()> {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if let Some(index) = self.workers.iter().position(|worker| worker.pid == pid) {
                // Its last words may not have been read yet.
                let generation = self.workers[index].generation;
                while let Some((report, descriptors)) = self.workers[index].report() {
                    match report {
                        Report::Failed { .. } | Report::Heritage => self.hear(generation, report, descriptors)?,
                        _ => {}
                    }
                }
                // Workers stay in the order in which they were started.
                let worker = self.workers.remove(index);
                self.mourn(worker, status)?;
            } else {
                self.question_answered(pid, status)?;
            }
        }
        Ok(())
    }

    /// A worker has ended.
    fn mourn(&mut self, worker: Worker, status: WaitStatus) -> anyhow::Result<()> {
        let how = worker.failure.clone().unwrap_or_else(|| told(status));
        let generation = worker.generation;
        if let Some(ending) = &mut self.ending {
            if !status.exited() || status.exit_status() != Some(0) {
                ending.failure.get_or_insert(how);
            }
            return Ok(());
        }
        match worker.role {
            Role::Retiring(_) => {
                tracing::info!(generation, how, "a worker that was replaced has ended");
            }
            Role::Starting(_) if self.change.as_ref().is_some_and(|change| change.starts(generation)) => {
                self.abandon_change(&how);
                self.restart_if_nobody_serves();
            }
            Role::Starting(_) if !self.has_served => anyhow::bail!("{how}"),
            Role::Starting(_) => self.fallen(&how, generation, Duration::ZERO),
            Role::Serving(since) => {
                // One that is being started began with what this one had given by then, and waits for its last word.
                if let (Some(given), Some(last)) = (worker.given, &worker.heritage) {
                    self.left_behind = last.try_clone().ok().map(|last| (given, last));
                }
                self.heritage = worker.heritage.or(self.heritage.take());
                self.fallen(&how, generation, since.elapsed());
            }
        }
        Ok(())
    }

    /// What a worker that was replaced has still counted is counted on by the one that serves.
    fn pass_on(&mut self, generation: u64) {
        let Some(index) = self.workers.iter().position(|worker| worker.generation == generation) else { return };
        let Some(heir) = self.serving() else { return };
        let worker = &self.workers[index];
        if let (Some(given), Some(last)) = (&worker.given, &worker.heritage) {
            heir.tell(&Order::Inherit, &[given.as_fd(), last.as_fd()]);
            self.workers[index].given = self.workers[index].heritage.take();
        }
    }

    fn fallen(&mut self, how: &str, generation: u64, served: Duration) {
        let pause = self.backoff.fell(how, served);
        let (in_a_row, pause_ms) = (self.backoff.crashes().in_a_row, pause.as_millis() as u64);
        tracing::error!(generation, in_a_row, pause_ms, "the worker fell: {how}");
        if self.backoff.is_loop() {
            let status = format!("crash loop: {in_a_row} workers fell in a row, the last one: {how}");
            tracing::error!("{status}");
            self.notifier.status(&status);
        }
        self.restart_at = Some(Instant::now() + pause);
        self.restart_if_nobody_serves();
    }

    /// A generation that is being started will do, if there is one.
    fn restart_if_nobody_serves(&mut self) {
        let is_coming = self.workers.iter().any(|worker| !matches!(worker.role, Role::Retiring(_)));
        match is_coming {
            true => self.restart_at = None,
            false => {
                self.restart_at.get_or_insert_with(Instant::now);
            }
        }
    }

    fn keep_time(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        self.workers.iter_mut().for_each(|worker| worker.enforce(now));
        self.keep_change_in_time(now);
        if let Some(worker) = self.serving()
            && let Role::Serving(since) = worker.role
            && self.backoff.is_over(since)
        {
            self.backoff.forgive();
        }
        if self.restart_at.is_some_and(|at| at <= now) {
            self.restart_at = None;
            if let Err(error) = self.start_worker() {
                self.fallen(&format!("{error:#}"), self.generation, Duration::ZERO);
            }
        }
        Ok(())
    }

    /// Starts a worker, by the configuration in force: a fall is no reason to serve by what the disk has by now, which may be
    /// wrong, or half written.
    fn start_worker(&mut self) -> anyhow::Result<()> {
        self.generation += 1;
        let start = Start {
            generation: self.generation,
            sockets: &self.sockets,
            heritage: self.heritage.as_ref(),
            configuration: self.configuration.as_ref(),
            account: self.account,
            announce: !self.has_served,
            crashes: self.backoff.crashes(),
            follows: false,
        };
        self.workers.push(Worker::spawn(self.program.worker(false), &start)?);
        Ok(())
    }
}

/// The user or group that the worker is to run as and that is not to be found here, in words.
pub(crate) fn missing_account(process: &Process) -> Option<String> {
    Account::missing(process)
}

/// Obeys what a worker's configuration says of the program log.
fn follow(log_level: Option<String>) {
    if let Some(level) = log_level.and_then(|word| word.parse().ok()) {
        log::follow(level);
    }
}

/// How a process ended.
fn told(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("it exited with {code}"),
        (None, Some(number)) => {
            let name = Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string());
            format!("it was ended by {name}")
        }
        (None, None) => "it ended".to_owned(),
    }
}
