//! The run while it lasts: a bar on a terminal, plain lines elsewhere.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::words;
use crate::record::{Live, Progress};

/// How often a terminal's line is drawn again.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Over how much of the past rate and p99 are told.
const WINDOW: Duration = Duration::from_secs(2);

/// A terminal that does not tell its width is this wide.
const COLUMNS: usize = 80;

/// The bar is no wider than this, however wide the terminal.
const BAR_COLUMNS_MAX: usize = 30;

/// Eighths of a column.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Shows a run on standard error, from a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    ended: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What is shown: where the run stands, and what happened lately.
#[derive(Debug)]
struct View {
    /// How long the run will last; none if until it is interrupted.
    total: Option<Duration>,
    /// What was counted when, not further back than the window.
    past: Vec<(Duration, Progress)>,
}

impl Watch {
    /// Shows the run of these threads, which starts now. `label` stands before it, where several runs follow each other.
    ///
    /// Without a thread for it the run is not shown, which does not keep it from being made.
    #[must_use]
    pub fn start(label: impl Into<String>, total: Option<Duration>, threads: Vec<Arc<Live>>) -> Self {
        let (ended, end) = mpsc::channel();
        let label = label.into();
        let show = move || {
            let stderr = io::stderr();
            let terminal = stderr.is_terminal();
            let interval = if terminal { REDRAW_INTERVAL } else { LINE_INTERVAL };
            let mut view = View { total, past: Vec::new() };
            let started = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = end.recv_timeout(interval) {
                view.advance(started.elapsed(), Progress::of(threads.iter().map(|live| &**live)));
                // A terminal that has gone shows nothing; the run goes on.
                let _ = if terminal {
                    write!(stderr.lock(), "\r{}\x1b[K", view.line(&label, columns()))
                } else {
                    writeln!(stderr.lock(), "{}", view.line(&label, usize::MAX))
                };
            }
            if terminal {
                let _ = write!(stderr.lock(), "\r\x1b[K");
            }
        };
        Self { ended: Some(ended), thread: thread::Builder::new().name("progress".to_owned()).spawn(show).ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.ended.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been shown, and the run's figures do not depend on it.
            let _ = thread.join();
        }
    }
}

impl View {
    fn advance(&mut self, elapsed: Duration, progress: Progress) {
        self.past.push((elapsed, progress));
        let begin = elapsed.saturating_sub(WINDOW);
        // One that is older stays, so that there is always something to compare with.
        while self.past.len() > 2 && self.past[1].0 <= begin {
            self.past.remove(0);
        }
    }

    /// One line of at most `columns`; with a bar, if there is room and an end to wait for.
    fn line(&self, label: &str, columns: usize) -> String {
        let zero = (Duration::ZERO, Progress::default());
        let (elapsed, now) = self.past.last().unwrap_or(&zero);
        let (since, then) = if self.past.len() > 1 { &self.past[0] } else { &zero };
        let recent = now.since(then);
        let seconds = (*elapsed - *since).as_secs_f64().max(1e-3);
        let mut parts = vec![
            match self.total {
                Some(total) => format!("{} left", whole_seconds(total.saturating_sub(*elapsed))),
                None => whole_seconds(*elapsed),
            },
            format!("{}/s", words::short(recent.requests as f64 / seconds)),
            match recent.quantile(0.99) {
                Some(p99) => format!("p99 {}", words::time(p99.as_nanos() as f64)),
                None => "p99 –".to_owned(),
            },
            match now.errors {
                1 => "1 error".to_owned(),
                errors => format!("{} errors", words::short(errors as f64)),
            },
            format!("{} open", words::short(now.connections as f64)),
        ];
        if !label.is_empty() {
            parts.insert(0, label.to_owned());
        }
        let figures = parts.join("  ");
        // The last column stays free: a terminal may break a line that fills it.
        let room = columns.saturating_sub(figures.chars().count() + 4).min(BAR_COLUMNS_MAX);
        match self.total {
            Some(total) if columns != usize::MAX && room >= 5 => {
                format!("▕{}▏ {figures}", bar(elapsed.as_secs_f64() / total.as_secs_f64().max(1e-3), room))
            }
            _ => figures.chars().take(columns.saturating_sub(1)).collect(),
        }
    }
}

/// So much of the columns filled.
fn bar(share: f64, columns: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * (columns * EIGHTHS.len()) as f64) as usize;
    let (full, rest) = (eighths / EIGHTHS.len(), eighths % EIGHTHS.len());
    let partial = if rest > 0 { EIGHTHS[rest].to_string() } else { String::new() };
    let filled = "█".repeat(full) + &partial;
    format!("{filled:<columns$}")
}

fn whole_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds / 60 % 60),
    }
}

fn columns() -> usize {
    rustix::termios::tcgetwinsize(io::stderr())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answer, ErrorKind, Loop, Recorder};

    fn view(requests: u64) -> View {
        let mut recorder = Recorder::new(Loop::Closed);
        recorder.connected(1000);
        let live = recorder.live();
        let mut view = View { total: Some(Duration::from_secs(20)), past: Vec::new() };
        for step in 1..=20 {
            for _ in 0..requests / 20 {
                let due_ns = step * 250_000_000;
                recorder.answered(&Answer {
                    due_ns,
                    sent_ns: due_ns,
                    first_byte_ns: due_ns + 900_000,
                    end_ns: due_ns + 1_000_000,
                    status: Some(200),
                });
            }
            view.advance(Duration::from_millis(step * 250), Progress::of([&*live]));
        }
        recorder.failed(ErrorKind::Reset, None, 5_000_000_000);
        view.advance(Duration::from_secs(5), Progress::of([&*live]));
        view
    }

    #[test]
    fn the_line_fits_and_tells_the_last_seconds() {
        let view = view(20_000);
        let line = view.line("", 80);
        assert!(line.chars().count() < 80, "{line}");
        assert!(line.starts_with("▕███████"), "{line}");
        assert!(line.ends_with("15 s left  4k/s  p99 1.02 ms  1 error  1 open"), "{line}");
        assert!(view.past.len() < 12, "{}", view.past.len());
    }

    #[test]
    fn a_narrow_terminal_and_a_pipe_have_no_bar() {
        let view = view(20_000);
        assert_eq!(view.line("nginx", 20).chars().count(), 19);
        assert!(view.line("nginx", usize::MAX).starts_with("nginx  15 s left"));
    }

    #[test]
    fn a_bar_fills_by_eighths() {
        assert_eq!(bar(0.0, 4), "    ");
        assert_eq!(bar(0.5, 4), "██  ");
        assert_eq!(bar(0.54, 4), "██▏ ");
        assert_eq!(bar(2.0, 4), "████");
    }

    #[test]
    fn before_anything_was_counted_there_is_a_line_too() {
        let view = View { total: None, past: Vec::new() };
        assert_eq!(view.line("", usize::MAX), "0 s  0/s  p99 –  0 errors  0 open");
    }
}
