//! One shard: what its sessions share, and its life from the first accept to the last exchange.

mod swap;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use plan::{AccessLogId, Plan, UpstreamId};
use ring::{Chunk, Instant, Listener, Receiver, Sender, ShardAddress, StartError, Stream};
use tls::Reason;
use wire::h1::Edits;
use wire::h2::{self, Incoming};

use crate::accept::accept;
use crate::admission::{Census, ClientKey, Glitches};
use crate::client::{Client, Ends};
use crate::command::{Accepting, Command, Drain, Report, ServerHealth};
use crate::complaint::Complaint;
use crate::counters::Counters;
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::forward;
use crate::outcome::{Limit, Outcome};
use crate::overload::Overload;
use crate::record::{NextOutlet, Outlets, Record, Recorder};
use crate::refusal::Refusal;
use crate::request_id::RequestIds;
use crate::session::http2::Flows;
use crate::snapshot::Snapshot;
use crate::tally::{ListenerTally, Tallies};
use crate::tuning::http2_config;
use crate::turns::Turns;
use crate::upstream::janitor::Janitor;
use crate::upstream::pool::Pool;
use crate::wakers::{Place, Wakers};

/// Requests that are kept for reuse: about as many as are under way at once.
const KEPT_MAX: usize = 4096;
/// Commands that may wait for a shard.
const COMMANDS_MAX: usize = 64;
/// For each upstream of a Plan, who speaks TLS with its servers, if they do; those beyond its end do not.
pub type Connectors = Arc<[Option<tls::Connector>]>;

/// What a shard is started with.
#[derive(Debug)]
pub struct Spec {
    /// What it serves.
    pub plan: Arc<Plan>,
    /// Who answers handshakes, if the Plan has TLS.
    pub acceptor: Option<Arc<tls::Acceptor>>,
    /// Who speaks TLS with servers.
    pub connectors: Connectors,
    /// Where it writes its access records: an outlet for each target of the Plan.
    pub outlets: Vec<NextOutlet>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// What it counts by route, upstream and server, if it does.
    pub tallies: Tallies,
    /// What an earlier shard in its place has learned of the servers.
    pub health: Vec<ServerHealth>,
    /// The sizes of its ring and buffers.
    pub ring: ring::Config,
}

/// Runs a shard on this thread until it has drained. `ready` gets the shard's mailbox once it is ready for connections,
/// which [`Command::Accept`] lets in.
///
/// # Errors
/// When the kernel refuses what the shard needs.
pub fn run(spec: Spec, ready: impl FnOnce(Sender<Command>) + 'static) -> Result<(), StartError> {
    let ring_counters = Arc::clone(&spec.counters.ring);
    let config = spec.ring;
    ring::run(&config, ring_counters, move |_| main(spec, ready))
}

async fn main(spec: Spec, ready: impl FnOnce(Sender<Command>)) {
    let (commands, mut mailbox) = ring::channel(COMMANDS_MAX, &ShardAddress::current());
    let shard = Shard::new(&spec.plan, spec.counters, spec.tallies, spec.outlets, (spec.acceptor, &spec.connectors));
    shard.serving().recall(&spec.health);
    ready(commands);
    let drain = shard.wait_for_order(&mut mailbox).await;
    shard.drain(drain, &mut mailbox).await;
}

