//! What a run has left.

use serde::{Deserialize, Serialize};

use super::{Distribution, ErrorCounts, Http2Counts, Series, StatusCounts};

/// What a thread, or all threads, recorded.
///
/// It can be written and read (serde), so that processes can hand theirs over to one that merges them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Recording {
    /// How long the run lasted, in nanoseconds.
    pub elapsed_ns: u64,
    /// From when a request was due to the last byte of its answer. Its count is the number of requests answered as expected.
    pub latency: Distribution,
    /// From when a request was sent to the last byte of its answer; none where that is the same, in a closed loop.
    pub service: Option<Distribution>,
    /// From when a request was due to the first byte of its answer.
    pub first_byte: Distribution,
    /// From the wish for a connection until TCP had made it.
    pub connect: Distribution,
    /// What a TLS handshake took after that, with certificates.
    pub handshake_full: Distribution,
    /// What a TLS handshake took after that, from an earlier session's ticket.
    pub handshake_resumed: Distribution,
    /// Statuses of all answers, expected or not.
    pub statuses: StatusCounts,
    /// Requests that failed.
    pub errors: ErrorCounts,
    /// What HTTP/2's connections went through, where that was spoken.
    #[serde(default, skip_serializing_if = "Http2Counts::is_empty")]
    pub http2: Http2Counts,
    /// Bytes received, in TCP's payload (inside TLS).
    pub bytes_in: u64,
    /// Bytes sent, likewise.
    pub bytes_out: u64,
    /// Connections that were open at once; of merged recordings, the sum, which their peaks reach if they coincide.
    pub connections_max: u64,
    /// The run over time.
    pub series: Series,
}

impl Recording {
    /// Adds what another thread recorded in the same run.
    pub fn merge(&mut self, other: Self) {
        self.elapsed_ns = self.elapsed_ns.max(other.elapsed_ns);
        self.latency.merge(&other.latency);
        match (&mut self.service, other.service) {
            (Some(service), Some(other)) => service.merge(&other),
            (service @ None, other) => *service = other,
            (Some(_), None) => {}
        }
        self.first_byte.merge(&other.first_byte);
        self.connect.merge(&other.connect);
        self.handshake_full.merge(&other.handshake_full);
        self.handshake_resumed.merge(&other.handshake_resumed);
        self.statuses.merge(&other.statuses);
        self.errors.merge(&other.errors);
        self.http2.merge(&other.http2);
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.connections_max += other.connections_max;
        self.series.merge(other.series);
    }

    /// Adds what the same load recorded in a later run. The series are of no common time any more, and are dropped.
    pub fn append(&mut self, later: Self) {
        let elapsed_ns = self.elapsed_ns + later.elapsed_ns;
        let connections_max = self.connections_max.max(later.connections_max);
        self.merge(later);
        *self = Self { elapsed_ns, connections_max, series: Series::default(), ..std::mem::take(self) };
    }

    /// The sum of recordings of one run; an empty one of none.
    #[must_use]
    pub fn merged(recordings: impl IntoIterator<Item = Self>) -> Self {
        recordings
            .into_iter()
            .reduce(|mut sum, recording| {
                sum.merge(recording);
                sum
            })
            .unwrap_or_default()
    }

    /// Requests answered as expected.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.latency.count()
    }

    /// Requests answered as expected, in each second of the run.
    #[must_use]
    pub fn requests_per_second(&self) -> f64 {
        if self.elapsed_ns == 0 { 0.0 } else { self.requests() as f64 * 1e9 / self.elapsed_ns as f64 }
    }
}
