//! `loadgen compare`: the same load for several targets, in turns.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use loadgen::{
    compare::{CompareArguments, Comparison, Target, Turn},
    load::Plan,
    record::Recording,
    report::{About, overlay},
    scenario::{Diagnostic, Extent, Scenario},
};

use super::{
    interrupt::{self, Interrupt},
    run::{self, LoadArguments},
    status,
};

/// How long a window is if nobody says: short, so that the machine is the same for all windows of a round.
const WINDOW: Duration = Duration::from_secs(4);

#[derive(Debug, Clone, Args)]
#[command(mut_arg("duration", |arg| arg.help("How long a window is, such as 2s [default: 4s, or the scenario's]")))]
#[command(mut_arg("warm_up", |arg| arg.help("How long the windows of the first round are, which is not counted")))]
pub(super) struct Arguments {
    #[command(flatten)]
    compare: CompareArguments,
    #[command(flatten)]
    load: LoadArguments,
    /// Write the comparison as JSON to this file, or to standard output (-) instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write one page with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The page's title
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// One target's load.
struct Prepared {
    warm_up: &'static Plan,
    plan: &'static Plan,
    warm_up_total: Option<Duration>,
    total: Option<Duration>,
    settings: Vec<(String, String)>,
}

/// What the windows had to say beside their recordings.
#[derive(Default)]
struct Remarks {
    notes: Vec<String>,
    all_answered: bool,
}

/// Lets the targets take turns, and tells of it.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let targets = arguments.compare.targets()?;
    let prepared: Vec<Prepared> =
        targets.iter().map(|target| arguments.prepare(target)).collect::<anyhow::Result<_>>()?;
    let interrupt = interrupt::watch()?;
    let title = arguments.title.clone().unwrap_or_else(|| title(&targets));
    let mut settings = common(&prepared);
    settings.push(("rounds".to_owned(), arguments.compare.rounds.to_string()));
    let about = About::now(title.clone(), settings)?;
    let mut remarks = Remarks { notes: Vec::new(), all_answered: true };
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let comparison = Comparison::measure(about, targets, arguments.compare.rounds, |target, turn| {
        let position = names.iter().position(|name| *name == target.name).expect("a target is one of the targets");
        arguments.window(&prepared[position], target, turn, &interrupt, &mut remarks)
    })?;
    remarks.notes.iter().for_each(|note| eprintln!("{note}"));
    arguments.tell(&comparison, &title)?;
    Ok(status(remarks.all_answered && !comparison.has_errors()))
}

impl Arguments {
    fn prepare(&self, target: &Target) -> anyhow::Result<Prepared> {
        let mut scenario = self.scenario(target)?;
        let warm_up = std::mem::take(&mut scenario.warm_up);
        let plan = Plan::new(&scenario)?;
        let settings = run::settings(&scenario, plan);
        let total = total(&scenario);
        // The round before the first is the warm-up; within a window it would cost the target what no request counts.
        if !warm_up.is_zero() {
            scenario.extent = Extent::Duration(warm_up);
        }
        Ok(Prepared { warm_up: Plan::new(&scenario)?, plan, warm_up_total: self::total(&scenario), total, settings })
    }

    fn scenario(&self, target: &Target) -> Result<Scenario, Diagnostic> {
        let mut load = self.load.clone();
        if target.load.contains("://") {
            if load.requests.is_none() && load.scenario.is_none() {
                load.duration.get_or_insert(WINDOW);
            }
            load.scenario(std::slice::from_ref(&target.load))
        } else {
            load.scenario = Some(PathBuf::from(&target.load));
            load.scenario(&[])
        }
    }

    /// One target's turn; none if the user wants the end.
    fn window(
        &self,
        prepared: &Prepared,
        target: &Target,
        turn: Turn,
        interrupt: &Interrupt,
        remarks: &mut Remarks,
    ) -> anyhow::Result<Option<Recording>> {
        let (plan, total) = match turn {
            Turn::WarmUp => (prepared.warm_up, prepared.warm_up_total),
            Turn::Round { .. } => (prepared.plan, prepared.total),
        };
        let label = format!("{turn} {}", target.name);
        let outcome = run::make(plan, total, (!self.quiet).then_some(&label), interrupt)?;
        if interrupt.is_raised() {
            return Ok(None);
        }
        remarks.all_answered &= outcome.unsent == 0 && outcome.unanswered == 0;
        for note in run::notes(&outcome, false) {
            let note = format!("{}: {note}", target.name);
            // What each round says is said once.
            if !remarks.notes.contains(&note) {
                remarks.notes.push(note);
            }
        }
        Ok(Some(outcome.recording))
    }

    fn tell(&self, comparison: &Comparison, title: &str) -> anyhow::Result<()> {
        if let Some(file) = &self.html {
            overlay::write(file, &comparison.html(title))?;
        }
        match &self.json {
            Some(file) if file.as_os_str() == "-" => print!("{}", comparison.json()?),
            Some(file) => {
                overlay::write(file, &comparison.json()?)?;
                print!("{}", comparison.text());
            }
            None => print!("{}", comparison.text()),
        }
        Ok(())
    }
}

fn total(scenario: &Scenario) -> Option<Duration> {
    match scenario.extent {
        Extent::Duration(duration) => Some(duration),
        Extent::Requests(_) => None,
    }
}

/// The settings that all targets share.
fn common(prepared: &[Prepared]) -> Vec<(String, String)> {
    let shared = |setting: &&(String, String)| prepared.iter().all(|other| other.settings.contains(setting));
    prepared[0].settings.iter().filter(shared).cloned().collect()
}

fn title(targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    names.join(" · ")
}
