//! The files of the repository that say the same as the table: sysctl.d files, drop-ins, and the reference in
//! docs/tuning.md. A test holds them against it, and writes them anew when it is told to.

use std::fmt::Write as _;

use crate::goal::Goal;
use crate::knob::{Access, Area, Knob, Profile};
use crate::knobs;
use crate::report::{effect, wrapped};

/// What systemd raises far beyond the kernel's choice at its start. A file that sets it would lower it on most hosts, and
/// units with a higher limit would not start.
const MORE_BY_DEFAULT: [&str; 2] = ["fs.nr_open", "fs.file-max"];

/// `tuning/sysctl.d/60-ringway-PROFILE.conf`.
#[must_use]
pub fn sysctl_file(profile: Profile) -> String {
    let name = profile.name();
    let mut out = format!(
        "# Kernel parameters for Ringway, profile {name}. Generated from the table under tuning/src/knobs.\n\
         #\n\
         # For machines that are set up from files: copy it to /etc/sysctl.d and run `sysctl --system`. A file cannot compare:\n\
         # it sets these even where a host has more already. `ringway-tune apply --persist` writes only what a host lacks.\n"
    );
    for knob in knobs::all().filter(|knob| matches!(knob.access, Access::Sysctl { .. })) {
        let line = match knob.wanted.by(profile) {
            Goal::Leave => continue,
            Goal::ByHost { rule, .. } => format!("# {} follows from the host: {rule}.", knob.name),
            goal => {
                let line = format!("{} = {}", knob.name, goal.value_after("").unwrap_or_default());
                if MORE_BY_DEFAULT.contains(&knob.name) {
                    format!("# Most hosts have more, and services may need it: look before you set it.\n#{line}")
                } else {
                    line
                }
            }
        };
        write!(out, "\n{}{line}\n", commented(knob)).expect("a string grows");
    }
    out
}

/// `tuning/systemd/ringway.service.d/60-ringway-PROFILE.conf`; none if the profile wishes nothing of the unit.
#[must_use]
pub fn drop_in(profile: Profile) -> Option<String> {
    let mut out = format!(
        "# What profile {} adds to Ringway's unit. Generated from the table under tuning/src/knobs.\n\
         # Copy it to /etc/systemd/system/ringway.service.d, then: systemctl daemon-reload && systemctl restart ringway\n\
         [Service]\n",
        profile.name()
    );
    let heading_bytes = out.len();
    for knob in knobs::all() {
        let Access::Unit(directive) = knob.access else { continue };
        let Some(value) = knob.wanted.by(profile).value_after("") else { continue };
        write!(out, "\n{}{directive}={value}\n", commented(knob)).expect("a string grows");
    }
    (out.len() > heading_bytes).then_some(out)
}

fn commented(knob: &Knob) -> String {
    let text = format!("{}. {} Costs: {}", capitalised(knob.what), knob.why, knob.cost);
    wrapped(&text, 118).into_iter().map(|line| format!("# {line}\n")).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + characters.as_str())
}

/// The reference: a table of what each profile wishes, then every knob.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from("## What each profile wishes\n\n`-` leaves the host's value.\n\n");
    out.push_str("| knob | throughput | latency | many-connections | laptop |\n|---|---|---|---|---|\n");
    for knob in knobs::all() {
        let cell = |profile: &Profile| match knob.wanted.by(*profile) {
            Goal::ByHost { .. } => "by the host".to_owned(),
            goal => goal.to_string(),
        };
        let cells: Vec<_> = Profile::ALL.iter().map(cell).collect();
        writeln!(out, "| `{}` | {} |", knob.name, cells.join(" | ")).expect("a string grows");
    }
    out.push_str("\n## Every knob\n");
    for area in Area::ALL {
        writeln!(out, "\n### {}", capitalised(area.title())).expect("a string grows");
        for knob in knobs::all().filter(|knob| knob.area == area) {
            described(&mut out, knob);
        }
    }
    out
}

fn described(out: &mut String, knob: &Knob) {
    writeln!(out, "\n**`{}`**: {}.\n", knob.name, knob.what).expect("a string grows");
    let rule = Profile::ALL.iter().find_map(|profile| match knob.wanted.by(*profile) {
        Goal::ByHost { rule, .. } => Some(*rule),
        _ => None,
    });
    if let Some(rule) = rule {
        writeln!(out, "- Wanted: {rule}.").expect("a string grows");
    }
    for (term, text) in [
        ("Why", knob.why),
        ("Costs", knob.cost),
        ("Where", &knob.access.described(knob.name)),
        ("Source", knob.source),
        ("Effect", &effect(knob.effect)),
    ] {
        let end = if text.ends_with('.') { "" } else { "." };
        writeln!(out, "- {term}: {text}{end}").expect("a string grows");
    }
}
