//! This program, as something to be started again.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// Says to a program that it is to take over from the process that it has replaced, whose number this variable has.
pub(super) const TAKE_OVER: &str = "RINGWAY_TAKE_OVER";
/// The executable of this process, whatever the disk has at its path by now.
const RUNNING: &str = "/proc/self/exe";

/// How this program was called.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// Where its executable is, and where that of the next version will be.
    path: PathBuf,
    name: OsString,
    /// The arguments of `serve`.
    arguments: Vec<OsString>,
}

impl Program {
    /// As this process was called.
    pub(crate) fn of_this_process() -> anyhow::Result<Program> {
        let mut arguments: Vec<OsString> = std::env::args_os().collect();
        let name = if arguments.is_empty() { "ringway".into() } else { arguments.remove(0) };
        if arguments.first().is_some_and(|first| first == "serve") {
            arguments.remove(0);
        }
        let running = std::env::current_exe().context("the path of this executable is not to be found")?;
        // A link that led here may lead to the next version one day: where there is one, it is what to follow.
        let path = called_path(&name).filter(|path| is_same_file(path, &running)).unwrap_or(running);
        Ok(Program { path, name, arguments })
    }

    /// A worker of the running version, or of that on the disk.
    pub(super) fn worker(&self, next: bool) -> Command {
        self.command(if next { self.path.as_os_str() } else { OsStr::new(RUNNING) }, "worker")
    }

    /// The version on the disk, as the process that this one becomes.
    pub(super) fn successor(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).arg("serve").args(&self.arguments);
        command.env(TAKE_OVER, std::process::id().to_string());
        command
    }

    /// What the version on the disk says to `arguments`.
    pub(super) fn question(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(arguments);
        self.isolate(command)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn command(&self, executable: &OsStr, subcommand: &str) -> Command {
        let mut command = Command::new(executable);
        command.arg0(&self.name).arg(subcommand).args(&self.arguments);
        self.isolate(command)
    }

    /// What is meant for the supervisor alone stays with it: the service manager's variables, and the keys of its terminal.
    fn isolate(&self, mut command: Command) -> Command {
        for variable in crate::systemd::VARIABLES {
            command.env_remove(variable);
        }
        command.env_remove(TAKE_OVER).process_group(0);
        command
    }
}

/// Whether this process is to take over from its former self.
pub(crate) fn is_successor() -> bool {
    std::env::var(TAKE_OVER).is_ok_and(|pid| pid == std::process::id().to_string())
}

/// The path by which a shell found `name`.
fn called_path(name: &OsStr) -> Option<PathBuf> {
    let called = Path::new(name);
    if called.components().count() > 1 {
        return std::path::absolute(called).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(called)).find(|path| path.is_file())
}

fn is_same_file(path: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
    identity(path).is_some() && identity(path) == identity(other)
}
