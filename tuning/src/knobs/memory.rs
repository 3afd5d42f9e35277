//! Huge pages and reclaim.

use crate::goal::Goal;
use crate::knob::{Access, Area, Effect, Knob, Wanted};

const THP_TRIED: &str = "this machine's THP setting is not changed for a test; perf/README.md tells that huge pages for the heap had no effect";

pub(super) const KNOBS: &[Knob] = &[
    Knob {
        name: "memory.thp",
        area: Area::Memory,
        what: "transparent huge pages: for all memory, for what asks, or for none",
        access: Access::File { pattern: "/sys/kernel/mm/transparent_hugepage/enabled", choices: None, bracketed: true },
        wanted: Wanted {
            throughput: Goal::OneOf(&["madvise", "never"]),
            latency: Goal::OneOf(&["madvise", "never"]),
            many_connections: Goal::OneOf(&["madvise", "never"]),
            laptop: Goal::Leave,
        },
        why: "Idle connections are small things spread over much memory: with `always` each step of growth is 2 MiB, and khugepaged works \
              on pages that gain nothing. Ringway's allocator opts out by itself; its neighbours on the machine do not.",
        cost: "Programs that gain by huge pages without asking for them (some databases, JVMs) lose them.",
        source: "Documentation/admin-guide/mm/transhuge.rst",
        effect: Effect::NotShown(THP_TRIED),
    },
    Knob {
        name: "memory.thp_defrag",
        area: Area::Memory,
        what: "whether a page fault waits while memory is made contiguous for a huge page",
        access: Access::File { pattern: "/sys/kernel/mm/transparent_hugepage/defrag", choices: None, bracketed: true },
        wanted: Wanted {
            throughput: NOT_ALWAYS,
            latency: NOT_ALWAYS,
            many_connections: NOT_ALWAYS,
            laptop: Goal::Leave,
        },
        why: "With `always` any program's page fault may compact memory on the spot, for milliseconds, on the core of a shard.",
        cost: "Fewer huge pages for programs that did not ask.",
        source: "Documentation/admin-guide/mm/transhuge.rst (defrag)",
        effect: Effect::NotShown(THP_TRIED),
    },
    Knob {
        name: "vm.nr_hugepages",
        area: Area::Memory,
        what: "huge pages that are set aside for programs that map them (hugetlb)",
        access: Access::Sysctl { namespaced: false },
        wanted: Wanted::NOTHING,
        why: "Ringway maps none. What is set aside is lost to sockets and page cache, but another program may need it: it is shown, and left.",
        cost: "None, as nothing is wished.",
        source: "Documentation/admin-guide/mm/hugetlbpage.rst",
        effect: Effect::NotShown("Ringway does not depend on it"),
    },
    Knob {
        name: "vm.min_free_kbytes",
        area: Area::Memory,
        what: "memory that stays free for those who cannot wait, in KiB",
        access: Access::Sysctl { namespaced: false },
        wanted: Wanted { throughput: MIN_FREE, latency: MIN_FREE, many_connections: MIN_FREE, laptop: Goal::Leave },
        why: "A card's driver fills its rings from interrupts and cannot wait for reclaim: a burst that finds no free page is lost (`page \
              allocation failure … GFP_ATOMIC` in the kernel's log).",
        cost: "That memory is free and stays so. Too much of it brings the OOM killer, hence the bounds.",
        source: "Documentation/admin-guide/sysctl/vm.rst (min_free_kbytes)",
        effect: Effect::NotShown("it needs a card that receives faster than pages are freed"),
    },
    Knob {
        name: "vm.swappiness",
        area: Area::Memory,
        what: "how readily memory of programs is swapped out, beside dropping page cache",
        access: Access::Sysctl { namespaced: false },
        wanted: Wanted {
            throughput: Goal::Leave,
            latency: Goal::AtMost(10),
            many_connections: Goal::AtMost(10),
            laptop: Goal::Leave,
        },
        why: "A shard that touches a swapped page stands still for all its connections, and memory of idle connections looks cold.",
        cost: "Page cache is given up earlier: files are read from the disk again.",
        source: "Documentation/admin-guide/sysctl/vm.rst (swappiness)",
        effect: Effect::NotShown("this machine has no swap"),
    },
];

const MIN_FREE: Goal = Goal::ByHost {
    rule: "1/256 of memory, between 64 MiB and 512 MiB; left alone below 4 GiB",
    compute: |facts, _| {
        const GIB: u64 = 1 << 30;
        if facts.memory_bytes < 4 * GIB {
            return Goal::Leave;
        }
        Goal::AtLeast((facts.memory_bytes / 256 / 1024).clamp(64 * 1024, 512 * 1024))
    },
};

const NOT_ALWAYS: Goal = Goal::OneOf(&["madvise", "defer+madvise", "defer", "never"]);