/// What the sessions of a shard share.
pub(crate) struct Shard {
    serving: RefCell<Rc<Serving>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) response_edits: Edits,
    /// Room for the changes to the head that is being sent, where they are not the same for all.
    pub(crate) request_edits: RefCell<Edits>,
    /// The changes to the head of the answer that is being sent, where its route makes any.
    pub(crate) filtered_edits: RefCell<Edits>,
    pub(crate) request_ids: RequestIds,
    recorder: RefCell<Recorder>,
    pub(crate) overload: Rc<Overload>,
    census: Census,
    glitches: Glitches,
    /// About descriptors, memory and ports that have run out.
    pub(crate) scarcity: Complaint,
    /// Who waits for a handshake with a client.
    pub(crate) turns: Rc<Turns>,
    /// Who waits for one with a server.
    upstream_turns: Rc<Turns>,
    /// About handshakes that fail.
    handshakes_failed: Complaint,
    /// About connections that are refused by their first bytes.
    refusals: Complaint,
    /// About clients that are cut off.
    cut_off: Complaint,
    /// About bodies that are copied for want of pipes, and how many of those have been told of or counted.
    pipes: Complaint,
    pipes_refused: Cell<u64>,
    /// Requests for reuse, so that none is allocated while the shard is in a steady state.
    #[allow(clippy::vec_box, reason = "a request is too large to be moved around")]
    requests: RefCell<Vec<Box<Request>>>,
    /// What streams of HTTP/2 share with their connections, for reuse.
    pub(crate) flows: Flows,
    /// Where their heads are put as they come.
    pub(crate) incoming: RefCell<Incoming>,
    /// Sessions alive.
    sessions: Cell<u32>,
    /// Listeners that connections are still taken from.
    acceptors: Cell<u32>,
    draining: RefCell<Option<Draining>>,
    /// The time to drain is up: exchanges under way end at once.
    is_cutting: Cell<bool>,
    janitor: Rc<Janitor>,
    /// The tasks of all sessions, which are told of the drain.
    session_tasks: Rc<Wakers>,
    /// Who wants to know of the drain and of every session's end: the acceptors, and the drain itself.
    watchers: Rc<Wakers>,
}

/// A Plan, and the connections that this shard has under it.
pub(crate) struct Serving {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tallies: Tallies,
    pools: Rc<[Rc<Pool>]>,
    outlets: Outlets,
    /// Who answers handshakes, if the Plan has TLS.
    pub(crate) acceptor: Option<Arc<tls::Acceptor>>,
    /// What connections of HTTP/2 may do.
    pub(crate) http2: Arc<h2::Config>,
    /// Whether any server is told whom a connection is opened for.
    pub(crate) announces: bool,
}

/// A drain that has begun.
struct Draining {
    order: Drain,
    began: Instant,
}

/// What an acceptor has of its shard.
pub(crate) struct Acceptance {
    shard: Rc<Shard>,
    /// Which of the shard's listeners it accepts from.
    listener: usize,
    /// Which of the Plan's listeners that is.
    pub(crate) place: usize,
    /// What is counted of that, if anything is.
    pub(crate) tally: Option<Arc<ListenerTally>>,
}

/// A session's share in its shard.
pub(crate) struct Membership {
    shard: Rc<Shard>,
    task: Place,
    /// The client whose connection this is, if connections are counted by client.
    client: Option<ClientKey>,
    /// What is counted of the listener that it came by.
    listener: Option<Arc<ListenerTally>>,
}

impl Serving {
    fn new(
        plan: &Arc<Plan>,
        counters: &Arc<Counters>,
        tallies: Tallies,
        janitor: &Rc<Janitor>,
        upstream_turns: &Rc<Turns>,
        outlets: Outlets,
        (acceptor, connectors): (Option<Arc<tls::Acceptor>>, &Connectors),
    ) -> Serving {
        let ids = (0..plan.upstreams.len()).map(|index| UpstreamId(index as u16));
        let tally = |id: UpstreamId| tallies.upstreams.get(usize::from(id.0));
        let connector = |id: UpstreamId| connectors.get(usize::from(id.0)).and_then(Option::as_ref);
        let pool = |id| Pool::new(plan, id, connector(id), counters, tally(id), janitor, upstream_turns);
        let pools = ids.map(pool).collect();
        let http2 = Arc::new(http2_config(plan));
        Serving { plan: Arc::clone(plan), tallies, pools, outlets, acceptor, http2, announces: announces(plan) }
    }

    /// Believes what another shard has learned of the servers.
    fn recall(&self, health: &[ServerHealth]) {
        for server in health {
            if let Some(pool) = self.pools.iter().find(|pool| pool.policy().name == server.upstream) {
                pool.recall(server);
            }
        }
    }

    pub(crate) fn pool(&self, id: UpstreamId) -> &Rc<Pool> {
        &self.pools[usize::from(id.0)]
    }

    /// Both ends of a client's connection, if servers are to be told of them.
    pub(crate) fn ends_of(&self, stream: &Stream) -> Option<Ends> {
        if !self.announces {
            return None;
        }
        Some(Ends { source: stream.peer()?, destination: stream.local()? })
    }

    fn snapshot(&self) -> Snapshot {
        let now = ring::now();
        let upstreams = self.pools.iter().map(|pool| pool.snapshot(now)).collect();
        Snapshot { plan: Arc::clone(&self.plan), upstreams }
    }
}

