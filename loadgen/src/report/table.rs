//! The final table, in 80 columns.

use std::fmt::{self, Write};

use super::{Report, can_tell, words};
use crate::record::{Distribution, ErrorKind};

/// What a line may take.
const COLUMNS: usize = 80;

/// What the name of a row takes.
const LABEL_COLUMNS: usize = 12;

/// The quantiles that have a row.
const PERCENTILES: [f64; 7] = [50.0, 90.0, 95.0, 99.0, 99.9, 99.99, 99.999];

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The report for a terminal.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    write_text(report, &mut text).expect("a String takes whatever is written");
    text
}

fn write_text(report: &Report, text: &mut String) -> fmt::Result {
    write_head(report, text)?;
    write_times(report, text)?;
    write_series(report, text)?;
    write_counts(report, text)
}

fn write_head(report: &Report, text: &mut String) -> fmt::Result {
    let recording = &report.recording;
    writeln!(text, "{}", report.about.name)?;
    let settings: Vec<String> = report.about.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    write_wrapped(text, "", &settings, " ·")?;
    writeln!(text)?;
    let mut row = |name: &str, total: String, rate: String, rest: String| {
        writeln!(text, "{}", format!("{name:<LABEL_COLUMNS$}{total:>14}{rate:>16}   {rest}").trim_end())
    };
    row(
        "requests",
        words::count(recording.requests()),
        format!("{}/s", words::count(recording.requests_per_second().round() as u64)),
        format!("in {}", words::time(recording.elapsed_ns as f64)),
    )?;
    row(
        "errors",
        words::count(recording.errors.total()),
        words::percent(report.error_percent()),
        match recording.connections_max {
            0 => String::new(),
            connections => format!("{} connections at most", words::count(connections)),
        },
    )?;
    for (name, bytes) in [("received", recording.bytes_in), ("sent", recording.bytes_out)] {
        row(name, words::bytes(bytes as f64), format!("{}/s", words::bytes(report.per_second(bytes))), String::new())?;
    }
    Ok(())
}

/// A column for each distribution, a row for each quantile that some of them can tell.
fn write_times(report: &Report, text: &mut String) -> fmt::Result {
    let distributions = report.distributions();
    if distributions.is_empty() {
        return Ok(());
    }
    let width = ((COLUMNS - LABEL_COLUMNS) / distributions.len()).min(14);
    writeln!(text)?;
    write_row(text, "", distributions.iter().map(|(name, _)| (*name).to_owned()), width)?;
    let mut row = |name: &str, cell: &dyn Fn(&Distribution) -> String| {
        let cells = distributions.iter().map(|(_, distribution)| cell(distribution));
        write_row(text, name, cells, width)
    };
    row("count", &|times| words::count(times.count()))?;
    row("min", &|times| words::time(times.min_ns() as f64))?;
    row("mean", &|times| words::time(times.mean_ns()))?;
    row("± deviation", &|times| words::time(times.deviation_ns()))?;
    for percent in PERCENTILES {
        if distributions.iter().any(|(_, times)| can_tell(times, percent)) {
            row(&words::percentile(percent), &|times| match can_tell(times, percent) {
                true => words::time(times.quantile_ns(percent / 100.0) as f64),
                false => "–".to_owned(),
            })?;
        }
    }
    row("max", &|times| words::time(times.max_ns() as f64))
}

fn write_row(text: &mut String, name: &str, cells: impl Iterator<Item = String>, width: usize) -> fmt::Result {
    let cells: String = cells.map(|cell| format!("{cell:>width$}")).collect();
    writeln!(text, "{}", format!("{name:<LABEL_COLUMNS$}{cells}").trim_end())
}

/// Rate and p99 over the run as bars.
fn write_series(report: &Report, text: &mut String) -> fmt::Result {
    let series = &report.recording.series;
    // The last point may be cut short, and says nothing of a rate.
    let whole = (report.recording.elapsed_ns / (series.interval_s * 1_000_000_000)) as usize;
    let points = &series.points[..whole.min(series.points.len())];
    if points.len() < 3 {
        return Ok(());
    }
    writeln!(text)?;
    let rates: Vec<_> = points.iter().map(|point| Some(point.requests as f64 / series.interval_s as f64)).collect();
    let p99s: Vec<_> = points.iter().map(|point| point.quantile_ns(0.99).map(|ns| ns as f64)).collect();
    write_bars(text, "rate", &rates, |rate| format!("{}/s", words::short(rate)))?;
    write_bars(text, "p99", &p99s, words::time)
}

/// A second without a value has no bar, and no part in the range.
fn write_bars(text: &mut String, name: &str, values: &[Option<f64>], words: impl Fn(f64) -> String) -> fmt::Result {
    // As many columns as fit beside the name and the range.
    let columns = values.len().min(COLUMNS - LABEL_COLUMNS - 24);
    let highest = |column: usize| {
        let of = |column: usize| column * values.len() / columns;
        values[of(column)..of(column + 1)].iter().copied().flatten().reduce(f64::max)
    };
    let heights: Vec<Option<f64>> = (0..columns).map(highest).collect();
    let known = || values.iter().copied().flatten();
    let (Some(low), Some(high)) = (known().reduce(f64::min), known().reduce(f64::max)) else { return Ok(()) };
    let bar = |height: &Option<f64>| {
        let Some(height) = height else { return ' ' };
        let step = if high > 0.0 { (height / high * BARS.len() as f64).ceil() as usize } else { 1 };
        BARS[step.clamp(1, BARS.len()) - 1]
    };
    let bars: String = heights.iter().map(bar).collect();
    writeln!(text, "{name:<LABEL_COLUMNS$}{bars}  {} to {}", words(low), words(high))
}

fn write_counts(report: &Report, text: &mut String) -> fmt::Result {
    let statuses: Vec<String> =
        report.recording.statuses.iter().map(|(code, count)| format!("{code}: {}", words::count(count))).collect();
    let errors: Vec<String> = report
        .recording
        .errors
        .iter()
        .map(|(kind, count): (ErrorKind, u64)| format!("{kind}: {}", words::count(count)))
        .collect();
    let http2 = words::http2(&report.recording.http2);
    for (name, counts) in [("statuses", statuses), ("HTTP/2", http2), ("errors", errors)] {
        if !counts.is_empty() {
            writeln!(text)?;
            write_wrapped(text, name, &counts, ",")?;
        }
    }
    if !report.notes.is_empty() {
        writeln!(text)?;
    }
    report.notes.iter().try_for_each(|note| writeln!(text, "{note}"))
}

/// The parts with a mark between them, in as many lines as they need; the name stands before the first.
fn write_wrapped(text: &mut String, name: &str, parts: &[String], mark: &str) -> fmt::Result {
    let indent = if name.is_empty() { 0 } else { LABEL_COLUMNS };
    let mut line = format!("{name:<indent$}");
    for (position, part) in parts.iter().enumerate() {
        let part = if position + 1 < parts.len() { format!("{part}{mark}") } else { part.clone() };
        if line.chars().count() > indent && line.chars().count() + 1 + part.chars().count() > COLUMNS {
            writeln!(text, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        }
        if line.chars().count() > indent {
            line.push(' ');
        }
        line.push_str(&part);
    }
    if line.trim().is_empty() { Ok(()) } else { writeln!(text, "{}", line.trim_end()) }
}

#[cfg(test)]
mod tests;
