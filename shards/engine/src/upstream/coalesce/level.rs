//! How many requests are under way at most, of late.

use std::cell::Cell;
use std::time::Duration;

use ring::Instant;

/// How long the most that was seen counts: once to twice this. Answers to a batch free all their clients at once, and none is
/// under way for a moment; and a load that has gone is to be forgotten soon.
const WINDOW: Duration = Duration::from_millis(20);

/// The most requests under way in this window of time and the one before.
#[derive(Debug, Default)]
pub(super) struct Level {
    since: Cell<Option<Instant>>,
    most: Cell<u32>,
    most_before: Cell<u32>,
}

impl Level {
    /// Takes note that `active` are under way at `now`, and returns the most of late.
    pub(super) fn note(&self, active: u32, now: Instant) -> u32 {
        let age = self.since.get().map(|since| now.saturating_duration_since(since));
        if age.is_none_or(|age| age >= WINDOW) {
            // After a silence, what was before it counts no more.
            self.most_before.set(if age.is_some_and(|age| age < 2 * WINDOW) { self.most.get() } else { 0 });
            self.most.set(0);
            self.since.set(Some(now));
        }
        self.most.set(self.most.get().max(active));
        self.most.get().max(self.most_before.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_for_a_while_and_is_forgotten() {
        let (level, start) = (Level::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(level.note(3, at(0)), 3);
        assert_eq!(level.note(40, at(5)), 40);
        assert_eq!(level.note(1, at(19)), 40, "the same window");
        assert_eq!(level.note(2, at(21)), 40, "the next one");
        assert_eq!(level.note(2, at(42)), 2, "the one after it");
        level.note(50, at(43));
        assert_eq!(level.note(1, at(10_000)), 1, "after a silence");
    }
}
