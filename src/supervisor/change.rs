//! One generation after another: a reload that changes listeners, or an upgrade.
//!
//! ```text
//!   upgrade ──▶ Asking its version ──▶ Asking it to check ──▶ Starting ──ready──▶ over
//!   reload ────────────────────────────────────────────────────▲
//! ```
//! Until the new worker is ready nothing has changed: the old one serves, and whatever fails is told to whoever asked, in the
//! log and by an answer. After it the old one drains.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, WaitStatus};

use super::account::Account;
use super::link;
use super::message::{Answer, Order, TAKE_OVER_VERSION};
use super::worker::{Start, Worker};
use super::{Supervisor, told};
use crate::control::{Heritage, ReloadOutcome, UpgradeOutcome};
use crate::listen::Sockets;

/// How long an executable may take to answer what it is asked before it is trusted.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Bytes of such an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Who asked: the generation of the worker, and the number of its request.
pub(super) type Asker = (u64, u64);

/// A change of generation under way.
#[derive(Debug)]
pub(super) struct Change {
    asker: Option<Asker>,
    /// What the executable on the disk says of its version, if it is to take over.
    upgrade: Option<String>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// The executable was asked a question.
    Asking { question: Question, pid: Pid, answer: OwnedFd, until: Instant },
    /// A worker is being started.
    Starting { generation: u64, next: Next },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Version,
    Check,
}

/// What is in force when the new worker is ready.
#[derive(Debug)]
struct Next {
    sockets: Sockets,
    account: Option<Account>,
}

impl Change {
    pub(super) fn starts(&self, candidate: u64) -> bool {
        matches!(self.step, Step::Starting { generation, .. } if generation == candidate)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match self.step {
            Step::Asking { until, .. } => Some(until),
            Step::Starting { .. } => None,
        }
    }
}

impl Supervisor {
    /// A worker has found a configuration that it cannot serve by; or else none is there, and another configuration is another
    /// chance.
    pub(super) fn begin_reload(&mut self, asker: Option<Asker>) {
        if let Err(error) = self.may_change().and_then(|()| self.start_next(asker, None)) {
            self.refuse(asker, false, &format!("{error:#}"));
        }
    }

    /// The executable on the disk is to take over.
    pub(super) fn begin_upgrade(&mut self, asker: Option<Asker>) {
        let begun = self.may_change().and_then(|()| {
            anyhow::ensure!(self.serving().is_some(), "no worker serves now");
            self.ask(asker, String::new(), Question::Version)
        });
        if let Err(error) = begun {
            self.refuse(asker, true, &format!("{error:#}"));
        }
    }

