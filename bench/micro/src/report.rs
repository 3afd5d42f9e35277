//! The tables, and what exceeds its bar.

use std::fmt::{self, Write};

use bench_common::host::Host;
use serde::Serialize;

/// A lookup among the most routes may cost so much of one among the fewest.
const RATIO_MAX: f64 = 1.2;

/// A run: on what, by which command, with which results.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) host: Host,
    command: String,
    pub(crate) lookups: Vec<Looked>,
    pub(crate) compiled: Vec<Compiled>,
}

/// A lookup among `count` routes.
#[derive(Debug, Serialize)]
pub(crate) struct Looked {
    pub(crate) what: &'static str,
    pub(crate) count: usize,
    /// Of one lookup, in the median round.
    pub(crate) nanoseconds: f64,
    /// To the smallest table of its kind.
    pub(crate) ratio: f64,
}

/// `count` routes, compiled.
#[derive(Debug, Serialize)]
pub(crate) struct Compiled {
    pub(crate) what: &'static str,
    pub(crate) count: usize,
    pub(crate) milliseconds: f64,
    /// Of the routes themselves.
    pub(crate) routes_bytes: usize,
    /// Of what they are looked up by.
    pub(crate) table_bytes: usize,
}

impl Report {
    pub(crate) fn new(host: Host, command: String) -> Report {
        Report { host, command, lookups: Vec::new(), compiled: Vec::new() }
    }

    /// The report for readers.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("a String takes whatever is written");
        text
    }

    /// What exceeds its bar, a line each. The bar is for hosts; prefixes of one host are searched, in steps that grow with
    /// the logarithm of their number.
    pub(crate) fn missed(&self) -> Vec<String> {
        let of_hosts = self.lookups.iter().filter(|looked| looked.what.ends_with("hosts"));
        let beyond = of_hosts.filter(|looked| looked.ratio > RATIO_MAX);
        beyond.map(|looked| format!("{} {}: {:.2}", looked.count, looked.what, looked.ratio)).collect()
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "{}\n{}", self.host, self.command)?;
        writeln!(text, "\nOne lookup of host and path, and its ratio to that among the fewest.")?;
        writeln!(text, "{:<20}{:>8}{:>8}{:>8}", "many", "routes", "ns", "ratio")?;
        for Looked { what, count, nanoseconds, ratio } in &self.lookups {
            writeln!(text, "{what:<20}{count:>8}{nanoseconds:>8.1}{ratio:>8.2}")?;
        }
        writeln!(text, "\nCompiling routes: the time, and the bytes of the routes and of what they are looked up by.")?;
        writeln!(text, "{:<20}{:>8}{:>8}{:>14}{:>14}", "many", "routes", "ms", "routes", "lookup")?;
        for Compiled { what, count, milliseconds, routes_bytes, table_bytes } in &self.compiled {
            writeln!(text, "{what:<20}{count:>8}{milliseconds:>8.2}{routes_bytes:>14}{table_bytes:>14}")?;
        }
        match &self.missed()[..] {
            [] => writeln!(text, "\nEvery bar is met."),
            missed => writeln!(text, "\nMissed: {}", missed.join("; ")),
        }
    }
}
