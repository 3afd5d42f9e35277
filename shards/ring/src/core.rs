//! The shard's middle: the table of operations in flight, and the tick that moves everything.
//!
//! A tick: run what is ready; send what was written; arm again what was starved; hand all of it over and wait for at least
//! one completion (not at all if something is ready already); read the time once; dispatch the completions; expire timers.
//! Completions only store and wake: no task runs inside of another's completion.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::Instant;
use crate::buffers::Group;
use crate::connect::Connecting;
use crate::counters::Counters;
use crate::executor::Executor;
use crate::kernel::{Completion, Entry, Kernel, Key, Wait};
use crate::listener::Accepting;
use crate::mailbox::Bell;
use crate::prefetch::prefetch;
use crate::socket::batch::Batch;
use crate::socket::{Direction, Socket};
use crate::tick;
use crate::wheel::Wheel;

/// Most polls of tasks between two looks at the kernel.
const POLLS_PER_TICK_MAX: usize = 1024;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
    /// The time of the tick. Beside the core, because it is asked for more often than anything else.
    static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Everything of one shard's ring.
pub(crate) struct Core {
    pub(crate) kernel: RefCell<Kernel>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) executor: Executor,
    pub(crate) wheel: RefCell<Wheel>,
    pub(crate) heads: Rc<Group>,
    pub(crate) bodies: Rc<Group>,
    /// Whether one receive may span several buffers.
    pub(crate) bundles: bool,
    pub(crate) bell: Arc<Bell>,
    operations: RefCell<Operations>,
    /// Sockets with bytes to send that no operation carries yet.
    dirty: RefCell<Vec<Rc<Socket>>>,
    /// Sockets whose receive found no free buffer, longest waiting first; one queue a group. Waiting in it keeps no
    /// descriptor open: nothing is in flight.
    starved: [RefCell<VecDeque<Starved>>; 2],
    /// The next ticket of the starved.
    tickets: Cell<NonZeroU64>,
    descriptors_closed: Cell<u64>,
    /// Who waits for a descriptor to be closed.
    descriptor_waiters: RefCell<Vec<Waker>>,
    mailbox_waiters: RefCell<Vec<Waker>>,
    #[allow(clippy::vec_box, reason = "a batch that is in flight must keep its place")]
    batches: RefCell<Vec<Box<Batch>>>,
    completions: RefCell<Vec<Completion>>,
    time_ticks: bool,
    start: Instant,
}

/// Who owns an operation's memory and descriptor, and takes its completions.
pub(crate) enum Operation {
    Recv(Rc<Socket>),
    Send(Rc<Socket>),
    Ready(Rc<Socket>, Direction),
    Accept(Rc<Accepting>),
    Connect(Rc<Connecting>),
    /// The eventfd by which threads that are no shard ring the bell, and the number that the kernel reads into.
    Counter(#[allow(dead_code, reason = "the kernel writes to it")] Box<u64>),
}

/// A socket that waits for a buffer, by the order in which they began to.
struct Starved {
    ticket: NonZeroU64,
    socket: Weak<Socket>,
}

/// Tells that a task has ended, be it by a panic.
struct SetOnDrop(Rc<Cell<bool>>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// Keeps the shard's memory for ever if a mistake of ours ends it without winding up: the kernel may still write to it.
struct LeakOnPanic<'a>(&'a Rc<Core>);

impl Drop for LeakOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(Rc::clone(self.0));
        }
    }
}

#[derive(Default)]
struct Operations {
    slots: Vec<OperationSlot>,
    vacant: Vec<u32>,
}

struct OperationSlot {
    generation: u32,
    operation: Option<Operation>,
}

impl Core {
    /// The core of the shard that runs on this thread.
    ///
    /// # Panics
    /// If there is none: sockets, timers and tasks exist inside of [`crate::run`] only.
    pub(crate) fn current() -> Rc<Core> {
        CURRENT.with_borrow(|current| current.clone()).expect("called outside of ring::run")
    }

