//! What a run shows of itself while it lasts.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::LATENCY_NS_MAX;

/// By how much a quantile of [`Progress`] may be too high, in percent.
pub const RECENT_ERROR_PERCENT: f64 = 6.25;

/// Bands in each doubling of the latency: 16, hence the error of a sixteenth.
const BITS: u32 = 4;
const BANDS: usize = band_of(LATENCY_NS_MAX) + 1;

/// What one thread has counted so far.
///
/// Only its [`super::Recorder`] writes it, so that a count is a load and a store without a lock; readers see each count as it
/// was a moment ago, and not all as of the same moment.
#[derive(Debug)]
pub struct Live {
    requests: Count,
    errors: Count,
    bytes_in: Count,
    bytes_out: Count,
    connections: Count,
    bands: [Count; BANDS],
}

/// What all threads have counted so far, or between two moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Answers that arrived and were as expected.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections open at this moment.
    pub connections: u64,
    bands: [u64; BANDS],
}

impl Default for Live {
    fn default() -> Self {
        Self {
            requests: Count::default(),
            errors: Count::default(),
            bytes_in: Count::default(),
            bytes_out: Count::default(),
            connections: Count::default(),
            bands: array::from_fn(|_| Count::default()),
        }
    }
}

impl Live {
    pub(super) fn answered(&self, latency_ns: u64) {
        self.requests.add(1);
        self.bands[band_of(latency_ns.min(LATENCY_NS_MAX))].add(1);
    }

    pub(super) fn failed(&self) {
        self.errors.add(1);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes_in.add(bytes);
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.bytes_out.add(bytes);
    }

    pub(super) fn connections(&self, open: u64) {
        self.connections.0.store(open, Relaxed);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self { requests: 0, errors: 0, bytes_in: 0, bytes_out: 0, connections: 0, bands: [0; BANDS] }
    }
}

impl Progress {
    /// The sum over threads.
    pub fn of<'a>(threads: impl IntoIterator<Item = &'a Live>) -> Self {
        let mut sum = Self::default();
        for live in threads {
            sum.requests += live.requests.read();
            sum.errors += live.errors.read();
            sum.bytes_in += live.bytes_in.read();
            sum.bytes_out += live.bytes_out.read();
            sum.connections += live.connections.read();
            for (total, count) in sum.bands.iter_mut().zip(&live.bands) {
                *total += count.read();
            }
        }
        sum
    }

    /// What was counted after `earlier`; the connections are those of now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            errors: self.errors.saturating_sub(earlier.errors),
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            connections: self.connections,
            bands: array::from_fn(|band| self.bands[band].saturating_sub(earlier.bands[band])),
        }
    }

    /// The latency that `quantile` (0 to 1) of the answers took at most, plus up to [`RECENT_ERROR_PERCENT`]; none without
    /// answers.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let samples: u64 = self.bands.iter().sum();
        let rank = ((samples as f64 * quantile).ceil() as u64).max(1);
        let mut below = 0;
        let band = self.bands.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(Duration::from_nanos(band_end_ns(band)))
    }
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, count: u64) {
        // Two instructions without a lock: there is one writer.
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The band of a time: its highest bit, and the four bits below that.
const fn band_of(time_ns: u64) -> usize {
    let exponent = (u64::BITS - 1).saturating_sub(time_ns.leading_zeros()).saturating_sub(BITS);
    ((exponent as usize) << BITS) + (time_ns >> exponent) as usize
}

/// The longest time of a band.
const fn band_end_ns(band: usize) -> u64 {
    let exponent = (band >> BITS).saturating_sub(1);
    let first = (band - (exponent << BITS)) as u64;
    ((first + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_a_band_of_a_sixteenth() {
        for time_ns in (0..10_000).chain((14..41).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 12_345])) {
            let band = band_of(time_ns);
            let end_ns = band_end_ns(band);
            assert!(end_ns >= time_ns && end_ns - time_ns <= time_ns / 16, "{time_ns} in {band} to {end_ns}");
            assert_eq!(band_of(end_ns), band);
            assert_eq!(band_of(end_ns + 1), band + 1);
        }
    }

    #[test]
    fn the_recent_quantile_forgets_what_was_before() {
        let live = Live::default();
        for _ in 0..1000 {
            live.answered(5_000_000);
        }
        let then = Progress::of([&live]);
        (1..=100).for_each(|us| live.answered(us * 1000));
        live.failed();
        let recent = Progress::of([&live]).since(&then);
        assert_eq!((recent.requests, recent.errors), (100, 1));
        let p99_ns = recent.quantile(0.99).unwrap().as_nanos() as f64;
        assert!((99_000.0..99_000.0 * (1.0 + RECENT_ERROR_PERCENT / 100.0)).contains(&p99_ns), "{p99_ns}");
        assert_eq!(Progress::default().quantile(0.5), None);
    }
}
