//! Points in time, as one number.

use std::num::NonZeroU64;
use std::ops::{Add, AddAssign};
use std::time::Duration;

/// A point in time of the monotonic clock. As [`std::time::Instant`], but a number of nanoseconds and no seconds beside them: a
/// shard adds, subtracts and compares a dozen of these for every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Since the machine was started; what lies beyond five centuries counts as that.
    ns: NonZeroU64,
}

impl Instant {
    /// The time now, of the clock and not of the tick; see [`crate::now`].
    #[must_use]
    pub fn now() -> Instant {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the kernel writes to a timespec that is ours.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        assert_eq!(result, 0, "every Linux has a monotonic clock");
        Instant { ns: NonZeroU64::MIN.saturating_add(time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64) }
    }

    /// How long the machine has been running then: for those to whom any beginning is as good.
    #[inline]
    #[must_use]
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.ns.get())
    }

    /// How long `earlier` is ago; zero if it is not earlier.
    #[inline]
    #[must_use]
    pub fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.ns.get().saturating_sub(earlier.ns.get()))
    }

    /// How long `earlier` is ago; `None` if it is later.
    #[must_use]
    pub fn checked_duration_since(self, earlier: Instant) -> Option<Duration> {
        self.ns.get().checked_sub(earlier.ns.get()).map(Duration::from_nanos)
    }

    /// How long it is ago, by the clock and not by the tick.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Instant::now().saturating_duration_since(self)
    }

    /// `duration` earlier; `None` before the machine was started.
    #[must_use]
    pub fn checked_sub(self, duration: Duration) -> Option<Instant> {
        let ns = u64::try_from(duration.as_nanos()).ok()?;
        NonZeroU64::new(self.ns.get().checked_sub(ns)?).map(|ns| Instant { ns })
    }

    /// Whole milliseconds since `earlier`, and whether some nanoseconds are left over.
    #[inline]
    pub(crate) fn millis_since(self, earlier: Instant) -> (u64, bool) {
        let ns = self.ns.get().saturating_sub(earlier.ns.get());
        (ns / NS_PER_MS, !ns.is_multiple_of(NS_PER_MS))
    }
}

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

impl Add<Duration> for Instant {
    type Output = Instant;

    #[inline]
    fn add(self, duration: Duration) -> Instant {
        let ns = duration.as_secs().saturating_mul(NS_PER_S).saturating_add(u64::from(duration.subsec_nanos()));
        Instant { ns: self.ns.saturating_add(ns) }
    }
}

impl AddAssign<Duration> for Instant {
    #[inline]
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_the_difference() {
        let start = Instant::now();
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::new(3, 999_999_999)] {
            let later = start + duration;
            assert_eq!(later.saturating_duration_since(start), duration);
            assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
            assert_eq!(later > start, !duration.is_zero());
        }
    }

    #[test]
    fn nothing_is_earlier_than_the_machine() {
        let now = Instant::now();
        assert_eq!((now + Duration::from_secs(2)).checked_sub(Duration::from_secs(2)), Some(now));
        assert_eq!(now.checked_sub(Duration::from_secs(1 << 40)), None);
        assert_eq!(now.checked_sub(Duration::MAX), None);
    }

    #[test]
    fn never_comes_last() {
        let start = Instant::now();
        let never = start + Duration::MAX;
        assert!(never > start + Duration::from_secs(1 << 32));
        assert_eq!(never + Duration::from_secs(1), never);
    }

    #[test]
    fn milliseconds_tell_whether_they_are_whole() {
        let start = Instant::now();
        let since = |duration| (start + duration).millis_since(start);
        assert_eq!(since(Duration::from_millis(1500)), (1500, false));
        assert_eq!(since(Duration::from_nanos(1_500_000_001)), (1500, true));
        assert_eq!(start.millis_since(start + Duration::from_secs(1)), (0, false));
    }

    #[test]
    fn the_clock_is_that_of_the_standard_library() {
        let (ours, theirs) = (Instant::now(), std::time::Instant::now());
        while theirs.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        assert!(Instant::now().saturating_duration_since(ours) >= Duration::from_millis(2));
    }
}
