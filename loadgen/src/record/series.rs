//! What happened over the run, second by second.

use std::{iter::Peekable, vec};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Band, LATENCY_NS_MAX};

/// Points that a series holds at most. A run of more than an hour gets intervals of two seconds, then four, and so on.
pub const POINTS_MAX: usize = 3600;

/// Significant decimal digits of a point's latencies: a band is at most 1 % wide.
const SIGNIFICANT_DIGITS: u8 = 2;

const NS_PER_S: u64 = 1_000_000_000;

/// What happened in one interval.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Answers that arrived and were as expected.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections open at the interval's end.
    pub connections: u64,
    /// Latencies of the answers, from the shortest to the longest.
    pub latency: Vec<Band>,
}

/// Points of equal length, from the run's start. The last may be shorter: the run's end cuts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Length of a point, in seconds: a power of two.
    pub interval_s: u64,
    /// The points.
    pub points: Vec<Point>,
}

impl Default for Series {
    fn default() -> Self {
        Self { interval_s: 1, points: Vec::new() }
    }
}

impl Point {
    /// The latency that `quantile` (0 to 1) of the answers took at most, less up to 1 %; none without answers.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> Option<u64> {
        let samples: u64 = self.latency.iter().map(|band| band.count).sum();
        let rank = ((samples as f64 * quantile).ceil() as u64).clamp(1, samples.max(1));
        let mut below = 0;
        self.latency.iter().find_map(|band| {
            below += band.count;
            (below >= rank).then_some(band.from_ns)
        })
    }

    fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.latency = merged_bands(std::mem::take(&mut self.latency), other.latency);
    }
}

impl Series {
    /// Adds another thread's series.
    pub fn merge(&mut self, mut other: Self) {
        while self.interval_s < other.interval_s {
            self.coarsen();
        }
        while other.interval_s < self.interval_s {
            other.coarsen();
        }
        self.points.resize_with(self.points.len().max(other.points.len()), Point::default);
        for (sum, point) in self.points.iter_mut().zip(other.points) {
            sum.connections += point.connections;
            sum.merge(point);
        }
    }

    /// Doubles the interval.
    pub fn coarsen(&mut self) {
        self.interval_s *= 2;
        let mut points = std::mem::take(&mut self.points).into_iter();
        while let Some(mut point) = points.next() {
            if let Some(next) = points.next() {
                point.connections = next.connections;
                point.merge(next);
            }
            self.points.push(point);
        }
    }
}

/// The series of one thread while it is written: the point under way, and those that are complete.
#[derive(Debug)]
pub(super) struct Writer {
    series: Series,
    /// The point under way, its latencies apart.
    pub(super) point: Point,
    latency: Histogram<u32>,
    /// When the point under way ends.
    ends_ns: u64,
}

impl Writer {
    pub(super) fn new() -> Self {
        // Room from the start, so that no sample waits for memory.
        let series = Series { interval_s: 1, points: Vec::with_capacity(POINTS_MAX + 1) };
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, SIGNIFICANT_DIGITS).expect("the bounds are valid");
        Self { series, point: Point::default(), latency, ends_ns: NS_PER_S }
    }

    /// Completes the points that end by `now_ns`.
    #[inline]
    pub(super) fn advance(&mut self, now_ns: u64) {
        while now_ns >= self.ends_ns {
            self.complete_point();
        }
    }

    #[inline]
    pub(super) fn record(&mut self, latency_ns: u64) {
        self.latency.saturating_record(latency_ns.clamp(1, LATENCY_NS_MAX));
    }

    /// The series; the point under way is its last, if anything happened in it or the run's `end_ns` lies within it.
    pub(super) fn finish(mut self, end_ns: u64) -> Series {
        self.advance(end_ns);
        let started_ns = self.ends_ns - self.series.interval_s * NS_PER_S;
        let idle = Point { connections: self.point.connections, ..Point::default() };
        if end_ns > started_ns || self.point != idle {
            self.complete_point();
        }
        self.series
    }

    #[cold]
    fn complete_point(&mut self) {
        let connections = self.point.connections;
        let mut point = std::mem::take(&mut self.point);
        point.latency = self.take_latencies();
        self.series.points.push(point);
        self.point.connections = connections;
        if self.series.points.len() >= POINTS_MAX && self.series.points.len().is_multiple_of(2) {
            self.series.coarsen();
        }
        self.ends_ns = (self.series.points.len() as u64 + 1) * self.series.interval_s * NS_PER_S;
    }

    fn take_latencies(&mut self) -> Vec<Band> {
        if self.latency.is_empty() {
            return Vec::new();
        }
        let bands = self.latency.iter_recorded().map(|step| Band {
            from_ns: self.latency.lowest_equivalent(step.value_iterated_to()),
            count: u64::from(step.count_at_value()),
        });
        let bands = bands.collect();
        self.latency.reset();
        bands
    }
}

/// Both lists in one, in order.
fn merged_bands(left: Vec<Band>, right: Vec<Band>) -> Vec<Band> {
    if left.is_empty() || right.is_empty() {
        return if left.is_empty() { right } else { left };
    }
    let mut merged: Vec<Band> = Vec::with_capacity(left.len() + right.len());
    let mut lists = [left.into_iter().peekable(), right.into_iter().peekable()];
    while let Some(band) = take_lowest(&mut lists) {
        match merged.last_mut() {
            Some(last) if last.from_ns == band.from_ns => last.count += band.count,
            _ => merged.push(band),
        }
    }
    merged
}

fn take_lowest(lists: &mut [Peekable<vec::IntoIter<Band>>; 2]) -> Option<Band> {
    let [left, right] = lists;
    match (left.peek(), right.peek()) {
        (Some(from_left), Some(from_right)) if from_right.from_ns < from_left.from_ns => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    }
}
