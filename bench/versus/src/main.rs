//! Ringway beside its peers, interleaved, by CPU time a request.
//!
//! One command starts an upstream and every proxy under test, sends the same load through each in turn (A B C, A B C, …)
//! and reports what one request cost each proxy in CPU time. The proxy has one core to itself; the upstream, the load
//! generator and this program share another. Machines are noisy and drift, so a result is a ratio to a peer that was
//! measured in the same round, and a round in which somebody else used the machine is repeated.
//!
//! The path through the files: [`arguments`] → [`bench_versus::programs`] (what is installed, what must be built) →
//! [`mod@measure`] (rounds of windows, with [`progress`]) or [`idle`] (memory), with [`bench_versus::targets`] (how each proxy is set) →
//! [`report`] (medians, ratios, tables), drawn by [`page`]. What stands around the proxies is the library's, which `bench/flame` shares.

mod arguments;
mod idle;
mod measure;
mod page;
mod progress;
mod report;

use std::fs;

use anyhow::Context;
use bench_common::{
    affinity,
    host::{self, Host},
    interrupt::Interrupt,
    keep::{self, Run},
    process,
};
use bench_versus::{
    programs::{self, Programs, Wanted},
    scenario::Work,
    stage::Stage,
};
use clap::Parser;

use crate::{arguments::Arguments, measure::Bench, progress::Progress, report::Report};

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(role) = arguments.role.take() {
        return role.play();
    }
    arguments.check()?;
    process::raise_descriptor_limit()?;
    let interrupt = Interrupt::watch()?;
    if arguments.targets.is_empty() {
        arguments.targets = programs::usual_targets(arguments.stage.envoy.as_deref());
        // The reference may be among those that are not here.
        arguments.check()?;
    }
    let programs = Programs::prepare(&wanted(&arguments))?;
    affinity::move_to(arguments.stage.load_core)?;

    let directory = keep::scratch_directory("versus")?;
    let stage = Stage::start(&programs, directory.path(), arguments.stage.load_core, &interrupt)?;
    let bench = Bench { arguments: &arguments, stage };
    let host = Host::describe(programs.versions())?;
    let report = measure(&bench, Report::new(host, host::command_line("ringway-bench-versus"), &arguments))?;

    let text = report.text();
    println!("{text}");
    if !arguments.no_keep {
        let name = report.host.run_name();
        let run = Run { name: &name, bench: "versus", report: &report, text: &text, scratch: directory.path() };
        let kept = run.keep(&arguments.stage.keep_in)?;
        fs::write(kept.join("versus.html"), page::page(&report)).context("cannot write the page")?;
        eprintln!("kept in {}", kept.display());
    }
    Ok(())
}

fn wanted(arguments: &Arguments) -> Wanted<'_> {
    Wanted { targets: &arguments.targets, scenarios: &arguments.scenarios, ringway: None, stage: &arguments.stage }
}

/// Takes one scenario after the other.
fn measure(bench: &Bench<'_>, mut report: Report) -> anyhow::Result<Report> {
    let Arguments { scenarios, targets, rounds, .. } = bench.arguments;
    let windows = |scenarios: usize| (scenarios * targets.len()) as u32 * rounds;
    let mut progress = Progress::start(windows(scenarios.len()));
    for (index, &scenario) in scenarios.iter().enumerate() {
        match scenario.work {
            Work::Idle => report.add_idle(scenario, idle::run(bench, scenario, &mut progress)?),
            _ => report.add(scenario, bench.run(scenario, &mut progress)?),
        }
        progress.expect(windows(scenarios.len() - index - 1));
    }
    Ok(report)
}
