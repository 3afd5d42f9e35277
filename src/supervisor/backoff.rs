//! When a worker that fell is started again: at once, and later each time if it keeps falling.

use std::time::{Duration, Instant};

use crate::control::Crashes;

/// A worker that has served for so long before it fell did not fall in a row with the one before.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// The pause after the second fall in a row; doubled for each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Falls in a row that make a loop.
const LOOP_FALLS: u32 = 3;

/// How workers have fallen.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    crashes: Crashes,
}

impl Backoff {
    pub(super) fn new(crashes: Crashes) -> Backoff {
        Backoff { crashes }
    }

    /// Takes note of a fall. Returns how long to wait before the next start.
    pub(super) fn fell(&mut self, how: &str, served: Duration) -> Duration {
        let crashes = &mut self.crashes;
        crashes.count += 1;
        crashes.in_a_row = if served >= STABLE_AFTER { 1 } else { crashes.in_a_row.saturating_add(1) };
        crashes.last = Some(how.to_owned());
        match crashes.in_a_row {
            0 | 1 => Duration::ZERO,
            falls => PAUSE_MIN.saturating_mul(1 << (falls - 2).min(20)).min(PAUSE_MAX),
        }
    }

    /// Whether it falls again and again.
    pub(super) fn is_loop(&self) -> bool {
        self.crashes.in_a_row >= LOOP_FALLS
    }

    /// Whether a worker that began at `since` has proved itself, so that the falls before it were not the beginning of a loop.
    pub(super) fn is_over(&self, since: Instant) -> bool {
        self.crashes.in_a_row > 0 && since.elapsed() >= STABLE_AFTER
    }

    /// The falls so far were not the beginning of a loop.
    pub(super) fn forgive(&mut self) {
        self.crashes.in_a_row = 0;
    }

    pub(super) fn crashes(&self) -> &Crashes {
        &self.crashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_the_next_ones_ever_later() {
        let mut backoff = Backoff::default();
        let brief = Duration::from_millis(50);
        let pauses: Vec<u128> = (0..10).map(|_| backoff.fell("exit", brief).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert!(backoff.is_loop());
        assert_eq!(backoff.fell("exit", STABLE_AFTER), Duration::ZERO, "it had served well");
        assert!(!backoff.is_loop());
        assert_eq!(backoff.crashes().count, 11);
    }
}
