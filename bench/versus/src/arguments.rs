//! The command line.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use bench_common::affinity;
use bench_versus::{
    scenario::{Scenario, Work},
    targets::Target,
    websocket::Role,
};
use clap::Parser;

/// Runs Ringway beside its peers and compares the CPU time that a request costs each.
#[derive(Debug, Parser)]
#[command(name = "versus", subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What is asked of each proxy: WORK@CONNECTIONS, where WORK is a GET of the body small (128 bytes), 64k, 1m or body-SIZE; a POST
    /// of the body upload-SIZE; or a message of 125 bytes (ws) or of ws-SIZE, there and back through a WebSocket.
    #[arg(long, value_delimiter = ',', default_value = "small@64,small@512,64k@64,1m@16")]
    pub(crate) scenarios: Vec<Scenario>,

    /// What is measured: ringway, ringway-epoll, nginx, haproxy, and the proxies of bench/runtimes as bare-ring, bare-epoll, and so on;
    /// ringway-splice-SIZE is Ringway with that `splice_bytes_min`.
    #[arg(long, value_delimiter = ',', default_value = "ringway,nginx,haproxy")]
    pub(crate) targets: Vec<Target>,

    /// How many clean rounds each scenario takes. As many again are added at most in place of polluted ones.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,

    /// How long each target is measured in a round, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// How long each target is loaded before it is measured, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) warm_up_seconds: u32,

    /// The core of the proxy under test.
    #[arg(long, default_value_t = 0)]
    pub(crate) proxy_core: usize,

    /// The core of the upstream and the load generator.
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,

    /// A ringway binary to measure, instead of building one from this workspace.
    #[arg(long, value_name = "PATH")]
    pub(crate) ringway: Option<PathBuf>,

    /// A binary of bench/runtimes for the bare targets, instead of building one from this workspace.
    #[arg(long, value_name = "PATH")]
    pub(crate) runtimes: Option<PathBuf>,

    /// The folder in which the run gets its own.
    #[arg(long, value_name = "PATH", default_value = "perf/runs")]
    pub(crate) keep_in: PathBuf,

    /// Print the report, keep nothing.
    #[arg(long)]
    pub(crate) no_keep: bool,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

impl Arguments {
    /// Checks what the parser cannot: that the targets differ, and that the machine has the two cores.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (index, target) in self.targets.iter().enumerate() {
            ensure!(!self.targets[..index].contains(target), "the target {target} is named twice");
        }
        let bare = self.targets.iter().any(|target| matches!(target, Target::Bare(_)));
        let downloads = self.scenarios.iter().all(|scenario| matches!(scenario.work, Work::Download(_)));
        ensure!(
            downloads || !bare,
            "the bare proxies pass on no body of a request and open no tunnel: measure without them"
        );
        ensure!(self.proxy_core != self.load_core, "the proxy and the load need a core each");
        for core in [self.proxy_core, self.load_core] {
            if !affinity::may_use(core)? {
                bail!("core {core} is not among those that this process may use; see --proxy-core and --load-core");
            }
        }
        Ok(())
    }
}
