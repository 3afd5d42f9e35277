//! The connections of a shard to one upstream, and which of its servers the next request goes to.
//!
//! Idle connections are kept last in, first out, each server its own, under a standing receive: one that ends or speaks
//! unasked while it is idle is noticed and dropped by the janitor, and would be passed over in any case. Requests are
//! spread over the servers round robin.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use plan::{Plan, Upstream as Policy, UpstreamId};

use super::connect::connect;
use super::http1::Http1Upstream;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::tuning::wire_limits;

/// The connections of this shard to one upstream.
pub(crate) struct Pool {
    plan: Arc<Plan>,
    id: UpstreamId,
    counters: Arc<Counters>,
    #[allow(clippy::vec_box, reason = "connections go back and forth: a pointer moves, not the whole")]
    idle: Vec<RefCell<Vec<Box<Http1Upstream>>>>,
    idle_count: Cell<u32>,
    /// Connections in existence or being opened.
    open: Cell<u32>,
    /// Whose turn it is.
    next: Cell<usize>,
    /// Requests that wait for a connection to be given back or closed.
    waiting: RefCell<VecDeque<Waker>>,
    janitor: Rc<Janitor>,
}

/// Drops what has died or aged among the idle connections of all pools of a shard.
#[derive(Default)]
pub(crate) struct Janitor {
    waker: RefCell<Option<Waker>>,
    /// Whether it will look by itself when the oldest connection is due.
    scheduled: Cell<bool>,
}

/// A connection in use. When dropped it is closed; [`Lease::give_back`] keeps it.
pub(crate) struct Lease {
    connection: Option<Box<Http1Upstream>>,
    pool: Rc<Pool>,
    /// Whether it served another exchange before.
    pub(crate) reused: bool,
}

impl Pool {
    pub(crate) fn new(plan: &Arc<Plan>, id: UpstreamId, counters: &Arc<Counters>, janitor: &Rc<Janitor>) -> Rc<Pool> {
        let servers = plan.upstreams[usize::from(id.0)].servers.len();
        Rc::new(Pool {
            plan: Arc::clone(plan),
            id,
            counters: Arc::clone(counters),
            idle: (0..servers).map(|_| RefCell::default()).collect(),
            idle_count: Cell::new(0),
            open: Cell::new(0),
            next: Cell::new(0),
            waiting: RefCell::default(),
            janitor: Rc::clone(janitor),
        })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.plan.upstreams[usize::from(self.id.0)]
    }

    /// A connection to the next server: an idle one, unless `fresh` is asked for or there is none, else a new one.
    ///
    /// # Errors
    /// 503 if no connection was to be had in time, else as [`connect`].
    pub(crate) async fn lease(self: &Rc<Self>, fresh: bool, deadline: &mut Deadline) -> Result<Lease, Error> {
        let server = self.next.get();
        self.next.set((server + 1) % self.idle.len());
        let place = match self.admit(server, fresh, deadline).await? {
            Admitted::Idle(lease) => return Ok(lease),
            Admitted::New(place) => place,
        };
        let address = &self.policy().servers[server].address;
        self.counters.upstream_connects.add(1);
        // Connecting is rare, and takes more room than the exchanges under way shall have.
        let stream = ring::pooled(connect(self.policy(), address)).await?;
        let authority = match address {
            plan::Address::Tcp(address) => address.to_string().into(),
            plan::Address::Unix(_) => "localhost".into(),
        };
        let connection = Http1Upstream::new(server, stream, wire_limits(&self.plan), authority);
        // The place is the lease's from here on.
        std::mem::forget(place);
        Ok(Lease { connection: Some(Box::new(connection)), pool: Rc::clone(self), reused: false })
    }

