//! Where requests go.

use std::sync::Arc;
use std::time::Duration;

use crate::Address;
use crate::tls::UpstreamTls;

/// A group of servers that can each answer the same requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The name that the configuration gave it; it appears in logs and records.
    pub name: String,
    /// The servers. None only where all are known by name, and no name has an address yet.
    pub servers: Vec<Server>,
    /// How requests are spread over them.
    pub balance: Balance,
    /// How TLS is spoken with the servers; `None` where it is not.
    pub tls: Option<Arc<UpstreamTls>>,
    /// When a server is passed over, and for how long.
    pub health: Health,
    /// When a request is sent again to another server.
    pub retry: Retry,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long the response's head may take, counted from the moment at which the request was sent whole.
    pub head_timeout: Duration,
    /// How long a body may stand still, in either direction.
    pub body_idle_timeout: Duration,
    /// Bytes a second that a server must take of a request's body, or send of an answer's, on average after
    /// [`crate::Timeouts::body_rate_grace`]. 0, the default, sets no bound: a stream of events may trickle.
    pub body_rate_min: u32,
    /// How long an unused connection is kept.
    pub keep_alive_timeout: Duration,
    /// How many unused connections a shard keeps to this upstream, all its servers together; 0 keeps none.
    pub idle_connections_max: u32,
    /// How many connections a shard opens to this upstream, in use and idle together. A request that finds none free
    /// waits for at most `connect_timeout`, then gets 503.
    pub connections_max: u32,
    /// How requests of routes that coalesce share connections.
    pub coalesce: Coalesce,
    /// In which form a server is told by the PROXY protocol who a connection was opened for, if it is. Such a connection then
    /// belongs to one client: it is not kept for another request, and routes to the upstream do not coalesce.
    pub send_proxy: Option<SendProxy>,
}

impl Upstream {
    /// An upstream of these servers, with the default limits.
    #[must_use]
    pub fn new(name: impl Into<String>, servers: Vec<Server>) -> Upstream {
        Upstream {
            name: name.into(),
            servers,
            balance: Balance::default(),
            tls: None,
            health: Health::default(),
            retry: Retry::default(),
            connect_timeout: Duration::from_secs(2),
            head_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(60),
            body_rate_min: 0,
            keep_alive_timeout: Duration::from_secs(30),
            idle_connections_max: 512,
            connections_max: 16_384,
            coalesce: Coalesce::default(),
            send_proxy: None,
        }
    }
}

/// The version of a header of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendProxy {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// One server of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its address.
    pub address: Address,
    /// The name that the address was found by, if it was. With TLS it is the name that the server has to prove, unless another
    /// one is configured.
    pub host: Option<Arc<str>>,
    /// Its share of the requests, relative to the other servers' weights; 1 to 1,000.
    pub weight: u16,
    /// Whether it gets no new requests, because an operator is about to take it away. What is under way ends in peace.
    pub draining: bool,
}

impl Server {
    /// A server at `address`, with weight 1.
    #[must_use]
    pub fn new(address: Address) -> Server {
        Server { address, host: None, weight: 1, draining: false }
    }
}

/// How requests are spread over the servers of an upstream. Each shard spreads its own requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// To the server with the fewest exchanges under way for its weight.
    LeastConnections,
    /// To the better of two servers taken at random.
    RandomTwo,
    /// By the client's address. When a server comes or goes, most clients change servers.
    SourceHash,
    /// By a key. When a server comes or goes, hardly any but its own requests change servers.
    ConsistentHash(HashKey),
}

/// What requests have in common that are to reach the same server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HashKey {
    /// The client's address.
    #[default]
    Source,
    /// The path, without the query.
    Path,
    /// The value of the header field of this name; a request without it goes by the client's address.
    Header(String),
}

/// When a server is ejected: left out of the balancing for a time because what it was asked failed. Each shard judges by
/// what it has seen itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Consecutive failures after which a server is ejected; 0 to 1,000, where 0 never ejects.
    pub failures: u32,
    /// How long the first ejection lasts. The second in a row lasts twice as long, and so on.
    pub ejection_base: Duration,
    /// How long an ejection lasts at most.
    pub ejection_max: Duration,
    /// Percentage of the servers that may be ejected at once; 0 to 100. Where 100 leaves none, all are used.
    pub eject_share_max: u8,
    /// Statuses of answers that count as failures, beside connections that are refused, break off or time out.
    pub failure_statuses: Vec<u16>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            failures: 5,
            ejection_base: Duration::from_secs(10),
            ejection_max: Duration::from_secs(5 * 60),
            eject_share_max: 50,
            failure_statuses: vec![502, 503, 504],
        }
    }
}

/// When a request is sent again, to a server that it has not been sent to. Only requests that are safe to repeat are
/// (RFC 9110 §9.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// How often a request is sent at most, the first time included; 1 to 8. Servers that could not be connected to do not
    /// count: no server has seen the request then.
    pub attempts: u8,
    /// Retries for every hundred requests; 0 to 100.
    pub budget_percent: u8,
    /// Retries a second that are allowed however few requests there are; 0 to 10,000.
    pub budget_min_per_s: u32,
    /// Bytes of a request's body that are kept so that it can be sent again; longer ones are not retried.
    pub body_bytes_max: u32,
    /// Statuses of answers after which the request is retried. None by default.
    pub statuses: Vec<u16>,
    /// The pause before the first retry, before jitter; doubled for each further one.
    pub backoff_base: Duration,
    /// The longest pause before a retry.
    pub backoff_max: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 2,
            budget_percent: 20,
            budget_min_per_s: 10,
            body_bytes_max: 64 << 10,
            statuses: Vec::new(),
            backoff_base: Duration::from_millis(25),
            backoff_max: Duration::from_millis(250),
        }
    }
}

/// How the requests of [routes that coalesce](crate::Route::coalesce) share connections: those that become ready in one tick
/// of a shard go out over one connection in one send, and the answers come back in their order (RFC 9112 §9.3.2). All bounds
/// are for one shard and one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coalesce {
    /// Connections that are shared so; 1 to 64. A request that finds no room on them gets a connection of its own.
    pub connections_max: u16,
    /// Requests that one of them carries at once; 2 to 1,024.
    pub depth_max: u16,
    /// Requests under way from which on connections are shared. Below it a request would rather wait for others' answers than
    /// gain anything; the default is where it was found to gain, whoever the server is (perf/README.md). 1 to 1,000,000.
    pub engage_at: u32,
    /// How long the answer that is due may take until its connection gets no more requests, and those behind it are sent
    /// again elsewhere.
    pub stall_timeout: Duration,
}

impl Default for Coalesce {
    fn default() -> Coalesce {
        Coalesce { connections_max: 4, depth_max: 256, engage_at: 24, stall_timeout: Duration::from_millis(20) }
    }
}
