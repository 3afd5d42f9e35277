//! Sets what differs, and sets it back.

use std::fs;
use std::io;

use crate::goal::same;
use crate::host::ethtool::Item;
use crate::host::{Facts, Host};
use crate::knob::{Knob, Profile};
use crate::ledger::{Entry, Ledger, LedgerError, beside, replace_file};
use crate::survey::{Finding, Standing, Target, places_of};

/// One change, made or not.
#[derive(Debug, Clone)]
pub struct Change {
    /// The knob's name.
    pub knob: String,
    /// The place, such as `eth0 rx-1`; empty for a knob that is there once.
    pub place: String,
    /// What was to be changed.
    pub target: Target,
    /// What stood there.
    pub from: Option<String>,
    /// What was to stand there; nothing, if a document goes away.
    pub to: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It would be made.
    Planned,
    /// It was made, or set back.
    Done,
    /// The kernel took another value than it was given.
    DoneOtherwise(String),
    /// It was not to be made any more: it stood as before.
    AlreadySo,
    /// The thing is gone, such as a card that was taken out.
    Gone,
    /// A restart of the machine has set it back.
    UndoneByRestart,
    /// Somebody else has changed it since; it was left.
    ChangedSince,
    /// It was refused.
    Failed(String),
}

/// Which host is to be like what.
#[derive(Debug, Clone)]
pub struct Order {
    /// The profile.
    pub profile: Profile,
    /// Shards, if not one for each CPU.
    pub shards: Option<usize>,
    /// Network cards, if not all.
    pub devices: Vec<String>,
    /// The knobs.
    pub knobs: Vec<&'static Knob>,
}

/// Sets every knob of `order` that differs, noting the old value before.
///
/// # Errors
/// Fails if the old values cannot be noted. What the host refuses is a [`Change`] that failed, and the others go on.
pub fn apply(host: &Host, order: &Order, ledger: &mut Ledger) -> Result<Vec<Change>, LedgerError> {
    let mut facts = Facts::of(host, order.shards, &order.devices);
    let mut changes = Vec::new();
    for knob in &order.knobs {
        for finding in places_of(host, &facts, order.profile, knob) {
            let Some(change) = planned(&finding) else { continue };
            let change = set(host, &facts.boot_id, ledger, change)?;
            let new_queues = matches!(change.target, Target::Ethtool { item: Item::CombinedChannels, .. });
            changes.push(change);
            if new_queues {
                facts = Facts::of(host, order.shards, &order.devices);
            }
        }
    }
    Ok(changes)
}

/// The change that would make a finding as it is wanted, if it differs.
#[must_use]
pub fn planned(finding: &Finding) -> Option<Change> {
    let target = finding.target.clone().filter(|_| finding.standing == Standing::Differs)?;
    let from = finding.now.clone();
    Some(Change {
        knob: finding.knob.name.to_owned(),
        place: finding.place.label.clone(),
        target,
        to: finding.goal.value_after(from.as_deref().unwrap_or_default()),
        from,
        outcome: Outcome::Planned,
    })
}

/// Makes one change, with its record before and after.
pub(crate) fn set(host: &Host, boot_id: &str, ledger: &mut Ledger, change: Change) -> Result<Change, LedgerError> {
    let target = change.target.clone();
    let to = change.to.clone().expect("a change that is to be made has a value");
    ledger.begin(Entry {
        knob: change.knob.clone(),
        target: target.clone(),
        old: change.from.clone(),
        intended: Some(to.clone()),
        written: None,
        boot_id: boot_id.to_owned(),
        made_folders: host.missing_folders(&target),
    })?;
    let written = host.set(&target, Some(&to));
    let now = host.value_of(&target).ok().flatten();
    let unchanged = now == change.from;
    let outcome = match (written, now) {
        (Err(error), _) if unchanged => Outcome::Failed(in_words(&error)),
        (Ok(()), Some(now)) if unchanged && !same(&now, &to) && !same_set(&now, &to) => {
            Outcome::Failed("the kernel took no notice".to_owned())
        }
        (_, Some(now)) => {
            let outcome = if same(&now, &to) || same_set(&now, &to) {
                Outcome::Done
            } else {
                Outcome::DoneOtherwise(now.clone())
            };
            ledger.finish(&target, now)?;
            return Ok(Change { outcome, ..change });
        }
        // Nobody knows what stands there: the record stays, and reverting looks again.
        (written, None) => {
            let why = written.map_or_else(|error| in_words(&error), |()| "it cannot be read any more".to_owned());
            return Ok(Change { outcome: Outcome::Failed(why), ..change });
        }
    };
    ledger.give_up(&target)?;
    Ok(Change { outcome, ..change })
}

/// Whether two masks are the same but for leading zeros.
fn same_set(one: &str, other: &str) -> bool {
    let digits = |mask: &str| mask.trim().replace(',', "").trim_start_matches('0').to_ascii_lowercase();
    let is_mask = |mask: &str| mask.trim().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b',');
    is_mask(one) && is_mask(other) && digits(one) == digits(other)
}