    /// As [`Core::current`], or `None` on a thread that is no shard.
    pub(crate) fn try_current() -> Option<Rc<Core>> {
        CURRENT.try_with(|current| current.try_borrow().ok().and_then(|current| current.clone())).ok().flatten()
    }

    pub(crate) fn new(
        mut kernel: Kernel,
        config: &crate::Config,
        bundles: bool,
        counters: Arc<Counters>,
    ) -> io::Result<Rc<Core>> {
        let heads = Group::new(0, config.head_buffers, config.head_buffer_bytes)?;
        let bodies = Group::new(1, config.body_buffers, config.body_buffer_bytes)?;
        kernel.register(&heads)?;
        kernel.register(&bodies)?;
        let start = kernel.now();
        let bell = Arc::new(Bell::new(kernel.descriptor())?);
        Ok(Rc::new(Core {
            kernel: RefCell::new(kernel),
            counters,
            executor: Executor::default(),
            wheel: RefCell::new(Wheel::new()),
            heads,
            bodies,
            bundles,
            bell,
            operations: RefCell::default(),
            dirty: RefCell::default(),
            starved: Default::default(),
            tickets: Cell::new(NonZeroU64::MIN),
            descriptors_closed: Cell::new(0),
            descriptor_waiters: RefCell::default(),
            mailbox_waiters: RefCell::default(),
            batches: RefCell::default(),
            completions: RefCell::default(),
            time_ticks: config.time_ticks,
            start,
        }))
    }

    /// Runs `main` and what it spawns, until `main` ends. Then everything else is cancelled, and the kernel is waited for
    /// until it has let go of all memory.
    pub(crate) fn run<F: Future + 'static>(self: &Rc<Self>, main: impl FnOnce() -> F) -> io::Result<F::Output>
    where
        F::Output: 'static,
    {
        let outer = CURRENT.replace(Some(Rc::clone(self)));
        NOW.set(Some(self.start));
        assert!(outer.is_none(), "a thread runs one shard");
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        let over = Rc::new(Cell::new(false));
        let mark = SetOnDrop(Rc::clone(&over));
        let main = main();
        self.executor.spawn(async move {
            let _mark = mark;
            let output = main.await;
            *slot.borrow_mut() = Some(output);
        });
        let leak = LeakOnPanic(self);
        self.listen_to_counter();
        let mut failure = None;
        while !over.get() {
            if let Err(error) = self.tick(&over) {
                failure = Some(error);
                break;
            }
        }
        self.wind_up();
        drop(leak);
        NOW.set(None);
        CURRENT.set(None);
        let output = result.borrow_mut().take();
        match (output, failure) {
            (Some(output), _) => Ok(output),
            (None, Some(error)) => Err(error),
            (None, None) => panic!("the shard's main task panicked"),
        }
    }

    /// The time of the tick.
    ///
    /// # Panics
    /// As [`Core::current`].
    #[inline]
    pub(crate) fn now() -> Instant {
        NOW.get().expect("called outside of ring::run")
    }

    /// `instant` as the wheel counts, rounded up so that nothing expires early.
    pub(crate) fn wheel_time(&self, instant: Instant) -> u64 {
        let (whole_ms, is_more) = instant.millis_since(self.start);
        whole_ms + u64::from(is_more)
    }

    fn tick(self: &Rc<Self>, over: &Cell<bool>) -> io::Result<()> {
        self.executor.run(POLLS_PER_TICK_MAX, |_| self.counters.panics.add(1));
        self.flush();
        let hungry = self.feed_starved();
        let wait = if over.get() || hungry || self.executor.is_ready() || tick::is_awaited() {
            Wait::No
        } else {
            match self.wheel.borrow().next() {
                Some(due) => Wait::Until(self.start + Duration::from_millis(due)),
                None => Wait::Forever,
            }
        };
        let mut kernel = self.kernel.borrow_mut();
        if self.time_ticks {
            self.counters.ticks.record(kernel.now().saturating_duration_since(Core::now()));
        }
        kernel.enter(wait)?;
        drop(kernel);
        self.dispatch_all();
        tick::begin();
        Ok(())
    }

