//! What a drop-in adds to Ringway's unit.

use crate::goal::Goal;
use crate::knob::{Access, Area, Effect, Knob, Wanted};

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "systemd.LimitNOFILE",
        area: Area::Systemd,
        what: "descriptors that the service may have",
        access: Access::Unit("LimitNOFILE"),
        wanted: Wanted {
            throughput: Goal::AtLeast(1_048_576),
            latency: Goal::AtLeast(1_048_576),
            many_connections: Goal::AtLeast(2_097_152),
            laptop: Goal::Leave,
        },
        why: "One descriptor for each client, another for each proxied exchange, and pipes for large bodies. The package's unit has a \
              million.",
        cost: "The service does not start if fs.nr_open is lower: set that first, and for every start of the machine.",
        source: "systemd.exec(5), LimitNOFILE=; getrlimit(2)",
        effect: Effect::NotShown("a process here has 20,000 descriptors and cannot have more"),
    },
    Knob {
        name: "systemd.LimitMEMLOCK",
        area: Area::Systemd,
        what: "memory that the service may pin",
        access: Access::Unit("LimitMEMLOCK"),
        wanted: Wanted {
            throughput: Goal::exactly("infinity"),
            latency: Goal::exactly("infinity"),
            many_connections: Goal::exactly("infinity"),
            laptop: Goal::Leave,
        },
        why: "io_uring's registered buffers, and on kernels before 5.12 its rings, are counted against it. The package's unit has it so.",
        cost: "The service may pin memory that cannot be swapped.",
        source: "systemd.exec(5), LimitMEMLOCK=; io_uring_register(2)",
        effect: Effect::NotShown("measurements here run as root, who is not counted"),
    },
    Knob {
        name: "systemd.TasksMax",
        area: Area::Systemd,
        what: "threads and processes of the service",
        access: Access::Unit("TasksMax"),
        wanted: Wanted {
            throughput: Goal::AtLeast(4096),
            latency: Goal::AtLeast(4096),
            many_connections: Goal::AtLeast(4096),
            laptop: Goal::Leave,
        },
        why: "A shard is a thread, the kernel's io_uring workers are counted too, and an upgrade has all of them twice.",
        cost: "A fault that makes threads without end gets further.",
        source: "systemd.resource-control(5), TasksMax=",
        effect: Effect::NotShown("two shards need a dozen"),
    },
    Knob {
        name: "systemd.CPUWeight",
        area: Area::Systemd,
        what: "the service's share of CPU time beside others, 100 if nothing is said",
        access: Access::Unit("CPUWeight"),
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::AtLeast(1000),
            many_connections: Goal::Leave,
            laptop: Goal::Leave,
        },
        why: "A shard that became ready waits behind whoever has its core. With ten times the weight it waits less where backups, logs or \
              builds run beside it.",
        cost: "Those come later, as far as Ringway is busy.",
        source: "systemd.resource-control(5), CPUWeight=; Documentation/admin-guide/cgroup-v2.rst (cpu.weight)",
        effect: Effect::NotShown("no systemd runs on this machine"),
    },
    Knob {
        name: "systemd.OOMScoreAdjust",
        area: Area::Systemd,
        what: "how soon the service is killed when memory runs out, from -1000 (never) to 1000",
        access: Access::Unit("OOMScoreAdjust"),
        wanted: Wanted {
            throughput: Goal::exactly("-500"),
            latency: Goal::exactly("-500"),
            many_connections: Goal::exactly("-500"),
            laptop: Goal::Leave,
        },
        why: "A proxy with many clients is the largest process beside small ones, and all of them lose with it.",
        cost: "If Ringway itself is what grew, its neighbours die first.",
        source: "systemd.exec(5), OOMScoreAdjust=; proc(5), oom_score_adj",
        effect: Effect::NotShown("it shows when memory runs out"),
    },
];
