//! What a thread writes while it makes load.

use std::sync::Arc;

use super::{Distribution, ErrorKind, Http2Counts, Live, Recording, series::Writer};

/// When a request is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// When the answer before it has arrived: latency and service time are the same, and only one is kept.
    Closed,
    /// When a schedule says so.
    Open,
}

/// How a TLS session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// With certificates.
    Full,
    /// From an earlier session's ticket.
    Resumed,
}

/// A verified answer, or a WebSocket message that came back. Times are in nanoseconds since the run's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// When the request was due: what the schedule said, or `sent_ns` in a closed loop.
    pub due_ns: u64,
    /// When the request was sent.
    pub sent_ns: u64,
    /// When the first byte of the answer arrived.
    pub first_byte_ns: u64,
    /// When its last byte arrived.
    pub end_ns: u64,
    /// The status; none for a message.
    pub status: Option<u16>,
}

/// What one thread records. It takes no lock, and allocates nothing but once a second for the series.
#[derive(Debug)]
pub struct Recorder {
    recording: Recording,
    series: Writer,
    live: Arc<Live>,
}

impl Recorder {
    /// Records a run of which nothing has happened yet.
    #[must_use]
    pub fn new(schedule: Loop) -> Self {
        let service = (schedule == Loop::Open).then(Distribution::new);
        Self {
            recording: Recording { service, ..Recording::default() },
            series: Writer::new(),
            live: Arc::new(Live::default()),
        }
    }

    /// What this recorder shows to others while it records.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// Lets the series advance to `now_ns` without anything else, so that bytes and connections count in their second.
    #[inline]
    pub fn tick(&mut self, now_ns: u64) {
        self.series.advance(now_ns);
    }

    /// Counts an answer that is as expected.
    #[inline]
    pub fn answered(&mut self, answer: &Answer) {
        self.series.advance(answer.end_ns);
        let latency_ns = answer.end_ns.saturating_sub(answer.due_ns);
        self.recording.latency.record(latency_ns);
        self.recording.first_byte.record(answer.first_byte_ns.saturating_sub(answer.due_ns));
        if let Some(service) = &mut self.recording.service {
            service.record(answer.end_ns.saturating_sub(answer.sent_ns));
        }
        if let Some(status) = answer.status {
            self.recording.statuses.add(status);
        }
        self.series.point.requests += 1;
        self.series.record(latency_ns);
        self.live.answered(latency_ns);
    }

    /// Counts a request that failed. `status` is that of an answer that arrived and was not as expected.
    pub fn failed(&mut self, kind: ErrorKind, status: Option<u16>, now_ns: u64) {
        self.series.advance(now_ns);
        if let Some(status) = status {
            self.recording.statuses.add(status);
        }
        self.recording.errors.add(kind);
        self.series.point.errors += 1;
        self.live.failed();
    }

    /// Counts what happened to a connection of HTTP/2.
    #[inline]
    pub fn http2(&mut self, change: impl FnOnce(&mut Http2Counts)) {
        change(&mut self.recording.http2);
    }

    /// Counts bytes that arrived, in the second in which the series stands.
    #[inline]
    pub fn received(&mut self, bytes: u64) {
        self.recording.bytes_in += bytes;
        self.series.point.bytes_in += bytes;
        self.live.received(bytes);
    }

    /// Counts bytes that were sent, in the second in which the series stands.
    #[inline]
    pub fn sent(&mut self, bytes: u64) {
        self.recording.bytes_out += bytes;
        self.series.point.bytes_out += bytes;
        self.live.sent(bytes);
    }

    /// Counts a connection, and the time that TCP took to make it.
    pub fn connected(&mut self, took_ns: u64) {
        self.recording.connect.record(took_ns);
        self.series.point.connections += 1;
        self.recording.connections_max = self.recording.connections_max.max(self.series.point.connections);
        self.live.connections(self.series.point.connections);
    }

    /// Counts a TLS handshake, and the time that it took after TCP's.
    pub fn shook_hands(&mut self, handshake: Handshake, took_ns: u64) {
        match handshake {
            Handshake::Full => self.recording.handshake_full.record(took_ns),
            Handshake::Resumed => self.recording.handshake_resumed.record(took_ns),
        }
    }

    /// Counts the end of a connection that [`Self::connected`] counted.
    pub fn disconnected(&mut self) {
        debug_assert!(self.series.point.connections > 0, "a connection ends once");
        self.series.point.connections = self.series.point.connections.saturating_sub(1);
        self.live.connections(self.series.point.connections);
    }

    /// The end of the run, at `end_ns`.
    #[must_use]
    pub fn finish(mut self, end_ns: u64) -> Recording {
        self.recording.elapsed_ns = end_ns;
        self.recording.series = self.series.finish(end_ns);
        self.recording
    }
}
