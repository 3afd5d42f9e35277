//! User instructions of the hot parts, counted under callgrind: exact, the same on every machine with the same compiler, and
//! blind to caches and branches. What they cost in time is for the other benches to say.
//!
//! Each part runs twice in a process of its own under `valgrind --tool=callgrind`, `COUNT` times and three times as often: the
//! difference is free of the start, and divided by the operations it is the figure. The budgets stand in `perf/budget.toml`.

use std::hint::black_box;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use bench_common::budget::Budget;
use bench_common::programs::installed;
use bench_micro::engine::tally;
use bench_micro::plan::route::{Kind, Workload};
use bench_micro::ring;
use bench_micro::wire::h1::{Chunks, Heads};
use bench_micro::wire::h2;
use bench_micro::wire::h2_heads;
use bench_micro::wire::hpack::Blocks;

/// How often a part runs in the shorter of its two runs.
const COUNT: u64 = 200;
/// A pass over thousands of requests counts as so many times.
const PASS: f64 = 50.0;

/// A part: its name, which says where it stands under `shards/`, what runs it so many times, and how many operations one time is.
struct Part {
    name: &'static str,
    run: fn(u64),
    operations: f64,
}

fn part(name: &'static str, run: fn(u64)) -> Part {
    Part { name, run, operations: 1.0 }
}

/// A part of which each time is an exchange on each of the streams that are open at a time.
fn exchanges(name: &'static str, run: fn(u64)) -> Part {
    Part { name, run, operations: h2::STREAMS as f64 }
}

fn exchange(count: u64, kinds: h2::Kinds) {
    let mut server = h2::Server::new(kinds);
    (0..count).for_each(|_| server.exchange());
}

/// Everything that is counted.
fn parts() -> Vec<Part> {
    fn heads(count: u64, what: fn(&mut Heads)) {
        let mut heads = Heads::default();
        (0..count).for_each(|_| what(&mut heads));
    }
    fn heads_of_h2(count: u64, what: fn(&mut h2_heads::Heads)) {
        let mut heads = h2_heads::Heads::default();
        (0..count).for_each(|_| what(&mut heads));
    }
    fn blocks(count: u64, what: fn(&mut Blocks)) {
        let mut blocks = Blocks::default();
        (0..count).for_each(|_| what(&mut blocks));
    }
    let routes = Workload::new(Kind::Exact, 10).requests() as f64;
    let tallies = tally::Workload::new(10).requests() as f64;
    vec![
        part("wire::h1::read::parse_request", |count| heads(count, Heads::parse_request)),
        part("wire::h1::read::parse_response", |count| heads(count, Heads::parse_response)),
        part("wire::h1::edits", |count| heads(count, Heads::edit)),
        part("wire::h1::client::write_head", |count| heads(count, Heads::write_request)),
        part("wire::h1::server::parse_and_write_head", |count| heads(count, Heads::write_response)),
        part("wire::h1::body::decode_chunk", |count| {
            let mut chunks = Chunks::default();
            (0..count).for_each(|_| chunks.decode());
        }),
        exchanges("wire::h2::server::exchange_small", |count| exchange(count, h2::Kinds::Small)),
        exchanges("wire::h2::server::exchange_browser", |count| exchange(count, h2::Kinds::Browser)),
        part("wire::h2::frame_in_and_out", |count| {
            let mut relay = h2::Relay::default();
            (0..count).for_each(|_| relay.relay());
        }),
        part("wire::hpack::encode", |count| blocks(count, Blocks::encode)),
        part("wire::hpack::decode", |count| blocks(count, Blocks::decode_later)),
        part("wire::hpack::decode_first", |count| blocks(count, Blocks::decode_first)),
        part("wire::h2::gate::decode_request", |count| heads_of_h2(count, h2_heads::Heads::decode_request)),
        part("wire::h2::gate::decode_response", |count| heads_of_h2(count, h2_heads::Heads::decode_response)),
        part("wire::h2::write::write_request", |count| heads_of_h2(count, h2_heads::Heads::write_request)),
        part("wire::h2::write::write_response", |count| heads_of_h2(count, h2_heads::Heads::write_response)),
        Part {
            name: "plan::route::find",
            run: |count| {
                let workload = Workload::new(Kind::Exact, 1000);
                (0..count / PASS as u64).for_each(|_| _ = black_box(workload.find_all()));
            },
            operations: routes / PASS,
        },
        Part {
            name: "engine::tally::note",
            run: |count| {
                let workload = tally::Workload::new(10);
                (0..count / PASS as u64).for_each(|_| workload.count_all());
            },
            operations: tallies / PASS,
        },
        part("ring::executor::round", ring::rounds),
        part("ring::executor::spawn", ring::spawns),
        part("ring::wheel::set_and_clear", ring::deadlines),
        part("ring::timer::postpone", ring::postponements),
        part("ring::buffers::pool", ring::buffers),
    ]
}

