//! What people and programs read.

pub mod json;
mod text;

use std::fmt::Write as _;

use crate::change::{Change, Outcome};
use crate::host::Facts;
use crate::knob::{Area, Effect, Knob, Profile};
use crate::knobs;
use crate::persist::Persisted;
use crate::survey::{Finding, Standing, Target};

pub use text::Paint;
pub(crate) use text::wrapped;
use text::{Colour, described};

/// How many findings stand how.
#[must_use]
pub fn count(findings: &[Finding], standing: Standing) -> usize {
    findings.iter().filter(|finding| finding.standing == standing).count()
}

/// The table of `check`: each knob, its value, what is wanted. 80 columns wide.
#[must_use]
pub fn table(facts: &Facts, profile: Profile, findings: &[Finding], paint: Paint) -> String {
    let mut out = heading(facts, profile);
    for area in Area::ALL {
        let mut of_area = findings.iter().filter(|finding| finding.knob.area == area).peekable();
        if of_area.peek().is_none() {
            continue;
        }
        let title = format!("{:<7} {:<34} {:<20} wanted", "", area.title(), "here");
        writeln!(out, "\n{}", paint.with(Colour::Bold, &title)).expect("a string grows");
        for group in groups(of_area) {
            row(&mut out, &group, paint);
        }
    }
    out + "\n" + &summary(findings)
}

/// Findings of one knob that are the same in all but their place.
struct Group<'a> {
    first: &'a Finding,
    places: usize,
    /// Whether the knob has other places, that differ from these.
    is_part: bool,
}

fn groups<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for finding in findings {
        let alike = |group: &&mut Group<'_>| {
            let first = group.first;
            first.knob.name == finding.knob.name
                && (&first.now, first.standing, &first.note) == (&finding.now, finding.standing, &finding.note)
                && first.goal.to_string() == finding.goal.to_string()
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.places += 1,
            None => groups.push(Group { first: finding, places: 1, is_part: false }),
        }
    }
    let names: Vec<_> = groups.iter().map(|group| group.first.knob.name).collect();
    for group in &mut groups {
        group.is_part = names.iter().filter(|name| **name == group.first.knob.name).count() > 1;
    }
    groups
}

fn row(out: &mut String, group: &Group<'_>, paint: Paint) {
    const NAME: usize = 34;
    const NOW: usize = 20;
    const WANTED: usize = 16;
    let Group { first, places, is_part } = group;
    let (mark, colour) = marked(first.standing);
    let mark = paint.with(colour, &format!("{mark:<7}"));
    let place = match (places, is_part) {
        (1, _) => first.place.label.clone(),
        (places, true) => format!("{} and {} more", first.place.label, places - 1),
        (places, false) => format!("all {places} places"),
    };
    let name = format!("{} {place}", first.knob.name);
    let name = name.trim_end();
    let wanted = if first.standing == Standing::NoWish { String::new() } else { first.goal.to_string() };
    let Some(now) = &first.now else {
        let why = first.note.as_deref().unwrap_or_default();
        if name.len() <= NAME && why.len() <= NOW + 1 + WANTED {
            writeln!(out, "{mark} {name:<NAME$} {why}").expect("a string grows");
        } else {
            writeln!(out, "{mark} {name}\n{:8}  {why}", "").expect("a string grows");
        }
        return;
    };
    let now = now.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let indent = if name.len() > NAME {
        writeln!(out, "{mark} {name}").expect("a string grows");
        format!("{:<7} {:<NAME$}", "", "")
    } else {
        format!("{mark} {name:<NAME$}")
    };
    let line = match (now.len() > NOW, wanted.len() > WANTED) {
        (false, false) => format!("{indent} {now:<NOW$} {wanted}"),
        (_, true) => format!("{indent} {now}\n{:8}  wanted {wanted}", ""),
        (true, false) => format!("{indent} {now}\n{:<63} {wanted}", ""),
    };
    writeln!(out, "{}", line.trim_end()).expect("a string grows");
    if let Some(note) = &first.note {
        for line in wrapped(note, 70) {
            writeln!(out, "{:8}  {line}", "").expect("a string grows");
        }
    }
}

