//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::ensure;
use bench_common::{affinity, budget};
use clap::{Parser, Subcommand};

use crate::scenario::Scenario;

/// Counts what a request costs a shard in allocations, system calls and copies, and an idle connection in memory.
#[derive(Debug, Parser)]
#[command(name = "costs")]
pub(crate) struct Arguments {
    /// What the shard is loaded with: BODY@CONNECTIONS, where BODY is small (128 bytes), 64k, 1m or upload (a POST of
    /// 64 KiB), with +edits to have the route edit header fields and +log at the end to have the access log recorded; or
    /// idle@CONNECTIONS.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "small@1,small@64,small@512,64k@64,1m@16,upload@64,small@64+edits,small@64+log,idle@10000"
    )]
    pub(crate) scenarios: Vec<Scenario>,

    /// How long a scenario is counted, in seconds.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// How long the shard is loaded before that, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) warm_up_seconds: u32,

    /// The core of the shard.
    #[arg(long, default_value_t = 0)]
    pub(crate) shard_core: usize,

    /// The core of the upstream, the load and everything else.
    #[arg(long, default_value_t = 1)]
    pub(crate) load_core: usize,

    /// What may not be exceeded.
    #[arg(long, value_name = "FILE", default_value = budget::PATH)]
    pub(crate) budget: PathBuf,

    /// The folder in which the run gets its own.
    #[arg(long, value_name = "PATH", default_value = "perf/runs")]
    pub(crate) keep_in: PathBuf,

    /// Print the report, keep nothing.
    #[arg(long)]
    pub(crate) no_keep: bool,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What this program is when it starts itself.
#[derive(Debug, Clone, Copy, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum Role {
    /// The client that holds idle connections until its standard input ends.
    #[command(hide = true)]
    Hold {
        /// Where to connect.
        address: SocketAddr,
        /// How often.
        connections: u32,
    },
}

impl Arguments {
    /// Checks what the parser cannot: that the machine has the two cores.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.shard_core != self.load_core, "the shard and the load need a core each");
        for core in [self.shard_core, self.load_core] {
            ensure!(
                affinity::may_use(core)?,
                "core {core} is not among those that this process may use; see --shard-core and --load-core"
            );
        }
        Ok(())
    }
}