    fn dispatch_all(self: &Rc<Self>) {
        let mut completions = self.completions.take();
        {
            let mut kernel = self.kernel.borrow_mut();
            kernel.reap(&mut completions);
            NOW.set(Some(kernel.now()));
        }
        for (index, completion) in completions.iter().enumerate() {
            if let Some(next) = completions.get(index + 1) {
                self.operations.borrow().prefetch(next.key);
            }
            self.dispatch(completion);
        }
        completions.clear();
        self.completions.replace(completions);
        self.wheel.borrow_mut().advance(Core::now().millis_since(self.start).0);
    }

    fn dispatch(self: &Rc<Self>, completion: &Completion) {
        match completion.key {
            Key::NOBODY => return,
            Key::BELL => return self.answer_bell(),
            key if let Some(ring) = key.bell() => return self.bell_failed(ring, completion.result),
            _ => {}
        }
        // The operation is taken out of the table before anybody is told, so that whoever is told may start another.
        let operation = self.operations.borrow_mut().take(completion.key, completion.more);
        let Some(operation) = operation else {
            debug_assert!(false, "a completion of an operation that has ended: {completion:?}");
            return;
        };
        match operation {
            Operation::Recv(socket) => socket.received(self, completion),
            Operation::Send(socket) => socket.sent(self, completion.result),
            Operation::Ready(socket, direction) => socket.ready(direction),
            Operation::Accept(accepting) => accepting.accepted(completion),
            Operation::Connect(connecting) => connecting.connected(completion.result),
            Operation::Counter(_) => {
                self.answer_bell();
                self.listen_to_counter();
            }
        }
    }

    /// Starts an operation. `entry` must point only to memory, and name only descriptors, that `operation` owns.
    pub(crate) fn start(&self, operation: Operation, entry: Entry) -> Key {
        let key = self.operations.borrow_mut().insert(operation);
        // SAFETY: `operation` owns what `entry` refers to (each caller of this function builds both from the same owner),
        // and the table keeps it until the operation's last completion has been popped.
        unsafe { self.kernel.borrow_mut().push(key, entry) };
        key
    }

    /// Asks for the end of an operation. It ends when its last completion is dispatched, not before.
    pub(crate) fn cancel(&self, key: Key) {
        // SAFETY: a cancellation refers to no memory and no descriptor.
        unsafe { self.kernel.borrow_mut().push(Key::NOBODY, Entry::Cancel { target: key }) };
    }