    /// An idle connection to `server`, or a place for a new one, as soon as there is either.
    async fn admit(
        self: &Rc<Self>,
        server: usize,
        fresh: bool,
        deadline: &mut Deadline,
    ) -> Result<Admitted<'_>, Error> {
        let connections_max = self.policy().connections_max;
        let mut waiting = false;
        poll_fn(|cx| {
            if !fresh && let Some(lease) = self.lease_idle(server) {
                return Poll::Ready(Ok(Admitted::Idle(lease)));
            }
            if self.open.get() >= connections_max {
                // An idle one to another server makes room.
                self.drop_oldest_idle();
            }
            if self.open.get() < connections_max {
                self.open.set(self.open.get() + 1);
                return Poll::Ready(Ok(Admitted::New(Place(self))));
            }
            if !std::mem::replace(&mut waiting, true) {
                deadline.set(self.policy().connect_timeout);
            }
            if deadline.poll(cx).is_ready() {
                let error = Error::new(Side::Ringway, Kind::NoCapacity, 503).by(Limit::UpstreamConnections);
                return Poll::Ready(Err(Error { retry_safe: true, ..error }));
            }
            self.waiting.borrow_mut().push_back(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn lease_idle(self: &Rc<Self>, server: usize) -> Option<Lease> {
        loop {
            let connection = self.idle[server].borrow_mut().pop()?;
            self.idle_count.set(self.idle_count.get() - 1);
            let lease = Lease { connection: Some(connection), pool: Rc::clone(self), reused: true };
            // One that died unnoticed by the janitor is dropped with its lease.
            if lease.is_reusable() {
                self.counters.upstream_reuses.add(1);
                return Some(lease);
            }
        }
    }

    fn drop_oldest_idle(&self) {
        let oldest = self.idle.iter().filter(|idle| !idle.borrow().is_empty());
        let oldest = oldest.min_by_key(|idle| idle.borrow().first().map(|connection| connection.idle_since));
        if let Some(idle) = oldest {
            let connection = idle.borrow_mut().remove(0);
            self.forget_idle(connection);
        }
    }

    fn keep(&self, mut connection: Box<Http1Upstream>) {
        connection.rest();
        if self.idle_count.get() >= self.policy().idle_connections_max || !self.janitor.watches(&mut connection) {
            return self.close(connection);
        }
        self.idle[connection.server].borrow_mut().push(connection);
        self.idle_count.set(self.idle_count.get() + 1);
        self.wake_waiting();
    }

    fn forget_idle(&self, connection: Box<Http1Upstream>) {
        self.idle_count.set(self.idle_count.get() - 1);
        self.close(connection);
    }

    fn close(&self, connection: Box<Http1Upstream>) {
        drop(connection);
        drop(Place(self));
    }

    /// All who wait look again: one alone might have given up meanwhile.
    fn wake_waiting(&self) {
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Drops idle connections that have stirred or are too old. Returns when the next one will be too old.
    fn sweep(&self, cx: &Context<'_>, now: Instant) -> Option<Instant> {
        let keep_alive = self.policy().keep_alive_timeout;
        let mut due = None::<Instant>;
        for idle in &self.idle {
            let is_over = |connection: &mut Box<Http1Upstream>| {
                let end = connection.idle_since + keep_alive;
                let is_over = end <= now || connection.poll_stirred(cx).is_ready();
                if !is_over {
                    due = Some(due.map_or(end, |due| due.min(end)));
                }
                is_over
            };
            let over: Vec<_> = idle.borrow_mut().extract_if(.., is_over).collect();
            over.into_iter().for_each(|connection| self.forget_idle(connection));
        }
        due
    }

    /// Closes all idle connections.
    pub(crate) fn clear(&self) {
        for idle in &self.idle {
            for connection in idle.take() {
                self.forget_idle(connection);
            }
        }
    }
}

/// How a request gets its connection.
enum Admitted<'a> {
    Idle(Lease),
    New(Place<'a>),
}

/// A place among the connections of a pool that may exist.
struct Place<'a>(&'a Pool);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.wake_waiting();
    }
}

impl Janitor {
    /// Has an idle connection watched; `false` if it has ended already, or if there is no janitor.
    fn watches(&self, connection: &mut Http1Upstream) -> bool {
        let waker = self.waker.borrow();
        let Some(waker) = &*waker else { return false };
        if !self.scheduled.replace(true) {
            waker.wake_by_ref();
        }
        connection.poll_stirred(&Context::from_waker(waker)).is_pending()
    }

    /// Keeps `pools` clean, for as long as the shard runs.
    pub(crate) async fn run(self: Rc<Self>, pools: Vec<Rc<Pool>>) {
        let mut deadline = Deadline::new();
        poll_fn(|cx| {
            *self.waker.borrow_mut() = Some(cx.waker().clone());
            loop {
                let now = ring::now();
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

impl Lease {
    /// Keeps the connection for the next request, if it is fit for one.
    pub(crate) fn give_back(mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.is_reusable()) {
            self.pool.keep(connection);
        }
    }
}

impl Deref for Lease {
    type Target = Http1Upstream;

    fn deref(&self) -> &Http1Upstream {
        self.connection.as_ref().expect("a lease that was handed out has its connection")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Http1Upstream {
        self.connection.as_mut().expect("a lease that was handed out has its connection")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.close(connection);
        }
    }
}
