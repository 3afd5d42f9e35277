//! The one deadline that an exchange or a session waits with.

use std::task::{Context, Poll};
use std::time::Duration;

use ring::{Instant, Timer};

/// A deadline that moves as the work goes on. Moving it costs a store (see [`Timer`]).
#[derive(Debug)]
pub(crate) struct Deadline(Timer);

impl Deadline {
    pub(crate) fn new() -> Deadline {
        Deadline(Timer::new())
    }

    /// Expires `limit` from now.
    pub(crate) fn set(&mut self, limit: Duration) {
        self.0.set_after(limit);
    }

    /// Expires at `instant`.
    pub(crate) fn set_at(&mut self, instant: Instant) {
        self.0.set(instant);
    }

    /// Expires at `instant`, unless it expires sooner.
    pub(crate) fn bring_forward(&mut self, instant: Instant) {
        self.0.bring_forward(instant);
    }

    /// Expires never.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Ready when it has expired.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}
