//! One server of an upstream, as a shard knows it.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use plan::Address;
use ring::Instant;

use super::balance::Servers;
use super::coalesce::Lanes;
use super::health::Health;
use super::http1::Http1Upstream;
use crate::snapshot::ServerSnapshot;
use crate::tally::ServerTally;

/// A server, its idle connections and its health. It outlives its place in the list for as long as a request uses it.
pub(crate) struct Server {
    /// Tells it from all others that its upstream ever had.
    pub(super) id: u32,
    pub(super) address: Address,
    /// The name that its address was found by, if it was.
    pub(super) host: Option<Arc<str>>,
    /// The address as text.
    pub(super) name: String,
    pub(super) weight: u16,
    #[allow(clippy::vec_box, reason = "connections go back and forth: a pointer moves, not the whole")]
    pub(super) idle: RefCell<Vec<Box<Http1Upstream>>>,
    /// Connections to it that requests share.
    pub(super) lanes: Lanes,
    /// Requests that are with it, or on their way.
    active: Cell<u32>,
    /// What is counted of it, if it is.
    tally: Option<Arc<ServerTally>>,
    pub(super) health: Health,
    /// It gets no new requests; what is under way ends in peace, nothing is kept.
    pub(super) draining: Cell<bool>,
    /// Requests that it was chosen for, and those of them that it failed.
    pub(super) requests: Cell<u64>,
    pub(super) failures: Cell<u64>,
    /// It is no longer one of the upstream's: what is under way ends in peace, nothing is kept.
    pub(super) retired: Cell<bool>,
}

impl Server {
    pub(super) fn new(id: u32, policy: &plan::Server, tally: Option<&Arc<ServerTally>>) -> Server {
        Server {
            id,
            address: policy.address.clone(),
            host: policy.host.clone(),
            name: policy.address.to_string(),
            weight: policy.weight,
            idle: RefCell::default(),
            lanes: Lanes::default(),
            active: Cell::new(0),
            tally: tally.cloned(),
            health: Health::default(),
            draining: Cell::new(policy.draining),
            requests: Cell::new(0),
            failures: Cell::new(0),
            retired: Cell::new(false),
        }
    }

    /// Whether it is the server that `policy` names.
    pub(super) fn is(&self, policy: &plan::Server) -> bool {
        self.address == policy.address && self.host == policy.host && self.weight == policy.weight
    }

    /// How it stands at `now`, for whoever shows it.
    pub(super) fn snapshot(&self, now: Instant) -> ServerSnapshot {
        ServerSnapshot {
            address: self.address.clone(),
            weight: self.weight,
            draining: self.draining.get(),
            standing: self.health.standing(now),
            active: self.active.get(),
            idle_connections: self.idle.borrow().len() as u32,
            requests: self.requests.get(),
            failures: self.failures.get(),
        }
    }

    /// Requests that are with it, or on their way.
    pub(super) fn active(&self) -> u32 {
        self.active.get()
    }

    /// Whether no connection to it is to be kept for another request.
    pub(super) fn keeps_none(&self) -> bool {
        self.retired.get() || self.draining.get()
    }

    pub(super) fn count(&self, count: impl FnOnce(&ServerTally)) {
        if let Some(tally) = &self.tally {
            count(tally);
        }
    }

    /// The Host of a request that came without one.
    pub(super) fn authority(&self) -> Box<str> {
        match &self.address {
            Address::Tcp(_) => self.name.as_str().into(),
            Address::Unix(_) => "localhost".into(),
        }
    }
}

/// A request's place with a server, from the choice to the end.
pub(crate) struct Ticket {
    server: Rc<Server>,
    /// Whether this request finds out if the server is back, and has not told yet.
    pub(super) on_trial: Cell<bool>,
    /// Whether the server has failed this request.
    pub(super) failed: Cell<bool>,
}

impl Ticket {
    /// A place with `server`. `now` is the time, if any server is ejected.
    pub(super) fn new(server: &Rc<Server>, now: Option<Instant>) -> Ticket {
        server.active.set(server.active.get() + 1);
        server.count(|tally| tally.active.add(1));
        server.requests.set(server.requests.get() + 1);
        let on_trial = Cell::new(now.is_some_and(|now| server.health.begin(now)));
        Ticket { server: Rc::clone(server), on_trial, failed: Cell::new(false) }
    }
}

impl Deref for Ticket {
    type Target = Rc<Server>;

    fn deref(&self) -> &Rc<Server> {
        &self.server
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.server.active.set(self.server.active.get() - 1);
        self.server.count(|tally| tally.active.sub(1));
        if self.on_trial.get() {
            self.server.health.abandon_trial(ring::now());
        }
    }
}

/// Servers that a request is not to be sent to again: [`Tried::MAX`] at most, then it is sent no more. Nearly all requests are
/// answered by the first server, and take no room for any.
#[derive(Debug, Default)]
pub(crate) struct Tried(Option<Box<TriedIds>>);

#[derive(Debug, Default)]
struct TriedIds {
    ids: [u32; Tried::MAX],
    count: usize,
}

impl Tried {
    pub(super) const MAX: usize = 8;

    pub(crate) fn add(&mut self, server: &Server) {
        let tried = self.0.get_or_insert_default();
        if let Some(place) = tried.ids.get_mut(tried.count) {
            *place = server.id;
            tried.count += 1;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |tried| tried.count)
    }

    pub(super) fn has(&self, server: &Server) -> bool {
        self.0.as_ref().is_some_and(|tried| tried.ids[..tried.count].contains(&server.id))
    }
}

/// The servers that a request may go to, as a balancer sees them.
pub(super) struct View<'a> {
    pub(super) servers: &'a [Rc<Server>],
    pub(super) tried: &'a Tried,
    /// When ejections are to be heeded, the time.
    pub(super) now: Option<Instant>,
}

impl Servers for View<'_> {
    fn count(&self) -> usize {
        self.servers.len()
    }

    fn weight(&self, server: usize) -> u32 {
        u32::from(self.servers[server].weight)
    }

    fn active(&self, server: usize) -> u32 {
        self.servers[server].active.get()
    }

    fn is_usable(&self, server: usize) -> bool {
        let server = &self.servers[server];
        !server.draining.get() && !self.tried.has(server) && self.now.is_none_or(|now| server.health.is_usable(now))
    }
}