/// What reverting would do, or, with a `ledger` that may be changed, does: the last change first. What somebody else has
/// changed since is left, unless `force`.
///
/// # Errors
/// Fails if the record cannot be changed. What the host refuses is a [`Change`] that failed, stays recorded, and the
/// others go on.
pub fn revert(host: &Host, ledger: &mut Ledger, force: bool, is_dry: bool) -> Result<Vec<Change>, LedgerError> {
    let boot_id = Facts::of(host, None, &[]).boot_id;
    let entries: Vec<Entry> = ledger.entries().iter().rev().cloned().collect();
    let mut changes = Vec::new();
    for entry in entries {
        let now = host.value_of(&entry.target);
        let outcome = match &now {
            Err(error) => Outcome::Failed(in_words(error)),
            Ok(now) => match judged(&entry, now.as_deref(), &boot_id, force) {
                Outcome::Planned if !is_dry => restored(host, &entry),
                outcome => outcome,
            },
        };
        let is_settled = !matches!(outcome, Outcome::ChangedSince | Outcome::Failed(_));
        if is_settled && !is_dry {
            tidy(host, &entry);
            ledger.forget(&entry.target)?;
        }
        changes.push(Change {
            knob: entry.knob,
            place: place_of(&entry.target),
            target: entry.target,
            from: now.ok().flatten(),
            to: entry.old,
            outcome,
        });
    }
    Ok(changes)
}

/// What is to become of an entry where `now` stands: `Planned` if the old value is to be set.
fn judged(entry: &Entry, now: Option<&str>, boot_id: &str, force: bool) -> Outcome {
    let is_document = matches!(entry.target, Target::Document { .. });
    let is_of_other_start = entry.boot_id != boot_id && !is_document;
    match now {
        // A crash between the record and the change leaves it so.
        now if now == entry.old.as_deref() => Outcome::AlreadySo,
        None if is_document && !force => Outcome::ChangedSince,
        None if is_document => Outcome::Planned,
        None => Outcome::Gone,
        Some(now) if entry.is_ours(now) => Outcome::Planned,
        Some(_) if is_of_other_start => Outcome::UndoneByRestart,
        Some(_) if force => Outcome::Planned,
        Some(_) => Outcome::ChangedSince,
    }
}

/// Sets the old value, and looks whether it stands.
fn restored(host: &Host, entry: &Entry) -> Outcome {
    if let Err(error) = host.set(&entry.target, entry.old.as_deref()) {
        return Outcome::Failed(in_words(&error));
    }
    match (host.value_of(&entry.target), &entry.old) {
        (Ok(now), old) if now == *old => Outcome::Done,
        (Ok(Some(now)), Some(old)) if same_set(&now, old) => Outcome::Done,
        (Ok(Some(now)), _) => Outcome::Failed(format!("it is {now} now")),
        (Ok(None), _) => Outcome::Failed("it went away when it was set".to_owned()),
        (Err(error), _) => Outcome::Failed(in_words(&error)),
    }
}

/// Takes away what was made for a document: what a crash left half written, and folders, unless somebody else has put
/// something there.
fn tidy(host: &Host, entry: &Entry) {
    if let Target::Document { path } = &entry.target {
        let _ = fs::remove_file(beside(&host.locate(path)));
    }
    for folder in entry.made_folders.iter().rev() {
        let _ = fs::remove_dir(host.locate(folder));
    }
}

/// Where a target is, for people: the table that knew the place may be another by now.
fn place_of(target: &Target) -> String {
    match target {
        Target::Ethtool { device, .. } => device.clone(),
        Target::File { path, .. } | Target::Document { path } if path.starts_with("/proc/sys/") => String::new(),
        Target::File { path, .. } | Target::Document { path } => path.clone(),
    }
}

/// The kernel's refusals, in words that tell what to do.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied (run as root?)".to_owned(),
        io::ErrorKind::InvalidInput => "the kernel refuses this value".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "read-only here".to_owned(),
        _ if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
            "the kernel keeps this as it is (input/output error)".to_owned()
        }
        _ => error.to_string(),
    }
}

impl Host {
    /// Sets `target`. Without a value, a document goes away.
    fn set(&self, target: &Target, value: Option<&str>) -> io::Result<()> {
        match (target, value) {
            (Target::File { path, .. }, Some(value)) => self.write(path, &format!("{value}\n")),
            (Target::Ethtool { device, item }, Some(value)) => self.ethtool_set(device, *item, value),
            (Target::Document { path }, Some(text)) => {
                let path = self.locate(path);
                fs::create_dir_all(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?;
                replace_file(&path, text)
            }
            (Target::Document { path }, None) => fs::remove_file(self.locate(path)),
            (Target::File { .. } | Target::Ethtool { .. }, None) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// The folders that have to be made for a document, the outermost first.
    fn missing_folders(&self, target: &Target) -> Vec<String> {
        let Target::Document { path } = target else { return Vec::new() };
        let mut missing = Vec::new();
        let mut folder = path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            if above.is_empty() || self.has(above) {
                break;
            }
            missing.push(above.to_owned());
            folder = above;
        }
        missing.reverse();
        missing
    }
}
