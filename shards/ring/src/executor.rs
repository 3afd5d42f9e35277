//! Tasks of one thread.
//!
//! A waker is the task's number and generation, packed into the pointer of a [`RawWaker`]: waking stores a number in a
//! queue, and cloning costs nothing. A waker that outlives its task wakes nobody.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::pooled::{self, Pooled};
use crate::prefetch::prefetch;

type Task = Pooled<dyn Future<Output = ()>>;

const _: () = assert!(usize::BITS == 64, "a task's number and generation are packed into a 64-bit pointer");

thread_local! {
    /// Tasks woken on this thread, in order. Outside of the executor so that a waker needs no pointer to it.
    static READY: RefCell<VecDeque<TaskKey>> = const { RefCell::new(VecDeque::new()) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TaskKey {
    index: u32,
    generation: u32,
}

struct Slot {
    generation: u32,
    /// `None` while the task is being polled, and when the slot is vacant.
    future: Option<Task>,
    live: bool,
}

/// The tasks of this thread.
#[derive(Default)]
pub(crate) struct Executor {
    slots: RefCell<Vec<Slot>>,
    vacant: RefCell<Vec<u32>>,
    live: Cell<usize>,
}

impl Executor {
    /// Number of tasks that have not ended.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }

    /// Adds a task; it is polled first in the next round.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.live.set(self.live.get() + 1);
        let mut slots = self.slots.borrow_mut();
        let index = self.vacant.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, future: None, live: false });
            u32::try_from(slots.len() - 1).expect("fewer than 2^32 tasks")
        });
        let slot = &mut slots[index as usize];
        slot.future = Some(pooled::task(future));
        slot.live = true;
        let key = TaskKey { index, generation: slot.generation };
        READY.with_borrow_mut(|ready| ready.push_back(key));
    }

    /// Whether a task is ready to be polled.
    pub(crate) fn is_ready(&self) -> bool {
        READY.with_borrow(|ready| !ready.is_empty())
    }

    /// Polls what is ready, also what becomes ready meanwhile, but at most `most` times, so that the kernel gets its turn.
    /// A task that panics is dropped, and `panicked` is told with what.
    pub(crate) fn run(&self, most: usize, mut panicked: impl FnMut(Box<dyn Any + Send>)) {
        for _ in 0..most {
            let Some((key, next)) = READY.with_borrow_mut(|ready| Some((ready.pop_front()?, ready.front().copied())))
            else {
                return;
            };
            let Some(mut future) = self.take(key, next) else { continue };
            let waker = waker(key);
            let mut context = Context::from_waker(&waker);
            match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(&mut context))) {
                Ok(Poll::Pending) => self.slots.borrow_mut()[key.index as usize].future = Some(future),
                Ok(Poll::Ready(())) => {
                    let dropped = catch_unwind(AssertUnwindSafe(move || drop(future)));
                    self.vacate(key.index);
                    if let Err(payload) = dropped {
                        panicked(payload);
                    }
                }
                Err(payload) => {
                    // What the task owned is dropped like at its end; should that panic as well, the rest is forgotten.
                    let dropped = catch_unwind(AssertUnwindSafe(move || drop(future)));
                    self.vacate(key.index);
                    panicked(payload);
                    if let Err(payload) = dropped {
                        panicked(payload);
                    }
                }
            }
        }
    }

    /// Drops all tasks, as if each had been cancelled. `panicked` is told of panics, which keep no other task from its end.
    pub(crate) fn clear(&self, mut panicked: impl FnMut(Box<dyn Any + Send>)) {
        // What is dropped may start more.
        while self.live.get() > 0 {
            let count = self.slots.borrow().len();
            for index in 0..count {
                let live = self.slots.borrow()[index].live;
                if !live {
                    continue;
                }
                let future = self.slots.borrow_mut()[index].future.take();
                if let Err(payload) = catch_unwind(AssertUnwindSafe(move || drop(future))) {
                    panicked(payload);
                }
                self.vacate(index as u32);
            }
        }
        READY.with_borrow_mut(VecDeque::clear);
    }

    /// The future of a live task, or `None` if the key is of an earlier tenant of its slot or the task was queued twice
    /// and is being polled. The task that is `next` is fetched meanwhile.
    fn take(&self, key: TaskKey, next: Option<TaskKey>) -> Option<Task> {
        let mut slots = self.slots.borrow_mut();
        if let Some(future) = next.and_then(|next| slots.get(next.index as usize)?.future.as_ref()) {
            prefetch(future.peek());
        }
        let slot = slots.get_mut(key.index as usize)?;
        (slot.generation == key.generation).then(|| slot.future.take()).flatten()
    }

    fn vacate(&self, index: u32) {
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[index as usize];
        slot.live = false;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.borrow_mut().push(index);
        self.live.set(self.live.get() - 1);
    }
}

fn waker(key: TaskKey) -> Waker {
    // SAFETY: the functions of the table treat the pointer as a number and never follow it. They are safe to call from any
    // thread: elsewhere they queue a number that means nothing there, which can wake the wrong task (tasks tolerate that)
    // and reads or writes no memory that is not the calling thread's own.
    unsafe { Waker::from_raw(raw_waker(key)) }
}

fn raw_waker(key: TaskKey) -> RawWaker {
    let bits = u64::from(key.generation) << 32 | u64::from(key.index);
    RawWaker::new(std::ptr::without_provenance(bits as usize), &TABLE)
}

static TABLE: RawWakerVTable =
    RawWakerVTable::new(|data| RawWaker::new(data, &TABLE), wake_by_number, wake_by_number, |_| {});

fn wake_by_number(data: *const ()) {
    let bits = data.addr() as u64;
    let key = TaskKey { index: bits as u32, generation: (bits >> 32) as u32 };
    // At the thread's end its queue may be gone, and nobody is left to run.
    let _ = READY.try_with(|ready| {
        let mut ready = ready.borrow_mut();
        // A task is often woken twice in a row by two completions of one tick.
        if ready.back() != Some(&key) {
            ready.push_back(key);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_panic_ends_its_task_alone() {
        let executor = Executor::default();
        let seen = Rc::new(Cell::new(0));
        let witness = Rc::clone(&seen);
        executor.spawn(async { panic!("on purpose") });
        executor.spawn(async move { witness.set(1) });
        let mut messages = Vec::new();
        executor.run(10, |payload| messages.push(payload.downcast_ref::<&str>().map(ToString::to_string)));
        assert_eq!(messages, [Some("on purpose".to_owned())]);
        assert_eq!((seen.get(), executor.live()), (1, 0));
    }

    #[test]
    fn a_stale_waker_wakes_nobody() {
        let executor = Executor::default();
        let kept = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&kept);
        executor.spawn(std::future::poll_fn(move |cx| {
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        executor.run(10, |_| unreachable!());
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        executor.spawn(std::future::poll_fn(move |_| {
            count.set(count.get() + 1);
            Poll::Pending
        }));
        executor.run(10, |_| unreachable!());
        kept.borrow_mut().take().unwrap().wake();
        executor.run(10, |_| unreachable!());
        assert_eq!(polls.get(), 1);
    }

    #[test]
    fn a_task_that_wakes_itself_leaves_room_for_others() {
        let executor = Executor::default();
        let polls = Rc::new(Cell::new(0));
        let count = Rc::clone(&polls);
        executor.spawn(std::future::poll_fn(move |cx| {
            count.set(count.get() + 1);
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        executor.run(7, |_| unreachable!());
        assert_eq!(polls.get(), 7);
        assert!(executor.is_ready());
        executor.clear(|_| unreachable!());
        assert_eq!(executor.live(), 0);
    }
}
