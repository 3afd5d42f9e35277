//! One shard of the engine, in this process.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, anyhow};
use bench_common::affinity;
use engine::{Accepting, Command, Counters, Drain, NextOutlet, Outlet, RingConfig, Sender, Spec, Tallies};
use plan::access_log::{Format, Place, Share};
use plan::filter::headers::Direction;
use plan::filter::{RequestFilter, ResponseFilter};
use plan::{
    AccessLog, AccessLogId, AccessLogs, Address, Filters, Forwarding, HeaderEdits, Limits, Listener, LogTarget,
    LogTargetId, Plan, Route, RouteTable, Server, Shards, Timeouts, TrustPolicy, Upstream, UpstreamId,
};

/// Longer than any run: idle connections must not end while they are counted.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How long the connections that a load left behind may take to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A shard that serves. Dropping it ends it.
pub(crate) struct Shard {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    /// Without a sender the shard ends at once.
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Shard {
    /// Starts it on `core`, between a loopback address and `upstream`, ready for that many connections; `edited` says whether
    /// the route edits header fields.
    pub(crate) fn start(
        upstream: SocketAddr,
        connections: u32,
        edited: bool,
        outlet: Option<Outlet>,
        core: usize,
    ) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::new(Address::Tcp(address));
        let socket = engine::listen_tcp(address, listener.backlog, false).context("cannot listen")?;
        let local = socket2::SockRef::from(&socket).local_addr()?;
        let counters = Arc::<Counters>::default();
        let spec = Spec {
            plan: Arc::new(plan(listener, upstream, connections, (edited, outlet.is_some()))),
            outlets: outlet.map(NextOutlet::New).into_iter().collect(),
            acceptor: None,
            connectors: Vec::new().into(),
            counters: Arc::clone(&counters),
            tallies: Tallies::default(),
            health: Vec::new(),
            ring: RingConfig::default(),
        };
        let (ready, commands) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("shard".into())
            .spawn(move || {
                affinity::move_to(core)?;
                // Nobody waits for it if this program was interrupted; then the shard ends.
                engine::run(spec, move |commands| drop(ready.send(commands)))?;
                Ok(())
            })
            .context("the shard's thread cannot be started")?;
        let mut shard = Self {
            address: local.as_socket().context("a listener without address")?,
            counters,
            commands: None,
            thread: Some(thread),
        };
        match commands.recv() {
            Ok(mut commands) => {
                commands
                    .send(Command::Accept(vec![Accepting { socket, listener: 0, tally: None }]))
                    .map_err(|_| anyhow!("the shard takes no commands"))?;
                shard.commands = Some(commands);
            }
            Err(_) => return Err(shard.join().err().unwrap_or_else(|| anyhow!("the shard ended before it served"))),
        }
        Ok(shard)
    }

    /// Ends it, and tells what went wrong in it.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if let Some(commands) = &mut self.commands {
            commands
                .send(Command::Drain(Drain::stop(DRAIN_TIMEOUT)))
                .map_err(|_| anyhow!("the shard takes no commands"))?;
        }
        self.join()
    }

    fn join(&mut self) -> anyhow::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result.context("the shard failed"),
            Some(Err(_)) => Err(anyhow!("the shard panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.commands = None;
        // After a stop there is nothing left to join, and after an error there is a better one to tell.
        let _ = self.join();
    }
}

/// Everything to one upstream, which keeps as many connections as the clients need; the rest as it comes.
fn plan(listener: Listener, upstream: SocketAddr, connections: u32, (is_edited, is_logged): (bool, bool)) -> Plan {
    let server = Server::new(Address::Tcp(upstream));
    let access_logs = if is_logged { json_log() } else { AccessLogs::default() };
    Plan {
        listeners: vec![listener],
        upstreams: vec![Upstream {
            idle_connections_max: connections.max(1024),
            keep_alive_timeout: IDLE_TIMEOUT,
            ..Upstream::new("app", vec![server])
        }],
        routes: RouteTable::new(vec![Route {
            access_log: access_logs.default,
            filters: if is_edited { edits() } else { Filters::default() },
            ..Route::new(None, "/", UpstreamId(0))
        }]),
        passthrough: plan::PassthroughTable::default(),
        limits: Limits::default(),
        timeouts: Timeouts { keep_alive: IDLE_TIMEOUT, ..Timeouts::default() },
        overload: plan::Overload::default(),
        http2: plan::Http2::default(),
        tls: None,
        trust: TrustPolicy::default(),
        forwarding: Forwarding::default(),
        shards: Shards { count: 1, pin: false, io: plan::Io::Auto, splice_bytes_min: Shards::SPLICE_BYTES_MIN },
        access_logs,
        metrics: plan::Metrics::default(),
    }
}

/// A field set, one added and one removed, in each direction.
fn edits() -> Filters {
    let edits = |direction| {
        let mut edits = HeaderEdits::new(direction);
        let added = edits.set("X-Team", "red").and_then(|()| edits.add("X-Tag", "edge"));
        added.and_then(|()| edits.remove("X-Debug")).expect("fields that routes may change");
        edits
    };
    Filters {
        request: vec![RequestFilter::Headers(edits(Direction::Requests))],
        response: vec![ResponseFilter::Headers(edits(Direction::Responses))],
    }
}

/// One log of all exchanges, as `access_log = "json"` is.
fn json_log() -> AccessLogs {
    let format = Format::json(Format::JSON_FIELDS.iter().copied()).expect("the fields of the format exist");
    let log = AccessLog { target: LogTargetId(0), format, only: None, share: Share::ALL, always: None };
    let target = LogTarget { place: Place::Stdout, waiting_bytes_max: 1 << 20 };
    AccessLogs { logs: vec![log], targets: vec![target], default: Some(AccessLogId(0)) }
}
