//! What a request costs a shard in allocations, system calls and copies, and an idle connection in memory.
//!
//! One command runs a shard of the engine inside this process, on a core of its own, in front of nginx, loads it with wrk
//! from the other core, and reads the shard's own counters and those of a counting allocator at both ends of a window. The
//! figures are counts, not times: all but the enters hardly depend on the machine and its moods. What the counts cost in CPU
//! time is for `bench/versus` to say.
//!
//! # How to read the table
//! Each row is one scenario: `BODY@CONNECTIONS` is a GET of that body over so many keep-alive connections, `upload@…` a
//! POST of 64 KiB, and `+log` has the access log recorded, with a thread that takes the records and drops them. Every
//! figure but the first is *a request*, averaged over a window that begins after a warm-up and ends before the load does,
//! so that opening and closing connections is not in it. A bare `0` means not once in the whole window.
//!
//! - **requests**: exchanges that ended in the window.
//! - **allocs**, **alloc bytes**: heap allocations, growth in place included, and the bytes they asked for. Nothing else
//!   in this process allocates in the window. The small scenarios must stay within `allocations_max` of `perf/budget.toml`, or the
//!   command fails: a shard allocates nothing a request on the hot path. The few that are left are buffers that grow once
//!   to a size they then keep, when more happens at once than ever before.
//! - **enters**: calls of `io_uring_enter`. One serves everything that was ready: the busier the shard is, the fewer. A load
//!   that is too slow for it leaves it waiting for each single completion, up to four a small request.
//! - **SQEs**, **CQEs**: operations handed to the kernel and completions taken back. A multishot receive is one SQE for
//!   many CQEs, so a small proxied request is two SQEs (its two sends) and four CQEs.
//! - **received**, **sent**: bytes of both sockets together, heads included: a body counts once in each.
//! - **copied**: bytes copied out of the kernel's buffers because few of them were free. `0` is the aim; what appears here
//!   was paid for by a slow peer, or the ring's buffers are too few for the load.
//! - **starved**: receives that found no free buffer and had to be armed again.
//! - **connects**: upstream connections opened; in steady state they are all reused.
//!
//! The `idle@CONNECTIONS` rows are about memory. Another process opens the connections, sends one request on each, one
//! after the other, and keeps them; the shard was warm before, so that memory which all connections share is not counted.
//! **heap** is the growth of what is allocated, **anonymous** and **private dirty** that of the process as the kernel counts
//! it in `smaps_rollup` (for heap memory the two say the same); each a connection. The kernel may say less than the heap,
//! because the first connections get memory that the warm-up had used and freed. The greatest of the three must stay at or
//! below `idle.bytes_max` of `perf/budget.toml`. There too are the budgets of enters, SQEs, CQEs and copied bytes by scenario: what exceeds
//! one by more than the tolerance fails the command, by name.
//!
//! The allocator underneath is the system's, and not the program's own (mimalloc): what is asked for is the same, what
//! each makes of it differs by its rounding.
//!
//! # The path through the files
//! [`arguments`] and [`scenario`] (what is asked) → [`shard`] (the engine in this process), [`records`] (who takes its
//! records) and [`holder`] (who holds idle connections) → [`measure`] with [`tally`] (counts), [`heap`] and [`memory`] →
//! [`report`] against the [`bench_common::budget`]. Upstream, load and the kept run are those of all benches, in [`bench_common`].

#![forbid(unsafe_code)]

mod arguments;
mod heap;
mod holder;
mod measure;
mod memory;
mod records;
mod report;
mod scenario;
mod shard;
mod tally;

use std::collections::BTreeMap;

use anyhow::ensure;
use bench_common::{
    affinity,
    budget::Budget,
    host::{self, Host},
    interrupt::Interrupt,
    keep::{self, Run},
    process,
    programs::{installed, version},
    upstream::Upstream,
};
use clap::Parser;

use crate::{
    arguments::{Arguments, Role},
    measure::Bench,
    report::Report,
};

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Role::Hold { address, connections }) = arguments.role {
        return holder::hold(address, connections);
    }
    arguments.check()?;
    let budget = Budget::read(&arguments.budget)?;
    process::raise_descriptor_limit()?;
    let interrupt = Interrupt::watch()?;
    let (nginx, wrk) = (installed("nginx")?, installed("wrk")?);
    affinity::move_to(arguments.load_core)?;

    let directory = keep::scratch_directory("costs")?;
    let upstream = Upstream::start(&nginx, directory.path(), arguments.load_core, &interrupt)?;
    let bench = Bench {
        arguments: &arguments,
        wrk: &wrk,
        directory: directory.path(),
        upstream: upstream.address,
        interrupt: &interrupt,
    };

    let versions = BTreeMap::from([("nginx", version(&nginx)), ("wrk", version(&wrk))]);
    let mut report = Report::new(Host::describe(versions)?, host::command_line("ringway-bench-costs"), budget);
    for &scenario in &arguments.scenarios {
        eprintln!("{scenario}");
        report.add(bench.run(scenario)?);
    }
    let text = report.text();
    println!("{text}");
    if !arguments.no_keep {
        let name = format!("{}-costs", report.host.run_name());
        let run = Run { name: &name, bench: "costs", report: &report, text: &text, scratch: directory.path() };
        eprintln!("kept in {}", run.keep(&arguments.keep_in)?.display());
    }
    let missed = report.missed();
    ensure!(missed.is_empty(), "the costs are too high\n{}", missed.join("\n"));
    Ok(())
}
