//! The command line.

use std::path::PathBuf;

use anyhow::ensure;
use bench_common::arguments::StageArguments;
use bench_versus::{scenario::Scenario, targets::Target, websocket::Role};
use clap::{Parser, ValueEnum};

/// Takes a flame graph of a proxy under a scenario of bench/versus.
#[derive(Debug, Parser)]
#[command(name = "flame", subcommand_negates_reqs = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// What is asked of the proxy, as bench/versus has it: small@512, 64k@64, upload-64k@64, ws@64, ….
    #[arg(required = true)]
    pub(crate) scenario: Option<Scenario>,

    /// Which proxy: any target of bench/versus.
    #[arg(long, default_value = "ringway")]
    pub(crate) target: Target,

    /// How long to look, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,

    /// How long the target is loaded before, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) warm_up_seconds: u32,

    /// Samples a second and core. The default is a prime, so that nothing periodic is hit again and again.
    #[arg(long, default_value_t = 997, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) frequency: u32,

    /// How user stacks are walked: by frame pointers, for which Ringway and its bare proxies are built with them; or from a copy
    /// of the stack by DWARF, which perf takes at each sample: it disturbs what is measured and takes minutes to evaluate, but
    /// sees through nginx, HAProxy and the C library.
    #[arg(long, value_enum, default_value_t = Unwinding::FramePointers)]
    pub(crate) unwind: Unwinding,

    /// Look at where the target waits instead of where it works.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "switches")]
    pub(crate) off_cpu: Option<OffCpu>,

    /// Draw what is different from this revision, which is built in a folder of its own.
    #[arg(long, value_name = "REVISION", conflicts_with = "against_folded")]
    pub(crate) against: Option<String>,

    /// Draw what is different from these folded stacks.
    #[arg(long, value_name = "FILE")]
    pub(crate) against_folded: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) stage: StageArguments,

    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// How the stack above a sample is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unwinding {
    #[value(name = "fp")]
    FramePointers,
    Dwarf,
}

/// How waiting is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OffCpu {
    /// By the tracepoint sched:sched_switch: every wait, its length, and the stack of user and kernel that it began with.
    Switches,
    /// By reading /proc/PID/task/TID/stack again and again, where tracepoints are not to be had: kernel stacks alone.
    Stacks,
}

impl Arguments {
    /// Checks what the parser cannot.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.against.is_none() || self.target.is_ringway(),
            "--against builds Ringway: the target is {}",
            self.target
        );
        ensure!(
            self.against.is_none() || self.seconds >= 2,
            "--against looks at each side in two turns: --seconds is to be 2 or more"
        );
        self.stage.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_scenario_stands_alone_and_off_cpu_may() {
        let arguments = |words: &[&str]| Arguments::try_parse_from([&["flame"], words].concat());
        let plain = arguments(&["small@512"]).unwrap();
        assert_eq!((plain.scenario.unwrap().to_string(), plain.off_cpu), ("small@512".to_owned(), None));
        assert_eq!(arguments(&["ws@4", "--off-cpu"]).unwrap().off_cpu, Some(OffCpu::Switches));
        assert_eq!(arguments(&["ws@4", "--off-cpu", "stacks"]).unwrap().off_cpu, Some(OffCpu::Stacks));
        assert!(arguments(&[]).is_err() && arguments(&["nothing@1"]).is_err());
        assert!(arguments(&["small@1", "--against", "HEAD", "--against-folded", "x"]).is_err());
        let against_nginx = arguments(&["small@1", "--target", "nginx", "--against", "HEAD"]).unwrap();
        assert!(against_nginx.check().is_err());
    }
}
