//! `[metrics]`

use plan::{LatencyBuckets, Metrics};

use super::{integer, word};
use crate::config::diagnostic::Problems;
use crate::config::raw;

/// Series of a kind. More would make a page of metrics that no collector takes.
const SERIES_MAX: u32 = 100_000;

pub(super) fn lower(section: &raw::Metrics, problems: &mut Problems) -> Metrics {
    let default = Metrics::default();
    let known =
        [("coarse", LatencyBuckets::Coarse), ("standard", LatencyBuckets::Standard), ("fine", LatencyBuckets::Fine)];
    Metrics {
        enabled: section.enabled.unwrap_or(default.enabled),
        series_max: integer(section.series_max.as_ref(), 1..=SERIES_MAX, default.series_max, problems),
        latency: word(section.latency_buckets.as_ref(), "a choice of buckets", &known, default.latency, problems),
    }
}
