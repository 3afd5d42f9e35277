//! The command line.
//!
//! Results go to standard output, errors to standard error beginning with `ringway-tune: `.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::change::{self, Change, Order, Outcome, planned};
use crate::host::{Facts, Host};
use crate::knob::{Access, Knob, Profile};
use crate::knobs;
use crate::ledger::Ledger;
use crate::persist::{self, Kept, Persisted};
use crate::report::{self, Paint, json};
use crate::survey::{Finding, Standing, Target, survey};

/// Some values are not as wanted, or were left as somebody else made them.
const DIFFERENT: u8 = 1;
/// The command line is wrong, or something could not be done.
const FAILED: u8 = 2;

/// Tune a host for Ringway: see how its kernel, network cards, CPUs and limits stand, set them, set them back.
///
/// Nothing is changed without --yes. Old values are recorded before each change, and `revert` restores exactly those.
#[derive(Debug, Parser)]
#[command(name = "ringway-tune", version, after_help = AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

const AFTER_HELP: &str = "\
Exit status:
  0  everything is as wanted, or was done
  1  something differs (check, diff, apply without --yes), or was left as somebody
     else made it (revert); what only an administrator can set does not count
  2  the command line is wrong, or something could not be done

Examples:
  ringway-tune check
  ringway-tune explain tcp_tw_reuse
  ringway-tune diff --profile many-connections
  sudo ringway-tune apply --yes --persist --profile throughput
  sudo ringway-tune revert --yes";

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every knob: its value here, and the value that is wanted
    Check(Choice),
    /// Tell what a knob is, how it stands, why it matters, what it costs and where that is written
    Explain {
        /// A knob, the last part of a sysctl's name, an area, or a beginning with `*`; everything if left out
        knob: Option<String>,
        #[command(flatten)]
        choice: Choice,
    },
    /// Show only what differs, as a patch
    Diff(Choice),
    /// Set what differs; without --yes show what would be set
    Apply {
        /// Do it
        #[arg(long)]
        yes: bool,
        /// Write files as well, so that the next start of the machine sets the same: sysctl.d, tmpfiles.d, and a drop-in
        /// for ringway.service
        #[arg(long)]
        persist: bool,
        #[command(flatten)]
        choice: Choice,
        #[command(flatten)]
        record: Record,
    },
    /// Set back what `apply` has changed, files included; without --yes show what would be set
    Revert {
        /// Do it
        #[arg(long)]
        yes: bool,
        /// Set back also what somebody else has changed since
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        record: Record,
    },
}

/// Which knobs, and what they are to be.
#[derive(Debug, Args)]
struct Choice {
    /// What the host is for
    #[arg(long, value_enum, default_value = "throughput")]
    profile: Profile,
    /// Only these knobs: a name, the last part of a sysctl's name, an area, or a beginning with `*`; may be given again
    #[arg(long, value_name = "KNOB")]
    only: Vec<String>,
    /// Only knobs that belong to this network namespace, such as a container's own
    #[arg(long)]
    namespaced: bool,
    /// Shards that Ringway has here [default: one for each CPU]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    shards: Option<u16>,
    /// A network card, instead of all that are up; may be given again
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
}

