//! The counting allocator.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What this process has asked of its heap so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Heap {
    /// Allocations, and allocations that were grown or shrunk.
    pub(crate) allocations: u64,
    /// Bytes that these asked for.
    pub(crate) bytes_allocated: u64,
    /// Bytes that are allocated now.
    pub(crate) bytes_live: u64,
}

impl Heap {
    /// Reads the counters; does not allocate.
    pub(crate) fn now() -> Self {
        Self::of(ALLOCATOR.stats())
    }

    fn of(stats: Stats) -> Self {
        Self {
            allocations: (stats.allocations + stats.reallocations) as u64,
            bytes_allocated: stats.bytes_allocated as u64,
            // A thread may free between the two readings what was allocated after the first.
            bytes_live: stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_and_what_is_freed_does_not_live() {
        let stats = Stats {
            allocations: 5,
            deallocations: 3,
            reallocations: 2,
            bytes_allocated: 900,
            bytes_deallocated: 300,
            bytes_reallocated: 40,
        };
        assert_eq!(Heap::of(stats), Heap { allocations: 7, bytes_allocated: 900, bytes_live: 600 });
    }

    #[test]
    fn the_allocator_of_this_program_is_the_one_that_counts() {
        let before = Heap::now();
        let bytes = std::hint::black_box(vec![1_u8; 1 << 20]);
        // Other tests may allocate meanwhile, and so can only add.
        let after = Heap::now();
        assert!(after.allocations > before.allocations);
        assert!(after.bytes_allocated - before.bytes_allocated >= bytes.len() as u64);
    }
}
