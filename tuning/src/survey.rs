//! Looks at every place of every knob, and says how it stands. Nothing is changed here.

use std::io;

use serde::{Deserialize, Serialize};

use crate::goal::{Goal, Place};
use crate::host::ethtool::Item;
use crate::host::{Facts, Host};
use crate::knob::{Access, Knob, Profile};
use crate::unit::Unit;

/// Something that is read and set by itself: what a state file names, so that it can be set back without the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A file of the kernel. A bracketed one shows all choices, the one in force in brackets.
    File {
        /// From the root.
        path: String,
        /// Whether its text has brackets.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bracketed: bool,
    },
    /// A setting of a network card.
    Ethtool {
        /// The card.
        device: String,
        /// The setting.
        item: Item,
    },
    /// A file of configuration that this tool writes as a whole.
    Document {
        /// From the root.
        path: String,
    },
}

/// How a knob stands at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As wanted.
    AsWanted,
    /// Not as wanted; `apply` sets it.
    Differs,
    /// Not as wanted; `apply --persist` sets it by a drop-in.
    NeedsDropIn,
    /// Not as wanted; only the administrator can set it, or it cannot be set from here.
    ByHand,
    /// The profile has no wish.
    NoWish,
    /// The host has no such thing.
    Absent,
    /// It could not be read.
    Unreadable,
}

/// A knob at one of its places.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The knob.
    pub knob: &'static Knob,
    /// The place.
    pub place: Place,
    /// What is to be set, where something can be.
    pub target: Option<Target>,
    /// The value in force.
    pub now: Option<String>,
    /// The goal, computed for this host.
    pub goal: Goal,
    /// How it stands.
    pub standing: Standing,
    /// What a reader should know besides.
    pub note: Option<String>,
}

/// All places of all `knobs`. A knob that the host lacks is one finding that says so.
pub fn survey<'a>(
    host: &'a Host,
    facts: &'a Facts,
    profile: Profile,
    knobs: impl IntoIterator<Item = &'static Knob> + 'a,
) -> impl Iterator<Item = Finding> + 'a {
    knobs.into_iter().flat_map(move |knob| places_of(host, facts, profile, knob))
}

/// All places of one knob.
#[must_use]
pub fn places_of(host: &Host, facts: &Facts, profile: Profile, knob: &'static Knob) -> Vec<Finding> {
    let look = Look { host, facts, knob, wanted: knob.wanted.by(profile) };
    let findings = match knob.access {
        Access::Sysctl { .. } => vec![look.sysctl()],
        Access::File { pattern, choices, bracketed } => look.files(pattern, choices, bracketed),
        Access::Ethtool(item) => facts.devices.iter().map(|device| look.ethtool(&device.name, item)).collect(),
        Access::Queue { direction, file } => look.queues(direction, file),
        Access::QueueInterrupt => look.interrupts(),
        Access::BootParameter(parameter) => vec![look.boot_parameter(parameter)],
        Access::ProcessLimit(row) => look.process_limits(row),
        Access::Program(program) => vec![look.program(program)],
        Access::DmaLatency => vec![look.dma_latency()],
        Access::Unit(directive) => vec![look.unit(directive)],
    };
    if !findings.is_empty() {
        return findings;
    }
    let why = match knob.access {
        Access::Ethtool(_) | Access::Queue { .. } if facts.devices.is_empty() => "no network card is up",
        Access::QueueInterrupt => "no card shows interrupts of its queues",
        Access::ProcessLimit(_) => "no ringway is running",
        _ => "this host has none",
    };
    vec![look.absent(Place::default(), why)]
}

struct Look<'a> {
    host: &'a Host,
    facts: &'a Facts,
    knob: &'static Knob,
    wanted: &'a Goal,
}

