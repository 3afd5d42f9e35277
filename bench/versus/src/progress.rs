//! Where a run stands: a line that changes on a terminal, and a line for each round that stays.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Counts the windows of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    is_terminal: bool,
    started: Instant,
    /// Windows that were begun.
    begun: u32,
    /// Windows that the run takes, as far as is known: each polluted round adds its own.
    expected: u32,
}

impl Progress {
    /// A run of so many windows begins.
    pub(crate) fn start(expected: u32) -> Self {
        Self { is_terminal: io::stderr().is_terminal(), started: Instant::now(), begun: 0, expected }
    }

    /// A target is about to be measured.
    pub(crate) fn window(&mut self, scenario: &str, round: usize, of: u32, target: &str) {
        if self.is_terminal {
            let left = time_left(self.started.elapsed(), self.begun, self.expected);
            let left = left.map_or_else(String::new, |left| format!(", {} left", in_words(left)));
            eprint!("\r\x1b[K{scenario}, round {round} of {of}: {target}{left}");
            // Progress that cannot be shown is no reason to end.
            let _ = io::stderr().flush();
        }
        self.begun += 1;
    }

    /// A round is over; `line` says what it found.
    pub(crate) fn round(&mut self, line: &str) {
        eprintln!("{}{line}", if self.is_terminal { "\r\x1b[K" } else { "" });
    }

    /// A round will be repeated, with so many windows.
    pub(crate) fn add(&mut self, windows: usize) {
        self.expected += windows as u32;
    }

    /// A scenario is over; so many windows are to come, if none is repeated.
    pub(crate) fn expect(&mut self, windows: u32) {
        self.expected = self.begun + windows;
    }
}

/// What the windows to come take if they take as long as those before; nothing before the first.
fn time_left(elapsed: Duration, done: u32, expected: u32) -> Option<Duration> {
    (done > 0).then(|| elapsed / done * expected.saturating_sub(done))
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 90 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_judged_by_what_is_done() {
        assert_eq!(time_left(Duration::ZERO, 0, 10), None);
        assert_eq!(time_left(Duration::from_secs(12), 2, 10), Some(Duration::from_secs(48)));
        assert_eq!(time_left(Duration::from_secs(12), 12, 10), Some(Duration::ZERO));
        assert_eq!([89, 90, 149, 3600].map(|s| in_words(Duration::from_secs(s))), ["89 s", "2 min", "2 min", "60 min"]);
    }
}
