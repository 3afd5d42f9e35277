//! Ringway beside its peers, interleaved, by CPU time a request.
//!
//! One command starts an upstream and every proxy under test, sends the same load through each in turn (A B C, A B C, …)
//! and reports what one request cost each proxy in CPU time. The proxy has one core to itself; the upstream, the load
//! generator and this program share another. Machines are noisy and drift, so a result is a ratio to a peer that was
//! measured in the same round, and a round in which somebody else used the machine is repeated.
//!
//! The path through the files: [`arguments`] → [`programs`] (what is installed, what must be built) → [`upstream`] →
//! [`measure`] (rounds of windows) with [`targets`] (how each proxy is set), [`wrk`] (load) and [`cpu`] (what it cost) →
//! [`report`] (medians, ratios, tables) → [`keep`] (the run's folder under `perf/runs`). [`process`] makes sure that
//! whatever is started also ends.

mod affinity;
mod arguments;
mod cpu;
mod fetch;
mod host;
mod interrupt;
mod keep;
mod measure;
mod process;
mod programs;
mod report;
mod scenario;
mod statistics;
mod targets;
mod upstream;
mod wrk;

use anyhow::Context;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    arguments::Arguments, host::Host, interrupt::Interrupt, measure::Bench, programs::Programs, report::Report,
    upstream::Upstream,
};

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    arguments.check()?;
    raise_descriptor_limit()?;
    let interrupt = Interrupt::watch()?;
    let programs = Programs::prepare(&arguments)?;
    affinity::move_to(arguments.load_core)?;

    let directory = scratch_directory()?;
    let upstream = Upstream::start(&programs, directory.path(), arguments.load_core, &interrupt)?;
    let bench = Bench {
        arguments: &arguments,
        programs: &programs,
        directory: directory.path(),
        upstream,
        interrupt: &interrupt,
    };

    let mut report = Report::new(Host::describe(&programs)?, host::command_line());
    for &scenario in &arguments.scenarios {
        let rounds = bench.run(scenario)?;
        report.add(scenario, rounds);
    }
    println!("{}", report.text());
    if !arguments.no_keep {
        let kept = keep::keep(&report, &arguments.keep_in, directory.path())?;
        eprintln!("kept in {}", kept.display());
    }
    Ok(())
}

/// Lets this program and what it starts have as many descriptors as the system grants without asking.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of descriptors")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot raise the limit of descriptors")
}

/// A temporary folder, in memory where the system offers that, so that no disk has a part in the figures.
fn scratch_directory() -> anyhow::Result<tempfile::TempDir> {
    let builder = |parent| tempfile::Builder::new().prefix("ringway-versus-").tempdir_in(parent);
    builder("/dev/shm".into()).or_else(|_| builder(std::env::temp_dir())).context("cannot create a temporary folder")
}
