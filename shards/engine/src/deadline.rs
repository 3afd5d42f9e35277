//! The one deadline that an exchange or a session waits with.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ring::Timer;

/// A deadline that moves as the work goes on. Moving it costs a store (see the ring's timer wheel).
#[derive(Debug)]
pub(crate) struct Deadline {
    timer: Timer,
    at: Option<Instant>,
}

impl Deadline {
    pub(crate) fn new() -> Deadline {
        Deadline { timer: Timer::new(), at: None }
    }

    /// Expires `limit` from now.
    pub(crate) fn set(&mut self, limit: Duration) {
        self.set_at(ring::now() + limit);
    }

    /// Expires at `instant`.
    pub(crate) fn set_at(&mut self, instant: Instant) {
        self.at = Some(instant);
        self.timer.set(instant);
    }

    /// Expires at `instant`, unless it expires sooner.
    pub(crate) fn bring_forward(&mut self, instant: Instant) {
        if self.at.is_none_or(|at| instant < at) {
            self.set_at(instant);
        }
    }

    /// Expires never.
    pub(crate) fn clear(&mut self) {
        if self.at.take().is_some() {
            self.timer.clear();
        }
    }

    /// Ready when it has expired.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.at.is_none() { Poll::Pending } else { self.timer.poll(cx) }
    }
}
