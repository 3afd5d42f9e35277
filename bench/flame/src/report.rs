//! What is kept: the stacks, the pictures, and how they came about.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use bench_common::{host::Host, keep::Run};
use bench_versus::scenario::Scenario;
use flame::{Picture, Stacks};
use serde::Serialize;

use crate::arguments::Arguments;

/// A run.
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) command: String,
    pub(crate) method: String,
    pub(crate) stacks: Stacks,
    pub(crate) difference: Option<Difference>,
}

/// What the stacks are held against.
pub(crate) struct Difference {
    /// The revision, or the run.
    pub(crate) name: String,
    pub(crate) before: Stacks,
}

/// What programs read of a run; the stacks are in files of their own.
#[derive(Serialize)]
struct Summary<'a> {
    host: &'a Host,
    command: &'a str,
    method: &'a str,
    target: String,
    scenario: String,
    /// Samples, or µs off CPU.
    total: u64,
    kernel_percent: f64,
    ringway_percent: f64,
    other_user_percent: f64,
    against: Option<&'a str>,
}

impl Report {
    /// The report for readers.
    pub(crate) fn text(&self, arguments: &Arguments, scenario: Scenario) -> String {
        let Self { host, command, method, stacks, difference } = self;
        let mut text = format!("{host}\n{command}\n\n{} under {scenario}, {method}\n", arguments.target);
        let mut line = |name: &str, stacks: &Stacks| {
            writeln!(text, "{name}: {} {}: {}", stacks.total(), self.unit(arguments), stacks.share())
                .expect("a String takes whatever is written");
        };
        line("here", stacks);
        if let Some(Difference { name, before }) = difference {
            line(name, before);
        }
        text
    }

    /// Writes everything to a folder of its own.
    pub(crate) fn keep(&self, arguments: &Arguments, scenario: Scenario, scratch: &Path) -> anyhow::Result<PathBuf> {
        let share = self.stacks.share();
        let target = arguments.target.to_string();
        let summary = Summary {
            host: &self.host,
            command: &self.command,
            method: &self.method,
            target: target.clone(),
            scenario: scenario.to_string(),
            total: self.stacks.total(),
            kernel_percent: share.kernel,
            ringway_percent: share.ringway,
            other_user_percent: share.user,
            against: self.difference.as_ref().map(|difference| difference.name.as_str()),
        };
        let mut name = format!("{}-flame-{scenario}", self.host.run_name());
        if target != "ringway" {
            name = format!("{name}-{target}");
        }
        if arguments.off_cpu.is_some() {
            name += "-off-cpu";
        }
        let text = self.text(arguments, scenario);
        let folder = Run { name: &name, bench: "flame", report: &summary, text: &text, scratch }
            .keep(&arguments.stage.keep_in)?;

        let title = format!("{target} under {scenario}");
        let subtitle = format!("{}, Linux {}; {}", self.host.revision, self.host.machine.kernel, self.method);
        let picture = Picture { title: &title, subtitle: &subtitle, unit: self.unit(arguments) };
        write(&folder, "flame.folded", &self.stacks.to_string())?;
        write(&folder, "flame.svg", &picture.draw(&self.stacks)?)?;
        if let Some(Difference { name, before }) = &self.difference {
            let title = format!("{title}: what has changed since {name}");
            let picture = Picture { title: &title, ..picture };
            write(&folder, "before.folded", &before.to_string())?;
            write(&folder, "difference.svg", &picture.draw_difference(before, &self.stacks)?)?;
        }
        Ok(folder)
    }

    fn unit(&self, arguments: &Arguments) -> &'static str {
        if arguments.off_cpu.is_some() { "µs" } else { "samples" }
    }
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
