//! Idle connections that have died or aged, dropped.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::http1::Http1Upstream;
use super::pool::Pool;
use crate::deadline::Deadline;

/// Drops what has died or aged among the idle connections of all pools of a shard.
pub(crate) struct Janitor {
    waker: RefCell<Option<Waker>>,
    /// Whether it will look by itself when the oldest connection is due.
    scheduled: Cell<bool>,
    /// The pools of the Plan in force.
    pools: RefCell<Rc<[Rc<Pool>]>>,
}

impl Default for Janitor {
    fn default() -> Janitor {
        Janitor { waker: RefCell::default(), scheduled: Cell::default(), pools: RefCell::new(Rc::new([])) }
    }
}

impl Janitor {
    /// Has an idle connection watched; `false` if it has ended already, or if there is no janitor.
    pub(super) fn watches(&self, connection: &mut Http1Upstream) -> bool {
        let waker = self.waker.borrow();
        let Some(waker) = &*waker else { return false };
        if !self.scheduled.replace(true) {
            waker.wake_by_ref();
        }
        connection.poll_stirred(&Context::from_waker(waker)).is_pending()
    }

    /// From now on these pools are kept clean.
    pub(crate) fn follow(&self, pools: &Rc<[Rc<Pool>]>) {
        *self.pools.borrow_mut() = Rc::clone(pools);
        // Their policies may have idle connections end sooner.
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Keeps the pools clean, for as long as the shard runs.
    pub(crate) async fn run(self: Rc<Self>) {
        let mut deadline = Deadline::new();
        poll_fn(|cx| {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            loop {
                let now = ring::now();
                let pools = Rc::clone(&self.pools.borrow());
                let due = pools.iter().filter_map(|pool| pool.sweep(cx, now)).min();
                self.scheduled.set(due.is_some());
                match due {
                    Some(due) => deadline.set_at(due),
                    None => deadline.clear(),
                }
                if deadline.poll(cx).is_pending() {
                    return Poll::Pending::<()>;
                }
            }
        })
        .await;
    }
}
