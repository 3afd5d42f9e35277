//! A distribution of times: counts in bands whose width is at most a thousandth of their value.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest time that is told from longer ones: an hour. Longer times count as this.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Significant decimal digits that a band resolves: a quantile is within 0.1 % of the sample that stands there.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Times in nanoseconds, from 1 ns to [`LATENCY_NS_MAX`].
///
/// The counts are a fixed array of 33 thousand, of which a run touches the few pages in which its times lie. Count,
/// minimum, maximum and sum are exact; quantiles are the upper end of the band in which the sample lies, at most 0.1 % more
/// than it and never more than the maximum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Distribution {
    histogram: Histogram<u64>,
    min_ns: u64,
    max_ns: u64,
    sum_ns: u64,
}

/// So many samples in one band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Band {
    /// The lowest time of the band, in nanoseconds.
    pub from_ns: u64,
    /// Samples in it.
    pub count: u64,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::new()
    }
}

impl Distribution {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, SIGNIFICANT_DIGITS).expect("the bounds are valid");
        Self { histogram, min_ns: u64::MAX, max_ns: 0, sum_ns: 0 }
    }

    /// Adds one sample. Zero counts as a nanosecond, and more than [`LATENCY_NS_MAX`] as that.
    pub fn record(&mut self, time_ns: u64) {
        let time_ns = time_ns.clamp(1, LATENCY_NS_MAX);
        self.histogram.saturating_record(time_ns);
        self.min_ns = self.min_ns.min(time_ns);
        self.max_ns = self.max_ns.max(time_ns);
        self.sum_ns = self.sum_ns.saturating_add(time_ns);
    }

    /// Adds all samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all distributions have the same bounds");
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// Samples so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Whether there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// The shortest time; zero without samples.
    #[must_use]
    pub fn min_ns(&self) -> u64 {
        if self.is_empty() { 0 } else { self.min_ns }
    }

    /// The longest time; zero without samples.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The arithmetic mean; zero without samples.
    #[must_use]
    pub fn mean_ns(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.sum_ns as f64 / self.count() as f64 }
    }

    /// The standard deviation, from the bands' middles; zero without samples.
    #[must_use]
    pub fn deviation_ns(&self) -> f64 {
        if self.is_empty() { 0.0 } else { self.histogram.stdev() }
    }

    /// The time that `quantile` (0 to 1) of all samples took at most; zero without samples.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        // What is not a binary fraction may stand a little above itself, and would be the next sample's.
        let quantile = (quantile - 4.0 * f64::EPSILON).max(0.0);
        self.histogram.value_at_quantile(quantile).clamp(self.min_ns(), self.max_ns)
    }

    /// How many of 1 took at most `time_ns`, to the band's width.
    #[must_use]
    pub fn quantile_below(&self, time_ns: u64) -> f64 {
        self.histogram.quantile_below(time_ns)
    }

    /// The bands that have samples, from the shortest time to the longest.
    pub fn bands(&self) -> impl Iterator<Item = Band> + '_ {
        self.histogram.iter_recorded().map(|step| Band {
            from_ns: self.histogram.lowest_equivalent(step.value_iterated_to()),
            count: step.count_at_value(),
        })
    }
}

impl From<(u64, u64)> for Band {
    fn from((from_ns, count): (u64, u64)) -> Self {
        Self { from_ns, count }
    }
}

impl From<Band> for (u64, u64) {
    fn from(band: Band) -> Self {
        (band.from_ns, band.count)
    }
}

/// How a distribution travels: the bands that have samples, each as `[from_ns, count]`.
#[derive(Serialize, Deserialize)]
struct Packed {
    min_ns: u64,
    max_ns: u64,
    sum_ns: u64,
    bands: Vec<Band>,
}

impl From<Distribution> for Packed {
    fn from(distribution: Distribution) -> Self {
        Self {
            min_ns: distribution.min_ns(),
            max_ns: distribution.max_ns,
            sum_ns: distribution.sum_ns,
            bands: distribution.bands().collect(),
        }
    }
}

impl From<Packed> for Distribution {
    fn from(packed: Packed) -> Self {
        let mut distribution = Self::new();
        for band in packed.bands.iter().filter(|band| band.count > 0) {
            distribution.histogram.saturating_record_n(band.from_ns.clamp(1, LATENCY_NS_MAX), band.count);
        }
        if !distribution.is_empty() {
            let (min_ns, max_ns) = (packed.min_ns.max(1), packed.max_ns.max(packed.min_ns).max(1));
            (distribution.min_ns, distribution.max_ns, distribution.sum_ns) = (min_ns, max_ns, packed.sum_ns);
        }
        distribution
    }
}
