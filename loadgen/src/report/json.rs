//! A report for programs.
//!
//! One object, whose `format` is [`FORMAT`]; fields may be added under the same format, none changes its meaning.
//!
//! - `name`, `started`, `generator`, `machine`, `settings`: see [`About`].
//! - `summary`: what most readers want. Times are in microseconds; `percentiles` is a list of `{percent, us}` up to 99.999.
//!   It follows from the rest and is not read again.
//! - `notes`: sentences for readers.
//! - `recording`: everything, exactly ([`Recording`]), times in nanoseconds. A distribution is `{min_ns, max_ns, sum_ns,
//!   bands}`, where `bands` is a list of `[from_ns, count]` and a band is at most 0.1 % wide (1 % in a point of the series).
//!   `errors` and `statuses` are counts by kind and code; `http2`, where that was spoken, counts connections, streams, resets
//!   and GOAWAYs; `series` has a point for each `interval_s`.

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{About, PERCENTILES, Report};
use crate::record::{Distribution, Http2Counts, Recording};

/// The name and version of the format.
pub const FORMAT: &str = "ringway-loadgen-report/1";

/// The report as JSON.
///
/// # Errors
/// Never for a report that this program made: its figures are finite.
pub fn write(report: &Report) -> anyhow::Result<String> {
    let document = Written {
        format: FORMAT,
        about: &report.about,
        summary: Summary::of(report),
        notes: &report.notes,
        recording: &report.recording,
    };
    let mut text = serde_json::to_string(&document).context("cannot write the report as JSON")?;
    text.push('\n');
    Ok(text)
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// Fails when `text` is something else, or of another version.
pub fn read(text: &str) -> anyhow::Result<Report> {
    let Tag { format } = serde_json::from_str(text).context("this is not a report of loadgen")?;
    if format != FORMAT {
        bail!("this is {format}, and not {FORMAT}");
    }
    let Read { about, notes, recording } = serde_json::from_str(text).context("the report is not as expected")?;
    ensure!(recording.series.interval_s > 0, "a series without an interval");
    Ok(Report { about, recording, notes })
}

/// What most readers want of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    duration_s: f64,
    requests: u64,
    requests_per_second: f64,
    errors: u64,
    error_percent: f64,
    bytes_in: u64,
    bytes_out: u64,
    bytes_in_per_second: f64,
    bytes_out_per_second: f64,
    connections_max: u64,
    #[serde(skip_serializing_if = "Http2Counts::is_empty")]
    http2: Http2Counts,
    latency: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Times>,
    first_byte: Times,
    connect: Times,
    handshake_full: Times,
    handshake_resumed: Times,
}

#[derive(Debug, Serialize)]
struct Times {
    count: u64,
    min_us: f64,
    mean_us: f64,
    deviation_us: f64,
    max_us: f64,
    percentiles: Vec<Percentile>,
}

#[derive(Debug, Serialize)]
struct Percentile {
    percent: f64,
    us: f64,
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    #[serde(flatten)]
    about: &'a About,
    summary: Summary,
    notes: &'a [String],
    recording: &'a Recording,
}

#[derive(Deserialize)]
struct Tag {
    format: String,
}

#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    about: About,
    notes: Vec<String>,
    recording: Recording,
}

impl Summary {
    fn of(report: &Report) -> Self {
        let recording = &report.recording;
        Self {
            duration_s: recording.elapsed_ns as f64 / 1e9,
            requests: recording.requests(),
            requests_per_second: recording.requests_per_second(),
            errors: recording.errors.total(),
            error_percent: report.error_percent(),
            bytes_in: recording.bytes_in,
            bytes_out: recording.bytes_out,
            bytes_in_per_second: report.per_second(recording.bytes_in),
            bytes_out_per_second: report.per_second(recording.bytes_out),
            connections_max: recording.connections_max,
            http2: recording.http2,
            latency: Times::of(&recording.latency),
            service: recording.service.as_ref().map(Times::of),
            first_byte: Times::of(&recording.first_byte),
            connect: Times::of(&recording.connect),
            handshake_full: Times::of(&recording.handshake_full),
            handshake_resumed: Times::of(&recording.handshake_resumed),
        }
    }
}

impl Times {
    fn of(distribution: &Distribution) -> Self {
        let us = |ns: u64| ns as f64 / 1e3;
        Self {
            count: distribution.count(),
            min_us: us(distribution.min_ns()),
            mean_us: distribution.mean_ns() / 1e3,
            deviation_us: distribution.deviation_ns() / 1e3,
            max_us: us(distribution.max_ns()),
            percentiles: PERCENTILES
                .map(|percent| Percentile { percent, us: us(distribution.quantile_ns(percent / 100.0)) })
                .into(),
        }
    }
}

#[cfg(test)]
mod tests;
