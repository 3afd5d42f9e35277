//! Frequency, idle states, isolation.

use crate::goal::{Goal, list_of_cpus};
use crate::knob::{Access, Area, Effect, Knob, Wanted};

const NO_CPUFREQ: Effect = Effect::NotShown("a virtual machine: the host beneath sets its frequency");

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "cpu.governor",
        area: Area::Cpu,
        what: "who chooses a CPU's frequency",
        access: Access::File {
            pattern: "/sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
            choices: Some("scaling_available_governors"),
            bracketed: false,
        },
        wanted: Wanted {
            throughput: Goal::exactly("performance"),
            latency: Goal::exactly("performance"),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "A shard that sleeps between requests looks idle: governors that follow the load lower the frequency, and the next request is \
              served slowly. Measurements, too, need one frequency.",
        cost: "Power, heat and fan noise; with all cores at full frequency single ones reach a lower turbo.",
        source: "Documentation/admin-guide/pm/cpufreq.rst",
        effect: NO_CPUFREQ,
    },
    Knob {
        name: "cpu.energy_preference",
        area: Area::Cpu,
        what: "what the processor itself prefers, speed or energy (EPP)",
        access: Access::File {
            pattern: "/sys/devices/system/cpu/cpufreq/policy*/energy_performance_preference",
            choices: Some("energy_performance_available_preferences"),
            bracketed: false,
        },
        wanted: Wanted {
            throughput: Goal::exactly("performance"),
            latency: Goal::exactly("performance"),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "With intel_pstate or amd-pstate in active mode the processor chooses its frequency, and this is the word that it hears.",
        cost: "Power, as cpu.governor. Under intel_pstate's `performance` governor it is fixed, and writing it is refused.",
        source: "Documentation/admin-guide/pm/intel_pstate.rst; Documentation/admin-guide/pm/amd-pstate.rst",
        effect: NO_CPUFREQ,
    },
    Knob {
        name: "cpu.resume_latency",
        area: Area::Cpu,
        what: "µs that a CPU may need to wake up (0: any; n/a: none at all)",
        access: Access::File {
            pattern: "/sys/devices/system/cpu/cpu*/power/pm_qos_resume_latency_us",
            choices: None,
            bracketed: false,
        },
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::OneOf(&["20", "10", "5", "2", "1", "n/a"]),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "Deep idle states take 100 µs and more to leave, which the first request after a pause pays. This bound stays without a \
              process that holds a file open, CPU by CPU.",
        cost: "Much power at idle, and less turbo for busy cores: their neighbours no longer sleep.",
        source: "Documentation/ABI/testing/sysfs-devices-power (pm_qos_resume_latency_us); Documentation/admin-guide/pm/cpuidle.rst",
        effect: Effect::NotShown(
            "a virtual machine: its one idle state is left in 1 µs, and the host beneath has its own",
        ),
    },
    Knob {
        name: "cpu.dma_latency",
        area: Area::Cpu,
        what: "the bound on wake-up time, in µs, that programs hold in force for all CPUs",
        access: Access::DmaLatency,
        wanted: Wanted::NOTHING,
        why: "The older way to keep CPUs from deep idle states: it holds only as long as a process keeps /dev/cpu_dma_latency open \
              (`tuned` does). cpu.resume_latency needs no such process; what others hold is shown here.",
        cost: "As cpu.resume_latency.",
        source: "Documentation/admin-guide/pm/cpuidle.rst (power management quality of service)",
        effect: Effect::NotShown("a virtual machine: its one idle state is left in 1 µs"),
    },
    Knob {
        name: "cpu.nohz_full",
        area: Area::Cpu,
        what: "CPUs without a clock tick while one thread runs",
        access: Access::BootParameter("nohz_full"),
        wanted: OFF_HOUSEKEEPING,
        why: "A shard alone on its core is interrupted a thousand times a second for nothing. It takes effect while one thread alone wants \
              the core.",
        cost: "Each system call and interrupt costs more, by accounting of time: throughput falls. The first CPUs do the housekeeping for \
               all, and shards there are worse off: set `shards.count` and give them the other cores.",
        source: "Documentation/timers/no_hz.rst; Documentation/admin-guide/kernel-parameters.txt (nohz_full)",
        effect: Effect::NotShown("it needs a restart, and more than two cores"),
    },
    Knob {
        name: "cpu.rcu_nocbs",
        area: Area::Cpu,
        what: "CPUs whose deferred kernel work is done on others",
        access: Access::BootParameter("rcu_nocbs"),
        wanted: OFF_HOUSEKEEPING,
        why: "RCU's callbacks run in bursts on the core where memory was freed, in the middle of a shard's work.",
        cost: "Threads on the housekeeping CPUs do that work, with a wake-up each.",
        source: "Documentation/admin-guide/kernel-parameters.txt (rcu_nocbs)",
        effect: Effect::NotShown("it needs a restart, and more than two cores"),
    },
    Knob {
        name: "cpu.isolcpus",
        area: Area::Cpu,
        what: "CPUs on which the scheduler puts nothing by itself",
        access: Access::BootParameter("isolcpus"),
        wanted: Wanted::NOTHING,
        why: "Shards are pinned and would run there; but the worker's other threads are not, and a cpuset (`AllowedCPUs=` of other slices) \
              keeps strangers away without a restart.",
        cost: "None, as nothing is wished. With it, cores stand idle whenever Ringway does.",
        source: "Documentation/admin-guide/kernel-parameters.txt (isolcpus); systemd.resource-control(5)",
        effect: Effect::NotShown("it needs a restart"),
    },
    Knob {
        name: "cpu.irqbalance",
        area: Area::Cpu,
        what: "whether irqbalance moves interrupts between CPUs",
        access: Access::Program("irqbalance"),
        wanted: Wanted {
            throughput: Goal::exactly("not running"),
            latency: Goal::exactly("not running"),
            many_connections: Goal::exactly("not running"),
            laptop: Goal::Leave,
        },
        why: "It undoes nic.irq_affinity within ten seconds. `systemctl disable --now irqbalance`, or have it leave the card's interrupts \
              alone (`--banirq`).",
        cost: "Interrupts of disks and others stay where the kernel put them.",
        source: "irqbalance(1)",
        effect: Effect::NotShown("it does not run here, and all measurements run over loopback"),
    },
    Knob {
        name: "cpu.smt",
        area: Area::Cpu,
        what: "whether each core shows itself as two CPUs",
        access: Access::File { pattern: "/sys/devices/system/cpu/smt/control", choices: None, bracketed: false },
        wanted: Wanted::NOTHING,
        why: "Two shards on one core share its caches and units: together they serve more than one, each of them more slowly and less \
              evenly. For latency try a shard for each core first (`shards.count`, and which cores those are) before you take the CPUs away.",
        cost: "None, as nothing is wished. Turned off, up to a quarter of the throughput is gone.",
        source: "Documentation/ABI/testing/sysfs-devices-system-cpu (smt); Documentation/admin-guide/hw-vuln/core-scheduling.rst",
        effect: Effect::NotShown("this machine's CPUs do not show their siblings"),
    },
];

/// CPUs that keep the kernel's own work on machines with at least [`ISOLATION_CPUS_MIN`].
const HOUSEKEEPING_CPUS: usize = 2;
/// Below it the cores that housekeeping takes are worth more to shards.
const ISOLATION_CPUS_MIN: usize = 8;

/// What only the latency profile asks for.
const OFF_HOUSEKEEPING: Wanted = Wanted {
    throughput: Goal::Leave,
    latency: Goal::ByHost {
        rule: "all CPUs but the first two, on machines with eight or more",
        compute: |facts, _| match facts.cpus.get(HOUSEKEEPING_CPUS..) {
            Some(others) if facts.cpus.len() >= ISOLATION_CPUS_MIN => Goal::Exactly(list_of_cpus(others).into()),
            _ => Goal::Leave,
        },
    },
    many_connections: Goal::Leave,
    laptop: Goal::Leave,
};