    fn may_change(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.ending.is_none(), "ringway is ending");
        anyhow::ensure!(self.change.is_none(), "another generation is being started");
        Ok(())
    }

    fn ask(&mut self, asker: Option<Asker>, version: String, question: Question) -> anyhow::Result<()> {
        let config = self.asked.config.as_ref().map(|path| path.as_os_str());
        let mut words: Vec<&OsStr> = match (question, config) {
            // Its addresses are ours, and not free.
            (Question::Check, Some(config)) => {
                vec!["check".as_ref(), "--offline".as_ref(), "--config".as_ref(), config]
            }
            _ => vec!["version".as_ref()],
        };
        if let (Question::Check, Some(environment)) = (question, &self.asked.environment) {
            words.extend([OsStr::new("--env"), environment.as_ref()]);
        }
        let answer = rustix::fs::memfd_create("answer", rustix::fs::MemfdFlags::CLOEXEC)?;
        let mut command = self.program.question(&words);
        command.stdin(Stdio::null()).stdout(Stdio::from(answer.try_clone()?)).stderr(Stdio::from(answer.try_clone()?));
        let path = self.program.path().display();
        let child = command.spawn().with_context(|| format!("{path} cannot be started"))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child without a number")?;
        let step = Step::Asking { question, pid, answer, until: Instant::now() + ANSWER_MAX };
        self.change = Some(Change { asker, upgrade: Some(version), step });
        Ok(())
    }

    /// A child has ended that is no worker.
    pub(super) fn question_answered(&mut self, child: Pid, status: WaitStatus) -> anyhow::Result<()> {
        let Some(Change { step: Step::Asking { question, pid, answer, .. }, asker, upgrade }) = &self.change else {
            return Ok(());
        };
        if *pid != child {
            return Ok(());
        }
        let (question, asker, text) = (*question, *asker, text_of(answer));
        let version = if question == Question::Version { text.clone() } else { upgrade.clone().unwrap_or_default() };
        if status.exit_status() != Some(0) {
            let path = self.program.path().display();
            let how = told(status);
            self.abandon_change(&format!("{path} is not fit to take over: {how}: {text}"));
            return Ok(());
        }
        self.change = None;
        let gone_on = match question {
            Question::Version => self.ask(asker, version, Question::Check),
            Question::Check => self.start_next(asker, Some(version)),
        };
        if let Err(error) = gone_on {
            self.refuse(asker, true, &format!("{error:#}"));
        }
        Ok(())
    }

    fn start_next(&mut self, asker: Option<Asker>, upgrade: Option<String>) -> anyhow::Result<()> {
        // Read here and not sent by the worker: what a worker without privileges says is no reason to open a port.
        let loaded = self.asked.load()?;
        let account = Account::wanted(&loaded.process)?;
        let sockets = self.sockets.renew(&loaded.plan.listeners, loaded.plan.shards.count)?;
        self.generation += 1;
        let generation = self.generation;
        let heritage = self.serving().map_or(self.heritage.as_ref(), |worker| worker.heritage.as_ref());
        let heritage = heritage.map(OwnedFd::try_clone).transpose()?;
        let start = Start {
            generation,
            sockets: &sockets,
            heritage: heritage.as_ref(),
            configuration: None,
            account,
            announce: false,
            crashes: self.backoff.crashes(),
            follows: self.serving().is_some(),
        };
        match Worker::spawn(self.program.worker(upgrade.is_some()), &start) {
            Ok(worker) => self.workers.push(worker),
            Err(error) => {
                sockets.files(Some(&self.sockets)).remove();
                return Err(error);
            }
        }
        if let Some(old) = self.workers.iter_mut().find(|worker| worker.is_serving()) {
            // A worker that has not told anything yet has given nothing.
            old.given = heritage.or_else(|| link::file_of(&Heritage::default()).ok());
        }
        self.change =
            Some(Change { asker, upgrade, step: Step::Starting { generation, next: Next { sockets, account } } });
        Ok(())
    }

    /// The new worker is ready: what it has is in force.
    pub(super) fn commit_sockets(&mut self) {
        if let Some(Change { step: Step::Starting { next, .. }, .. }) = &mut self.change {
            std::mem::swap(&mut self.sockets, &mut next.sockets);
            self.account = next.account;
            next.sockets.files(Some(&self.sockets)).remove();
        }
    }

    /// Tells whoever asked, and becomes the next version if that is what the change was for.
    pub(super) fn finish_change(&mut self, generation: u64) -> anyhow::Result<()> {
        let Some(Change { asker, upgrade, .. }) = self.change.take() else { return Ok(()) };
        let Some(version) = upgrade else {
            self.tell_reload(asker, ReloadOutcome::NewGeneration { generation });
            return Ok(());
        };
        let speaks = self.serving().map(|worker| worker.take_over_version);
        let outcome = UpgradeOutcome::Upgraded { generation, version };
        tracing::info!(generation, ?outcome, "upgraded");
        self.answer(asker, Answer::Upgrade(outcome));
        if speaks != Some(TAKE_OVER_VERSION) {
            tracing::warn!(
                "the new version serves, but cannot take over from this supervisor: restart the service in time"
            );
            return Ok(());
        }
        let error = self.hand_over();
        tracing::error!("the new version serves, but did not take over from this supervisor: {error:#}");
        Ok(())
    }

    /// Everything stays as it was.
    pub(super) fn abandon_change(&mut self, why: &str) {
        let Some(change) = self.change.take() else { return };
        match change.step {
            Step::Asking { pid, .. } => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            Step::Starting { generation, next } => {
                if let Some(worker) = self.worker(generation) {
                    worker.kill();
                }
                next.sockets.files(Some(&self.sockets)).remove();
            }
        }
        self.workers.iter_mut().filter(|worker| worker.is_serving()).for_each(|worker| worker.given = None);
        self.left_behind = None;
        self.refuse(change.asker, change.upgrade.is_some(), why);
    }

    pub(super) fn keep_change_in_time(&mut self, now: Instant) {
        if self.change.as_ref().and_then(Change::due).is_some_and(|due| due <= now) {
            let path = self.program.path().display();
            self.abandon_change(&format!("{path} does not answer"));
        }
    }

    fn refuse(&mut self, asker: Option<Asker>, is_upgrade: bool, why: &str) {
        let reason = why.to_owned();
        if is_upgrade {
            tracing::error!("no upgrade, nothing has changed: {reason}");
            self.answer(asker, Answer::Upgrade(UpgradeOutcome::Refused { reason }));
        } else {
            self.tell_reload(asker, ReloadOutcome::Refused { reason });
        }
    }

    /// Whoever asked writes it down; if nobody did, it is for us to do so.
    fn tell_reload(&mut self, asker: Option<Asker>, outcome: ReloadOutcome) {
        match asker {
            Some(_) => self.answer(asker, Answer::Reload(outcome)),
            None => crate::control::tell_outcome(&outcome),
        }
    }

    fn answer(&mut self, asker: Option<Asker>, answer: Answer) {
        let Some((generation, id)) = asker else { return };
        if let Some(worker) = self.worker(generation) {
            worker.tell(&Order::Answer { id, answer }, &[]);
        }
    }
}

fn text_of(answer: &OwnedFd) -> String {
    let read = || -> std::io::Result<String> {
        rustix::fs::seek(answer.as_fd(), rustix::fs::SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        File::from(answer.try_clone()?).take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    read().unwrap_or_default()
}
