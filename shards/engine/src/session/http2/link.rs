//! What a connection's task and the tasks of its exchanges share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

use wire::h2::{Connection, StreamKey};

use super::flow::{Flow, Shared};
use crate::client::Client;
use crate::outcome::Error;
use crate::shard::Membership;

/// One connection, as its streams see it. Exchanges change its state at once; what is to be sent then, the connection's own task
/// writes, once for all that ran before it.
pub(super) struct Link {
    pub(super) shard: Membership,
    pub(super) client: Client,
    pub(super) connection: RefCell<Connection>,
    /// By the slots of the streams' keys. A flow that was left for another stays with its exchange alone.
    flows: RefCell<Vec<Option<Shared>>>,
    /// Exchanges that are under way.
    pub(super) exchanges: Cell<u32>,
    /// Bytes that wait to be sent in all flows.
    outbound_bytes: Cell<usize>,
    /// The connection's task.
    driver: RefCell<Option<Waker>>,
    is_stirred: Cell<bool>,
    /// An exchange has broken off in a way that is our mistake.
    pub(super) is_broken: Cell<bool>,
}

impl Link {
    pub(super) fn new(shard: Membership, client: Client, connection: Connection) -> Rc<Link> {
        Rc::new(Link {
            shard,
            client,
            connection: RefCell::new(connection),
            flows: RefCell::default(),
            exchanges: Cell::new(0),
            outbound_bytes: Cell::new(0),
            driver: RefCell::default(),
            is_stirred: Cell::new(false),
            is_broken: Cell::new(false),
        })
    }

    /// The connection's task is at work, and is to be woken by the next [`Link::stir`].
    pub(super) fn register(&self, cx: &Context<'_>) {
        self.is_stirred.set(false);
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
    }

    /// Has the connection's task look at what has changed, behind everything that is ready before it.
    pub(super) fn stir(&self) {
        if !self.is_stirred.replace(true)
            && let Some(driver) = &*self.driver.borrow()
        {
            driver.wake_by_ref();
        }
    }

    /// A flow for a stream that begins.
    pub(super) fn begin(&self, key: StreamKey) -> Shared {
        let flow = self.shard.flows.take(key);
        let (mut flows, place) = (self.flows.borrow_mut(), key.slot as usize);
        if flows.len() <= place {
            flows.resize_with(place + 1, || None);
        }
        if let Some(before) = flows[place].replace(Rc::clone(&flow)) {
            self.uncount(before.borrow().outbound_bytes);
            self.shard.flows.give_back(before);
        }
        flow
    }

    /// What is known of the stream, if that is anything.
    pub(super) fn with_flow<T>(&self, key: StreamKey, look: impl FnOnce(&mut Flow) -> T) -> Option<T> {
        let flows = self.flows.borrow();
        let flow = flows.get(key.slot as usize)?.as_ref()?;
        let mut flow = flow.borrow_mut();
        (flow.key == key).then(|| look(&mut flow))
    }

    /// The connection knows the stream no more. What was received of it and not taken is done with.
    pub(super) fn end(&self, key: StreamKey, error: Error) {
        let ended = self.with_flow(key, |flow| {
            flow.end(error);
            flow.outbound.clear();
            let mut unread = 0;
            while let Some(data) = flow.inbound.pop() {
                unread += data.len();
            }
            (std::mem::take(&mut flow.outbound_bytes), unread)
        });
        if let Some((unsent, unread)) = ended {
            self.uncount(unsent);
            self.release(key, unread);
            self.forget(key);
        }
    }

    /// Nobody needs the stream's flow any more.
    pub(super) fn forget(&self, key: StreamKey) {
        let mut flows = self.flows.borrow_mut();
        let Some(place) = flows.get_mut(key.slot as usize) else { return };
        if place.as_ref().is_some_and(|flow| flow.borrow().key == key) {
            self.shard.flows.give_back(place.take().expect("it was just there"));
        }
    }

    /// Nothing more comes or goes on any stream.
    pub(super) fn end_all(&self, error: Error) {
        for flow in self.flows.borrow().iter().flatten() {
            flow.borrow_mut().end(error);
        }
    }

    /// Wakes all exchanges.
    pub(super) fn wake_all(&self) {
        for flow in self.flows.borrow().iter().flatten() {
            flow.borrow_mut().wake();
        }
    }

    /// Takes note of received data that was taken: the client may send as much again.
    pub(super) fn release(&self, key: StreamKey, bytes: usize) {
        if bytes > 0 {
            self.connection.borrow_mut().release(key, bytes);
            self.stir();
        }
    }

    pub(super) fn outbound_bytes(&self) -> usize {
        self.outbound_bytes.get()
    }

    pub(super) fn count(&self, bytes: usize) {
        self.outbound_bytes.set(self.outbound_bytes.get() + bytes);
    }

    pub(super) fn uncount(&self, bytes: usize) {
        self.outbound_bytes.set(self.outbound_bytes.get() - bytes);
    }

    /// An idle connection holds no room for streams.
    pub(super) fn shrink(&self) {
        *self.flows.borrow_mut() = Vec::new();
        self.connection.borrow_mut().shrink();
    }
}
