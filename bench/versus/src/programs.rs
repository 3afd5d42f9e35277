//! The programs that a run needs: found where they are installed, or built from this workspace.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use bench_common::programs::{installed, version};
use serde::Deserialize;

use crate::targets::Target;

/// What is to be run: [`Programs::prepare`] finds or builds what it takes.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The targets.
    pub targets: &'a [Target],
    /// A ringway that is built already, instead of this workspace's.
    pub ringway: Option<&'a Path>,
    /// A binary of `bench/runtimes` that is built already.
    pub runtimes: Option<&'a Path>,
}

/// Paths of what will be run. What no target needs is absent.
#[derive(Debug)]
pub struct Programs {
    /// nginx: the upstream, and a target.
    pub nginx: PathBuf,
    /// wrk.
    pub wrk: PathBuf,
    haproxy: Option<PathBuf>,
    ringway: Option<PathBuf>,
    runtimes: Option<PathBuf>,
}

impl Programs {
    /// Finds what is installed before anything is built.
    ///
    /// # Errors
    /// Fails when something is not installed, or does not build.
    pub fn prepare(wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let targets = wanted.targets;
        let (nginx, wrk) = (installed("nginx")?, installed("wrk")?);
        let asks_haproxy = targets.iter().any(|target| matches!(target, Target::Haproxy | Target::HaproxyLogged));
        let haproxy = asks_haproxy.then(|| installed("haproxy")).transpose()?;
        let built = |is_wanted: bool, given: Option<&Path>, package, binary| match given {
            _ if !is_wanted => Ok(None),
            Some(path) => existing(path).map(Some),
            None => build(package, binary).map(Some),
        };
        let bare = targets.iter().any(|target| matches!(target, Target::Bare(_)));
        Ok(Self {
            nginx,
            wrk,
            haproxy,
            ringway: built(targets.iter().any(Target::is_ringway), wanted.ringway, "ringway", "ringway")?,
            runtimes: built(bare, wanted.runtimes, "ringway-bench-runtimes", "runtimes")?,
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
    pub fn versions(&self) -> BTreeMap<&'static str, String> {
        let installed = [("nginx", Some(&self.nginx)), ("haproxy", self.haproxy.as_ref()), ("wrk", Some(&self.wrk))];
        installed.into_iter().filter_map(|(name, path)| Some((name, version(path?)))).collect()
    }
}

fn existing(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("there is no program at {}", path.display()))
}

/// Builds one binary of this workspace with the release profile. Cargo knows best where it puts it.
fn build(package: &str, binary: &str) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", package, "--bin", binary]);
    run_cargo(cargo, package)
}

/// Runs a `cargo build` of one binary, and tells where it put it.
///
/// # Errors
/// Fails when it does not build.
pub fn run_cargo(mut build: Command, package: &str) -> anyhow::Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }

    eprintln!("building {package}");
    let output = build
        .args(["--message-format", "json-render-diagnostics"])
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
        None => bail!("cargo built no binary of {package}"),
    }
}