impl Shard {
    /// A shard that serves `plan`, its janitor at work.
    pub(crate) fn new(
        plan: &Arc<Plan>,
        counters: Arc<Counters>,
        tallies: Tallies,
        outlets: Vec<NextOutlet>,
        secure: (Option<Arc<tls::Acceptor>>, &Connectors),
    ) -> Rc<Shard> {
        let janitor = Rc::new(Janitor::default());
        let outlets = Outlets::next(&Outlets::default(), outlets);
        let upstream_turns = Rc::default();
        let serving = Serving::new(plan, &counters, tallies, &janitor, &upstream_turns, outlets, secure);
        janitor.follow(&serving.pools);
        ring::spawn(Rc::clone(&janitor).run());
        let overload = Rc::new(Overload::new(plan.overload, &counters));
        ring::spawn(Rc::clone(&overload).run());
        Rc::new(Shard {
            serving: RefCell::new(Rc::new(serving)),
            counters,
            response_edits: forward::response_edits(),
            request_edits: RefCell::default(),
            filtered_edits: RefCell::default(),
            request_ids: RequestIds::new(),
            recorder: RefCell::default(),
            overload,
            census: Census::default(),
            glitches: Glitches::default(),
            scarcity: Complaint::default(),
            turns: Rc::default(),
            upstream_turns,
            handshakes_failed: Complaint::default(),
            refusals: Complaint::default(),
            cut_off: Complaint::default(),
            pipes: Complaint::default(),
            pipes_refused: Cell::default(),
            requests: RefCell::default(),
            flows: Flows::default(),
            incoming: RefCell::default(),
            sessions: Cell::new(0),
            acceptors: Cell::new(0),
            draining: RefCell::default(),
            is_cutting: Cell::new(false),
            janitor,
            session_tasks: Rc::default(),
            watchers: Rc::default(),
        })
    }

    /// What is served now.
    pub(crate) fn serving(&self) -> Rc<Serving> {
        Rc::clone(&self.serving.borrow())
    }

    /// A new session's membership.
    ///
    /// # Errors
    /// The limit that keeps this client out. Its connection is to be closed at once: an answer would cost more than it.
    pub(crate) fn enter(
        self: &Rc<Self>,
        client: &Client,
        listener: Option<&Arc<ListenerTally>>,
    ) -> Result<Membership, Limit> {
        let counted = self.count(client)?;
        self.sessions.set(self.sessions.get() + 1);
        self.counters.connections_open.add(1);
        listener.inspect(|tally| tally.connections_open.add(1));
        let (shard, task, listener) = (Rc::clone(self), self.session_tasks.add(), listener.cloned());
        Ok(Membership { shard, task, client: counted, listener })
    }

    /// Takes note of a handshake with `client` that has failed.
    pub(crate) fn handshake_failed(&self, client: &Client, reason: Reason) {
        self.counters.tls_handshakes_failed[reason.index()].add(1);
        if let Some(untold) = self.handshakes_failed.due(ring::now()) {
            tracing::info!(client = client.text(), reason = reason.as_str(), untold, "a TLS handshake has failed");
        }
    }

    /// Counts a connection of `client`, if its connections are. Returns under whose name it was.
    fn count(&self, client: &Client) -> Result<Option<ClientKey>, Limit> {
        let limits = self.serving.borrow().plan.limits;
        let Some(key) = client.key else { return Ok(None) };
        if !self.glitches.is_empty() && self.glitches.refuses(key, limits.glitches_per_client_max, ring::now()) {
            return Err(Limit::GlitchesPerClient);
        }
        if limits.connections_per_client_max == 0 {
            return Ok(None);
        }
        let enters = self.census.enter(key, limits.connections_per_client_max);
        if enters { Ok(Some(key)) } else { Err(Limit::ConnectionsPerClient) }
    }

    /// Takes note of a connection of `peer` that is refused before it came to a request.
    pub(crate) fn refused(&self, peer: &Client, refusal: Refusal) {
        self.counters.refusals[refusal.index()].add(1);
        if let Some(untold) = self.refusals.due(ring::now()) {
            tracing::warn!(peer = peer.text(), reason = refusal.as_str(), untold, "connection refused");
        }
    }

