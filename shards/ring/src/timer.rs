//! Timers of a shard.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::wheel::{NEVER, TimerId};

/// The time as of this tick: read once after each wait, so that all of a tick's work agrees on it.
///
/// # Panics
/// Outside of [`crate::run`].
#[must_use]
pub fn now() -> Instant {
    Core::current().now()
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

/// A deadline in the shard's timer wheel, to the millisecond. Setting it again is cheap, above all to a later time.
pub struct Timer {
    core: Rc<Core>,
    id: TimerId,
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
        Timer { core, id }
    }

    /// Sets the time at which it expires.
    pub fn set(&mut self, instant: Instant) {
        let due = self.core.wheel_time(instant);
        self.core.wheel.borrow_mut().set(self.id, due);
    }

    /// Sets it to expire never.
    pub fn clear(&mut self) {
        self.core.wheel.borrow_mut().set(self.id, NEVER);
    }

    /// Ready once the time has come, until the timer is set anew.
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.core.wheel.borrow_mut().poll(self.id, cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
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
