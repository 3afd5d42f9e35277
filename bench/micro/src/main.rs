//! The bars: how the cost of a lookup grows with the number of routes, and what it costs to compile them; and, by
//! [`instructions`], what the hot parts take of the processor.

mod heap;
mod instructions;
mod report;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bench_common::affinity;
use bench_common::budget::{self, Budget};
use bench_common::host::{self, Host};
use bench_common::keep::{self, Run};
use bench_micro::plan::route::{Kind, Workload};
use clap::{Parser, Subcommand};
use plan::RouteTable;

use crate::report::{Compiled, Looked, Report};

/// Numbers of routes that are compared with the first of them.
const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];
/// Passes over all requests before anything is measured.
const WARM_UP_PASSES: usize = 20;

/// Measures what looking a route up costs, by the number of routes, and what compiling them does.
#[derive(Debug, Parser)]
#[command(name = "micro")]
struct Arguments {
    /// How often each table is measured, in turns with the others.
    #[arg(long, default_value_t = 201, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,

    /// The core to measure on.
    #[arg(long, default_value_t = 0)]
    core: usize,

    /// The folder in which the run gets its own.
    #[arg(long, value_name = "PATH", default_value = "perf/runs")]
    keep_in: PathBuf,

    /// Print the report, keep nothing.
    #[arg(long)]
    no_keep: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count the user instructions of the hot parts under callgrind, and hold them against their budgets
    Instructions {
        /// What may not be exceeded
        #[arg(long, value_name = "FILE", default_value = budget::PATH)]
        budget: PathBuf,
    },
    /// Run one part so many times: what runs under callgrind
    #[command(hide = true)]
    Part {
        /// Its name
        name: String,
        /// How often
        count: u64,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Instructions { budget }) => return instructions::check(&Budget::read(&budget)?),
        Some(Command::Part { name, count }) => return instructions::run_part(&name, count),
        None => {}
    }
    affinity::move_to(arguments.core)?;
    let mut report = Report::new(Host::describe(BTreeMap::new())?, host::command_line("ringway-bench-micro"));
    for kind in Kind::ALL {
        eprintln!("{}", kind.name());
        report.lookups.extend(lookups(kind, arguments.rounds));
        report.compiled.push(compile(kind, COUNTS[COUNTS.len() - 1]));
    }
    let text = report.text();
    println!("{text}");
    if !arguments.no_keep {
        let name = format!("{}-routes", report.host.run_name());
        let scratch = keep::scratch_directory("micro")?;
        let run = Run { name: &name, bench: "routes", report: &report, text: &text, scratch: scratch.path() };
        eprintln!("kept in {}", run.keep(&arguments.keep_in)?.display());
    }
    let missed = report.missed();
    ensure!(missed.is_empty(), "lookups grow with the table\n{}", missed.join("\n"));
    Ok(())
}

/// The tables of all sizes, measured in turns; the median of the rounds for each.
fn lookups(kind: Kind, rounds: u32) -> Vec<Looked> {
    let workloads = COUNTS.map(|count| Workload::new(kind, count));
    let mut times = COUNTS.map(|_| Vec::new());
    for workload in &workloads {
        for _ in 0..WARM_UP_PASSES {
            black_box(black_box(workload).find_all());
        }
    }
    for _ in 0..rounds {
        for (workload, times) in workloads.iter().zip(&mut times) {
            // The first pass brings the table back that the others have driven out; a shard has one table.
            black_box(black_box(workload).find_all());
            let start = Instant::now();
            black_box(black_box(workload).find_all());
            times.push(start.elapsed());
        }
    }
    let mut looked = Vec::new();
    for ((count, workload), times) in COUNTS.into_iter().zip(&workloads).zip(&mut times) {
        let nanoseconds = median(times).as_secs_f64() * 1e9 / workload.requests() as f64;
        let ratio = looked.first().map_or(1.0, |first: &Looked| nanoseconds / first.nanoseconds);
        looked.push(Looked { what: kind.name(), count, nanoseconds, ratio });
    }
    looked
}

/// What it takes to compile `count` routes, and what is left of it.
fn compile(kind: Kind, count: usize) -> Compiled {
    let mut times = Vec::new();
    let (mut routes_bytes, mut table_bytes) = (0, 0);
    for _ in 0..11 {
        let before = heap::bytes_live();
        let routes = kind.routes(count);
        let between = heap::bytes_live();
        let start = Instant::now();
        let table = RouteTable::new(routes);
        times.push(start.elapsed());
        (routes_bytes, table_bytes) = (between - before, heap::bytes_live() - between);
        drop(table);
    }
    Compiled {
        what: kind.name(),
        count,
        milliseconds: median(&mut times).as_secs_f64() * 1e3,
        routes_bytes,
        table_bytes,
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