fn marked(standing: Standing) -> (&'static str, Colour) {
    match standing {
        Standing::AsWanted => ("ok", Colour::Green),
        Standing::Differs => ("differs", Colour::Yellow),
        Standing::NeedsDropIn => ("drop-in", Colour::Yellow),
        Standing::ByHand => ("by hand", Colour::Magenta),
        Standing::NoWish => ("-", Colour::Dim),
        Standing::Absent => ("absent", Colour::Dim),
        Standing::Unreadable => ("unread", Colour::Red),
    }
}

fn heading(facts: &Facts, profile: Profile) -> String {
    let devices: Vec<_> = facts
        .devices
        .iter()
        .map(|device| format!("{} ({})", device.name, counted(device.rx_queues, "queue")))
        .collect();
    let devices = if devices.is_empty() { "no network card".to_owned() } else { devices.join(", ") };
    let text = format!(
        "Profile {}. {}, {}, {}, {:.1} GiB, {devices}.",
        profile.name(),
        facts.kernel,
        counted(facts.cpus.len(), "CPU"),
        counted(facts.shards, "shard"),
        facts.memory_bytes as f64 / f64::from(1 << 30),
    );
    wrapped(&text, 80).join("\n") + "\n"
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn summary(findings: &[Finding]) -> String {
    let parts = [
        (Standing::AsWanted, "as wanted"),
        (Standing::Differs, "to be set"),
        (Standing::NeedsDropIn, "for a drop-in"),
        (Standing::ByHand, "by hand"),
        (Standing::NoWish, "without a wish"),
        (Standing::Absent, "absent"),
        (Standing::Unreadable, "unreadable"),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter_map(|&(standing, word)| {
            Some(count(findings, standing)).filter(|&number| number > 0).map(|number| format!("{number} {word}"))
        })
        .collect();
    format!("{}.\n`ringway-tune explain KNOB` tells why.\n", wrapped(&parts.join(", "), 79).join("\n"))
}

/// All about each knob, as it stands here.
#[must_use]
pub fn explanation(profile: Profile, findings: &[Finding], paint: Paint) -> String {
    let mut out = String::new();
    let mut names: Vec<&str> = findings.iter().map(|finding| finding.knob.name).collect();
    names.dedup();
    for knob in names.into_iter().filter_map(knobs::by_name) {
        let here = findings.iter().filter(|finding| finding.knob.name == knob.name);
        explain(&mut out, profile, knob, &groups(here), paint);
    }
    out
}

fn explain(out: &mut String, profile: Profile, knob: &Knob, here: &[Group<'_>], paint: Paint) {
    writeln!(out, "{}", paint.with(Colour::Bold, knob.name)).expect("a string grows");
    for line in wrapped(knob.what, 78) {
        writeln!(out, "  {line}").expect("a string grows");
    }
    for group in here {
        described(out, "here", &stands(group));
    }
    for other in Profile::ALL {
        let mark = if other == profile { "* " } else { "" };
        let goal = match knob.wanted.by(other).to_string() {
            goal if goal == "-" => "left as it is".to_owned(),
            goal => goal,
        };
        described(out, "wanted", &format!("{mark}{}: {goal}", other.name()));
    }
    described(out, "why", knob.why);
    described(out, "costs", knob.cost);
    described(out, "where", &knob.access.described(knob.name));
    described(out, "source", knob.source);
    described(out, "effect", &effect(knob.effect));
    out.push('\n');
}

fn stands(group: &Group<'_>) -> String {
    let Group { first, places, .. } = group;
    let place = match places {
        1 => first.place.label.clone(),
        places => format!("{places} places, such as {}", first.place.label),
    };
    let place = if place.is_empty() { place } else { format!("{place}: ") };
    let now = first.now.as_deref().map(|now| now.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    let standing = match first.standing {
        Standing::AsWanted => "as wanted".to_owned(),
        Standing::Differs => format!("{} is wanted, and `apply` sets it", first.goal),
        Standing::NeedsDropIn => format!("{} is wanted, and `apply --persist` sets it by a drop-in", first.goal),
        Standing::ByHand => format!("{} is wanted, by hand", first.goal),
        Standing::NoWish => "left as it is".to_owned(),
        Standing::Absent => "not on this host".to_owned(),
        Standing::Unreadable => "cannot be read".to_owned(),
    };
    let note = first.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
    match now {
        Some(now) => format!("{place}{now}; {standing}{note}"),
        None => format!("{place}{standing}{note}"),
    }
}

/// What shows a knob's effect, in words.
#[must_use]
pub fn effect(effect: Effect) -> String {
    match effect {
        Effect::Run { folder, shows } => format!("perf/runs/{folder}: {shows}"),
        Effect::NotShown(why) => format!("not shown by a run: {why}"),
    }
}

/// The difference in the form of a patch: what is there, and what would be.
#[must_use]
pub fn difference(profile: Profile, findings: &[Finding], paint: Paint) -> String {
    let mut out = String::new();
    for finding in findings {
        let now = finding.now.as_deref().unwrap_or_default();
        let now_in_words = now.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let Some(value) = finding.goal.value_after(now) else { continue };
        let place = if finding.place.label.is_empty() { String::new() } else { format!(" [{}]", finding.place.label) };
        let name = format!("{}{place}", finding.knob.name);
        let suffix = match finding.standing {
            Standing::Differs => String::new(),
            Standing::NeedsDropIn => "    # by a drop-in: --persist".to_owned(),
            Standing::ByHand => format!("    # by hand: {}", finding.note.as_deref().unwrap_or("see explain")),
            _ => continue,
        };
        let (old, new) = (format!("-{name} = {now_in_words}"), format!("+{name} = {value}{suffix}"));
        writeln!(out, "{}", paint.with(Colour::Red, &old)).expect("a string grows");
        writeln!(out, "{}", paint.with(Colour::Green, &new)).expect("a string grows");
    }
    if out.is_empty() {
        return format!("No difference from profile {}.\n", profile.name());
    }
    format!("--- this host\n+++ profile {}\n{out}", profile.name())
}

/// Changes, a line each where that is wide enough.
#[must_use]
pub fn changes(changes: &[Change], paint: Paint) -> String {
    let mut out = String::new();
    for change in changes {
        let is_document = matches!(change.target, Target::Document { .. });
        let (word, colour) = match &change.outcome {
            Outcome::Planned if is_document => ("would write", Colour::Yellow),
            Outcome::Planned => ("would set", Colour::Yellow),
            Outcome::Done | Outcome::DoneOtherwise(_) if is_document => ("written", Colour::Green),
            Outcome::Done => ("set", Colour::Green),
            Outcome::DoneOtherwise(_) => ("set", Colour::Yellow),
            Outcome::AlreadySo => ("as before", Colour::Green),
            Outcome::Gone => ("gone", Colour::Dim),
            Outcome::UndoneByRestart => ("restarted", Colour::Dim),
            Outcome::ChangedSince => ("left", Colour::Magenta),
            Outcome::Failed(_) => ("failed", Colour::Red),
        };
        let name = match change.place.as_str() {
            "" => change.knob.clone(),
            place if is_document => place.to_owned(),
            place => format!("{} [{place}]", change.knob),
        };
        let became = what_became(change);
        let word = format!("{word:<11}");
        let is_short = word.len() + 1 + name.len() + 2 + became.chars().count() <= 80;
        let between = if is_short { ": ".to_owned() } else { format!("\n{:12}", "") };
        writeln!(out, "{} {name}{between}{became}", paint.with(colour, &word)).expect("a string grows");
    }
    out
}

fn what_became(change: &Change) -> String {
    let shown = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        // A whole file: what it says is in it.
        Some(text) if text.contains('\n') => format!("a file of {}", counted(text.lines().count(), "line")),
        Some(value) => value.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
    };
    let (from, to) = (shown(&change.from), shown(&change.to));
    match &change.outcome {
        Outcome::Planned | Outcome::Done => format!("{from} -> {to}"),
        Outcome::DoneOtherwise(now) => format!("{from} -> {now}: the kernel made that of {to}"),
        Outcome::AlreadySo => to,
        Outcome::Gone => format!("it is no longer there; it was {to}"),
        Outcome::UndoneByRestart => format!("{from}: a restart of the machine has undone the change"),
        Outcome::ChangedSince => {
            format!("{from} was set by somebody else since; it was {to} before (--force sets that)")
        }
        Outcome::Failed(why) => format!("{from} stays, {to} was to be set: {why}"),
    }
}

/// What persisting leaves to a unit that runs at the start.
#[must_use]
pub fn left_out(persisted: &Persisted) -> String {
    if persisted.left_out.is_empty() {
        return String::new();
    }
    let names = persisted.left_out.join(", ");
    let text = format!(
        "No file sets these again at the next start: {names}. The unit tuning/systemd/ringway-tune.service does, by \
         running this command."
    );
    wrapped(&text, 80).join("\n") + "\n"
}
