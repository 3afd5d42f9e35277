//! What a running shard can be told and asked.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use plan::{Address, Plan, Server, UpstreamId};

use crate::record::NextOutlet;
use crate::shard::Connectors;
use crate::snapshot::Snapshot;
use crate::tally::{ListenerTally, ServerTally, Tallies};

/// What a running shard can be told.
#[derive(Debug)]
pub enum Command {
    /// Accept connections from these sockets, which listen.
    Accept(Vec<Accepting>),
    /// From now on serve by this Plan.
    Plan(Box<NextPlan>),
    /// From now on an upstream consists of these servers. Connections to those that stay are not touched.
    Addresses {
        /// Which upstream of the Plan.
        upstream: UpstreamId,
        /// All its servers.
        servers: Vec<Server>,
        /// What is counted of each of these; none where nothing is.
        tallies: Vec<Arc<ServerTally>>,
    },
    /// Tell what the shard knows. It also shows that the shard still ticks.
    Report(Reply<Report>),
    /// Tell how all upstreams and their servers stand.
    Survey(Reply<Snapshot>),
    /// Accept no more, finish what is under way, then end.
    Drain(Drain),
}

/// A listening socket.
#[derive(Debug)]
pub struct Accepting {
    /// The socket.
    pub socket: OwnedFd,
    /// Which of the Plan's listeners it belongs to.
    pub listener: usize,
    /// What is counted of its listener, if anything is.
    pub tally: Option<Arc<ListenerTally>>,
}

/// Another Plan for a shard, with the same listeners. Exchanges under way finish with the Plan that they began with.
///
/// The sender is to hold the old Plan until nobody else does, so that no shard has to drop it.
#[derive(Debug)]
pub struct NextPlan {
    /// What is served from now on.
    pub plan: Arc<Plan>,
    /// What is counted from now on. Upstreams and servers that stay keep the cells that they have, so these have to be the same.
    pub tallies: Tallies,
    /// For each upstream of `plan`, what it was in the Plan before.
    pub upstreams: Arc<[Origin]>,
    /// Where access records are written from now on: an outlet for each target of `plan`.
    pub outlets: Vec<NextOutlet>,
    /// Who answers handshakes from now on, if `plan` has TLS. Handshakes under way go on as they began.
    pub acceptor: Option<Arc<tls::Acceptor>>,
    /// Who speaks TLS with the servers of each upstream of `plan`. Upstreams that are the same or changed keep what they have.
    pub connectors: Connectors,
    /// Told when the Plan is in force: the longest that sessions had to wait for it.
    pub taken: Reply<Duration>,
}

/// What an upstream of a new Plan was in the Plan before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was not there.
    New,
    /// That one, with the same servers and balanced in the same way: its state goes on. Its policy may be another.
    Same(UpstreamId),
    /// That one, with other servers or balanced otherwise. Servers that stay keep their connections and health.
    Changed(UpstreamId),
}

/// How a shard is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// How long exchanges and tunnels under way have; what is left then is cut off.
    pub within: Duration,
    /// How long a connection without a request may wait for another one, whose answer then is its last. Where nobody waits
    /// for the end, patience spares clients the moment at which a connection is closed while their request is on its way.
    pub idle: Duration,
    /// Sockets that another process accepts from as well, in the order in which the shard got them. The others are emptied
    /// before they are closed.
    pub passed_on: Vec<usize>,
}

impl Drain {
    /// The drain of a program that ends: idle connections are closed at once, and every listener is.
    #[must_use]
    pub fn stop(within: Duration) -> Drain {
        Drain { within, idle: Duration::ZERO, passed_on: Vec::new() }
    }
}

/// What a shard knows that is more than numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The servers that it does not fully trust.
    pub health: Vec<ServerHealth>,
}

/// What a shard has learned of one server, in a form that outlives the shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHealth {
    /// The upstream's name.
    pub upstream: String,
    /// The server.
    pub address: Address,
    /// What is thought of it.
    pub condition: Condition,
}

/// What a shard thinks of a server that has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Condition {
    /// Failures since the last success.
    pub failures: u32,
    /// How often in a row it was ejected.
    pub ejections: u32,
    /// How much longer it is out; `None` if it is in.
    pub out_for: Option<Duration>,
    /// How long the last ejection lasts or lasted.
    pub ejection: Duration,
}

/// Where an answer goes. It is called on the shard's thread, and must not block.
pub struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// An answer that is given to `to`.
    pub fn new(to: impl FnOnce(T) + Send + 'static) -> Reply<T> {
        Reply(Box::new(to))
    }

    pub(crate) fn send(self, answer: T) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