#[derive(Debug, Args)]
struct Record {
    /// The folder of the record of old values [default: /var/lib/ringway-tune, below --root]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// What all commands take.
#[derive(Debug, Args)]
struct Common {
    /// Print JSON
    #[arg(long, global = true, help_heading = "Output and place")]
    json: bool,
    /// Colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Output and place"
    )]
    color: When,
    /// Look at and change the files below DIR instead of this machine's: an image, or a test
    #[arg(long, global = true, value_name = "DIR", default_value = "/", help_heading = "Output and place")]
    root: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Runs the command that this process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let CommandLine { command, common } = CommandLine::parse();
    match answer(command, common) {
        Ok((text, status)) => {
            // A reader that went away has read enough.
            let _ = io::stdout().write_all(text.as_bytes());
            ExitCode::from(status)
        }
        Err(error) => {
            eprintln!("ringway-tune: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn answer(command: Command, common: Common) -> Result<Answer, CommandError> {
    if !common.root.is_dir() {
        return Err(CommandError::NoSuchRoot(common.root));
    }
    let host = Host::at(&common.root);
    let auto = || io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let paint = Paint(common.color == When::Always || (common.color == When::Auto && auto()));
    let output = Output { is_json: common.json, paint };
    match command {
        Command::Check(choice) => Ok(Session::of(host, output, choice)?.check()),
        Command::Explain { knob, choice } => Session::of(host, output, choice)?.explain(knob.as_deref()),
        Command::Diff(choice) => Ok(Session::of(host, output, choice)?.diff()),
        Command::Apply { yes, persist, choice, record } => {
            let state = record.folder(&host);
            let session = Session::of(host, output, choice)?;
            if yes { session.apply(persist, &state) } else { session.would_apply(persist, &state) }
        }
        Command::Revert { yes, force, record } => revert(&host, output, &record.folder(&host), yes, force),
    }
}

impl Record {
    fn folder(self, host: &Host) -> PathBuf {
        self.state.unwrap_or_else(|| host.locate("/var/lib/ringway-tune"))
    }
}

/// What is printed, and the exit status.
type Answer = (String, u8);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("there is no knob `{name}`{}", .nearest.map(|nearest| format!("; is `{nearest}` meant?")).unwrap_or_default())]
    NoSuchKnob { name: String, nearest: Option<&'static str> },
    #[error("there is no network card `{0}`")]
    NoSuchDevice(String),
    #[error("there is no folder {}", .0.display())]
    NoSuchRoot(PathBuf),
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

/// How an answer is written.
#[derive(Debug, Clone, Copy)]
struct Output {
    is_json: bool,
    paint: Paint,
}

struct Session {
    host: Host,
    facts: Facts,
    order: Order,
    output: Output,
}

impl Session {
    fn of(host: Host, output: Output, choice: Choice) -> Result<Self, CommandError> {
        let shards = choice.shards.map(usize::from);
        let facts = Facts::of(&host, shards, &choice.device);
        if let Some(missing) = choice.device.iter().find(|name| facts.device(name).is_none()) {
            return Err(CommandError::NoSuchDevice(missing.clone()));
        }
        let mut knobs: Vec<&'static Knob> = knobs::all().collect();
        if !choice.only.is_empty() {
            let mut named = Vec::new();
            for pattern in &choice.only {
                named.extend(meant(pattern)?.into_iter().map(|knob| knob.name));
            }
            // In the order of the table, whatever the order of the words.
            knobs.retain(|knob| named.contains(&knob.name));
        }
        if choice.namespaced {
            knobs.retain(|knob| knob.access == Access::Sysctl { namespaced: true });
        }
        let order = Order { profile: choice.profile, shards, devices: choice.device, knobs };
        Ok(Self { host, facts, order, output })
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings_of(self.order.knobs.iter().copied())
    }

    fn findings_of(&self, knobs: impl IntoIterator<Item = &'static Knob>) -> Vec<Finding> {
        survey(&self.host, &self.facts, self.order.profile, knobs.into_iter().collect::<Vec<_>>()).collect()
    }

    fn check(&self) -> Answer {
        let findings = self.findings();
        let text = if self.output.is_json {
            self.findings_as_json(&findings)
        } else {
            report::table(&self.facts, self.order.profile, &findings, self.output.paint)
        };
        (text, status_of(&findings))
    }

    fn explain(&self, knob: Option<&str>) -> Result<Answer, CommandError> {
        let findings = match knob {
            Some(pattern) => self.findings_of(meant(pattern)?),
            None => self.findings(),
        };
        let text = if self.output.is_json {
            self.findings_as_json(&findings)
        } else {
            report::explanation(self.order.profile, &findings, self.output.paint)
        };
        Ok((text, 0))
    }

    fn diff(&self) -> Answer {
        let mut findings = self.findings();
        let status = status_of(&findings);
        let text = if self.output.is_json {
            let differs = |standing| matches!(standing, Standing::Differs | Standing::NeedsDropIn | Standing::ByHand);
            findings.retain(|finding| differs(finding.standing));
            self.findings_as_json(&findings)
        } else {
            report::difference(self.order.profile, &findings, self.output.paint)
        };
        (text, status)
    }

    fn would_apply(&self, persist: bool, state: &Path) -> Result<Answer, CommandError> {
        let findings = self.findings();
        let mut changes: Vec<Change> = findings.iter().filter_map(planned).collect();
        let mut persisted = Persisted::default();
        if persist {
            let ledger = Ledger::look(state)?;
            let mut kept = persist::kept(&ledger);
            kept.retain(|kept| changes.iter().all(|change| change.target != kept.target));
            kept.extend(changes.iter().filter_map(|change| {
                Some(Kept { knob: change.knob.clone(), target: change.target.clone(), value: change.to.clone()? })
            }));
            persisted = persist::plan(&self.host, &self.order, &kept);
            changes.append(&mut persisted.changes);
        }
        let lacks_drop_in = !persist && report::count(&findings, Standing::NeedsDropIn) > 0;
        let status = if changes.is_empty() && !lacks_drop_in { 0 } else { DIFFERENT };
        if self.output.is_json {
            return Ok((as_text(&json::changes(true, &changes)), status));
        }
        let mut text = report::changes(&changes, self.output.paint) + &report::left_out(&persisted);
        if lacks_drop_in {
            text.push_str("Ringway's unit lacks something: --persist writes a drop-in.\n");
        }
        text.push_str(if changes.is_empty() {
            "Nothing differs that is set without --persist.\n"
        } else {
            "Nothing was changed: this is what --yes does.\n"
        });
        Ok((text, status))
    }

    fn apply(&self, persist: bool, state: &Path) -> Result<Answer, CommandError> {
        let mut ledger = Ledger::open(state)?;
        let mut changes = change::apply(&self.host, &self.order, &mut ledger)?;
        let mut persisted = Persisted::default();
        if persist {
            persisted = persist::persist(&self.host, &self.order, &mut ledger)?;
            changes.append(&mut persisted.changes);
        }
        let status = if changes.iter().any(has_failed) { FAILED } else { 0 };
        if self.output.is_json {
            return Ok((as_text(&json::changes(false, &changes)), status));
        }
        let mut text = report::changes(&changes, self.output.paint) + &report::left_out(&persisted);
        if changes.is_empty() {
            text.push_str("Nothing differs that can be set.\n");
        } else if !ledger.entries().is_empty() {
            let folder = state.display();
            text.push_str(&format!("The old values are in {folder}; `ringway-tune revert` sets them back.\n"));
        }
        if changes.iter().any(|change| is_drop_in(change) && change.outcome == Outcome::Done) {
            text.push_str(RELOAD_UNIT);
        }
        Ok((text, status))
    }

    fn findings_as_json(&self, findings: &[Finding]) -> String {
        as_text(&json::findings(&self.facts, self.order.profile, findings))
    }
}

/// Reverting goes by what was changed, and not by what a profile would have today.
fn revert(host: &Host, output: Output, state: &Path, yes: bool, force: bool) -> Result<Answer, CommandError> {
    let mut ledger = if yes { Ledger::open(state)? } else { Ledger::look(state)? };
    let changes = change::revert(host, &mut ledger, force, !yes)?;
    let is = |outcome: &Outcome| changes.iter().any(|change| change.outcome == *outcome);
    let status = match () {
        () if changes.iter().any(has_failed) => FAILED,
        () if is(&Outcome::ChangedSince) || is(&Outcome::Planned) => DIFFERENT,
        () => 0,
    };
    if output.is_json {
        return Ok((as_text(&json::changes(!yes, &changes)), status));
    }
    let mut text = report::changes(&changes, output.paint);
    text.push_str(match (changes.is_empty(), yes) {
        (true, _) => "Nothing is recorded as changed.\n",
        (false, false) => "Nothing was changed: this is what --yes does.\n",
        (false, true) => "",
    });
    if yes && changes.iter().any(is_drop_in) {
        text.push_str(RELOAD_UNIT);
    }
    Ok((text, status))
}

const RELOAD_UNIT: &str = "For the unit: systemctl daemon-reload && systemctl restart ringway\n";

/// The knobs that a word on the command line means.
fn meant(word: &str) -> Result<Vec<&'static Knob>, CommandError> {
    let mut found = knobs::matching(word);
    if found.is_empty() {
        // `tcp_tw_reuse` is what people call net.ipv4.tcp_tw_reuse.
        found = knobs::all().filter(|knob| knob.name.rsplit('.').next() == Some(word)).collect();
    }
    if found.is_empty() {
        return Err(CommandError::NoSuchKnob { name: word.to_owned(), nearest: knobs::nearest(word) });
    }
    Ok(found)
}

fn status_of(findings: &[Finding]) -> u8 {
    let differs = |finding: &Finding| matches!(finding.standing, Standing::Differs | Standing::NeedsDropIn);
    if findings.iter().any(differs) { DIFFERENT } else { 0 }
}

fn has_failed(change: &Change) -> bool {
    matches!(change.outcome, Outcome::Failed(_))
}

fn is_drop_in(change: &Change) -> bool {
    change.target == Target::Document { path: crate::unit::DROP_IN.to_owned() }
}

fn as_text(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
