//! What a proxied request writes to its shard's cells.

use std::time::Duration;

use engine::{ListenerTally, Outcome, RouteTally, ServerTally, UpstreamTally};

/// Requests of a workload, spread over all routes in an order that no predictor learns.
const REQUESTS: usize = 4096;

/// Cells, and requests that are spread over them.
#[derive(Debug)]
pub struct Workload {
    listener: ListenerTally,
    cells: Vec<Cells>,
    requests: Vec<(usize, Duration)>,
}

/// A route with an upstream of its own, and its one server.
#[derive(Debug, Default)]
struct Cells {
    route: RouteTally,
    upstream: UpstreamTally,
    server: ServerTally,
}

impl Workload {
    /// A workload of so many routes.
    #[must_use]
    pub fn new(routes: usize) -> Workload {
        // Xorshift (Marsaglia, 2003).
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 16
        };
        let request = |_| (next() as usize % routes, Duration::from_micros(80 + next() % 500));
        Workload {
            listener: ListenerTally::default(),
            requests: (0..REQUESTS).map(request).collect(),
            cells: std::iter::repeat_with(Cells::default).take(routes).collect(),
        }
    }

    /// Number of requests.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Counts them all, as an exchange on a kept connection does.
    pub fn count_all(&self) {
        for (place, latency) in &self.requests {
            let Cells { route, upstream, server } = &self.cells[*place];
            self.listener.requests.add(1);
            server.active.add(1);
            upstream.connections_idle.sub(1);
            upstream.reuses.add(1);
            upstream.requests.add(1);
            server.requests.add(1);
            upstream.head_latency.record(*latency);
            upstream.total_latency.record(*latency);
            upstream.connections_idle.add(1);
            server.active.sub(1);
            route.note(200, Outcome::Completed, (0, 128), *latency);
        }
    }
}