    /// Closes a descriptor that no operation uses, and lets those know who wait for a free one.
    pub(crate) fn close(&self, fd: RawFd) {
        // SAFETY: the descriptor is named by its only owner, which ends here (see `Socket::drop` and `Accepting::drop`).
        unsafe { self.kernel.borrow_mut().push(Key::NOBODY, Entry::Close { fd }) };
        self.descriptors_closed.set(self.descriptors_closed.get() + 1);
        for waker in self.descriptor_waiters.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// How many descriptors this shard has closed.
    pub(crate) fn descriptors_closed(&self) -> u64 {
        self.descriptors_closed.get()
    }

    /// Wakes `waker` once a descriptor has been closed.
    pub(crate) fn wait_for_descriptor(&self, waker: &Waker) {
        enlist(&mut self.descriptor_waiters.borrow_mut(), waker);
    }

    /// Wakes `waker` at the next ring of the bell.
    pub(crate) fn wait_for_bell(&self, waker: &Waker) {
        enlist(&mut self.mailbox_waiters.borrow_mut(), waker);
    }

    /// Whether this shard can send messages to `ring`: it has a ring itself, and another one.
    pub(crate) fn rings_others_than(&self, ring: RawFd) -> bool {
        let own = self.kernel.borrow().descriptor();
        own >= 0 && own != ring
    }

    pub(crate) fn ring_bell_of(&self, ring: RawFd) {
        // SAFETY: no memory is involved. Should that ring be gone and its number mean another file by now, the kernel refuses
        // what is no ring, and another ring is woken for nothing.
        unsafe { self.kernel.borrow_mut().push(Key::of_bell(ring), Entry::RingBell { ring }) };
    }

    /// A bell could not be rung. Whoever shares it takes it for rung, so that nobody but us would ring it again: with the next
    /// tick, if the kernel lacked the memory for the message. Any other reason means that no shard is there any more.
    fn bell_failed(&self, ring: RawFd, result: i32) {
        if matches!(-result, libc::ENOMEM | libc::EOVERFLOW | libc::EAGAIN) {
            self.ring_bell_of(ring);
        }
    }

    /// `socket` has bytes to send; they leave at the tick's end.
    pub(crate) fn mark_dirty(&self, socket: Rc<Socket>) {
        self.dirty.borrow_mut().push(socket);
    }

    /// `socket` waits for a free buffer of `group`.
    pub(crate) fn mark_starved(&self, socket: &Rc<Socket>, group: &Group, ticket: NonZeroU64) {
        let mut starved = self.starved[usize::from(group.id())].borrow_mut();
        // A new ticket's place is the end; that of a socket which was fed and got nothing is near the front.
        let place = starved.partition_point(|earlier| earlier.ticket < ticket);
        starved.insert(place, Starved { ticket, socket: Rc::downgrade(socket) });
    }

    /// Whether a socket waits for a buffer of `group`.
    pub(crate) fn anyone_starves(&self, group: &Group) -> bool {
        !self.starved[usize::from(group.id())].borrow().is_empty()
    }

    /// A place in the order of those that wait for buffers.
    pub(crate) fn draw_ticket(&self) -> NonZeroU64 {
        self.tickets.replace(self.tickets.get().saturating_add(1))
    }

    pub(crate) fn take_batch(&self) -> Box<Batch> {
        self.batches.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_batch_back(&self, mut batch: Box<Batch>) {
        const KEPT_MAX: usize = 1024;
        batch.clear();
        let mut batches = self.batches.borrow_mut();
        if batches.len() < KEPT_MAX {
            batches.push(batch);
        }
    }

    fn flush(self: &Rc<Self>) {
        let mut dirty = self.dirty.take();
        for socket in dirty.drain(..) {
            socket.flush(self);
        }
        // Nothing was added meanwhile: a flush starts operations, and their completions come later.
        self.dirty.replace(dirty);
    }

    /// As many starved sockets as there are free buffers receive again, in the order in which they ran out. Returns whether
    /// more can: a socket that was fed may have nothing to receive, and its buffer is then for the next, without a wait.
    fn feed_starved(self: &Rc<Self>) -> bool {
        let mut hungry = false;
        for (group, starved) in [(&self.heads, &self.starved[0]), (&self.bodies, &self.starved[1])] {
            let mut portions = group.free();
            while portions > 0 {
                let Some(first) = starved.borrow_mut().pop_front() else { break };
                if first.socket.upgrade().is_some_and(|socket| socket.fed(self, group)) {
                    portions -= 1;
                }
            }
            hungry |= group.free() > 0 && !starved.borrow().is_empty();
        }
        hungry
    }

    fn answer_bell(&self) {
        self.bell.answer();
        for waker in self.mailbox_waiters.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    fn listen_to_counter(&self) {
        let mut value = Box::new(0_u64);
        let entry = Entry::ReadCounter { fd: self.bell.counter.as_raw_fd(), value: &raw mut *value };
        self.start(Operation::Counter(value), entry);
    }

    /// Cancels all there is and waits until the kernel holds nothing of ours.
    fn wind_up(self: &Rc<Self>) {
        self.executor.clear(|_| self.counters.panics.add(1));
        self.dirty.borrow_mut().clear();
        self.starved.iter().for_each(|starved| starved.borrow_mut().clear());
        let keys = self.operations.borrow().keys();
        for key in keys {
            self.cancel(key);
        }
        while self.operations.borrow().in_flight() > 0 {
            let entered = self.kernel.borrow_mut().enter(Wait::Forever);
            if let Err(error) = entered {
                panic!("the kernel could not be waited for while winding up: {error}");
            }
            let mut completions = Vec::new();
            self.kernel.borrow_mut().reap(&mut completions);
            for completion in completions {
                if let Some(ring) = completion.key.bell() {
                    self.bell_failed(ring, completion.result);
                } else if completion.key != Key::NOBODY && completion.key != Key::BELL {
                    let operation = self.operations.borrow_mut().take(completion.key, completion.more);
                    if let Some(Operation::Accept(accepting)) = operation {
                        // A connection that was accepted after all is owned, and so closed.
                        accepting.accepted(&completion);
                    }
                }
            }
        }
        // Hands over the closing of the last descriptors.
        let _ = self.kernel.borrow_mut().enter(Wait::No);
    }
}

/// Adds a task to those that wait, once however often it is polled. Few tasks of a shard wait for the same.
fn enlist(waiters: &mut Vec<Waker>, waker: &Waker) {
    if !waiters.iter().any(|known| known.will_wake(waker)) {
        waiters.push(waker.clone());
    }
}

impl Operations {
    fn insert(&mut self, operation: Operation) -> Key {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(OperationSlot { generation: 0, operation: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 operations")
        });
        let slot = &mut self.slots[index as usize];
        slot.operation = Some(operation);
        Key::new(index, slot.generation)
    }

    /// The operation that a completion belongs to: taken out of the table if it was the last one, else another handle to
    /// the operation's owner. `None` if the operation has ended before.
    fn take(&mut self, key: Key, more: bool) -> Option<Operation> {
        let slot = self.slots.get_mut(key.index() as usize)?;
        if slot.generation != key.generation() {
            return None;
        }
        if more {
            return Some(match slot.operation.as_ref()? {
                Operation::Recv(socket) => Operation::Recv(Rc::clone(socket)),
                Operation::Accept(accepting) => Operation::Accept(Rc::clone(accepting)),
                Operation::Send(_) | Operation::Ready(..) | Operation::Connect(_) | Operation::Counter(_) => {
                    unreachable!("only receives and accepts complete more than once")
                }
            });
        }
        let operation = slot.operation.take()?;
        // The last generation is reserved (see `Key::NOBODY`).
        slot.generation = (slot.generation + 1) % (u32::MAX - 1);
        self.vacant.push(key.index());
        Some(operation)
    }

    /// Asks for the memory that the completion of this operation will touch.
    fn prefetch(&self, key: Key) {
        let slot = self.slots.get(key.index() as usize);
        if let Some(Operation::Recv(socket) | Operation::Send(socket)) = slot.and_then(|slot| slot.operation.as_ref()) {
            prefetch(&**socket);
        }
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    fn keys(&self) -> Vec<Key> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.operation.is_some());
        live.map(|(index, slot)| Key::new(index as u32, slot.generation)).collect()
    }
}

/// Owns a descriptor until it hands it to the kernel for closing.
#[derive(Debug)]
pub(crate) struct Descriptor(Option<OwnedFd>);

impl Descriptor {
    pub(crate) fn new(fd: OwnedFd) -> Descriptor {
        Descriptor(Some(fd))
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.0.as_ref().expect("a descriptor is there until it is closed").as_raw_fd()
    }

    pub(crate) fn borrow(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("a descriptor is there until it is closed").as_fd()
    }

    pub(crate) fn into_owned(mut self) -> OwnedFd {
        self.0.take().expect("a descriptor is there until it is closed")
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        let Some(fd) = self.0.take() else { return };
        match Core::try_current() {
            Some(core) => core.close(std::os::fd::IntoRawFd::into_raw_fd(fd)),
            // Outside of a shard the ordinary way does.
            None => drop(fd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_for_an_earlier_tenant_is_noticed() {
        let mut operations = Operations::default();
        let earlier = operations.insert(Operation::Counter(Box::new(0)));
        assert!(operations.take(earlier, false).is_some());
        let later = operations.insert(Operation::Counter(Box::new(0)));
        assert_eq!((later.index(), operations.in_flight()), (earlier.index(), 1));
        assert!(operations.take(earlier, false).is_none());
        assert!(operations.take(later, false).is_some());
        assert!(operations.take(later, false).is_none());
        assert_eq!(operations.in_flight(), 0);
    }
}
