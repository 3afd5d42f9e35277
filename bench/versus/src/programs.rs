//! The programs that a run needs: found where they are installed, or built from this workspace.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::{arguments::Arguments, targets::Target};

/// Where system administration programs live, which is not on every user's PATH.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Paths of what will be run. What no target needs is absent.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) nginx: PathBuf,
    pub(crate) wrk: PathBuf,
    haproxy: Option<PathBuf>,
    ringway: Option<PathBuf>,
    runtimes: Option<PathBuf>,
}

impl Programs {
    /// Finds what is installed before anything is built.
    pub(crate) fn prepare(arguments: &Arguments) -> anyhow::Result<Self> {
        let targets = &arguments.targets;
        let (nginx, wrk) = (installed("nginx")?, installed("wrk")?);
        let haproxy = targets.contains(&Target::Haproxy).then(|| installed("haproxy")).transpose()?;
        let built = |wanted: bool, given: &Option<PathBuf>, package, binary| match given {
            _ if !wanted => Ok(None),
            Some(path) => existing(path).map(Some),
            None => build(package, binary).map(Some),
        };
        let bare = targets.iter().any(|target| matches!(target, Target::Bare(_)));
        Ok(Self {
            nginx,
            wrk,
            haproxy,
            ringway: built(targets.contains(&Target::Ringway), &arguments.ringway, "ringway", "ringway")?,
            runtimes: built(bare, &arguments.runtimes, "ringway-bench-runtimes", "runtimes")?,
        })
    }

    pub(crate) fn haproxy(&self) -> anyhow::Result<&Path> {
        self.haproxy.as_deref().context("haproxy was not asked for")
    }

    pub(crate) fn ringway(&self) -> anyhow::Result<&Path> {
        self.ringway.as_deref().context("ringway was not asked for")
    }

    pub(crate) fn runtimes(&self) -> anyhow::Result<&Path> {
        self.runtimes.as_deref().context("no bare proxy was asked for")
    }

    /// What each installed program says of its version, on one line.
    pub(crate) fn versions(&self) -> BTreeMap<&'static str, String> {
        let installed = [("nginx", Some(&self.nginx)), ("haproxy", self.haproxy.as_ref()), ("wrk", Some(&self.wrk))];
        installed.into_iter().filter_map(|(name, path)| Some((name, version(path?)))).collect()
    }
}

fn installed(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed; on Debian: apt-get install nginx haproxy wrk"))
}

fn existing(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("there is no program at {}", path.display()))
}

/// Builds one binary of this workspace with the release profile. Cargo knows best where it puts it.
fn build(package: &str, binary: &str) -> anyhow::Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }

    eprintln!("building {package}");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--message-format", "json-render-diagnostics"])
        .args(["--package", package, "--bin", binary])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "{package} does not build");
    let executable = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable)
        .next_back();
    match executable {
        Some(path) => Ok(path),
        None => bail!("cargo built no {binary}"),
    }
}

fn version(program: &Path) -> String {
    // nginx tells on standard error, and wrk ends with an error after it has told.
    let Ok(output) = Command::new(program).arg("-v").output() else { return "unknown".into() };
    let text = [output.stdout, output.stderr].concat();
    version_line(&String::from_utf8_lossy(&text)).to_owned()
}

/// The first line, without the authors and addresses that may follow the version.
fn version_line(text: &str) -> &str {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown");
    [" Copyright", " - "].iter().fold(line, |line, mark| line.split(mark).next().unwrap_or(line)).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_line_without_addresses() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", "nginx version: nginx/1.22.1"),
            (
                "HAProxy version 2.6.12 2026/10/17 - https://haproxy.org/\nStatus: x\n",
                "HAProxy version 2.6.12 2026/10/17",
            ),
            ("wrk 4.1.0 [epoll] Copyright (C) 2012 Will Glozer\nUsage: wrk\n", "wrk 4.1.0 [epoll]"),
            ("", "unknown"),
        ] {
            assert_eq!(version_line(text), version);
        }
    }
}
