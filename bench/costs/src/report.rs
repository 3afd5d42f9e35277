//! The tables, and what exceeds its bar.

use std::fmt::{self, Write};

use bench_common::{
    budget::{self, Budget},
    host::Host,
};
use serde::{Serialize, Serializer};

use crate::{scenario::Scenario, tally::Tally};

/// A column of the table of requests: a title, its width, and what is counted.
type Column = (&'static str, usize, fn(&Tally) -> u64);

/// The columns, after those of the scenario and the number of requests.
const COLUMNS: [Column; 10] = [
    ("allocs", 9, |window| window.allocations),
    ("alloc bytes", 12, |window| window.allocated_bytes),
    ("enters", 9, |window| window.enters),
    ("SQEs", 9, |window| window.submission_entries),
    ("CQEs", 9, |window| window.completions),
    ("received", 10, |window| window.received_bytes),
    ("sent", 10, |window| window.sent_bytes),
    ("copied", 10, |window| window.copied_out_bytes),
    ("starved", 9, |window| window.receives_starved),
    ("connects", 9, |window| window.upstream_connects),
];

/// A run: on what, by which command, with which results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) host: Host,
    command: String,
    requests: Vec<RequestCosts>,
    idle: Vec<IdleCosts>,
    #[serde(skip)]
    budget: Budget,
}

/// What came of a scenario.
#[derive(Debug)]
pub(crate) enum Measured {
    Requests(RequestCosts),
    Idle(IdleCosts),
}

/// The counts of one window.
#[derive(Debug, Serialize)]
pub(crate) struct RequestCosts {
    #[serde(serialize_with = "as_text")]
    pub(crate) scenario: Scenario,
    /// Length of the window.
    pub(crate) seconds: u32,
    pub(crate) window: Tally,
}

/// Memory a connection.
#[derive(Debug, Serialize)]
pub(crate) struct IdleCosts {
    #[serde(serialize_with = "as_text")]
    pub(crate) scenario: Scenario,
    pub(crate) anonymous_bytes: f64,
    pub(crate) private_dirty_bytes: f64,
    pub(crate) heap_bytes: f64,
}

impl Report {
    pub(crate) fn new(host: Host, command: String, budget: Budget) -> Self {
        Self { host, command, requests: Vec::new(), idle: Vec::new(), budget }
    }

    pub(crate) fn add(&mut self, measured: Measured) {
        match measured {
            Measured::Requests(costs) => self.requests.push(costs),
            Measured::Idle(costs) => self.idle.push(costs),
        }
    }

    /// The report for readers.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("a String takes whatever is written");
        text
    }

    /// What exceeds its budget, a line each.
    pub(crate) fn missed(&self) -> Vec<String> {
        self.requests
            .iter()
            .flat_map(|costs| costs.missed(&self.budget))
            .chain(self.idle.iter().filter_map(|costs| costs.missed(&self.budget)))
            .collect()
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "{}\n{}", self.host, self.command)?;
        if !self.requests.is_empty() {
            writeln!(text, "\nCounts of one shard a request, in steady state; 0 is not once in the window.")?;
            write_requests(text, &self.requests)?;
        }
        if !self.idle.is_empty() {
            writeln!(text, "\nUser memory of an idle keep-alive connection that has had one request, in bytes.")?;
            write_idle(text, &self.idle)?;
        }
        let missed = self.missed();
        writeln!(text, "\n{}", if missed.is_empty() { "Every budget is kept.".into() } else { missed.join("\n") })
    }
}

impl RequestCosts {
    fn missed(&self, budget: &Budget) -> Vec<String> {
        let name = self.scenario.to_string();
        let budget::Request { allocations_max, enters, sqes, cqes, copied_bytes } =
            budget.requests.get(&name).copied().unwrap_or_default();
        let window = &self.window;
        let allocations = window.per_request(window.allocations);
        let mut missed: Vec<String> = allocations_max
            .filter(|max| allocations > *max)
            .map(|max| {
                format!("TOO HIGH: {name} makes {allocations:.5} heap allocations a request in steady state; at most {max} are allowed")
            })
            .into_iter()
            .collect();
        let counts = [
            ("enters a request", window.enters, enters),
            ("SQEs a request", window.submission_entries, sqes),
            ("CQEs a request", window.completions, cqes),
            ("copied bytes a request", window.copied_out_bytes, copied_bytes),
        ];
        for (what, count, bound) in counts {
            missed.extend(bound.and_then(|bound| budget.excess(&name, what, window.per_request(count), bound)));
        }
        missed
    }
}

