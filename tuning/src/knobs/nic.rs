//! Network cards: queues as many as shards, each on its shard's core.

use std::borrow::Cow;

use crate::goal::{Goal, Place};
use crate::host::Facts;
use crate::host::ethtool::Item;
use crate::knob::{Access, Area, Effect, Knob, Wanted};

const NOT_HERE: Effect = Effect::NotShown("all measurements here run over loopback, which has no card");

pub(super) const KNOBS: &[Knob] = &[
    // First: changing it makes and removes the queues and interrupts that others are about.
    Knob {
        name: "nic.queues",
        area: Area::Nic,
        what: "queues of a card that receive and send",
        access: Access::Ethtool(Item::CombinedChannels),
        wanted: on_servers("as many as shards, or as the card can", |facts, _| {
            Goal::Exactly(Cow::Owned(facts.shards.max(1).to_string()))
        }),
        why: "A queue is worked on by one core at a time: with fewer than shards one core takes the interrupts of all. With more, cores \
              outside Ringway's work for it.",
        cost: "The link stops for a moment while the card sets itself up again.",
        source: "Documentation/networking/scaling.rst (RSS); ethtool(8), -L",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.irq_affinity",
        area: Area::Nic,
        what: "the CPU that a queue's interrupts go to",
        access: Access::QueueInterrupt,
        wanted: on_servers("queue N to the CPU of shard N", |facts, place| {
            Goal::Exactly(Cow::Owned(facts.cpu_of(place.queue).to_string()))
        }),
        why: "Packets are worked on where the interrupt comes: spread evenly, no core is full before the others. irqbalance moves them by \
              guess.",
        cost: "A core that is busy with something else keeps its interrupts. Interrupts that the driver manages cannot be moved: the \
               kernel refuses.",
        source: "Documentation/core-api/irq/irq-affinity.rst; Documentation/networking/scaling.rst",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.xps",
        area: Area::Nic,
        what: "the CPUs that send through a transmit queue",
        access: Access::Queue { direction: "tx", file: "xps_cpus" },
        wanted: on_servers("queue N for the CPUs of the shards N, N + queues, …", |facts, place| {
            let queues = facts.device(&place.device).map_or(1, |device| device.tx_queues.max(1));
            let mut cpus: Vec<u32> = facts.shard_cpus().into_iter().skip(place.queue).step_by(queues).collect();
            cpus.sort_unstable();
            Goal::Cpus(cpus)
        }),
        why: "A shard that has a transmit queue to itself takes no lock that another core holds, and frees its packets on its own core.",
        cost: "A core's packets never use another queue, however empty.",
        source: "Documentation/networking/scaling.rst (XPS)",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.rps",
        area: Area::Nic,
        what: "the CPUs that work on what a receive queue brings, other than the one interrupted",
        access: Access::Queue { direction: "rx", file: "rps_cpus" },
        wanted: on_servers(
            "all shards' CPUs where the card has fewer queues than there are shards, else none",
            |facts, place| {
                let queues = facts.device(&place.device).map_or(1, |device| device.rx_queues);
                let mut cpus = if queues < facts.shards { facts.shard_cpus() } else { Vec::new() };
                cpus.sort_unstable();
                Goal::Cpus(cpus)
            },
        ),
        why: "One queue for many shards fills one core with the protocol's work; RPS deals it out by connection. With a queue for each \
              shard the card does that for nothing.",
        cost: "An interrupt from core to core for packets that move: more CPU a request, so that a machine far below its limit is \
               better off without.",
        source: "Documentation/networking/scaling.rst (RPS)",
        effect: NOT_HERE,
    },
    Knob {
        name: "net.core.rps_sock_flow_entries",
        area: Area::Nic,
        what: "connections whose CPU is remembered, so that packets are worked on where they are read (RFS)",
        access: Access::Sysctl { namespaced: false },
        wanted: on_servers(">= 32768 where a card has fewer queues than there are shards, else left", |facts, _| {
            let few = facts.devices.iter().any(|device| device.rx_queues < facts.shards);
            if few { Goal::AtLeast(32_768) } else { Goal::Leave }
        }),
        why: "A connection belongs to one shard. RFS sends its packets to that shard's core, where RPS alone takes any.",
        cost: "A table of 4 bytes an entry; a look into it for each packet.",
        source: "Documentation/networking/scaling.rst (RFS)",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.rfs",
        area: Area::Nic,
        what: "the share of a receive queue in that table",
        access: Access::Queue { direction: "rx", file: "rps_flow_cnt" },
        wanted: on_servers(">= 32768 over all queues where there are fewer than shards, else left", |facts, place| {
            match facts.device(&place.device).map_or(1, |device| device.rx_queues.max(1)) {
                queues if queues < facts.shards => {
                    Goal::AtLeast((32_768 / queues as u64).checked_next_power_of_two().unwrap_or(32_768))
                }
                _ => Goal::Leave,
            }
        }),
        why: "Without it net.core.rps_sock_flow_entries does nothing.",
        cost: "16 bytes an entry.",
        source: "Documentation/networking/scaling.rst (RFS)",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.rx_ring",
        area: Area::Nic,
        what: "packets that a receive ring holds until they are worked on",
        access: Access::Ethtool(Item::RxRing),
        wanted: Wanted {
            throughput: Goal::AtLeast(2048),
            latency: Goal::Leave,
            many_connections: Goal::AtLeast(2048),
            laptop: Goal::Leave,
        },
        why: "A core that is busy for a millisecond at ten gigabits has a thousand full packets waiting; beyond the ring they are lost \
              (`rx_missed` or `rx_no_buffer` in `ethtool -S`).",
        cost: "Memory for each queue, and a ring that no longer fits the cache: each packet costs a little more. The link stops for a \
               moment.",
        source: "ethtool(8), -G",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.tx_ring",
        area: Area::Nic,
        what: "packets that a transmit ring holds until they are sent",
        access: Access::Ethtool(Item::TxRing),
        wanted: Wanted::NOTHING,
        why: "Byte queue limits keep the ring as short as the link needs, whatever its length.",
        cost: "None, as nothing is wished.",
        source: "ethtool(8), -G; Documentation/ABI/testing/sysfs-class-net-queues (byte_queue_limits)",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.adaptive_rx",
        area: Area::Nic,
        what: "whether the card chooses by its load how long it gathers packets before it interrupts",
        access: Access::Ethtool(Item::AdaptiveRx),
        wanted: Wanted {
            throughput: Goal::exactly("on"),
            latency: Goal::exactly("off"),
            many_connections: Goal::exactly("on"),
            laptop: Goal::Leave,
        },
        why: "Few interrupts under load, quick ones when it is quiet. For even response times a fixed, short wait is better: the change \
              itself shows in the tail.",
        cost: "On: up to tens of µs at the changes of load. Off: more interrupts at high load.",
        source: "ethtool(8), -C; Documentation/networking/ethtool-netlink.rst (COALESCE_SET)",
        effect: NOT_HERE,
    },
    Knob {
        name: "nic.rx_usecs",
        area: Area::Nic,
        what: "µs for which the card gathers packets before it interrupts",
        access: Access::Ethtool(Item::RxUsecs),
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::AtMost(8),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "It is part of each response time, twice for a proxied one.",
        cost: "Up to 125,000 interrupts a second and queue: CPU that requests no longer have.",
        source: "ethtool(8), -C",
        effect: NOT_HERE,
    },
    offload("nic.gro", Item::Gro, "whether packets of one connection are joined before the protocol sees them (GRO)"),
    offload("nic.gso", Item::Gso, "whether the kernel sends large pieces and cuts them late (GSO)"),
    offload("nic.tso", Item::Tso, "whether the card cuts large pieces into packets (TSO)"),
];

const fn offload(name: &'static str, item: Item, what: &'static str) -> Knob {
    Knob {
        name,
        area: Area::Nic,
        what,
        access: Access::Ethtool(item),
        wanted: ON,
        why: "The protocol's work is paid by the packet: 64 KiB at once instead of 45 packets. It is on unless somebody turned it off.",
        cost: "None that a proxy sees. Bugs of drivers are the usual reason to turn it off: if so, leave it (--only).",
        source: "Documentation/networking/segmentation-offloads.rst",
        effect: NOT_HERE,
    }
}

/// A rule for all profiles of machines that Ringway has to itself. A laptop's card saves power in ways of its own.
const fn on_servers(rule: &'static str, compute: fn(&Facts, &Place) -> Goal) -> Wanted {
    Wanted {
        throughput: Goal::ByHost { rule, compute },
        latency: Goal::ByHost { rule, compute },
        many_connections: Goal::ByHost { rule, compute },
        laptop: Goal::Leave,
    }
}

const ON: Wanted = Wanted {
    throughput: Goal::exactly("on"),
    latency: Goal::exactly("on"),
    many_connections: Goal::exactly("on"),
    laptop: Goal::Leave,
};
