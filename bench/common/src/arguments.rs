//! The part of the command line that the benches share which put proxies under load: on which cores, with which programs, and where
//! the run is kept.

use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;

use crate::affinity;

/// Where and with what a proxy is put under load.
#[derive(Debug, Clone, Args)]
pub struct StageArguments {
    /// The core of the proxy under test.
    #[arg(long, default_value_t = 0)]
    pub proxy_core: usize,

    /// The core of the upstream, the load generator, and whatever looks on.
    #[arg(long, default_value_t = 1)]
    pub load_core: usize,

    /// A ringway binary to take, instead of building one from this workspace.
    #[arg(long, value_name = "PATH")]
    pub ringway: Option<PathBuf>,

    /// A binary of bench/runtimes for the bare targets, instead of building one from this workspace.
    #[arg(long, value_name = "PATH")]
    pub runtimes: Option<PathBuf>,

    /// A binary of bench/pingora for the target pingora, instead of building one.
    #[arg(long, value_name = "PATH")]
    pub pingora: Option<PathBuf>,

    /// A loadgen for the scenarios that wrk cannot do, instead of building one from this workspace.
    #[arg(long, value_name = "PATH")]
    pub loadgen: Option<PathBuf>,

    /// An Envoy, instead of the one that tests/install.sh --bench installs.
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,

    /// The folder in which the run gets its own.
    #[arg(long, value_name = "PATH", default_value = "perf/runs")]
    pub keep_in: PathBuf,
}

impl StageArguments {
    /// Checks what the parser cannot: that the machine has the two cores.
    ///
    /// # Errors
    /// Fails when they are one, or not among those that this process may use.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.proxy_core != self.load_core, "the proxy and the load need a core each");
        for core in [self.proxy_core, self.load_core] {
            ensure!(
                affinity::may_use(core)?,
                "core {core} is not among those that this process may use; see --proxy-core and --load-core"
            );
        }
        Ok(())
    }
}
