//! Kernel parameters of the network and of the scheduler.

use crate::goal::Goal;
use crate::knob::{Access, Area, Effect, Knob, Wanted};

const NAMESPACED: Access = Access::Sysctl { namespaced: true };
const MACHINE: Access = Access::Sysctl { namespaced: false };

/// Loopback has neither loss nor distance nor a bound on its rate.
const NEEDS_A_WAN: Effect = Effect::NotShown("it needs distance or loss between the ends; loopback has neither");
/// The others on this machine would be concerned.
const MACHINES: Effect = Effect::NotShown("it is the whole machine's, and is not changed here for a test");

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "net.core.somaxconn",
        area: Area::Sysctl,
        what: "connections that may wait in a listening socket to be accepted",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::AtLeast(4096),
            latency: Goal::AtLeast(4096),
            many_connections: Goal::AtLeast(65_535),
            laptop: Goal::AtLeast(4096),
        },
        why: "What a listener asks for (`backlog`, 4096 unless configured) is cut to this. When the queue is full the kernel drops the \
              handshake, and the client tries again after a second.",
        cost: "Memory only for connections that wait. A long queue hides overload: clients wait in it instead of being refused.",
        source: "Documentation/networking/ip-sysctl.rst (somaxconn); listen(2)",
        effect: Effect::Run {
            folder: SOMAXCONN_RUN,
            shows: "2,000 connections at once to a shard that is stopped for 0.3 s: with 128 nine of ten are answered after a second or more, with \
                    1024 up to half of them, with 4096 none (the last after 0.48 s)",
        },
    },
    Knob {
        name: "net.ipv4.tcp_max_syn_backlog",
        area: Area::Sysctl,
        what: "half-open connections of a listener before SYN cookies begin",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::AtLeast(8192),
            latency: Goal::AtLeast(8192),
            many_connections: Goal::AtLeast(65_536),
            laptop: Goal::Leave,
        },
        why: "Clients far away leave a handshake open for a round trip; a burst of them beyond this gets SYN cookies, which lose window \
              scaling and SACK where timestamps are off.",
        cost: "About 300 bytes of kernel memory for each half-open connection, which a SYN flood can fill; cookies take over beyond it.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_max_syn_backlog); RFC 4987 §3.2",
        effect: NEEDS_A_WAN,
    },
    Knob {
        name: "net.ipv4.tcp_syncookies",
        area: Area::Sysctl,
        what: "whether a full queue of half-open connections is answered with SYN cookies",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::exactly("1"),
            latency: Goal::exactly("1"),
            many_connections: Goal::exactly("1"),
            laptop: Goal::exactly("1"),
        },
        why: "Without them a SYN flood shuts the listener for everybody. 2 would send them always, which costs options for nothing.",
        cost: "A hash for each SYN while a flood lasts.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_syncookies); RFC 4987 §3.6",
        effect: Effect::NotShown("it needs a flood with forged addresses"),
    },
    Knob {
        name: "net.core.netdev_max_backlog",
        area: Area::Sysctl,
        what: "packets that may wait for a CPU's protocol processing",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(16_384),
            latency: Goal::AtLeast(4096),
            many_connections: Goal::AtLeast(16_384),
            laptop: Goal::Leave,
        },
        why: "Where packets change CPUs (RPS, RFS, loopback, veth) they wait here, and are dropped beyond it: the second column of \
              /proc/net/softnet_stat counts them.",
        cost: "Packets that wait longer instead of being lost: a later round-trip time, and their memory.",
        source: "Documentation/admin-guide/sysctl/net.rst (netdev_max_backlog)",
        effect: MACHINES,
    },
    Knob {
        name: "net.core.netdev_budget",
        area: Area::Sysctl,
        what: "packets that one round of network interrupts may take before others get the CPU",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(600),
            latency: Goal::Leave,
            many_connections: Goal::AtLeast(600),
            laptop: Goal::Leave,
        },
        why: "A full budget hands the rest to ksoftirqd, which competes with the shard on the same core; the third column of \
              /proc/net/softnet_stat counts that.",
        cost: "The shard waits longer for its core while packets come in a burst.",
        source: "Documentation/admin-guide/sysctl/net.rst (netdev_budget)",
        effect: MACHINES,
    },
    Knob {
        name: "net.core.default_qdisc",
        area: Area::Sysctl,
        what: "queueing discipline of network cards that come up from now on",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::OneOf(&["fq", "fq_codel"]),
            latency: Goal::OneOf(&["fq", "fq_codel"]),
            many_connections: Goal::exactly("fq"),
            laptop: Goal::Leave,
        },
        why: "fq sends each connection's packets in turn and paces them itself: one download does not hold up short answers, and BBR \
              needs no timer for each socket.",
        cost: "A little CPU for each packet over pfifo_fast. Cards that are up keep theirs until `tc qdisc replace` or a restart; a \
               kernel without the module uses what it has.",
        source: "Documentation/admin-guide/sysctl/net.rst (default_qdisc); tc-fq(8)",
        effect: Effect::NotShown("loopback has no queueing discipline"),
    },
    Knob {
        name: "net.core.rmem_max",
        area: Area::Sysctl,
        what: "the largest receive buffer that a program may set by SO_RCVBUF",
        access: MACHINE,
        wanted: Wanted::NOTHING,
        why: "Ringway sets no buffer sizes: TCP sizes them by itself within tcp_rmem, which this does not bound. Raising it changes \
              nothing here.",
        cost: "None, as nothing is wished.",
        source: "Documentation/admin-guide/sysctl/net.rst (rmem_max); tcp(7)",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "net.core.wmem_max",
        area: Area::Sysctl,
        what: "the largest send buffer that a program may set by SO_SNDBUF",
        access: MACHINE,
        wanted: Wanted::NOTHING,
        why: "As net.core.rmem_max: Ringway sets no buffer sizes, and tcp_wmem alone bounds what TCP chooses.",
        cost: "None, as nothing is wished.",
        source: "Documentation/admin-guide/sysctl/net.rst (wmem_max); tcp(7)",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "net.ipv4.tcp_rmem",
        area: Area::Sysctl,
        what: "receive buffer of a TCP connection: least, at first, most, in bytes",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::each_at_least(&[4096, 131_072, 16_777_216]),
            latency: Goal::Leave,
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "A connection receives no faster than this over its round-trip time: 6 MiB, the usual bound, is 0.5 Gbit/s at 100 ms, and \
              16 MiB is 1.3 Gbit/s. It matters for uploads and far upstreams.",
        cost: "A fast sender and a slow other side let a connection hold that much kernel memory, within tcp_mem.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_rmem); RFC 7323 §2.2",
        effect: NEEDS_A_WAN,
    },
    Knob {
        name: "net.ipv4.tcp_wmem",
        area: Area::Sysctl,
        what: "send buffer of a TCP connection: least, at first, most, in bytes",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::each_at_least(&[4096, 16_384, 16_777_216]),
            latency: Goal::Leave,
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "What is not acknowledged yet has to fit: 4 MiB, the usual bound, is 0.3 Gbit/s to a client 100 ms away.",
        cost: "A slow client can hold that much kernel memory, within tcp_mem; tcp_notsent_lowat keeps it to what is under way.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_wmem)",
        effect: NEEDS_A_WAN,
    },
    Knob {
        name: "net.ipv4.tcp_mem",
        area: Area::Sysctl,
        what: "memory of all TCP connections: no care below, pressure above, never more; in pages",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::Leave,
            many_connections: Goal::ByHost {
                rule: "an eighth, a sixth, a quarter of memory",
                compute: |facts, _| {
                    let pages = facts.memory_bytes / rustix::param::page_size() as u64;
                    if pages == 0 {
                        Goal::Leave
                    } else {
                        Goal::EachAtLeast(vec![pages / 8, pages / 6, pages / 4].into())
                    }
                },
            },
            laptop: Goal::Leave,
        },
        why: "Above the second number the kernel shrinks the window of every connection, above the third it drops what it cannot hold \
              (`TCP: out of memory` in its log). The kernel's own choice is a tenth, an eighth and a fifth of memory.",
        cost: "That share of memory may go to the buffers of clients that do not read.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_mem)",
        effect: Effect::NotShown("a process here has too few descriptors to fill that much memory"),
    },
    Knob {
        name: "net.ipv4.tcp_fin_timeout",
        area: Area::Sysctl,
        what: "seconds that a closed connection waits for the other side to close too",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::Leave,
            many_connections: Goal::AtMost(30),
            laptop: Goal::Leave,
        },
        why: "Clients that vanish leave connections that nobody owns in FIN-WAIT-2, for 60 s by default. It does not shorten TIME-WAIT, \
              which is 60 s and fixed.",
        cost: "A client that takes longer to end its side gets a reset.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_fin_timeout)",
        effect: Effect::NotShown("it needs clients that vanish without a word"),
    },
    Knob {
        name: "net.ipv4.tcp_max_tw_buckets",
        area: Area::Sysctl,
        what: "connections that may stand in TIME-WAIT",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::AtLeast(262_144),
            latency: Goal::Leave,
            many_connections: Goal::AtLeast(1_048_576),
            laptop: Goal::Leave,
        },
        why: "Beyond it the kernel forgets them early (`TCP: time wait bucket table overflow`), and late segments of an old connection \
              may be taken for a new one's. With 4,000 closed connections a second 262,144 hold their 60 s.",
        cost: "About 250 bytes of kernel memory for each.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_max_tw_buckets); RFC 9293 §3.6.1",
        effect: Effect::NotShown("what it prevents is rare by nature: a segment older than its connection"),
    },
    Knob {
        name: "net.ipv4.tcp_tw_reuse",
        area: Area::Sysctl,
        what: "whether a new connection to a server may take a port that stands in TIME-WAIT",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::exactly("1"),
            latency: Goal::Leave,
            many_connections: Goal::exactly("1"),
            laptop: Goal::Leave,
        },
        why: "Where Ringway is the first to close a connection to an upstream (an idle one, one that failed), its port stands in \
              TIME-WAIT for 60 s: the default's 28,232 ports are 470 such connections a second to one server. The default, 2, \
              allows it on loopback alone. Clients are not concerned: Ringway connects to upstreams only.",
        cost: "It relies on TCP timestamps at both ends; without them nothing is reused.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_tw_reuse); RFC 6191 §2",
        effect: Effect::NotShown("on loopback the default allows it already"),
    },
    Knob {
        name: "net.ipv4.ip_local_port_range",
        area: Area::Sysctl,
        what: "ports for connections to upstreams, first and last",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::Span(10_240, 65_535),
            latency: Goal::Span(10_240, 65_535),
            many_connections: Goal::Span(10_240, 65_535),
            laptop: Goal::Leave,
        },
        why: "One port for each connection to the same server: 28,232 by default, 55,296 so. Beyond it connects fail with *Cannot assign \
              requested address*, a 502 to the client. Keep-alive to upstreams is the better cure.",
        cost: "A service that listens between 10240 and 32767 may find its port taken when it starts: name it in \
               net.ipv4.ip_local_reserved_ports.",
        source: "Documentation/networking/ip-sysctl.rst (ip_local_port_range); RFC 6056 §3.2",
        effect: Effect::NotShown("a process here has 20,000 descriptors, fewer than the default has ports"),
    },
    Knob {
        name: "net.ipv4.tcp_slow_start_after_idle",
        area: Area::Sysctl,
        what: "whether a connection that rested begins slowly again",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::exactly("0"),
            latency: Goal::exactly("0"),
            many_connections: Goal::exactly("0"),
            laptop: Goal::Leave,
        },
        why: "A kept connection that rested for one retransmission time-out falls back to ten segments; its next large answer takes \
              several round trips more.",
        cost: "A burst into a path whose state is no longer known: some loss after a change.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_slow_start_after_idle); RFC 5681 §4.1, RFC 7661",
        effect: NEEDS_A_WAN,
    },
    Knob {
        name: "net.ipv4.tcp_notsent_lowat",
        area: Area::Sysctl,
        what: "bytes not yet sent beyond which a socket takes no more, in bytes",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::Leave,
            many_connections: Goal::AtMost(131_072),
            laptop: Goal::Leave,
        },
        why: "Without it the kernel takes as much as the send buffer holds, for every slow client; with it what waits stays at the \
              upstream, and memory goes to clients that read. It is no help to response times here.",
        cost: "The shard comes by more often for large bodies: a quarter more of its CPU time where readers are fast.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_notsent_lowat); tcp(7), TCP_NOTSENT_LOWAT",
        effect: Effect::Run { folder: NOTSENT_RUN, shows: NOTSENT_SHOWS },
    },
    Knob {
        name: "net.ipv4.tcp_congestion_control",
        area: Area::Sysctl,
        what: "how fast a connection sends: the algorithm of new connections",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::exactly("cubic"),
            latency: Goal::Leave,
            many_connections: Goal::exactly("bbr"),
            laptop: Goal::Leave,
        },
        why: "Within a data centre CUBIC costs the proxy least: BBR paces by timers. To clients over long and lossy ways BBR keeps the \
              rate where CUBIC halves it at each loss, and that is where hundreds of thousands of clients are. Compare before and after: \
              it is no law of nature.",
        cost: "BBR: more CPU for large bodies, and unfair to CUBIC flows on a shallow shared queue. CUBIC: long queues in the routers on \
               the way.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_congestion_control); RFC 9438; draft-ietf-ccwg-bbr",
        effect: Effect::Run {
            folder: "2026-11-20-6.18.44-a8a478f-tuning-tcp_congestion_control",
            shows: "over loopback BBR takes twice the proxy's CPU time for 1 MiB (224 µs a request against 109 under CUBIC), and as much as \
                    CUBIC for 64 KiB; what it gains over distance and loss cannot be shown here",
        },
    },
    Knob {
        name: "net.ipv4.tcp_mtu_probing",
        area: Area::Sysctl,
        what: "whether TCP finds the path's packet size by itself where ICMP is swallowed",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::OneOf(&["1", "2"]),
            latency: Goal::OneOf(&["1", "2"]),
            many_connections: Goal::OneOf(&["1", "2"]),
            laptop: Goal::Leave,
        },
        why: "Behind a tunnel whose router sends no ICMP, connections open and large answers never arrive. With 1 TCP tries smaller \
              packets once it meets such a black hole.",
        cost: "After heavy loss a connection may stay with small packets for some minutes, for no reason.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_mtu_probing); RFC 4821",
        effect: NEEDS_A_WAN,
    },
    Knob {
        name: "net.ipv4.tcp_fastopen",
        area: Area::Sysctl,
        what: "whether data may come with a handshake (a mask: 1 as a client, 2 as a server)",
        access: NAMESPACED,
        wanted: Wanted::NOTHING,
        why: "Ringway's listeners do not ask for it (TCP_FASTOPEN), so the kernel's setting changes nothing. A request that may arrive \
              twice needs care that it does not take yet.",
        cost: "None, as nothing is wished.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_fastopen); RFC 7413 §6",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "net.ipv4.tcp_migrate_req",
        area: Area::Sysctl,
        what: "whether connections that wait in a listener that closes go to its fellows",
        access: NAMESPACED,
        wanted: Wanted {
            throughput: Goal::exactly("1"),
            latency: Goal::exactly("1"),
            many_connections: Goal::exactly("1"),
            laptop: Goal::Leave,
        },
        why: "Shards listen on sockets of their own (SO_REUSEPORT). Ringway empties one before it closes it; without a supervisor a \
              process that dies cannot, and its fellows on the same port may take over what waited.",
        cost: "A search for another listener when one closes; nothing per request.",
        source: "Documentation/networking/ip-sysctl.rst (tcp_migrate_req)",
        effect: Effect::NotShown(
            "Ringway's own hand-over loses nothing with or without it (run 2026-11-20-6.18.44-8f292c2-storm)",
        ),
    },
    Knob {
        name: "net.core.busy_poll",
        area: Area::Sysctl,
        what: "µs for which poll and epoll ask the card before they sleep",
        access: MACHINE,
        wanted: Wanted::NOTHING,
        why: "Shards sleep in io_uring, which this does not concern (it has a registration of its own, that Ringway does not use). On \
              epoll it would burn each shard's core while it waits.",
        cost: "None, as nothing is wished.",
        source: "Documentation/admin-guide/sysctl/net.rst (busy_poll); Documentation/networking/napi.rst",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "net.core.busy_read",
        area: Area::Sysctl,
        what: "µs for which a read that blocks asks the card before it sleeps",
        access: MACHINE,
        wanted: Wanted::NOTHING,
        why: "Ringway has no reads that block.",
        cost: "None, as nothing is wished.",
        source: "Documentation/admin-guide/sysctl/net.rst (busy_read)",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "net.netfilter.nf_conntrack_max",
        area: Area::Sysctl,
        what: "connections that the firewall remembers",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(262_144),
            latency: Goal::AtLeast(262_144),
            many_connections: Goal::AtLeast(1_048_576),
            laptop: Goal::Leave,
        },
        why: "Where connection tracking is loaded each client and each upstream connection takes an entry, TIME-WAIT included; a full \
              table drops packets (`nf_conntrack: table full` in the kernel's log). Better still is a `notrack` rule for Ringway's ports.",
        cost: "About 320 bytes of kernel memory for each connection that is tracked.",
        source: "Documentation/networking/nf_conntrack-sysctl.rst (nf_conntrack_max)",
        effect: Effect::NotShown("a process here has too few descriptors to fill it"),
    },
    Knob {
        name: "kernel.io_uring_disabled",
        area: Area::Sysctl,
        what: "who may use io_uring: 0 everybody, 1 one group, 2 nobody",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::exactly("0"),
            latency: Goal::exactly("0"),
            many_connections: Goal::exactly("0"),
            laptop: Goal::Leave,
        },
        why: "Without it Ringway serves by epoll and says so at its start.",
        cost: "io_uring is a large part of the kernel that every local program may then reach; where untrusted programs run, leave it \
               closed and pay the difference, or give the unit's group to kernel.io_uring_group.",
        source: "Documentation/admin-guide/sysctl/kernel.rst (io_uring_disabled)",
        effect: Effect::Run {
            folder: "2026-11-20-6.18.44-78d0b59",
            shows: "epoll beside io_uring: 1.04 of the CPU time for small answers, 1.09 for 64 KiB",
        },
    },
    Knob {
        name: "kernel.numa_balancing",
        area: Area::Sysctl,
        what: "whether the kernel moves memory to the node of the CPU that uses it",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::exactly("0"),
            latency: Goal::exactly("0"),
            many_connections: Goal::exactly("0"),
            laptop: Goal::Leave,
        },
        why: "Shards are pinned and allocate where they run: there is nothing to move, and looking costs page faults on the shard's thread.",
        cost: "Other programs on the machine that are not pinned lose it.",
        source: "Documentation/admin-guide/sysctl/kernel.rst (numa_balancing)",
        effect: Effect::NotShown("this machine has one node"),
    },
    Knob {
        name: "kernel.nmi_watchdog",
        area: Area::Sysctl,
        what: "whether a counter of each CPU watches for a kernel that hangs",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::exactly("0"),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "It interrupts each core every few seconds, and takes the cycle counter that `perf` needs.",
        cost: "A kernel that hangs with interrupts off is no longer noticed and told.",
        source: "Documentation/admin-guide/sysctl/kernel.rst (nmi_watchdog)",
        effect: Effect::NotShown("this virtual machine has no such counter"),
    },
];

const SOMAXCONN_RUN: &str = "2026-11-20-6.18.44-a8a478f-tuning-somaxconn";
const NOTSENT_RUN: &str = "2026-11-20-6.18.44-a8a478f-tuning-tcp_notsent_lowat";
const NOTSENT_SHOWS: &str = "1 MiB bodies over loopback: with 131072 the proxy's CPU time a request is 1.27 of that without (145 µs against 114, 16 readers), and \
     100 clients that read nothing hold 78 MiB of socket memory instead of 102; the 99th percentile is no better";
