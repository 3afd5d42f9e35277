//! Everything that is counted, at one moment or between two.

use engine::Counters;
use serde::Serialize;

use crate::heap::Heap;

/// Counts: since the start of the shard, or over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Tally {
    /// Exchanges that ended.
    pub(crate) requests: u64,
    /// Those of them that did not complete.
    pub(crate) failed: u64,
    pub(crate) allocations: u64,
    pub(crate) allocated_bytes: u64,
    pub(crate) enters: u64,
    pub(crate) submission_entries: u64,
    pub(crate) completions: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) copied_out_bytes: u64,
    pub(crate) receives_starved: u64,
    pub(crate) upstream_connects: u64,
    pub(crate) records_dropped: u64,
}

impl Tally {
    /// Reads all counters; does not allocate. The shard goes on meanwhile, by a request or two.
    pub(crate) fn take(counters: &Counters) -> Self {
        let (heap, ring) = (Heap::now(), &counters.ring);
        let (requests, completed) = (counters.exchanges_ended(), counters.exchanges[0].value());
        Self {
            requests,
            failed: requests.saturating_sub(completed),
            allocations: heap.allocations,
            allocated_bytes: heap.bytes_allocated,
            enters: ring.enters.value(),
            submission_entries: ring.entries.value(),
            completions: ring.completions.value(),
            received_bytes: ring.bytes_received.value(),
            sent_bytes: ring.bytes_sent.value(),
            copied_out_bytes: ring.bytes_copied_out.value(),
            receives_starved: ring.receives_starved.value(),
            upstream_connects: counters.upstream_connects.value(),
            records_dropped: counters.records_dropped.value(),
        }
    }

    /// What was counted since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            failed: self.failed - earlier.failed,
            allocations: self.allocations - earlier.allocations,
            allocated_bytes: self.allocated_bytes - earlier.allocated_bytes,
            enters: self.enters - earlier.enters,
            submission_entries: self.submission_entries - earlier.submission_entries,
            completions: self.completions - earlier.completions,
            received_bytes: self.received_bytes - earlier.received_bytes,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            copied_out_bytes: self.copied_out_bytes - earlier.copied_out_bytes,
            receives_starved: self.receives_starved - earlier.receives_starved,
            upstream_connects: self.upstream_connects - earlier.upstream_connects,
            records_dropped: self.records_dropped - earlier.records_dropped,
        }
    }

    /// A count over the number of requests.
    ///
    /// # Panics
    /// When there were none; a window without requests is refused where it is taken.
    pub(crate) fn per_request(&self, count: u64) -> f64 {
        assert!(self.requests > 0);
        count as f64 / self.requests as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shard_counted_is_tallied() {
        let counters = Counters::default();
        let start = Tally::take(&counters);
        counters.exchanges[0].add(8);
        counters.exchanges[3].add(2);
        counters.ring.enters.add(5);
        counters.ring.entries.add(20);
        counters.upstream_connects.add(1);
        let window = Tally::take(&counters).since(start);
        assert_eq!((window.requests, window.failed, window.upstream_connects), (10, 2, 1));
        assert_eq!(window.per_request(window.enters), 0.5);
        assert_eq!(window.per_request(window.submission_entries), 2.0);
        assert_eq!(window.per_request(window.completions), 0.0);
    }
}