/// Runs one part so many times: what runs under callgrind.
pub(crate) fn run_part(name: &str, count: u64) -> anyhow::Result<()> {
    let part =
        parts().into_iter().find(|part| part.name == name).with_context(|| format!("there is no part {name}"))?;
    (part.run)(count);
    Ok(())
}

/// Counts every part and holds it against its budget.
pub(crate) fn check(budget: &Budget) -> anyhow::Result<()> {
    let valgrind = installed("valgrind").context("on Debian: apt-get install valgrind")?;
    let rustc = rustc_version()?;
    let is_same = rustc == budget.toolchain.rustc;
    let mut missed = Vec::new();
    println!("{:<42} {:>12} {:>12}", "part", "instructions", "budget");
    for part in parts() {
        let counted = |count| collected(&valgrind, part.name, count);
        let (short, long) = (counted(COUNT)?, counted(3 * COUNT)?);
        let figure = long.saturating_sub(short) as f64 / ((2 * COUNT) as f64 * part.operations);
        let bound = budget.instructions.get(part.name).copied();
        let shown = bound.map_or_else(|| "none".to_owned(), |bound| format!("{bound:.1}"));
        println!("{:<42} {figure:>12.1} {shown:>12}", part.name);
        match bound {
            Some(bound) => missed.extend(budget.excess(part.name, "instructions an operation", figure, bound)),
            None => missed.push(format!("{} has no budget", part.name)),
        }
    }
    if !is_same {
        let pinned = &budget.toolchain.rustc;
        println!(
            "\nThe budgets are of {pinned}, this is {rustc}: another compiler makes other code, so nothing is held against them."
        );
        return Ok(());
    }
    ensure!(missed.is_empty(), "too many instructions\n{}", missed.join("\n"));
    println!("\nEvery budget is kept.");
    Ok(())
}

/// The instructions of a whole process that runs a part so many times.
fn collected(valgrind: &std::path::Path, part: &str, count: u64) -> anyhow::Result<u64> {
    let output = Command::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().context("this program has no path")?)
        .args(["part", part, &count.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot start valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{part} under callgrind failed ({}):\n{told}", output.status);
    match parse_collected(&told) {
        Some(instructions) => Ok(instructions),
        None => bail!("callgrind did not tell what it collected:\n{told}"),
    }
}

/// `==123== Collected : 4567`
fn parse_collected(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

fn rustc_version() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("cannot start rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_and_has_a_name_of_its_own() {
        let mut names: Vec<&str> = parts().iter().map(|part| part.name).collect();
        for name in &names {
            run_part(name, 50).unwrap();
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), parts().len());
        assert!(run_part("nothing", 1).is_err());
    }

    #[test]
    fn what_callgrind_collected_is_found() {
        assert_eq!(parse_collected("==7== \n==7== Events    : Ir\n==7== Collected : 123456\n==7==\n"), Some(123_456));
        assert_eq!(parse_collected("==7== nothing"), None);
    }
}