impl Look<'_> {
    fn sysctl(&self) -> Finding {
        let path = format!("/proc/sys/{}", self.knob.name.replace('.', "/"));
        let missing = match self.knob.access {
            Access::Sysctl { namespaced: false } if self.knob.name.starts_with("net.") => {
                "neither this kernel nor this network namespace has it"
            }
            _ => "this kernel has no such parameter",
        };
        let choices = (self.knob.name == "net.ipv4.tcp_congestion_control")
            .then(|| "/proc/sys/net/ipv4/tcp_available_congestion_control".to_owned());
        self.file(Place::default(), path, choices, false, missing)
    }

    fn files(&self, pattern: &str, choices: Option<&str>, bracketed: bool) -> Vec<Finding> {
        let look = |(path, stars): (String, Vec<String>)| {
            let label = match stars.as_slice() {
                [] => String::new(),
                [number, ..] => format!("CPU {number}"),
            };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let choices = choices.map(|choices| format!("{folder}/{choices}"));
            self.file(Place { label, ..Place::default() }, path, choices, bracketed, "this kernel has no such file")
        };
        self.host.matching(pattern).into_iter().map(look).collect()
    }

    fn queues(&self, direction: &str, file: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        for device in &self.facts.devices {
            let folder = format!("/sys/class/net/{}/queues", device.name);
            for queue in self.host.list(&folder) {
                let number = queue.strip_prefix(direction).and_then(|rest| rest.strip_prefix('-')?.parse().ok());
                let Some(number) = number else { continue };
                let place =
                    Place { label: format!("{} {queue}", device.name), device: device.name.clone(), queue: number };
                findings.push(self.file(
                    place,
                    format!("{folder}/{queue}/{file}"),
                    None,
                    false,
                    "a card with one queue",
                ));
            }
        }
        findings
    }

    fn interrupts(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for device in &self.facts.devices {
            for interrupt in self.host.queue_interrupts(&device.name) {
                let label = format!("{} IRQ {} {}", device.name, interrupt.number, interrupt.action);
                let place = Place { label, device: device.name.clone(), queue: interrupt.queue };
                let path = format!("/proc/irq/{}/smp_affinity_list", interrupt.number);
                findings.push(self.file(place, path, None, false, "the interrupt has no such file"));
            }
        }
        findings
    }

    /// A file of the kernel, at one place.
    fn file(&self, place: Place, path: String, choices: Option<String>, bracketed: bool, missing: &str) -> Finding {
        let target = Target::File { path: path.clone(), bracketed };
        let now = match self.host.value_of(&target) {
            Ok(Some(now)) => now,
            Ok(None) => return self.absent(place, missing),
            Err(error) => return self.unreadable(place, &error),
        };
        let mut finding = self.compared(place, now, Standing::Differs);
        finding.target = Some(target);
        if finding.standing != Standing::Differs {
            return finding;
        }
        let known = choices.and_then(|choices| self.host.read(&choices).ok());
        let wanted = finding.goal.value_after(finding.now.as_deref().unwrap_or_default()).unwrap_or_default();
        if known.is_some_and(|known| !known.split_ascii_whitespace().any(|choice| choice == wanted)) {
            return Finding {
                standing: Standing::ByHand,
                note: Some(format!("this kernel offers no `{wanted}`: load its module, if there is one")),
                ..finding
            };
        }
        if rustix::process::geteuid().is_root() && !self.host.is_writable(&path) {
            finding.standing = Standing::ByHand;
            finding.note = Some("read-only here: set it outside this container or namespace".to_owned());
        }
        finding
    }

    fn ethtool(&self, device: &str, item: Item) -> Finding {
        let place = Place { label: device.to_owned(), device: device.to_owned(), queue: 0 };
        let shown = match self.host.ethtool_show(device, item) {
            Ok(Some(shown)) => shown,
            Ok(None) => return self.absent(place, "the card does not offer it"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.absent(place, "ethtool is not installed, which reads and sets it");
            }
            Err(error) => return self.unreadable(place, &error),
        };
        let mut finding = self.compared(place, shown.now, Standing::Differs);
        finding.target = Some(Target::Ethtool { device: device.to_owned(), item });
        if let Some(most) = shown.most
            && let Some(goal) = capped(&finding.goal, most)
        {
            let holds = finding.now.as_deref().is_some_and(|now| goal.holds(now));
            finding.standing = if holds { Standing::AsWanted } else { Standing::Differs };
            finding.note = Some(format!("{} is wished, {most} is the card's most", finding.goal));
            finding.goal = goal;
        }
        if shown.is_fixed && finding.standing == Standing::Differs {
            finding.standing = Standing::ByHand;
            finding.note = Some("the card has it so and no other way".to_owned());
        }
        finding
    }

    fn boot_parameter(&self, parameter: &str) -> Finding {
        let Ok(line) = self.host.read("/proc/cmdline") else {
            return self.absent(Place::default(), "the kernel's command line cannot be read");
        };
        let value =
            line.split_ascii_whitespace().rev().find_map(|word| word.strip_prefix(parameter)?.strip_prefix('='));
        let mut finding = self.compared(Place::default(), value.unwrap_or("not given").to_owned(), Standing::ByHand);
        if finding.standing == Standing::ByHand {
            finding.note = Some(format!("add {parameter}={} to the kernel's command line, and restart", finding.goal));
        }
        finding
    }

    fn process_limits(&self, row: &str) -> Vec<Finding> {
        let look = |pid: u32| {
            let place = Place { label: format!("pid {pid}"), ..Place::default() };
            match self.host.read(&format!("/proc/{pid}/limits")) {
                Ok(limits) => {
                    let values = limits.lines().find_map(|line| line.strip_prefix(row));
                    let soft = values.and_then(|values| values.split_ascii_whitespace().next()).unwrap_or("unknown");
                    let mut finding = self.compared(place, soft.to_owned(), Standing::ByHand);
                    if finding.standing == Standing::ByHand {
                        finding.note = Some("the unit's limit, once the service is started again".to_owned());
                    }
                    finding
                }
                Err(error) => self.unreadable(place, &error),
            }
        };
        self.host.processes("ringway").into_iter().map(look).collect()
    }

    fn program(&self, program: &str) -> Finding {
        let runs = !self.host.processes(program).is_empty();
        let now = if runs { "running" } else { "not running" };
        let mut finding = self.compared(Place::default(), now.to_owned(), Standing::ByHand);
        if finding.standing == Standing::ByHand {
            finding.note = Some(format!("stop it: systemctl disable --now {program}"));
        }
        finding
    }

    fn dma_latency(&self) -> Finding {
        match self.host.read_bytes::<4>("/dev/cpu_dma_latency") {
            Ok(bytes) => self.compared(Place::default(), i32::from_ne_bytes(bytes).to_string(), Standing::ByHand),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.absent(Place::default(), "this kernel has no such device")
            }
            Err(error) => self.unreadable(Place::default(), &error),
        }
    }

    fn unit(&self, directive: &str) -> Finding {
        match Unit::of(self.host) {
            Some(unit) => {
                let now = unit.value(directive).unwrap_or("not given").to_owned();
                self.compared(Place::default(), now, Standing::NeedsDropIn)
            }
            None => self.absent(Place::default(), "no ringway.service is installed"),
        }
    }

    /// A finding for the value `now`; `otherwise` is how it stands if that is not as wanted.
    fn compared(&self, place: Place, now: String, otherwise: Standing) -> Finding {
        let goal = self.wanted.on(self.facts, &place);
        let standing = match &goal {
            Goal::Leave => Standing::NoWish,
            goal if goal.holds(&now) => Standing::AsWanted,
            _ => otherwise,
        };
        Finding { knob: self.knob, place, target: None, now: Some(now), goal, standing, note: None }
    }

    fn absent(&self, place: Place, why: &str) -> Finding {
        self.without_value(place, Standing::Absent, why.to_owned())
    }

    fn unreadable(&self, place: Place, error: &io::Error) -> Finding {
        self.without_value(place, Standing::Unreadable, error.to_string())
    }

    fn without_value(&self, place: Place, standing: Standing, note: String) -> Finding {
        let goal = self.wanted.on(self.facts, &place);
        Finding { knob: self.knob, place, target: None, now: None, goal, standing, note: Some(note) }
    }
}

