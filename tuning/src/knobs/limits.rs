//! Bounds on descriptors, pinned memory and pipes.

use crate::goal::Goal;
use crate::knob::{Access, Area, Effect, Knob, Wanted};

const MACHINE: Access = Access::Sysctl { namespaced: false };
const TOO_FEW: Effect = Effect::NotShown("a process here has 20,000 descriptors and cannot have more");

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "fs.nr_open",
        area: Area::Limits,
        what: "the most descriptors that a process may be allowed",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(1_048_576),
            latency: Goal::AtLeast(1_048_576),
            many_connections: Goal::AtLeast(4_194_304),
            laptop: Goal::Leave,
        },
        why: "LimitNOFILE cannot be above it: systemd then does not start the service. Each client takes a descriptor and each proxied \
              exchange another.",
        cost: "A process that leaks descriptors gets further. A table of a million takes 8 MiB, once used.",
        source: "Documentation/admin-guide/sysctl/fs.rst (nr_open)",
        effect: TOO_FEW,
    },
    Knob {
        name: "fs.file-max",
        area: Area::Limits,
        what: "open files of all processes together",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(2_097_152),
            latency: Goal::AtLeast(2_097_152),
            many_connections: Goal::AtLeast(8_388_608),
            laptop: Goal::Leave,
        },
        why: "During an upgrade two generations of Ringway serve: both their descriptors have to fit, and the rest of the machine's.",
        cost: "None by itself; open files take kernel memory, about 250 bytes each and more for sockets.",
        source: "Documentation/admin-guide/sysctl/fs.rst (file-max)",
        effect: TOO_FEW,
    },
    Knob {
        name: "fs.pipe-user-pages-soft",
        area: Area::Limits,
        what: "pages that a user without privileges may have in pipes before new ones are small",
        access: MACHINE,
        wanted: Wanted {
            throughput: Goal::AtLeast(65_536),
            latency: Goal::AtLeast(65_536),
            many_connections: Goal::AtLeast(65_536),
            laptop: Goal::Leave,
        },
        why: "Large bodies pass through pipes of 256 KiB from socket to socket: 64 pages each, so that the usual 16,384 are 256 bodies at \
              once. Beyond it pipes of two pages are granted, and bodies are copied (`ringway_ring_pipes_shrunk_total`, `_refused_total`).",
        cost: "A local user may pin 256 MiB in pipes instead of 64 MiB.",
        source: "Documentation/admin-guide/sysctl/fs.rst (pipe-user-pages-soft); pipe(7)",
        effect: Effect::NotShown(
            "it is the whole machine's, and is not changed here for a test; what splicing gives is in run 2026-11-20-6.18.44-78d0b59 \
             (64 KiB at 0.70 of the best peer)",
        ),
    },
    Knob {
        name: "limits.nofile",
        area: Area::Limits,
        what: "descriptors that the running Ringway may have",
        access: Access::ProcessLimit("Max open files"),
        wanted: Wanted {
            throughput: Goal::AtLeast(1_048_576),
            latency: Goal::AtLeast(1_048_576),
            many_connections: Goal::AtLeast(2_097_152),
            laptop: Goal::AtLeast(4096),
        },
        why: "At the limit accepting pauses, and the log says so. A drop-in takes effect when the service starts again, and this shows \
              whether it did.",
        cost: "None by itself.",
        source: "getrlimit(2), RLIMIT_NOFILE; systemd.exec(5)",
        effect: TOO_FEW,
    },
    Knob {
        name: "limits.memlock",
        area: Area::Limits,
        what: "memory that the running Ringway may pin, in bytes",
        access: Access::ProcessLimit("Max locked memory"),
        wanted: Wanted {
            throughput: Goal::AtLeast(1 << 30),
            latency: Goal::AtLeast(1 << 30),
            many_connections: Goal::AtLeast(1 << 30),
            laptop: Goal::Leave,
        },
        why: "What io_uring registers of buffers, and on kernels before 5.12 its rings too, is counted against it for users without \
              CAP_IPC_LOCK; a shard that gets none falls back to epoll.",
        cost: "A program that runs as Ringway's user may pin memory that cannot be swapped.",
        source: "io_uring_register(2); getrlimit(2), RLIMIT_MEMLOCK",
        effect: Effect::NotShown("measurements here run as root, who is not counted"),
    },
];
