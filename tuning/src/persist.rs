//! Files of configuration that set the same again at each start of the machine: a sysctl.d file, a tmpfiles.d file for
//! what stands under /sys, and a drop-in for Ringway's unit.
//!
//! They hold what this tool has changed, and nothing that was as wanted before. They are recorded like every change, so
//! that reverting takes them away.

use std::fmt::Write as _;

use crate::change::{Change, Order, Outcome, set};
use crate::host::{Facts, Host};
use crate::knob::{Access, Knob};
use crate::ledger::{Entry, Ledger, LedgerError};
use crate::survey::Target;
use crate::unit::{DROP_IN, Unit};

const SYSCTL_FILE: &str = "/etc/sysctl.d/60-ringway-tune.conf";
const TMPFILES_FILE: &str = "/etc/tmpfiles.d/ringway-tune.conf";

/// What persisting comes to.
#[derive(Debug, Default)]
pub struct Persisted {
    /// The files.
    pub changes: Vec<Change>,
    /// Knobs that were changed and that no file can set again: cards and interrupts come later than the files are read.
    pub left_out: Vec<String>,
}

/// A value that is to be set at each start of the machine.
#[derive(Debug)]
pub struct Kept {
    /// The knob's name.
    pub knob: String,
    /// What is set.
    pub target: Target,
    /// To what.
    pub value: String,
}

/// Writes the files for what `ledger` says was changed, and the drop-in for what the unit lacks.
///
/// # Errors
/// Fails if the change cannot be recorded.
pub fn persist(host: &Host, order: &Order, ledger: &mut Ledger) -> Result<Persisted, LedgerError> {
    let boot_id = Facts::of(host, None, &[]).boot_id;
    let mut persisted = plan(host, order, &kept(ledger));
    let changes = std::mem::take(&mut persisted.changes);
    for change in changes {
        persisted.changes.push(match change.outcome {
            Outcome::Planned => set(host, &boot_id, ledger, change)?,
            _ => change,
        });
    }
    Ok(persisted)
}

/// What was changed so far.
#[must_use]
pub fn kept(ledger: &Ledger) -> Vec<Kept> {
    let kept = |entry: &Entry| {
        Some(Kept { knob: entry.knob.clone(), target: entry.target.clone(), value: entry.written.clone()? })
    };
    ledger.entries().iter().filter_map(kept).collect()
}

/// The files for `kept` and for what the unit lacks, not written yet.
#[must_use]
pub fn plan(host: &Host, order: &Order, kept: &[Kept]) -> Persisted {
    let facts = Facts::of(host, order.shards, &order.devices);
    let mut sysctls = String::new();
    let mut files = String::new();
    let mut persisted = Persisted::default();
    for Kept { knob, target, value } in kept {
        match target {
            Target::Document { .. } => {}
            Target::File { path, .. } => match path.strip_prefix("/proc/sys/") {
                Some(name) => writeln!(sysctls, "{} = {value}", name.replace('/', ".")).expect("a string grows"),
                None if path.starts_with("/sys/devices/") || path.starts_with("/sys/kernel/") => {
                    // `w-`: a machine without the file is no error.
                    writeln!(files, "w- {path} - - - - {value}").expect("a string grows");
                }
                None => persisted.left_out.push(knob.clone()),
            },
            Target::Ethtool { .. } => persisted.left_out.push(knob.clone()),
        }
    }
    persisted.left_out.dedup();
    let (directives, refused) = directives_lacking(host, &facts, order);
    persisted.changes.extend(refused);
    let documents = [(SYSCTL_FILE, "", sysctls), (TMPFILES_FILE, "", files), (DROP_IN, "[Service]\n", directives)];
    let changes = documents.iter().filter_map(|(path, heading, lines)| document(host, path, heading, lines, order));
    persisted.changes.extend(changes);
    persisted
}

/// The change that has a document hold `lines`, unless it does or there are none.
fn document(host: &Host, path: &str, heading: &str, lines: &str, order: &Order) -> Option<Change> {
    if lines.is_empty() {
        return None;
    }
    let profile = order.profile.name();
    let text = format!(
        "# Written by `ringway-tune apply --persist --profile {profile}`; `ringway-tune revert` takes it away.\n\
         # `ringway-tune explain KNOB` tells why, and what it costs.\n{heading}{lines}"
    );
    let target = Target::Document { path: path.to_owned() };
    let from = host.value_of(&target).ok().flatten();
    (from.as_deref() != Some(&text)).then(|| Change {
        knob: "persist".to_owned(),
        place: path.to_owned(),
        target,
        from,
        to: Some(text),
        outcome: Outcome::Planned,
    })
}

/// Lines for what the unit lacks without our own drop-in, and what must not be written.
fn directives_lacking(host: &Host, facts: &Facts, order: &Order) -> (String, Vec<Change>) {
    let mut lines = String::new();
    let mut refused = Vec::new();
    let Some(unit) = Unit::of(host) else { return (lines, refused) };
    for (knob, directive) in order.knobs.iter().filter_map(|knob| Some((*knob, directive_of(knob)?))) {
        let goal = knob.wanted.by(order.profile).on(facts, &crate::goal::Place::default());
        let now = unit.value_without_ours(directive).unwrap_or_default();
        let Some(value) = goal.value_after(now).filter(|_| !goal.holds(now)) else { continue };
        match limit_of_descriptors(host).filter(|_| directive == "LimitNOFILE") {
            Some(most) if value.parse::<u64>().is_ok_and(|value| value > most) => {
                let why = format!("fs.nr_open is {most}: the service would not start with LimitNOFILE={value}");
                refused.push(Change {
                    knob: knob.name.to_owned(),
                    place: String::new(),
                    target: Target::Document { path: DROP_IN.to_owned() },
                    from: Some(now.to_owned()),
                    to: Some(value),
                    outcome: Outcome::Failed(why),
                });
            }
            _ => writeln!(lines, "{directive}={value}").expect("a string grows"),
        }
    }
    (lines, refused)
}

fn directive_of(knob: &Knob) -> Option<&'static str> {
    match knob.access {
        Access::Unit(directive) => Some(directive),
        _ => None,
    }
}

fn limit_of_descriptors(host: &Host) -> Option<u64> {
    host.read("/proc/sys/fs/nr_open").ok()?.trim().parse().ok()
}
