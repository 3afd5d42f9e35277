//! Child processes that end with the value that stands for them.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::{affinity, cpu, interrupt::Interrupt};

/// How often a state that nothing announces is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long a program may take until it accepts connections.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a program may take to end after SIGTERM, before it and its children are killed.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// A running program, pinned to one core together with all that it starts. Dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// What it wrote to its standard streams.
    output: PathBuf,
}

impl Process {
    /// Starts `command` on `core`. What it writes goes to `<name>.log` in `directory`.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn start(name: &str, mut command: Command, core: usize, directory: &Path) -> anyhow::Result<Self> {
        let output = directory.join(format!("{name}.log"));
        let file = File::create(&output).with_context(|| format!("cannot create the log of {name}"))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = affinity::on_core(core, || command.spawn())?.with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, output })
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// What it wrote to its standard streams so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.output).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until `address` accepts connections.
    ///
    /// # Errors
    /// Fails, with what the program wrote, when it ends or takes too long.
    pub fn wait_until_listening(&mut self, address: SocketAddr, interrupt: &Interrupt) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it listened ({status}):\n{}", self.name, self.output());
            }
            if Instant::now() > deadline {
                bail!("{} did not listen on {address} within {READY_TIMEOUT:?}:\n{}", self.name, self.output());
            }
            interrupt.check()?;
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Fails when this program is interrupted.
    pub fn wait(&mut self, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                interrupt.check()?;
                return Ok(status);
            }
            interrupt.check()?;
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors have nowhere to go here, and each means that a process has already ended.
        let deadline = Instant::now() + END_TIMEOUT;
        if matches!(self.child.try_wait(), Ok(Some(_))) || kill(self.pid(), Signal::SIGTERM).is_err() {
            return;
        }
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(POLL_INTERVAL);
        }
        // The tree is listed while its root is not yet reaped, so that none of the ids can belong to somebody else.
        for pid in cpu::process_tree(self.pid()).unwrap_or_default() {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}

/// A loopback address whose port was free a moment ago.
///
/// # Errors
/// Fails when no port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// Lets this program and what it starts have as many descriptors as the system grants without asking.
///
/// # Errors
/// Fails when the system does not even grant that.
pub fn raise_descriptor_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of descriptors")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of descriptors")
}
