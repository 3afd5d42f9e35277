//! Noticing that a shard has more to do than it can, and refusing new requests until it has not.
//!
//! What a request would have to wait is measured by a probe: a timer that is due while requests come, and that waits for its
//! turn as a request does, first in the kernel until the shard looks again, then among the tasks that are ready. It is late
//! by as much as a request that came at that moment. As in CoDel (Nichols and Jacobson, "Controlling Queue Delay", 2012),
//! a queue that forms and goes is no overload: only one that stays above its target for a whole interval is, and one that
//! comes back soon after.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker, ready};
use std::time::Duration;

use ring::{Instant, Timer};

use crate::complaint::Complaint;
use crate::counters::Counters;
use crate::outcome::{Error, Kind, Limit, Side};

/// Between two probes, while requests come.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);
/// A timer may be late by this much without anybody's having to wait: the wheel counts in milliseconds, and rounds up.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// What a refused request gets.
const OVERLOADED: Error = Error::new(Side::Ringway, Kind::Overloaded, 503).by(Limit::QueueTime);

/// Admits requests, or does not.
#[derive(Debug)]
pub(crate) struct Overload {
    counters: Arc<Counters>,
    controller: RefCell<Controller>,
    is_shedding: Cell<bool>,
    /// Whether a request came since the last probe.
    asked: Cell<bool>,
    /// The probe's task, while it rests.
    resting: RefCell<Option<Waker>>,
    /// Whether somebody probes.
    is_running: Cell<bool>,
    complaint: Complaint,
}

impl Overload {
    pub(crate) fn new(policy: plan::Overload, counters: &Arc<Counters>) -> Overload {
        Overload {
            counters: Arc::clone(counters),
            controller: RefCell::new(Controller::new(policy)),
            is_shedding: Cell::new(false),
            asked: Cell::new(false),
            resting: RefCell::default(),
            is_running: Cell::new(false),
            complaint: Complaint::default(),
        }
    }

    /// Admits one request.
    ///
    /// # Errors
    /// 503 while the queue is too long.
    pub(crate) fn admit(&self) -> Result<(), Error> {
        if !self.asked.replace(true)
            && let Some(probe) = self.resting.take()
        {
            probe.wake();
        }
        if self.is_shedding.get() { Err(OVERLOADED) } else { Ok(()) }
    }

    /// From now on refuses by `policy`. Tells whether [`Overload::run`] has to be started again.
    pub(crate) fn follow(&self, policy: plan::Overload) -> bool {
        let before = std::mem::replace(&mut self.controller.borrow_mut().policy, policy).queue_time;
        if policy.queue_time.is_zero() {
            // Who probes finds that there is nothing to refuse any more, and ends.
            self.shed(false);
            self.resting.take().inspect(Waker::wake_by_ref);
        }
        before.is_zero() && !policy.queue_time.is_zero() && !self.is_running.get()
    }

    /// Probes the queue while requests come, for as long as the Plan wants requests refused.
    pub(crate) async fn run(self: Rc<Self>) {
        self.is_running.set(true);
        let mut timer = Timer::new();
        let mut due = None::<Instant>;
        poll_fn(|cx| {
            loop {
                if self.controller.borrow().policy.queue_time.is_zero() {
                    self.shed(false);
                    self.is_running.set(false);
                    return Poll::Ready(());
                }
                // Not the tick's time: how long the tick takes is the question.
                if let Some(at) = due {
                    ready!(timer.poll(cx));
                    let now = Instant::now();
                    let waited = now.saturating_duration_since(at + TIMER_STEP);
                    self.counters.queue_time.record(waited);
                    self.judge(waited, now);
                    due = None;
                } else if self.asked.replace(false) {
                    let at = Instant::now() + PROBE_INTERVAL;
                    timer.set(at);
                    due = Some(at);
                } else {
                    // Nobody comes, so nobody waits.
                    self.judge(Duration::ZERO, Instant::now());
                    *self.resting.borrow_mut() = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        })
        .await;
    }

    fn shed(&self, sheds: bool) {
        self.is_shedding.set(sheds);
        self.counters.shedding.set(u64::from(sheds));
    }

    fn judge(&self, waited: Duration, now: Instant) {
        let sheds = self.controller.borrow_mut().sheds(waited, now);
        if sheds && !self.is_shedding.replace(sheds) && self.complaint.due(now).is_some() {
            let waited_ms = waited.as_millis() as u64;
            tracing::warn!(waited_ms, "overload: new requests are answered with 503 until the queue is shorter");
        }
        self.shed(sheds);
    }
}

/// The decision, apart from clocks and tasks.
#[derive(Debug)]
struct Controller {
    policy: plan::Overload,
    /// Since when every probe has waited too long.
    above_since: Option<Instant>,
    /// When requests were refused last.
    shed_at: Option<Instant>,
}

impl Controller {
    fn new(policy: plan::Overload) -> Controller {
        Controller { policy, above_since: None, shed_at: None }
    }

    /// Whether requests are to be refused, now that a probe has waited for so long.
    fn sheds(&mut self, waited: Duration, now: Instant) -> bool {
        if waited <= self.policy.queue_time {
            self.above_since = None;
            return false;
        }
        let lasts = |since: Instant| now.saturating_duration_since(since) >= self.policy.interval;
        let stays = lasts(*self.above_since.get_or_insert(now));
        let is_back = self.shed_at.is_some_and(|at| !lasts(at));
        if stays || is_back {
            self.shed_at = Some(now);
        }
        stays || is_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_queue_that_stays_or_comes_back_is_overload() {
        let start = Instant::now();
        let mut controller = Controller::new(plan::Overload::default());
        let mut sheds =
            |at_ms, waited_ms| controller.sheds(Duration::from_millis(waited_ms), start + Duration::from_millis(at_ms));
        assert!(!sheds(0, 5_000), "a single stall");
        assert!(!sheds(400, 150));
        assert!(!sheds(450, 100), "at the target");
        assert!(!sheds(460, 150) && !sheds(900, 150));
        assert!(sheds(960, 150), "above the target for the whole interval");
        assert!(!sheds(970, 50));
        assert!(sheds(1_400, 150), "back within an interval");
        assert!(!sheds(1_410, 0) && !sheds(2_000, 150), "back after it");
    }
}
