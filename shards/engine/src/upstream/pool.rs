//! The connections of a shard to one upstream, and which of its servers the next request goes to.
//!
//! Idle connections are kept last in, first out, each server its own, under a standing receive: one that ends or speaks
//! unasked while it is idle is noticed and dropped by the janitor, and would be passed over in any case. The list of servers
//! may change while requests are under way ([`Held::replace_servers`]); those that stay keep their connections.
//!
//! A [`Pool`] is an upstream as one Plan sees it: its policy. What it holds, servers with their connections and health, and
//! the balancer, goes on to the pool of the next Plan that has an upstream of the same name, so that requests under both
//! Plans use the same connections while each keeps to its own policy.

mod lease;
mod line;
mod shared;

pub(crate) use lease::{Judge, Lease};
pub(crate) use line::Line;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::num::NonZeroU16;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plan::{Balance, Plan, Upstream as Policy, UpstreamId};
use ring::Instant;

use super::balance::{self, Balancer};
use super::connect::{Secure, connect};
use super::health::{Change, Verdict, Ward};
use super::http1::Http1Upstream;
use super::janitor::Janitor;
use super::retry::{self, Budget};
use super::server::{Server, Ticket, Tried, View};
use crate::client::Client;
use crate::command::ServerHealth;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::random::Random;
use crate::snapshot::UpstreamSnapshot;
use crate::tally::{ServerTally, UpstreamTallies, UpstreamTally};
use crate::transport::Transport;
use crate::turns::Turns;

/// One upstream of one Plan, and the connections of this shard to it.
pub(crate) struct Pool {
    plan: Arc<Plan>,
    /// The Plan's own word on this upstream, at hand: a request asks for it a dozen times.
    policy: Policy,
    held: Rc<Held>,
}

/// What outlives a Plan of an upstream: its servers, with their connections and health, and whose turn it is.
pub(crate) struct Held {
    /// How TLS is spoken with the servers, if it is. An upstream of which that changes is another one.
    secure: Option<Secure>,
    counters: Arc<Counters>,
    /// What is counted of this upstream, if it is.
    tally: Option<Arc<UpstreamTally>>,
    servers: RefCell<Vec<Rc<Server>>>,
    /// The id of the next server that is new.
    next_id: Cell<u32>,
    /// Over the servers, in their order.
    balancer: RefCell<Balancer>,
    ward: Ward,
    budget: Budget,
    random: RefCell<Random>,
    idle_count: Cell<u32>,
    /// Connections in existence or being opened.
    open: Cell<u32>,
    /// Requests that wait for a connection to be given back or closed.
    waiting: RefCell<VecDeque<Waker>>,
    janitor: Rc<Janitor>,
    /// The Plan in force has no such upstream: what is under way ends in peace, nothing is kept.
    closing: Cell<bool>,
}

/// A server that was chosen and is to be asked at once: its place in the list, from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen(NonZeroU16);

impl Chosen {
    /// `None` for a place that no list has.
    fn new(place: usize) -> Option<Chosen> {
        u16::try_from(place + 1).ok().and_then(NonZeroU16::new).map(Chosen)
    }

