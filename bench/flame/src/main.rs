//! Flame graphs of any target of `bench/versus` under any of its scenarios.
//!
//! ```sh
//! cargo run --release -p ringway-bench-flame -- small@512
//! cargo run --release -p ringway-bench-flame -- 64k@64 --target nginx --unwind dwarf
//! cargo run --release -p ringway-bench-flame -- small@64 --off-cpu
//! cargo run --release -p ringway-bench-flame -- small@512 --against main
//! ```
//!
//! The target has a core to itself, and the same upstream and load as in `versus`; what is kept is its folded stacks, the
//! picture, how both came about, and its configuration. With another revision, or with folded stacks of another run, there is
//! the picture of the difference as well: the two revisions take turns, so that a machine which changes changes both.
//!
//! The path through the files: [`arguments`] → [`against`] (another revision, built) → [`view`] (a target under load, looked
//! into by [`perf`] or by [`off_cpu`]) → [`report`] (what is kept). How stacks are folded and drawn is the crate `flame`'s.

mod against;
mod arguments;
mod off_cpu;
mod perf;
mod report;
mod view;

use std::{fs, path::Path};

use anyhow::Context;
use bench_common::{
    affinity,
    host::{self, Host},
    interrupt::Interrupt,
    keep, process,
};
use bench_versus::{
    programs::{Programs, Wanted},
    stage::Stage,
};
use clap::Parser;
use flame::Stacks;

use crate::{
    against::Revision,
    arguments::Arguments,
    perf::Perf,
    report::{Difference, Report},
    view::View,
};

/// How often two revisions take turns.
const TURNS: u32 = 2;

fn main() -> anyhow::Result<()> {
    let mut arguments = Arguments::parse();
    if let Some(role) = arguments.role.take() {
        return role.play();
    }
    arguments.check()?;
    let scenario = arguments.scenario.context("no scenario")?;
    process::raise_descriptor_limit()?;
    let interrupt = Interrupt::watch()?;
    let before_folded = arguments.against_folded.as_deref().map(read_folded).transpose()?;
    let before_revision = arguments.against.as_deref().map(Revision::build).transpose()?;
    let prepare = |ringway: Option<&Path>| {
        let targets = std::slice::from_ref(&arguments.target);
        let scenarios = std::slice::from_ref(&scenario);
        Programs::prepare(&Wanted { targets, scenarios, ringway, stage: &arguments.stage })
    };
    let programs = prepare(None)?;
    let before_programs = before_revision.as_ref().map(|before| prepare(Some(&before.ringway))).transpose()?;
    affinity::move_to(arguments.stage.load_core)?;

    let directory = keep::scratch_directory("flame")?;
    let perf = Perf::find(directory.path(), arguments.stage.load_core, &interrupt)?;
    let stage = Stage::start(&programs, directory.path(), arguments.stage.load_core, &interrupt)?;
    let behind = stage.behind(scenario)?;
    let proxy = |programs| stage.proxy_of(programs, &arguments.target, &behind, scenario, arguments.stage.proxy_core);
    let view = View::new(&arguments, scenario, &stage, &perf, &interrupt);

    let target = proxy(&programs)?;
    let (stacks, difference) = match (before_revision, &before_programs) {
        (Some(revision), Some(before_programs)) => {
            let before_target = proxy(before_programs)?;
            let (mut before, mut after) = (Stacks::new(), Stacks::new());
            for _ in 0..TURNS {
                before.extend(&view.take(&before_target, arguments.seconds / TURNS)?);
                after.extend(&view.take(&target, arguments.seconds / TURNS)?);
            }
            (after, Some(Difference { name: revision.name, before }))
        }
        _ => {
            let stacks = view.take(&target, arguments.seconds)?;
            let difference = before_folded.map(|(name, before)| Difference { name, before });
            (stacks, difference)
        }
    };
    anyhow::ensure!(!stacks.is_empty(), "nothing was seen of {} under {scenario}", arguments.target);

    let mut versions = programs.versions();
    versions.insert("perf", perf.version());
    let report = Report {
        host: Host::describe(versions)?,
        command: host::command_line("ringway-bench-flame"),
        method: view.method(),
        stacks,
        difference,
    };
    println!("{}", report.text(&arguments, scenario));
    let kept = report.keep(&arguments, scenario, directory.path())?;
    eprintln!("kept in {}", kept.display());
    Ok(())
}

/// The folded stacks of another run, and what they are called.
fn read_folded(path: &Path) -> anyhow::Result<(String, Stacks)> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let stacks = text.parse().with_context(|| format!("{} has no folded stacks", path.display()))?;
    let folder = path.parent().and_then(Path::file_name).unwrap_or(path.as_os_str());
    Ok((folder.to_string_lossy().into_owned(), stacks))
}
