//! How a supervisor becomes its next version: the same process, another program.
//!
//! What it has is put into a line of its own, descriptors included, whose other end becomes the standard input of the new
//! program: the kernel keeps what is under way in it. Signals are blocked meanwhile, and wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::account::Account;
use super::backoff::Backoff;
use super::link::{self, Link, Received};
use super::message::TAKE_OVER_VERSION;
use super::program::Program;
use super::signals::Signals;
use super::worker::{Role, Worker};
use crate::asked::Asked;
use crate::control::Crashes;
use crate::listen::{Manifest, Sockets};
use crate::systemd::Notifier;

/// A supervisor, all but its descriptors. These follow in the order in which they are told of here.
#[derive(Debug, Serialize, Deserialize)]
struct Estate {
    version: u32,
    generation: u64,
    crashes: Crashes,
    reload_again: bool,
    account: Option<Account>,
    sockets: Manifest,
    workers: Vec<Employed>,
    /// Its descriptor is the last one, so that who does not know of it passes it over.
    #[serde(default)]
    has_configuration: bool,
}

/// A worker. Its descriptors are the line to it, then what it has told.
#[derive(Debug, Serialize, Deserialize)]
struct Employed {
    pid: i32,
    generation: u64,
    is_serving: bool,
    /// How long it has served, or how long it may take to end.
    time_ms: u64,
    drain_ms: u64,
    has_heritage: bool,
    has_given: bool,
    take_over_version: u32,
}

/// One message of the line; the first has the estate as a file, the others the descriptors.
#[derive(Debug, Serialize, Deserialize)]
struct Part;

impl Supervisor {
    /// Becomes the program on the disk. Returns only if that fails, with nothing changed.
    pub(super) fn hand_over(&mut self) -> anyhow::Error {
        match self.send_estate() {
            Ok(line) => match rustix::stdio::dup2_stdin(&line) {
                Ok(()) => {
                    let failure = self.program.successor().exec();
                    forget_line();
                    anyhow::Error::from(failure)
                }
                Err(error) => error.into(),
            },
            Err(error) => error,
        }
    }

    fn send_estate(&self) -> anyhow::Result<OwnedFd> {
        let (line, theirs) = Link::pair()?;
        let estate = Estate {
            version: TAKE_OVER_VERSION,
            generation: self.generation,
            crashes: self.backoff.crashes().clone(),
            reload_again: self.reload_again,
            account: self.account,
            sockets: self.sockets.manifest(),
            workers: self.workers.iter().map(Employed::of).collect(),
            has_configuration: self.configuration.is_some(),
        };
        let estate = link::file_of(&estate)?;
        let workers = self.workers.iter().flat_map(|worker| {
            let files = worker.heritage.iter().chain(&worker.given);
            [worker.link.as_fd()].into_iter().chain(files.map(AsFd::as_fd))
        });
        let sockets = self.sockets.descriptors().map(AsFd::as_fd);
        let configuration = self.configuration.iter().map(AsFd::as_fd);
        let all = [estate.as_fd()].into_iter().chain(sockets).chain(workers).chain(configuration);
        let all: Vec<BorrowedFd<'_>> = all.collect();
        line.send_all(&Part, &all)?;
        Ok(theirs)
    }
}

impl Employed {
    fn of(worker: &Worker) -> Employed {
        let (is_serving, time) = match worker.role {
            Role::Serving(since) => (true, since.elapsed()),
            Role::Starting(until) | Role::Retiring(until) => (false, until.saturating_duration_since(Instant::now())),
        };
        Employed {
            pid: worker.pid.as_raw_pid(),
            generation: worker.generation,
            is_serving,
            time_ms: time.as_millis() as u64,
            drain_ms: worker.drain.as_millis() as u64,
            has_heritage: worker.heritage.is_some(),
            has_given: worker.given.is_some(),
            take_over_version: worker.take_over_version,
        }
    }

    fn employ(self, descriptors: &mut impl Iterator<Item = OwnedFd>) -> Option<Worker> {
        let time = Duration::from_millis(self.time_ms);
        let now = Instant::now();
        let role = match self.is_serving {
            true => Role::Serving(now.checked_sub(time).unwrap_or(now)),
            false => Role::Retiring(now + time),
        };
        Some(Worker {
            pid: Pid::from_raw(self.pid)?,
            generation: self.generation,
            link: Link::from_descriptor(descriptors.next()?),
            role,
            drain: Duration::from_millis(self.drain_ms),
            heritage: if self.has_heritage { Some(descriptors.next()?) } else { None },
            given: if self.has_given { Some(descriptors.next()?) } else { None },
            failure: None,
            is_mute: false,
            take_over_version: self.take_over_version,
        })
    }
}

/// The supervisor that this process was, as it left itself.
pub(super) fn receive(asked: Asked, program: Program) -> anyhow::Result<Supervisor> {
    // Blocked already; what came meanwhile waits.
    let signals = Signals::new().context("signals cannot be received")?;
    let line = Link::from_descriptor(rustix::stdio::stdin().try_clone_to_owned()?);
    forget_line();
    let mut descriptors = Vec::new();
    while let Received::Message(Part, some) = line.receive(true).context("the version before has left nothing")? {
        descriptors.extend(some);
    }
    let mut descriptors = descriptors.into_iter();
    let estate = descriptors.next().context("the version before has left nothing")?;
    let estate: Estate = link::read_file(&estate).context("what the version before has left cannot be read")?;
    ensure!(estate.version == TAKE_OVER_VERSION, "the version before has left something of form {}", estate.version);
    let sockets = Sockets::received(estate.sockets, &mut descriptors).context("listening sockets are missing")?;
    let workers = estate.workers.into_iter().map(|worker| worker.employ(&mut descriptors));
    let workers = workers.collect::<Option<Vec<_>>>().context("lines to workers are missing")?;
    let configuration = if estate.has_configuration { descriptors.next() } else { None };
    let supervisor = Supervisor {
        asked,
        program,
        notifier: Notifier::from_environment(),
        signals,
        sockets,
        configuration,
        account: estate.account,
        workers,
        generation: estate.generation,
        backoff: Backoff::new(estate.crashes),
        restart_at: None,
        heritage: None,
        left_behind: None,
        change: None,
        reload_again: estate.reload_again,
        has_served: true,
        ending: None,
    };
    tracing::info!(workers = supervisor.workers.len(), "a new version of the supervisor has taken over");
    Ok(supervisor)
}

/// The line has served its purpose: nobody else shall get it as a standard input.
fn forget_line() {
    if let Ok(null) = std::fs::File::open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&null);
    }
}
