//! Log lines about trouble that repeats: one a second, however often it happens.

use std::cell::Cell;
use std::time::Duration;

use ring::Instant;

/// Between two lines about the same trouble.
const INTERVAL: Duration = Duration::from_secs(1);

/// Decides whether a trouble is told or only counted. A full disk, a lack of descriptors or a hostile client must not fill
/// the log as well.
#[derive(Debug, Default)]
pub struct Complaint {
    told_at: Cell<Option<Instant>>,
    untold: Cell<u64>,
}

impl Complaint {
    /// Takes note that it happened at `now`. If it is to be told, returns how often it happened untold since the last line.
    pub fn due(&self, now: Instant) -> Option<u64> {
        if self.told_at.get().is_some_and(|told| now.saturating_duration_since(told) < INTERVAL) {
            self.untold.set(self.untold.get() + 1);
            return None;
        }
        self.told_at.set(Some(now));
        Some(self.untold.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_a_second_with_how_often_it_was_not() {
        let (complaint, start) = (Complaint::default(), Instant::now());
        let due = |millis| complaint.due(start + Duration::from_millis(millis));
        assert_eq!([0, 1, 500, 999, 1000, 1500, 2600].map(due), [Some(0), None, None, None, Some(3), None, Some(1)]);
    }
}