    /// Takes note of how an exchange with `client`, or the attempt at one, has ended.
    pub(crate) fn note(&self, client: &Client, outcome: Outcome) {
        self.counters.exchanges[outcome.index()].add(1);
        let now = ring::now();
        let refused = self.counters.ring.pipes_refused.value();
        if refused > self.pipes_refused.replace(refused)
            && let Some(untold) = self.pipes.due(now)
        {
            tracing::warn!(
                untold,
                "bodies are copied: no pipes (raise fs.pipe-user-pages-soft, or the limit on open files)"
            );
        }
        let Outcome::Failed(error) = outcome else { return };
        if let Some(limit) = error.limit {
            self.counters.hit(limit);
            if limit == Limit::System
                && let Some(untold) = self.scarcity.due(now)
            {
                tracing::warn!(untold, "no connection to an upstream: descriptors, memory or ports have run out");
            }
        }
        let glitches_max = self.serving.borrow().plan.limits.glitches_per_client_max;
        if let Some(key) = client.key
            && self.glitches.note(key, &error, glitches_max, now)
        {
            self.counters.clients_cut_off.add(1);
            if let Some(untold) = self.cut_off.due(now) {
                tracing::warn!(client = client.text(), untold, "a client breaks the rules again and again: cut off");
            }
        }
    }

    /// Whether another session may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.sessions.get() < self.serving.borrow().plan.limits.connections_max
    }

    /// Whether the shard accepts no more, and ends when its exchanges have.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.borrow().is_some()
    }

    /// Until when a connection that carries no request may wait for another one; `None` if the shard does not drain.
    pub(crate) fn idle_until(&self) -> Option<Instant> {
        self.draining.borrow().as_ref().map(|draining| draining.began + draining.order.idle)
    }

    fn acceptance(self: &Rc<Self>, listener: usize, place: usize, tally: Option<Arc<ListenerTally>>) -> Acceptance {
        self.acceptors.set(self.acceptors.get() + 1);
        Acceptance { shard: Rc::clone(self), listener, place, tally }
    }

    /// Whether exchanges are to end at once, since the time to drain is up.
    pub(crate) fn is_cutting(&self) -> bool {
        self.is_cutting.get()
    }

    /// A place among those that are told of the drain and of every session's end.
    pub(crate) fn watch(&self) -> Place {
        self.watchers.add()
    }

    pub(crate) fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_back(&self, mut request: Box<Request>) {
        request.bytes = Chunk::default();
        let mut requests = self.requests.borrow_mut();
        if requests.len() < KEPT_MAX {
            requests.push(request);
        }
    }

    /// Writes an access record, if the exchange has a log.
    pub(crate) fn record<'a>(
        &self,
        serving: &Serving,
        log: Option<AccessLogId>,
        now: Instant,
        record: impl FnOnce() -> Record<'a>,
    ) {
        let Some(log) = log.map(|log| serving.plan.access_logs.log(log)) else { return };
        if !self.recorder.borrow_mut().write(log, &serving.outlets, &record(), now) {
            self.counters.records_dropped.add(1);
        }
    }

    /// Obeys orders until the one to drain. A shard whose master is gone gets it too.
    async fn wait_for_order(self: &Rc<Self>, mailbox: &mut Receiver<Command>) -> Drain {
        loop {
            match mailbox.recv().await {
                Some(Command::Drain(drain)) => return drain,
                Some(command) => self.obey(command).await,
                None => return Drain::stop(Duration::ZERO),
            }
        }
    }

    async fn obey(self: &Rc<Self>, command: Command) {
        match command {
            Command::Accept(listeners) => {
                for (index, Accepting { socket, listener, tally }) in listeners.into_iter().enumerate() {
                    let acceptance = self.acceptance(index, listener, tally);
                    ring::spawn(accept(acceptance, Listener::from_descriptor(socket)));
                }
            }
            Command::Plan(next) => self.take_plan(*next).await,
            Command::Addresses { upstream, servers, tallies } => {
                self.serving().pool(upstream).replace_servers(&servers, &tallies);
            }
            Command::Report(reply) => reply.send(self.report()),
            Command::Survey(reply) => reply.send(self.serving().snapshot()),
            Command::Drain(_) => debug_assert!(false, "a shard drains once"),
        }
    }

    fn report(&self) -> Report {
        let serving = self.serving();
        Report { health: serving.pools.iter().flat_map(|pool| pool.ailing()).collect() }
    }

    /// Ends accepting and idle connections, and gives the exchanges under way their time.
    async fn drain(self: &Rc<Self>, order: Drain, mailbox: &mut Receiver<Command>) {
        let mut deadline = Deadline::new();
        deadline.set(order.within);
        self.draining.replace(Some(Draining { order, began: ring::now() }));
        self.watchers.wake_all();
        self.session_tasks.wake_all();
        let place = self.watch();
        let mut is_abandoned = false;
        loop {
            let event = poll_fn(|cx| {
                place.set(cx.waker());
                if self.sessions.get() == 0 && self.acceptors.get() == 0 {
                    return Poll::Ready(None);
                }
                if !is_abandoned && let Poll::Ready(command) = mailbox.poll_recv(cx) {
                    return Poll::Ready(Some(command));
                }
                deadline.poll(cx).map(|()| None)
            });
            match event.await {
                None => break,
                Some(None) => is_abandoned = true,
                // Another order to drain is one to hurry.
                Some(Some(Command::Drain(hurry))) => {
                    deadline.set(hurry.within);
                    self.draining.replace(Some(Draining { order: hurry, began: ring::now() }));
                    self.watchers.wake_all();
                    self.session_tasks.wake_all();
                }
                // Servers still change their addresses, and whoever reads what a shard knows wants its last word too.
                Some(Some(command)) => self.obey(command).await,
            }
        }
        if self.sessions.get() > 0 {
            tracing::warn!(connections = self.sessions.get(), "time to drain is up: cutting connections off");
            self.is_cutting.set(true);
            self.session_tasks.wake_all();
            // They are ahead in line: each ends its exchange and leaves a record, and what it still had to say is sent. One that
            // carries many exchanges wakes those, which leave to it what they still have to say.
            for _ in 0..3 {
                yield_now().await;
            }
        }
        self.serving().pools.iter().for_each(|pool| pool.close_down());
        let counted = self.counters.readings().filter(|reading| reading.value > 0);
        let counters = counted.map(|reading| reading.to_string()).collect::<Vec<_>>().join(" ");
        tracing::info!(%counters, "drained");
    }
}

