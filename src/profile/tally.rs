//! How often each stack was met, within bounds.

use std::collections::HashMap;

/// Different stacks that are told apart. More count as lost: they would be slivers in a picture, and the memory is a server's.
const STACKS_MAX: usize = 16 << 10;
/// Frames of a stack; the kernel gives 127 by default (`kernel.perf_event_max_stack`).
const FRAMES_MAX: usize = 256;

/// What begins the kernel's part of a chain, and user space's (`PERF_CONTEXT_KERNEL`, `PERF_CONTEXT_USER` of
/// perf_event_open(2)); all markers are above the greatest address.
const CONTEXT_KERNEL: u64 = -128_i64 as u64;
const CONTEXT_USER: u64 = -512_i64 as u64;
const CONTEXT_MAX: u64 = -4095_i64 as u64;

/// An address of code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Place {
    Kernel(u64),
    User(u64),
}

/// A stack, innermost frame first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Chain(Box<[Place]>);

/// What was met so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: HashMap<(usize, Chain), u64>,
    /// The names of the threads, by their place.
    threads: HashMap<usize, String>,
    samples: u64,
    lost: u64,
}

impl Chain {
    /// The chain as the kernel writes it: innermost first, with markers between its own part and user space's.
    pub(super) fn of(addresses: &[u64]) -> Chain {
        let mut places = Vec::with_capacity(addresses.len().min(FRAMES_MAX));
        let mut is_kernel = false;
        let mut is_innermost = true;
        for &address in addresses {
            if address >= CONTEXT_MAX {
                is_kernel = address == CONTEXT_KERNEL;
                // A part begins with the instruction that was at work, or that entered the kernel.
                is_innermost = matches!(address, CONTEXT_KERNEL | CONTEXT_USER);
                continue;
            }
            // The others are where calls return to, and that may be behind the end of the function which called.
            let address = if is_innermost { address } else { address.saturating_sub(1) };
            is_innermost = false;
            if places.len() < FRAMES_MAX {
                places.push(if is_kernel { Place::Kernel(address) } else { Place::User(address) });
            }
        }
        Chain(places.into())
    }

    /// Its frames, innermost first.
    pub(super) fn places(&self) -> &[Place] {
        &self.0
    }
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally::default()
    }

    /// Counts a sample of a thread.
    pub(super) fn count(&mut self, thread: usize, name: &str, chain: Chain) {
        let is_full = self.counts.len() >= STACKS_MAX;
        let key = (thread, chain);
        if is_full && !self.counts.contains_key(&key) {
            self.lost += 1;
            return;
        }
        self.threads.entry(thread).or_insert_with(|| name.to_owned());
        self.samples += 1;
        *self.counts.entry(key).or_default() += 1;
    }

    /// Counts samples that the kernel had no room for.
    pub(super) fn lose(&mut self, samples: u64) {
        self.lost += samples;
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Thread, stack and count, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Chain, u64)> {
        let name = |thread: &usize| self.threads.get(thread).map_or("", String::as_str);
        self.counts.iter().map(move |((thread, chain), count)| (name(thread), chain, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_the_kernels_part_and_user_spaces() {
        let chain = Chain::of(&[CONTEXT_KERNEL, 0xffff_8000, 0xffff_9000, CONTEXT_USER, 0x1000, 0x2000]);
        let places = [Place::Kernel(0xffff_8000), Place::Kernel(0xffff_8fff), Place::User(0x1000), Place::User(0x1fff)];
        assert_eq!(chain.places(), places, "callers are looked up at the call, not where it returns to");
        assert_eq!(Chain::of(&[]).places(), []);
        assert_eq!(Chain::of(&[CONTEXT_USER; 3]).places(), []);
        assert_eq!(Chain::of(&vec![1; 1000]).places().len(), FRAMES_MAX);
    }

    #[test]
    fn what_goes_beyond_the_bound_is_lost_and_said() {
        let mut tally = Tally::new();
        for index in 0..STACKS_MAX as u64 + 10 {
            tally.count(0, "shard-0", Chain::of(&[CONTEXT_USER, index]));
        }
        tally.count(0, "shard-0", Chain::of(&[CONTEXT_USER, 7]));
        tally.lose(5);
        assert_eq!((tally.samples(), tally.lost()), (STACKS_MAX as u64 + 1, 15));
        assert_eq!(tally.iter().count(), STACKS_MAX);
        assert_eq!(tally.iter().map(|(_, _, count)| count).max(), Some(2));
    }
}
