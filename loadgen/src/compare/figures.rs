//! What the windows say: for each metric the targets' values and their ratios to the first target.

use bench_common::statistics::{Estimate, Spread};
use serde::Serialize;

use super::{Comparison, Window};
use crate::report::words;

/// How the figures came about, in words for readers.
pub(crate) const METHOD: &str = "The targets took turns in each round. A ratio is taken between windows of the same round; told is the \
    median of the rounds' ratios, in brackets its 95 % interval (percentile bootstrap, 10,000 resamples).";

/// Something that each window has a value of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    RequestsPerSecond,
    LatencyMeanNs,
    LatencyP50Ns,
    LatencyP90Ns,
    LatencyP99Ns,
    LatencyP999Ns,
    CpuNsPerRequest,
    UserNsPerRequest,
    SystemNsPerRequest,
    MemoryBytes,
}

/// A metric of all targets.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    pub(crate) metric: Metric,
    /// In the order of the targets; none for a target that has no meter, or did not answer in some round.
    pub(crate) targets: Vec<Option<Figure>>,
}

/// A metric of one target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Over the rounds.
    pub(crate) value: Spread,
    /// Of the first target's in the same round; none for the first, or if that has no value.
    pub(crate) ratio: Option<Estimate>,
}

impl Metric {
    pub(crate) const ALL: [Self; 10] = [
        Self::RequestsPerSecond,
        Self::LatencyMeanNs,
        Self::LatencyP50Ns,
        Self::LatencyP90Ns,
        Self::LatencyP99Ns,
        Self::LatencyP999Ns,
        Self::CpuNsPerRequest,
        Self::UserNsPerRequest,
        Self::SystemNsPerRequest,
        Self::MemoryBytes,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequestsPerSecond => "requests a second",
            Self::LatencyMeanNs => "mean latency",
            Self::LatencyP50Ns => "p50 latency",
            Self::LatencyP90Ns => "p90 latency",
            Self::LatencyP99Ns => "p99 latency",
            Self::LatencyP999Ns => "p99.9 latency",
            Self::CpuNsPerRequest => "CPU a request",
            Self::UserNsPerRequest => "CPU in user",
            Self::SystemNsPerRequest => "CPU in the kernel",
            Self::MemoryBytes => "memory",
        }
    }

    pub(crate) fn words(self, value: f64) -> String {
        match self {
            Self::RequestsPerSecond => words::short(value),
            Self::MemoryBytes => words::bytes(value),
            _ => words::time(value),
        }
    }

    /// What ticks of an axis are round in.
    pub(crate) fn tick_unit(self) -> f64 {
        if self == Self::MemoryBytes { f64::from(1 << 20) } else { 1.0 }
    }

    /// The value of a window; none without answers or meter.
    fn of(self, window: &Window) -> Option<f64> {
        let recording = &window.recording;
        let requests = recording.requests();
        if requests == 0 {
            return None;
        }
        let quantile = |quantile: f64| Some(recording.latency.quantile_ns(quantile) as f64);
        // A request that failed has cost something too.
        let asked = (requests + recording.errors.total()) as f64;
        let each = |time: std::time::Duration| time.as_nanos() as f64 / asked;
        match self {
            Self::RequestsPerSecond => Some(recording.requests_per_second()),
            Self::LatencyMeanNs => Some(recording.latency.mean_ns()),
            Self::LatencyP50Ns => quantile(0.5),
            Self::LatencyP90Ns => quantile(0.9),
            Self::LatencyP99Ns => quantile(0.99),
            Self::LatencyP999Ns => quantile(0.999),
            Self::CpuNsPerRequest => Some(each(window.cpu?.total())),
            Self::UserNsPerRequest => Some(each(window.cpu?.user)),
            Self::SystemNsPerRequest => Some(each(window.cpu?.system)),
            Self::MemoryBytes => {
                let memory = window.memory?;
                Some(memory.proportional_bytes.unwrap_or(memory.resident_bytes) as f64)
            }
        }
    }
}

/// The metrics of which at least one target has a value.
pub(crate) fn of(comparison: &Comparison) -> Vec<Figures> {
    let figures = |metric: Metric| {
        let values = |target: usize| -> Option<Vec<f64>> {
            comparison.windows(target).map(|window| metric.of(window)).collect()
        };
        let reference = values(0);
        let figure = |target: usize| {
            let values = values(target)?;
            let ratio = reference.as_ref().filter(|_| target > 0).and_then(|reference| ratio(&values, reference));
            Some(Figure { value: Spread::of(values), ratio })
        };
        Figures { metric, targets: (0..comparison.targets.len()).map(figure).collect() }
    };
    Metric::ALL.into_iter().map(figures).filter(|figures| figures.targets.iter().any(Option::is_some)).collect()
}

/// None if the reference is zero in some round, as a time below the clock's tick is.
fn ratio(values: &[f64], reference: &[f64]) -> Option<Estimate> {
    let ratios: Vec<f64> = values.iter().zip(reference).map(|(value, reference)| value / reference).collect();
    ratios.iter().all(|ratio| ratio.is_finite()).then(|| Estimate::of(ratios))
}
