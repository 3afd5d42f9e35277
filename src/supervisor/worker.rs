//! A worker, as its supervisor sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal};

use super::account::Account;
use super::link::{Link, Received};
use super::message::{Order, Report};
use crate::control::Crashes;
use crate::listen::Sockets;

/// How long a worker may take to be ready: names may have to be looked up.
const START_MAX: Duration = Duration::from_secs(60);
/// How much longer than its drain a worker may take to end.
const END_SLACK: Duration = Duration::from_secs(5);
/// What is believed of a worker's drain before it has told.
const DRAIN_UNTOLD: Duration = Duration::from_secs(30);

/// One process that serves, has served or is about to.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) pid: Pid,
    pub(super) generation: u64,
    pub(super) link: Link,
    pub(super) role: Role,
    /// How long its drain may take.
    pub(super) drain: Duration,
    /// What it told last for the next generation.
    pub(super) heritage: Option<OwnedFd>,
    /// What of that the next generation has.
    pub(super) given: Option<OwnedFd>,
    /// Why it could not go on, as it said.
    pub(super) failure: Option<String>,
    /// Whether it has closed its end of the line.
    pub(super) is_mute: bool,
    /// The form of a take-over that its program understands.
    pub(super) take_over_version: u32,
}

/// What a worker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It is about to serve, or else is given up at this time.
    Starting(Instant),
    /// It accepts connections, since then.
    Serving(Instant),
    /// It finishes what is under way, or else is ended at this time.
    Retiring(Instant),
}

/// What a worker is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) generation: u64,
    pub(super) sockets: &'a Sockets,
    pub(super) heritage: Option<&'a OwnedFd>,
    /// The configuration, if it is not to be that on the disk.
    pub(super) configuration: Option<&'a OwnedFd>,
    pub(super) account: Option<Account>,
    pub(super) announce: bool,
    pub(super) crashes: &'a Crashes,
    /// Whether another worker serves until this one is ready.
    pub(super) follows: bool,
}

impl Worker {
    /// Starts `command` as a worker and sends it what it needs.
    pub(super) fn spawn(mut command: Command, start: &Start<'_>) -> anyhow::Result<Worker> {
        let (link, theirs) = Link::pair().context("no line to a worker is to be had")?;
        command.stdin(Stdio::from(theirs));
        if let Some(account) = start.account {
            // Also gives up all further groups.
            command.uid(account.user).gid(account.group);
            crate::admin::give_default_folder(account.user, account.group);
        }
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        // Its end is noticed by whoever reaps all children.
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child without a number")?;
        let worker = Worker {
            pid,
            generation: start.generation,
            link,
            role: Role::Starting(Instant::now() + START_MAX),
            drain: DRAIN_UNTOLD,
            heritage: None,
            given: None,
            failure: None,
            is_mute: false,
            take_over_version: 0,
        };
        worker.begin(start).inspect_err(|_| worker.kill()).context("a worker does not take its sockets")?;
        Ok(worker)
    }

    fn begin(&self, start: &Start<'_>) -> io::Result<()> {
        let descriptors: Vec<BorrowedFd<'_>> = start.sockets.descriptors().map(AsFd::as_fd).collect();
        self.link.send_all(&Order::Sockets, &descriptors)?;
        if let Some(configuration) = start.configuration {
            self.link.send(&Order::Configuration, &[configuration.as_fd()])?;
        }
        let order = Order::Start {
            generation: start.generation,
            sockets: start.sockets.manifest(),
            announce: start.announce,
            crashes: start.crashes.clone(),
            follows: start.follows,
        };
        let heritage: Vec<BorrowedFd<'_>> = start.heritage.iter().map(|file| file.as_fd()).collect();
        self.link.send(&order, &heritage)
    }

    /// Tells it something. That it cannot be told shows in its end as well.
    pub(super) fn tell(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) {
        if let Err(error) = self.link.send(order, descriptors) {
            tracing::warn!(generation = self.generation, ?order, %error, "a worker does not take an order");
        }
    }

    /// The next report that has come.
    pub(super) fn report(&mut self) -> Option<(Report, Vec<OwnedFd>)> {
        loop {
            match self.link.receive(false) {
                Ok(Received::Message(report, descriptors)) => return Some((report, descriptors)),
                Ok(Received::Unknown(error)) => {
                    tracing::warn!(generation = self.generation, error, "a worker says something unknown");
                }
                Ok(Received::End) => {
                    // It is ending; or else nothing good can come of it any more.
                    self.is_mute = true;
                    self.kill();
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    /// Has it finish what is under way, and sets the time at which it is to be over.
    pub(super) fn retire(&mut self, order: &Order) {
        if let Role::Starting(_) = self.role {
            return self.kill();
        }
        self.role = Role::Retiring(Instant::now() + self.drain + END_SLACK);
        self.tell(order, &[]);
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.role, Role::Serving(_))
    }

    pub(super) fn kill(&self) {
        // It may have ended just now.
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }

    /// When something has to be done about it.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.role {
            Role::Starting(until) | Role::Retiring(until) => Some(until),
            Role::Serving(_) => None,
        }
    }

    /// Ends it if its time is up.
    pub(super) fn enforce(&mut self, now: Instant) {
        let Some(until) = self.due().filter(|until| *until <= now) else { return };
        let late_ms = now.saturating_duration_since(until).as_millis() as u64;
        let what = if matches!(self.role, Role::Starting(_)) { "was not ready" } else { "did not end" };
        tracing::error!(generation = self.generation, late_ms, "a worker {what} in time: killed");
        self.failure.get_or_insert_with(|| format!("it {what} in time"));
        self.kill();
        // Once is enough; the kernel tells when it is over.
        let later = now + END_SLACK;
        self.role = match self.role {
            Role::Starting(_) => Role::Starting(later),
            _ => Role::Retiring(later),
        };
    }
}
