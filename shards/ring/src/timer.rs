//! Timers of a shard.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::Instant;
use crate::core::Core;
use crate::wheel::{NEVER, TimerId};

/// The time as of this tick: read once after each wait, so that all of a tick's work agrees on it.
///
/// # Panics
/// Outside of [`crate::run`].
#[must_use]
pub fn now() -> Instant {
    Core::now()
}

/// Waits until `instant`, to the millisecond, never less.
pub async fn sleep_until(instant: Instant) {
    let mut timer = Timer::new();
    timer.set(instant);
    poll_fn(|cx| timer.poll(cx)).await;
}

/// Waits for `duration`, as [`sleep_until`].
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// A deadline in the shard's timer wheel, to the millisecond.
///
/// Setting it again to a later time, as all idle time-outs are with every request, costs a store here: the wheel keeps the
/// earlier time, wakes the task once then, and learns the later one when the task polls.
pub struct Timer {
    core: Rc<Core>,
    id: TimerId,
    /// When it expires, as the wheel counts.
    due: u64,
    /// When the wheel wakes the task; [`NEVER`] if it is not to. In the past once it has.
    scheduled: u64,
    /// The task that the wheel wakes.
    waker: Option<Waker>,
}

impl Timer {
    /// A timer that is not set.
    ///
    /// # Panics
    /// Outside of [`crate::run`].
    #[must_use]
    pub fn new() -> Timer {
        let core = Core::current();
        let id = core.wheel.borrow_mut().add();
        Timer { core, id, due: NEVER, scheduled: NEVER, waker: None }
    }

    /// Sets the time at which it expires.
    pub fn set(&mut self, instant: Instant) {
        self.due = self.core.wheel_time(instant);
    }

    /// Has it expire once `limit` has passed.
    pub fn set_after(&mut self, limit: Duration) {
        let whole_ms = limit.as_secs().saturating_mul(1_000).saturating_add(u64::from(limit.subsec_millis()));
        let limit_ms = whole_ms.saturating_add(u64::from(!limit.subsec_nanos().is_multiple_of(1_000_000)));
        // The wheel's time is the millisecond that we are in: it may be nearly over.
        self.due = self.core.wheel.borrow().now().saturating_add(limit_ms).saturating_add(1);
    }

    /// Has it expire at `instant`, unless it expires sooner.
    pub fn bring_forward(&mut self, instant: Instant) {
        self.due = self.due.min(self.core.wheel_time(instant));
    }

    /// Sets it to expire never.
    pub fn clear(&mut self) {
        self.due = NEVER;
    }

    /// Ready once the time has come, until the timer is set anew.
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.due == NEVER {
            return Poll::Pending;
        }
        let now = self.core.wheel.borrow().now();
        if self.due <= now {
            return Poll::Ready(());
        }
        let is_scheduled = now < self.scheduled && self.scheduled <= self.due;
        if !is_scheduled || !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.schedule(cx.waker());
        }
        Poll::Pending
    }

    /// Has the wheel wake `waker` when the timer is due.
    fn schedule(&mut self, waker: &Waker) {
        self.core.wheel.borrow_mut().set(self.id, self.due, waker);
        self.scheduled = self.due;
        self.waker = Some(waker.clone());
    }
}

impl Default for Timer {
    fn default() -> Timer {
        Timer::new()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().remove(self.id);
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Timer").field(&self.id).finish()
    }
}