/// The goal that a card can reach, if it cannot reach this one.
fn capped(goal: &Goal, most: u64) -> Option<Goal> {
    match goal {
        Goal::AtLeast(least) if *least > most => Some(Goal::AtLeast(most)),
        Goal::Exactly(value) if value.parse::<u64>().is_ok_and(|value| value > most) => {
            Some(Goal::Exactly(most.to_string().into()))
        }
        _ => None,
    }
}

impl Host {
    /// The value of `target`, without a newline at its end; `Ok(None)` where there is no such thing.
    ///
    /// # Errors
    /// As reading gives them.
    pub fn value_of(&self, target: &Target) -> io::Result<Option<String>> {
        let read = match target {
            Target::Ethtool { device, .. } if !self.has(&format!("/sys/class/net/{device}")) => Ok(None),
            Target::Ethtool { device, item } => {
                return match self.ethtool_show(device, *item) {
                    // The card has the value still, whoever could read it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        Err(io::Error::other("ethtool is not installed"))
                    }
                    shown => shown.map(|shown| shown.map(|shown| shown.now)),
                };
            }
            Target::Document { path } => self.read(path).map(Some),
            Target::File { path, bracketed } => self.read(path).map(|text| {
                let text = text.trim_end_matches('\n');
                let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(chosen, _)| chosen);
                Some(chosen.filter(|_| *bracketed).unwrap_or(text).to_owned())
            }),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read,
        }
    }
}
