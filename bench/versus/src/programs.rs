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

use crate::{arguments::Arguments, targets::Target};

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
        let asks_haproxy = targets.iter().any(|target| matches!(target, Target::Haproxy | Target::HaproxyLogged));
        let haproxy = asks_haproxy.then(|| installed("haproxy")).transpose()?;
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
            ringway: built(targets.iter().any(Target::is_ringway), &arguments.ringway, "ringway", "ringway")?,
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
