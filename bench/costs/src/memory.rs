//! What the kernel counts of this process's memory.

use std::fs;

use anyhow::Context;

/// Memory that is this process's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident pages that come from no file: heap, stacks, buffers.
    pub(crate) anonymous_bytes: u64,
    /// Resident pages that nobody shares and that were written to.
    pub(crate) private_dirty_bytes: u64,
}

impl Memory {
    /// Reads `/proc/self/smaps_rollup`.
    pub(crate) fn now() -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/self/smaps_rollup").context("cannot read /proc/self/smaps_rollup")?;
        Self::parse(&text).context("/proc/self/smaps_rollup is not as expected")
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
        };
        Some(Self { anonymous_bytes: bytes("Anonymous")?, private_dirty_bytes: bytes("Private_Dirty")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_figures_are_found() {
        let text = "55d0-7ffd ---p 00000000 00:00 0      [rollup]\nRss:    1234 kB\nPrivate_Clean:  7 kB\n\
                    Private_Dirty:       96 kB\nReferenced: 5 kB\nAnonymous:            88 kB\nAnonHugePages: 0 kB\n";
        let memory = Memory { anonymous_bytes: 88 << 10, private_dirty_bytes: 96 << 10 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse("Rss: 1 kB\n"), None);
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Memory::now().unwrap().anonymous_bytes > 0);
    }
}
