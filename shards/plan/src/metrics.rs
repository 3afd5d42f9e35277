//! What is counted of requests, and how finely it is told.

/// What is counted by listener, route, upstream and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metrics {
    /// Whether anything is. What a shard counts of itself as a whole is counted in any case.
    pub enabled: bool,
    /// Listeners, routes, upstreams and servers that are counted each by itself, a kind; 1 to 100,000. Those beyond it are
    /// counted together.
    pub series_max: u32,
    /// Which bounds of latencies are told.
    pub latency: LatencyBuckets,
}

impl Metrics {
    /// Whether what is counted under `other` is counted in the same cells, so that a running shard may go on with those it has.
    #[must_use]
    pub fn has_the_cells_of(&self, other: &Metrics) -> bool {
        (self.enabled, self.series_max) == (other.enabled, other.series_max)
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { enabled: true, series_max: 1_000, latency: LatencyBuckets::default() }
    }
}

/// The bounds that histograms of latencies are told with. They are counted with all of them in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LatencyBuckets {
    /// Powers of ten from 0.1 ms to 10 s.
    Coarse,
    /// 1, 2.5 and 5 times the powers of ten from 0.05 ms to 10 s, and 30 s and 60 s.
    #[default]
    Standard,
    /// All that there are: 18 a decade from 5 µs to 100 s.
    Fine,
}
