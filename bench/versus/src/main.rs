//! Ringway beside its peers, interleaved, by CPU time a request.
//!
//! One command starts an upstream and every proxy under test, sends the same load through each in turn (A B C, A B C, …)
//! and reports what one request cost each proxy in CPU time. The proxy has one core to itself; the upstream, the load
//! generator and this program share another. Machines are noisy and drift, so a result is a ratio to a peer that was
//! measured in the same round, and a round in which somebody else used the machine is repeated.
//!
//! The path through the files: [`arguments`] → [`bench_versus::programs`] (what is installed, what must be built) →
//! [`measure`] (rounds of windows) with [`bench_versus::targets`] (how each proxy is set) → [`report`] (medians, ratios, tables).
//! What stands around the proxies is the library's, which `bench/flame` shares.

mod arguments;
mod measure;
mod report;
mod statistics;

use bench_common::{
    affinity,
    host::{self, Host},
    interrupt::Interrupt,
    keep::{self, Run},
    process,
};
use bench_versus::{
    programs::{Programs, Wanted},
    stage::Stage,
};
use clap::Parser;

use crate::{arguments::Arguments, measure::Bench, report::Report};

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(role) = arguments.role.take() {
        return role.play();
    }
    arguments.check()?;
    process::raise_descriptor_limit()?;
    let interrupt = Interrupt::watch()?;
    let programs = Programs::prepare(&Wanted {
        targets: &arguments.targets,
        ringway: arguments.ringway.as_deref(),
        runtimes: arguments.runtimes.as_deref(),
    })?;
    affinity::move_to(arguments.load_core)?;

    let directory = keep::scratch_directory("versus")?;
    let stage = Stage::start(&programs, directory.path(), arguments.load_core, &interrupt)?;
    let bench = Bench { arguments: &arguments, stage };

    let mut report = Report::new(Host::describe(programs.versions())?, host::command_line("ringway-bench-versus"));
    for &scenario in &arguments.scenarios {
        let rounds = bench.run(scenario)?;
        report.add(scenario, rounds);
    }
    let text = report.text();
    println!("{text}");
    if !arguments.no_keep {
        let kept = Run {
            name: &report.host.run_name(),
            bench: "versus",
            report: &report,
            text: &text,
            scratch: directory.path(),
        }
        .keep(&arguments.keep_in)?;
        eprintln!("kept in {}", kept.display());
    }
    Ok(())
}
