//! Waiting for the next tick.
//!
//! What is woken in a tick runs in it, so that a task which has more to do than one tick should have to bear cannot leave the
//! rest by waking itself. [`next_tick`] leaves it: the kernel is asked once in between, without waiting, and what has come runs
//! as well.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

thread_local! {
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Waits until the kernel has been asked for what has come meanwhile.
pub async fn next_tick() {
    let mut waits = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waits, true) {
            return Poll::Ready(());
        }
        WAITING.with_borrow_mut(|waiting| waiting.push(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// Whether anybody waits.
pub(crate) fn is_awaited() -> bool {
    WAITING.with_borrow(|waiting| !waiting.is_empty())
}

/// Has those run that have waited for this tick.
pub(crate) fn begin() {
    WAITING.with_borrow_mut(|waiting| waiting.drain(..).for_each(Waker::wake));
}
