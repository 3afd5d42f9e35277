//! The table of all knobs: the one truth that reports, sysctl.d files, drop-ins and the reference are made from.

mod cpu;
mod limits;
mod memory;
mod nic;
mod sysctl;
mod systemd;

use crate::knob::Knob;

/// Every knob, in the order in which they are reported and set. Queues of network cards come before what hangs on them.
pub fn all() -> impl Iterator<Item = &'static Knob> {
    [sysctl::KNOBS, nic::KNOBS, cpu::KNOBS, limits::KNOBS, memory::KNOBS, systemd::KNOBS].into_iter().flatten()
}

/// The knob of that name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Knob> {
    all().find(|knob| knob.name == name)
}

/// The knobs that `pattern` means: a name, an area, or a name's beginning before a `*`.
#[must_use]
pub fn matching(pattern: &str) -> Vec<&'static Knob> {
    let fits = |knob: &&Knob| match pattern.strip_suffix('*') {
        Some(beginning) => knob.name.starts_with(beginning),
        None => knob.name == pattern || knob.area.name() == pattern,
    };
    all().filter(fits).collect()
}

/// The name nearest to one that there is not.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    // A user remembers the last part of a sysctl's name best.
    let last = |name: &'static str| name.rsplit('.').next().unwrap_or(name);
    let likeness = |known: &'static str| strsim::jaro_winkler(known, name).max(strsim::jaro_winkler(last(known), name));
    let best = all().map(|knob| (likeness(knob.name), knob.name)).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 > 0.8).then_some(best.1)
}
