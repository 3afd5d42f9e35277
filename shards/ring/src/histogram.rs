//! A histogram that one thread writes and others may read, like [`Count`].

use std::time::Duration;

use crate::Count;

/// Steps of one decade: 1.0, 1.5, 2.0, … 9.5 times its lowest value.
const STEPS: usize = 18;
/// Decades: from 10 µs to 100 s.
const DECADES: usize = 7;
/// Buckets below the first decade: up to 5 µs, and up to 10 µs.
const BELOW: usize = 2;
/// All buckets; the last takes what is longer than 100 s.
const BUCKETS: usize = BELOW + DECADES * STEPS + 1;

/// Durations by buckets whose bounds are fixed and log-linear: each decade from 10 µs to 100 s is cut into 18 equal steps, so
/// that every bound has two decimal digits, and those that monitoring commonly asks for (0.5 ms, 2.5 ms, 100 ms) are among
/// them, exactly.
///
/// A bucket counts durations above the bound before it, up to its own. It is between 5 % (at the end of a decade) and 50 % (at
/// its beginning) of its lower bound wide, so a quantile read from it is off by at most a quarter when its middle is told, and
/// by 10 % over a decade on average. Durations are counted in whole microseconds, rounded down.
///
/// Recording writes two words, of which one is the sum: no allocation, no lock. The buckets are their own count.
/// The sum stands first, so that it can share a cache line with what stands before the histogram.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram {
    sum_us: Count,
    buckets: [Count; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { sum_us: Count::default(), buckets: std::array::from_fn(|_| Count::default()) }
    }
}

impl Histogram {
    /// Number of buckets.
    pub const BUCKETS: usize = BUCKETS;

    /// Counts one duration. As with [`Count::add`], only the owning thread may call it.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_us.add(us);
        self.buckets[bucket(us)].add(1);
    }

    /// The largest duration that the bucket counts; `None` for the last, which has no bound.
    #[must_use]
    pub fn bound(bucket: usize) -> Option<Duration> {
        match bucket {
            0..BELOW => Some(Duration::from_micros(5 * (bucket as u64 + 1))),
            _ if bucket + 1 < BUCKETS => {
                let (decade, step) = ((bucket - BELOW) / STEPS, (bucket - BELOW) % STEPS);
                Some(Duration::from_micros(5 * 10_u64.pow(decade as u32) * (step as u64 + 3)))
            }
            _ => None,
        }
    }

    /// The sum of all durations in microseconds, as the owner last stored it.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.value()
    }

    /// How many durations each bucket has counted.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.buckets.iter().map(Count::value)
    }

    /// The words that the histogram consists of, the sum first: for whoever carries it over to another.
    pub fn cells(&self) -> impl Iterator<Item = &Count> {
        std::iter::once(&self.sum_us).chain(&self.buckets)
    }
}

/// The bucket that counts `us` microseconds.
fn bucket(us: u64) -> usize {
    const UNITS: [u32; DECADES] = [5, 50, 500, 5_000, 50_000, 500_000, 5_000_000];
    // Upper bounds belong to their buckets: one less, and they are lower bounds.
    let Ok(below) = u32::try_from(us.saturating_sub(1)) else { return BUCKETS - 1 };
    if below < 10 {
        return (below / 5) as usize;
    }
    let decade = below.ilog10() as usize - 1;
    match UNITS.get(decade) {
        Some(unit) => BELOW + decade * STEPS + (below / unit) as usize - 2,
        None => BUCKETS - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bound_is_the_last_duration_of_its_bucket() {
        let mut before = 0;
        for index in 0..BUCKETS - 1 {
            let bound = Histogram::bound(index).unwrap().as_micros() as u64;
            assert_eq!((bucket(bound), bucket(bound + 1)), (index, index + 1), "{bound} µs");
            assert!(bound > before && (index < BELOW || bound - before <= before / 2), "{before} to {bound} µs");
            before = bound;
        }
        assert_eq!(before, 100_000_000);
        assert_eq!(Histogram::bound(BUCKETS - 1), None);
        assert_eq!([0, 1, 5, 6].map(bucket), [0, 0, 0, 1]);
        assert_eq!([100_000_001, u64::from(u32::MAX), u64::MAX].map(bucket), [BUCKETS - 1; 3]);
    }

    #[test]
    fn common_bounds_are_exact() {
        let bounds: Vec<_> = (0..BUCKETS).filter_map(Histogram::bound).collect();
        for us in [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 1_000_000, 2_500_000, 10_000_000] {
            assert!(bounds.contains(&Duration::from_micros(us)), "{us} µs");
        }
    }

    #[test]
    fn what_is_recorded_is_counted_and_summed() {
        let histogram = Histogram::default();
        for us in [0, 3, 130, 131, 7_000_000, 1_000_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        assert_eq!(histogram.counts().sum::<u64>(), 6);
        assert_eq!(histogram.sum_us(), 1_007_000_264);
        assert_eq!(histogram.counts().filter(|count| *count > 0).collect::<Vec<_>>(), [2, 2, 1, 1]);
        assert_eq!(histogram.cells().count(), 1 + Histogram::BUCKETS);
    }
}