    fn place(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

impl Pool {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        id: UpstreamId,
        connector: Option<&tls::Connector>,
        counters: &Arc<Counters>,
        tallies: Option<&UpstreamTallies>,
        janitor: &Rc<Janitor>,
        turns: &Rc<Turns>,
    ) -> Rc<Pool> {
        let policy = &plan.upstreams[usize::from(id.0)];
        let tally = tallies.map(|tallies| &tallies.upstream);
        let held = Held {
            secure: connector.map(|connector| Secure::new(connector, turns, tally)),
            counters: Arc::clone(counters),
            tally: tallies.map(|tallies| Arc::clone(&tallies.upstream)),
            servers: RefCell::default(),
            next_id: Cell::new(0),
            balancer: RefCell::new(Balancer::new(&policy.balance, &[])),
            ward: Ward::new(),
            budget: Budget::new(&policy.retry, ring::now()),
            random: RefCell::new(Random::new()),
            idle_count: Cell::new(0),
            open: Cell::new(0),
            waiting: RefCell::default(),
            janitor: Rc::clone(janitor),
            closing: Cell::new(false),
        };
        let tallies = tallies.map_or(&[][..], |tallies| &tallies.servers);
        held.replace_servers(&policy.servers, tallies, &policy.balance);
        Rc::new(Pool { plan: Arc::clone(plan), policy: policy.clone(), held: Rc::new(held) })
    }

    /// The pool of the upstream `id` of `plan`, which holds what this one does.
    pub(crate) fn successor(&self, plan: &Arc<Plan>, id: UpstreamId) -> Rc<Pool> {
        let policy = plan.upstreams[usize::from(id.0)].clone();
        Rc::new(Pool { plan: Arc::clone(plan), policy, held: Rc::clone(&self.held) })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From now on the upstream consists of these servers. `tallies` is what is counted of each; none where nothing is.
    pub(crate) fn replace_servers(&self, servers: &[plan::Server], tallies: &[Arc<ServerTally>]) {
        self.held.replace_servers(servers, tallies, &self.policy().balance);
    }

    /// Believes what another shard has learned of a server.
    pub(crate) fn recall(&self, known: &ServerHealth) {
        let servers = self.servers.borrow();
        if let Some(server) = servers.iter().find(|server| server.address == known.address) {
            let was_in = server.health.is_in();
            self.ward.recall(&server.health, known.condition, &self.policy().health, servers.len(), ring::now());
            server.count(|tally| tally.ejected.add(u64::from(was_in && !server.health.is_in())));
        }
    }

    /// How its servers stand at `now`.
    pub(crate) fn snapshot(&self, now: Instant) -> UpstreamSnapshot {
        let servers = self.servers.borrow().iter().map(|server| server.snapshot(now)).collect();
        UpstreamSnapshot { connections: self.open.get(), servers }
    }

    /// The servers that are not fully trusted.
    pub(crate) fn ailing(&self) -> Vec<ServerHealth> {
        let now = ring::now();
        let servers = self.servers.borrow();
        let ailing = servers.iter().filter_map(|server| {
            let condition = server.health.condition(now)?;
            Some(ServerHealth { upstream: self.policy().name.clone(), address: server.address.clone(), condition })
        });
        ailing.collect()
    }

    /// What requests are balanced by.
    pub(crate) fn key(&self, client: &Client, request: &Request) -> u64 {
        balance::key(&self.policy().balance, client, &request.head, &request.bytes)
    }

    /// What connections are balanced by whose bytes nobody reads.
    fn source_key(&self, client: &Client) -> u64 {
        balance::source_key(client)
    }

    /// Opens a connection to the server of `ticket`, with TLS if that is `secure`, and tells it who that is for if it is to know.
    async fn connect(
        &self,
        ticket: &Ticket,
        secure: Option<&Secure>,
        client: &Client,
        tried: &mut Tried,
    ) -> Result<Transport, Error> {
        self.count_connect();
        // Connecting is rare, and takes more room than the exchanges under way shall have.
        ring::pooled(|| connect(self.policy(), secure, ticket, Some(client))).await.inspect_err(|error| {
            if error.side == Side::Upstream {
                self.judge(ticket, Verdict::Failure);
                tried.add(ticket);
            }
        })
    }

    /// A place with the server that was `chosen`, or else with the one whose turn it is of those that have not been `tried`.
    ///
    /// # Errors
    /// 503 if there is none.
    pub(crate) fn pick(&self, chosen: Option<Chosen>, key: u64, tried: &Tried) -> Result<Ticket, Error> {
        let servers = self.servers.borrow();
        let now = (!self.ward.is_empty()).then(ring::now);
        let picked = chosen.map(Chosen::place).or_else(|| self.choose(&servers, key, tried, now));
        let server = picked.and_then(|picked| servers.get(picked)).ok_or(Error::NO_SERVER)?;
        Ok(Ticket::new(server, now))
    }

    /// The place of the server whose turn it is. `now` is the time, if any is ejected.
    fn choose(&self, servers: &[Rc<Server>], key: u64, tried: &Tried, now: Option<Instant>) -> Option<usize> {
        let mut balancer = self.balancer.borrow_mut();
        let mut picked = balancer.pick(&View { servers, tried, now }, key);
        if picked.is_none() && now.is_some() {
            // Where ejections leave none, they are not heeded: a server that fails now and then is better than none.
            picked = balancer.pick(&View { servers, tried, now: None }, key);
        }
        picked
    }

    /// Whether a server is left that has not been `tried`.
    pub(crate) fn has_untried(&self, tried: &Tried) -> bool {
        self.has_left(tried, None)
    }

    /// Whether a server is left that has not been `tried` and is not `asked` now.
    fn has_left(&self, tried: &Tried, asked: Option<&Server>) -> bool {
        let is_left = |server: &Server| {
            !server.draining.get() && !tried.has(server) && asked.is_none_or(|asked| asked.id != server.id)
        };
        let may_go_on = tried.count() + usize::from(asked.is_some()) < Tried::MAX;
        may_go_on && self.servers.borrow().iter().any(|server| is_left(server))
    }

    fn counts_as_failure(&self, status: u16) -> bool {
        self.policy().health.failure_statuses.contains(&status)
    }

    /// Takes note of what a request said of its server.
    fn judge(&self, ticket: &Ticket, verdict: Verdict) {
        let on_trial = ticket.on_trial.take();
        if verdict == Verdict::Failure {
            ticket.failed.set(true);
            ticket.failures.set(ticket.failures.get() + 1);
            ticket.count(|tally| tally.failures.add(1));
        }
        if ticket.retired.get() {
            return;
        }
        let was_in = ticket.health.is_in();
        let upstream = self.policy();
        let count = self.servers.borrow().len();
        match self.ward.judge(&ticket.health, verdict, on_trial, &upstream.health, count, ring::now()) {
            None => {}
            Some(Change::Ejected(length)) => {
                self.counters.upstream_ejections.add(1);
                self.count(|tally| tally.ejections.add(1));
                ticket.count(|tally| tally.ejected.add(u64::from(was_in)));
                let for_s = length.as_secs_f64();
                tracing::warn!(
                    upstream = upstream.name,
                    server = ticket.name,
                    for_s,
                    "server ejected: it keeps failing"
                );
            }
            Some(Change::Returned) => {
                ticket.count(|tally| tally.ejected.sub(1));
                tracing::info!(upstream = upstream.name, server = ticket.name, "server is back");
            }
        }
    }

    /// A request has come, which earns the upstream a share of a retry.
    pub(crate) fn earn_retry(&self) {
        self.budget.earn(&self.policy().retry);
    }

    /// Takes one retry out of the budget, if one is left.
    pub(crate) fn spend_retry(&self) -> bool {
        let is_granted = self.budget.spend(&self.policy().retry, ring::now());
        let counters = &self.counters;
        if is_granted {
            self.count_retry();
        } else {
            counters.upstream_retries_denied.add(1);
            self.count(|tally| tally.retries_denied.add(1));
        }
        is_granted
    }

    /// A request is sent again.
    pub(crate) fn count_retry(&self) {
        self.counters.upstream_retries.add(1);
        self.count(|tally| tally.retries.add(1));
    }

    /// A request goes on to the next server, since one could not be connected to.
    pub(crate) fn count_failover(&self) {
        self.counters.upstream_failovers.add(1);
        self.count(|tally| tally.failovers.add(1));
    }

    /// An answer has been passed on whole, to a request whose head was sent at `began`.
    pub(crate) fn measure_total(&self, began: Instant) {
        self.count(|tally| tally.total_latency.record(ring::now().saturating_duration_since(began)));
    }

    /// The pause before the `retry`-th retry of a request.
    pub(crate) fn backoff(&self, retry: u8) -> Duration {
        retry::backoff(&self.policy().retry, retry, &mut self.random.borrow_mut())
    }

    /// An idle connection to `server`, or a place for a new one, as soon as there is either.
    async fn admit(
        self: &Rc<Self>,
        server: &Server,
        fresh: bool,
        deadline: &mut Deadline,
    ) -> Result<Admitted<'_>, Error> {
        let connections_max = self.policy().connections_max;
        let mut waiting = false;
        poll_fn(|cx| {
            if !fresh && let Some(connection) = self.idle(server) {
                return Poll::Ready(Ok(Admitted::Idle(connection)));
            }
            if self.open.get() >= connections_max {
                // An idle one to another server makes room.
                self.drop_oldest_idle();
            }
            if self.open.get() < connections_max {
                self.open.set(self.open.get() + 1);
                self.count(|tally| tally.connections.add(1));
                return Poll::Ready(Ok(Admitted::New(Place(&self.held))));
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

    /// An idle connection to `server`. What is idle may come from a Plan under which servers were not told whom connections are
    /// for.
    fn idle(&self, server: &Server) -> Option<Box<Http1Upstream>> {
        if self.policy().send_proxy.is_none() { self.take_idle(server) } else { None }
    }

    /// How TLS is spoken with the servers, if it is.
    pub(super) fn secure(&self) -> Option<&Secure> {
        self.held.secure.as_ref()
    }

    /// A connection is being opened.
    pub(super) fn count_connect(&self) {
        self.counters.upstream_connects.add(1);
        self.count(|tally| tally.connects.add(1));
    }

    /// A request is about to be sent to the server that it was given.
    pub(crate) fn begin(&self, ticket: &Ticket) {
        self.count(|tally| tally.requests.add(1));
        ticket.count(|tally| tally.requests.add(1));
    }

    /// Who judges the server that a request was given.
    pub(crate) fn judge_of<'a>(&'a self, ticket: &'a Ticket) -> Judge<'a> {
        Judge { pool: self, ticket }
    }

    fn keep(&self, server: &Server, mut connection: Box<Http1Upstream>) {
        connection.rest(&self.plan);
        let is_full = self.idle_count.get() >= self.policy().idle_connections_max;
        // A connection that was opened for one client is not for the next.
        let is_private = self.policy().send_proxy.is_some();
        if is_private || server.keeps_none() || self.closing.get() || is_full || !self.janitor.watches(&mut connection)
        {
            return self.close(connection);
        }
        server.idle.borrow_mut().push(connection);
        self.idle_count.set(self.idle_count.get() + 1);
        self.count(|tally| tally.connections_idle.add(1));
        self.wake_waiting();
    }

    /// Drops idle connections that have stirred or are too old. Returns when the next one will be too old.
    pub(super) fn sweep(&self, cx: &Context<'_>, now: Instant) -> Option<Instant> {
        let keep_alive = self.policy().keep_alive_timeout;
        let mut due = None::<Instant>;
        for server in self.servers.borrow().iter() {
            let is_over = |connection: &mut Box<Http1Upstream>| {
                let end = connection.idle_since + keep_alive;
                let is_over = end <= now || connection.poll_stirred(cx).is_ready();
                if !is_over {
                    due = Some(due.map_or(end, |due| due.min(end)));
                }
                is_over
            };
            let over: Vec<_> = server.idle.borrow_mut().extract_if(.., is_over).collect();
            over.into_iter().for_each(|connection| self.forget_idle(connection));
        }
        due
    }
}

impl Deref for Pool {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Held {
    /// From now on the upstream consists of these servers. Those that stay keep their connections and their health, unless
    /// they are to drain; the others' idle connections are closed, and those in use when their exchanges end.
    fn replace_servers(&self, servers: &[plan::Server], tallies: &[Arc<ServerTally>], balance: &Balance) {
        let mut known = self.servers.take();
        let mut list = Vec::with_capacity(servers.len());
        for (place, server) in servers.iter().enumerate() {
            let stays = known.iter().position(|old| old.is(server));
            list.push(match stays {
                Some(index) => {
                    let stays = known.swap_remove(index);
                    stays.draining.set(server.draining);
                    if server.draining {
                        stays.lanes.retire();
                        stays.idle.take().into_iter().for_each(|connection| self.forget_idle(connection));
                    }
                    stays
                }
                None => {
                    self.next_id.set(self.next_id.get().wrapping_add(1));
                    Rc::new(Server::new(self.next_id.get(), server, tallies.get(place)))
                }
            });
        }
        for server in known {
            server.retired.set(true);
            server.lanes.retire();
            if self.ward.forget(&server.health) {
                server.count(|tally| tally.ejected.sub(1));
            }
            server.idle.take().into_iter().for_each(|connection| self.forget_idle(connection));
        }
        let weights: Vec<_> = list.iter().map(|server| (server.name.as_str(), u32::from(server.weight))).collect();
        *self.balancer.borrow_mut() = Balancer::new(balance, &weights);
        *self.servers.borrow_mut() = list;
    }

    pub(super) fn count(&self, count: impl FnOnce(&UpstreamTally)) {
        if let Some(tally) = &self.tally {
            count(tally);
        }
    }

    fn take_idle(&self, server: &Server) -> Option<Box<Http1Upstream>> {
        loop {
            let mut connection = server.idle.borrow_mut().pop()?;
            self.idle_count.set(self.idle_count.get() - 1);
            self.count(|tally| tally.connections_idle.sub(1));
            if connection.is_reusable() {
                self.counters.upstream_reuses.add(1);
                self.count(|tally| tally.reuses.add(1));
                return Some(connection);
            }
            // It died unnoticed by the janitor.
            self.close(connection);
        }
    }

    fn drop_oldest_idle(&self) {
        let servers = self.servers.borrow();
        let oldest = servers.iter().filter(|server| !server.idle.borrow().is_empty());
        let oldest = oldest.min_by_key(|server| server.idle.borrow().first().map(|connection| connection.idle_since));
        if let Some(server) = oldest {
            let connection = server.idle.borrow_mut().remove(0);
            self.forget_idle(connection);
        }
    }

    fn forget_idle(&self, connection: Box<Http1Upstream>) {
        self.idle_count.set(self.idle_count.get() - 1);
        self.count(|tally| tally.connections_idle.sub(1));
        self.close(connection);
    }

    fn close(&self, connection: Box<Http1Upstream>) {
        drop(connection);
        drop(Place(self));
    }

    /// All who wait look again: one alone might have given up meanwhile.
    fn wake_waiting(&self) {
        let mut waiting = self.waiting.borrow_mut();
        // Hardly ever anybody.
        if !waiting.is_empty() {
            waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Keeps no connection any more: idle ones are closed now, those in use when their exchanges end. Exchanges that began
    /// before may still open one.
    pub(crate) fn close_down(&self) {
        self.closing.set(true);
        for server in self.servers.borrow().iter() {
            server.lanes.retire();
            for connection in server.idle.take() {
                self.forget_idle(connection);
            }
        }
    }
}

/// How a request gets its connection.
enum Admitted<'a> {
    Idle(Box<Http1Upstream>),
    New(Place<'a>),
}

/// A place among the connections of a pool that may exist.
struct Place<'a>(&'a Held);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.count(|tally| tally.connections.sub(1));
        self.0.wake_waiting();
    }
}