impl IdleCosts {
    fn missed(&self, budget: &Budget) -> Option<String> {
        let bytes = self.anonymous_bytes.max(self.private_dirty_bytes).max(self.heap_bytes);
        let max = budget.idle.bytes_max;
        (bytes > max).then(|| {
            format!("TOO HIGH: {} takes {bytes:.0} bytes a connection; at most {max} are allowed", self.scenario)
        })
    }
}

fn write_requests(text: &mut String, rows: &[RequestCosts]) -> fmt::Result {
    write!(text, "{:<14} {:>9}", "scenario", "requests")?;
    for (title, width, _) in COLUMNS {
        write!(text, " {title:>width$}")?;
    }
    writeln!(text)?;
    for RequestCosts { scenario, window, .. } in rows {
        write!(text, "{:<14} {:>9}", scenario.to_string(), window.requests)?;
        for (_, width, count) in COLUMNS {
            write!(text, " {:>width$}", figure(window.per_request(count(window))))?;
        }
        writeln!(text)?;
    }
    Ok(())
}

fn write_idle(text: &mut String, rows: &[IdleCosts]) -> fmt::Result {
    writeln!(text, "{:<14} {:>10} {:>14} {:>10}", "scenario", "anonymous", "private dirty", "heap")?;
    for IdleCosts { scenario, anonymous_bytes, private_dirty_bytes, heap_bytes } in rows {
        let scenario = scenario.to_string();
        writeln!(text, "{scenario:<14} {anonymous_bytes:>10.0} {private_dirty_bytes:>14.0} {heap_bytes:>10.0}")?;
    }
    Ok(())
}

/// A figure with as many decimals as tell something, and zero for nothing else than zero.
fn figure(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        ..0.000_01 => "<0.00001".into(),
        ..0.1 => format!("{value:.5}"),
        ..100.0 => format!("{value:.3}"),
        _ => format!("{value:.0}"),
    }
}

fn as_text<S: Serializer>(scenario: &Scenario, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(scenario)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        let request = budget::Request { allocations_max: Some(0.001), sqes: Some(2.0), ..budget::Request::default() };
        Budget {
            tolerance_percent: 3.0,
            toolchain: budget::Toolchain { rustc: String::new() },
            instructions: [].into(),
            requests: [("small@64".to_owned(), request)].into(),
            idle: budget::Idle { bytes_max: 2048.0 },
        }
    }

    fn costs(scenario: &str, allocations: u64, submission_entries: u64) -> RequestCosts {
        let window = Tally { requests: 10_000, allocations, submission_entries, enters: 5_000, ..Tally::default() };
        RequestCosts { scenario: scenario.parse().unwrap(), seconds: 4, window }
    }

    fn idle(anonymous_bytes: f64, heap_bytes: f64) -> IdleCosts {
        let scenario = "idle@100".parse().unwrap();
        IdleCosts { scenario, anonymous_bytes, private_dirty_bytes: 0.0, heap_bytes }
    }

    #[test]
    fn what_exceeds_a_scenarios_budget_is_named() {
        assert!(costs("small@64", 10, 20_500).missed(&budget()).is_empty());
        let missed = costs("small@64", 11, 20_700).missed(&budget());
        assert!(missed[0].contains("small@64 makes 0.00110 heap allocations"), "{missed:?}");
        assert!(missed[1].contains("small@64: 2.070 SQEs a request; the budget is 2.000"), "{missed:?}");
        assert!(costs("1m@16", 10_000, 99_000).missed(&budget()).is_empty(), "it has none");
    }

    #[test]
    fn the_greatest_figure_of_an_idle_connection_counts() {
        assert_eq!(idle(2048.0, 2048.0).missed(&budget()), None);
        assert!(idle(2049.0, 10.0).missed(&budget()).unwrap().contains("2049 bytes"));
        assert!(idle(-10.0, 3000.0).missed(&budget()).unwrap().contains("3000 bytes"));
    }

    #[test]
    fn only_nothing_is_zero() {
        for (value, text) in
            [(0.0, "0"), (0.000_001, "<0.00001"), (0.000_6, "0.00060"), (2.0, "2.000"), (65_787.4, "65787")]
        {
            assert_eq!(figure(value), text);
        }
    }

    #[test]
    fn a_row_has_a_figure_in_every_column() {
        let mut text = String::new();
        write_requests(&mut text, &[costs("small@64+log", 0, 0)]).unwrap();
        let [_, row] = text.lines().collect::<Vec<_>>()[..] else { panic!("expected a title and a row: {text}") };
        let fields: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(fields.len(), 2 + COLUMNS.len());
        assert_eq!(fields[..5], ["small@64+log", "10000", "0", "0", "0.500"]);
    }
}
