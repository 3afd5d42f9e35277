//! What a knob is. The table of all knobs stands under `knobs/`, a file an area.

use clap::ValueEnum;
use serde::Serialize;

use crate::goal::Goal;
use crate::host::ethtool::Item;

/// One setting of a host: how it is read and set, what it ought to be and why, and what that costs.
#[derive(Debug)]
pub struct Knob {
    /// Its name: a sysctl's own, or `area.setting`.
    pub name: &'static str,
    /// Which part of the host it belongs to.
    pub area: Area,
    /// What it is, in one line.
    pub what: &'static str,
    /// How it is read and set.
    pub access: Access,
    /// What it ought to be.
    pub wanted: Wanted,
    /// Why Ringway gains by it, or why it is left alone.
    pub why: &'static str,
    /// What the wanted value costs.
    pub cost: &'static str,
    /// Where the kernel, an RFC or a manual tells about it.
    pub source: &'static str,
    /// What shows its effect.
    pub effect: Effect,
}

/// A part of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Kernel parameters under /proc/sys.
    Sysctl,
    /// Network cards: queues, interrupts, rings, offloads.
    Nic,
    /// Frequency, idle states, isolation.
    Cpu,
    /// Bounds on descriptors, memory and pipes.
    Limits,
    /// Huge pages and reclaim.
    Memory,
    /// Ringway's unit.
    Systemd,
}

impl Area {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] = [Self::Sysctl, Self::Nic, Self::Cpu, Self::Limits, Self::Memory, Self::Systemd];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sysctl => "sysctl",
            Self::Nic => "nic",
            Self::Cpu => "cpu",
            Self::Limits => "limits",
            Self::Memory => "memory",
            Self::Systemd => "systemd",
        }
    }

    /// Its heading in reports.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Sysctl => "network and kernel (sysctl)",
            Self::Nic => "network cards (nic)",
            Self::Cpu => "processors (cpu)",
            Self::Limits => "limits (limits)",
            Self::Memory => "memory (memory)",
            Self::Systemd => "Ringway's unit (systemd)",
        }
    }
}

/// What the host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A machine for Ringway: most requests and bytes for its CPU time
    Throughput,
    /// A machine for Ringway: short and even response times, at the price of power and some throughput
    Latency,
    /// Hundreds of thousands of mostly idle clients from the Internet
    ManyConnections,
    /// A machine for many things: only what keeps Ringway from failing, nothing that costs battery
    Laptop,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Throughput, Self::Latency, Self::ManyConnections, Self::Laptop];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::ManyConnections => "many-connections",
            Self::Laptop => "laptop",
        }
    }
}

/// The goal of each profile.
#[derive(Debug)]
pub struct Wanted {
    /// [`Profile::Throughput`]
    pub throughput: Goal,
    /// [`Profile::Latency`]
    pub latency: Goal,
    /// [`Profile::ManyConnections`]
    pub many_connections: Goal,
    /// [`Profile::Laptop`]
    pub laptop: Goal,
}

impl Wanted {
    /// No profile has a wish: the knob is there to be explained.
    pub const NOTHING: Self =
        Self { throughput: Goal::Leave, latency: Goal::Leave, many_connections: Goal::Leave, laptop: Goal::Leave };

    /// The goal of `profile`.
    #[must_use]
    pub fn by(&self, profile: Profile) -> &Goal {
        match profile {
            Profile::Throughput => &self.throughput,
            Profile::Latency => &self.latency,
            Profile::ManyConnections => &self.many_connections,
            Profile::Laptop => &self.laptop,
        }
    }
}

/// How a knob is read and set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The file of that name under /proc/sys. A namespaced one belongs to the network namespace and not to the machine.
    Sysctl {
        /// Whether each network namespace has its own.
        namespaced: bool,
    },
    /// Every file that fits a pattern, in which `*` stands for a part of one path element.
    File {
        /// From the root, beginning with a slash.
        pattern: &'static str,
        /// A file beside it that lists the values which the kernel knows.
        choices: Option<&'static str>,
        /// Whether the file shows all choices, the one in force in brackets.
        bracketed: bool,
    },
    /// A setting of each network card, through the ethtool program.
    Ethtool(Item),
    /// A file of each receive or transmit queue of each network card.
    Queue {
        /// `rx` or `tx`.
        direction: &'static str,
        /// Its name in the queue's folder.
        file: &'static str,
    },
    /// The CPU list of each interrupt that belongs to a queue of a network card.
    QueueInterrupt,
    /// A parameter of the kernel's command line. It is explained and compared, never set.
    BootParameter(&'static str),
    /// The limit of each running Ringway, a row of /proc/PID/limits. It is compared; the unit sets it.
    ProcessLimit(&'static str),
    /// Whether a program runs that would work against this. It is compared, never stopped.
    Program(&'static str),
    /// What /dev/cpu_dma_latency holds, in µs. Only a process that keeps the file open can change it.
    DmaLatency,
    /// A directive of ringway.service, its drop-ins included. Set by a drop-in.
    Unit(&'static str),
}

impl Access {
    /// How it is read and set, in words.
    #[must_use]
    pub fn described(self, name: &str) -> String {
        match self {
            Self::Sysctl { namespaced: true } => {
                format!("/proc/sys/{}, of this network namespace", name.replace('.', "/"))
            }
            Self::Sysctl { namespaced: false } => format!("/proc/sys/{}, of the whole machine", name.replace('.', "/")),
            Self::File { pattern, .. } => pattern.to_owned(),
            Self::Ethtool(item) => {
                format!("`ethtool {} DEVICE` and `ethtool {} DEVICE {} VALUE`", item.show(), item.set(), item.word())
            }
            Self::Queue { direction, file } => format!("/sys/class/net/DEVICE/queues/{direction}-*/{file}"),
            Self::QueueInterrupt => "/proc/irq/*/smp_affinity_list, of the interrupts of a card's queues".to_owned(),
            Self::BootParameter(parameter) => {
                format!("`{parameter}=` of the kernel's command line; compared, and never set by this tool")
            }
            Self::ProcessLimit(row) => {
                format!("`{row}` in /proc/PID/limits of each running ringway; compared, the unit sets it")
            }
            Self::Program(program) => format!("whether `{program}` runs; never stopped by this tool"),
            Self::DmaLatency => {
                "/dev/cpu_dma_latency; compared, since only a process that holds it open can set it".to_owned()
            }
            Self::Unit(directive) => format!("`{directive}=` of ringway.service; set by a drop-in, with --persist"),
        }
    }
}

/// What shows a knob's effect.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// A run that is kept under perf/runs.
    Run {
        /// Its folder there.
        folder: &'static str,
        /// What it showed.
        shows: &'static str,
    },
    /// Nothing that was measured, and why.
    NotShown(&'static str),
}