impl Acceptance {
    /// Whether connections that wait in this listener are nobody's if they are not taken, now that the shard drains.
    pub(crate) fn is_last(&self) -> bool {
        let draining = self.shard.draining.borrow();
        draining.as_ref().is_none_or(|draining| !draining.order.passed_on.contains(&self.listener))
    }
}

impl Deref for Acceptance {
    type Target = Rc<Shard>;

    fn deref(&self) -> &Rc<Shard> {
        &self.shard
    }
}

impl Drop for Acceptance {
    fn drop(&mut self) {
        self.shard.acceptors.set(self.shard.acceptors.get() - 1);
        self.shard.watchers.wake_all();
    }
}

/// Whether any server is told whom a connection is opened for.
fn announces(plan: &Plan) -> bool {
    plan.upstreams.iter().any(|upstream| upstream.send_proxy.is_some())
}

/// Lets all tasks that are ready have their turn.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Membership {
    /// Has the session's task woken when the shard drains.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.task.set(cx.waker());
    }

    /// The client is not the peer, whose connection has been nobody's so far.
    ///
    /// # Errors
    /// The limit that keeps this client out. Its connection is to be closed at once.
    pub(crate) fn identify(&mut self, client: &Client) -> Result<(), Limit> {
        debug_assert!(self.client.is_none(), "a connection is put down to one client");
        self.client = self.shard.count(client)?;
        Ok(())
    }

    /// Counts a request that came over this connection.
    pub(crate) fn count_request(&self) {
        if let Some(tally) = &self.listener {
            tally.requests.add(1);
        }
    }
}

impl Deref for Membership {
    type Target = Rc<Shard>;

    fn deref(&self) -> &Rc<Shard> {
        &self.shard
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let shard = &self.shard;
        shard.sessions.set(shard.sessions.get() - 1);
        shard.counters.connections_open.sub(1);
        if let Some(tally) = &self.listener {
            tally.connections_open.sub(1);
        }
        if let Some(client) = self.client {
            shard.census.leave(client);
        }
        // Somebody waits for this only in a drain, or when the shard was full.
        if shard.is_draining() || shard.sessions.get() + 1 >= shard.serving.borrow().plan.limits.connections_max {
            shard.watchers.wake_all();
        }
    }
}
